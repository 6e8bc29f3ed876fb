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

/// Add an environment of torrust-tracker-deployer to the manifest without contacting its host
///
/// If the installation runs on a host (--host, or the address in its state), the entry names its directory and its
/// Compose project. apply then takes the installation over in place and keeps its data; the host is registered and is
/// not made again. If there is no machine yet (--provision, or according to its state), the entry has the provider's
/// section, and apply makes a machine. The command lists the keys that it could not carry over and the secrets that
/// must be set.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer import --from environment.json --host tracker.example.com")]
pub struct Args {
    /// The JSON file of the environment: the file that it was created from, or its state
    #[arg(long, value_name = "FILE")]
    pub from: Utf8PathBuf,
    /// DNS name, IPv4 or IPv6 address of the host on which it runs; default: the address in its state
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// There is no machine yet: apply makes one with the provider in the file
    #[arg(long, conflicts_with = "host")]
    pub provision: bool,
    /// The new name of the environment; default: its old name
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
