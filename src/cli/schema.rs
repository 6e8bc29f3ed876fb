//! `deployer schema`: what a manifest may say, for editors. Never anything but what is read.

use super::{Context, Ending};
use crate::manifest;
use crate::model::event::{Event, Outcome};

/// Print the JSON schema of the manifest
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _args: &Args) -> Ending {
    context.say(Event::Output(manifest::schema_text()));
    Ending::ok(Outcome::Ok)
}
