//! Bytes that are produced while they are sent: the producer runs on its own thread, a few blocks ahead of the
//! connection.

use crate::model::input::Stream;
use std::io::{self, BufWriter, Write};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Bytes in one block. Up to `BLOCKS` blocks wait for the connection: 1 MiB in total.
const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// Starts the producer. The producer ends early if the receiver is dropped.
pub(super) fn start(stream: &Stream) -> (Receiver<Vec<u8>>, JoinHandle<io::Result<()>>) {
    let (sender, receiver) = channel(BLOCKS);
    let stream = stream.clone();
    let producer = tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(BLOCK, Blocks(sender));
        stream.write(&mut out)?;
        out.flush()
    });
    (receiver, producer)
}

/// A writer that sends each write as one block.
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
    async fn every_start_gives_all_bytes_or_the_error_of_the_producer() {
        let stream = Stream::new(|out| (0..10_000_u32).try_for_each(|number| out.write_all(&number.to_le_bytes())));
        for _ in 0..2 {
            let (mut blocks, producer) = start(&stream);
            let mut all = Vec::new();
            while let Some(block) = blocks.recv().await {
                all.extend(block);
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
