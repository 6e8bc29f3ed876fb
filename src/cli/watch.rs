//! `deployer watch`: runs the pass of `apply` repeatedly for each environment. Destroys nothing, and does not resume
//! suspended environments.

use super::{Context, Ending};
use crate::reconcile::watch::{self, Settings};
use std::net::SocketAddr;
use std::time::Duration;

/// Keep the hosts as the manifest wants them, until a signal ends it
///
/// Environments are reconciled when the manifest or a file they are made from changes, and again after each interval,
/// which finds drift and puts it right as drift.policy says. A manifest that turns invalid is not followed until it is
/// mended. SIGHUP reconciles everything now; SIGTERM and SIGINT finish the steps that run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environments, with those they depend on; all where none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// How long after a pass the next one begins, a fifth more or less
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub interval: Duration,
    /// Fetch the Git checkout that holds the manifest this often, and move it forward
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub git_pull: Option<Duration>,
    /// Where /healthz, /metrics and /status are served, or off
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9640", value_parser = listen)]
    pub listen: Listen,
    /// Environments worked on at the same time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
}

/// The address of the HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// No HTTP is served.
    Off,
    /// HTTP is served at this address.
    At(SocketAddr),
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length < Duration::from_secs(1) => Err("it must be a second or longer".to_owned()),
        Ok(length) if length > Duration::from_hours(24) => Err("it is longer than a day".to_owned()),
        Ok(length) => Ok(length),
        Err(_) => Err("write a number with its unit: 30s, 5m, 1h".to_owned()),
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    text.parse()
        .map(Listen::At)
        .map_err(|_| "write ADDRESS:PORT, as in 127.0.0.1:9640 or [::1]:9640, or off".to_owned())
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Args { environments, interval, git_pull, listen, parallel } = args;
    let listen = match listen {
        Listen::Off => None,
        Listen::At(address) => Some(address),
    };
    watch::run(context, &Settings { environments, interval, git_pull, listen, parallel: usize::from(parallel) }).await
}
