//! The only module that starts local processes. Uses no shell. A process inherits standard input only when a user is
//! handed over to it.

mod apart;
mod environment;

pub use apart::{Data, drained, hand_over_apart};
pub use environment::{Environment, withhold};

use crate::model::bounded::{self, Ends};
use crate::model::failure::{Failure, Reason};
use camino::Utf8Path;
use futures::FutureExt as _;
use futures::future::FusedFuture as _;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// Time to wait for output after a process has ended: a child that it left behind may hold the pipes open.
const LINGER: Duration = Duration::from_secs(2);

/// The result of a process that ended by itself.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit status.
    pub status: ExitStatus,
    /// Complete standard output.
    pub stdout: Vec<u8>,
    /// Standard error. The middle of long output is left out.
    pub stderr: Vec<u8>,
}

/// Runs a program in the minimal environment, as [`run_in`] does.
///
/// # Errors
/// As [`run_in`].
pub async fn run(argv: &[String], input: &[u8], limit: Duration) -> Result<Finished, Failure> {
    run_in(Environment::Minimal, argv, input, limit).await
}

/// Runs a program with `input` as its standard input, for at most `limit`. Kills the program at that limit or when the
/// future is dropped.
///
/// # Errors
/// `ToolMissing` if the program does not exist, `CommandFailed` if it cannot be started or exceeds the limit,
/// `OutputTooLarge` if it prints more than [`bounded::LOCAL_OUTPUT`]; then it is killed.
/// An exit code other than zero is not an error here. Messages do not contain the arguments.
pub async fn run_in(
    environment: Environment,
    argv: &[String],
    input: &[u8],
    limit: Duration,
) -> Result<Finished, Failure> {
    let [program, arguments @ ..] = argv else {
        return Err(Failure::new(Reason::CommandFailed, "An empty command cannot be run"));
    };
    #[expect(clippy::disallowed_methods, reason = "the home of local processes")]
    let mut command = tokio::process::Command::new(program);
    environment.apply(&mut command);
    let started = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|error| unstarted(program, error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (out, err) = (Mutex::new(Vec::new()), Mutex::new(Ends::default()));

    let feed = async {
        if let Some(mut stdin) = stdin {
            // It is not a failure if a program does not read its input: its exit code decides.
            let _ = stdin.write_all(input).await;
        }
    };
    let over = Over::default();
    let read = async { tokio::join!(collect(stdout, &out, &over), collect_errors(stderr, &err, &over)) }.fuse();
    let ended = async {
        tokio::pin!(feed, read);
        let status = {
            let talk = async { tokio::join!(&mut feed, &mut read) };
            tokio::pin!(talk);
            let wait = child.wait();
            tokio::pin!(wait);
            tokio::select! {
                status = &mut wait => status,
                _ = &mut talk => return wait.await,
            }
        };
        // The reading may have finished in the same poll as the program.
        if !read.is_terminated() {
            let _ = tokio::time::timeout(LINGER, read).await;
        }
        status
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(limit, ended) => Some(ended),
        () = over.noticed.notified() => None,
    };
    match ended.filter(|_| !over.is.load(Ordering::Relaxed)) {
        None => {
            let what = format!("The output of the program {program}");
            Err(Failure::too_large(&what, bounded::LOCAL_OUTPUT))
        }
        Some(Err(_)) => {
            let message = format!("The program {program} did not end within {}", humantime::format_duration(limit));
            Err(Failure::new(Reason::CommandFailed, message))
        }
        Some(Ok(Err(error))) => Err(unended(program, error)),
        Some(Ok(Ok(status))) => Ok(Finished { status, stdout: taken(out), stderr: taken(err).into_bytes() }),
    }
}

/// Limits the memory of this process and its children to `bytes` of address space. A process that exceeds the limit
/// ends.
pub fn limit_memory(bytes: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::As);
    let least = now.current.map_or(bytes, |current| current.min(bytes));
    // A system without this limit is no worse off than before.
    let _ = setrlimit(Resource::As, Rlimit { current: Some(least), ..now });
}

/// Runs a program with our own standard streams, in the minimal environment, until it ends by itself.
///
/// # Errors
/// As [`run`], but without a time limit.
pub async fn hand_over(argv: &[String]) -> Result<ExitStatus, Failure> {
    let [program, arguments @ ..] = argv else {
        return Err(Failure::new(Reason::CommandFailed, "An empty command cannot be run"));
    };
    #[expect(clippy::disallowed_methods, reason = "the home of local processes")]
    let mut command = tokio::process::Command::new(program);
    Environment::Minimal.apply(&mut command);
    let started = command.args(arguments).kill_on_drop(true).spawn();
    let mut child = started.map_err(|error| unstarted(program, error))?;
    child.wait().await.map_err(|error| unended(program, error))
}

/// A process in its own process group. It keeps running if we end.
#[derive(Debug)]
pub struct Detached {
    child: tokio::process::Child,
    program: String,
    /// Process ID, equal to the process group ID.
    pid: u32,
}

/// The surroundings of a detached process: directory, environment and streams.
#[derive(Debug)]
pub struct Place<'a> {
    /// Working directory.
    pub directory: &'a Utf8Path,
    /// Part of our environment that the process gets.
    pub environment: Environment,
    /// Additional variables.
    pub variables: &'a BTreeMap<String, SecretString>,
    /// Variables to remove from that environment.
    pub without: &'a [&'a str],
    /// Standard input: a file that the process does not read but keeps open until it ends, together with a lock on the
    /// file.
    pub held: File,
    /// Standard output.
    pub stdout: File,
    /// Standard error.
    pub stderr: File,
}

/// Starts a program that runs until it ends by itself, even if we end first.
///
/// # Errors
/// `ToolMissing` if the program does not exist, `CommandFailed` if it cannot be started.
pub fn detach(program: &str, arguments: &[String], place: Place<'_>) -> Result<Detached, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the home of local processes")]
    let mut command = tokio::process::Command::new(program);
    place.environment.apply(&mut command);
    for name in place.without {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(place.directory)
        .envs(place.variables.iter().map(|(name, value)| (name, value.expose_secret())))
        .stdin(place.held)
        .stdout(place.stdout)
        .stderr(place.stderr)
        .process_group(0);
    let child = command.spawn().map_err(|error| unstarted(program, error))?;
    let pid = child.id().unwrap_or_default();
    Ok(Detached { child, program: program.to_owned(), pid })
}

impl Detached {
    /// Waits until the process has ended.
    ///
    /// # Errors
    /// `CommandFailed` if the process cannot be waited for.
    pub async fn wait(&mut self) -> Result<ExitStatus, Failure> {
        self.child.wait().await.map_err(|error| unended(&self.program, error))
    }

    /// Returns the process ID.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.pid
    }

    /// Returns the process ID, or `None` after the process was waited for.
    fn pid(&self) -> Option<rustix::process::Pid> {
        self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
    }

    /// Sends SIGINT to the process, but not to its children.
    pub fn interrupt(&self) {
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
    }

    /// Kills the process group.
    pub fn kill(&self) {
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

fn unstarted(program: &str, error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::new(Reason::ToolMissing, format!("The program {program} is not installed")),
        _ => Failure::new(Reason::CommandFailed, format!("The program {program} cannot be started")).because(error),
    }
}

fn unended(program: &str, error: std::io::Error) -> Failure {
    Failure::new(Reason::CommandFailed, format!("The program {program} cannot be waited for")).because(error)
}

/// A flag that a program printed more than the limit.
#[derive(Default)]
struct Over {
    is: AtomicBool,
    noticed: Notify,
}

impl Over {
    fn notice(&self) {
        self.is.store(true, Ordering::Relaxed);
        self.noticed.notify_one();
    }
}

/// Reads to the end into `into`, so that partial output is available even if the end never comes. Stops at the output
/// limit and notifies `over`.
async fn collect(from: Option<impl AsyncRead + Unpin>, into: &Mutex<Vec<u8>>, over: &Over) {
    let Some(mut from) = from else { return };
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let mut held = into.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() + length > bounded::LOCAL_OUTPUT {
            return over.notice();
        }
        held.extend_from_slice(&chunk[..length]);
    }
}

/// Reads standard error to its end. Stops at the output limit and notifies `over`.
async fn collect_errors(from: Option<impl AsyncRead + Unpin>, into: &Mutex<Ends>, over: &Over) {
    let Some(mut from) = from else { return };
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let mut held = into.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(&chunk[..length]);
        if held.is_over() {
            return over.notice();
        }
    }
}

fn taken<T>(from: Mutex<T>) -> T {
    from.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn passes_bytes_and_codes() {
        let input: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let finished = run(&argv(&["cat"]), &input, Duration::from_secs(20)).await.unwrap();
        assert!(finished.status.success());
        assert_eq!(finished.stdout, input);

        let finished = run(&argv(&["sh", "-c", "echo no >&2; exit 3"]), &input, Duration::from_secs(20)).await.unwrap();
        assert_eq!((finished.status.code(), finished.stderr), (Some(3), b"no\n".to_vec()));
    }

    #[tokio::test]
    async fn tells_missing_from_slow() {
        let missing = run(&argv(&["no-such-program-here"]), b"", Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(missing.reason, Reason::ToolMissing);
        let slow = run(&argv(&["sleep", "30"]), b"", Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(slow.reason, Reason::CommandFailed);
        assert!(slow.message().contains("sleep did not end within 100ms"), "{slow}");
        assert_eq!(run(&[], b"", Duration::from_secs(5)).await.unwrap_err().reason, Reason::CommandFailed);
    }

    #[tokio::test]
    async fn endless_output_is_ended() {
        let begun = std::time::Instant::now();
        for script in ["cat /dev/zero", "cat /dev/zero >&2", "yes"] {
            let failure = run(&argv(&["sh", "-c", script]), b"", Duration::from_mins(1)).await.unwrap_err();
            assert_eq!(failure.reason, Reason::OutputTooLarge, "{script}: {failure}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        let script = "head -c 3000000 /dev/zero >&2; echo last >&2; echo out";
        let finished = run(&argv(&["sh", "-c", script]), b"", Duration::from_secs(20)).await.unwrap();
        assert_eq!(finished.stdout, b"out\n");
        assert!(finished.stderr.ends_with(b"last\n") && finished.stderr.len() < 2 << 20);
    }

    #[tokio::test]
    async fn does_not_wait_for_what_was_left_behind() {
        let begun = std::time::Instant::now();
        let finished = run(&argv(&["sh", "-c", "sleep 30 & echo here"]), b"", Duration::from_secs(20)).await.unwrap();
        assert_eq!(finished.stdout, b"here\n");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
