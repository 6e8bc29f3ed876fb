//! The keys of a new machine: its host key, and the keys that may log in. Does not write these private keys to a disk.

use super::ed25519;
use crate::io::process;
use crate::io::scratch::{Directory, SecretFile};
use crate::io::secret;
use crate::io::ssh::public;
use crate::manifest::below;
use crate::manifest::environment::{Environment, Identity};
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretString};
use std::error::Error;
use std::time::Duration;
use zeroize::Zeroizing;

const LIMIT: Duration = Duration::from_secs(30);

/// An Ed25519 key pair in OpenSSH's format.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The private key.
    pub private: SecretString,
    /// The public key, `TYPE BASE64`.
    pub public: String,
}

impl Keys {
    /// Makes a new pair.
    ///
    /// # Errors
    /// `KeyUnusable` if the runner returns no random bytes.
    pub fn make() -> Result<Self, Failure> {
        let (mut seed, mut check) = (Zeroizing::new([0; 32]), [0; 4]);
        let drawn = getrandom::fill(&mut *seed).and_then(|()| getrandom::fill(&mut check));
        drawn.map_err(unmade)?;
        let (public, private) = ed25519::pair(&seed, check).map_err(|error| unmade(error.to_string()))?;
        Ok(Self { private, public })
    }

    /// Returns both keys in one text.
    #[must_use]
    pub fn text(&self) -> SecretString {
        format!("{}\n{}", self.public, self.private.expose_secret()).into()
    }

    /// Parses the output of [`Self::text`].
    ///
    /// # Errors
    /// `KeyUnusable` if the text has another form.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (line, private) = text.split_once('\n').unwrap_or_default();
        Ok(Self { private: private.into(), public: public(line).ok_or_else(untold)? })
    }
}

/// Returns the public half of the key that the manifest names, if the file next to that key has it and the scope of the
/// manifest's files includes that file. Does not read the private key.
#[must_use]
pub fn written(environment: &Environment) -> Option<String> {
    let Some(Identity::File(file)) = &environment.ssh.identity else { return None };
    let half = half(file);
    let scope = environment.provision.as_ref().map(|provision| &provision.scope)?;
    if scope.refuse(&half).is_some() {
        return None;
    }
    public(&text_of(&half).ok()?)
}

/// Returns the public keys that may log in as the SSH user, `TYPE BASE64`, one per line. Reads the private key that the
/// manifest names, so only commands that trust the manifest call it.
///
/// # Errors
/// `KeyUnusable` if no public key can be derived from the private key that the manifest names.
pub async fn authorized(environment: &Environment) -> Result<String, Failure> {
    match &environment.ssh.identity {
        Some(Identity::File(file)) => {
            // The public half is next to the private key, also if the private key has a passphrase.
            if let Some(line) = text_of(&half(file)).ok().and_then(|text| public(&text)) {
                return Ok(line);
            }
            let text = text_of(file)
                .map_err(|error| Failure::new(Reason::KeyUnusable, format!("{file} cannot be read")).because(error))?;
            match public(&text) {
                Some(line) => Ok(line),
                None => public_of(&text).await.map_err(|failure| {
                    failure.hint(format!("Write its public half into {file}.pub: ssh-keygen -y -f {file}"))
                }),
            }
        }
        Some(Identity::Secret(source)) => public_of(secret::resolve(source).await?.text.expose_secret()).await,
        None => Err(Failure::new(Reason::KeyUnusable, "No SSH key is set for logging in")),
    }
}

/// Returns the path of the public half of a key.
fn half(file: &Utf8Path) -> Utf8PathBuf {
    format!("{file}.pub").into()
}

/// Reads a key file.
fn text_of(path: &Utf8Path) -> std::io::Result<Zeroizing<String>> {
    below::text(path, bounded::SMALL_FILE as u64).map(Zeroizing::new)
}

async fn public_of(private: &str) -> Result<String, Failure> {
    let folder = Directory::new().map_err(unplaced)?;
    let text = Zeroizing::new(private.trim_end().to_owned() + "\n");
    let key = SecretFile::place(&folder.path().join("key"), text.as_bytes()).map_err(unplaced)?;
    let printed = ssh_keygen(&["-y", "-P", "", "-f", &key.path().to_string_lossy()]).await?;
    public(&printed).ok_or_else(untold)
}

async fn ssh_keygen(arguments: &[&str]) -> Result<String, Failure> {
    let argv: Vec<String> = std::iter::once("ssh-keygen").chain(arguments.iter().copied()).map(str::to_owned).collect();
    let finished = process::run(&argv, b"", LIMIT).await?;
    if finished.status.success() {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
    Err(Failure::new(Reason::KeyUnusable, "ssh-keygen cannot read the private key").details(said))
}

fn untold() -> Failure {
    Failure::new(Reason::KeyUnusable, "Cannot derive the public half of a private key")
}

fn unmade(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(Reason::KeyUnusable, "Cannot make a key").because(cause)
}

fn unplaced(error: std::io::Error) -> Failure {
    Failure::new(Reason::KeyUnusable, "Cannot hand a private key to ssh-keygen").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn openssh_reads_a_key_of_ours() {
        let keys = Keys::make().unwrap();
        assert_eq!(public_of(keys.private.expose_secret()).await.unwrap(), keys.public);
        let text = keys.text();
        assert_eq!(Keys::parse(text.expose_secret()).unwrap().text().expose_secret(), text.expose_secret());
        let private = keys.private.expose_secret().lines().nth(1).unwrap();
        assert!(!format!("{keys:?} {text:?}").contains(private));
        assert_ne!(Keys::make().unwrap().public, keys.public);
        let refused = public_of("no key").await.unwrap_err();
        assert_eq!(refused.reason, Reason::KeyUnusable);
    }
}
