//! Converts an environment of torrust-tracker-deployer into an entry of a manifest, with notes about settings that were
//! not carried over. Does not carry over values of secrets, which belong in the environment or a file.

mod cron;
mod machine;
mod tracker;
mod unread_keys;

use crate::manifest::edit::{self, Place};
use machine::Known;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use unread_keys::Section;

/// Content of an imported environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The environment's name.
    pub name: String,
    /// Host of the environment.
    pub place: Place,
    /// Section that would make a machine like the existing one.
    pub like_it: Option<Value>,
    /// SSH port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Private key file.
    pub identity_file: Option<String>,
    /// The manifest's `application` section.
    pub application: Value,
    /// Notes for the user: secrets to set, settings that were not carried over.
    pub notes: Vec<String>,
}

/// Location of the environment, as the user who imports it chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish<'a> {
    /// The location in the file.
    #[default]
    AsWritten,
    /// This existing host.
    Host(&'a str),
    /// A machine that deployer makes.
    Provisioned,
}

/// Reason for refusing the import, and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Reason, as a sentence: what the file lacks, or why it does not fit the request.
    pub why: String,
    /// Hint for the user.
    pub hint: &'static str,
}

impl Refused {
    fn new(why: impl Into<String>, hint: &'static str) -> Self {
        Self { why: why.into(), hint }
    }
}

/// Reads an environment from its creation file, or from the state that the predecessor kept.
///
/// # Errors
/// If the text is not an environment, or if the import could lead to a second machine next to an existing one.
pub fn read(text: &str, wish: Wish<'_>) -> Result<Imported, Refused> {
    const HINT: &str = "Name the JSON file of an environment of torrust-tracker-deployer";
    let root: Value =
        serde_json::from_str(text).map_err(|error| Refused::new(format!("it is not JSON: {error}"), HINT))?;
    let Some(found) = holder(&root) else {
        return Err(Refused::new("it contains no tracker section with a core section", HINT));
    };
    let address = machine::address(&Known::of(&root), wish)?;
    let runs = address.is_some();
    let notes = RefCell::new(Vec::new());
    let mut file = Section { path: String::new(), map: found.clone(), notes: &notes };
    let mut environment = file.section("environment");
    let name = environment.text("name").or_else(|| file.text("name")).unwrap_or_default();
    // Not settings of the user: the predecessor filled in defaults and generated names here.
    environment.ignore(&["instance_name", "description"]);
    environment.finish();
    let mut ssh = file.section("ssh_credentials");
    let user = ssh.text("username").or_else(|| ssh.text("ssh_username"));
    let key = ssh.text("private_key_path").or_else(|| ssh.text("ssh_priv_key_path"));
    let port = ssh.number("port").or_else(|| file.number("ssh_port"));
    ssh.ignore(&["public_key_path", "ssh_pub_key_path"]);
    ssh.finish();
    let made = machine::section(&mut file, runs);
    let (place, like_it) = match address {
        Some(address) => (Place::Registered(address), made),
        None => (Place::Provisioned(made.ok_or_else(machine::unknown)?), None),
    };
    let tracker = tracker::read(&mut file, runs);
    file.finish();
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 22);
    Ok(Imported {
        name,
        place,
        like_it,
        port,
        user,
        identity_file: key,
        application: json!({ "tracker": tracker }),
        notes: notes.into_inner(),
    })
}

/// Returns comments for the entry of an existing machine.
#[must_use]
pub fn remarks(like_it: Option<&Value>) -> Vec<String> {
    let Some(section) = like_it else { return Vec::new() };
    vec![
        "How the predecessor made it. In place of `registered`, this makes another machine, without the data:"
            .to_owned(),
        format!("provisioned: {}", edit::inline(section)),
    ]
}

/// Returns the mapping that holds the tracker's section, at any depth of the predecessor's state.
fn holder(value: &Value) -> Option<&Map<String, Value>> {
    let map = value.as_object()?;
    if map.get("tracker").is_some_and(|tracker| tracker.get("core").is_some()) {
        return Some(map);
    }
    map.values().find_map(holder)
}
