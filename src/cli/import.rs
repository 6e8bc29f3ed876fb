//! `deployer import`: turns an environment of torrust-tracker-deployer into an entry of the manifest. Does not contact
//! the host, and writes no secret.

use super::new_host::Edited;
use super::pass::refuse;
use super::{Context, Ending};
use crate::manifest::edit::{Entry, Place};
use crate::manifest::environment::Name;
use crate::manifest::torrust::{self, Wish};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use camino::Utf8PathBuf;

/// Write an environment of torrust-tracker-deployer into the manifest; no contact yet
///
/// Where the installation runs (--host, or the address that its state has), the entry names its directory and its
/// Compose project, and apply takes it over in place, its data kept; the host is registered, never made anew. Where there
/// is no machine yet (--provision, or its state says so), the entry has the provider's section, and apply makes one. What
/// could not be carried, and which secrets are to be set, is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its JSON: the file it was created from, or the state that was kept of it
    #[arg(long, value_name = "FILE")]
    pub from: Utf8PathBuf,
    /// DNS name, IPv4 or IPv6 address of the host that it runs on; default: the one that its state has
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// There is no machine yet: deployer makes one, with the provider that the file names
    #[arg(long, conflicts_with = "host")]
    pub provision: bool,
    /// The environment's name, instead of its old one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Ending {
    match import(context, args) {
        Ok(()) => Ending::ok(Outcome::Changed),
        Err(failures) => refuse(context, &failures),
    }
}

fn import(context: &Context, args: &Args) -> Result<(), Vec<Failure>> {
    let path = context.directory.join(&args.from);
    let wrong = |why: &str, hint: &str| {
        vec![Failure::new(Reason::Usage, format!("{} cannot be imported: {why}", args.from)).hint(hint)]
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        wrong(&error.to_string(), "Name the JSON file of an environment of torrust-tracker-deployer")
    })?;
    let wish = match &args.host {
        Some(host) => Wish::Host(host),
        None if args.provision => Wish::Provisioned,
        None => Wish::AsWritten,
    };
    let mut found = torrust::read(&text, wish).map_err(|refused| wrong(&refused.why, refused.hint))?;
    // The file may come from another machine.
    let elsewhere = |key: &mut String| !context.directory.join(&*key).exists();
    if let Some(key) = found.identity_file.take_if(elsewhere) {
        let text = "is not on this machine";
        if matches!(found.place, Place::Registered(_)) {
            found.notes.push(format!("ssh.identity_file: {key} {text}, so it was left out"));
        } else {
            // Without a key, no user could log in to the new machine.
            found.notes.push(format!("ssh.identity_file: {key} {text}; set it to a key that is"));
            found.identity_file = Some(key);
        }
    }
    let name = args.name.as_deref().unwrap_or(&found.name);
    let name = Name::parse(name).map_err(|rule| {
        let failure = Failure::new(Reason::Usage, format!("`{name}` is not a valid name: {rule}"));
        vec![failure.hint(format!("Choose a name: deployer import --from {} NAME", args.from))]
    })?;
    let entry = Entry {
        place: found.place,
        remarks: torrust::remarks(found.like_it.as_ref()),
        port: found.port,
        user: found.user,
        identity_file: found.identity_file,
        host_key: Vec::new(),
        application: Some(found.application),
    };
    Edited::adding(context, &name, &entry)?.write(context).map_err(|failure| vec![failure])?;
    for note in found.notes {
        context.say(Event::Note(note));
    }
    let message = format!("Added {name} to {}. Next: deployer plan {name}", context.file);
    context.say(Event::Note(message));
    Ok(())
}
