//! An attacker who can write a saved plan's file, but cannot read any host's key, changes the contents or inputs of the
//! plan and recomputes its digest. Such a file is refused. The file that deployer wrote is still accepted.

use camino::Utf8Path;
use deployer::model::event::{Action, Change, PlanView, PlannedStep, StepReason};
use deployer::model::state::{Kind, State};
use deployer::plan::saved::{Bound, SavedFile, SavedPlan, Seal};
use deployer::resource::contract::record::DigestKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A change of a saved plan's file.
type Forge = fn(&mut Value);

fn step(environment: &str, diff: &str) -> PlannedStep {
    let change = Change {
        fact: "index.html".to_owned(),
        from: Some("0644 sha256:00".to_owned()),
        to: Some("0644 sha256:11".to_owned()),
        diff: Some(diff.to_owned()),
        note: None,
    };
    PlannedStep {
        environment: environment.to_owned(),
        kind: Kind::Files,
        action: Action::Update,
        reason: StepReason::Differs,
        destructive: false,
        changes: vec![change],
    }
}

fn bound() -> Bound {
    let facts = State([(Kind::Files, [("index.html".to_owned(), "0644 sha256:00".to_owned())].into())].into());
    Bound { key: "0".repeat(32), inputs: [("file index.html".to_owned(), "1".repeat(32))].into(), serial: 7, facts }
}

fn plan() -> SavedPlan {
    SavedPlan {
        made_at: jiff::Timestamp::UNIX_EPOCH,
        by: "ci@runner".to_owned(),
        named: false,
        environments: ["production", "staging"].map(|name| (name.to_owned(), bound())).into(),
        plan: PlanView {
            project: "shop".to_owned(),
            steps: vec![step("production", "-one\n+two"), step("staging", "-one\n+two")],
            ..PlanView::default()
        },
    }
}

fn keys() -> BTreeMap<String, DigestKey> {
    [("production".to_owned(), DigestKey::new([1; 32])), ("staging".to_owned(), DigestKey::new([2; 32]))].into()
}

/// Returns the file with its body changed and its digest recomputed, which needs no key.
fn forged(forge: impl FnOnce(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(&SavedFile::seal(plan(), &keys()).text()).unwrap();
    forge(&mut file);
    file["digest"] = blake3::hash(file["body"].to_string().as_bytes()).to_hex()[..32].into();
    file.to_string()
}

fn read(text: &str) -> SavedFile {
    SavedFile::parse(text, Utf8Path::new("p.plan")).unwrap()
}

#[test]
fn a_changed_file_does_not_match_its_seals() {
    let untouched = read(&forged(|_| {}));
    assert_eq!(untouched, SavedFile::seal(plan(), &keys()));
    for (name, key) in keys() {
        assert_eq!(untouched.check(&name, &key), Seal::Whole);
        assert_eq!(untouched.check(&name, &DigestKey::new([3; 32])), Seal::Broken);
    }
    let attacks: [(&str, Forge); 9] = [
        ("diff", |file| file["body"]["plan"]["steps"][0]["changes"][0]["diff"] = "harmless".into()),
        ("fact", |file| file["body"]["plan"]["steps"][0]["changes"][0]["fact"] = "readme".into()),
        ("reason", |file| file["body"]["plan"]["steps"][1]["reason"] = "drifted".into()),
        ("step", |file| drop(file["body"]["plan"]["steps"].as_array_mut().unwrap().pop())),
        ("serial", |file| file["body"]["environments"]["staging"]["serial"] = 8.into()),
        ("fact on the host", |file| {
            file["body"]["environments"]["staging"]["facts"]["files"]["index.html"] = "x".into();
        }),
        ("input", |file| file["body"]["environments"]["production"]["inputs"] = json!({})),
        ("named", |file| file["body"]["named"] = true.into()),
        ("maker", |file| file["body"]["by"] = "alice@laptop".into()),
    ];
    for (what, attack) in attacks {
        let file = read(&forged(attack));
        // A change that concerns one environment breaks every seal: the key of one host cannot forge the part of
        // another.
        for (name, key) in keys() {
            assert_eq!(file.check(&name, &key), Seal::Broken, "{what}, {name}");
        }
    }
    // The seal of one environment is invalid for another.
    let swapped = read(&forged(|file| file["seals"]["staging"] = file["seals"]["production"].clone()));
    assert_eq!(swapped.check("staging", &keys()["staging"]), Seal::Broken);
    assert_eq!(swapped.check("staging", &keys()["production"]), Seal::Broken);
    let unbound = forged(|file| drop(file["body"]["environments"].as_object_mut().unwrap().remove("staging")));
    assert!(SavedFile::parse(&unbound, Utf8Path::new("p.plan")).is_err(), "steps that rest on nothing");
}

#[test]
fn a_file_without_seals_does_only_what_it_shows() {
    let strip = |file: &mut Value| drop(file.as_object_mut().unwrap().remove("seals"));
    let now = [step("production", "-one\n+two"), step("staging", "-one\n+two")];
    let moved = |file: &SavedFile, now: &[PlannedStep]| {
        assert_eq!(file.check("production", &keys()["production"]), Seal::Missing);
        file.plan.moved("production", &bound(), now, true)
    };
    // A file that an older deployer wrote works.
    assert_eq!(moved(&read(&forged(strip)), &now), Vec::<String>::new());
    // A file with any shown field changed is stale.
    for (field, value) in [("diff", "harmless"), ("to", "0644 sha256:22"), ("note", "restarts nothing"), ("fact", "x")]
    {
        let file = read(&forged(|file| {
            strip(file);
            file["body"]["plan"]["steps"][0]["changes"][0][field] = value.into();
        }));
        assert_eq!(moved(&file, &now).len(), 1, "{field}");
    }
    let other = read(&forged(|file| {
        strip(file);
        file["body"]["plan"]["steps"][0]["reason"] = "drifted".into();
    }));
    assert_eq!(moved(&other, &now).len(), 1);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let text = forged(|_| {});
    for cut in (0..text.len()).step_by(7) {
        assert!(SavedFile::parse(&text[..cut], Utf8Path::new("p.plan")).is_err());
    }
    for text in [
        "[".repeat(1 << 20),
        "{\"format\":1,\"digest\":\"\",\"body\":null}".to_owned(),
        "{\"format\":18446744073709551615}".to_owned(),
        "{\"format\":-1}".to_owned(),
        "null".to_owned(),
        String::new(),
        forged(|file| file["seals"] = 5.into()),
        forged(|file| file["seals"] = json!({"production": 5})),
    ] {
        assert!(SavedFile::parse(&text, Utf8Path::new("p.plan")).is_err(), "{text:.60}");
    }
}
