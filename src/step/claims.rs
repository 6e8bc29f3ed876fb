//! Claims: the Compose project and the directory that an environment uses on its host, noted there under its own state directory
//! before anything of a release is placed. Two environments of one host never have the same project, the same directory, or
//! directories that contain one another, whichever manifests they come from.

use super::access::marker_of;
use super::container::Container;
use super::{Command, HostFacts, SHORT, Subject, guard};
use crate::checked;
use crate::failure::{Failure, Reason};
use crate::host::Input;
use crate::manifest::environment::{Application, Environment};
use crate::shell::quote;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// The functions of `claims.sh`, which the rest of this module calls.
const FUNCTIONS: &str = include_str!("claims.sh");

/// Most conflicts that a look at a host tells.
const MOST: usize = 100;

/// The claim that two environments cannot both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Their Compose project.
    Project,
    /// Their directory, also through a link or a bind mount.
    Same,
    /// The directory of this environment is inside the other's.
    Inside,
    /// The directory of this environment contains the other's.
    Around,
}

/// Another environment of the host with a claim that conflicts with this environment's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// How they conflict.
    pub relation: Relation,
    /// The other environment, `PROJECT/ENV`; its identity where it has no marker.
    owner: String,
    /// The other's project or directory.
    value: String,
}

impl Neighbour {
    /// Reads `RELATION OWNER VALUE`; `None` where it is not of this form.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (relation, owner, value) = (words.next()?, words.next()?, words.next()?);
        let relation = match relation {
            "project" => Relation::Project,
            "same" => Relation::Same,
            "inside" => Relation::Inside,
            "around" => Relation::Around,
            _ => return None,
        };
        let valid = if relation == Relation::Project { checked::is_plain } else { checked::is_absolute };
        let named = owner.split('/').count() <= 2 && owner.split('/').all(checked::is_plain);
        (named && valid(value)).then(|| Self { relation, owner: owner.to_owned(), value: checked::said(value) })
    }

    /// Refuses what the environment cannot have next to this one.
    fn refuse(&self, environment: &Environment, application: &Application) -> Failure {
        let Self { relation, owner, value } = self;
        let (own, name) = (&application.host_directory, &environment.name);
        let found = match relation {
            Relation::Project => format!("Compose project {value} on the host belongs to {owner}"),
            Relation::Same if own.as_str() == value => format!("{own} on the host belongs to {owner}"),
            Relation::Same => format!("{own} on the host is {value}, which belongs to {owner}"),
            Relation::Inside => format!("{own} on the host is inside {value}, which belongs to {owner}"),
            Relation::Around => format!("{own} on the host contains {value}, which belongs to {owner}"),
        };
        let key = if *relation == Relation::Project { "project" } else { "host_directory" };
        Failure::new(Reason::MarkerMismatch, format!("{found}; {}/{name} cannot use it", environment.project)).hint(
            format!("Give {name} another `{key}`, or take it from {owner} with: deployer apply {name} --take-over"),
        )
    }
}

/// The claims that a look at the host read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The environment's own Compose projects.
    projects: BTreeSet<String>,
    /// The environment's own directories.
    directories: BTreeSet<Utf8PathBuf>,
    /// The others that conflict with it.
    neighbours: Vec<Neighbour>,
}

impl Seen {
    /// Takes in the line of one of the environment's own claims.
    pub fn own(&mut self, claim: &str) {
        match claim.split_once(' ') {
            Some(("project", name)) if checked::is_plain(name) => _ = self.projects.insert(name.to_owned()),
            Some(("directory", path)) if checked::is_absolute(path) => _ = self.directories.insert(path.into()),
            _ => {}
        }
    }

    /// Takes in the line of a conflict; false where it cannot be read.
    pub fn conflict(&mut self, line: &str) -> bool {
        let neighbour = Neighbour::parse(line).filter(|_| self.neighbours.len() < MOST);
        let read = neighbour.is_some();
        self.neighbours.extend(neighbour);
        read
    }

    fn conflict_in(&self, relation: Relation) -> bool {
        self.neighbours.iter().any(|neighbour| neighbour.relation == relation)
    }

    /// The conflicts, as facts of a plan that ends them.
    pub fn conflicts(&self) -> impl Iterator<Item = (String, String)> {
        let fact = |neighbour: &Neighbour| (format!("claim on {}", neighbour.value), neighbour.owner.clone());
        self.neighbours.iter().map(fact)
    }
}

/// Says whether another environment has the Compose project, too.
#[must_use]
pub fn shares_project(host: &HostFacts) -> bool {
    host.access.claims.conflict_in(Relation::Project)
}

/// Says whether another environment has the directory itself, too.
#[must_use]
pub fn shares_directory(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let marker = host.access.directory_marker.as_ref();
    host.access.claims.conflict_in(Relation::Same)
        || marker.is_some_and(|marker| !super::access::ours(subject.environment, marker))
}

/// The file that names the environment whose release has a directory of the host: one for each directory, which only root can
/// change. Former versions know no other claim.
fn owner_file(directory: &Utf8Path) -> String {
    format!("/var/lib/deployer/directories/{}", &blake3::hash(directory.as_str().as_bytes()).to_hex()[..32])
}

/// Arguments of `grep` that find the environment's markers.
fn marked(environment: &Environment) -> String {
    let names = [Some(&environment.name), environment.renamed_from.as_ref()].into_iter().flatten();
    names.fold(String::new(), |text, name| {
        text + " -e " + &quote(&format!(r#""project":"{}","environment":"{name}""#, environment.project))
    })
}

/// Shell that sets `$taken` where a former version gave the directory to this environment.
fn taken(environment: &Environment, application: &Application) -> String {
    format!("taken=$(grep -lsF{} {} || :)\n", marked(environment), owner_file(&application.host_directory))
}

/// Shell that tells whose the application's directory is, what the environment claims, and what conflicts with that. The marker
/// in the directory, from former versions, counts where the host keeps nothing else of the environment.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    format!(
        r#"if [ -e {owner} ]; then
  printf 'directory %s\n' "$(tr -d '\n' < {owner})"
elif [ ! -e "$state/marker.json" ] && [ -e "$app/{legacy}" ]; then
{guard}
  pin "$app" && printf 'directory %s\n' "$(dd if=./{legacy} iflag=nofollow,nonblock bs=4096 count=1 status=none | tr -d '\n\000')"
fi
[ ! -e "$state/claims" ] || sed 's/^/claim /' "$state/claims"
{FUNCTIONS}{taken}each_conflict show {project} | head -n {MOST}
"#,
        owner = owner_file(&application.host_directory),
        legacy = super::access::LEGACY_MARKER,
        guard = guard::FUNCTIONS,
        taken = taken(subject.environment, application),
        project = quote(&application.project),
    )
}

/// Refuses a directory or a Compose project that another environment claims, and containers of the project that no release of
/// this environment started.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let application = subject.environment.application.as_ref()?;
    let neighbour = host.access.claims.neighbours.first();
    let refused = neighbour.map(|neighbour| neighbour.refuse(subject.environment, application));
    refused.or_else(|| strangers(subject.environment, application, host))
}

/// Refuses to sweep away containers that somebody else started in the Compose project.
fn strangers(environment: &Environment, application: &Application, host: &HostFacts) -> Option<Failure> {
    let own: BTreeSet<&str> = own_containers(environment, host).map(|container| container.id.as_str()).collect();
    let strange = host.services.containers.iter().filter(|container| !own.contains(container.id.as_str()));
    let names: BTreeSet<String> = strange
        .map(|container| match &container.directory {
            Some(directory) => format!("{} (from {})", container.service, checked::said(directory.as_str())),
            None => container.service.clone(),
        })
        .collect();
    let list = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let (name, project) = (&environment.name, &application.project);
    let message = format!(
        "Compose project {project} on the host has containers that {}/{name} did not start: {list}",
        environment.project
    );
    (!names.is_empty()).then(|| {
        Failure::new(Reason::MarkerMismatch, message).hint(format!(
            "Give {name} another `project`, or replace the containers with: deployer apply {name} --take-over"
        ))
    })
}

/// Returns the containers of the Compose project that belong to the environment: all of them, where a release of the environment
/// has the project alone, else those that were started from its directory.
pub fn own_containers<'a>(environment: &'a Environment, host: &'a HostFacts) -> impl Iterator<Item = &'a Container> {
    let application = environment.application.as_ref();
    let released =
        host.files.begun().any(|record| application.is_some_and(|application| application.project == record.project));
    let (shared, same) = (shares_project(host), host.access.claims.conflict_in(Relation::Same));
    host.services.containers.iter().filter(move |container| {
        let from_here = container.directory.as_ref() == application.map(|application| &application.host_directory);
        if shared { from_here && !same } else { released || from_here }
    })
}

/// Returns the Compose projects that are the environment's alone: those it claims or, on a host of a former version, those of its
/// releases; and the one of the manifest, unless somebody else started containers there.
#[must_use]
pub fn own_projects(environment: &Environment, host: &HostFacts) -> BTreeSet<String> {
    let claimed = &host.access.claims.projects;
    let mut own: BTreeSet<String> = if claimed.is_empty() {
        host.files.begun().map(|record| record.project.clone()).collect()
    } else {
        claimed.clone()
    };
    if let Some(application) = &environment.application {
        let others = host.services.containers.len() > own_containers(environment, host).count();
        if others || shares_project(host) {
            own.remove(&application.project);
        } else {
            own.insert(application.project.clone());
        }
    }
    own
}

/// Returns shell that runs `script` with the functions of `claims.sh` while no other environment of the host changes claims. Its lock is
/// another one than that of packages, which a release does not wait for.
fn alone(script: &str) -> String {
    format!(
        "{FUNCTIONS}{{\n  timeout 60 flock 8 || {{ echo 'another environment still claims its directory' >&2; exit 75; }}\n{script}}} 8>> /var/lib/deployer/claims.lock\n"
    )
}

/// Claims `project` and the application's directory, unless the host has noted both already.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts, project: &str) -> Option<Command> {
    let application = subject.environment.application.as_ref()?;
    let (claims, directory) = (&host.access.claims, &application.host_directory);
    let held = claims.projects.contains(project) && claims.directories.contains(directory);
    if held && claims.neighbours.is_empty() {
        return None;
    }
    let project = quote(project);
    let revoke = if subject.take_over { format!("each_conflict revoke {project}\n") } else { String::new() };
    let script = format!(
        "umask 077\nmkdir -p \"$state\" /var/lib/deployer/directories\n{}",
        alone(&format!(
            "{taken}{revoke}claim {project}\nwrite_whole {file} '%s\\n' {marker}\n",
            taken = taken(subject.environment, application),
            file = owner_file(directory),
            marker = quote(&marker_of(subject, host, false)),
        ))
    );
    Some(Command {
        title: "claim the directory and the Compose project".to_owned(),
        script: subject.preamble() + &script,
        input: Input::Empty,
        limit: 2 * SHORT,
        reason: Reason::MarkerMismatch,
    })
}

/// Returns shell that gives up the claims on directories and projects that a release of `project`, which converged, has left.
#[must_use]
pub fn settle(subject: &Subject<'_>, host: &HostFacts, project: &str) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    let left = host.files.current.iter().map(|record| Utf8Path::new(&record.directory));
    let left = left.filter(|directory| *directory != application.host_directory);
    let disowned: String = left.map(|directory| disown(subject.environment, directory)).collect();
    alone(&format!("settle {}\n{disowned}", quote(project)))
}

/// Returns shell that forgets that a directory is this environment's. The directory that holds these files stays: another
/// environment's command may be about to write to it.
#[must_use]
pub fn disown(environment: &Environment, directory: &Utf8Path) -> String {
    let (marked, file) = (marked(environment), owner_file(directory));
    format!("! grep -qsF{marked} {file} || rm -f {file}\n")
}
