//! The lease of an environment, as the host keeps it: who works on it, under which fencing token, and when that
//! was last heard. The host issues tokens, and its own clock since it started decides what has expired, so that no
//! runner's clock matters. Never does a script change the host under a token that another one followed.

use crate::holder::Holder;
use crate::shell::quote;

/// What a script says and how it ends whose lease is lost.
pub const LOST: (i32, &str) = (76, "deployer: the lease is lost");

/// The lease as the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its fencing token.
    pub token: u64,
    /// Seconds since its holder was last heard.
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
}

/// What came of asking for the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is ours, under this token.
    Ours(u64),
    /// Another has it.
    Held(Held),
}

/// Reads the lease into `$token`, `$beat`, `$boot`, `$holder`, `$age`; `$fresh` is empty unless it holds: it
/// expires 60 seconds after its last beat. A lease of
/// before the host last started holds no more: what its holder began there has ended too.
const READ: &str = r#"token= beat= boot= holder= fresh=
[ ! -s "$state/lease" ] || IFS=' ' read -r token beat boot holder < "$state/lease" || true
now=$(cut -d. -f1 /proc/uptime)
case "$token:$beat" in :* | *: | *[!0-9:]*) token= beat=$((now + 1)) ;; esac
age=$((now - beat))
[ "$boot" != "$(cat /proc/sys/kernel/random/boot_id)" ] || [ "$age" -lt 0 ] || [ "$age" -gt 60 ] || fresh=yes
"#;

/// Shell that asks for the lease. `over` is a token whose holder is known to be gone; the new one is above `floor`, the
/// last one that is known here, also on a host that lost its own count.
#[must_use]
pub fn acquire(holder: &Holder, over: Option<u64>, floor: u64) -> String {
    format!(
        r#"umask 077
mkdir -p "$state"
chmod 0700 "$state"
exec 8> "$state/lease.lock"
timeout 20 flock 8
{READ}if [ -n "$fresh" ] && [ "$token" != {over} ]; then
  printf 'held %s %s %s\n' "$token" "$age" "$holder"
  exit 0
fi
last=$(cat "$state/token" 2>/dev/null || true)
case "$last" in '' | *[!0-9]*) last=${{token:-0}} ;; esac
[ "$last" -ge {floor} ] || last={floor}
token=$((last + 1))
echo "$token" > "$state/token.new"
mv "$state/token.new" "$state/token"
printf '%s %s %s %s\n' "$token" "$now" "$(cat /proc/sys/kernel/random/boot_id)" {holder} > "$state/lease.new"
mv "$state/lease.new" "$state/lease"
echo "lease $token""#,
        over = over.map_or_else(|| "none".to_owned(), |token| token.to_string()),
        holder = quote(&holder.line()),
    )
}

/// Reads the answer of [`acquire`], or the line of [`look`].
#[must_use]
pub fn parse(output: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(output);
    text.lines().find_map(|line| {
        if let Some(token) = line.strip_prefix("lease ") {
            return token.trim().parse().ok().map(Answer::Ours);
        }
        let mut words = line.strip_prefix("held ")?.splitn(3, ' ');
        let (token, age) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Answer::Held(Held { token, age, holder: words.next().and_then(Holder::parse) }))
    })
}

/// Shell that tells who has the lease, if anybody.
#[must_use]
pub fn look() -> String {
    format!("{READ}[ -z \"$fresh\" ] || printf 'held %s %s %s\\n' \"$token\" \"$age\" \"$holder\"\n")
}

/// Shell that goes on only under this token; for the beginning of every script that changes the host.
#[must_use]
pub fn guard(token: u64) -> String {
    let (status, words) = LOST;
    format!("{READ}[ -n \"$fresh\" ] && [ \"$token\" = {token} ] || {{ echo {words:?} >&2; exit {status}; }}\n")
}

/// Shell that lets the host hear that the holder is still there.
#[must_use]
pub fn beat(token: u64) -> String {
    format!(
        "exec 8> \"$state/lease.lock\"\ntimeout 20 flock 8\n{}printf '%s %s %s %s\\n' \"$token\" \"$now\" \"$boot\" \"$holder\" \
         > \"$state/lease.new\"\nmv \"$state/lease.new\" \"$state/lease\"",
        guard(token)
    )
}

/// Shell that gives the lease back.
#[must_use]
pub fn release(token: u64) -> String {
    format!("exec 8> \"$state/lease.lock\"\ntimeout 20 flock 8\n{}rm -f \"$state/lease\"", guard(token))
}
