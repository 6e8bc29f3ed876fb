//! Claims: the Compose project and the directory that an environment uses on its host. Claims are recorded in the
//! environment's own state directory on the host before any file of a release is placed. Two environments of one host
//! cannot have the same project, the same directory, or directories that contain one another, whichever manifests they
//! come from.

use super::guard;
use crate::manifest::environment::{Application, Environment};
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::{guarded, quote};
use crate::resource::access::marker_of;
use crate::resource::compose::container::Container;
use crate::resource::{Command, HostFacts, SHORT, Subject};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;

/// Shell function that prints the claims of an environment.
pub const CLAIMED: &str = guarded::CLAIMED;
/// Functions of `claims.sh`, which the rest of this module calls after [`guard::FUNCTIONS`].
const FUNCTIONS: &str = include_str!("claims.sh");

/// Limit of the number of conflicts that a host reports.
const MOST: usize = 100;

/// Conflict between the claims of two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The environments have the same Compose project.
    Project,
    /// The environments have the same directory, possibly through a link or a bind mount.
    Same,
    /// The directory of this environment is inside the other's.
    Inside,
    /// The directory of this environment contains the other's.
    Around,
}

/// Another environment of the host whose claim conflicts with this environment's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The kind of conflict.
    pub relation: Relation,
    /// The other environment as `PROJECT/ENV`, or its identity if it has no marker.
    owner: String,
    /// The other environment's project or directory.
    value: String,
}

impl Neighbour {
    /// Reads `RELATION OWNER VALUE`. Returns `None` if the text does not have this form.
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

    /// Returns the failure that refuses the environment because of this conflict.
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

/// Claims that were read from the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// True if the host has a claims file for the environment, even an empty one. Former versions wrote none.
    noted: bool,
    /// The environment's own Compose projects.
    projects: BTreeSet<String>,
    /// The environment's own directories.
    directories: BTreeSet<Utf8PathBuf>,
    /// Those of these directories whose real path the host recorded when they were claimed. Former versions recorded
    /// none.
    traced: BTreeSet<Utf8PathBuf>,
    /// True if root cannot enter the manifest's directory without following a link that is not root's.
    astray: bool,
    /// The environments that conflict with this one.
    neighbours: Vec<Neighbour>,
    /// The application's directory when the environment was removed from the host and data stayed there.
    kept: Option<Utf8PathBuf>,
}

impl Seen {
    /// Records that the host has a claims file for the environment.
    pub const fn note(&mut self) {
        self.noted = true;
    }

    /// Records that root cannot enter the manifest's directory.
    pub const fn stray(&mut self) {
        self.astray = true;
    }

    /// Adds one of the environment's own claims from its line.
    pub fn own(&mut self, claim: &str) {
        match claim.split_once(' ') {
            Some(("project", name)) if checked::is_plain(name) => _ = self.projects.insert(name.to_owned()),
            Some(("directory", path)) if checked::is_absolute(path) => _ = self.directories.insert(path.into()),
            Some(("real", paths)) => {
                let path = paths.split_once("//").map(|(path, _)| path).filter(|path| checked::is_absolute(path));
                self.traced.extend(path.map(Utf8PathBuf::from));
            }
            _ => {}
        }
    }

    /// Notes the directory that a removal kept, from its line.
    pub fn keep(&mut self, path: &str) {
        self.kept = Some(path).filter(|path| checked::is_absolute(path)).map(Into::into);
    }

    /// Adds a conflict from its line. Returns false if the line cannot be read.
    pub fn conflict(&mut self, line: &str) -> bool {
        let neighbour = Neighbour::parse(line).filter(|_| self.neighbours.len() < MOST);
        let read = neighbour.is_some();
        self.neighbours.extend(neighbour);
        read
    }

    fn conflict_in(&self, relation: Relation) -> bool {
        self.neighbours.iter().any(|neighbour| neighbour.relation == relation)
    }

    /// Returns the conflicts as observed facts. A plan that ends the conflicts removes these facts.
    pub fn conflicts(&self) -> impl Iterator<Item = (String, String)> {
        let fact = |neighbour: &Neighbour| (format!("claim on {}", neighbour.value), neighbour.owner.clone());
        self.neighbours.iter().map(fact)
    }
}

/// Returns true if another environment claims the same Compose project.
#[must_use]
pub fn shares_project(host: &HostFacts) -> bool {
    host.access.claims.conflict_in(Relation::Project)
}

/// Returns true if another environment claims the same directory.
#[must_use]
pub fn shares_directory(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let marker = host.access.directory_marker.as_ref();
    host.access.claims.conflict_in(Relation::Same)
        || marker.is_some_and(|marker| !crate::resource::access::ours(subject.environment, marker))
}

/// Returns the path of the file that names the environment whose release has a directory of the host. Each directory
/// has one such file, which only root can change. Former versions know no other claim than this file.
fn owner_file(directory: &Utf8Path) -> String {
    format!("/var/lib/deployer/directories/{}", &blake3::hash(directory.as_str().as_bytes()).to_hex()[..32])
}

/// Returns arguments of `grep` that find the environment's markers.
fn marked(environment: &Environment) -> String {
    let names = [Some(&environment.name), environment.renamed_from.as_ref()].into_iter().flatten();
    names.fold(String::new(), |text, name| {
        text + " -e " + &quote(&format!(r#""project":"{}","environment":"{name}""#, environment.project))
    })
}

/// Returns shell that sets `$taken` if a former version gave the directory to this environment.
fn taken(environment: &Environment, application: &Application) -> String {
    format!("taken=$(grep -lsF{} {} || :)\n", marked(environment), owner_file(&application.host_directory))
}

/// Returns shell that prints the owner of the application's directory, the environment's claims, and the conflicts with
/// them. The marker in the directory, from former versions, counts only if the host keeps nothing else of the
/// environment.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    format!(
        r#"{guard}if [ -e {owner} ]; then
  printf 'directory %s\n' "$(tr -d '\n' < {owner})"
elif [ ! -e "$state/marker.json" ] && [ -e "$app/{legacy}" ]; then
  pin "$app" && printf 'directory %s\n' "$(dd if=./{legacy} iflag=nofollow,nonblock bs=4096 count=1 status=none | tr -d '\n\000')"
fi
[ ! -e "$state/claims" ] || {{ echo claims; sed 's/^/claim /' "$state/claims"; }}
[ ! -e "$state/kept" ] || sed 's/^/kept /' "$state/kept"
if [ -e "$app" ] || [ -L "$app" ]; then (pin "$app") || echo astray; fi
{FUNCTIONS}{taken}each_conflict show {project} | head -n {MOST}
"#,
        owner = owner_file(&application.host_directory),
        legacy = crate::resource::access::LEGACY_MARKER,
        guard = guard::FUNCTIONS,
        taken = taken(subject.environment, application),
        project = quote(&application.project),
    )
}

/// Refuses a directory or a Compose project that another environment claims. Also refuses containers, volumes and
/// networks of the project that no release of this environment made.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let application = subject.environment.application.as_ref()?;
    conflict(subject, application, host).or_else(|| strangers(subject.environment, application, host))
}

/// Refuses to remove the data of an environment for the reasons of [`preflight`]. In a project that the environment
/// claims, it removes nothing of anybody else.
#[must_use]
pub fn purge_preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let application = subject.environment.application.as_ref()?;
    let own = own_projects(subject.environment, host).contains(&application.project);
    let strangers = || strangers(subject.environment, application, host).filter(|_| !own);
    conflict(subject, application, host).or_else(strangers)
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
        // What is there belongs to the containers of this directory, which a release adopts.
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

/// Returns the containers of a Compose project.
fn in_project<'a>(host: &'a HostFacts, project: &'a str) -> impl Iterator<Item = &'a Container> {
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
fn own_directories(environment: &Environment, host: &HostFacts) -> BTreeSet<Utf8PathBuf> {
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

/// Returns shell that removes the environment's objects in Compose projects other than `project`. Volumes are removed
/// only if `purge` is true.
#[must_use]
pub fn leave(subject: &Subject<'_>, host: &HostFacts, project: &str, purge: bool) -> String {
    let others = own_projects(subject.environment, host).into_iter().filter(|other| other != project);
    others.map(|other| leave_project(subject, host, &other, purge, "")).collect()
}

/// Returns shell that removes the environment's objects in one Compose project, after `alone` if nobody else has
/// containers there: the containers that the environment started and, if nobody else has containers there, the networks.
/// If `purge` is true, it also removes the volumes. Networks and volumes that anybody else's containers use stay and are
/// named, wherever these containers come from. So do those that Compose did not make.
#[must_use]
pub fn leave_project(subject: &Subject<'_>, host: &HostFacts, project: &str, purge: bool, alone: &str) -> String {
    let label = |name: &str, value: &str| {
        format!("--filter {}", quote(&format!("label=com.docker.compose.project{name}={value}")))
    };
    let filter = label("", project);
    let own = own_directories(subject.environment, host).into_iter().fold(String::new(), |text, directory| {
        text + &format!("  docker ps -aq {filter} {}\n", label(".working_dir", directory.as_str()))
    });
    let alone = if alone.is_empty() {
        String::new()
    } else {
        format!("[ \"$(docker ps -aq {filter} | wc -l)\" != \"$(own | wc -l)\" ] || {alone}\n")
    };
    let volumes = if purge {
        format!("removed volume {filter} --filter label=com.docker.compose.volume\n")
    } else {
        String::new()
    };
    format!(
        r#"own() {{
  :
{own}}}
mark={mark}
{REMOVED}{alone}own | xargs -r docker stop >&2
own | xargs -r docker rm -f >&2
if [ -z "$(docker ps -aq {filter})" ]; then removed network {filter} --filter label=com.docker.compose.network; fi
{volumes}"#,
        mark = quote(subject.marks().as_str()),
    )
}

/// Shell that removes networks or volumes except those that containers use, and names these.
const REMOVED: &str = r#"removed() {
  kind=$1
  shift
  docker "$kind" ls --format '{{.Name}}' "$@" | while IFS= read -r name; do
    used=$(docker ps -aq --filter "$kind=$name" </dev/null)
    if [ -n "$used" ] || ! docker "$kind" rm -- "$name" >&2 </dev/null; then
      printf '%s says The %s %s stays: a container uses it\n' "$mark" "$kind" "$name" >&2
    fi
  done
}
"#;

/// Returns shell that runs `each` for every `$project` of the environment and for the manifest's project, `$wanted`.
/// Sets `$known` if the objects in the manifest's project belong to the environment: the environment claims the
/// project, or the project has the name that no other environment can have. Former versions left no claim when they
/// destroyed an environment.
#[must_use]
pub fn each_project(environment: &Environment, application: &Application, each: &str) -> String {
    let project = quote(&application.project);
    let named = if application.project == environment.identity() { "known=yes" } else { "known=" };
    format!(
        r#"{CLAIMED}wanted={project} {named} projects=$(claimed "$state" | sed -n 's/^project //p' | head -n {MOST})
case "
$projects
" in *"
"$wanted"
"*) known=yes ;; esac
if [ -e "$state/marker.json" ] && [ ! -e "$state/claims" ] && [ -z "$projects" ]; then known=yes; fi
for project in $(printf '%s
' "$projects" {project} | sort -u); do
{each}done
"#
    )
}

/// Returns shell that runs `script` with the functions of `claims.sh` under a lock, so that no other environment of the
/// host changes claims meanwhile. This lock is not the lock for packages, so a release does not wait for package
/// installation.
fn alone(script: &str) -> String {
    format!(
        "{}{FUNCTIONS}{{\n  timeout 60 flock 8 || {{ echo 'another environment is still claiming its directory' >&2; exit 75; }}\n{script}}} 8>> /var/lib/deployer/claims.lock\n",
        guard::FUNCTIONS
    )
}

/// Claims `project` and the application's directory, unless the host has recorded both already.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts, project: &str) -> Option<Command> {
    let application = subject.environment.application.as_ref()?;
    let (claims, directory) = (&host.access.claims, &application.host_directory);
    let traced = claims.directories.contains(directory) && claims.traced.contains(directory) && !claims.astray;
    if claims.projects.contains(project) && traced && claims.neighbours.is_empty() {
        return None;
    }
    let (project, over) = (quote(project), if subject.take_over { " over" } else { "" });
    let script = format!(
        "umask 077\nmkdir -p \"$state\" /var/lib/deployer/directories\n{}",
        alone(&format!(
            "{taken}claim {project}{over}\nwrite_whole {file} '%s\\n' {marker}\n",
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

/// Returns shell that runs `script` only if no other environment's directory is the application's, is inside it or
/// contains it. If `purge` is true, data that others kept in or below the directory counts, too. The question and `script`
/// are under one lock, so the answer stays true. Otherwise, the shell says who uses the directory, and a purge fails.
#[must_use]
pub fn unless_shared(subject: &Subject<'_>, script: &str, purge: bool) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    let (each, verb, end) = if purge { ("hinder", "uses or kept data in", "exit 1") } else { ("show", "uses", ":") };
    alone(&format!(
        r#"{taken}conflicts=$(each_conflict {each} '')
if [ -n "$conflicts" ]; then
  printf '%s\n' "$conflicts" | while read -r _ _ owner value; do
    echo "Did not remove $app: $owner {verb} $value" >&2
  done
  {end}
else
{script}fi
"#,
        taken = taken(subject.environment, application),
    ))
}

/// Returns shell that gives up the claims on directories and projects that the environment no longer uses after a
/// release of `project` converged. A project is given up once the host has no container and no volume of it.
#[must_use]
pub fn settle(subject: &Subject<'_>, host: &HostFacts, project: &str) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    let left = host.files.current.iter().map(|record| Utf8Path::new(&record.directory));
    let left = left.filter(|directory| *directory != application.host_directory);
    let disowned: String = left.map(|directory| disown(subject.environment, directory)).collect();
    alone(&format!("settle {} \"directory $app\"\n{disowned}", quote(&format!("project {project}"))))
}

/// Returns shell that gives up all claims except those on projects that still have volumes on the host. If the
/// application's directory still exists, the host notes that for a later purge; others may have the directory.
#[must_use]
pub fn give_up(environment: &Environment, host: &HostFacts) -> String {
    let projects = own_projects(environment, host).into_iter();
    let lines: String = projects.fold(String::new(), |text, project| format!("{text}project {project}\n"));
    let own = environment.application.is_some() && !host.access.claims.conflict_in(Relation::Same);
    let kept = if own { "[ ! -d \"$app\" ] || write_whole \"$state/kept\" '%s\\n' \"$app\"\n" } else { "" };
    alone(&format!("write_whole \"$state/claims\" %s {}\nsettle\n", quote(&lines))) + "rm -f \"$state/kept\"\n" + kept
}

/// Returns the application's directory if an earlier removal left data in it.
#[must_use]
pub fn kept_directory<'a>(environment: &'a Environment, host: &HostFacts) -> Option<&'a Utf8PathBuf> {
    let directory = &environment.application.as_ref()?.host_directory;
    (host.access.claims.kept.as_ref() == Some(directory)).then_some(directory)
}

/// Returns shell that gives up the environment's ownership of a directory. The directory that contains the owner files
/// is kept, because another environment's command may be about to write to it.
#[must_use]
pub fn disown(environment: &Environment, directory: &Utf8Path) -> String {
    let (marked, file) = (marked(environment), owner_file(directory));
    format!("! grep -qsF{marked} {file} || rm -f {file}\n")
}
