//! The parameters of a connection to a host, and a digest to compare them. The digest of a secret is part of it, not
//! the secret.

use crate::manifest::environment::{Identity, Ssh};
use secrecy::{ExposeSecret, SecretString};
use std::time::SystemTime;

/// The parameters of a connection to a host, with everything resolved.
pub struct Way<'a> {
    /// DNS name, IPv4 or IPv6 address, or an alias of the user's ssh configuration.
    pub address: &'a str,
    /// SSH settings from the manifest.
    pub ssh: &'a Ssh,
    /// Password for sudo, if sudo asks for one.
    pub sudo_password: Option<SecretString>,
    /// Text of the private key, if the identity is a secret.
    pub key_text: Option<SecretString>,
    /// Host keys recorded at an earlier contact, each as `TYPE BASE64`.
    pub known: &'a [String],
    /// True if the key of a host that is not yet known is accepted.
    pub accept_new: bool,
}

impl Way<'_> {
    /// Returns a digest of all parameters that make one connection differ from another. The user's own ssh
    /// configuration is not part of the digest.
    pub(super) fn print(&self) -> blake3::Hash {
        let changed: Option<SystemTime> = match &self.ssh.identity {
            Some(Identity::File(path)) => std::fs::metadata(path).and_then(|data| data.modified()).ok(),
            _ => None,
        };
        // If keys are pinned, recorded keys do not count.
        let known = if self.ssh.host_key.is_empty() { self.known } else { &[] };
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", (self.address, self.ssh, known, changed)).as_bytes());
        for secret in [&self.sudo_password, &self.key_text] {
            let digest = secret.as_ref().map(|secret| blake3::hash(secret.expose_secret().as_bytes()));
            hasher.update(&[u8::from(digest.is_some())]);
            hasher.update(digest.as_ref().map_or(&[0; 32], |digest| digest.as_bytes()));
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_setting_that_leads_elsewhere_makes_another_way() {
        let folder = tempfile::tempdir().unwrap();
        let key = camino::Utf8PathBuf::from_path_buf(folder.path().join("key")).unwrap();
        std::fs::write(&key, "one").unwrap();
        let ssh = Ssh {
            port: None,
            user: None,
            identity: Some(Identity::File(key.clone())),
            host_key: Vec::new(),
            jump: None,
            sudo_password: None,
            connect_timeout: Duration::from_secs(10),
            wait: Duration::ZERO,
        };
        let secret = |text: &str| Some(SecretString::from(text));
        let print =
            |address: &str, ssh: &Ssh, sudo: Option<SecretString>, text: Option<SecretString>, known: &[String]| {
                Way { address, ssh, sudo_password: sudo, key_text: text, known, accept_new: false }.print()
            };
        let first = print("a", &ssh, None, None, &[]);
        assert_eq!(print("a", &ssh, None, None, &[]), first);
        let known = ["ssh-ed25519 AAAA".to_owned()];
        let mut prints = vec![
            first,
            print("b", &ssh, None, None, &[]),
            print("a", &Ssh { port: Some(2), ..ssh.clone() }, None, None, &[]),
            print("a", &Ssh { user: Some("b".into()), ..ssh.clone() }, None, None, &[]),
            print("a", &Ssh { jump: Some("b".into()), ..ssh.clone() }, None, None, &[]),
            print("a", &Ssh { host_key: known.to_vec(), ..ssh.clone() }, None, None, &[]),
            print("a", &ssh, secret("b"), None, &[]),
            print("a", &ssh, secret("c"), None, &[]),
            print("a", &ssh, None, secret("b"), &[]),
            print("a", &ssh, None, None, &known),
        ];
        let file = std::fs::File::options().write(true).open(&key).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        prints.push(print("a", &ssh, None, None, &[]));
        let pinned = Ssh { host_key: known.to_vec(), ..ssh.clone() };
        assert_eq!(print("a", &pinned, None, None, &known), print("a", &pinned, None, None, &[]));
        for (at, print) in prints.iter().enumerate() {
            assert!(!prints[..at].contains(print), "{at}");
        }
    }
}
