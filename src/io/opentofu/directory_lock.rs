//! Exclusive use of an environment's directory. Locks out other runs, and waits for an OpenTofu that a killed run left
//! running. Ends no process.

use super::model::Say;
use super::working_directory::{WorkingDirectory, cannot};
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(200);
/// Time for which a released lock may still appear held: a process that is being spawned has a copy of all our file
/// descriptors until it executes its program.
const MOMENT: Duration = Duration::from_secs(2);

/// A claim on the directory while this value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    /// The lock against other runs. The system releases it when this process ends for any reason.
    _claim: File,
    /// The lock that OpenTofu inherits and holds until it ends.
    pub held: File,
}

/// Claims the directory. Waits for an OpenTofu that a killed run left running there.
///
/// # Errors
/// `StateLocked` if another run has claimed it; `ProvisionTimeout` if the OpenTofu left running does not end within
/// `limit`.
pub async fn claim(
    directory: &WorkingDirectory,
    holder: &Holder,
    limit: Duration,
    say: &Say<'_>,
) -> Result<DirectoryLock, Failure> {
    let claim = open(directory, "run")?;
    let begun = Instant::now();
    loop {
        match claim.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if begun.elapsed() < MOMENT => tokio::time::sleep(PAUSE / 4).await,
            Err(TryLockError::WouldBlock) => return Err(taken(&reader(directory, "run"))),
            Err(TryLockError::Error(error)) => return Err(cannot(&directory.path, error)),
        }
    }
    note(directory, "run", &holder.line())?;
    let held = open(directory, "tofu")?;
    let begun = Instant::now();
    let mut told = false;
    loop {
        match held.try_lock() {
            Ok(()) => return Ok(DirectoryLock { _claim: claim, held }),
            Err(TryLockError::Error(error)) => return Err(cannot(&directory.path, error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let who = reader(directory, "tofu");
        if begun.elapsed() >= limit {
            let message = format!("OpenTofu of an earlier run is still running after {} s ({who})", limit.as_secs());
            return Err(Failure::new(Reason::ProvisionTimeout, message)
                .hint("Wait for it, or end that process; then run the same command again"));
        }
        if !told && begun.elapsed() >= PAUSE {
            say(format!("Waiting for OpenTofu of an earlier run to end ({who})"));
            told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Records the process that was started with the lock, for other runs that wait for that process.
pub fn noted(directory: &WorkingDirectory, pid: u32) -> Result<(), Failure> {
    note(directory, "tofu", &format!("pid {pid}"))
}

/// Returns the failure of a run that finds the directory claimed by another run.
pub fn taken(by: &str) -> Failure {
    let who = Holder::parse(by).map_or_else(|| by.to_owned(), |holder| holder.to_string());
    Failure::new(Reason::StateLocked, format!("Another run is changing the infrastructure: {who}"))
}

// The locks are on separate files, which are not replaced.
fn open(directory: &WorkingDirectory, name: &str) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = directory.own(&format!("{name}.lock"));
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| cannot(&path, error))
}

fn note(directory: &WorkingDirectory, name: &str, text: &str) -> Result<(), Failure> {
    let path = directory.own(&format!("{name}.who"));
    let mut file = super::working_directory::fresh(&path)?;
    file.write_all(text.as_bytes()).map_err(|error| cannot(&path, error))
}

fn reader(directory: &WorkingDirectory, name: &str) -> String {
    fs::read_to_string(directory.own(&format!("{name}.who"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    /// Claims the directory repeatedly while child processes are started, which hold copies of our locks for a moment.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_released_directory_can_be_claimed_again() {
        let directory = tempfile::tempdir().unwrap();
        let directory = WorkingDirectory::open(Utf8Path::from_path(directory.path()).unwrap()).unwrap();
        let holder = Holder::here("tester@here", "plan", None);
        let argv = ["true".to_owned()];
        let others = (0..4).map(|_| {
            let argv = argv.clone();
            tokio::spawn(async move {
                loop {
                    crate::io::process::run(&argv, b"", Duration::from_secs(20)).await.unwrap();
                }
            })
        });
        let others: Vec<_> = others.collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            claim(&directory, &holder, Duration::from_secs(20), &|_| {}).await.unwrap();
            tokio::task::yield_now().await;
        }
        others.iter().for_each(tokio::task::JoinHandle::abort);
        let first = claim(&directory, &holder, Duration::from_secs(20), &|_| {}).await.unwrap();
        let second = claim(&directory, &holder, Duration::from_secs(20), &|_| {}).await.unwrap_err();
        assert_eq!(second.reason, Reason::StateLocked);
        drop(first);
    }
}
