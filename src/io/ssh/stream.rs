//! Bytes that are made while they are sent: a producer on a thread of its own, a few blocks ahead of the connection.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Bytes in one block, and the blocks that may wait for the connection: 1 MiB altogether.
const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// A producer of bytes. It starts from the beginning for every attempt to send them.
#[derive(Clone)]
pub struct Stream(Arc<Producer>);

type Producer = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

impl Stream {
    /// A stream of what `produce` writes. An error of `produce` fails the upload.
    pub fn new(produce: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(produce))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Those of the producer and of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        (self.0)(out)
    }

    /// Starts the producer; it ends early when the receiver is dropped.
    pub(super) fn start(&self) -> (Receiver<Vec<u8>>, JoinHandle<io::Result<()>>) {
        let (sender, receiver) = channel(BLOCKS);
        let stream = self.clone();
        let producer = tokio::task::spawn_blocking(move || {
            let mut out = BufWriter::with_capacity(BLOCK, Blocks(sender));
            stream.write(&mut out)?;
            out.flush()
        });
        (receiver, producer)
    }
}

/// Hands each write over as one block.
struct Blocks(Sender<Vec<u8>>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let block = &bytes[..bytes.len().min(BLOCK)];
        self.0.blocking_send(block.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_start_gives_all_bytes_and_an_error_of_the_producer_is_told() {
        let stream = Stream::new(|out| (0..10_000_u32).try_for_each(|number| out.write_all(&number.to_le_bytes())));
        for _ in 0..2 {
            let (mut blocks, producer) = stream.start();
            let mut all = Vec::new();
            while let Some(block) = blocks.recv().await {
                all.extend(block);
            }
            producer.await.unwrap().unwrap();
            assert_eq!(all.len(), 40_000);
            assert_eq!(all[39_996..], 9_999_u32.to_le_bytes());
        }
        let broken = Stream::new(|_| Err(io::Error::other("it changed")));
        assert_eq!(broken.start().1.await.unwrap().unwrap_err().to_string(), "it changed");
    }

    #[tokio::test]
    async fn a_producer_ends_when_nobody_receives_any_more() {
        let endless = Stream::new(|out| {
            loop {
                out.write_all(&[0; 4096])?;
            }
        });
        let (blocks, producer) = endless.start();
        drop(blocks);
        assert_eq!(producer.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
