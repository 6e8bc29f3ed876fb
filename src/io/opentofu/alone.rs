//! Who works in an environment's directory: one run of ours, and perhaps an OpenTofu that a killed run left behind.
//! Never ends anything: what was left behind is waited for.

use super::lay::{Room, cannot};
use super::model::Say;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(200);
/// For how long a lock may seem held that was let go: a process that is just being started has a copy of all that we
/// hold until it is under way.
const MOMENT: Duration = Duration::from_secs(2);

/// The directory is ours for as long as this lives.
#[derive(Debug)]
pub struct Ours {
    /// Closed with us, whatever ends us.
    _claim: File,
    /// Locked; given to OpenTofu, which holds it until it ends.
    pub held: File,
}

/// Claims the directory, and waits for what a killed run left working there.
///
/// # Errors
/// `StateLocked` where another run has it; `ProvisionTimeout` where what was left behind does not end in time.
pub async fn claim(room: &Room, holder: &Holder, limit: Duration, say: &Say<'_>) -> Result<Ours, Failure> {
    let claim = open(room, "run")?;
    let begun = Instant::now();
    loop {
        match claim.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if begun.elapsed() < MOMENT => tokio::time::sleep(PAUSE / 4).await,
            Err(TryLockError::WouldBlock) => return Err(taken(&reader(room, "run"))),
            Err(TryLockError::Error(error)) => return Err(cannot(&room.directory, &error)),
        }
    }
    note(room, "run", &holder.line())?;
    let held = open(room, "tofu")?;
    let begun = Instant::now();
    let mut told = false;
    loop {
        match held.try_lock() {
            Ok(()) => return Ok(Ours { _claim: claim, held }),
            Err(TryLockError::Error(error)) => return Err(cannot(&room.directory, &error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let who = reader(room, "tofu");
        if begun.elapsed() >= limit {
            let message = format!("OpenTofu of an earlier run is still at work after {} s ({who})", limit.as_secs());
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

/// Notes which process is started with the lock, for those who wait for it.
pub fn noted(room: &Room, pid: u32) -> Result<(), Failure> {
    note(room, "tofu", &format!("pid {pid}"))
}

/// The failure of one who finds the state locked by a run.
pub fn taken(by: &str) -> Failure {
    let who = Holder::parse(by).map_or_else(|| by.to_owned(), |holder| holder.to_string());
    Failure::new(Reason::StateLocked, format!("{who} works on the infrastructure"))
}

// The locks are on files of their own, which are never replaced.
fn open(room: &Room, name: &str) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = room.own(&format!("{name}.lock"));
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| cannot(&path, &error))
}

fn note(room: &Room, name: &str, text: &str) -> Result<(), Failure> {
    let path = room.own(&format!("{name}.who"));
    let mut file = super::lay::fresh(&path)?;
    file.write_all(text.as_bytes()).map_err(|error| cannot(&path, &error))
}

fn reader(room: &Room, name: &str) -> String {
    fs::read_to_string(room.own(&format!("{name}.who"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    /// While other processes are started, which have our locks for a moment.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_let_go_can_be_claimed_again() {
        let directory = tempfile::tempdir().unwrap();
        let room = Room::open(Utf8Path::from_path(directory.path()).unwrap()).unwrap();
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
            claim(&room, &holder, Duration::from_secs(20), &|_| {}).await.unwrap();
            tokio::task::yield_now().await;
        }
        others.iter().for_each(tokio::task::JoinHandle::abort);
        let first = claim(&room, &holder, Duration::from_secs(20), &|_| {}).await.unwrap();
        let second = claim(&room, &holder, Duration::from_secs(20), &|_| {}).await.unwrap_err();
        assert_eq!(second.reason, Reason::StateLocked);
        drop(first);
    }
}
