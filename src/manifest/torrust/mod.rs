//! An environment of torrust-tracker-deployer as an entry of a manifest: its settings, and what of them could not be
//! carried. Never carries a secret's value, which belongs into the environment or a file.

mod machine;
mod section;
mod stack;

use crate::manifest::edit::{self, Place};
use machine::Known;
use section::Section;
use serde_json::{Map, Value, json};
use std::cell::RefCell;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The environment's name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// The section that would make a machine like the one that is there already.
    pub like_it: Option<Value>,
    /// SSH port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// The private key's file.
    pub identity_file: Option<String>,
    /// The manifest's `application` section.
    pub application: Value,
    /// What a reader has to know: secrets to be set, settings that were not carried.
    pub notes: Vec<String>,
}

/// Where the one who imports says that the environment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Where the file says.
    #[default]
    AsWritten,
    /// On this host, where it runs.
    Host(&'a str),
    /// On a machine that deployer is to make.
    Provisioned,
}

/// Why nothing is imported, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the file lacks, or why it does not go with what was asked, as a sentence.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

impl Refused {
    fn new(why: impl Into<String>, hint: &'static str) -> Self {
        Self { why: why.into(), hint }
    }
}

/// Reads an environment: its creation file, or the state that the predecessor kept of it.
///
/// # Errors
/// Where it is none, or might come to a second machine beside one that is there.
pub fn read(text: &str, wish: Wish<'_>) -> Result<Imported, Refused> {
    const HINT: &str = "Name the JSON file of an environment of torrust-tracker-deployer";
    let root: Value =
        serde_json::from_str(text).map_err(|error| Refused::new(format!("it is not JSON: {error}"), HINT))?;
    let Some(found) = holder(&root) else {
        return Err(Refused::new("it holds no tracker section with a core section in it", HINT));
    };
    let address = machine::address(&Known::of(&root), wish)?;
    let runs = address.is_some();
    let notes = RefCell::new(Vec::new());
    let mut file = Section { path: String::new(), map: found.clone(), notes: &notes };
    let mut environment = file.section("environment");
    let name = environment.text("name").or_else(|| file.text("name")).unwrap_or_default();
    // The predecessor kept the defaults of these, and names that it made itself.
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
    let stack = stack::read(&mut file, runs);
    file.finish();
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 22);
    Ok(Imported {
        name,
        place,
        like_it,
        port,
        user,
        identity_file: key,
        application: json!({ "tracker": stack }),
        notes: notes.into_inner(),
    })
}

/// What a reader of the entry has to know of a machine that is there.
#[must_use]
pub fn remarks(like_it: Option<&Value>) -> Vec<String> {
    let Some(section) = like_it else { return Vec::new() };
    vec![
        "How the predecessor made it. In place of `registered`, this makes another machine, without the data:"
            .to_owned(),
        format!("provisioned: {}", edit::inline(section)),
    ]
}

/// The mapping that holds the tracker's section, however deep the predecessor's state has it.
fn holder(value: &Value) -> Option<&Map<String, Value>> {
    let map = value.as_object()?;
    if map.get("tracker").is_some_and(|tracker| tracker.get("core").is_some()) {
        return Some(map);
    }
    map.values().find_map(holder)
}
