//! `deployer schema`: prints the JSON schema of the manifest, for editors. The schema accepts exactly what deployer
//! reads.

use super::{Context, Ending};
use crate::model::event::{Event, Outcome};
use crate::reconcile::entry;

/// Print the JSON schema of the manifest
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer schema > deployment.schema.json")]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context, _args: &Args) -> Ending {
    context.say(Event::Output(entry::schema()));
    Ending::ok(Outcome::Ok)
}
