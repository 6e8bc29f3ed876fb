//! The reconcile engine: observes hosts, proposes a plan, asks for consent, executes the plan, and repeats.

pub mod annotate;
pub mod compare;
pub mod connect;
pub mod consent;
pub mod context;
pub mod converge;
pub mod execute;
pub mod look;
pub mod machine;
pub mod observe;
pub mod orphan;
pub mod pass;
pub mod prepare;
pub mod propose;
pub mod saved;
pub mod session;
pub mod signals;
pub mod stack;
pub mod status;
pub mod stores;
pub mod watch;
