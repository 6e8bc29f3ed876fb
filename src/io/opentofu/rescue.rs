//! Recovers the state of an interrupted run: the file that OpenTofu writes when it cannot write the state to its
//! backend. A recovered state replaces neither a newer state nor a state of other infrastructure.

use super::context::{Backend, Work};
use super::lock;
use super::model::Say;
use super::state::{self, Left};
use super::working_directory::{self, WorkingDirectory};
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use std::fs;
use std::io::ErrorKind;

/// Name of that file.
pub const ERRORED: &str = "errored.tfstate";

/// Moves a state that OpenTofu left in a file to the vault.
pub(super) async fn take_in(work: &Work, directory: &WorkingDirectory, say: &Say<'_>) -> Result<(), Failure> {
    let path = directory.path.join(ERRORED);
    let left = match bounded::file(&path, bounded::STATE) {
        Ok(left) => zeroize::Zeroizing::new(left),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(working_directory::cannot(&path, error)),
    };
    let unusable = |why: &str| {
        Failure::new(Reason::StateUnusable, format!("An interrupted run left its state in {path}, but {why}"))
            .hint("The file lists what the run made. Clean that up, then move the file away")
    };
    let Backend::Own(vault) = &work.backend else {
        return Err(unusable("the state belongs in OpenTofu's own backend")
            .hint(format!("Push it in {}: {} state push {ERRORED}", directory.path, work.tofu.program)));
    };
    let read = state::read(&left).map_err(|error| unusable(&error))?;
    lock::clear(vault).await?;
    match state::judge(&read, vault.state().await?.as_ref()) {
        Left::Newest => {
            say("Taking over the state that an interrupted run left behind".to_owned());
            vault.write(&left, None).await?;
        }
        Left::Old => {}
        Left::Foreign => return Err(unusable("it describes other infrastructure than the stored state")),
    }
    fs::remove_file(&path).map_err(|error| working_directory::cannot(&path, error))
}
