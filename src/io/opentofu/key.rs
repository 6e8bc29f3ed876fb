//! Encryption keys of states: derived from a passphrase, or drawn at random and kept in a file. No key is kept in the
//! store.

use crate::manifest::below;
use crate::model::failure::{Failure, Reason};
use argon2::{Algorithm, Argon2, Params, Version};
use camino::Utf8Path;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use zeroize::Zeroizing;

/// Memory in KiB, passes and lanes: the minimum that OWASP's Password Storage Cheat Sheet recommends, with 19 MiB.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// A key of `XChaCha20`.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Derives a key from a passphrase (Argon2id, RFC 9106).
pub(super) fn derived(passphrase: &[u8], salt: &[u8]) -> Result<Key, argon2::Error> {
    let (memory, passes, lanes) = COST;
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(memory, passes, lanes, Some(key.len()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(passphrase, salt, &mut *key)?;
    Ok(key)
}

/// The largest file of a key (bytes).
const LARGEST: u64 = 4 << 10;

/// Reads the key from a file. If the file does not exist and `make` is true, draws a key and writes it.
pub(super) fn kept(path: &Utf8Path, make: bool) -> io::Result<Key> {
    let text = match below::text(path, LARGEST) {
        Err(error) if error.kind() == ErrorKind::NotFound && make => {
            keep(path, &random::<32>().map_err(|failure| io::Error::other(failure.message()))?)?;
            below::text(path, LARGEST)
        }
        other => other,
    };
    let text = Zeroizing::new(text?);
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok().map(Zeroizing::new);
    let key = bytes.and_then(|bytes| Some(Zeroizing::new(bytes.as_slice().try_into().ok()?)));
    key.ok_or_else(|| io::Error::other("it is not 64 hexadecimal digits"))
}

/// Writes a new key unless the file exists; another process may have created it first.
fn keep(path: &Utf8Path, key: &[u8; 32]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    // Temporary files are readable only by their owner.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let digits = Zeroizing::new(HEXLOWER.encode(key));
    writeln!(file, "{}", *digits)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Returns random bytes from the system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    let cannot = |error| Failure::new(Reason::StateSealed, "Cannot read random bytes on this machine").because(error);
    getrandom::fill(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}
