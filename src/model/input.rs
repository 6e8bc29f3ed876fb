//! Data that follows a script on its standard input.

use camino::Utf8PathBuf;
use secrecy::SecretSlice;
use std::io::{self, Write};
use std::sync::Arc;

/// Bytes that follow a script on its standard input.
#[derive(Clone)]
pub enum Input {
    /// No bytes.
    Empty,
    /// Bytes in memory, possibly secret.
    Bytes(SecretSlice<u8>),
    /// A file of this machine, streamed.
    File(Utf8PathBuf),
    /// Bytes produced while they are sent.
    Stream(Stream),
}

/// Producer of bytes that starts from the beginning for every attempt to send them.
#[derive(Clone)]
pub struct Stream(Arc<Producer>);

type Producer = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

impl Stream {
    /// Returns a stream of what `produce` writes. An error of `produce` fails the upload.
    pub fn new(produce: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(produce))
    }

    /// Writes the whole stream.
    ///
    /// # Errors
    /// Those of the producer and of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        (self.0)(out)
    }
}
