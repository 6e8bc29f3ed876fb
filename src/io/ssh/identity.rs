//! Places the private key where ssh finds it and checks it before connecting. The text of the key is not printed. A key
//! from a secret is in memory, and only until the login.

use super::key_format::{self, KeyForm};
use super::master::Call;
use super::settings::{HELPER, Settings, words};
use crate::io::process::{self, Environment};
use crate::io::scratch::SecretFile;
use crate::manifest::below;
use crate::manifest::environment::Identity;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use camino::Utf8Path;
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use zeroize::Zeroizing;

/// The largest file of a private key (bytes).
const LARGEST: u64 = 64 << 10;

impl Call<'_> {
    /// Places the private key under a path that needs no quotes, and passes the path to ssh.
    pub(super) fn place_identity(&mut self) -> std::io::Result<()> {
        let Some(identity) = &self.way.ssh.identity else { return Ok(()) };
        let here = self.directory.path().join("identity");
        match (identity, &self.way.key_text) {
            (Identity::File(path), _) => {
                symlink(std::path::absolute(path)?, &here)?;
                for suffix in [".pub", "-cert.pub"] {
                    let beside = format!("{path}{suffix}");
                    if Path::new(&beside).exists() {
                        symlink(std::path::absolute(&beside)?, self.path(&format!("identity{suffix}")))?;
                    }
                }
            }
            (Identity::Secret(_), Some(text)) => {
                // OpenSSH refuses a key without its last newline, which resolving the secret dropped.
                let text = Zeroizing::new(format!("{}\n", text.expose_secret().trim_end()));
                self.key = Some(SecretFile::place(&here, text.as_bytes())?);
            }
            (Identity::Secret(_), None) => {}
        }
        self.options.extend(["-i".to_owned(), here.to_string_lossy().into_owned()]);
        self.option("IdentitiesOnly=yes");
        Ok(())
    }

    /// Checks the private key before connecting. Returns an error if the key cannot be used.
    pub(super) async fn check_identity(&self) -> Result<(), Failure> {
        let (text, name) = match (&self.way.ssh.identity, &self.way.key_text) {
            (None, _) => return Ok(()),
            (Some(Identity::File(path)), _) => (self.read_key(path)?, format!("The key file {path}")),
            (Some(Identity::Secret(_)), Some(text)) => {
                (Zeroizing::new(text.expose_secret().to_owned()), "The key given as a secret".to_owned())
            }
            (Some(Identity::Secret(_)), None) => {
                return Err(Failure::new(Reason::KeyUnusable, "The key given as a secret was not resolved"));
            }
        };
        let hint = match key_format::form(&text) {
            KeyForm::Plain => return Ok(()),
            KeyForm::Encrypted | KeyForm::Public if self.agent_holds_it().await => return Ok(()),
            KeyForm::Encrypted => {
                let failure =
                    Failure::new(Reason::KeyPassphrase, format!("{name} has a passphrase, but no agent holds it"));
                return Err(match &self.way.ssh.identity {
                    Some(Identity::File(path)) => failure.hint(format!("Run ssh-add {} first", quote(path.as_str()))),
                    _ => failure.hint("Use a key without a passphrase, or a file whose key ssh-agent holds"),
                });
            }
            KeyForm::Public => {
                return Err(Failure::new(
                    Reason::KeyUnusable,
                    format!("{name} is a public key, but no agent holds the private key"),
                ));
            }
            KeyForm::Putty => "Convert it: puttygen KEY.ppk -O private-openssh -o KEY",
            KeyForm::Other => "Name the private key itself, as ssh-keygen makes it",
        };
        Err(Failure::new(Reason::KeyUnusable, format!("{name} is not a private key that OpenSSH can read")).hint(hint))
    }

    fn read_key(&self, path: &Utf8Path) -> Result<Zeroizing<String>, Failure> {
        let unusable = |what: String| Failure::new(Reason::KeyUnusable, format!("The key file {path} {what}"));
        let about = fs::metadata(path).map_err(|error| unusable(format!("cannot be read: {}", plain(&error))))?;
        if !about.is_file() {
            return Err(unusable("is not a file".into()));
        }
        let text = below::bytes(path, LARGEST).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => unusable("is too large for a private key".into()),
            _ => unusable(format!("cannot be read: {}", plain(&error))),
        })?;
        let text = String::from_utf8(text).map(Zeroizing::new);
        let text = text.map_err(|_| unusable("is not a private key that OpenSSH can read".into()))?;
        let own = fs::metadata(self.directory.path()).is_ok_and(|directory| directory.uid() == about.uid());
        let mode = about.permissions().mode() & 0o777;
        if own && mode & 0o077 != 0 && key_format::form(&text) != KeyForm::Public {
            let failure = unusable(format!("can be read by others (mode {mode:04o}), so ssh refuses it"));
            return Err(failure.hint(format!("Run chmod 600 {}", quote(path.as_str()))));
        }
        Ok(text)
    }

    /// Returns true if the agent that ssh would ask holds the key.
    async fn agent_holds_it(&self) -> bool {
        let Ok(settings) = Settings::read(&self.options, &self.way.reach.address).await else { return false };
        let mut list = words(&["ssh-add", "-l"]);
        if let Some(socket) = settings.agent {
            list.splice(0..0, ["env".to_owned(), format!("SSH_AUTH_SOCK={socket}")]);
        }
        let print = [words(&["ssh-keygen", "-l", "-f"]), vec![self.path("identity")]].concat();
        let held = process::run_in(Environment::User, &list, b"", HELPER).await;
        let (Ok(held), Ok(printed)) = (held, process::run(&print, b"", HELPER).await) else { return false };
        let fingerprint = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        let wanted = String::from_utf8_lossy(&printed.stdout).lines().next().and_then(fingerprint);
        let held: BTreeSet<_> = String::from_utf8_lossy(&held.stdout).lines().filter_map(fingerprint).collect();
        wanted.is_some_and(|wanted| held.contains(&wanted))
    }
}

/// Returns the system's error text without the error number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
