//! The reconcile engine: observes hosts, proposes a plan, asks for consent, executes the plan, and repeats.

pub mod annotate;
pub mod compare;
pub mod connect;
pub mod execute;
pub mod machine;
pub mod observe;
pub mod orphan;
pub mod prepare;
pub mod propose;
pub mod session;
pub mod stack;
pub mod status;
pub mod watch;
