//! `deployer watch`: runs the pass of `apply` repeatedly for each environment. Destroys nothing, and does not resume
//! suspended environments.

use super::{Context, Ending};
use crate::reconcile::watch::{self, Settings};
use std::net::SocketAddr;
use std::time::Duration;

/// Keep the hosts matching the manifest until a signal ends it
///
/// Reconciles an environment when the manifest or one of its source files changes, and after each interval to correct
/// drift according to drift.policy. If the manifest becomes invalid, the last valid one stays in use. SIGHUP reconciles
/// everything now; SIGTERM and SIGINT finish the running steps and end the command.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer watch --git-pull 1m")]
pub struct Args {
    /// Environments, with those that they depend on; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// The time between two passes, varied by up to a fifth
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub interval: Duration,
    /// How often to fetch and fast-forward the Git checkout that contains the manifest
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub git_pull: Option<Duration>,
    /// The address on which /healthz, /metrics and /status are served, or off
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9640", value_parser = listen)]
    pub listen: Listen,
    /// The number of environments that are changed at the same time
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
        Ok(length) if length < Duration::from_secs(1) => Err("it must be at least one second".to_owned()),
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
