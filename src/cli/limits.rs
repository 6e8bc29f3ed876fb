//! Limits for commands that only look at a repository. Its authors are not trusted: these commands run in CI next to
//! tokens, on the content that a fork proposes. Commands that work on hosts have no such limits.

use super::{Command, Ending, Invocation, check, history, plan, render, status};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::runtime::limit_memory;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The time limit.
const TIME: Duration = Duration::from_mins(5);
/// The memory limit (bytes of address space).
const MEMORY: u64 = 3 << 30;
/// The stack of the command's thread (bytes), as large as that of a process.
const STACK: usize = 8 << 20;

impl Command {
    /// Returns true if the command reads only the repository: it contacts no host and runs nothing that the manifest
    /// names.
    pub(super) const fn only_looks(&self) -> bool {
        match self {
            Self::Check(check::Args { secrets, .. }) => !*secrets,
            Self::Plan(plan::Args { offline, against, .. }) => *offline || against.is_some(),
            Self::Render(render::Args { offline, .. })
            | Self::Status(status::Args { offline, .. })
            | Self::History(history::Args { offline, .. }) => *offline,
            Self::Graph(_) | Self::List(_) | Self::Show(_) | Self::Inventory(_) | Self::Probe(_) => true,
            _ => false,
        }
    }
}

/// Runs a command, within the limits if it only looks.
pub fn run(
    invocation: &Invocation,
    command: Command,
    dispatch: fn(&Invocation, Command) -> Result<Ending, Failure>,
) -> Result<Ending, Failure> {
    if !invocation.context.only_looks {
        return dispatch(invocation, command);
    }
    limit_memory(MEMORY);
    let own = invocation.clone();
    within(TIME, invocation.context.command, move || dispatch(&own, command))
}

/// Runs work in a thread. A thread that does not end in time is left behind: the process ends soon after.
fn within(
    time: Duration,
    name: &str,
    work: impl FnOnce() -> Result<Ending, Failure> + Send + 'static,
) -> Result<Ending, Failure> {
    let (send, receive) = mpsc::channel();
    let builder = std::thread::Builder::new().name("command".to_owned()).stack_size(STACK);
    let thread = builder.spawn(move || {
        let _ = send.send(work());
    });
    let thread =
        thread.map_err(|error| Failure::new(Reason::CommandFailed, "Threads cannot be started").because(error))?;
    match receive.recv_timeout(time) {
        Ok(ending) => ending,
        Err(RecvTimeoutError::Timeout) => {
            let limit = humantime::format_duration(time);
            let message = format!("deployer {name} did not end within {limit}");
            Err(Failure::new(Reason::ApplicationInvalid, message)
                .hint("Name fewer environments at once, or make their applications smaller"))
        }
        // The thread panicked, and the panic was already printed.
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err(Failure::new(Reason::CommandFailed, format!("deployer {name} ended without a result"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Outcome;

    #[test]
    fn a_command_that_does_not_end_is_given_up() {
        let (_kept, never) = mpsc::channel::<()>();
        let ending = within(Duration::from_millis(1), "check", move || {
            let _ = never.recv();
            Ok(Ending::ok(Outcome::Ok))
        });
        let Err(failure) = ending else { panic!("it ended") };
        assert_eq!(failure.message(), "deployer check did not end within 1ms");
        assert_eq!(failure.reason, Reason::ApplicationInvalid);
        assert!(within(TIME, "check", || Ok(Ending::ok(Outcome::Ok))).is_ok());
    }

    #[test]
    fn commands_that_read_a_repository_are_limited() {
        let limited = |line: &str| {
            let matches = crate::cli::command().try_get_matches_from(line.split(' ')).expect("a command line");
            let cli = <crate::cli::Cli as clap::FromArgMatches>::from_arg_matches(&matches).expect("arguments");
            cli.command.only_looks()
        };
        for line in ["check", "graph", "list", "inventory", "show web", "plan --offline", "plan --against main"] {
            assert!(limited(&format!("deployer {line}")), "{line}");
        }
        for line in ["status --offline", "render web -o out --offline", "history --offline"] {
            assert!(limited(&format!("deployer {line}")), "{line}");
        }
        for line in ["check --secrets", "plan", "apply", "watch", "status", "history", "render web -o out"] {
            assert!(!limited(&format!("deployer {line}")), "{line}");
        }
    }
}
