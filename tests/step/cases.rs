//! Each case is one recording, `tests/cases/step/KIND/NAME.txt`, next to the facts and commands that its resource
//! derives from it. Frames that a recording omits are taken from `converged.txt`. The first case that has a command
//! shows its script; the others show its title, and the lines of their scripts that differ from that one.

use crate::given::{Given, given, root};
use camino::{Utf8Path, Utf8PathBuf};
use deployer::model::diff;
use deployer::model::input::Input;
use deployer::model::state::Kind;
use deployer::release::sent::Release;
use deployer::resource::images::registry;
use deployer::resource::{self, Command};
use secrecy::ExposeSecret as _;
use similar::{Change, ChangeTag, TextDiff};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[test]
fn each_recording_becomes_the_facts_and_commands_next_to_it() {
    let mut seen = 0;
    // Infrastructure has no probe: its facts come from OpenTofu.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Infrastructure) {
        let (directory, mut scripts) = (root().join(kind.name()), Scripts::new());
        for path in recordings(&directory) {
            let shown = match given(&path) {
                Ok(given) => shown(kind, &given, &mut scripts),
                Err(message) => format!("unreadable: {message}\n"),
            };
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&directory);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap(), shown));
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} cases were found");
}

fn recordings(directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = directory.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension() == Some("txt")).collect();
    paths.sort();
    paths
}

/// Title of a command → the first script with that title.
type Scripts = BTreeMap<String, String>;

fn shown(kind: Kind, given: &Given, scripts: &mut Scripts) -> String {
    let subject = given.subject();
    let (observed, desired) = (resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    let of = |state: &deployer::model::state::State| state.0.get(&kind).cloned().unwrap_or_default();
    let mut text = String::new();
    for (fact, value) in of(&observed) {
        writeln!(text, "{fact}: {value}").unwrap();
    }
    let changes = diff::changes(&of(&observed), &of(&desired));
    for change in &changes {
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        writeln!(text, "differs: {}: {} -> {}", change.fact, word(&change.from), word(&change.to)).unwrap();
    }
    let unasked = registry::unasked(&subject, &given.facts);
    if kind == Kind::Images && !unasked.is_empty() {
        text += &command_text(&registry::ask(&subject, &unasked), "", scripts);
    }
    if let Some(failure) = resource::preflight(kind, &subject, &given.facts) {
        writeln!(text, "refused: {}: {}", failure.reason.code(), failure.message()).unwrap();
        return text;
    }
    if changes.is_empty() {
        return text + "as wanted\n";
    }
    match resource::commands(kind, &subject, &given.facts, "NEW") {
        Ok(commands) => {
            for command in &commands {
                text += &command_text(command, &subject.preamble(), scripts);
            }
        }
        Err(failure) => writeln!(text, "no way: {}: {}", failure.reason.code(), failure.message()).unwrap(),
    }
    if let Some(last) = resource::services::finish(&subject, &given.facts).filter(|_| kind == Kind::Services) {
        text += &command_text(&last, &subject.preamble(), scripts);
    }
    if kind == Kind::Firewall {
        let mut changes = changes;
        resource::firewall::remark(&subject, &given.facts, &mut changes);
        changes
            .iter()
            .filter_map(|change| change.note.as_ref())
            .for_each(|note| writeln!(text, "\nnote: {note}").unwrap());
    }
    text
}

/// Scripts in separate files, which are shown by name instead of text.
const FILES: [(&str, &str); 11] = [
    ("guard.sh", include_str!("../../src/model/shell/guard.sh")),
    ("engine.sh", include_str!("../../src/model/shell/engine.sh")),
    ("writable.sh", include_str!("../../src/model/shell/writable.sh")),
    ("claimed.sh", include_str!("../../src/model/shell/claimed.sh")),
    ("claims.sh", include_str!("../../src/resource/contract/claims/claims.sh")),
    ("mounted.sh", include_str!("../../src/model/shell/mounted.sh")),
    ("model.sh", include_str!("../../src/resource/files/model.sh")),
    ("ask.sh", include_str!("../../src/resource/images/ask.sh")),
    ("host.sh", include_str!("../../src/resource/firewall/host.sh")),
    ("change.sh", include_str!("../../src/resource/firewall/change.sh")),
    ("proof.sh", include_str!("../../src/resource/firewall/proof.sh")),
];

fn command_text(command: &Command, preamble: &str, scripts: &mut Scripts) -> String {
    let Command { title, script, input, limit, reason } = command;
    let mut script = script.strip_prefix(preamble).unwrap_or(script).to_owned();
    for (name, text) in FILES {
        script = script.replace(text, &format!("# {name}\n"));
    }
    let line = |mark: char, line: &str| format!("  {mark} {line}").trim_end().to_owned() + "\n";
    let lines: String = match scripts.get(title) {
        None => script.lines().map(|text| line('|', text)).collect(),
        Some(first) => {
            let differing = |change: Change<&str>| match change.tag() {
                ChangeTag::Equal => None,
                ChangeTag::Delete => Some(line('-', change.value())),
                ChangeTag::Insert => Some(line('+', change.value())),
            };
            TextDiff::from_lines(first, &script).iter_all_changes().filter_map(differing).collect()
        }
    };
    scripts.entry(title.clone()).or_insert(script);
    format!("\n{title} (within {} s, else {})\n{lines}{}", limit.as_secs(), reason.code(), input_text(input))
}

fn input_text(input: &Input) -> String {
    match input {
        Input::Empty => String::new(),
        Input::File(path) => format!("  < {path}\n"),
        Input::Bytes(bytes) => match String::from_utf8_lossy(bytes.expose_secret()) {
            text if text.starts_with('{') => format!("  < {text}\n"),
            text if text.ends_with("}\n") => text.lines().fold(String::new(), |all, line| all + "  < " + line + "\n"),
            text => format!("  < {} bytes\n", text.len()),
        },
        Input::Stream(stream) => {
            let mut bytes = Vec::new();
            stream.write(&mut bytes).unwrap();
            let mut archive = tar::Archive::new(bytes.as_slice());
            let line = |entry: tar::Entry<'_, &[u8]>| {
                let header = entry.header();
                format!(
                    "  < {:04o} {} ({} bytes)\n",
                    header.mode().unwrap(),
                    entry.path().unwrap().display(),
                    entry.size()
                )
            };
            archive.entries().unwrap().map(|entry| line(entry.unwrap())).collect()
        }
    }
}

/// The laws use the release of this case, too.
#[test]
fn the_converged_host_needs_nothing_and_its_probe_names_every_file() {
    let given = given(&root().join("converged.txt")).unwrap();
    let subject = given.subject();
    assert_eq!(resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    let probe = resource::probe(&subject);
    let Release { files, .. } = given.release.as_ref().unwrap();
    assert!(files.keys().all(|path| probe.contains(&format!(" {path}\n"))), "{probe}");
    assert!(!probe.contains("s3cret-token"), "a secret in the probe");
}

/// Returns the kinds that a probe after the step of a kind asks for.
fn asked(step: Option<Kind>) -> Vec<Kind> {
    let given = given(&root().join("converged.txt")).unwrap();
    let probe = resource::probe_of(&given.subject(), resource::changed_by(step));
    Kind::ALL.into_iter().filter(|kind| probe.contains(&format!(" begin {}\\n", kind.name()))).collect()
}

#[test]
fn a_look_after_a_step_reads_what_the_step_can_have_changed() {
    use Kind::{Access, Files, Firewall, Images, Schedules, Scripts, Services};
    assert_eq!(asked(Some(Files)), [Access, Files]);
    assert_eq!(asked(Some(Images)), [Access, Files, Images, Services]);
    assert_eq!(asked(Some(Services)), [Access, Scripts, Files, Images, Firewall, Services]);
    assert_eq!(asked(Some(Schedules)), [Access, Schedules]);
    // An installation, a script of the user and a rule of the firewall can change everything, and others look first.
    let all: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Infrastructure).collect();
    for step in [None, Some(Access), Some(Kind::Engine), Some(Kind::Updates), Some(Scripts), Some(Firewall)] {
        assert_eq!(asked(step), all, "{step:?}");
    }
}

#[test]
fn what_a_look_leaves_out_stays_as_it_was_and_what_it_reads_is_new() {
    let given = given(&root().join("converged.txt")).unwrap();
    let marks = crate::given::marks();
    let whole = String::from_utf8(crate::given::output("")).unwrap();
    let without = |text: &str, kind: Kind| {
        let (before, rest) = text.split_once(&format!("{} begin {}\n", marks.as_str(), kind.name())).unwrap();
        let (_, after) = rest.split_once(&format!("{} end {} 0\n", marks.as_str(), kind.name())).unwrap();
        format!("{before}{after}")
    };
    let left_out = without(&without(&whole, Kind::Engine), Kind::Schedules);
    assert!(resource::parse(&marks, left_out.as_bytes()).is_err(), "a look that was cut short is none");
    let kinds = resource::changed_by(Some(Kind::Services));
    let mut before = given.facts.clone();
    before.unread.insert(Kind::Schedules, "it did not end in time".to_owned());
    before.unread.insert(Kind::Services, "it did not end in time".to_owned());
    before.services.containers.clear();
    let facts = resource::parse_of(&marks, left_out.as_bytes(), kinds, &before).unwrap();
    assert_eq!(facts.engine, given.facts.engine);
    assert!(facts.engine.server.is_some());
    assert_eq!(facts.unread.keys().copied().collect::<Vec<_>>(), [Kind::Schedules]);
    assert_eq!(facts.services.containers.len(), given.facts.services.containers.len());
    let short = without(&left_out, Kind::Services);
    assert!(resource::parse_of(&marks, short.as_bytes(), kinds, &before).is_err(), "a look that was cut short is none");
}

/// Services can slow down the probe of their files, and nothing else.
#[test]
fn a_look_at_files_that_is_late_is_one_fact_and_what_the_host_keeps_is_known() {
    let given = given(&root().join("converged.txt")).unwrap();
    let subject = given.subject();
    let mark = crate::given::marks();
    let whole = crate::given::output("");
    let end = format!("\n{} end files ", mark.as_str());
    let at = whole.windows(end.len()).position(|window| window == end.as_bytes()).unwrap();
    let ended = |said: &[u8]| [&whole[..at], said, end.as_bytes(), b"124", &whole[at + end.len() + 1..]].concat();
    assert!(resource::parse(&mark, &ended(b"")).is_err(), "what the host keeps may not be all");
    let late = ended(b"\0kept \0in 1 .\0other 1");
    let facts = resource::parse(&mark, &late).unwrap();
    assert_eq!(facts.unread.keys().collect::<Vec<_>>(), [&Kind::Files]);
    assert!(facts.files.current.is_some() && facts.files.current == given.facts.files.current);
    let observed = resource::observed(&subject, &facts);
    assert_eq!(observed.0[&Kind::Files].len(), 1);
    assert_eq!(observed.0[&Kind::Services], resource::desired(&subject, &facts).0[&Kind::Services]);
    let refused = resource::preflight(Kind::Files, &subject, &facts).unwrap();
    assert_eq!(refused.message(), "The files probe cannot be read: it did not end in time");
    let removal = resource::remove::commands(Kind::Files, &subject, &facts, false);
    assert_eq!(removal[0].script, resource::remove::commands(Kind::Files, &subject, &given.facts, false)[0].script);
    assert!(removal[0].script.contains("\nhtml/index.html\n"));
}

/// An upgrade: the host recorded a plain digest of a file that is secret now.
#[test]
fn a_file_that_becomes_secret_is_not_a_change_and_its_plain_digest_is_not_shown() {
    let mut given = given(&root().join("converged.txt")).unwrap();
    let page = Utf8Path::new("html/index.html");
    given.release.as_mut().unwrap().files.get_mut(page).unwrap().secret = true;
    let subject = given.subject();
    let (observed, desired) = (resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    assert_eq!(observed, desired);
    assert!(desired.0[&Kind::Files][page.as_str()].contains(" keyed:"));

    // Another file changes: the record of the next release keeps the place of this file.
    let compose = Utf8Path::new("compose.yaml");
    given.release.as_mut().unwrap().files.get_mut(compose).unwrap().mode = 0o755;
    let subject = given.subject();
    let commands = resource::files::commands(&subject, &given.facts, "NEW").unwrap();
    let kept = r#""html/index.html":{"value":"0644 sha256:fce5aec33b55493ef2cbe71fc0d164d8","placed":"20261122T170032Z-655f","bytes":9}"#;
    assert!(commands[0].script.contains(kept), "{}", commands[0].script);

    // The file itself changes: both digests are keyed, so that the previous content is not shown either.
    let file = given.release.as_mut().unwrap().files.get_mut(page).unwrap();
    (file.sha256, file.mode) = (Some([7; 32]), 0o600);
    let subject = given.subject();
    let (observed, desired) = (resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    for state in [&observed, &desired] {
        assert!(state.0[&Kind::Files][page.as_str()].contains(" keyed:"), "{state:?}");
    }
}

/// A pull request cannot make a plan show the old content of a secret file by declaring that the file is not secret.
#[test]
fn a_secret_file_that_changes_and_ceases_to_be_secret_keeps_its_keyed_digest_until_it_was_released() {
    let mut given = given(&root().join("converged.txt")).unwrap();
    let file = given.release.as_mut().unwrap().files.get_mut(Utf8Path::new(".env")).unwrap();
    file.secret = false;
    let subject = given.subject();
    assert_eq!(
        resource::observed(&subject, &given.facts),
        resource::desired(&subject, &given.facts),
        "unchanged: no change"
    );
    let file = given.release.as_mut().unwrap().files.get_mut(Utf8Path::new(".env")).unwrap();
    file.sha256 = Some([7; 32]);
    let subject = given.subject();
    let (observed, desired) = (resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    assert!(observed.0[&Kind::Files][".env"].contains(" keyed:"), "{observed:?}");
    assert!(desired.0[&Kind::Files][".env"].contains(" sha256:"), "{desired:?}");
}
