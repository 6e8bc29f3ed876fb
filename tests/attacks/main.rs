//! Replays of attacks that need no host: each asserts that the victim is untouched and that honest use goes on.
//! Replays on hosts of the test bed are in `tests/live/attack_*.rs`; `SECURITY.md` names the promises they hold.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::disallowed_methods, reason = "tests start programs themselves")]

mod backup_archive;
mod backup_data;
mod backup_scene;
mod directory;
mod disks;
mod endless_answers;
mod environment_leaks;
mod forged_plan;
mod guard;
mod host_text;
mod key_outlives;
mod offline;
mod output;
mod rendering;
mod review;
mod review_links;
mod review_repository;
mod secrets;
