//! The vault: an environment's OpenTofu state and related data. A state is written only encrypted.

use super::encryption::Seal;
use super::key;
use super::model::Outputs;
use super::state::{self, State};
use crate::io::store::{Plain, Store};
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The state of one environment's infrastructure and related data.
pub struct Vault {
    seal: Seal,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vault of {}/{}", self.seal.project, self.seal.environment)
    }
}

impl Vault {
    /// Returns the vault of an environment. Without a passphrase its key is kept in a file next to the store.
    #[must_use]
    pub fn open(store: Arc<Store>, project: &str, environment: &str, passphrase: Option<&str>) -> Self {
        Self { seal: Seal::new(store, project, environment, passphrase) }
    }

    /// Returns the name of the environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.seal.environment
    }

    /// Reads the state, as OpenTofu wrote it.
    ///
    /// # Errors
    /// `StateSealed` if the key is wrong.
    pub async fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.store().sealed(self.project(), self.environment()).await?.state {
            Some(sealed) => self.seal.open(&sealed).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads and parses the state.
    ///
    /// # Errors
    /// As [`Self::read`]; `StateUnusable` if the data is not a state.
    pub async fn state(&self) -> Result<Option<State>, Failure> {
        let Some(json) = self.read().await? else { return Ok(None) };
        state::read(&json).map(Some).map_err(|error| {
            self.failure(Reason::StateUnusable, "The stored state of the infrastructure cannot be read").details(error)
        })
    }

    /// Returns the outputs in the state.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub async fn outputs(&self) -> Result<Outputs, Failure> {
        Ok(self.state().await?.map(|state| state.outputs).unwrap_or_default())
    }

    /// Returns true if the state holds a resource.
    pub async fn exists(&self) -> Result<bool, Failure> {
        Ok(self.state().await?.is_some_and(|state| !state.resources.is_empty()))
    }

    /// Replaces the state. The new state is on the disk when this function returns. `lock` is the lock that the writer
    /// holds, if any. Returns false if another run has taken that lock since.
    pub async fn write(&self, state: &[u8], lock: Option<&str>) -> Result<bool, Failure> {
        let sealed = self.seal.seal(state, self.environment()).await?;
        self.store().seal(self.project(), self.environment(), Some(&sealed), lock).await
    }

    /// Removes the state.
    pub async fn remove(&self, lock: Option<&str>) -> Result<bool, Failure> {
        self.store().seal(self.project(), self.environment(), None, lock).await
    }

    /// Removes the state and all related data. Returns false if there was none.
    ///
    /// # Errors
    /// `InfrastructureExists` if the state still holds resources.
    pub async fn forget(&self) -> Result<bool, Failure> {
        if let Some(state) = self.state().await?.filter(|state| !state.resources.is_empty()) {
            let message = format!("The infrastructure of {} still exists", self.environment());
            return Err(self.failure(Reason::InfrastructureExists, message).details(state.resources.join("\n")));
        }
        self.let_go().await
    }

    /// Removes the state and all related data even if the infrastructure exists: somebody else manages it.
    pub async fn let_go(&self) -> Result<bool, Failure> {
        self.store().forget_infrastructure(self.project(), self.environment()).await
    }

    /// Moves the data of the environment's former name to this environment.
    pub async fn take_over(&self, from: &str) -> Result<(), Failure> {
        let former = Self { seal: self.seal.of(from) };
        let state = former.read().await?;
        let mut texts = Vec::new();
        for which in [Plain::HostKey, Plain::PlannedKey, Plain::Recipe] {
            texts.extend(former.kept(which).await?.map(|text| (which, text)));
        }
        // The renamed row keeps the former name's salt, so encrypt the state with the key of the former name.
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

    /// Returns the working directory of OpenTofu: `usual` with digits that are drawn at random once, so that no commit
    /// can bring files for it.
    ///
    /// # Errors
    /// `StateUnusable` if the store has other text in place of the digits.
    pub async fn directory(&self, usual: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
        let fresh = HEXLOWER.encode(&key::random::<16>()?);
        let digits = self.store().directory_digits(self.project(), self.environment(), &fresh).await?;
        if digits.len() != fresh.len() || HEXLOWER.decode(digits.as_bytes()).is_err() {
            let message = "The store has no valid name for OpenTofu's working directory";
            return Err(self.failure(Reason::StateUnusable, message));
        }
        Ok(format!("{usual}.{digits}").into())
    }

    /// Returns the state's lock, as it was passed to [`Self::lock`].
    pub async fn locked(&self) -> Result<Option<String>, Failure> {
        self.store().state_lock(self.project(), self.environment()).await
    }

    /// Takes the lock if the lock is free or is `instead`. Returns the current lock.
    pub async fn lock(&self, lock: &str, instead: Option<&str>) -> Result<String, Failure> {
        self.store().lock_state(self.project(), self.environment(), lock, instead).await
    }

    /// Releases exactly this lock.
    pub async fn unlock(&self, lock: &str) -> Result<bool, Failure> {
        self.store().unlock_state(self.project(), self.environment(), lock).await
    }

    /// Returns the stored `.terraform.lock.hcl`.
    pub async fn lock_file(&self) -> Result<Option<String>, Failure> {
        self.store().plain(self.project(), self.environment(), Plain::LockFile).await
    }

    /// Stores `.terraform.lock.hcl`.
    pub async fn keep_lock_file(&self, text: &str) -> Result<(), Failure> {
        self.store().keep_plain(self.project(), self.environment(), Plain::LockFile, text).await
    }

    /// Reads and decrypts a text.
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

    /// Encrypts and stores a text.
    pub async fn keep(&self, which: Plain, text: &str) -> Result<(), Failure> {
        let sealed = HEXLOWER.encode(&self.seal.seal(text.as_bytes(), self.environment()).await?);
        self.store().keep_plain(self.project(), self.environment(), which, &sealed).await
    }

    /// Records that the state is in this backend of OpenTofu, so that an environment without a state here is known to
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
