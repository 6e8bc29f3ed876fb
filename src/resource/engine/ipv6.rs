//! Addresses of IPv6 peers as containers see them. Engines before 27 show containers the address of Docker's own
//! gateway instead of the peer's, unless their configuration says otherwise. Other settings of the owner are kept.

use super::parse_version;
use crate::manifest::environment::{Environment, Source};
use crate::model::event::Change;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::model::state::Facts;
use crate::resource::{HostFacts, Subject};
use serde_json::{Map, Value, json};

/// IPv6 configuration of the host's engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `daemon.json` on one line, if it exists.
    pub configuration: Option<String>,
    /// True if the engine keeps firewall rules for IPv6.
    pub rules: bool,
}

/// First version that shows the peers' addresses by default.
const BY_ITSELF: (u32, u32) = (27, 0);
const FACT: &str = "ipv6";
const ON: &str = "true addresses";

/// Returns the shell that reads this configuration, or no shell if neither the manifest nor the application needs IPv6
/// addresses.
pub fn probe(subject: &Subject<'_>) -> &'static str {
    if !matters(subject.environment) {
        return "";
    }
    r#"
if [ -e /etc/docker/daemon.json ]; then printf 'daemon %s\n' "$(tr '\n' ' ' < /etc/docker/daemon.json)"; fi
if ip6tables -w 5 -t nat -nL DOCKER >/dev/null 2>&1; then echo ip6tables; fi"#
}

/// Returns true if the manifest asks for IPv6 addresses, or the application benefits from them.
fn matters(environment: &Environment) -> bool {
    environment.engine.ipv6 == Some(true) || peers(environment)
}

/// Returns true if the application records the addresses of its peers.
fn peers(environment: &Environment) -> bool {
    let source = environment.application.as_ref().map(|application| &application.source);
    matches!(source, Some(Source::Tracker(tracker)) if tracker.ipv6)
}

/// Adds the desired fact, if the manifest asks for it.
pub fn desired(subject: &Subject<'_>, facts: &mut Facts) {
    if subject.environment.engine.ipv6 == Some(true) {
        facts.insert(FACT.to_owned(), ON.to_owned());
    }
}

/// Adds the observed fact, if the manifest asks for it.
pub fn observed(subject: &Subject<'_>, host: &HostFacts, facts: &mut Facts) {
    if subject.environment.engine.ipv6 == Some(true) && host.engine.server.is_some() {
        let value = if is_on(host) { ON } else { "the gateway's address" };
        facts.insert(FACT.to_owned(), value.to_owned());
    }
}

fn is_on(host: &HostFacts) -> bool {
    let seen = &host.engine.ipv6;
    let configured = configuration(seen).ok().and_then(|settings| settings.get("ip6tables").and_then(Value::as_bool));
    let by_itself = host.engine.server.as_deref().and_then(parse_version) >= Some(BY_ITSELF);
    seen.rules && configured.unwrap_or(by_itself)
}

fn configuration(seen: &Seen) -> Result<Map<String, Value>, serde_json::Error> {
    let text = seen.configuration.as_deref().map(str::trim).filter(|text| !text.is_empty());
    text.map_or_else(|| Ok(Map::new()), serde_json::from_str)
}

/// Refuses a configuration that cannot be parsed.
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let error = configuration(&host.engine.ipv6).err().filter(|_| subject.environment.engine.ipv6 == Some(true))?;
    let failure = Failure::new(Reason::EngineFailed, "/etc/docker/daemon.json on the host is not JSON").because(error);
    Some(failure.hint("Fix the file, or remove configure.engine.ipv6"))
}

/// Returns shell that configures the engine before it starts, or restarts an engine that already runs. An engine that
/// deployer installs has no users yet whom the change could disturb.
pub fn change(subject: &Subject<'_>, host: &HostFacts, installs: bool) -> String {
    let wanted = match subject.environment.engine.ipv6 {
        Some(wanted) => wanted,
        None => installs && peers(subject.environment),
    };
    let Ok(mut settings) = configuration(&host.engine.ipv6) else { return String::new() };
    if !wanted || is_on(host) {
        return String::new();
    }
    settings.insert("ip6tables".to_owned(), json!(true));
    settings.insert("experimental".to_owned(), json!(true));
    let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    let restart = if host.engine.server.is_some() { "systemctl restart docker.service </dev/null\n" } else { "" };
    format!(
        "install -d -m 0755 /etc/docker\nwrite_whole /etc/docker/daemon.json '%s\\n' {} 0644\n{restart}",
        quote(&text)
    )
}

/// Adds a remark for readers of the plan: the change restarts the engine, or IPv6 peers will all have the same address.
pub fn remark(subject: &Subject<'_>, host: &HostFacts, changes: &mut [Change]) {
    for change in changes {
        if change.fact == FACT && host.engine.server.is_some() {
            change.note = Some("restarts the Docker engine and every container on the host".to_owned());
        }
        let unseen = host.engine.server.is_some() && !is_on(host) && subject.environment.engine.ipv6.is_none();
        if change.fact == "tracker" && peers(subject.environment) && unseen {
            let note = "its peers over IPv6 will all have the address of Docker's gateway; configure.engine.ipv6: \
                        true fixes that and restarts the engine";
            change.note = Some(note.to_owned());
        }
    }
}
