//! Interactive programs without a terminal: their standard output is data, their standard error is text.

use super::{Environment, unended, unstarted};
use crate::model::failure::{Failure, Reason};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Runs a program with our own standard input until it ends by itself. Calls `line` with each line of standard error.
/// Standard output is inherited, or goes to `data` as it arrives.
///
/// # Errors
/// As [`hand_over`](super::hand_over).
pub async fn hand_over_apart(
    argv: &[String],
    mut data: Option<Data<'_>>,
    line: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<ExitStatus, Failure> {
    let [program, arguments @ ..] = argv else {
        return Err(Failure::new(Reason::CommandFailed, "An empty command cannot be run"));
    };
    #[expect(clippy::disallowed_methods, reason = "the home of local processes")]
    let mut command = tokio::process::Command::new(program);
    Environment::Minimal.apply(&mut command);
    command.args(arguments).stderr(Stdio::piped()).kill_on_drop(true);
    if data.is_some() {
        command.stdout(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|error| unstarted(program, error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let copy = async {
        let (Some(mut stdout), Some(data)) = (stdout, &mut data) else { return };
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = stdout.read(&mut chunk).await {
            // If our own output is closed, stop reading and close the pipe, so that the program notices.
            if data(&chunk[..length]).is_err() {
                return;
            }
        }
    };
    let (status, (), ()) = tokio::join!(child.wait(), copy, lines(stderr, line));
    status.map_err(|error| unended(program, error))
}

/// Destination of a program's standard output.
pub type Data<'a> = &'a mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send);

/// Length from which a line is passed on in pieces.
const LINE: usize = 64 * 1024;

/// Calls `line` with each line read, without its line break.
async fn lines(from: Option<impl AsyncRead + Unpin>, line: &mut (dyn FnMut(&[u8]) + Send)) {
    let Some(mut from) = from else { return };
    let (mut chunk, mut held) = (vec![0; 16 * 1024], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        held.extend_from_slice(&chunk[..length]);
        let whole = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole = if held.len() - whole > LINE { held.len() } else { whole };
        held.drain(..whole)
            .as_slice()
            .split_inclusive(|byte| *byte == b'\n')
            .for_each(|one| line(one.trim_ascii_end()));
    }
    if !held.is_empty() {
        line(&held);
    }
}

/// Waits at most `limit` until a reader has emptied a pipe.
pub async fn drained(pipe: impl std::os::fd::AsFd, limit: Duration) {
    let read = async {
        // If the descriptor is not a pipe, or is closed, there is nothing left for a reader.
        while rustix::io::ioctl_fionread(&pipe).is_ok_and(|left| left > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(limit, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script. Returns its standard output, its lines of standard error and its exit code.
    async fn heard(script: &str) -> (Vec<u8>, Vec<Vec<u8>>, Option<i32>) {
        let (mut data, mut said) = (Vec::new(), Vec::new());
        let argv = ["sh", "-c", script].map(str::to_owned);
        let mut take = |bytes: &[u8]| {
            data.extend_from_slice(bytes);
            Ok(())
        };
        let status = hand_over_apart(&argv, Some(&mut take), &mut |line| said.push(line.to_vec())).await.unwrap();
        (data, said, status.code())
    }

    #[tokio::test]
    async fn the_two_streams_stay_apart() {
        let (data, said, code) = heard("printf 'a\\r\\n\\377\\000'; printf 'one\\r\\n\\ntwo' >&2; exit 3").await;
        assert_eq!((data.as_slice(), code), (&b"a\r\n\xff\0"[..], Some(3)));
        assert_eq!(said, [&b"one"[..], b"", b"two"]);
    }

    #[tokio::test]
    async fn an_endless_line_is_handed_on_in_pieces() {
        let (_, said, _) = heard("head -c 1000000 /dev/zero | tr '\\0' x >&2").await;
        assert_eq!(said.concat().len(), 1_000_000);
        assert!(said.len() > 1 && said.iter().all(|line| line.len() <= 2 * LINE));
    }
}
