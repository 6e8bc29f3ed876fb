//! Services and listeners on a host, and the shell that reads them.

use super::mounted_data::{self, Missing};
use super::networks_and_volumes::{self, Engine, PROBE as OBJECTS};
use crate::model::checked;
use crate::model::shell::engine::{ASK_ENGINE, UNANSWERED};
use crate::model::shell::quote;
use crate::resource::Subject;
use crate::resource::compose::check;
use crate::resource::compose::container::{self, Container};
use crate::resource::contract::claims;
use crate::resource::contract::mount_points::MISSING;
use crate::resource::listeners::{LISTENING, Listener};
use std::collections::{BTreeMap, BTreeSet};

/// Services and listeners on the host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Containers of the Compose project, and of the environment's previous projects.
    pub containers: Vec<Container>,
    /// Volumes of the environment's previous Compose projects. For the manifest's project, volumes and networks that
    /// are not known to belong to the environment.
    pub left: BTreeMap<String, BTreeSet<String>>,
    /// Volumes of the manifest's Compose project that belong to the environment, although it has no release.
    pub kept: BTreeSet<String>,
    /// Ports with a listener. If not all containers run, only ports that had a listener both
    /// before and after the containers were read: a container that stops meanwhile still holds its ports but is not
    /// seen with them.
    pub listening: BTreeSet<Listener>,
    /// Check name → `passes`, or the result that was found.
    pub checks: BTreeMap<String, String>,
    /// Networks, volumes and names of containers that the engine has.
    pub engine: Engine,
    /// Data of the live release that is missing.
    pub missing: Missing,
    /// True if the engine did not answer, so that its containers, networks and volumes are not known.
    pub unanswered: bool,
}

/// Limit of the number of entries of [`Seen::left`] and [`Seen::missing`], and of containers.
const MOST: usize = 10_000;

/// Shell that prints the containers of `$project` and its remaining volumes. Without a release, these include the
/// volumes that an earlier removal kept. For the manifest's project, it prints volumes and networks only if they are
/// not `$known` to belong to the environment.
const EACH: &str = r#"  label=label=com.docker.compose.project=$project
  found=$(ask_engine "containers $label") || echo unanswered
  containers="$containers${found:+
}$found"
  if [ "$project" != "$wanted" ]; then kinds=volume; elif [ -n "$known" ]; then
    [ -e "$state/current.json" ] || timeout 20 docker volume ls --format '{{.Name}}' --filter "$label" --filter label=com.docker.compose.volume | sed 's/^/kept /'
    continue
  else kinds='volume network'; fi
  for kind in $kinds; do
    timeout 20 docker "$kind" ls --format '{{.Name}}' --filter "$label" | sed "s/^/left $project $kind /"
  done
"#;

/// Returns the shell that reads containers, listeners and checks.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let Some(application) = &subject.environment.application else { return String::new() };
    let mut script = format!(
        r#"{LISTENING}{ASK_ENGINE}listening port
if command -v docker >/dev/null; then
  containers=
  export fields={fields}
  template={template}
{each}  printf '%s\n' "$containers"
{OBJECTS}  # A container that is stopping releases its ports a little later. Reading the ports takes long.
  case "$containers" in
    ''|*'"status":"'[!r]*|*'"status":"re'*) echo again; listening still ;;
  esac
else
  echo unanswered
fi
"#,
        each = claims::each_project(subject.environment, application, EACH),
        fields = quote(container::FIELDS),
        template = quote(container::TEMPLATE),
    );
    script += MISSING;
    script += "missing_data\n";
    script += &check::probe(&subject.environment.checks);
    script
}

/// Reads the probe's lines.
pub fn parse(output: &[u8]) -> Result<Seen, String> {
    let text = String::from_utf8_lossy(output);
    let (mut seen, mut still) = (Seen::default(), None);
    for line in text.lines() {
        if let Some(port) = line.strip_prefix("port ") {
            seen.listening.extend(Listener::parse(port)?);
        } else if line == UNANSWERED {
            seen.unanswered = true;
        } else if line == "again" {
            still = Some(BTreeSet::new());
        } else if let Some((still, port)) = still.as_mut().zip(line.strip_prefix("still ")) {
            still.extend(Listener::parse(port)?);
        } else if let Some(check) = line.strip_prefix("check ") {
            if let Some((found, name)) = check::parse(check) {
                seen.checks.insert(checked::said(&name), checked::said(&found));
            }
        } else if let Some(left) = line.strip_prefix("left ") {
            if let Some((project, name)) = left.split_once(' ').filter(|(project, _)| checked::is_plain(project)) {
                seen.left.entry(project.to_owned()).or_default().insert(checked::said(name));
            }
        } else if let Some(name) = line.strip_prefix("kept ") {
            seen.kept.insert(checked::said(name));
        } else if let Some((word, value)) =
            line.split_once(' ').filter(|(word, _)| networks_and_volumes::WORDS.contains(word))
        {
            seen.engine.read(word, value);
        } else if let Some((path, loss)) = mounted_data::read(line) {
            seen.missing.insert(path, loss);
        } else if line.starts_with('{') {
            seen.containers.extend(container::parse(line));
        }
        let volumes = seen.left.values().map(BTreeSet::len).sum::<usize>() + seen.kept.len();
        if seen.containers.len() > MOST || volumes > MOST || seen.missing.len() > MOST {
            return Err(format!("its Compose projects have more than {MOST} containers, volumes or mounts"));
        }
    }
    if let Some(still) = still {
        seen.listening.retain(|port| still.contains(port));
    }
    Ok(seen)
}
