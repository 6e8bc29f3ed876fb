//! Commands that change a host, run so that a broken connection does not end them: the runner connects again,
//! waits for what still works there and learns how it ended. Never does one begin while another copy of it works.

use crate::connect;
use crate::failure::{Failure, Reason};
use crate::host::Output;
use crate::observe::Session;
use crate::step::{self, Command};
use std::sync::Arc;

/// How often a command is begun at most, where connections keep breaking.
const TRIES: usize = 3;

/// What is sent for a command that runs under a lease's token and a name of its own.
type Script = fn(&step::Subject<'_>, &Command, u64, &str) -> String;

impl Session {
    /// Runs one command to its end. Its own failure carries its last lines.
    ///
    /// # Errors
    /// The command's own reason where it failed, `LeaseLost` where another run took over, `ConnectionLost` where the
    /// connection broke and could not be had again within `ssh.wait`.
    pub async fn run(&mut self, command: &Command) -> Result<Output, Failure> {
        self.carry_out(command, step::script).await
    }

    /// The same, and a look at the host once it is done.
    ///
    /// # Errors
    /// As [`Session::run`]; then nothing was looked at.
    pub async fn run_and_observe(&mut self, command: &Command) -> Result<(), Failure> {
        let output = self.carry_out(command, step::script_and_probe).await?;
        match step::parse(&output.stdout) {
            Ok(facts) => self.take_in(facts).await,
            // The connection broke, or the look was cut short.
            Err(_) => self.observe().await,
        }
    }

    async fn carry_out(&mut self, command: &Command, script: Script) -> Result<Output, Failure> {
        let mut broken = broken_off(&self.prepared.environment.address, command);
        for _ in 0..TRIES {
            let Some(lease) = &self.lease else {
                let message = format!("Nothing is changed without a lease, so not: {}", command.title);
                return Err(Failure::new(Reason::LeaseLost, message));
            };
            let id = uuid::Uuid::now_v7().simple().to_string();
            let script = script(&self.prepared.subject(), command, lease.token, &id);
            match self.host()?.run(&script, command.input.clone(), command.limit + step::PATIENCE).await {
                Ok(output) if output.status == 0 => return Ok(output),
                Ok(output) if output.status == step::lease::LOST.0 && output.stderr.contains(step::lease::LOST.1) => {
                    let message = format!("The lease was lost before the host was to {}", command.title);
                    return Err(Failure::new(Reason::LeaseLost, message));
                }
                // A host that goes down lets some commands fail first.
                Ok(output) if !self.gone().await => return Err(self.failed(command, &output)),
                Ok(_) => {}
                Err(failure) if failure.reason == Reason::ConnectionLost => broken = failure,
                Err(failure) => return Err(failure),
            }
            let Ok(last) = self.again(command).await else {
                return Err(broken_off(&self.prepared.environment.address, command).details(said(&broken)));
            };
            if last == format!("{id} 0") {
                return Ok(Output { status: 0, stdout: Vec::new(), stderr: String::new() });
            }
            // It failed with its input cut off, was killed, or never began: it can be begun anew.
        }
        Err(broken)
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
        let reason = if details.contains("No space left on device") { Reason::DiskFull } else { command.reason };
        let message = format!("Cannot {}: exit {}", command.title, output.status);
        Failure::new(reason, message).details(details)
    }

    /// Connects again, waits for what still works there and returns how it ended.
    async fn again(&mut self, command: &Command) -> Result<String, Failure> {
        self.reconnect().await?;
        self.progress(format!("wait for the host to {}", command.title));
        let limit = command.limit + step::PATIENCE;
        let script = step::last(&self.prepared.subject(), limit);
        let output = self.script(&script, limit + step::SHORT).await?;
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
