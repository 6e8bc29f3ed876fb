//! Keys of a machine that is to be made: the one it answers with, and those that may log in. Made and read by OpenSSH's
//! own `ssh-keygen`. Never writes a private key but into a directory that only we can read, for as long as it takes.

use crate::failure::{Failure, Reason};
use crate::host::public;
use crate::manifest::environment::{Environment, Identity};
use crate::process;
use crate::secret;
use camino::Utf8Path;
use secrecy::ExposeSecret as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A pair of Ed25519 keys in OpenSSH's form. Its `Debug` does not show the private one.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The private key.
    pub private: String,
    /// The public key, `TYPE BASE64`.
    pub public: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({}, …)", self.public)
    }
}

impl Keys {
    /// A new pair.
    pub async fn make() -> Result<Self, Failure> {
        let folder = folder()?;
        let file = path(&folder, "key")?;
        ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "deployer", "-f", &file]).await?;
        let read = |path: &str| std::fs::read_to_string(path).map_err(|error| lost(&error));
        let line = public(&read(&format!("{file}.pub"))?).ok_or_else(untold)?;
        Ok(Self { private: read(&file)?, public: line })
    }

    /// Both in one text, to be kept secret.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.public, self.private)
    }

    /// What [`Self::text`] wrote.
    ///
    /// # Errors
    /// `KeyUnusable` where it is something else.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (line, private) = text.split_once('\n').unwrap_or_default();
        Ok(Self { private: private.to_owned(), public: public(line).ok_or_else(untold)? })
    }
}

/// The public keys that may log in as the SSH user, `TYPE BASE64`, a line each.
///
/// # Errors
/// `KeyUnusable` where none can be had from the private key that the manifest names.
pub async fn authorized(environment: &Environment) -> Result<String, Failure> {
    match &environment.ssh.identity {
        Some(Identity::File(file)) => {
            // The public half lies beside the private one, also where that has a passphrase.
            if let Some(line) = std::fs::read_to_string(format!("{file}.pub")).ok().and_then(|text| public(&text)) {
                return Ok(line);
            }
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::new(Reason::KeyUnusable, format!("{file} cannot be read: {error}")))?;
            match public(&text) {
                Some(line) => Ok(line),
                None => public_of(&text).await.map_err(|failure| {
                    failure.hint(format!("Write its public half into {file}.pub: ssh-keygen -y -f {file}"))
                }),
            }
        }
        Some(Identity::Secret(source)) => public_of(secret::resolve(source).await?.text.expose_secret()).await,
        None => Err(Failure::new(Reason::KeyUnusable, "No key to log in with is named")),
    }
}

async fn public_of(private: &str) -> Result<String, Failure> {
    let folder = folder()?;
    let file = path(&folder, "key")?;
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(|e| lost(&e))?;
    let text = private.trim_end().to_owned() + "\n";
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(|error| lost(&error))?;
    let printed = ssh_keygen(&["-y", "-P", "", "-f", &file]).await?;
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
    Failure::new(Reason::KeyUnusable, "The public half of a private key cannot be told")
}

fn folder() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new().prefix("deployer-key-").tempdir().map_err(|error| lost(&error))
}

fn path(folder: &tempfile::TempDir, name: &str) -> Result<String, Failure> {
    let path = Utf8Path::from_path(folder.path()).map(|path| path.join(name).into_string());
    path.ok_or_else(|| Failure::new(Reason::KeyUnusable, "The directory for temporary files is not UTF-8"))
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::new(Reason::KeyUnusable, format!("A key cannot be kept for a moment: {error}"))
}
