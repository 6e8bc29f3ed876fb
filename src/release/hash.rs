//! Digests of contents, which are read block by block. Holds at most one block in memory.

use super::left_out;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Bytes of one read.
const BLOCK: usize = 128 * 1024;

/// Returns the SHA-256 of bytes in memory.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the SHA-256 of a stream, read block by block.
pub fn digest_of(stream: impl Read) -> io::Result<[u8; 32]> {
    read(stream).map(|(sha256, ..)| sha256)
}

/// Reads a stream to its end. Returns its SHA-256, its length, and true if it begins like a private key.
pub(super) fn read(mut stream: impl Read) -> io::Result<([u8; 32], u64, bool)> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    let (mut length, mut key) = (0, false);
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok((hasher.finalize().into(), length, key)),
            Ok(read) => {
                hasher.update(&block[..read]);
                key |= length == 0 && left_out::is_private_key(&block[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
