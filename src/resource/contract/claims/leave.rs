//! Removal of an environment's objects from its Compose projects.

use super::own::{own_directories, own_projects};
use crate::model::shell::quote;
use crate::resource::{HostFacts, Subject};

/// Returns shell that removes the environment's objects in Compose projects other than `project`. Volumes are removed
/// only if `purge` is true.
#[must_use]
pub fn leave(subject: &Subject<'_>, host: &HostFacts, project: &str, purge: bool) -> String {
    let others = own_projects(subject.environment, host).into_iter().filter(|other| other != project);
    others.map(|other| leave_project(subject, host, &other, purge, "")).collect()
}

/// Returns shell that removes the environment's objects in one Compose project, after `alone` if nobody else has
/// containers there: the containers that the environment started and, if nobody else has containers there, the
/// networks. If `purge` is true, it also removes the volumes. Networks and volumes that anybody else's containers use
/// stay and are named, wherever these containers come from. So do those that Compose did not make.
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
