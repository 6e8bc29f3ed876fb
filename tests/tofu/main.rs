//! Parsing of OpenTofu's output: `tests/cases/tofu` contains the output of the real program (`tests/tofu/record.sh`)
//! next to the parsed result. `UPDATE_CASES=1` writes the result. Does not start OpenTofu.

#![expect(clippy::disallowed_methods, reason = "a test reads its own setting")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use deployer::io::opentofu::{Left, Said, failure, judge, read_line, read_plan, read_state};
use deployer::model::failure::Reason;
use deployer::model::secret::Redactor;
use secrecy::SecretString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const CANARY: &str = "canary-4711";

fn cases(extension: &str) -> Vec<PathBuf> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/tofu");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    cases.sort();
    assert!(cases.len() >= 8, "{cases:?}");
    cases
}

fn hold(case: &Path, understood: &str) {
    assert!(!understood.contains(CANARY), "{} shows a secret:\n{understood}", case.display());
    let mut expected = case.as_os_str().to_owned();
    expected.push(".expected");
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(&expected, understood).unwrap();
    }
    let expected = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(understood, expected, "{}", case.display());
}

#[test]
fn plans() {
    // Even without a redactor that knows the secret, values that are marked as sensitive are not read.
    for case in cases("plan") {
        let shown = read_plan(&std::fs::read(&case).unwrap(), &Redactor::default()).unwrap();
        hold(&case, &format!("{shown:#?}\n"));
    }
}

#[test]
fn warnings_before_a_plan_are_no_part_of_it() {
    let plan = std::fs::read(cases("plan").remove(0)).unwrap();
    // As OpenTofu prints it if TF_CLI_CONFIG_FILE names a file that does not exist.
    let warned =
        [b"\nWarning: Unable to open CLI configuration file\n\nThe file {x} does not exist.\n\n", &plan[..]].concat();
    assert_eq!(read_plan(&warned, &Redactor::default()).unwrap(), read_plan(&plan, &Redactor::default()).unwrap());
}

#[test]
fn lines() {
    let redactor = Redactor::new(&[SecretString::from(CANARY)]);
    for case in cases("lines") {
        let (mut understood, mut found, mut rest) = (String::new(), Vec::new(), String::new());
        for line in std::fs::read_to_string(&case).unwrap().lines() {
            match read_line(line) {
                Said::Progress(text) => writeln!(understood, "progress: {}", redactor.redact(&text)).unwrap(),
                Said::Summary(counts) => writeln!(understood, "{counts:?}").unwrap(),
                Said::Other(text) => writeln!(rest, "{text}").unwrap(),
                Said::Diagnostic(diagnostic) => found.push(*diagnostic),
                Said::Nothing => {}
            }
        }
        for warning in found.iter().filter(|found| !found.is_error()) {
            writeln!(understood, "warning: {}", warning.line(&redactor)).unwrap();
        }
        let errors: Vec<_> = found.iter().filter(|found| found.is_error()).collect();
        if !errors.is_empty() {
            let failure = failure("tofu failed", &errors, &rest, &redactor);
            let (code, advice) = (failure.reason.code(), failure.advice().into_owned());
            let details = failure.details.clone().unwrap_or_default();
            writeln!(understood, "failure: {code}: {}\nhint: {advice}\n{details}", failure.message()).unwrap();
            assert!(errors.iter().all(|error| !error.wants_init()) || case.to_string_lossy().contains("no-init"));
        } else if !rest.is_empty() {
            writeln!(understood, "rest: {rest}").unwrap();
        }
        hold(&case, &understood);
    }
}

#[test]
fn other_text_is_kept_and_new_lines_are_skipped() {
    assert_eq!(read_line("panic: oh"), Said::Other("panic: oh".to_owned()));
    assert_eq!(read_line("[1]"), Said::Other("[1]".to_owned()));
    assert_eq!(read_line(" \n"), Said::Nothing);
    assert_eq!(read_line(r#"{"type":"of_the_future","hook":{"resource":{"addr":"a"}}}"#), Said::Nothing);
    assert_eq!(read_line(r#"{"type":"diagnostic"}"#), Said::Nothing);
    let bare = failure("tofu plan failed", &[], "killed", &Redactor::default());
    assert_eq!((bare.reason, bare.details.as_deref()), (Reason::ProvisionFailed, Some("killed")));
    assert!(read_plan(b"no plan", &Redactor::default()).is_err());
}

fn state(lineage: &str, serial: u64, size: &str) -> deployer::io::opentofu::State {
    let json = format!(
        r#"{{"version":4,"lineage":"{lineage}","serial":{serial},"outputs":{{"size":{{"value":"{size}"}}}},"resources":[
            {{"mode":"data","type":"t","name":"d","instances":[{{}}]}},
            {{"mode":"managed","type":"t","name":"gone","instances":[]}},
            {{"module":"module.m","mode":"managed","type":"t","name":"m","instances":[{{}}]}}]}}"#
    );
    read_state(json.as_bytes()).unwrap()
}

#[test]
fn states() {
    let read = state("a", 3, "small");
    assert_eq!(read.resources, ["module.m.t.m"]);
    assert_eq!(read.outputs.text("size").as_deref(), Some("small"));
    assert!(read_state(br#"{"version":3,"lineage":"a","serial":1}"#).unwrap_err().contains("its format is 3"));
    let error = read_state(format!("{{\"version\":4,\"lineage\":\"{CANARY}\",\"serial\":-1}}").as_bytes()).unwrap_err();
    assert!(!error.contains(CANARY), "{error}");

    assert_eq!(judge(&read, None), Left::Newest);
    assert_eq!(judge(&read, Some(&state("a", 2, "small"))), Left::Newest);
    assert_eq!(judge(&read, Some(&state("a", 3, "large"))), Left::Newest);
    assert_eq!(judge(&read, Some(&state("a", 3, "small"))), Left::Old);
    assert_eq!(judge(&read, Some(&state("a", 4, "large"))), Left::Old);
    assert_eq!(judge(&read, Some(&state("b", 1, "small"))), Left::Foreign);
}
