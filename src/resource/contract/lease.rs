//! Lease of an environment, as the host keeps it: the holder, its fencing token and its last heartbeat. The host issues
//! tokens, and its own clock since boot decides which lease has expired, so that no runner's clock matters. A script
//! changes the host only under the lease it was sent with.

use super::whole::{RESERVE, WRITE_WHOLE};
use crate::model::holder::{Holder, Owner};
use crate::model::shell::quote;
use crate::model::token::{BELIEVED, BOUND};
use std::time::Duration;

/// Interval of a holder's heartbeats.
pub const BEAT: Duration = Duration::from_secs(10);

/// Exit code and message of a script whose lease is lost.
pub const LOST: (i32, &str) = (76, "deployer: the lease is lost");

/// Maximum increase of a host's token over the last known one. Neither a count of leases nor a clock's seconds reach
/// it.
const STEP: u64 = 1 << 40;

/// Returns a store's token, or 0 if no count can have reached it.
const fn believed(stored: u64) -> u64 {
    if stored < BELIEVED { stored } else { 0 }
}

/// Returns the highest token that a host may issue if `floor` is the last known token.
const fn highest(floor: u64) -> u64 {
    believed(floor) + STEP
}

/// Unique key of one lease of an environment: its fencing token and the random id of its owner. Leases of older
/// deployers have no owner's id. A host that lost its count may issue a number twice, but no two owners have the same
/// id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The fencing token.
    pub token: u64,
    /// The owner's id.
    pub owner: Option<Owner>,
}

impl Key {
    /// Returns shell that succeeds if the lease that [`READ`] read is this one.
    fn test(&self) -> String {
        let owner = match &self.owner {
            Some(owner) => format!(r#"case "$holder" in *'{}'*) ;; *) false ;; esac"#, owner.field()),
            None => format!(r#"case "$holder" in *'{}'*) false ;; esac"#, Owner::FIELD),
        };
        format!(r#"{{ [ "$token" = {} ] && {owner}; }}"#, self.token)
    }
}

/// Lease as the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lease's fencing token.
    pub token: u64,
    /// Seconds since the holder's last heartbeat.
    pub age: u64,
    /// The holder; `None` if it cannot be read.
    pub holder: Option<Holder>,
}

impl Held {
    /// Describes the holder for people, after "locked by".
    #[must_use]
    pub fn by_whom(&self) -> String {
        self.holder.as_ref().map_or_else(|| "another run".to_owned(), ToString::to_string)
    }

    /// Describes the holder for people as another run.
    #[must_use]
    pub fn whose(&self) -> String {
        self.holder.as_ref().map_or_else(|| "another run".to_owned(), |holder| format!("another run: {holder}"))
    }

    /// Returns true if the holder is gone: three heartbeats are missing, or the process no longer runs on this machine.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.age > 3 * BEAT.as_secs() || self.holder.as_ref().is_some_and(Holder::gone)
    }

    /// Returns the key of the lease.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { token: self.token, owner: self.holder.as_ref().and_then(|holder| holder.owner.clone()) }
    }
}

/// Host's answer to [`acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lease is ours, under this token.
    Ours(u64),
    /// Another run has the lease.
    Held(Held),
}

/// Shell that reads the lease into `$token`, `$beat`, `$boot`, `$holder` and `$age`. `$fresh` is empty unless the lease
/// is valid. A lease expires 60 seconds after its last heartbeat. A lease from before the host's last boot is invalid:
/// every process of its holder has ended too. The function `number` succeeds for a count of leases that no shell
/// interprets as octal.
const READ: &str = r#"number() { case "$1" in '' | *[!0-9]* | 0?* | ????????????????*) return 1 ;; esac; }
token= beat= boot= holder= fresh=
[ ! -s "$state/lease" ] || IFS=' ' read -r token beat boot holder < "$state/lease" || true
read -r now _ </proc/uptime
now=${now%%.*} current=
read -r current </proc/sys/kernel/random/boot_id
number "$token" && number "$beat" || { token= beat=$((now + 1)); }
age=$((now - beat))
[ "$boot" != "$current" ] || [ "$age" -lt 0 ] || [ "$age" -gt 60 ] || fresh=yes
"#;

/// Shell that locks the lease against reading and changing until the script ends.
const LOCK: &str = "exec 8> \"$state/lease.lock\"\ntimeout 20 flock 8 || exit 75\n";

/// Returns shell that asks for the lease, in a subshell that also prints its errors. `over` is a lease whose holder is
/// known to be gone. The new token exceeds every trace of the last token: the count, the lease itself, the records of
/// the last commands, and `floor`, the last token known here. A trace that exceeds `floor` by 2^40 or more is ignored.
/// A host whose count is damaged reports that and continues from its clock's seconds, which are higher than any count
/// can be.
#[must_use]
pub fn acquire(holder: &Holder, over: Option<&Key>, floor: u64) -> String {
    format!(
        r#"exec 2>&1
set -e
umask 077
{WRITE_WHOLE}mkdir -p "$state"
chmod 0700 "$state"
{LOCK}{READ}if [ -n "$fresh" ] && ! {over}; then
  printf 'held %s %s %s\n' "$token" "$age" "$holder"
  exit 0
fi
last={floor}
plausible() {{ number "$1" && [ "$1" -lt {highest} ]; }}
trace() {{ ! plausible "$1" || [ "$1" -le "$last" ] || last=$1; }}
count=$(cat "$state/token" 2>/dev/null || true)
trace "$count"
trace "$token"
for note in "$state/last" "$state/last.aside"; do trace "$(cut -d ' ' -f 3 "$note" 2>/dev/null)"; done
plausible "$count" || {{ [ ! -e "$state/token" ] && [ ! -e "$state/marker.json" ]; }} || {{
  echo {DAMAGED}
  trace "$(date +%s)"
}}
token=$((last + 1))
write_whole "$state/token" '%s\n' "$token" || exit 1
write_whole "$state/lease" '%s\n' "$token $now $current "{holder} || exit 1
echo "lease $token""#,
        over = over.map_or_else(|| "false".to_owned(), Key::test),
        floor = believed(floor),
        highest = highest(floor),
        holder = quote(&holder.line()),
    )
}

/// Line of the answer from a host with a damaged count.
const DAMAGED: &str = "damaged";

/// Returns true if an answer to [`acquire`] reports a damaged count.
#[must_use]
pub fn damaged(output: &[u8]) -> bool {
    output.split(|byte| *byte == b'\n').any(|line| line == DAMAGED.as_bytes())
}

/// Reads the answer of [`acquire`] with the same `floor`. Refuses a token that the script cannot issue.
#[must_use]
pub fn answer(output: &[u8], floor: u64) -> Option<Answer> {
    parse(output).filter(|answer| !matches!(answer, Answer::Ours(token) if *token > highest(floor)))
}

/// Reads the answer of [`acquire`], or the line of [`look`].
#[must_use]
pub fn parse(output: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(output);
    let number = |word: &str| word.trim().parse().ok().filter(|token| *token < BOUND);
    text.lines().find_map(|line| {
        if let Some(token) = line.strip_prefix("lease ") {
            return number(token).map(Answer::Ours);
        }
        let mut words = line.strip_prefix("held ")?.splitn(3, ' ');
        let (token, age) = (number(words.next()?)?, words.next()?.parse().ok()?);
        Some(Answer::Held(Held { token, age, holder: words.next().and_then(Holder::parse) }))
    })
}

/// Returns shell that prints the current lease, if there is one.
#[must_use]
pub fn look() -> String {
    format!("{READ}[ -z \"$fresh\" ] || printf 'held %s %s %s\\n' \"$token\" \"$age\" \"$holder\"\n")
}

/// Returns shell that continues only under this lease. Every script that changes the host begins with it.
#[must_use]
pub fn guard(key: &Key) -> String {
    let (status, words) = LOST;
    format!("{READ}[ -n \"$fresh\" ] && {} || {{ echo {words:?} >&2; exit {status}; }}\n", key.test())
}

/// Returns shell that records a heartbeat of the lease's holder. The write is not synced, because no lease is valid
/// after a power cut. A disk that is busy for a minute therefore costs nobody the lease.
#[must_use]
pub fn beat(key: &Key) -> String {
    format!(
        "umask 077\n{LOCK}{}{WRITE_WHOLE}flush=:\nwrite_whole \"$state/lease\" '%s\\n' \"$token $now $boot $holder\"\n",
        guard(key)
    )
}

/// Returns shell that gives the lease back and refills the reserve that the work may have used.
#[must_use]
pub fn release(key: &Key) -> String {
    format!("umask 077\n{LOCK}{}rm -f \"$state/lease\"\n{RESERVE}", guard(key))
}
