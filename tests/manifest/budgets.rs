//! Large and hostile manifests, in limited time. Never measures anything finer than an order.

use super::{parse, rendered};
use std::fmt::Write;
use std::time::Instant;

/// Ten thousand environments, each with every section; `merge` adds an alias of a common part to each.
fn many(merge: bool) -> String {
    let mut text =
        String::from("version: 1\nproject: shop\nx-base: &base\n  ssh: { user: deploy, port: 22, wait: 1m }\n");
    text.push_str("  health: { timeout: 3m, stable_for: 2s }\nenvironments:\n");
    for number in 0..10_000 {
        let merged = if merge { "    <<: *base\n" } else { "    ssh: { user: deploy, wait: 1m }\n" };
        writeln!(
            text,
            "  e{number}:\n{merged}    registered: {{ address: h{number}.example.com }}\n    application:\n      compose:\n        \
             directory: ./app\n        variables: {{ KEY: value, TAG: {{ from_env: TAG }} }}\n    checks:\n      - {{ name: \
             page, http: {{ port: 8080, path: /, contains: hello }} }}\n    depends_on: [e{}]",
            if number == 0 { 9_999 } else { number - 1 }
        )
        .unwrap();
    }
    text.replacen("    depends_on: [e9999]\n", "", 1)
}

#[test]
fn ten_thousand_environments_load() {
    for merge in [false, true] {
        let text = many(merge);
        let start = Instant::now();
        let manifest = parse(&text).unwrap_or_else(|failures| panic!("{}", rendered(&failures)));
        let took = start.elapsed();
        assert_eq!(manifest.environments.len(), 10_000);
        assert!(took.as_secs() < if cfg!(debug_assertions) { 10 } else { 1 }, "took {took:?}");
    }
}

#[test]
fn an_alias_bomb_is_refused_at_once() {
    for width in [2, 9, 60] {
        let mut text = String::from("version: 1\nproject: shop\nx-0: &l0 [x]\n");
        for level in 1..20 {
            let below = vec![format!("*l{}", level - 1); width].join(", ");
            writeln!(text, "x-{level}: &l{level} [{below}]").unwrap();
        }
        text.push_str("environments: *l19\n");
        let start = Instant::now();
        let failures = parse(&text).unwrap_err();
        let took = start.elapsed();
        assert!(failures[0].message.contains("aliases"), "{}", rendered(&failures));
        assert!(took.as_millis() < if cfg!(debug_assertions) { 1_000 } else { 100 }, "took {took:?}");
    }
}
