//! Commands that change a host, run so that a broken connection does not end them: the runner connects again,
//! waits for what still works there and learns how it ended. Never does one begin while another copy of it works.

use super::{Lease, Session};
use crate::io::ssh::{Host, Output};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::reconcile::connect;
use crate::resource::contract::lease::Key;
use crate::resource::{self, Command, Lane};
use std::sync::Arc;
use std::time::Duration;

/// How often a command is begun at most, where connections keep breaking.
pub(crate) const TRIES: usize = 3;

/// A command as it is sent: under a lease's token, with a name of its own.
pub(crate) struct Attempt {
    host: Arc<Host>,
    lane: Lane,
    key: Key,
    id: String,
    script: String,
    input: Input,
    limit: Duration,
}

/// What becomes of a command that an attempt was made at.
pub(crate) enum Verdict {
    /// It is done.
    Done(Output),
    /// The connection broke, and it does not work on the host: it can be begun anew.
    Again(Failure),
}

impl Attempt {
    /// Sends it and waits for its end.
    pub(crate) async fn run(&self) -> Result<Output, Failure> {
        self.host.run(&self.script, self.input.clone(), self.limit).await
    }
}

impl Session {
    /// Runs one command to its end. Its own failure carries its last lines.
    ///
    /// # Errors
    /// The command's own reason where it failed, `LeaseLost` where another run took over, `ConnectionLost` where the
    /// connection broke and could not be had again within `ssh.wait`.
    pub async fn run(&mut self, command: &Command) -> Result<Output, Failure> {
        self.carry_out(command, false).await
    }

    /// The same, and a look at the host once it is done.
    ///
    /// # Errors
    /// As [`Session::run`]; then nothing was looked at.
    pub async fn run_and_observe(&mut self, command: &Command) -> Result<(), Failure> {
        let output = self.carry_out(command, true).await?;
        match resource::parse_after(&self.prepared.subject().marks(), &output.stdout, &self.facts) {
            Ok(facts) => self.take_in(facts).await,
            // The connection broke, or the look was cut short.
            Err(_) => self.observe().await,
        }
    }

    async fn carry_out(&mut self, command: &Command, observing: bool) -> Result<Output, Failure> {
        let mut tries = TRIES;
        loop {
            let attempt = self.attempt(self.lane, command, observing)?;
            let ended = attempt.run().await;
            tries -= 1;
            match self.judge(command, &attempt, ended).await? {
                Verdict::Done(output) => return Ok(output),
                Verdict::Again(broken) if tries == 0 => return Err(broken),
                Verdict::Again(_) => {}
            }
        }
    }

    /// A command under our lease; with a look at the host once it is done, where `observing`.
    pub(crate) fn attempt(&self, lane: Lane, command: &Command, observing: bool) -> Result<Attempt, Failure> {
        let Some(lease) = &self.lease else {
            let message = format!("Nothing is changed without a lease, so not: {}", command.title);
            return Err(Failure::new(Reason::LeaseLost, message));
        };
        let (subject, key, id) =
            (self.prepared.subject(), lease.key.clone(), uuid::Uuid::now_v7().simple().to_string());
        let script = if observing {
            let probe = resource::probe_after(&subject, self.kind.filter(|_| lane == Lane::Main));
            lane.script_and_probe(&subject, command, &key, &id, &probe)
        } else {
            lane.script(&subject, command, &key, &id)
        };
        let (host, input, limit) =
            (Arc::clone(self.host()?), command.input.clone(), command.limit + resource::PATIENCE);
        Ok(Attempt { host, lane, key, id, script, input, limit })
    }

    /// What became of an attempt; where its connection broke, over a new one.
    pub(crate) async fn judge(
        &mut self,
        command: &Command,
        attempt: &Attempt,
        ended: Result<Output, Failure>,
    ) -> Result<Verdict, Failure> {
        let broken = match ended {
            Ok(output) if output.status == 0 => return Ok(Verdict::Done(output)),
            Ok(output)
                if output.status == resource::contract::lease::LOST.0
                    && output.stderr.contains(resource::contract::lease::LOST.1) =>
            {
                // Taken up again over a new connection, our lease has another token.
                if self.lease.as_ref().is_some_and(|lease| lease.key != attempt.key) {
                    return Ok(Verdict::Again(broken_off(&self.prepared.environment.address, command)));
                }
                let message = format!("The lease was lost before the host was to {}", command.title);
                let trouble = self.lease.as_ref().and_then(Lease::trouble);
                return Err(trouble.unwrap_or_else(|| Failure::new(Reason::LeaseLost, message)));
            }
            // A host that goes down lets some commands fail first.
            Ok(output) if !attempt.host.gone().await => return Err(self.failed(command, &output)),
            Ok(_) => broken_off(&self.prepared.environment.address, command),
            Err(failure) if failure.reason == Reason::ConnectionLost => failure,
            Err(failure) => return Err(failure),
        };
        let last = match self.again(command, attempt).await {
            Ok(last) => last,
            Err(failure) if failure.reason == Reason::LeaseLost => return Err(failure),
            Err(_) => return Err(broken_off(&self.prepared.environment.address, command).details(said(&broken))),
        };
        if last == format!("{} 0", attempt.id) {
            return Ok(Verdict::Done(Output { status: 0, stdout: Vec::new(), stderr: String::new() }));
        }
        // It failed with its input cut off, was killed, or never began.
        Ok(Verdict::Again(broken))
    }

    /// Connects again after the connection broke, and takes the lease up again.
    pub(crate) async fn reconnect(&mut self) -> Result<(), Failure> {
        self.progress("the connection broke, connecting again");
        let (known, wait) = (self.host()?.host_keys().to_vec(), self.prepared.environment.ssh.wait);
        let host = connect::open(&self.prepared, &known, false, wait, &self.sink, &|_| false).await?;
        self.connection = Some(Arc::new(host));
        self.renew().await
    }

    fn failed(&self, command: &Command, output: &Output) -> Failure {
        let stderr = self.prepared.redactor.redact(&output.stderr);
        let last: Vec<&str> = stderr.trim_end().lines().rev().take(20).collect();
        let details = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        let message = format!("Cannot {}: exit {}", command.title, output.status);
        let failure = Failure::new(command.reason, message);
        failure.or_disk_of_host(&details, &self.prepared.environment.address).details(details)
    }

    /// Connects again, unless that was done meanwhile, waits for what still works there and returns how it ended.
    async fn again(&mut self, command: &Command, attempt: &Attempt) -> Result<String, Failure> {
        if Arc::ptr_eq(self.host()?, &attempt.host) {
            self.reconnect().await?;
        }
        self.progress(format!("wait for the host to {}", command.title));
        let limit = command.limit + resource::PATIENCE;
        let script = attempt.lane.last(&self.prepared.subject(), limit);
        let output = self.script(&script, limit + resource::SHORT).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn broken_off(address: &str, command: &Command) -> Failure {
    let message = format!("The connection to {address} broke while the host was to {}", command.title);
    Failure::new(Reason::ConnectionLost, message)
}

fn said(failure: &Failure) -> String {
    failure.details.clone().unwrap_or_default()
}
