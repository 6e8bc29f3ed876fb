//! Refusals of a directory or a Compose project that belongs to somebody else.

use super::own::{in_project, own_containers, own_projects};
use crate::manifest::environment::{Application, Environment};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::resource::{HostFacts, Subject};
use std::collections::BTreeSet;

/// Refuses a directory or a Compose project that another environment claims. Also refuses containers, volumes and
/// networks of the project that no release of this environment made.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let application = subject.environment.application.as_ref()?;
    conflict(subject, application, host).or_else(|| strangers(subject.environment, application, host))
}

/// Refuses to remove the data of an environment for the reasons of [`preflight`]. In a project that the environment
/// claims, it removes nothing of anybody else. Also refuses a directory in which something else is mounted, whose data
/// would be removed.
#[must_use]
pub fn purge_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let application = subject.environment.application.as_ref()?;
    let own = own_projects(subject.environment, host).contains(&application.project);
    let strangers = || strangers(subject.environment, application, host).filter(|_| !own);
    conflict(subject, application, host).or_else(strangers).or_else(|| mounted(application, host))
}

/// Refuses to remove the application's directory while something is mounted below it.
fn mounted(application: &Application, host: &HostFacts) -> Option<Failure> {
    let point = host.access.claims.mounts.first()?;
    let message = format!(
        "{point} on the host is a mount point inside {}; --purge would remove the data that is mounted there",
        application.host_directory
    );
    Some(
        Failure::new(Reason::MarkerMismatch, message)
            .hint(format!("Unmount it on the host: umount {}", quote(point.as_str()))),
    )
}

/// Refuses a directory or a Compose project that another environment claims, and a directory that root cannot enter.
fn conflict(subject: &Subject<'_>, application: &Application, host: &HostFacts) -> Option<Failure> {
    let claims = &host.access.claims;
    let refused = claims.neighbours.first().map(|neighbour| neighbour.refuse(subject.environment, application));
    refused.or_else(|| (claims.astray && !subject.take_over).then(|| astray(subject, application)))
}

/// Refuses a directory that root cannot enter.
fn astray(subject: &Subject<'_>, application: &Application) -> Failure {
    let (directory, name) = (&application.host_directory, &subject.environment.name);
    let message = format!(
        "Cannot enter {directory} on the host: its path contains a link that a service may have created, or it leads \
         to another directory than when {name} claimed it"
    );
    let hint = format!(
        "Put the directory back. If you moved it yourself, accept the new place with: deployer apply {name} --take-over"
    );
    Failure::new(Reason::MarkerMismatch, message).hint(hint)
}

/// Refuses to replace containers that somebody else started in the Compose project, and to use volumes or networks that
/// somebody else left in it.
fn strangers(environment: &Environment, application: &Application, host: &HostFacts) -> Option<Failure> {
    let own: BTreeSet<&str> = own_containers(environment, host).map(|container| container.id.as_str()).collect();
    let strange = in_project(host, &application.project).filter(|container| !own.contains(container.id.as_str()));
    let names: BTreeSet<String> = strange
        .map(|container| match &container.directory {
            Some(directory) => format!("{} (from {})", container.service, checked::said(directory.as_str())),
            None => container.service.clone(),
        })
        .collect();
    let (name, project) = (&environment.name, &application.project);
    let (names, kind, verb, remedy) = if names.is_empty() {
        // Volumes and networks belong to the containers of this directory, if it has any. A release adopts these.
        let left = host.services.left.get(project).filter(|_| own.is_empty()).cloned().unwrap_or_default();
        (left, "volumes or networks", "make", "take over what is there")
    } else {
        (names, "containers", "start", "replace the containers")
    };
    let list = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let message = format!(
        "Compose project {project} on the host has {kind} that {}/{name} did not {verb}: {list}",
        environment.project
    );
    (!names.is_empty()).then(|| {
        Failure::new(Reason::MarkerMismatch, message)
            .hint(format!("Give {name} another `project`, or {remedy} with: deployer apply {name} --take-over"))
    })
}
