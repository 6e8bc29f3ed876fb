//! Takes, renews and releases the lease of an environment: one owner at a time. A lease whose heartbeat stopped expires
//! on the host, and the host refuses the late commands of its owner.

use super::Session;
use super::heartbeat::Heart;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::{Holder, Owner};
use crate::model::state::Kind;
use crate::resource::contract::lease::{self, Answer, Held, Key};
use crate::resource::{self, SHORT};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The settings for taking leases.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The holder that takes the lease.
    pub holder: Holder,
    /// The time to wait for another run's lease.
    pub wait: Duration,
}

/// A lease that this run holds, with its heartbeat.
#[derive(Debug)]
pub struct Lease {
    /// The key that identifies the lease.
    pub key: Key,
    holder: Holder,
    heart: Heart,
}

impl Lease {
    /// Returns the failure of the last heartbeat, if that failed.
    #[must_use]
    pub fn trouble(&self) -> Option<Failure> {
        self.heart.trouble()
    }
}

impl Session {
    /// Returns the lease of the environment, if another run has it whose process is not known to be gone.
    #[must_use]
    pub fn other_run(&self) -> Option<&Held> {
        let ours = self.lease.as_ref().map(|lease| &lease.key);
        let held = self.facts().access.lease.as_ref().filter(|held| Some(&held.key()) != ours)?;
        (!held.holder.as_ref().is_some_and(Holder::gone)).then_some(held)
    }

    /// Waits until no other run has the lease of the environment, at most until `deadline`, and observes the host
    /// again. Says at once for whom it waits.
    ///
    /// # Errors
    /// `LeaseHeld` if another run still has the lease then, or if `stop` is set meanwhile.
    pub async fn wait_for_other(&mut self, deadline: Instant, stop: &AtomicBool) -> Result<(), Failure> {
        let Some(held) = self.other_run() else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let seconds = left.as_millis().div_ceil(1000);
            let message = format!("{} is locked by {}; waiting {seconds} s", self.prepared.name(), held.by_whom());
            (self.sink)(Event::Note(message));
        }
        while let Some(held) = self.other_run() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.load(Ordering::Relaxed) {
                return Err(busy(self.prepared.name(), held));
            }
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
            self.observe_kinds("", &[Kind::Access]).await?;
        }
        self.observe().await
    }

    /// Takes the lease of this environment with a token above `floor`, unless this session already has the lease, and
    /// observes the host after that.
    ///
    /// # Errors
    /// `LeaseHeld` if another run holds the lease for longer than the claim waits.
    pub async fn own(&mut self, claim: &Claim, floor: u64) -> Result<(), Failure> {
        if self.lease.is_some() {
            return Ok(());
        }
        let (begun, mut told) = (Instant::now(), false);
        let (holder, mut over) = (claimant(&claim.holder)?, None);
        loop {
            let probe = resource::probe(&self.prepared.subject());
            let (answer, seen) = self.ask(&holder, over.as_ref(), floor, &probe).await?;
            let held = match answer {
                Answer::Ours(token) => {
                    self.keep(token, holder)?;
                    return match resource::parse(&self.prepared.subject().marks(), &seen) {
                        Ok(facts) => self.take_in(facts).await,
                        Err(_) => self.observe().await,
                    };
                }
                Answer::Held(held) => held,
            };
            if over.as_ref() != Some(&held.key()) && held.holder.as_ref().is_some_and(Holder::gone) {
                over = Some(held.key());
                continue;
            }
            if begun.elapsed() >= claim.wait {
                return Err(busy(self.prepared.name(), &held).on(self.prepared.name()));
            }
            if !told {
                self.progress(format!("wait for {}", held.whose()));
                told = true;
            }
            tokio::time::sleep(Duration::from_secs(1).min(claim.wait)).await;
        }
    }

    /// Takes the lease from its holder, alive or not.
    pub async fn seize(&mut self, claim: &Claim, floor: u64, held: &Held) -> Result<(), Failure> {
        let holder = claimant(&claim.holder)?;
        match self.ask(&holder, Some(&held.key()), floor, "").await?.0 {
            Answer::Ours(token) => self.keep(token, holder),
            Answer::Held(held) => Err(busy(self.prepared.name(), &held)),
        }
    }

    /// Ends the commands that a dead run left running on the host, under this session's lease. Returns false if there
    /// were none.
    ///
    /// # Errors
    /// `LeaseLost` if the session has no lease, `CommandFailed` if the commands do not end.
    pub async fn end_left(&self) -> Result<bool, Failure> {
        let Some(lease) = &self.lease else {
            return Err(Failure::new(Reason::LeaseLost, "Cannot stop commands without a lease"));
        };
        let guard = lease::guard(&lease.key);
        let script = self.prepared.subject().preamble() + "set -e\n" + &guard + &resource::services::end_left();
        let output = self.script(&script, SHORT).await?;
        if output.status != 0 {
            let details = self.prepared.redactor.redact(&output.stderr);
            return Err(Failure::new(
                Reason::CommandFailed,
                "Cannot stop the commands that an earlier run left running",
            )
            .details(details));
        }
        Ok(!output.stdout.is_empty())
    }

    /// Takes the session's own lease again over a new connection, even if the lease expired.
    ///
    /// # Errors
    /// `LeaseLost` if another run has the lease, or had it since: that run may have changed the host.
    pub(crate) async fn renew(&mut self) -> Result<(), Failure> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        lease.heart.stop();
        let holder = claimant(&lease.holder)?;
        match self.ask(&holder, Some(&lease.key), lease.key.token, "").await?.0 {
            Answer::Ours(token) if token == lease.key.token + 1 => self.keep(token, holder),
            Answer::Ours(token) => {
                self.keep(token, holder)?;
                self.disown().await;
                Err(Failure::new(Reason::LeaseLost, "The lease was lost while the connection was broken"))
            }
            Answer::Held(held) => Err(Failure::new(Reason::LeaseLost, busy(self.prepared.name(), &held).message())),
        }
    }

    /// Asks the host for the lease. Returns the answer, and the output of the host, which includes that of the script
    /// `more`.
    async fn ask(
        &self,
        holder: &Holder,
        over: Option<&Key>,
        floor: u64,
        more: &str,
    ) -> Result<(Answer, Vec<u8>), Failure> {
        let subject = self.prepared.subject();
        let marks = subject.marks();
        let lease = marks.wrap("lease", &lease::acquire(holder, over, floor));
        let output = self.script(&(subject.preamble() + &lease + more), resource::LOOK).await?;
        let said = marks.split(&output.stdout).get("lease").and_then(|frame| frame.content()).unwrap_or_default();
        let place = format!("{} on {}", subject.state_directory(), self.prepared.reach.address);
        if let Some(answer) = lease::answer(said, floor) {
            if lease::damaged(said) {
                let message =
                    format!("The counter of leases under {place} is damaged; it was reset above all known tokens");
                (self.sink)(Event::Warning { environment: Some(self.prepared.name().to_owned()), message });
            }
            return Ok((answer, output.stdout));
        }
        let said = self.prepared.redactor.redact(&String::from_utf8_lossy(said));
        let failure = Failure::new(Reason::UploadFailed, format!("Cannot write a lease under {place}"));
        Err(failure.or_disk_of_host(&said, place).details(said))
    }

    /// Stores a lease that the host granted, and starts its heartbeat.
    fn keep(&mut self, token: u64, holder: Holder) -> Result<(), Failure> {
        let key = Key { token, owner: holder.owner.clone() };
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::beat(&key);
        let way = (self.prepared.environment.ssh.clone(), self.prepared.reach.clone());
        let heart = Heart::start(Arc::clone(self.host()?), way, script);
        self.lease = Some(Lease { key, holder, heart });
        Ok(())
    }

    /// Releases the lease, if the session has one. A lease that is already lost is ignored.
    pub async fn disown(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        lease.heart.end().await;
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::release(&lease.key);
        let _ = self.script(&script, SHORT).await;
    }

    /// Drops the lease of a host that no longer exists.
    pub(crate) fn abandon(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.heart.stop();
        }
    }
}

/// Returns the same process as the owner of one more lease, with a random unique id.
fn claimant(holder: &Holder) -> Result<Holder, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(Reason::CommandFailed, "Cannot generate an id for the lease").because(error))?;
    Ok(holder.as_owner(Owner::new(u128::from_ne_bytes(random))))
}

fn busy(environment: &str, held: &Held) -> Failure {
    let message = format!("{environment} is locked by {}, last heartbeat {} s ago", held.by_whom(), held.age);
    Failure::new(Reason::LeaseHeld, message)
}
