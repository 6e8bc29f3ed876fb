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

pub mod cli;
#[doc(hidden)]
pub mod foreign;
pub mod io;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod reconcile;
pub mod release;
pub mod render;
pub mod resource;
pub mod smoke;
