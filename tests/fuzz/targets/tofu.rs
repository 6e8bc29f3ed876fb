//! Output and files of OpenTofu.

use super::{bytes, read, target, text};
use crate::Target;
use deployer::io::opentofu::{Lock, Said, failure, judge, read_line, read_plan, read_state};
use deployer::model::secret::Redactor;

pub fn all() -> Vec<Target> {
    let state = r#"{"version":4,"terraform_version":"1.10.0","serial":3,"lineage":"l","outputs":{"address":{"value":"192.0.2.1","type":"string"},"s":{"value":["x"],"sensitive":true}},"resources":[{"mode":"managed","type":"hcloud_server","name":"machine","module":"module.a","instances":[{"attributes":{}}]}]}"#;
    let lock = r#"{"id":"a-b","holder":{"command":"apply","by":"a@b","pid":7,"boot":"x","start":9},"info":{"Created":"2026-11-26T00:00:00Z"}}"#;
    vec![
        target(
            "tofu-plan",
            read("tofu", &["plan"]),
            &["\"after_sensitive\":true", "\"values\":{", "\"child_modules\":[{"],
            plan,
        ),
        target("tofu-lines", read("tofu", &["lines"]), &["{\"type\":\"diagnostic\",", "\"snippet\":{", "1e308"], lines),
        target(
            "tofu-state",
            bytes(&[state]),
            &["\"instances\":[", "\"outputs\":{", "{\"mode\":\"managed\","],
            |bytes| {
                if let Ok(state) = read_state(bytes) {
                    let _ = judge(&state, Some(&state));
                }
            },
        ),
        target("state-lock", bytes(&[lock]), &["\"info\":{", "\"Created\":"], |bytes| {
            let _ = Lock::parse(&text(bytes)).map(|lock| lock.whose());
            let _ = deployer::model::holder::Holder::parse(&text(bytes));
        }),
    ]
}

fn plan(bytes: &[u8]) {
    let redactor = Redactor::new(&["canary-4711".into()]);
    if let Ok(shown) = read_plan(bytes, &redactor) {
        let _ = format!("{shown:?}");
    }
}

fn lines(bytes: &[u8]) {
    let redactor = Redactor::new(&["canary-4711".into()]);
    let mut found = Vec::new();
    for line in text(bytes).lines() {
        if let Said::Diagnostic(diagnostic) = read_line(line) {
            let _ = (diagnostic.line(&redactor), diagnostic.wants_init(), diagnostic.wants_other_versions());
            found.push(*diagnostic);
        }
    }
    let errors: Vec<_> = found.iter().filter(|found| found.is_error()).collect();
    let _ = failure("tofu failed", &errors, "rest", &redactor);
}
