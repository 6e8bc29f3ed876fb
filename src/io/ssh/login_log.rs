//! The log of ssh during a login: a named pipe next to the control socket. After the login nobody reads the pipe and
//! ssh ignores the failed writes, so a host cannot fill the disk or the memory by making ssh log more.

use crate::model::bounded::Ends;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use tokio::net::unix::pipe;

/// Reading end of the log of a login in progress.
pub(super) struct LoginLog {
    pipe: pipe::Receiver,
    said: Ends,
}

impl LoginLog {
    /// Creates the pipe at `path`. Replaces the pipe of an earlier login.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
        }
        // Open the pipe for writing, too: otherwise the log would end before its first line, or between two writers.
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(path)?;
        Ok(Self { pipe, said: Ends::default() })
    }

    /// Reads as long as this future is polled, so that ssh does not block on a full pipe.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            if self.pipe.readable().await.is_err() || !self.take() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Reads what is in the pipe. Returns `false` if the pipe can no longer be read.
    fn take(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.pipe.try_read(&mut chunk) {
                Ok(length @ 1..) => self.said.push(&chunk[..length]),
                Ok(0) => return false,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Returns the log so far. Of a long log, returns the beginning and the end.
    pub(super) fn into_text(mut self) -> String {
        self.take();
        String::from_utf8_lossy(&self.said.into_bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn a_log_of_any_length_is_held_in_part_and_then_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut log = LoginLog::create(&path).expect("a pipe");
        let mut ssh = std::fs::OpenOptions::new().append(true).open(&path).expect("opened");
        let flood = tokio::task::spawn_blocking(move || {
            ssh.write_all(b"first\n").expect("read");
            (0..1 << 10).for_each(|_| ssh.write_all(&[b'x'; 16 << 10]).expect("read"));
            ssh.write_all(b"\nlast").expect("read");
            ssh
        });
        let mut ssh = tokio::select! { ssh = flood => ssh.expect("written"), never = log.follow() => match never {} };
        let text = log.into_text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast"), "both ends are kept");
        assert!(text.len() < 2 << 20, "{} bytes are held", text.len());
        // A child of a test that runs at the same time has a copy of the pipe until it executes its program.
        let write = async {
            loop {
                if let Err(refused) = ssh.write_all(b"x") {
                    break refused;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let refused = tokio::time::timeout(std::time::Duration::from_mins(1), write).await.expect("nobody reads");
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);

        let again = LoginLog::create(&path).expect("a pipe in place of the former");
        assert_eq!(again.into_text(), "");
    }
}
