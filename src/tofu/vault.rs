//! The vault: an environment's OpenTofu state, sealed before the store sees it (XChaCha20-Poly1305, bound to project and
//! environment). Never writes a state unsealed, and never keeps a passphrase.
//!
//! The key comes from a passphrase (Argon2id, RFC 9106) with a salt of the environment's own, or is drawn at random
//! and kept in `state.key` beside the store.

use super::key::{self, Key, random};
use super::model::Outputs;
use super::state::{self, State};
use crate::failure::{Failure, Reason};
use crate::store::{Plain, Store};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The first byte of what is sealed: its format.
const FORMAT: u8 = 1;
const NONCE: usize = 24;

/// Where a key came from: the second byte of what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Passphrase,
    File,
}

impl Source {
    const fn byte(self) -> u8 {
        match self {
            Self::Passphrase => b'p',
            Self::File => b'k',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'p' => Some(Self::Passphrase),
            b'k' => Some(Self::File),
            _ => None,
        }
    }
}

/// The state of one environment's infrastructure, and what is kept with it.
pub struct Vault {
    store: Arc<Store>,
    project: String,
    environment: String,
    passphrase: Option<SecretString>,
    /// The key of the passphrase, which takes a while to make.
    derived: tokio::sync::OnceCell<Key>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vault of {}/{}", self.project, self.environment)
    }
}

impl Vault {
    /// The vault of an environment. Without a passphrase its key is kept in a file beside the store.
    #[must_use]
    pub fn open(store: Arc<Store>, project: &str, environment: &str, passphrase: Option<&str>) -> Self {
        Self {
            store,
            project: project.to_owned(),
            environment: environment.to_owned(),
            passphrase: passphrase.map(SecretString::from),
            derived: tokio::sync::OnceCell::new(),
        }
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The state, as OpenTofu wrote it.
    ///
    /// # Errors
    /// `StateSealed` where this is not the key.
    pub async fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.store.sealed(&self.project, &self.environment).await?.state {
            Some(sealed) => self.unseal(&sealed, &self.environment).await.map(Some),
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
        let sealed = self.sealed(state).await?;
        self.store.seal(&self.project, &self.environment, Some(&sealed), lock).await
    }

    /// Takes the state away.
    pub async fn remove(&self, lock: Option<&str>) -> Result<bool, Failure> {
        self.store.seal(&self.project, &self.environment, None, lock).await
    }

    /// Forgets the infrastructure and all that is kept with it; false where nothing was.
    ///
    /// # Errors
    /// `InfrastructureExists` while the state holds anything.
    pub async fn forget(&self) -> Result<bool, Failure> {
        if let Some(state) = self.state().await?.filter(|state| !state.resources.is_empty()) {
            let message = format!("The infrastructure of {} still exists", self.environment);
            return Err(self.failure(Reason::InfrastructureExists, message).details(state.resources.join("\n")));
        }
        self.let_go().await
    }

    /// Forgets the infrastructure though it may exist: somebody else looks after it from now on.
    pub async fn let_go(&self) -> Result<bool, Failure> {
        self.store.forget_infrastructure(&self.project, &self.environment).await
    }

    /// Takes over what is kept of the environment under its former name.
    pub async fn take_over(&self, from: &str) -> Result<(), Failure> {
        let sealed = match self.store.sealed(&self.project, from).await?.state {
            // A passphrase's key goes with the salt, which is the former name's.
            Some(sealed) => {
                let former = Self::open(Arc::clone(&self.store), &self.project, from, self.passphrase());
                let state = former.unseal(&sealed, from).await?;
                Some(former.seal_for(&state, &self.environment).await?)
            }
            None => None,
        };
        let former = Self::open(Arc::clone(&self.store), &self.project, from, self.passphrase());
        let host_key = former.host_key().await?;
        self.store.rename_infrastructure(&self.project, from, &self.environment, sealed.as_deref()).await?;
        match host_key {
            Some(private) => self.keep_host_key(&private).await,
            None => Ok(()),
        }
    }

    /// Who has the lock on the state, as [`Self::lock`] was told.
    pub async fn locked(&self) -> Result<Option<String>, Failure> {
        self.store.state_lock(&self.project, &self.environment).await
    }

    /// Takes the lock, which `instead` may have at present; the one who has it now.
    pub async fn lock(&self, lock: &str, instead: Option<&str>) -> Result<String, Failure> {
        self.store.lock_state(&self.project, &self.environment, lock, instead).await
    }

    /// Gives that very lock back.
    pub async fn unlock(&self, lock: &str) -> Result<bool, Failure> {
        self.store.unlock_state(&self.project, &self.environment, lock).await
    }

    /// `.terraform.lock.hcl`, as it was kept.
    pub async fn lock_file(&self) -> Result<Option<String>, Failure> {
        self.store.plain(&self.project, &self.environment, Plain::LockFile).await
    }

    /// Keeps `.terraform.lock.hcl`.
    pub async fn keep_lock_file(&self, text: &str) -> Result<(), Failure> {
        self.store.keep_plain(&self.project, &self.environment, Plain::LockFile, text).await
    }

    /// The host key that the machine is made with, as [`Self::keep_host_key`] was given it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn host_key(&self) -> Result<Option<String>, Failure> {
        let Some(text) = self.store.plain(&self.project, &self.environment, Plain::HostKey).await? else {
            return Ok(None);
        };
        let key = self.unseal(&HEXLOWER.decode(text.as_bytes()).unwrap_or_default(), &self.environment).await?;
        Ok(Some(String::from_utf8_lossy(&key).into_owned()))
    }

    /// Keeps the host key that the machine is made with, sealed.
    pub async fn keep_host_key(&self, key: &str) -> Result<(), Failure> {
        let text = HEXLOWER.encode(&self.sealed(key.as_bytes()).await?);
        self.store.keep_plain(&self.project, &self.environment, Plain::HostKey, &text).await
    }

    fn passphrase(&self) -> Option<&str> {
        self.passphrase.as_ref().map(ExposeSecret::expose_secret)
    }

    fn failure(&self, reason: Reason, message: impl Into<String>) -> Failure {
        Failure::new(reason, message).on(&self.environment)
    }

    fn source(&self) -> Source {
        if self.passphrase.is_some() { Source::Passphrase } else { Source::File }
    }

    async fn sealed(&self, state: &[u8]) -> Result<Vec<u8>, Failure> {
        self.seal_for(state, &self.environment).await
    }

    async fn seal_for(&self, state: &[u8], environment: &str) -> Result<Vec<u8>, Failure> {
        let source = self.source();
        let key = match source {
            Source::Passphrase => self.derived().await?,
            Source::File => self.kept(true)?,
        };
        let nonce: [u8; NONCE] = random()?;
        let bound = self.bound(source, environment);
        let payload = Payload { msg: state, aad: &bound };
        let sealed = XChaCha20Poly1305::new((&*key).into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| self.failure(Reason::StateSealed, "The infrastructure's state cannot be encrypted"))?;
        Ok([&[FORMAT, source.byte()], &nonce[..], &sealed].concat())
    }

    async fn unseal(&self, sealed: &[u8], environment: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let damaged = || self.failure(Reason::StateSealed, "The stored state of the infrastructure is damaged");
        let (&[format, source], rest) = sealed.split_first_chunk().ok_or_else(damaged)?;
        if format > FORMAT {
            let message = "The stored state of the infrastructure was written by a newer deployer";
            return Err(self.failure(Reason::StoreNewer, message));
        }
        let source = Source::of(source).ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let key = match source {
            Source::Passphrase if self.passphrase.is_none() => {
                let message = "The infrastructure's state was encrypted with a passphrase, and none is given";
                return Err(self
                    .failure(Reason::StateSealed, message)
                    .hint("Name it in the manifest (state_passphrase), as it was when the state was written"));
            }
            Source::Passphrase => self.derived().await?,
            Source::File => self.kept(false)?,
        };
        let bound = self.bound(source, environment);
        XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound })
            .map(Zeroizing::new)
            .map_err(|_| match source {
                Source::Passphrase => self
                    .failure(Reason::StateSealed, "The infrastructure's state cannot be decrypted with this passphrase")
                    .hint("state_passphrase in the manifest must give the passphrase that the state was written with"),
                Source::File => self.failure(
                    Reason::StateSealed,
                    format!("The infrastructure's state cannot be decrypted with the key in {}", self.key_file()),
                ),
            })
    }

    /// What the sealed state is bound to, each part with its length.
    fn bound(&self, source: Source, environment: &str) -> Vec<u8> {
        let mut bound = vec![FORMAT, source.byte()];
        for part in [self.project.as_str(), environment] {
            bound.extend((part.len() as u64).to_le_bytes());
            bound.extend(part.as_bytes());
        }
        bound
    }

    /// The key that the passphrase gives.
    async fn derived(&self) -> Result<Key, Failure> {
        let key = self.derived.get_or_try_init(|| async {
            let fresh: [u8; 16] = random()?;
            let salt = self.store.salt(&self.project, &self.environment, &fresh).await?;
            let passphrase = Zeroizing::new(self.passphrase().unwrap_or_default().as_bytes().to_vec());
            // Off the runtime's threads: it takes a while.
            let derive = move || key::derived(&passphrase, &salt);
            match tokio::task::spawn_blocking(derive).await {
                Ok(Ok(key)) => Ok(key),
                Ok(Err(error)) => {
                    Err(self.failure(Reason::StateSealed, format!("The passphrase gives no key: {error}")))
                }
                Err(_) => Err(self.failure(Reason::StateSealed, "The passphrase gives no key")),
            }
        });
        key.await.cloned()
    }

    fn key_file(&self) -> camino::Utf8PathBuf {
        self.store.beside("state.key")
    }

    /// The key in the file beside the store; drawn now where there is none and `make` allows it.
    fn kept(&self, make: bool) -> Result<Key, Failure> {
        let path = self.key_file();
        let cannot = |error: std::io::Error| {
            self.failure(
                Reason::StateSealed,
                format!("The key of the infrastructure's state, {path}, cannot be used: {error}"),
            )
        };
        key::kept(&path, make).map_err(cannot)
    }
}
