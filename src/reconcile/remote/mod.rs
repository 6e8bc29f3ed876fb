//! Commands of a user on the host of one environment: a connection with the usual checks, and the output of the command
//! as data, as lines or at the user's terminal. The host's key is always checked. Records no output.

pub mod logs;
pub mod service;

use crate::io::ssh::{Host, Line};
use crate::model::bounded;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::reconcile::connect;
use crate::reconcile::context::Context;
use crate::reconcile::pass::vouch;
use crate::reconcile::prepare::Prepared;
use std::time::Duration;

pub use crate::io::process::{Data, drained};

/// The time limit of a command that runs without a terminal.
const DAY: Duration = Duration::from_hours(24);

/// A connection to the host of one environment, for a command of the user.
pub struct Remote<'a> {
    context: &'a Context,
    prepared: &'a Prepared,
    host: Host,
}

impl<'a> Remote<'a> {
    /// Connects to the host of one environment.
    pub async fn reach(context: &'a Context, prepared: &'a Prepared) -> Result<Self, Failure> {
        let ask = |failure: &Failure| vouch(context, failure);
        let host = connect::open(prepared, false, Duration::ZERO, &context.sink, &ask).await?;
        Ok(Self { context, prepared, host })
    }

    /// Fails unless the application has a container of this service.
    pub async fn has(&self, service: &str) -> Result<(), Failure> {
        service::known(&self.host, self.prepared, Some(service)).await
    }

    /// Runs a command or a shell as the SSH user at the user's terminal.
    pub async fn at_terminal(&self, command: Option<&str>) -> Result<i32, Failure> {
        self.host.shell(true, command).await
    }

    /// Runs a command or a shell as the SSH user. Its standard output goes to `data`, or else to our own; its standard
    /// error is printed as text.
    pub async fn apart(&self, command: Option<&str>, data: Option<Data<'_>>) -> Result<i32, Failure> {
        self.host.shell_apart(command, data, &mut |line| self.complain(&String::from_utf8_lossy(line))).await
    }

    /// Runs a script as root over deployer's own session. Its standard output goes to `data`; its standard error is
    /// returned.
    pub async fn pour(&self, script: &str, data: Data<'_>) -> Result<(i32, String), Failure> {
        self.host.pour(script, data).await
    }

    /// Runs a script as root, and prints its output line by line.
    pub async fn lines(&self, script: &str) -> Result<i32, Failure> {
        let mut line = |line: &Line| {
            if line.left_out > 0 {
                // The output of a command is data: a part of a line is useless.
                let hint = "Run the command again without --json and redirect its output to a file";
                return Err(Failure::too_large("A line of the command's output", bounded::LINE).hint(hint));
            }
            self.context.say(Event::Said { text: self.prepared.redactor.redact(&line.text) + "\n", error: false });
            Ok(())
        };
        self.host.follow(script, DAY, &mut line).await
    }

    /// Returns a command that runs a script as root.
    #[must_use]
    pub fn as_root(&self, script: &str) -> String {
        self.host.as_root(script)
    }

    /// Prints a line of standard error.
    pub fn complain(&self, line: &str) {
        let text = format!("{}\n", self.prepared.redactor.redact(line));
        self.context.say(Event::Said { text, error: true });
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.host.close().await;
    }
}

/// Returns the script that runs a command in the container of a service, with a terminal if there is one.
///
/// # Errors
/// `CommandFailed` if the environment has no application.
pub fn in_container(
    prepared: &Prepared,
    service: &String,
    command: &[String],
    terminal: bool,
) -> Result<String, Failure> {
    let Some(application) = &prepared.environment.application else {
        return Err(Failure::new(Reason::CommandFailed, "The environment has no application"));
    };
    let words: Vec<String> = std::iter::once(service).chain(command).map(|word| quote(word)).collect();
    let tty = if terminal { "" } else { " -T" };
    Ok(format!(
        "cd / && exec docker compose --env-file /dev/null -p {} exec{tty} -- {}",
        quote(&application.project),
        words.join(" ")
    ))
}
