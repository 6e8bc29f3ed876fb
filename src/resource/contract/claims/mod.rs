//! Claims: the Compose project and the directory that an environment uses on its host. Claims are recorded in the
//! environment's own state directory on the host before any file of a release is placed. Two environments of one host
//! cannot have the same project, the same directory, or directories that contain one another, whichever manifests they
//! come from.

mod leave;
mod own;
mod preflight;
mod seen;

pub use leave::{leave, leave_project};
pub use own::{by_hand, former_containers, own_containers, own_projects, shares_project};
pub use preflight::{preflight, purge_preflight};
pub use seen::{Neighbour, Relation, Seen};

use super::guard;
use super::marker::{self, LEGACY_MARKER};
use crate::manifest::environment::{Application, Environment};
use crate::model::failure::Reason;
use crate::model::input::Input;
use crate::model::shell::{guarded, quote};
use crate::resource::{Command, HostFacts, SHORT, Subject};
use camino::{Utf8Path, Utf8PathBuf};

/// Shell function that prints the claims of an environment.
pub const CLAIMED: &str = guarded::CLAIMED;

/// Functions of `claims.sh`, which the rest of this module calls after [`guard::FUNCTIONS`].
const FUNCTIONS: &str = include_str!("claims.sh");

/// Shell that notes that the application's directory held files before its environment had a release there. A purge
/// does not remove such a directory.
const HELD: &str = r#"if [ ! -e "$state/claims" ] && [ ! -e "$state/kept" ] && [ ! -e "$state/current.json" ] && [ -n "$(find "$app/" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null | head -n 1)" ]; then
  write_whole "$state/held" '%s\n' "$app"
fi
"#;

/// Limit of the number of conflicts, and of mounts, that a host reports.
const MOST: usize = 100;

/// Returns true if another environment claims the same directory.
#[must_use]
pub fn shares_directory(environment: &Environment, host: &HostFacts) -> bool {
    let marker = host.access.directory_marker.as_ref();
    host.access.claims.conflict_in(Relation::Same) || marker.is_some_and(|marker| !marker.is_of(environment))
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
/// them, and what is mounted below the directory. The marker in the directory, from former versions, counts only if the
/// host keeps nothing else of the environment.
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
if [ -e "$app" ] || [ -L "$app" ]; then (pin "$app" && mounts_below "$top" 'mount ' | head -n {MOST}) || echo astray; fi
{FUNCTIONS}{taken}each_conflict show {project} | head -n {MOST}
"#,
        owner = owner_file(&application.host_directory),
        legacy = LEGACY_MARKER,
        guard = guard::FUNCTIONS,
        taken = taken(subject.environment, application),
        project = quote(&application.project),
    )
}

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
    let held = if subject.take_over { "" } else { HELD };
    let script = format!(
        "umask 077\nmkdir -p \"$state\" /var/lib/deployer/directories\n{held}{}",
        alone(&format!(
            "{taken}claim {project}{over}\nwrite_whole {file} '%s\\n' {marker}\n",
            taken = taken(subject.environment, application),
            file = owner_file(directory),
            marker = quote(&marker::json(subject, host, false)),
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
/// contains it. If `purge` is true, data that others kept in or below the directory counts, too. The question and
/// `script` are under one lock, so the answer stays true. Otherwise, the shell says who uses the directory, and a purge
/// fails.
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
    alone(&format!("write_whole \"$state/claims\" %s {}\nsettle\n", quote(&lines)))
        + "rm -f \"$state/kept\" \"$state/inode\"\n"
        + kept
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
