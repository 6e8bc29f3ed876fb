//! Replays of attacks that need no host: each asserts that the victim is untouched and that honest use still works.
//! Replays on hosts of the test bed are in `tests/live/attack_*.rs`. `SECURITY.md` names the promises that these tests
//! hold.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::disallowed_methods, reason = "tests start programs themselves")]

mod backup_archive;
mod backup_data;
mod backup_scene;
mod bounded_work;
mod directory;
mod disks;
mod early_secrets;
mod endless_answers;
mod environment_leaks;
mod forged_plan;
mod guard;
mod half_written;
mod host_text;
mod image_names;
mod inventory;
mod key_outlives;
mod mounts;
mod named_files;
mod offline;
mod offline_uncompared;
mod output;
mod outside;
mod rendering;
mod review;
mod review_attributes;
mod review_gaps;
mod review_keys;
mod review_links;
mod review_repository;
mod review_values;
mod saved_texts;
mod secrets;
mod store;
mod tofu_directory;
mod unshown_plan;
mod validated;

/// A test holds each promise of `SECURITY.md`.
#[test]
fn each_promise_names_a_test_that_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let (_, table) = text.split_once("| promise | test |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 15, "{rows:?}");
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in tests.split(", ").map(|name| name.trim_matches('`')) {
            let directory = if name.starts_with("attack_") { "tests/live" } else { "tests/attacks" };
            let file = root.join(directory).join(format!("{name}.rs"));
            assert!(file.exists() || (name.contains('/') && root.join(name).exists()), "{row}: no {}", file.display());
        }
    }
}
