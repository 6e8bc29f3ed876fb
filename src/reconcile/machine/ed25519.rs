//! An Ed25519 key pair in OpenSSH's own format (`PROTOCOL.key` of its sources), made in memory because `ssh-keygen`
//! would write the private key to a disk. The private key is not encrypted.

use data_encoding::BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::SecretString;
use zeroize::Zeroizing;

const TYPE: &[u8] = b"ssh-ed25519";
const COMMENT: &[u8] = b"deployer";
/// The length of a line of the private key.
const LINE: usize = 70;

/// Returns the public key, `TYPE BASE64`, and the text of the private key, of the pair that `seed` determines. `check`
/// may be any number.
pub fn pair(seed: &[u8; 32], check: [u8; 4]) -> Result<(String, SecretString), ring::error::KeyRejected> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
    let own = pair.public_key().as_ref();
    let mut public = Vec::new();
    strings(&mut public, &[TYPE, own]);

    let mut private = Zeroizing::new(Vec::with_capacity(256));
    private.extend([check, check].concat());
    let both = Zeroizing::new([seed.as_slice(), own].concat());
    strings(&mut private, &[TYPE, own, &both, COMMENT]);
    let padding = private.len().next_multiple_of(8) - private.len();
    private.extend((1..).take(padding));

    let mut whole = Zeroizing::new(b"openssh-key-v1\0".to_vec());
    strings(&mut whole, &[b"none", b"none", b""]);
    whole.extend(1_u32.to_be_bytes());
    strings(&mut whole, &[&public, &private]);
    let digits = Zeroizing::new(BASE64.encode(&whole));
    // The text does not move in memory while it grows.
    let mut text = String::with_capacity(1024);
    text.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in digits.as_bytes().chunks(LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    Ok((format!("ssh-ed25519 {}", BASE64.encode(&public)), text.into()))
}

/// Appends each part, preceded by its length.
fn strings(to: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        to.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        to.extend(*part);
    }
}
