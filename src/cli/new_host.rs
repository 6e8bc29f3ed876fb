//! The arguments of `create` and `register`: what an entry for an existing host needs. Never a secret.

use super::Context;
use crate::failure::{Failure, Reason};
use crate::manifest;
use crate::manifest::edit::{self, Entry};
use crate::manifest::environment::{Environment, Name};
use camino::Utf8PathBuf;

/// A new environment on an existing host.
#[derive(Debug, clap::Args)]
pub struct NewHost {
    /// The environment's name
    pub name: String,
    /// DNS name, IPv4 or IPv6 address of the host
    #[arg(long, value_name = "ADDRESS")]
    pub host: String,
    /// The port sshd listens on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// The user to log in as: root, or one with sudo
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub identity_file: Option<Utf8PathBuf>,
    /// A key of the host, "TYPE BASE64"; may be given again
    #[arg(long, value_name = "KEY")]
    pub host_key: Vec<String>,
    /// The directory with the application's Compose files
    #[arg(long, value_name = "DIR")]
    pub application: Option<Utf8PathBuf>,
}

/// A manifest's text before and after an edit that is known to be valid.
pub struct Edited {
    /// As it stands in the file.
    pub old: String,
    /// As it is to be.
    pub new: String,
    /// The environment as the new text has it.
    pub environment: Environment,
}

impl Edited {
    /// Replaces the file in one step.
    pub fn write(&self, context: &Context) -> Result<(), Failure> {
        if self.old == self.new {
            Ok(())
        } else {
            edit::write(&context.directory.join(&context.file), &self.old, &self.new)
        }
    }
}

impl NewHost {
    /// The manifest with this entry in it, checked; nothing is written yet.
    pub fn add(&self, context: &Context, host_key: &[String]) -> Result<Edited, Vec<Failure>> {
        let one = |failure: Failure| vec![failure];
        let name = Name::parse(&self.name)
            .map_err(|rule| one(Failure::new(Reason::Usage, format!("`{}` is no name: {rule}", self.name))))?;
        let file = context.file.as_str();
        let old = std::fs::read_to_string(context.directory.join(file))
            .map_err(|error| one(Failure::new(Reason::ManifestMissing, format!("{file} cannot be read: {error}"))))?;
        let entry = Entry {
            address: self.host.clone(),
            port: self.ssh_port,
            user: self.ssh_user.clone(),
            identity_file: self.identity_file.as_ref().map(ToString::to_string),
            host_key: host_key.to_vec(),
            application: self.application.as_ref().map(ToString::to_string),
        };
        let new = edit::add(&old, file, &name, &entry).map_err(one)?;
        let directory = context.manifest_directory();
        let manifest = manifest::load_text(&new, file, &directory, context.home.as_deref())?;
        let environment = manifest.environments.get(&name).cloned();
        let lost = || one(Failure::new(Reason::ManifestUneditable, format!("{name} was not found after it was added")));
        Ok(Edited { old, new, environment: environment.ok_or_else(lost)? })
    }
}
