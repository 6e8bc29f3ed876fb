//! The arguments of `create` and `register`: the entry's settings besides its host. None is a secret.

use super::Context;
use crate::manifest;
use crate::manifest::edit::{self, Entry, Place};
use crate::manifest::environment::{Environment, Name};
use crate::model::failure::{Failure, Reason};
use camino::Utf8PathBuf;
use serde_json::json;
use std::io::ErrorKind;

/// A new environment, wherever it is.
#[derive(Debug, clap::Args)]
pub struct NewHost {
    /// The environment's name
    pub name: String,
    /// The port on which sshd listens
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// The user to log in as: root, or one with sudo
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub identity_file: Option<Utf8PathBuf>,
    /// A public key of the host, "TYPE BASE64"; repeatable
    #[arg(long, value_name = "KEY")]
    pub host_key: Vec<String>,
    /// The directory with the application's Compose files
    #[arg(long, value_name = "DIR")]
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
    match std::fs::read_to_string(context.directory.join(&context.file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(Reason::ManifestMissing, format!("{} cannot be read: {error}", context.file))),
    }
}

impl Edited {
    /// Replaces the file atomically, or creates it.
    pub fn write(&self, context: &Context) -> Result<(), Failure> {
        let path = context.directory.join(&context.file);
        let Some(old) = &self.old else {
            return edit::create(&path, &self.new).map_err(|error| {
                let message = format!("{} cannot be written: {error}", context.file);
                Failure::new(Reason::ManifestUneditable, message).or_disk(&error, &context.file)
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
        let manifest = manifest::load_text(&new, file, &directory, context.home.as_deref())?;
        let environment = manifest.environments.get(name).cloned();
        let lost = || one(Failure::new(Reason::ManifestUneditable, format!("{name} was not found after it was added")));
        Ok(Self { old, new, environment: environment.ok_or_else(lost)? })
    }
}
