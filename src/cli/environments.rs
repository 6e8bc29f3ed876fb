//! `deployer environments`: the names of the manifest, for completion scripts. Never says what is wrong with it.

use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::manifest;
use std::fmt::Write as _;

/// Print the names of the environments
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _: &Args) -> Ending {
    let manifest = manifest::load(context.file.as_str(), context.home.as_deref());
    let names = manifest.into_iter().flat_map(|manifest| manifest.environments.into_keys());
    let text = names.fold(String::new(), |mut text, name| {
        let _ = writeln!(text, "{name}");
        text
    });
    if !text.is_empty() {
        context.say(Event::Output(text));
    }
    Ending::ok(Outcome::Ok)
}
