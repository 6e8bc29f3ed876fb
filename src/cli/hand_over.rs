//! The shared parts of `exec` and `ssh`: a connection that is checked as every other, the ways of its output, and an
//! exit code that is not ours. Never starts a connection that the host's key was not checked for.

use super::{Context, Ending, pass};
use crate::io::process;
use crate::io::ssh::Host;
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::connect;
use crate::reconcile::prepare::Prepared;
use crate::render;
use std::time::Duration;

/// How long the runner of a workflow may take to read what it was given.
const READ: Duration = Duration::from_secs(10);
/// How long it may take from there to act on it.
const TAKEN: Duration = Duration::from_millis(500);

/// Connects to the host of one environment.
pub async fn reach(context: &Context, pass: &pass::Pass, prepared: &Prepared) -> Result<Host, Failure> {
    let known = pass.records.get(prepared.name()).map(|record| record.host_keys.clone()).unwrap_or_default();
    let vouch = |failure: &Failure| pass::vouch(context, failure);
    connect::open(prepared, &known, false, Duration::ZERO, &context.sink, &vouch).await
}

/// The end of a command whose exit code is that of what it ran.
#[must_use]
pub fn ending(code: i32) -> Ending {
    let exit_code = u8::try_from(code).unwrap_or(1);
    Ending { outcome: if exit_code == 0 { Outcome::Ok } else { Outcome::Failed }, exit_code }
}

/// Runs a command of the SSH user on the host, or a shell. At a terminal it has the terminal. Elsewhere its standard
/// output is data and ours, and its standard error is text and goes the way of all text.
pub async fn run(context: &Context, prepared: &Prepared, host: &Host, command: Option<&str>) -> Result<i32, Failure> {
    if render::at_terminal() {
        return host.shell(true, command).await;
    }
    let mut line = |line: &[u8]| complain(context, prepared, &String::from_utf8_lossy(line));
    if !render::is_log() {
        return host.shell_apart(command, None, &mut line).await;
    }
    let mut data = Uncommanded::begin(context);
    let code = host.shell_apart(command, Some(&mut |bytes| data.write(bytes)), &mut line).await;
    data.end(context).await;
    code
}

/// Does the same over our own session, with a script that runs as root.
pub async fn pour(context: &Context, prepared: &Prepared, host: &Host, script: &str) -> Result<i32, Failure> {
    let mut data = Uncommanded::begin(context);
    let ended = host.pour(script, &mut |bytes| data.write(bytes)).await;
    data.end(context).await;
    let (code, stderr) = ended?;
    stderr.lines().for_each(|line| complain(context, prepared, line));
    Ok(code)
}

fn complain(context: &Context, prepared: &Prepared, line: &str) {
    context.say(Event::Said { text: format!("{}\n", prepared.redactor.redact(line)), error: true });
}

/// Data on standard output; where that is the log of a workflow, its runner takes no command from it.
struct Uncommanded {
    /// The token that ends it.
    token: Option<String>,
    /// True where the data ends within a line.
    within: bool,
}

impl Uncommanded {
    fn begin(context: &Context) -> Self {
        // On standard error: the data is to arrive as it is, and the runner reads both.
        let token = if render::is_log() { context.render.stop_commands() } else { None };
        Self { token, within: false }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.within = bytes.last().map_or(self.within, |last| *last != b'\n');
        render::data(bytes)
    }

    async fn end(self, context: &Context) {
        let Some(token) = self.token else { return };
        if self.within {
            // Whatever this step writes next would end the line, which may be a command.
            let message = "The output of the command ends within a line, so no command of this workflow counts for the \
                           rest of its step";
            return context.say(Event::Warning { environment: None, message: message.to_owned() });
        }
        // The runner reads the two streams apart from each other.
        process::drained(render::output(), READ).await;
        tokio::time::sleep(TAKEN).await;
        context.render.resume_commands(&token);
    }
}
