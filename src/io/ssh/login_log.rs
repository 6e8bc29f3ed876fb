//! The log of ssh during a login: a named pipe next to the control socket. After the login nobody reads it and ssh ignores the failed
//! writes, so a host cannot fill disk or memory by making ssh log more.

use crate::model::bounded::Ends;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use tokio::net::unix::pipe;

/// The reading end of a log that is being written.
pub(super) struct LoginLog {
    pipe: pipe::Receiver,
    said: Ends,
}

impl LoginLog {
    /// Makes the pipe at `path`, in place of one from an earlier login.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
        }
        // Also open for writing: the log does not end before its first line, or between two programs that write.
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(path)?;
        Ok(Self { pipe, said: Ends::default() })
    }

    /// Reads for as long as somebody polls, so that ssh never waits for a full pipe.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            if self.pipe.readable().await.is_err() || !self.take() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes what is in the pipe; `false` if it cannot be read any more.
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

    /// Returns what was logged until now: of a long log its beginning and its end.
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
        assert_eq!(ssh.write_all(b"x").expect_err("nobody reads").kind(), io::ErrorKind::BrokenPipe);

        let again = LoginLog::create(&path).expect("a pipe in place of the former");
        assert_eq!(again.into_text(), "");
    }
}
