//! Lanes for concurrent work on a host for one environment. A lane runs one command at a time, and the command records
//! its exit code. A command does not begin while another copy of it runs, even a copy that a previous run left behind.

use super::lease;
use super::whole::WRITE_WHOLE;
use crate::model::event::{Action, PlannedStep};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Kind;
use crate::resource::{Command, Subject, services};
use std::time::Duration;

/// Lane in which a command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Runs concurrently with nothing.
    #[default]
    Alone,
    /// Runs concurrently with nothing, to remove an environment from its host. A command of this lane ends processes
    /// that a dead run left there.
    Removal,
    /// Runs one step after the other, as most steps do.
    Main,
    /// Runs concurrently with the main lane: steps that no other kind waits for.
    Aside,
}

/// Time that a command waits for a command that a previous run left behind on the host.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Shell that removes the registry logins that a killed command of the main lane left.
const SWEEP: &str = r#"for left in "/run/deployer.${state##*/}".*; do [ ! -e "$left" ] || rm -rf "$left"; done
"#;

/// Returns shell that ends the script within seconds after its lease was lost. A command whose input stops, because its
/// runner hangs, would keep its lane's locks otherwise. The processes of a script are one group, which `timeout` made
/// or else the SSH server.
fn end_with(key: &lease::Key) -> String {
    format!(
        r"held() {{
{}}}
(
  exec </dev/null >/dev/null 2>&1 7>&- 9>&-
  while sleep 3 && kill -0 $$; do (held) || kill -TERM 0; done
) &
watch=$!
trap 'held; exit 143' TERM
",
        lease::guard(key)
    )
}

/// Shell that ends what [`end_with`] began.
const UNWATCH: &str = r#"[ -z "${watch-}" ] || { kill "$watch" && wait "$watch"; } 2>/dev/null || :"#;

impl Lane {
    /// Returns the lane of a step. A step that removes an environment from its host runs alone.
    #[must_use]
    pub fn of(step: &PlannedStep) -> Self {
        match step.kind {
            _ if step.action == Action::Remove && step.destructive => Self::Removal,
            Kind::Updates => Self::Aside,
            _ => Self::Main,
        }
    }

    /// Returns true if two steps of one environment cannot run at the same time.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        self == other || [self, other].into_iter().any(|lane| matches!(lane, Self::Alone | Self::Removal))
    }

    /// Returns the file descriptor and name of each lock that commands of the lane hold. A lock ends with the last
    /// process that holds it.
    const fn locks(self) -> &'static [(u8, &'static str)] {
        match self {
            Self::Main => &[(9, "lock")],
            Self::Aside => &[(9, "lock.aside")],
            Self::Alone | Self::Removal => &[(9, "lock"), (7, "lock.aside")],
        }
    }

    /// Returns the name of the file that records the lane's last command: `ID CODE TOKEN`, or `ID begun TOKEN` before
    /// its end.
    const fn note(self) -> &'static str {
        match self {
            Self::Main | Self::Alone | Self::Removal => "last",
            Self::Aside => "last.aside",
        }
    }

    /// Returns shell that takes the lane's locks and waits at most `limit` for each.
    fn take(self, state: &str, limit: Duration, otherwise: &str) -> String {
        let take = |(number, name): &(u8, &str)| {
            format!("exec {number}> {state}/{name}\ntimeout {} flock {number}{otherwise}\n", limit.as_secs())
        };
        self.locks().iter().map(take).collect()
    }

    /// Returns shell that waits for processes that a previous run, interrupted or killed, left running for this
    /// environment.
    #[must_use]
    pub fn wait(self, subject: &Subject<'_>) -> String {
        let state = quote(&subject.state_directory());
        let late = " || { echo 'a command of an earlier run is still running on this host' >&2; exit 75; }";
        let take = self.take(&state, PATIENCE, late);
        format!("if [ -d {state} ] && command -v flock >/dev/null; then\n{take}fi\n")
    }

    /// Returns the whole script of a command. The script waits for its turn, continues only under its lease, records
    /// that `id` began and how it ended, ends at the first error and increments the host's serial. The script can call
    /// `write_whole`. If the serial cannot be read, counting continues from the host's clock, which is higher than any
    /// count can be.
    #[must_use]
    pub fn script(self, subject: &Subject<'_>, command: &Command, key: &lease::Key, id: &str) -> String {
        let (wait, state, note) = (self.wait(subject), quote(&subject.state_directory()), self.note());
        let end = if self == Self::Removal { lease::guard(key) + &services::end_left() } else { String::new() };
        let watch = if matches!(command.input, Input::Empty) { String::new() } else { end_with(key) };
        format!(
            r#"set -eu
state={state}
{end}{wait}{guard}{watch}{sweep}{WRITE_WHOLE}note() {{ flush=: ; write_whole "$state/{note}" '%s\n' "{id} $1 {token}"; flush=; }}
(umask 077; note begun)
trap 'code=$?; umask 077; note "$code" || :; {UNWATCH}' EXIT
{script}
[ ! -e "$state/serial" ] || {{
  timeout 20 flock 6
  serial=$(cat "$state/serial")
  number "$serial" || serial=$(date +%s)
  (umask 077; write_whole "$state/serial" '%s\n' $((serial + 1)))
}} 6> "$state/lease.lock"
"#,
            guard = lease::guard(key),
            token = key.token,
            sweep = if self == Self::Aside { "" } else { SWEEP },
            script = command.script,
        )
    }

    /// Returns the same script followed by `probe`, so that one round trip does both.
    #[must_use]
    pub fn script_and_probe(
        self,
        subject: &Subject<'_>,
        command: &Command,
        key: &lease::Key,
        id: &str,
        probe: &str,
    ) -> String {
        format!(
            "{}trap - EXIT\n(umask 077; note 0)\n{UNWATCH}\nexec 7>&- 9>&-\n\
             (\nset +eu\ncd /\numask 022\nexec </dev/null\n{})\nexit 0\n",
            self.script(subject, command, key, id),
            probe,
        )
    }

    /// Returns shell that waits at most `limit` until no command runs in the lane, and prints how the last command
    /// ended: `ID begun` if it was killed.
    #[must_use]
    pub fn last(self, subject: &Subject<'_>, limit: Duration) -> String {
        let state = quote(&subject.state_directory());
        let take = self.take(&state, limit, "");
        format!("{take}cut -d ' ' -f 1,2 {state}/{} 2>/dev/null || true\n", self.note())
    }
}
