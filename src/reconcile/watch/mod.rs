//! `deployer watch`: runs the pass of `apply` repeatedly for each environment. Destroys nothing, and does not resume
//! suspended environments.

pub mod files;
pub mod git;
pub mod http;
pub mod metrics;
mod pass;
pub mod quarantine;
pub mod schedule;
pub mod served;
pub mod sources;
mod watching;

use crate::model::ending::Ending;
use crate::model::event::{Event, Happening, Outcome, WatchView};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::refuse;
use crate::reconcile::signals::{self, Stop};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use watching::Watching;

/// The settings of a watch.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The named environments; empty means all. Those that they depend on are watched too.
    pub environments: Vec<String>,
    /// The time between two passes over an environment, a fifth more or less.
    pub interval: Duration,
    /// The time between two fetches of the Git checkout that holds the manifest; `None` fetches nothing.
    pub git_pull: Option<Duration>,
    /// The address of the HTTP server; `None` serves nothing.
    pub listen: Option<SocketAddr>,
    /// The number of environments that are worked on at once.
    pub parallel: usize,
}

/// Watches until a signal comes. Failures are already printed.
pub async fn run(context: &Context, settings: &Settings) -> Ending {
    let work = async |stop: Arc<Stop>| match watch(context, settings, &stop).await {
        Ok(()) => Ending::ok(Outcome::Ok),
        Err(failures) => refuse(context, &failures),
    };
    signals::interruptible(context, work).await
}

async fn watch(context: &Context, settings: &Settings, stop: &Arc<Stop>) -> Result<(), Vec<Failure>> {
    if context.file == "-" {
        let failure = Failure::new(Reason::Usage, "Standard input cannot be watched").hint("Name a file with -f");
        return Err(vec![failure]);
    }
    let mut watching = Watching::open(context, settings, stop).await?;
    let server = match settings.listen {
        None => None,
        Some(address) => {
            let listener = http::listen(address).await.map_err(|failure| vec![failure])?;
            // With port 0, the system chooses the port.
            let address = listener.local_addr().unwrap_or(address);
            if !address.ip().is_loopback() {
                let message = format!(
                    "{address} is reachable from other machines, which can read the state of every environment"
                );
                context.say(Event::Warning { environment: None, message });
            }
            say(context, Happening::Listening, None, format!("http://{address}/healthz, /metrics and /status answer"));
            Some(tokio::spawn(http::serve(listener, watching.board())))
        }
    };
    let watched = watching.run().await;
    if let Some(server) = server {
        server.abort();
    }
    watching::close(watching).await;
    watched.map_err(|failure| vec![failure])
}

/// Emits an event of the watch.
pub fn say(context: &Context, event: Happening, environment: Option<&str>, message: impl Into<String>) {
    let environment = environment.map(str::to_owned);
    context.say(Event::Watch(WatchView { at: (context.now)(), event, environment, message: message.into() }));
}
