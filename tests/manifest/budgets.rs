//! Large and hostile manifests, in limited time. Measures only orders of magnitude.

use super::{parse, rendered};
use std::fmt::Write;
use std::time::Duration;

/// Returns the result of `work` and its processor time in this thread, which excludes the load of other processes.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let used = || -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let start = used();
    let result = work();
    (result, Duration::from_nanos(used() - start))
}

/// Returns ten thousand environments, each with every section; `merge` adds an alias of a common part to each.
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
        let (manifest, took) = timed(|| parse(&text));
        let manifest = manifest.unwrap_or_else(|failures| panic!("{}", rendered(&failures)));
        assert_eq!(manifest.environments.len(), 10_000);
        assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 }), "took {took:?}");
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
        let (failures, took) = timed(|| parse(&text).unwrap_err());
        assert!(failures[0].message().contains("aliases"), "{}", rendered(&failures));
        assert!(took < Duration::from_millis(if cfg!(debug_assertions) { 1_500 } else { 100 }), "took {took:?}");
    }
}

#[test]
fn manifests_that_are_too_large_are_refused() {
    let head = "version: 1\nproject: shop\n";
    let many = format!("{head}x-many: [{}]\n", "0,".repeat(2_000_000));
    let failures = parse(&many).unwrap_err();
    assert_eq!(failures[0].message(), "The manifest contains more than two million values");
    let long = format!("{head}# {}\n", "x".repeat(16 * 1024 * 1024));
    let failures = parse(&long).unwrap_err();
    assert_eq!(failures[0].message(), "The manifest is larger than 16 MiB");
}
