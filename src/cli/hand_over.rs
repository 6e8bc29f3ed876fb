//! The shared parts of `exec` and `ssh`: the routing of a remote command's output, and its exit code.

use super::{Ending, Invocation};
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::remote::{Remote, drained};
use crate::render;
use std::time::Duration;

/// The time that the runner of a workflow may take to read its input.
const READ: Duration = Duration::from_secs(10);
/// The time that the runner may take after that to act on the input.
const TAKEN: Duration = Duration::from_millis(500);

/// Returns the ending of a command that passes on a remote exit code.
#[must_use]
pub fn ending(code: i32) -> Ending {
    let exit_code = u8::try_from(code).unwrap_or(1);
    Ending { outcome: if exit_code == 0 { Outcome::Ok } else { Outcome::Failed }, exit_code }
}

/// Runs a command or a shell as the SSH user on the host. At a terminal, the command gets the terminal. Elsewhere its
/// standard output is passed on unchanged as data, and its standard error is printed as text.
pub async fn run(invocation: &Invocation, remote: &Remote<'_>, command: Option<&str>) -> Result<i32, Failure> {
    if render::at_terminal() {
        return remote.at_terminal(command).await;
    }
    if !render::is_log() {
        return remote.apart(command, None).await;
    }
    let mut data = Uncommanded::begin(invocation);
    let code = remote.apart(command, Some(&mut |bytes| data.write(bytes))).await;
    data.end(invocation).await;
    code
}

/// Runs a script as root over deployer's own session, and passes on its output in the same way.
pub async fn pour(invocation: &Invocation, remote: &Remote<'_>, script: &str) -> Result<i32, Failure> {
    let mut data = Uncommanded::begin(invocation);
    let ended = remote.pour(script, &mut |bytes| data.write(bytes)).await;
    data.end(invocation).await;
    let (code, stderr) = ended?;
    stderr.lines().for_each(|line| remote.complain(line));
    Ok(code)
}

/// Data on standard output. If standard output is the log of a workflow, its runner executes no command in the data.
struct Uncommanded {
    /// The token that lets the runner execute commands again.
    token: Option<String>,
    /// True if the data so far does not end with a newline.
    within: bool,
}

impl Uncommanded {
    fn begin(invocation: &Invocation) -> Self {
        // The token goes to standard error: the data must arrive unchanged, and the runner reads both streams.
        let token = if render::is_log() { invocation.render.stop_commands() } else { None };
        Self { token, within: false }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.within = bytes.last().map_or(self.within, |last| *last != b'\n');
        render::data(bytes)
    }

    async fn end(self, invocation: &Invocation) {
        let Some(token) = self.token else { return };
        if self.within {
            // The next output of this step would continue the line, which may be a command.
            let message = "The command's output does not end with a newline, so the runner ignores workflow commands \
                           for the rest of this step";
            return invocation.context.say(Event::Warning { environment: None, message: message.to_owned() });
        }
        // The runner reads the two streams independently.
        drained(render::output(), READ).await;
        tokio::time::sleep(TAKEN).await;
        invocation.render.resume_commands(&token);
    }
}
