//! The entries of the manifest's file: a new file, a new entry, an imported one, one of a registered host. Writes no
//! secret.

pub mod import;
pub mod register;

use crate::manifest;
use crate::manifest::edit::{self, Entry};
use crate::manifest::environment::{Environment, Name};
use crate::manifest::{LARGEST, below};
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::{Context, at_home};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use std::io::ErrorKind;

pub use crate::manifest::edit::Place;
pub use crate::manifest::schema_text as schema;

/// A new environment, wherever it is.
#[derive(Clone, Debug)]
pub struct NewHost {
    /// The environment's name.
    pub name: String,
    /// The port of sshd.
    pub ssh_port: Option<u16>,
    /// The user that logs in.
    pub ssh_user: Option<String>,
    /// The private key.
    pub identity_file: Option<Utf8PathBuf>,
    /// The keys of the host.
    pub host_key: Vec<String>,
    /// The directory with the application's Compose files.
    pub application: Option<Utf8PathBuf>,
}

/// The manifest's text before and after an edit that is known to be valid.
pub struct Edited {
    /// The text in the file; `None` if there is no file yet.
    pub old: Option<String>,
    /// The text after the edit.
    pub new: String,
    /// The environment that the new text defines.
    pub environment: Environment,
}

/// Reads the manifest's text. Returns `None` if there is no file yet.
pub fn text(context: &Context) -> Result<Option<String>, Failure> {
    if context.file == "-" {
        return Err(Failure::new(Reason::Usage, "Standard input cannot be edited").hint("Name a file with -f"));
    }
    match below::text(&context.directory.join(&context.file), LARGEST as u64) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Failure::new(Reason::ManifestMissing, format!("{} cannot be read", context.file)).because(error))
        }
    }
}

impl Edited {
    /// Replaces the file atomically, or creates it.
    pub fn write(&self, context: &Context) -> Result<(), Failure> {
        let path = context.directory.join(&context.file);
        let Some(old) = &self.old else {
            return edit::create(&path, &self.new).map_err(|error| {
                let failure = Failure::new(Reason::ManifestUneditable, format!("{} cannot be written", context.file));
                failure.because(error).or_disk(&context.file)
            });
        };
        edit::write(&path, old, &self.new)
    }
}

impl NewHost {
    /// Returns the manifest with this entry added and checked. Writes nothing.
    pub fn add(&self, context: &Context, place: Place, host_key: &[String]) -> Result<Edited, Vec<Failure>> {
        let one = |failure: Failure| vec![failure];
        let name = Name::parse(&self.name)
            .map_err(|rule| one(Failure::new(Reason::Usage, format!("`{}` is not a valid name: {rule}", self.name))))?;
        let entry = Entry {
            place,
            remarks: Vec::new(),
            port: self.ssh_port,
            user: self.ssh_user.clone(),
            identity_file: self.identity_file.as_ref().map(ToString::to_string),
            host_key: host_key.to_vec(),
            application: self.application.as_ref().map(|directory| json!({ "compose": { "directory": directory } })),
        };
        Edited::adding(context, &name, &entry)
    }
}

impl Edited {
    /// Returns the manifest with an entry added and checked. Writes nothing.
    pub fn adding(context: &Context, name: &Name, entry: &Entry) -> Result<Self, Vec<Failure>> {
        let one = |failure: Failure| vec![failure];
        let file = context.file.as_str();
        let old = text(context).map_err(one)?;
        let project = context.project();
        let start = || format!("version: 1\nproject: {project}\n\nenvironments:\n");
        let new = edit::add(&old.clone().unwrap_or_else(start), file, name, entry).map_err(one)?;
        let directory = context.manifest_directory();
        let loaded = manifest::load_text(&new, file, &directory, context.home.as_deref());
        let manifest = loaded
            .map_err(|failures| failures.into_iter().map(|failure| of_entry(failure, name)).collect::<Vec<_>>())?;
        let environment = manifest.environments.get(name).cloned();
        let lost = || one(Failure::new(Reason::ManifestUneditable, format!("{name} was not found after it was added")));
        Ok(Self { old, new, environment: environment.ok_or_else(lost)? })
    }
}

/// Returns the failure of an entry that was not written: the file does not have its lines.
fn of_entry(failure: Failure, name: &Name) -> Failure {
    if failure.environment.as_deref() != Some(name.as_str()) {
        return failure;
    }
    let failure = Failure { location: None, ..failure };
    if failure.message() == manifest::NEEDS_KEY {
        return failure.hint("Pass --identity-file, as in: --identity-file ~/.ssh/id_ed25519");
    }
    failure
}

/// Writes an entry into the manifest. Does not contact the host.
pub fn create(context: &Context, new: &NewHost, place: Place) -> Result<(), Vec<Failure>> {
    new.add(context, place, &new.host_key)?.write(context).map_err(|failure| vec![failure])?;
    let message = format!("Added {} to {}. Next: deployer apply {0}", new.name, context.file);
    context.say(Event::Note(message));
    Ok(())
}

/// Writes a manifest to start from, or prints it if the manifest is standard input. Does not overwrite a file.
pub fn init(context: &Context) -> Result<Ending, Failure> {
    let file = &context.file;
    let text = manifest::template(&context.project());
    if file == "-" {
        context.say(Event::Output(text));
        return Ok(Ending::ok(Outcome::Ok));
    }
    let path = context.directory.join(file);
    match edit::create(&path, &text) {
        Ok(()) => {
            context.say(Event::Note(format!("Wrote {file}; edit it, then run deployer check and deployer plan")));
            Ok(Ending::ok(Outcome::Changed))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::new(Reason::Usage, format!("{file} already exists and was not changed"))
                .hint("Name another file with -f, or -f - to print the template"))
        }
        Err(error) => Err(Failure::new(Reason::Usage, format!("{file} cannot be written"))
            .because(error)
            .hint("Name a writable path with -f")
            .or_disk(file)),
    }
}

/// Returns the names of the environments in a manifest, or none if the manifest is invalid.
#[must_use]
pub fn names(file: &str, home: Option<&Utf8Path>) -> Vec<String> {
    let manifest = manifest::load_unsettled(at_home(file, home).as_str(), home).ok();
    manifest.into_iter().flat_map(|manifest| manifest.environments.into_keys()).map(|name| name.to_string()).collect()
}
