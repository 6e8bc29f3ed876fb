//! deployer: one manifest, one engine.
//!
//! ```text
//! deployment.yaml ─ manifest ─▶ State (desired)  ─┐
//!                                                 ├─ diff ─▶ steps ─ plan (petgraph) ─ execute ─▶ events ─▶ render
//! hosts, OpenTofu ─ survey ───▶ State (observed) ─┘                        │
//!                                                                           └─▶ store (observed state, history)
//! ```
//!
//! In between, `session` is one environment in a run: its host, its lease, what was seen there and what runs there.
//! `step` knows each kind of change as text, `host` carries text there, `machine` has OpenTofu (`tofu`) make the host.
//!
//! Invariants:
//! - Never is anything but an observation saved as observed state.
//! - Never does a step run that the plan did not show.
//! - Never is a service stopped before its successor was validated.
//! - Never is a file removed from a host that a release of ours did not put there.
//! - Never does a secret's value reach the store, a plan, an event, a log or a process's arguments.
//! - Never does a firewall change outlast a host that could not be reached anew after it.
//! - Never is a host key left unchecked.
//! - Never is anything destroyed without consent by name.

pub mod against;
pub mod application;
pub mod below;
pub mod bounded;
pub mod check;
pub mod checked;
pub mod cli;
pub mod connect;
pub mod diff;
mod digest;
pub mod directory;
pub mod disk;
pub mod event;
pub mod examine;
pub mod execute;
pub mod failure;
#[doc(hidden)]
pub mod foreign;
pub mod holder;
pub mod host;
pub mod import;
pub mod machine;
pub mod manifest;
pub mod orphan;
pub mod plan;
pub mod prepare;
pub mod preview;
pub mod process;
pub mod proof;
pub mod reconcile;
pub mod render;
pub mod saved;
pub mod scope;
pub mod scratch;
pub mod secret;
pub mod session;
pub mod shell;
pub mod smoke;
pub mod standing;
pub mod state;
pub mod step;
pub mod store;
pub mod survey;
pub mod template;
pub mod tofu;
pub mod watch;
pub mod web;
