//! The vault: an environment's OpenTofu state, and what is kept with it. Never writes a state unsealed.

use super::model::Outputs;
use super::seal::Seal;
use super::state::{self, State};
use crate::io::store::{Plain, Store};
use crate::model::failure::{Failure, Reason};
use data_encoding::HEXLOWER;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The state of one environment's infrastructure, and what is kept with it.
pub struct Vault {
    seal: Seal,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vault of {}/{}", self.seal.project, self.seal.environment)
    }
}

impl Vault {
    /// The vault of an environment. Without a passphrase its key is kept in a file beside the store.
    #[must_use]
    pub fn open(store: Arc<Store>, project: &str, environment: &str, passphrase: Option<&str>) -> Self {
        Self { seal: Seal::new(store, project, environment, passphrase) }
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.seal.environment
    }

    /// The state, as OpenTofu wrote it.
    ///
    /// # Errors
    /// `StateSealed` where this is not the key.
    pub async fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.store().sealed(self.project(), self.environment()).await?.state {
            Some(sealed) => self.seal.open(&sealed).await.map(Some),
            None => Ok(None),
        }
    }

    /// What matters of the state.
    ///
    /// # Errors
    /// As [`Self::read`]; `StateUnusable` where it is none.
    pub async fn state(&self) -> Result<Option<State>, Failure> {
        let Some(json) = self.read().await? else { return Ok(None) };
        state::read(&json).map(Some).map_err(|error| {
            self.failure(Reason::StateUnusable, "The stored state of the infrastructure cannot be read").details(error)
        })
    }

    /// The outputs that the state has.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub async fn outputs(&self) -> Result<Outputs, Failure> {
        Ok(self.state().await?.map(|state| state.outputs).unwrap_or_default())
    }

    /// Whether the infrastructure exists, as far as the state knows.
    pub async fn exists(&self) -> Result<bool, Failure> {
        Ok(self.state().await?.is_some_and(|state| !state.resources.is_empty()))
    }

    /// Keeps a state in place of the previous one; on the disk when this returns. False where another run has the lock
    /// since. `lock` is the one it is written under, if one is.
    pub async fn write(&self, state: &[u8], lock: Option<&str>) -> Result<bool, Failure> {
        let sealed = self.seal.seal(state, self.environment()).await?;
        self.store().seal(self.project(), self.environment(), Some(&sealed), lock).await
    }

    /// Takes the state away.
    pub async fn remove(&self, lock: Option<&str>) -> Result<bool, Failure> {
        self.store().seal(self.project(), self.environment(), None, lock).await
    }

    /// Forgets the infrastructure and all that is kept with it; false where nothing was.
    ///
    /// # Errors
    /// `InfrastructureExists` while the state holds anything.
    pub async fn forget(&self) -> Result<bool, Failure> {
        if let Some(state) = self.state().await?.filter(|state| !state.resources.is_empty()) {
            let message = format!("The infrastructure of {} still exists", self.environment());
            return Err(self.failure(Reason::InfrastructureExists, message).details(state.resources.join("\n")));
        }
        self.let_go().await
    }

    /// Forgets the infrastructure though it may exist: somebody else looks after it from now on.
    pub async fn let_go(&self) -> Result<bool, Failure> {
        self.store().forget_infrastructure(self.project(), self.environment()).await
    }

    /// Takes over what is kept of the environment under its former name.
    pub async fn take_over(&self, from: &str) -> Result<(), Failure> {
        let former = Self { seal: self.seal.of(from) };
        let state = former.read().await?;
        let mut texts = Vec::new();
        for which in [Plain::HostKey, Plain::Recipe] {
            texts.extend(former.kept(which).await?.map(|text| (which, text)));
        }
        // A passphrase's key goes with the salt, which is the former name's.
        let sealed = match state {
            Some(state) => Some(former.seal.seal(&state, self.environment()).await?),
            None => None,
        };
        self.store().rename_infrastructure(self.project(), from, self.environment(), sealed.as_deref()).await?;
        for (which, text) in texts {
            self.keep(which, &text).await?;
        }
        Ok(())
    }

    /// Who has the lock on the state, as [`Self::lock`] was told.
    pub async fn locked(&self) -> Result<Option<String>, Failure> {
        self.store().state_lock(self.project(), self.environment()).await
    }

    /// Takes the lock, which `instead` may have at present; the one who has it now.
    pub async fn lock(&self, lock: &str, instead: Option<&str>) -> Result<String, Failure> {
        self.store().lock_state(self.project(), self.environment(), lock, instead).await
    }

    /// Gives that very lock back.
    pub async fn unlock(&self, lock: &str) -> Result<bool, Failure> {
        self.store().unlock_state(self.project(), self.environment(), lock).await
    }

    /// `.terraform.lock.hcl`, as it was kept.
    pub async fn lock_file(&self) -> Result<Option<String>, Failure> {
        self.store().plain(self.project(), self.environment(), Plain::LockFile).await
    }

    /// Keeps `.terraform.lock.hcl`.
    pub async fn keep_lock_file(&self, text: &str) -> Result<(), Failure> {
        self.store().keep_plain(self.project(), self.environment(), Plain::LockFile, text).await
    }

    /// A text that was kept sealed.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn kept(&self, which: Plain) -> Result<Option<String>, Failure> {
        let Some(text) = self.store().plain(self.project(), self.environment(), which).await? else {
            return Ok(None);
        };
        let text = self.seal.open(&HEXLOWER.decode(text.as_bytes()).unwrap_or_default()).await?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Keeps a text, sealed.
    pub async fn keep(&self, which: Plain, text: &str) -> Result<(), Failure> {
        let sealed = HEXLOWER.encode(&self.seal.seal(text.as_bytes(), self.environment()).await?);
        self.store().keep_plain(self.project(), self.environment(), which, &sealed).await
    }

    /// Notes that the state is in this backend of OpenTofu's own, so that an environment without one here is known to
    /// have a machine.
    pub async fn keep_backend(&self, name: &str) -> Result<(), Failure> {
        self.store().keep_plain(self.project(), self.environment(), Plain::Backend, name).await
    }

    const fn store(&self) -> &Arc<Store> {
        &self.seal.store
    }

    fn project(&self) -> &str {
        &self.seal.project
    }

    fn failure(&self, reason: Reason, message: impl Into<String>) -> Failure {
        self.seal.failure(reason, message)
    }
}
