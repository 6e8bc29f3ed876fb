//! What `exec` and `ssh` share: a connection that is checked as every other, and an exit code that is not ours. Never
//! starts a connection that the host's key was not checked for.

use super::{Context, Ending, pass};
use crate::connect;
use crate::event::Outcome;
use crate::failure::Failure;
use crate::host::Host;
use crate::prepare::Prepared;
use std::time::Duration;

/// Connects to the host of one environment.
pub async fn reach(context: &Context, pass: &pass::Pass, prepared: &Prepared) -> Result<Host, Failure> {
    let known = pass.records.get(prepared.name()).map(|record| record.host_keys.clone()).unwrap_or_default();
    let vouch = |failure: &Failure| pass::vouch(context, failure);
    connect::open(prepared, &known, false, Duration::ZERO, &context.sink, &vouch).await
}

/// The end of a command whose exit code is that of what it ran.
#[must_use]
pub fn ending(code: i32) -> Ending {
    let exit_code = u8::try_from(code).unwrap_or(1);
    Ending { outcome: if exit_code == 0 { Outcome::Ok } else { Outcome::Failed }, exit_code }
}
