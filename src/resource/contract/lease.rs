//! The lease of an environment, as the host keeps it: who works on it, under which fencing token, and when the holder
//! last gave a sign of life. The host issues tokens, and its own clock since it started decides what has expired, so
//! that no runner's clock matters. A script changes the host only under the lease it was sent with.

use super::whole::{RESERVE, WRITE_WHOLE};
use crate::model::holder::{Holder, Owner};
use crate::model::shell::quote;
use crate::model::token::{BELIEVED, BOUND};
use std::time::Duration;

/// How often a holder gives a sign of life.
pub const BEAT: Duration = Duration::from_secs(10);

/// Message and exit code of a script whose lease is lost.
pub const LOST: (i32, &str) = (76, "deployer: the lease is lost");

/// A host's token counts only if it exceeds the last known one by less than this. No count of leases and no clock's
/// seconds reach it.
const STEP: u64 = 1 << 40;

/// Returns a store's token, or 0 if no count can have reached it.
const fn believed(stored: u64) -> u64 {
    if stored < BELIEVED { stored } else { 0 }
}

/// Returns the highest token that a host may issue where `floor` is the last one that is known here.
const fn highest(floor: u64) -> u64 {
    believed(floor) + STEP
}

/// Tells one lease of an environment from every other: its fencing token, and the random id of its owner, which leases
/// of older deployers lack. A host that lost its count may issue a number twice, but no owner draws the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The fencing token.
    pub token: u64,
    /// The owner's id.
    pub owner: Option<Owner>,
}

impl Key {
    /// Shell that succeeds for the lease that [`READ`] read if it is this one.
    fn test(&self) -> String {
        let owner = match &self.owner {
            Some(owner) => format!(r#"case "$holder" in *'{}'*) ;; *) false ;; esac"#, owner.field()),
            None => format!(r#"case "$holder" in *'{}'*) false ;; esac"#, Owner::FIELD),
        };
        format!(r#"{{ [ "$token" = {} ] && {owner}; }}"#, self.token)
    }
}

/// The lease as the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its fencing token.
    pub token: u64,
    /// Seconds since its holder's last heartbeat.
    pub age: u64,
    /// Who has it; `None` where that cannot be read.
    pub holder: Option<Holder>,
}

impl Held {
    /// Who has it, for people.
    #[must_use]
    pub fn whose(&self) -> String {
        self.holder.as_ref().map_or_else(|| "another run".to_owned(), ToString::to_string)
    }

    /// Whether its holder is gone: three heartbeats did not come.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.age > 3 * BEAT.as_secs() || self.holder.as_ref().is_some_and(Holder::gone)
    }

    /// Tells it from every other lease.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { token: self.token, owner: self.holder.as_ref().and_then(|holder| holder.owner.clone()) }
    }
}

/// The host's answer to [`acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is ours, under this token.
    Ours(u64),
    /// Another has it.
    Held(Held),
}

/// Reads the lease into `$token`, `$beat`, `$boot`, `$holder`, `$age`; `$fresh` is empty unless it holds: it expires 60
/// seconds after its last beat. A lease from before the host last started holds no more: what its holder began there has
/// ended too. The function `number` succeeds for a count of leases, which no shell takes for octal.
const READ: &str = r#"number() { case "$1" in '' | *[!0-9]* | 0?* | ????????????????*) return 1 ;; esac; }
token= beat= boot= holder= fresh=
[ ! -s "$state/lease" ] || IFS=' ' read -r token beat boot holder < "$state/lease" || true
now=$(cut -d. -f1 /proc/uptime)
number "$token" && number "$beat" || { token= beat=$((now + 1)); }
age=$((now - beat))
[ "$boot" != "$(cat /proc/sys/kernel/random/boot_id)" ] || [ "$age" -lt 0 ] || [ "$age" -gt 60 ] || fresh=yes
"#;

/// Shell that keeps others from reading or changing the lease until the script ends.
const LOCK: &str = "exec 8> \"$state/lease.lock\"\ntimeout 20 flock 8 || exit 75\n";

/// Shell that asks for the lease, in a subshell that prints its errors, too. `over` is a lease whose holder is known to be
/// gone. The new token is above every trace of the last: the count, the lease itself, the note of the last command, and
/// `floor`, the last one that is known here, and at most 2^40 above `floor`: a higher trace does not count. A host whose count
/// is damaged says so, and goes on from its clock's seconds, more than any count can be.
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
write_whole "$state/lease" '%s\n' "$token $now $(cat /proc/sys/kernel/random/boot_id) "{holder} || exit 1
echo "lease $token""#,
        over = over.map_or_else(|| "false".to_owned(), Key::test),
        floor = believed(floor),
        highest = highest(floor),
        holder = quote(&holder.line()),
    )
}

/// A line of the answer from a host with a damaged count.
const DAMAGED: &str = "damaged";

/// Says whether an answer to [`acquire`] reports a damaged count.
#[must_use]
pub fn damaged(output: &[u8]) -> bool {
    output.split(|byte| *byte == b'\n').any(|line| line == DAMAGED.as_bytes())
}

/// Reads the answer of [`acquire`] with the same `floor`. Refuses a token that its script cannot issue.
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

/// Shell that prints who has the lease, if anybody.
#[must_use]
pub fn look() -> String {
    format!("{READ}[ -z \"$fresh\" ] || printf 'held %s %s %s\\n' \"$token\" \"$age\" \"$holder\"\n")
}

/// Shell that goes on only under this lease; for the beginning of every script that changes the host.
#[must_use]
pub fn guard(key: &Key) -> String {
    let (status, words) = LOST;
    format!("{READ}[ -n \"$fresh\" ] && {} || {{ echo {words:?} >&2; exit {status}; }}\n", key.test())
}

/// Shell that notes a sign of life of the lease's holder. After a power cut no lease holds, so it need not be synced:
/// a disk that is busy for a minute costs nobody the lease.
#[must_use]
pub fn beat(key: &Key) -> String {
    format!(
        "umask 077\n{LOCK}{}{WRITE_WHOLE}flush=:\nwrite_whole \"$state/lease\" '%s\\n' \"$token $now $boot $holder\"\n",
        guard(key)
    )
}

/// Shell that gives the lease back, and fills the reserve that the work under it may have used.
#[must_use]
pub fn release(key: &Key) -> String {
    format!("umask 077\n{LOCK}{}rm -f \"$state/lease\"\n{RESERVE}", guard(key))
}
