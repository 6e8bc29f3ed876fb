//! One SSH session: run scripts, send data, follow output. The only file that names `openssh`; it
//! knows nothing about what the scripts do.

use crate::failure::Failure;
use crate::manifest::environment::Ssh;
use std::time::Duration;

/// Bytes that follow a script on its standard input.
#[derive(Clone)]
pub enum Input {
    /// None.
    Empty,
    /// From memory; may hold secrets, never printed.
    Bytes(Vec<u8>),
    /// A file of this machine, streamed.
    File(camino::Utf8PathBuf),
}

/// What a script left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its own exit code.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, lossily decoded, with noise of sudo and the login banner.
    pub stderr: String,
}
