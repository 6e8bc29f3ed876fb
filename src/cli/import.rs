//! `deployer import`: an environment of torrust-tracker-deployer becomes an entry of the manifest. Never contacts the
//! host, and never writes a secret.

use super::new_host::Edited;
use super::pass::refuse;
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::failure::{Failure, Reason};
use crate::import;
use crate::manifest::edit::{Entry, Place};
use crate::manifest::environment::Name;
use camino::Utf8PathBuf;

/// Write an environment of torrust-tracker-deployer into the manifest; no contact yet
///
/// The entry names the directory and the Compose project of the running installation, which apply takes over in place,
/// its data kept. What could not be carried, and which secrets are to be set, is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its JSON: the file it was created from, or the state that was kept of it
    #[arg(long, value_name = "FILE")]
    pub from: Utf8PathBuf,
    /// DNS name, IPv4 or IPv6 address of the host
    #[arg(long, value_name = "ADDRESS")]
    pub host: String,
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
    let wrong = |why: String| {
        vec![
            Failure::new(Reason::Usage, format!("{} cannot be imported: {why}", args.from))
                .hint("Name the JSON file of an environment of torrust-tracker-deployer"),
        ]
    };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let mut found = import::read(&text).map_err(wrong)?;
    // The file may come from another machine.
    if let Some(key) = found.identity_file.take_if(|key| !context.directory.join(&*key).exists()) {
        found.notes.push(format!("ssh.identity_file: {key} is not on this machine, so it was left out"));
    }
    let name = args.name.as_deref().unwrap_or(&found.name);
    let name = Name::parse(name).map_err(|rule| {
        let failure = Failure::new(Reason::Usage, format!("`{name}` is no name: {rule}"));
        vec![failure.hint("Give it another one: deployer import --from FILE --host ADDRESS NAME")]
    })?;
    let entry = Entry {
        place: Place::Registered(args.host.clone()),
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
    let message = format!("{name} is written into {}; deployer plan {name} shows what would change", context.file);
    context.say(Event::Note(message));
    Ok(())
}
