//! Turns an environment of torrust-tracker-deployer into an entry of the manifest. Does not contact
//! the host, and writes no secret.

use super::Edited;
use crate::manifest::below;
use crate::manifest::edit::{Entry, Place};
use crate::manifest::environment::Name;
use crate::manifest::scope::Scope;
use crate::manifest::torrust::{self, Wish};
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use camino::Utf8PathBuf;

/// The largest file of an environment (bytes).
const LARGEST: u64 = 1 << 20;

/// Environment of torrust-tracker-deployer to import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The JSON of the environment: the file it was created from, or the state that was kept of it.
    pub from: Utf8PathBuf,
    /// The address of the host that it runs on; `None` means the one that its state has.
    pub host: Option<String>,
    /// True if deployer makes its machine.
    pub provision: bool,
    /// The environment's name; `None` means its old one.
    pub name: Option<String>,
}

/// Writes the entry, and prints what could not be carried over.
pub fn import(context: &Context, args: &Import) -> Result<(), Vec<Failure>> {
    let path = context.directory.join(&args.from);
    let wrong = |why: &str, hint: &str| {
        vec![Failure::new(Reason::Usage, format!("{} cannot be imported: {why}", args.from)).hint(hint)]
    };
    let scope = Scope::of(&context.directory, &context.extent);
    if let Some(refused) = scope.refuse(&path) {
        return Err(vec![refused.failure(Reason::Usage, &args.from)]);
    }
    let text = below::text(&path, LARGEST).map_err(|error| {
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
