//! Containers of an environment's Compose projects: read from `docker inspect` and judged service by service. An exit
//! code alone does not decide: a service that ran when its release converged and ended since then is not healthy.

use crate::model::checked::{self, ContainerId, ImageId};
use crate::resource::contract::record::ServiceRecord;
use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Fields of the data that is read of each container, for `ask_engine containers`.
pub const FIELDS: &str = "id=Id name=Name project=Config/Labels/com.docker.compose.project \
    service=Config/Labels/com.docker.compose.service directory=Config/Labels/com.docker.compose.project.working_dir \
    oneoff=Config/Labels/com.docker.compose.oneoff hash=Config/Labels/com.docker.compose.config-hash \
    status=State/Status exit=State/ExitCode health=State/Health/Status restarts=RestartCount \
    policy=HostConfig/RestartPolicy/Name started=State/StartedAt ports=HostConfig/PortBindings image=Image";

/// Docker's template of the same data of each container: one JSON object per line. `.Id` is no field of the engine's own
/// type, so Docker always fills the template from the raw response, in which a container without a health check has no
/// `Health`.
pub const TEMPLATE: &str = r#"{"id":{{json .Id}},"name":{{json .Name}},"project":{{json (index .Config.Labels "com.docker.compose.project")}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"directory":{{json (index .Config.Labels "com.docker.compose.project.working_dir")}},"oneoff":{{json (index .Config.Labels "com.docker.compose.oneoff")}},"hash":{{json (index .Config.Labels "com.docker.compose.config-hash")}},"status":{{json .State.Status}},"exit":{{.State.ExitCode}},"health":{{with (index .State "Health")}}{{json .Status}}{{else}}null{{end}},"restarts":{{.RestartCount}},"policy":{{json .HostConfig.RestartPolicy.Name}},"started":{{json .State.StartedAt}},"ports":{{json .HostConfig.PortBindings}},"image":{{json .Image}}}"#;

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// The container's id.
    pub id: ContainerId,
    /// The container's name.
    #[serde(default, deserialize_with = "label")]
    pub name: String,
    /// The Compose project; empty in recordings of former versions.
    #[serde(default, deserialize_with = "label")]
    pub project: String,
    /// The Compose service.
    #[serde(default, deserialize_with = "label")]
    pub service: String,
    /// The directory that the container was started from; `None` if the host reports none.
    #[serde(default)]
    pub directory: Option<Utf8PathBuf>,
    #[serde(default, deserialize_with = "label")]
    oneoff: String,
    /// Compose's digest of the service's definition; empty if Compose did not make the container.
    #[serde(default, deserialize_with = "label")]
    pub hash: String,
    status: String,
    exit: i64,
    health: Option<String>,
    restarts: u64,
    policy: String,
    started: Timestamp,
    /// The id of the container's image.
    #[serde(default)]
    pub image: String,
    #[serde(default)]
    ports: Option<std::collections::BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Binding {
    #[serde(rename = "HostPort")]
    port: String,
}

/// Reads a label. A container that Compose did not make may lack labels, or have them from its image.
fn label<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(json).map(Option::unwrap_or_default)
}

/// Reads one container.
#[must_use]
pub fn parse(line: &str) -> Option<Container> {
    let mut container = serde_json::from_str::<Container>(line).ok()?;
    container.directory.take_if(|directory| !checked::is_absolute(directory.as_str()));
    Some(container).filter(|container| container.oneoff != "True" && container.is_sound())
}

impl Container {
    /// Returns true if the names and words have the form that Docker and Compose use.
    fn is_sound(&self) -> bool {
        let is_word = |text: &str| text.is_empty() || checked::word(text).is_some();
        (self.project.is_empty() || checked::is_plain(&self.project))
            && (self.service.is_empty() || checked::is_service(&self.service))
            && (self.hash.is_empty() || checked::is_hex(&self.hash))
            && (self.image.is_empty() || ImageId::parse(&self.image).is_some())
            && [self.status.as_str(), self.health.as_deref().unwrap_or_default(), &self.policy].into_iter().all(is_word)
    }

    /// Returns true if the container belongs to a Compose project.
    #[must_use]
    pub fn is_of(&self, project: &str) -> bool {
        self.project.is_empty() || self.project == project
    }

    /// Returns true if Compose made the container. Compose changes and removes no others, regardless of their labels.
    #[must_use]
    pub fn is_from_compose(&self) -> bool {
        !self.hash.is_empty() || self.project.is_empty()
    }

    /// Returns the container's name or, in recordings of former versions, its service.
    #[must_use]
    pub fn said(&self) -> String {
        let name = self.name.trim_start_matches('/');
        checked::said(if name.is_empty() { &self.service } else { name })
    }

    /// Returns true if the container's health check has no result yet.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.status == "running" && self.health.as_deref() == Some("starting")
    }

    /// Returns the ports that the container holds on the host, as (port, protocol).
    pub fn ports(&self) -> impl Iterator<Item = (u16, &str)> {
        let running = matches!(self.status.as_str(), "running" | "paused" | "restarting");
        self.ports.iter().flatten().filter(move |_| running).flat_map(|(target, bindings)| {
            let protocol = target.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            bindings.iter().flatten().filter_map(move |binding| Some((binding.port.parse().ok()?, protocol)))
        })
    }

    /// Returns the container's state in a few words.
    #[must_use]
    pub fn state(&self, now: i64, stable_for: Duration) -> String {
        let up = u64::try_from(now.saturating_sub(self.started.as_second())).unwrap_or(0);
        match (self.status.as_str(), self.health.as_deref()) {
            ("running", Some("healthy")) => "healthy".to_owned(),
            ("running", Some("unhealthy")) => "unhealthy".to_owned(),
            ("running", Some("starting")) => "starting".to_owned(),
            ("running", _) if self.restarts > 0 && Duration::from_secs(up) < self.calm().max(stable_for) => {
                format!("restarting (exit {})", self.exit)
            }
            ("running", _) if Duration::from_secs(up) < stable_for => "starting".to_owned(),
            ("running", _) => "running".to_owned(),
            ("exited", _) if self.exit == 0 && matches!(self.policy.as_str(), "" | "no" | "on-failure") => {
                "completed".to_owned()
            }
            ("exited", _) => format!("exited ({})", self.exit),
            ("restarting", _) => format!("restarting (exit {})", self.exit),
            ("created", _) => "created".to_owned(),
            (other, _) => other.to_owned(),
        }
    }

    /// Returns the time that a container must run after its last restart until it counts as running: longer after more
    /// restarts, so that a service that ends again and again is never taken for healthy between two starts.
    fn calm(&self) -> Duration {
        Duration::from_secs(10 * self.restarts.min(6))
    }

    /// Returns true if the container failed for good, so that waiting does not help.
    #[must_use]
    pub fn hopeless(&self) -> bool {
        self.status == "dead"
            || (self.status == "exited" && self.exit != 0 && matches!(self.policy.as_str(), "" | "no"))
    }
}

/// Returns shell that stops and removes containers.
#[must_use]
pub fn removal<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let ids = containers.fold(String::new(), |text, container| text + " " + container.id.as_str());
    if ids.is_empty() { ids } else { format!("docker stop{ids} >&2 </dev/null\ndocker rm -f{ids} >&2 </dev/null\n") }
}

/// Returns true if a service's state is good.
#[must_use]
pub fn good(state: &str) -> bool {
    matches!(state, "healthy" | "running" | "completed")
}

/// Returns the state of one service from its containers. The worst container determines it.
#[must_use]
pub fn judge(record: &ServiceRecord, containers: &[&Container], now: i64, stable_for: Duration) -> String {
    if record.replicas == 0 && containers.is_empty() {
        return "completed".to_owned();
    }
    if containers.is_empty() {
        return "missing".to_owned();
    }
    let states: Vec<String> = containers.iter().map(|container| container.state(now, stable_for)).collect();
    if let Some(bad) = states.iter().find(|state| !good(state)) {
        return bad.clone();
    }
    if containers.len() != record.replicas as usize {
        return format!("{} of {} containers", containers.len(), record.replicas);
    }
    if record.hash.as_ref().is_some_and(|hash| containers.iter().any(|container| container.hash != *hash)) {
        return "changed by hand".to_owned();
    }
    let state = states.into_iter().min().unwrap_or_default();
    match record.end.as_deref() {
        Some("healthy" | "running") if state == "completed" => "exited (0)".to_owned(),
        _ => state,
    }
}
