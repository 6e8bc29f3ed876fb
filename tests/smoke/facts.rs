//! Each case is one recording of a host, `tests/cases/smoke/NAME.txt`, next to its verdicts. The script itself is run,
//! too.

use deployer::model::verdict::Vantage;
use deployer::smoke::facts::{Between, Subject, script, verdicts};
use jiff::Timestamp;
use std::fmt::Write as _;

/// Returns the time of the recordings: the host's clock shows 1795387568.6, and its answer arrived within 0.4 s.
fn between() -> Between {
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    Between { sent: at(1_795_387_568_400), heard: at(1_795_387_568_800) }
}

fn subject() -> Subject {
    Subject { projects: ["shop--prod".to_owned()].into(), directory: "/opt/it's here".to_owned() }
}

#[test]
fn each_recording_becomes_the_verdicts_next_to_it() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/smoke");
    let mut paths: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    assert!(paths.len() >= 6, "only {} cases were found", paths.len());
    for path in paths {
        let mut shown = String::new();
        for one in verdicts(&std::fs::read_to_string(&path).unwrap(), &subject(), between()) {
            assert_eq!((one.vantage, one.took.as_millis()), (Vantage::Inside, 400));
            writeln!(shown, "{:<8} {}: {}", one.judgement.name(), one.name, one.detail).unwrap();
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&directory);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), shown));
    }
}

#[tokio::test]
async fn the_script_runs_here_and_prints_each_kind() {
    let directory = tempfile::Builder::new().prefix("it's $(here)").tempdir().unwrap();
    let subject =
        Subject { projects: ["no--such".to_owned()].into(), directory: directory.path().display().to_string() };
    let argv = ["sh".to_owned(), "-c".to_owned(), script(&subject)];
    let limit = std::time::Duration::from_mins(1);
    #[expect(clippy::disallowed_methods, reason = "the clock that the script reads, too")]
    let sent = Timestamp::now();
    let finished = deployer::io::process::run(&argv, b"", limit).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "the clock that the script reads, too")]
    let heard = Timestamp::now();
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stderr.is_empty(), "{finished:?}");
    let found = verdicts(&String::from_utf8(finished.stdout).unwrap(), &subject, Between { sent, heard });
    let of = |name: &str| found.iter().find(|one| one.name.starts_with(name)).unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(of("clock").detail, "as this machine's");
    assert!(of("disk /").detail.contains("% used"));
    assert!(of("UDP drops in host").detail.contains("none") || of("UDP drops in host").detail.contains("lost"));
    of("conntrack");
    of("containers");
}
