//! The shared parts of `exec` and `ssh`: a connection with the usual checks, the routing of its output, and the exit
//! code of the remote command. The host's key is always checked.

use super::{Context, Ending, pass};
use crate::io::process;
use crate::io::ssh::Host;
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::connect;
use crate::reconcile::prepare::Prepared;
use crate::render;
use std::time::Duration;

/// The time that the runner of a workflow may take to read its input.
const READ: Duration = Duration::from_secs(10);
/// The time that the runner may take after that to act on the input.
const TAKEN: Duration = Duration::from_millis(500);

/// Connects to the host of one environment.
pub async fn reach(context: &Context, pass: &pass::Pass, prepared: &Prepared) -> Result<Host, Failure> {
    let known = pass.records.get(prepared.name()).map(|record| record.host_keys.clone()).unwrap_or_default();
    let vouch = |failure: &Failure| pass::vouch(context, failure);
    connect::open(prepared, &known, false, Duration::ZERO, &context.sink, &vouch).await
}

/// Returns the ending of a command that passes on a remote exit code.
#[must_use]
pub fn ending(code: i32) -> Ending {
    let exit_code = u8::try_from(code).unwrap_or(1);
    Ending { outcome: if exit_code == 0 { Outcome::Ok } else { Outcome::Failed }, exit_code }
}

/// Runs a command or a shell as the SSH user on the host. At a terminal, the command gets the terminal. Elsewhere its
/// standard output is passed on unchanged as data, and its standard error is printed as text.
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

/// Runs a script as root over deployer's own session, and passes on its output in the same way.
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

/// Data on standard output. If standard output is the log of a workflow, its runner executes no command in the data.
struct Uncommanded {
    /// The token that lets the runner execute commands again.
    token: Option<String>,
    /// True if the data so far does not end with a newline.
    within: bool,
}

impl Uncommanded {
    fn begin(context: &Context) -> Self {
        // The token goes to standard error: the data must arrive unchanged, and the runner reads both streams.
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
            // The next output of this step would continue the line, which may be a command.
            let message = "The command's output does not end with a newline, so the runner ignores workflow commands \
                           for the rest of this step";
            return context.say(Event::Warning { environment: None, message: message.to_owned() });
        }
        // The runner reads the two streams independently.
        process::drained(render::output(), READ).await;
        tokio::time::sleep(TAKEN).await;
        context.render.resume_commands(&token);
    }
}
