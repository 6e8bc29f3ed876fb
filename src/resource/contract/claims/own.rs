//! Containers, Compose projects and directories that belong to an environment, by its claims and releases.

use super::seen::Relation;
use crate::manifest::environment::{Application, Environment};
use crate::resource::HostFacts;
use crate::resource::compose::container::Container;
use camino::Utf8PathBuf;
use std::collections::BTreeSet;

/// Returns true if another environment claims the same Compose project.
#[must_use]
pub fn shares_project(host: &HostFacts) -> bool {
    host.access.claims.conflict_in(Relation::Project)
}

/// Returns the containers of a Compose project.
pub(super) fn in_project<'a>(host: &'a HostFacts, project: &'a str) -> impl Iterator<Item = &'a Container> {
    host.services.containers.iter().filter(move |container| container.is_of(project))
}

/// Returns the containers of the manifest's Compose project that belong to the environment. If a release of the
/// environment has the project alone, these are all containers; otherwise, those that were started from the
/// environment's directory. Once another environment took the project over, all of them belong to that environment:
/// Docker Compose keeps the containers that need no change, with the labels of their first start.
pub fn own_containers<'a>(environment: &'a Environment, host: &'a HostFacts) -> impl Iterator<Item = &'a Container> {
    let application = environment.application.as_ref();
    let project = application.map_or("", |application| application.project.as_str());
    let released = host.files.begun().any(|record| record.project == project);
    let (shared, same) = (shares_project(host), host.access.claims.conflict_in(Relation::Same));
    let claims = claimed(host).contains(project);
    in_project(host, project).filter(move |container| {
        let from_here = container.directory.as_ref() == application.map(|application| &application.host_directory);
        if shared { claims && from_here && !same } else { released || from_here }
    })
}

/// Returns the Compose projects that the environment claims or, on a host of a former version, the projects of its
/// releases.
fn claimed(host: &HostFacts) -> BTreeSet<String> {
    let claims = &host.access.claims;
    if claims.noted {
        return claims.projects.clone();
    }
    host.files.begun().map(|record| record.project.clone()).collect()
}

/// Returns the Compose projects that no other environment uses: the projects that this one claims, and the manifest's
/// project unless somebody else has something in it.
#[must_use]
pub fn own_projects(environment: &Environment, host: &HostFacts) -> BTreeSet<String> {
    let mut own = claimed(host);
    if let Some(Application { project, .. }) = &environment.application {
        let others = || in_project(host, project).count() > own_containers(environment, host).count();
        if shares_project(host) {
            own.remove(project);
        } else if !others() && !host.services.left.contains_key(project) {
            own.insert(project.clone());
        }
    }
    own
}

/// Returns the directories from which the environment starts or started containers.
pub(super) fn own_directories(environment: &Environment, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
    let claims = &host.access.claims;
    let mut own: BTreeSet<Utf8PathBuf> = if claims.noted {
        claims.directories.clone()
    } else {
        host.files.begun().map(|record| record.directory.clone().into()).collect()
    };
    let application = environment.application.as_ref().filter(|_| !claims.conflict_in(Relation::Same));
    own.extend(application.map(|application| application.host_directory.clone()));
    own
}

/// Returns the environment's containers in Compose projects other than `project`, from releases under a previous
/// project name. Containers that somebody started there by hand are not included.
pub fn former_containers<'a>(
    environment: &'a Environment,
    host: &'a HostFacts,
    project: &'a str,
) -> impl Iterator<Item = &'a Container> {
    let (projects, directories) = (own_projects(environment, host), own_directories(environment, host));
    host.services.containers.iter().filter(move |container| {
        !container.is_of(project)
            && projects.contains(&container.project)
            && container.directory.as_ref().is_some_and(|directory| directories.contains(directory))
    })
}

/// Returns the containers in the environment's Compose projects that somebody else started, from another directory or
/// without Compose. The removal of the environment leaves them.
pub fn by_hand<'a>(environment: &'a Environment, host: &'a HostFacts) -> impl Iterator<Item = &'a Container> {
    let (projects, directories) = (own_projects(environment, host), own_directories(environment, host));
    host.services.containers.iter().filter(move |container| {
        let from_here = container.directory.as_ref().is_some_and(|directory| directories.contains(directory));
        projects.contains(&container.project) && !from_here
    })
}
