//! `deployer init`: writes a manifest to start from. Does not overwrite a file.

use super::{Context, Ending};
use crate::manifest::{self, edit};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use std::io::ErrorKind;

/// Write a commented manifest to start from
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer init")]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _args: &Args) -> Result<Ending, Failure> {
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
        Err(error) => Err(Failure::new(Reason::Usage, format!("{file} cannot be written: {error}"))
            .hint("Name a writable path with -f")
            .or_disk(&error, file)),
    }
}
