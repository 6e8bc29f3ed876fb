//! deployer: one manifest, one engine.
//!
//! ```text
//! deployment.yaml ─ manifest, release ─▶ State (desired)  ─┐
//!                                                          ├─ diff ─▶ steps ─ plan (petgraph) ─ execute ─▶ events ─▶ render
//! hosts, OpenTofu ─ observe ───────────▶ State (observed) ─┘                        │
//!                                                                                    └─▶ store (observed state, history)
//! ```
//!
//! | folder | holds |
//! |---|---|
//! | `cli` | the command line: one file a command, arguments in, exit code out |
//! | `render` | events as text, JSON, Markdown, GitHub workflow commands and `JUnit` reports; the only place that prints |
//! | `reconcile` | the engine, for any front: a `request` in a `context` runs a `pass` (`observe`, `propose`, `consent`, `execute`; `converge` has all of it); `look` only looks, `watch` repeats the pass; a `session` is one environment in a run, `machine` has OpenTofu make hosts, `compare` is `plan --against`, `entry` edits the manifest's file, `remote` runs a user's commands |
//! | `plan` | the graph of steps; saved plans |
//! | `resource` | each kind of thing on a host: the shell that reads it and the shell that changes it, as data |
//! | `release` | what is sent to a host: files, templates, archives, the tracker stack |
//! | `manifest` | `deployment.yaml` as written |
//! | `smoke` | the protocols that `deployer test` speaks |
//! | `io` | effects: SSH, OpenTofu, the state store, local processes, HTTP, files |
//! | `model` | data that all of them share; the `Front` that a run talks to |
//!
//! A folder imports only folders below it; `tests/fences.rs` has the table. `tests/front.rs` runs the engine without
//! the command line.
//!
//! Invariants:
//! - Only observations are saved as observed state.
//! - A step runs only if the plan showed it. `tests/attacks/unshown_plan.rs` holds this for changes by OpenTofu.
//! - A service stops only after its successor was validated.
//! - Only files that a release placed are removed from a host.
//! - The value of a secret reaches no store, plan, event, log or argument of a process.
//! - A firewall change is undone unless the host could be reached again after it.
//! - Every host key is checked.
//! - Nothing is destroyed without consent by name.

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
