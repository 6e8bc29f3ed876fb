//! Commands that change a host. They survive a broken connection: the runner connects again, waits for the command that
//! still runs on the host and reads how it ended. A command does not start while another copy of it runs.

use super::{Lease, Session};
use crate::io::ssh::{Host, Output};
use crate::model::checked;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Kind;
use crate::reconcile::connect;
use crate::resource::contract::lease::Key;
use crate::resource::{self, Command, Lane};
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of starts of a command whose connection keeps breaking.
pub(crate) const TRIES: usize = 3;

/// A command as it is sent, with its lease's fencing token and a unique id.
pub(crate) struct Attempt {
    host: Arc<Host>,
    lane: Lane,
    key: Key,
    id: String,
    script: String,
    input: Input,
    limit: Duration,
}

/// The result of an attempt at a command.
pub(crate) enum Verdict {
    /// The command ended.
    Done(Output),
    /// The connection broke, and the command does not run on the host: it can be started again.
    Again(Failure),
}

impl Attempt {
    /// Sends the command and waits for its end.
    pub(crate) async fn run(&self) -> Result<Output, Failure> {
        self.host.run(&self.script, self.input.clone(), self.limit).await
    }
}

impl Session {
    /// Runs one command to its end. The failure of a command contains the last lines of its output.
    ///
    /// # Errors
    /// The command's own reason if it failed, `LeaseLost` if another run took over, `ConnectionLost` if the connection
    /// broke and could not be opened again within `ssh.wait`.
    pub async fn run(&mut self, command: &Command) -> Result<Output, Failure> {
        self.carry_out(command, false).await
    }

    /// Runs one command to its end, and observes the host after it.
    ///
    /// # Errors
    /// As [`Session::run`]; the host was then not observed.
    pub async fn run_and_observe(&mut self, command: &Command) -> Result<(), Failure> {
        let output = self.carry_out(command, true).await?;
        let kinds = resource::changed_by(self.step(self.lane));
        match resource::parse_of(&self.prepared.subject().marks(), &output.stdout, kinds, self.facts()) {
            Ok(facts) => self.take_in(facts).await,
            // The connection broke, or the observation was cut short.
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
                Verdict::Done(output) => {
                    self.tell(&output);
                    return Ok(output);
                }
                Verdict::Again(broken) if tries == 0 => return Err(broken),
                Verdict::Again(_) => {}
            }
        }
    }

    /// Tells what the command noticed: files that no release placed and that it kept under another name, and what it
    /// left. Services do not know the mark before such a line.
    fn tell(&self, output: &Output) {
        let mark = format!("{} ", self.prepared.subject().marks().as_str());
        for (what, text) in output.stderr.lines().filter_map(|line| line.strip_prefix(&mark)?.split_once(' ')) {
            let text = checked::said(text);
            let message = match what {
                "kept" => format!("Saved a file that no release placed: {text}"),
                "says" => text,
                _ => continue,
            };
            (self.sink)(Event::Warning { environment: Some(self.prepared.name().to_owned()), message });
        }
    }

    /// Builds an attempt at a command under the session's lease. If `observing` is true, the host is observed after the
    /// command.
    pub(crate) fn attempt(&self, lane: Lane, command: &Command, observing: bool) -> Result<Attempt, Failure> {
        let Some(lease) = &self.lease else {
            let message = format!("Cannot {} without a lease", command.title);
            return Err(Failure::new(Reason::LeaseLost, message));
        };
        let (subject, key, id) =
            (self.prepared.subject(), lease.key.clone(), uuid::Uuid::now_v7().simple().to_string());
        let script = if observing {
            let probe = resource::probe_of(&subject, resource::changed_by(self.step(lane)));
            lane.script_and_probe(&subject, command, &key, &id, &probe)
        } else {
            lane.script(&subject, command, &key, &id)
        };
        let (host, input, limit) =
            (Arc::clone(self.host()?), command.input.clone(), command.limit + resource::PATIENCE);
        Ok(Attempt { host, lane, key, id, script, input, limit })
    }

    /// Returns the kind of the step that a lane works on, if no other step can run at the same time in that lane.
    fn step(&self, lane: Lane) -> Option<Kind> {
        self.kind.filter(|_| lane == Lane::Main)
    }

    /// Returns the result of an attempt. If its connection broke, reads the result over a new connection.
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
                // The lease was taken again over a new connection and has another token now.
                if self.lease.as_ref().is_some_and(|lease| lease.key != attempt.key) {
                    return Ok(Verdict::Again(broken_off(&self.prepared.reach.address, command)));
                }
                let message = format!("The lease was lost. This was not started: {}", command.title);
                let trouble = self.lease.as_ref().and_then(Lease::trouble);
                return Err(trouble.unwrap_or_else(|| Failure::new(Reason::LeaseLost, message)));
            }
            // A host that shuts down may fail commands before the connection breaks.
            Ok(output) if !attempt.host.gone().await => return Err(self.failed(command, &output)),
            Ok(_) => broken_off(&self.prepared.reach.address, command),
            Err(failure) if failure.reason == Reason::ConnectionLost => failure,
            Err(failure) => return Err(failure),
        };
        let last = match self.again(command, attempt).await {
            Ok(last) => last,
            Err(failure) if failure.reason == Reason::LeaseLost => return Err(failure),
            Err(_) => return Err(broken_off(&self.prepared.reach.address, command).details(said(&broken))),
        };
        if last == format!("{} 0", attempt.id) {
            return Ok(Verdict::Done(Output { status: 0, stdout: Vec::new(), stderr: String::new() }));
        }
        // The command failed because its input was cut off, was killed, or did not start.
        Ok(Verdict::Again(broken))
    }

    /// Connects again after the connection broke, and takes the lease again.
    pub(crate) async fn reconnect(&mut self) -> Result<(), Failure> {
        self.progress("the connection broke, connecting again");
        self.prepared.reach = self.prepared.reach.clone().recording(self.host()?.host_keys());
        let wait = self.prepared.environment.ssh.wait;
        let host = connect::open(&self.prepared, false, wait, &self.sink, &connect::trust_none).await?;
        self.connection = Some(Arc::new(host));
        self.renew().await
    }

    /// Returns the failure of a command that ended, with the last lines of its output.
    pub(crate) fn failed(&self, command: &Command, output: &Output) -> Failure {
        let stderr = self.prepared.redactor.redact(&output.stderr);
        let last: Vec<&str> = stderr.trim_end().lines().rev().take(20).collect();
        let details = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        let message = format!("Cannot {}: exit {}", command.title, output.status);
        let failure = Failure::new(command.reason, message);
        failure.or_disk_of_host(&details, &self.prepared.reach.address).details(details)
    }

    /// Connects again, unless that has happened already, waits for the commands that still run on the host and returns
    /// how they ended.
    async fn again(&mut self, command: &Command, attempt: &Attempt) -> Result<String, Failure> {
        if Arc::ptr_eq(self.host()?, &attempt.host) {
            self.reconnect().await?;
        }
        self.progress(format!("wait until the host has finished: {}", command.title));
        let limit = command.limit + resource::PATIENCE;
        let script = attempt.lane.last(&self.prepared.subject(), limit);
        let output = self.script(&script, limit + resource::SHORT).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn broken_off(address: &str, command: &Command) -> Failure {
    let message = format!("The connection to {address} broke during this command: {}", command.title);
    Failure::new(Reason::ConnectionLost, message)
}

fn said(failure: &Failure) -> String {
    failure.details.clone().unwrap_or_default()
}
