//! Bytes that are produced while they are sent: the producer runs on its own thread, a few blocks ahead of the
//! connection.

use crate::model::input::Stream;
use std::io::{self, Write};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// Bytes in one block. Up to `BLOCKS` blocks wait for the connection: 1 MiB in total.
const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// Bytes that may be secret, wiped when dropped.
type Block = Zeroizing<Vec<u8>>;

/// Starts the producer. The producer ends early if the receiver is dropped.
pub(super) fn start(stream: &Stream) -> (Receiver<Block>, JoinHandle<io::Result<()>>) {
    let (sender, receiver) = channel(BLOCKS);
    let stream = stream.clone();
    let producer = tokio::task::spawn_blocking(move || {
        let mut out = Blocks { sender, block: empty() };
        stream.write(&mut out)?;
        out.flush()
    });
    (receiver, producer)
}

/// A writer that collects and sends blocks.
struct Blocks {
    sender: Sender<Block>,
    block: Block,
}

/// Returns a block that does not move in memory while it is filled.
fn empty() -> Block {
    Zeroizing::new(Vec::with_capacity(BLOCK))
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.flush()?;
        }
        let taken = &bytes[..bytes.len().min(BLOCK - self.block.len())];
        self.block.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, empty());
        self.sender.blocking_send(block).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_start_gives_all_bytes_or_the_error_of_the_producer() {
        let stream = Stream::new(|out| (0..10_000_u32).try_for_each(|number| out.write_all(&number.to_le_bytes())));
        for _ in 0..2 {
            let (mut blocks, producer) = start(&stream);
            let mut all = Vec::new();
            while let Some(block) = blocks.recv().await {
                all.extend_from_slice(&block);
            }
            producer.await.unwrap().unwrap();
            assert_eq!(all.len(), 40_000);
            assert_eq!(all[39_996..], 9_999_u32.to_le_bytes());
        }
        let broken = Stream::new(|_| Err(io::Error::other("it changed")));
        assert_eq!(start(&broken).1.await.unwrap().unwrap_err().to_string(), "it changed");
    }

    #[tokio::test]
    async fn a_producer_ends_when_its_receiver_is_gone() {
        let endless = Stream::new(|out| {
            loop {
                out.write_all(&[0; 4096])?;
            }
        });
        let (blocks, producer) = start(&endless);
        drop(blocks);
        assert_eq!(producer.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
