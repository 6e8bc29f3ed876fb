//! The parameters of a connection to a host, and a digest to compare them. The digest of a secret is part of it, not
//! the secret.

use crate::manifest::environment::{Identity, Ssh};
use crate::model::reach::Reach;
use secrecy::{ExposeSecret, SecretString};
use std::time::SystemTime;

/// The parameters of a connection to a host, with everything resolved.
pub struct Way<'a> {
    /// Address, port, user and known keys of the host.
    pub reach: Reach,
    /// Other SSH settings of the manifest.
    pub ssh: &'a Ssh,
    /// Password for sudo, if sudo asks for one.
    pub sudo_password: Option<SecretString>,
    /// Text of the private key, if the identity is a secret.
    pub key_text: Option<SecretString>,
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
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", (&self.reach, self.ssh, changed)).as_bytes());
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
    use crate::model::reach::HostKeys;
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
        let print = |reach: Reach, ssh: &Ssh, sudo: Option<SecretString>, text: Option<SecretString>| {
            Way { reach, ssh, sudo_password: sudo, key_text: text, accept_new: false }.print()
        };
        let reach = || ssh.reach("a");
        let first = print(reach(), &ssh, None, None);
        assert_eq!(print(reach(), &ssh, None, None), first);
        let known = ["ssh-ed25519 AAAA".to_owned()];
        let pinned = Reach { keys: HostKeys::Pinned(known.to_vec()), ..reach() };
        let mut prints = vec![
            first,
            print(ssh.reach("b"), &ssh, None, None),
            print(Reach { port: Some(2), ..reach() }, &ssh, None, None),
            print(Reach { user: Some("b".into()), ..reach() }, &ssh, None, None),
            print(reach(), &Ssh { jump: Some("b".into()), ..ssh.clone() }, None, None),
            print(pinned.clone(), &ssh, None, None),
            print(reach(), &ssh, secret("b"), None),
            print(reach(), &ssh, secret("c"), None),
            print(reach(), &ssh, None, secret("b")),
            print(reach().recording(&known), &ssh, None, None),
        ];
        let file = std::fs::File::options().write(true).open(&key).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        prints.push(print(reach(), &ssh, None, None));
        assert_eq!(pinned.clone().recording(&["ssh-rsa AAAA".to_owned()]), pinned);
        for (at, print) in prints.iter().enumerate() {
            assert!(!prints[..at].contains(print), "{at}");
        }
    }
}
