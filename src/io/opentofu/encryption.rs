//! Encrypts secret data about an environment's infrastructure before the store gets it (XChaCha20-Poly1305, bound to
//! project and environment). Does not store a passphrase.
//!
//! The key is derived from a passphrase (Argon2id, RFC 9106) with a salt per environment, or is drawn at random and
//! kept in `state.key` next to the store.

use super::key::{self, Key, random};
use crate::io::store::Store;
use crate::model::failure::{Failure, Reason};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The first byte of sealed data: the format.
const FORMAT: u8 = 1;
const NONCE: usize = 24;

/// Origin of a key: the second byte of sealed data.
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

/// A cipher for the data of one environment.
pub(super) struct Seal {
    pub store: Arc<Store>,
    pub project: String,
    pub environment: String,
    passphrase: Option<SecretString>,
    /// Key derived from the passphrase, cached because the derivation is slow.
    derived: tokio::sync::OnceCell<Key>,
}

impl Seal {
    /// Returns the seal of an environment. Without a passphrase the key is kept in a file next to the store.
    pub fn new(store: Arc<Store>, project: &str, environment: &str, passphrase: Option<&str>) -> Self {
        Self {
            store,
            project: project.to_owned(),
            environment: environment.to_owned(),
            passphrase: passphrase.map(SecretString::from),
            derived: tokio::sync::OnceCell::new(),
        }
    }

    /// Returns the seal of another environment name, with the same passphrase.
    pub fn of(&self, environment: &str) -> Self {
        Self::new(Arc::clone(&self.store), &self.project, environment, self.passphrase())
    }

    fn passphrase(&self) -> Option<&str> {
        self.passphrase.as_ref().map(ExposeSecret::expose_secret)
    }

    pub fn failure(&self, reason: Reason, message: impl Into<String>) -> Failure {
        Failure::new(reason, message).on(&self.environment)
    }

    fn source(&self) -> Source {
        if self.passphrase.is_some() { Source::Passphrase } else { Source::File }
    }

    /// Encrypts data for `environment`.
    pub async fn seal(&self, text: &[u8], environment: &str) -> Result<Vec<u8>, Failure> {
        let source = self.source();
        let key = match source {
            Source::Passphrase => self.derived().await?,
            Source::File => self.kept(true)?,
        };
        let nonce: [u8; NONCE] = random()?;
        let bound = self.bound(source, environment);
        let payload = Payload { msg: text, aad: &bound };
        let sealed = XChaCha20Poly1305::new((&*key).into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| self.failure(Reason::StateSealed, "The infrastructure's state cannot be encrypted"))?;
        Ok([&[FORMAT, source.byte()], &nonce[..], &sealed].concat())
    }

    /// Decrypts data that was encrypted for this environment.
    ///
    /// # Errors
    /// `StateSealed` if the key is wrong, no passphrase is given or the data is damaged; `StoreNewer` for a newer
    /// format.
    pub async fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
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
                let message = "The infrastructure's state was encrypted with a passphrase, but none is given";
                return Err(self
                    .failure(Reason::StateSealed, message)
                    .hint("Set state_passphrase in the manifest to the passphrase with which the state was written"));
            }
            Source::Passphrase => self.derived().await?,
            Source::File => self.kept(false)?,
        };
        let bound = self.bound(source, &self.environment);
        XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound })
            .map(Zeroizing::new)
            .map_err(|_| match source {
                Source::Passphrase => self
                    .failure(Reason::StateSealed, "The infrastructure's state cannot be decrypted with this passphrase")
                    .hint("Set state_passphrase in the manifest to the passphrase with which the state was written"),
                Source::File => self.failure(
                    Reason::StateSealed,
                    format!("The infrastructure's state cannot be decrypted with the key in {}", self.key_file()),
                ),
            })
    }

    /// Returns the associated data that binds sealed data to its environment. Each part is preceded by its length.
    fn bound(&self, source: Source, environment: &str) -> Vec<u8> {
        let mut bound = vec![FORMAT, source.byte()];
        for part in [self.project.as_str(), environment] {
            bound.extend((part.len() as u64).to_le_bytes());
            bound.extend(part.as_bytes());
        }
        bound
    }

    /// Returns the key that is derived from the passphrase.
    async fn derived(&self) -> Result<Key, Failure> {
        let key = self.derived.get_or_try_init(|| async {
            let fresh: [u8; 16] = random()?;
            let salt = self.store.salt(&self.project, &self.environment, &fresh).await?;
            let passphrase = Zeroizing::new(self.passphrase().unwrap_or_default().as_bytes().to_vec());
            let cannot = || self.failure(Reason::StateSealed, "Cannot derive a key from the passphrase");
            // Derive on a blocking thread: the derivation is slow.
            let derive = move || key::derived(&passphrase, &salt);
            match tokio::task::spawn_blocking(derive).await {
                Ok(Ok(key)) => Ok(key),
                Ok(Err(error)) => Err(cannot().because(error)),
                Err(_) => Err(cannot()),
            }
        });
        key.await.cloned()
    }

    fn key_file(&self) -> camino::Utf8PathBuf {
        self.store.beside("state.key")
    }

    /// Returns the key from the file next to the store. If the file does not exist and `make` is true, draws a key and
    /// writes it.
    fn kept(&self, make: bool) -> Result<Key, Failure> {
        let path = self.key_file();
        key::kept(&path, make).map_err(|error| {
            let what = format!("The key of the infrastructure's state, {path}, cannot be used");
            self.failure(Reason::StateSealed, what).because(error)
        })
    }
}
