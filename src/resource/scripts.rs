//! Scripts: each of the user's own steps has a check that must pass. A script's undo is stored on the host before the
//! script first runs. A script that never had to run has no undo, so that state from before us is not undone.

use super::contract::exclusive;
use super::{Command, HostFacts, LONG, Subject};
use crate::manifest::environment::Script;
use crate::model::checked;
use crate::model::failure::Reason;
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::Facts;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Value of a script whose check passes.
const PASSES: &str = "passes";
/// Time limit of a check at each observation of the host, in seconds.
const CHECK: u64 = 10;

/// Scripts on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Script name → exit code of its check.
    pub checks: BTreeMap<String, u8>,
    /// The scripts that ran here, in the order of their first run.
    pub applied: Vec<Applied>,
    /// Names of scripts of this environment, each with the digest of the undo that another environment of the host
    /// keeps for it.
    pub elsewhere: Vec<(String, String)>,
}

/// Script that ran on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The script's name.
    pub name: String,
    /// Digest of the script's check and commands.
    pub made: String,
    /// Digest of the script's undo.
    pub undo: String,
}

/// Returns the shell that reads the scripts' state. Checks run concurrently, each with its time limit, and their output
/// is discarded.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let mut script = r#"if [ -e "$state/scripts/order" ]; then
  while read -r name made; do
    printf 'applied %s %s %s\n' "$name" "$made" "$(sha256sum < "$state/scripts/$name.undo")"
  done < "$state/scripts/order"
fi
"#
    .to_owned();
    let scripts = &subject.environment.scripts;
    if scripts.is_empty() {
        return script;
    }
    let _ = write!(
        script,
        r#"examine() {{
  code=0
  (cd / && exec timeout -k 1 {CHECK} sh -c "$2") </dev/null >/dev/null 2>&1 || code=$?
  printf 'check %s %s\n' "$1" $code
}}
elsewhere() {{
  for other in /var/lib/deployer/*/scripts/"$1".undo; do
    [ ! -e "$other" ] || [ "$other" = "$state/scripts/$1.undo" ] || printf 'elsewhere %s %s\n' "$1" "$(sha256sum < "$other")"
  done
}}
"#
    );
    for one in scripts {
        let _ = writeln!(script, "elsewhere {name}\nexamine {name} {} &", quote(&one.check), name = one.name);
    }
    script + "wait"
}

/// Reads the probe's lines.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["check", name, code] if checked::is_plain(name) => {
                seen.checks.extend(code.parse().ok().map(|code| (name.to_owned(), code)));
            }
            ["applied", name, made, undo, ..] if checked::is_plain(name) && checked::is_hex(made) => {
                let (name, made, undo) = (name.to_owned(), made.to_owned(), short(undo));
                seen.applied.push(Applied { name, made, undo });
            }
            ["elsewhere", name, undo, ..] if checked::is_plain(name) => {
                seen.elsewhere.push((name.to_owned(), short(undo)));
            }
            _ => {}
        }
    }
    seen
}

/// Returns the first digits of a digest, or an empty text if it is not a digest.
fn short(digest: &str) -> String {
    digest.chars().take_while(char::is_ascii_hexdigit).take(16).collect()
}

fn digest(text: &str) -> String {
    short(&HEXLOWER.encode(&Sha256::digest(text)))
}

fn undo(script: &Script) -> &str {
    script.undo.as_deref().unwrap_or_default().trim_end_matches('\n')
}

/// Returns the digest of a script's check and commands.
fn made(script: &Script) -> String {
    digest(&format!("{}\0{}", script.check, script.run))
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>) -> Facts {
    subject.environment.scripts.iter().map(|script| (script.name.to_string(), PASSES.to_owned())).collect()
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let seen = &host.scripts;
    let scripts = &subject.environment.scripts;
    let fact = |script: &Script| {
        let word = match seen.checks.get(script.name.as_str())? {
            0 => passing(seen, script),
            124 | 137 => "to be run (its check takes too long)",
            _ => "to be run",
        };
        Some((script.name.to_string(), word.to_owned()))
    };
    let mut facts: Facts = scripts.iter().filter_map(fact).collect();
    let gone = gone(subject, host).filter(|applied| applied.undo != digest(""));
    facts.extend(gone.map(|applied| (applied.name.clone(), "to be undone".to_owned())));
    facts
}

/// Returns the value of a script whose check passes. The value depends on the undo that the host keeps for the script.
fn passing(seen: &Seen, script: &Script) -> &'static str {
    let (name, undo) = (script.name.as_str(), digest(undo(script)));
    match seen.applied.iter().find(|applied| applied.name == name) {
        Some(applied) if applied.undo != undo => "passes, with another undo",
        // The last environment that is removed must undo it.
        None if script.undo.is_some() && seen.elsewhere.contains(&(name.to_owned(), undo)) => {
            "passes, kept by another environment"
        }
        _ => PASSES,
    }
}

/// Returns the scripts that ran here and are no longer in the manifest.
fn gone<'a>(subject: &'a Subject<'_>, host: &'a HostFacts) -> impl DoubleEndedIterator<Item = &'a Applied> {
    let wanted = |name: &str| subject.environment.scripts.iter().any(|script| script.name.as_str() == name);
    host.scripts.applied.iter().filter(move |applied| !wanted(&applied.name))
}

/// Returns true if a difference is drift: every script that must run already ran here in its present form.
#[must_use]
pub fn drifted(subject: &Subject<'_>, host: &HostFacts) -> bool {
    let facts = observed(subject, host);
    let ran = |script: &Script| {
        host.scripts.applied.iter().any(|it| it.name == script.name.as_str() && it.made == made(script))
    };
    let mut open = subject
        .environment
        .scripts
        .iter()
        .filter(|script| facts.get(script.name.as_str()).is_some_and(|value| value != PASSES));
    gone(subject, host).next().is_none() && open.all(ran)
}

/// Undoes the scripts that are no longer in the manifest, the newest first, and runs the others that need to run, in
/// the manifest's order.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let facts = observed(subject, host);
    let undone = gone(subject, host).rev().map(|applied| undoing(subject, &applied.name));
    let scripts = subject.environment.scripts.iter();
    let run = scripts.filter_map(|script| match facts.get(script.name.as_str())?.as_str() {
        PASSES => None,
        kept if kept.starts_with(PASSES) => Some(running(subject, script, true)),
        _ => Some(running(subject, script, false)),
    });
    undone.chain(run).collect()
}

/// Undoes every script that ran here, the newest first.
#[must_use]
pub fn removal(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    host.scripts.applied.iter().rev().map(|applied| undoing(subject, &applied.name)).collect()
}

fn command(subject: &Subject<'_>, title: String, script: &str) -> Command {
    let script = subject.preamble() + exclusive::HOST + script;
    Command { title, script, input: Input::Empty, limit: LONG, reason: Reason::ScriptFailed }
}

/// Shell that precedes any storing or undoing of a script. This shell removes leftovers of killed runs.
const PLACE: &str = r#"umask 077
mkdir -p "$state/scripts"
cd "$state/scripts"
rm -rf "$state"/script.??????
"#;

/// Returns shell that defines `keep`, which stores the script's undo and records that the script ran.
fn record(script: &Script) -> String {
    format!(
        r#"{PLACE}undo={undo}
keep() {{
  write_whole {name}.undo %s "$undo"
  [ -e order ] || : > order
  if grep -q '^{name} ' order; then order=$(sed 's/^{name} .*/{name} {made}/' order); else order=$(cat order; echo {name} {made}); fi
  write_whole order '%s\n' "$order"
}}
"#,
        undo = quote(undo(script)),
        name = script.name,
        made = made(script),
    )
}

/// Runs one script, unless its check passes by now: another environment of the host may have the same script. If `ours`
/// is true, the check passed during the observation, and the undo must be stored, because the environment that stored
/// it may have been removed meanwhile.
fn running(subject: &Subject<'_>, script: &Script, ours: bool) -> Command {
    let run = if script.run.starts_with("#!") { "\"$work/run\"" } else { "sh \"$work/run\"" };
    let kept_elsewhere = format!(
        r#"for other in /var/lib/deployer/*/scripts/{}.undo; do
    [ ! -s "$other" ] || [ "$(cat "$other")" != "$undo" ] || keep
  done"#,
        script.name
    );
    let text = format!(
        r#"{record}work=$(mktemp -d "$state/script.XXXXXX")
trap 'rm -rf "$work"' EXIT
printf '%s\n' {check} > "$work/check"
printf '%s\n' {text} > "$work/run"
chmod 0700 "$work/run"
passes() {{ (cd / && umask 022 && timeout -k 1 60 sh "$work/check" </dev/null {unlocked}); }}
if passes >/dev/null 2>&1; then
  {passed}
else
  keep
  (cd / && umask 022 && {run} </dev/null >&2 {unlocked}) || {{ code=$?; echo "The script {name} exited with $code" >&2; exit $code; }}
  passes >&2 || {{ echo "The script {name} ran, but its check does not pass" >&2; exit 1; }}
fi
"#,
        passed = if ours { "keep" } else { kept_elsewhere.as_str() },
        record = record(script),
        check = quote(&script.check),
        text = quote(script.run.trim_end_matches('\n')),
        name = script.name,
        unlocked = exclusive::UNLOCKED,
    );
    let title = if ours { "save the undo of script" } else { "run script" };
    command(subject, format!("{title} {}", script.name), &text)
}

/// Undoes one script, unless another environment of the host keeps the same undo for it.
fn undoing(subject: &Subject<'_>, name: &str) -> Command {
    let text = format!(
        r#"{PLACE}others=
for other in /var/lib/deployer/*/scripts/{name}.undo; do
  [ "$other" = "$state/scripts/{name}.undo" ] || ! cmp -s "$other" {name}.undo || others=yes
done
if [ -z "$others" ] && [ -s {name}.undo ]; then
  (cd / && umask 022 && sh "$state/scripts/{name}.undo" </dev/null >&2 {unlocked}) || {{
    code=$?
    echo "The undo of script {name} exited with $code; it is in $state/scripts/{name}.undo" >&2
    exit $code
  }}
fi
order=$(grep -v '^{name} ' order) || :
[ -z "$order" ] || write_whole order '%s\n' "$order"
rm -f {name}.undo
cd /
[ -n "$order" ] || rm -rf "$state/scripts"
"#,
        name = quote(name),
        unlocked = exclusive::UNLOCKED,
    );
    command(subject, format!("undo script {name}"), &text)
}
