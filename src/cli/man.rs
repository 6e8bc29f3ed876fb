//! `deployer man`: makes manual pages from the help. Does not install them.

use super::{Context, Ending};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::write_below;
use camino::{Utf8Path, Utf8PathBuf};
use clap_mangen::Man;
use std::io;

/// Print the manual page, or write all of them into a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this directory
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Ending, Failure> {
    let failure = |what: &str, error: io::Error| {
        Failure::new(Reason::CommandFailed, format!("The manual pages cannot be written{what}: {error}"))
            .hint("Name a directory that you can write to")
            .or_disk(&error, args.output.as_deref().unwrap_or("standard output".into()))
    };
    match &args.output {
        None => {
            let mut page = Vec::new();
            Man::new(super::command()).render(&mut page).map_err(|error| failure("", error))?;
            context.say(Event::Output(String::from_utf8_lossy(&page).into_owned()));
        }
        Some(directory) => {
            context.admit_output(directory)?;
            let mut command = super::command().disable_help_subcommand(true);
            command.build();
            write(directory, &command).map_err(|error| failure(&format!(" to {directory}"), error))?;
            context.say(Event::Note(format!("Wrote the manual pages to {directory}")));
        }
    }
    Ok(Ending::ok(Outcome::Ok))
}

/// Writes the page of a command and those of its subcommands. `command` is built, so that each page has its full name.
fn write(directory: &Utf8Path, command: &clap::Command) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write(directory, subcommand)?;
    }
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    write_below(directory, Utf8Path::new(&page.get_filename()), &text)
}
