//! Facts about the predecessor's machine: whether it exists, its address and its settings. Refuses every import that
//! could make a second machine next to an existing one.

use super::unread_keys::Section;
use super::{Refused, Wish};
use serde_json::{Map, Value, json};

/// State of the machine, as far as a file shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The machine exists at this address.
    At(String),
    /// The machine was started but may be incomplete, or its address was not kept.
    Begun,
    /// The machine was not made, or was destroyed.
    Absent,
    /// The file is the creation file, which is the same before and after the machine is made.
    Untold,
}

impl Known {
    /// Reads the state that the predecessor kept under the name of the stage that was reached.
    pub fn of(root: &Value) -> Self {
        let stages = root.as_object().filter(|stages| stages.len() == 1).and_then(|stages| stages.iter().next());
        let Some((stage, _)) = stages.filter(|(_, state)| state.get("context").is_some()) else {
            return Self::Untold;
        };
        match (stage.as_str(), address_in(root)) {
            ("Created" | "Destroyed", _) => Self::Absent,
            (_, Some(address)) => Self::At(address),
            _ => Self::Begun,
        }
    }
}

/// Returns the address, at any depth of the state.
fn address_in(value: &Value) -> Option<String> {
    let map = value.as_object()?;
    let here = map.get("instance_ip").and_then(Value::as_str).map(str::to_owned);
    here.or_else(|| map.values().find_map(address_in))
}

/// Returns the host's address; `None` if deployer makes the machine.
pub(super) fn address(known: &Known, wish: Wish<'_>) -> Result<Option<String>, Refused> {
    const RUNS: &str = "If it runs, pass --host ADDRESS. If it does not, destroy it with the predecessor first";
    match (wish, known) {
        (Wish::Host(address), _) => Ok(Some(address.to_owned())),
        (Wish::Provisioned, Known::Absent | Known::Untold) | (Wish::AsWritten, Known::Absent) => Ok(None),
        (Wish::Provisioned, Known::At(address)) => Err(Refused::new(
            format!("its machine already exists at {address}, and deployer would make a second one"),
            "Leave out --provision: the environment is then registered at that address, and apply takes it over",
        )),
        (Wish::AsWritten, Known::At(address)) => Ok(Some(address.clone())),
        (_, Known::Begun) => {
            Err(Refused::new("the predecessor began to make its machine, but recorded no address", RUNS))
        }
        (Wish::AsWritten, Known::Untold) => Err(Refused::new(
            "it does not say whether its machine exists",
            "If it runs, pass --host ADDRESS. If deployer must make the machine, pass --provision",
        )),
    }
}

/// Returns the manifest's `provisioned` section; `runs` is true if the machine exists.
pub(super) fn section(file: &mut Section<'_>, runs: bool) -> Option<Value> {
    let key = ["provider", "provider_config"].into_iter().find(|key| file.holds(key))?;
    let mut provider = file.section(key);
    let name = provider.text("provider").or_else(|| inner(&mut provider)).unwrap_or_default();
    let made = match name.to_lowercase().as_str() {
        "hetzner" => Some(json!({ "hetzner": hetzner(&mut provider, runs) })),
        "lxd" => Some(json!({ "lxd": lxd(&mut provider, runs) })),
        _ => None,
    };
    provider.finish();
    if runs {
        file.note(
            "provider: its machine already exists, so it is registered; deployer neither makes it again nor destroys \
             it, and only the predecessor's OpenTofu state knows it",
        );
    }
    made
}

/// Returns the refusal for a file whose provider deployer cannot use to make a machine.
pub(super) fn unknown() -> Refused {
    Refused::new("it names neither lxd nor hetzner as its provider", "Pass --host ADDRESS with the address of its host")
}

/// Returns the provider's name and moves the provider's settings one level up, if the section is keyed by the name.
fn inner(provider: &mut Section<'_>) -> Option<String> {
    let name = provider.map.keys().next().filter(|_| provider.map.len() == 1)?.clone();
    let settings = provider.take(&name)?;
    provider.map.clone_from(settings.as_object()?);
    Some(name)
}

fn hetzner(provider: &mut Section<'_>, runs: bool) -> Map<String, Value> {
    const TOKEN: &str = "HCLOUD_TOKEN";
    let settings = ["server_type", "location", "image"].into_iter();
    let mut told: Map<String, Value> =
        settings.filter_map(|key| Some((key.to_owned(), json!(provider.text(key)?)))).collect();
    // An existing machine needs no token.
    let token = if runs {
        provider.ignore(&["api_token"]);
        json!({ "from_env": TOKEN })
    } else {
        provider.secret("api_token", TOKEN)
    };
    told.insert("token".to_owned(), token);
    told
}

/// Returns the predecessor's LXD settings: a virtual machine of one size, with a profile that the predecessor also
/// made.
fn lxd(provider: &mut Section<'_>, runs: bool) -> Value {
    if let Some(profile) = provider.text("profile_name").filter(|_| !runs) {
        provider.note(&format!(
            "provider.profile_name: {profile} was a profile that the predecessor made itself; the entry has its limits \
             (2 processors, 2 GB of memory, a disk of 10 GB)"
        ));
    }
    json!({ "image": "ubuntu:24.04", "type": "virtual-machine", "cpus": 2, "memory": "2GB", "disk": "10GB" })
}
