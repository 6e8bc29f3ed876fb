//! Runs one call of OpenTofu: starts it as a process that outlives us, follows its output lines and interrupts it at a
//! signal or at the time limit. Kills it only after OpenTofu had time to write its state, or if its output grows
//! without end.

use super::diagnostic::{self, Diagnostic};
use super::directory_lock::{self, DirectoryLock};
use super::model::Say;
use super::stream::{self, Said};
use super::working_directory::{WorkingDirectory, cannot, in_memory};
use crate::io::process::{self, Detached, Environment, Place};
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use crate::model::secret::Redactor;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interval at which the output is read.
const PAUSE: Duration = Duration::from_millis(50);
/// Time for OpenTofu to end after an interrupt.
const GRACE: Duration = Duration::from_mins(1);
/// Limit in bytes of one line of output.
const LONGEST: usize = 16 << 20;
/// Limit of the number of warnings and errors.
const DIAGNOSTICS: usize = 10_000;
/// Bytes of output per read.
const CHUNK: usize = 256 << 10;
/// Bytes of standard error that are kept.
const LAST: u64 = 8 << 10;
/// Variables of our environment that would make OpenTofu do something other than we ask.
const WITHOUT: [&str; 12] = [
    "TF_CLI_ARGS",
    "TF_CLI_ARGS_init",
    "TF_CLI_ARGS_plan",
    "TF_CLI_ARGS_apply",
    "TF_CLI_ARGS_show",
    "TF_CLI_ARGS_output",
    "TF_WORKSPACE",
    "TF_HTTP_ADDRESS",
    "TF_HTTP_LOCK_ADDRESS",
    "TF_HTTP_UNLOCK_ADDRESS",
    "TF_HTTP_USERNAME",
    "TF_HTTP_PASSWORD",
];

/// One call of OpenTofu.
pub struct Call<'a> {
    /// The program.
    pub program: &'a Utf8Path,
    /// The arguments, beginning with the command.
    pub arguments: Vec<String>,
    /// Environment variables, in addition to ours.
    pub variables: &'a BTreeMap<String, SecretString>,
    /// The environment's directory.
    pub directory: &'a WorkingDirectory,
    /// The claim on that directory.
    pub lock: &'a DirectoryLock,
    /// Time limit.
    pub limit: Duration,
    /// True if the output is JSON lines; otherwise the output is kept unparsed.
    pub lines: bool,
}

/// The result of a call.
#[derive(Debug)]
pub struct Heard {
    /// Exit status.
    pub status: ExitStatus,
    /// Warnings and errors.
    pub diagnostics: Vec<Diagnostic>,
    /// Output that is not in the expected format.
    pub rest: String,
    /// The whole output, if the output is not parsed as lines.
    pub output: Vec<u8>,
    /// Reason why the call was interrupted, if it was.
    stopped: Option<Reason>,
    command: String,
    limit: Duration,
}

impl Heard {
    /// Returns the errors.
    #[must_use]
    pub fn errors(&self) -> Vec<&Diagnostic> {
        self.diagnostics.iter().filter(|found| found.is_error()).collect()
    }

    /// Returns the failure for a call that did not succeed.
    #[must_use]
    pub fn failure(&self, redactor: &Redactor) -> Failure {
        let what = format!("{} failed ({})", self.command, self.status);
        let failure = diagnostic::failure(&what, &self.errors(), &self.rest, redactor);
        let message = match self.stopped {
            None => return failure,
            Some(Reason::Interrupted) => format!("{} was interrupted", self.command),
            Some(Reason::OutputTooLarge) => {
                Failure::too_large(&format!("The output of {}", self.command), bounded::STATE).message()
            }
            Some(_) => {
                format!("{} did not end within {}", self.command, humantime::format_duration(self.limit))
            }
        };
        let said = format!("{}\n{}", failure.message(), failure.details.unwrap_or_default());
        Failure::new(self.stopped.unwrap_or(failure.reason), message).details(said)
    }

    /// Returns each distinct warning in one line.
    pub fn warnings(&self, redactor: &Redactor) -> Vec<String> {
        let mut warnings = Vec::new();
        for warning in self.diagnostics.iter().filter(|found| !found.is_error()) {
            let line = warning.line(redactor);
            if !warnings.contains(&line) {
                warnings.push(line);
            }
        }
        warnings
    }
}

/// Runs a call to its end and reports its progress.
pub async fn run(call: Call<'_>, say: &Say<'_>, redactor: &Redactor) -> Result<Heard, Failure> {
    let (out, err) = (call.directory.own("out"), call.directory.own("err"));
    // Both may hold secrets that must not stay on the disk.
    let ((_out, stdout), (_err, stderr)) = (in_memory(&out)?, in_memory(&err)?);
    let held = call.lock.held.try_clone().map_err(|error| cannot(&call.directory.path, error))?;
    let place = Place {
        directory: &call.directory.path,
        environment: Environment::Provider,
        variables: call.variables,
        without: &WITHOUT,
        held,
        stdout,
        stderr,
    };
    let mut follower = Follower::open([&out, &err], call.lines)?;
    let mut child = process::detach(call.program.as_str(), &call.arguments, place)?;
    directory_lock::noted(call.directory, child.id())?;
    let (status, stopped) = attend(&mut child, &mut follower, call.limit, say, redactor).await?;
    if stopped != Some(Reason::OutputTooLarge) {
        follower.read(say, redactor);
        follower.end(say, redactor);
    }
    let mut rest = follower.rest;
    rest.push_str(&last_words(&err));
    let program = call.program.file_name().unwrap_or("tofu");
    let command = format!("{program} {}", call.arguments.first().map_or("", String::as_str));
    Ok(Heard {
        status,
        diagnostics: follower.diagnostics,
        rest,
        output: follower.output,
        stopped,
        command,
        limit: call.limit,
    })
}

/// Follows OpenTofu until it has ended. Interrupts it at a signal to us or at the limit.
async fn attend(
    child: &mut Detached,
    follower: &mut Follower,
    limit: Duration,
    say: &Say<'_>,
    redactor: &Redactor,
) -> Result<(ExitStatus, Option<Reason>), Failure> {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok());
    let [interrupt, terminate] = &mut signals;
    let mut deadline = tokio::time::Instant::now() + limit;
    let mut stopped = None;
    loop {
        let reason = tokio::select! {
            status = child.wait() => return Ok((status?, stopped)),
            () = tokio::time::sleep(PAUSE) => {
                follower.read(say, redactor);
                // The output is held in memory. An interrupted OpenTofu must not fill the memory.
                if follower.has_written(2 * bounded::STATE) {
                    child.kill();
                }
                if stopped.is_some() || !follower.is_over() {
                    continue;
                }
                Reason::OutputTooLarge
            }
            () = heard(interrupt), if stopped.is_none() => Reason::Interrupted,
            () = heard(terminate), if stopped.is_none() => Reason::Interrupted,
            () = tokio::time::sleep_until(deadline) => Reason::ProvisionTimeout,
        };
        if stopped.is_some() {
            child.kill();
        } else {
            say("OpenTofu was asked to stop; it saves the state of the work done so far".to_owned());
            child.interrupt();
        }
        stopped.get_or_insert(reason);
        deadline = tokio::time::Instant::now() + GRACE;
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns the end of a program's output file.
fn last_words(path: &Utf8Path) -> String {
    let mut said = Vec::new();
    let _ = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(LAST)))?;
        file.take(LAST).read_to_end(&mut said)
    });
    String::from_utf8_lossy(&said).into_owned()
}

/// A reader of a file that grows.
struct Follower {
    file: File,
    /// Paths of standard output and standard error.
    paths: [Utf8PathBuf; 2],
    lines: bool,
    /// Beginning of a line that has not ended yet.
    begun: Vec<u8>,
    diagnostics: Vec<Diagnostic>,
    rest: String,
    output: Vec<u8>,
}

impl Follower {
    fn open([out, err]: [&Utf8Path; 2], lines: bool) -> Result<Self, Failure> {
        let file = File::open(out).map_err(|error| cannot(out, error))?;
        let paths = [out.to_owned(), err.to_owned()];
        Ok(Self { file, paths, lines, begun: vec![], diagnostics: vec![], rest: String::new(), output: vec![] })
    }

    /// Returns true if OpenTofu wrote more than the limits allow.
    fn is_over(&self) -> bool {
        self.begun.len() > LONGEST || self.diagnostics.len() > DIAGNOSTICS || self.has_written(bounded::STATE)
    }

    fn has_written(&self, limit: usize) -> bool {
        self.paths.iter().any(|path| fs::metadata(path).is_ok_and(|file| file.len() > limit as u64))
    }

    fn read(&mut self, say: &Say<'_>, redactor: &Redactor) {
        if !self.lines {
            return;
        }
        let mut chunk = vec![0; CHUNK];
        // The next call reads the bytes that cannot be read now.
        while !self.is_over() {
            let Ok(length @ 1..) = self.file.read(&mut chunk) else { break };
            self.take(&chunk[..length], say, redactor);
        }
    }

    fn take(&mut self, bytes: &[u8], say: &Say<'_>, redactor: &Redactor) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.begun.extend_from_slice(piece);
            if pieces.peek().is_some() {
                let line = std::mem::take(&mut self.begun);
                self.line(&line, say, redactor);
            }
        }
    }

    fn line(&mut self, line: &[u8], say: &Say<'_>, redactor: &Redactor) {
        match stream::read(&String::from_utf8_lossy(line)) {
            Said::Progress(text) => say(redactor.redact(&text)),
            Said::Diagnostic(found) => self.diagnostics.push(*found),
            Said::Other(text) if self.rest.len() < bounded::SMALL_FILE => {
                self.rest.push_str(bounded::prefix(&text, bounded::SMALL_FILE));
                self.rest.push('\n');
            }
            Said::Other(_) | Said::Summary(_) | Said::Nothing => {}
        }
    }

    fn end(&mut self, say: &Say<'_>, redactor: &Redactor) {
        if self.lines {
            let last = std::mem::take(&mut self.begun);
            self.line(&last, say, redactor);
        } else if self.file.seek(SeekFrom::Start(0)).is_ok() {
            let _ = (&mut self.file).take(bounded::STATE as u64).read_to_end(&mut self.output);
        }
    }
}
