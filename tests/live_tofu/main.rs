//! The code that runs OpenTofu, and the machines that deployer creates with it, against the real OpenTofu of `tests/bed
//! tofu`. They are built only if they are named, and run only where OpenTofu can be built, so that none is ever skipped
//! and counted as passed.

#![expect(clippy::disallowed_methods, reason = "tests start programs and read the environment themselves")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../hetzner_api/mod.rs"]
mod hetzner_api;

#[path = "../live/bed.rs"]
#[expect(dead_code, reason = "the hosts that exist are the other live tests'")]
mod bed;

mod hetzner;
mod interrupted;
mod kept;
mod lxd;
mod provision;
mod runs;
mod scene;
mod server;
