//! `deployer create`: writes an entry into the manifest. Never contacts the host.

use super::new_host::NewHost;
use super::pass::refuse;
use super::{Context, Ending};
use crate::event::{Event, Outcome};
use crate::failure::Failure;

/// Write an environment into the manifest; no contact yet
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub host: NewHost,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Ending {
    match create(context, &args.host) {
        Ok(()) => Ending::ok(Outcome::Changed),
        Err(failures) => refuse(context, &failures),
    }
}

fn create(context: &Context, host: &NewHost) -> Result<(), Vec<Failure>> {
    host.add(context, &host.host_key)?.write(context).map_err(|failure| vec![failure])?;
    let message = format!("{} is written into {}; deployer apply {0} makes it so", host.name, context.file);
    context.say(Event::Note(message));
    Ok(())
}
