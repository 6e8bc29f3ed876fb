//! `deployer man`: makes manual pages from the help. Does not install them.

use super::{Context, Ending};
use crate::io::{below, scratch};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
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
            clap_mangen::Man::new(super::command()).render(&mut page).map_err(|error| failure("", error))?;
            context.say(Event::Output(String::from_utf8_lossy(&page).into_owned()));
        }
        Some(directory) => {
            context.admit_output(directory)?;
            write(directory).map_err(|error| failure(&format!(" to {directory}"), error))?;
            context.say(Event::Note(format!("Wrote the manual pages to {directory}")));
        }
    }
    Ok(Ending::ok(Outcome::Ok))
}

/// Writes the pages. A link with a page's name is replaced, not written through.
fn write(directory: &Utf8Path) -> io::Result<()> {
    let made = scratch::Directory::new()?;
    let pages = made.path().join("pages");
    std::fs::create_dir(&pages)?;
    clap_mangen::generate_to(super::command(), &pages)?;
    for page in pages.read_dir()? {
        let name = Utf8PathBuf::try_from(std::path::PathBuf::from(page?.file_name())).map_err(io::Error::other)?;
        let mut text = std::fs::File::open(pages.join(&name))?;
        below::draft(directory, &name, 0o644, &mut text)?.keep()?;
    }
    Ok(())
}
