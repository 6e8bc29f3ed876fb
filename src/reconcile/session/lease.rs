//! Taking, keeping and giving back the lease of an environment: one owner at a time. A lease whose heartbeat stopped
//! expires on the host, which refuses what comes late.

use super::Session;
use super::heart::Heart;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::{Holder, Owner};
use crate::resource::contract::lease::{self, Answer, Held, Key};
use crate::resource::{self, SHORT};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to take leases: as whom, and how long to wait for another's.
#[derive(Clone, Debug)]
pub struct Claim {
    /// As whom.
    pub holder: Holder,
    /// How long to wait.
    pub wait: Duration,
}

/// A lease that we have, with its heartbeat.
#[derive(Debug)]
pub struct Lease {
    /// Tells it from every other lease.
    pub key: Key,
    holder: Holder,
    heart: Heart,
}

impl Lease {
    /// Why the last heartbeat failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<Failure> {
        self.heart.trouble()
    }
}

impl Session {
    /// Takes the lease of this environment, under a token above `floor`, unless it is ours already, and looks at the host
    /// again once it is.
    ///
    /// # Errors
    /// `LeaseHeld` where another has it for longer than the claim waits.
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
                return Err(busy(&held).on(self.prepared.name()));
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
            Answer::Held(held) => Err(busy(&held)),
        }
    }

    /// Ends, under our lease, what a run that is gone has left running on the host; false where that was nothing.
    ///
    /// # Errors
    /// `LeaseLost` if we have no lease, `CommandFailed` where it goes on.
    pub async fn end_left(&self) -> Result<bool, Failure> {
        let Some(lease) = &self.lease else {
            return Err(Failure::new(Reason::LeaseLost, "Nothing is ended without a lease"));
        };
        let guard = lease::guard(&lease.key);
        let script = self.prepared.subject().preamble() + "set -e\n" + &guard + &resource::services::end_left();
        let output = self.script(&script, SHORT).await?;
        if output.status != 0 {
            let details = self.prepared.redactor.redact(&output.stderr);
            return Err(
                Failure::new(Reason::CommandFailed, "Cannot end what an earlier run left running").details(details)
            );
        }
        Ok(!output.stdout.is_empty())
    }

    /// Takes our own lease again over a new connection, even if it expired.
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
            Answer::Held(held) => Err(Failure::new(Reason::LeaseLost, busy(&held).message)),
        }
    }

    /// The host's answer, and what it said to `more`, which it runs after that.
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
        let place = format!("{} on {}", subject.state_directory(), self.prepared.environment.address);
        if let Some(answer) = lease::answer(said, floor) {
            if lease::damaged(said) {
                let message = format!(
                    "The count of leases under {place} is damaged; it was begun again above all that are known"
                );
                (self.sink)(Event::Warning { environment: Some(self.prepared.name().to_owned()), message });
            }
            return Ok((answer, output.stdout));
        }
        let said = self.prepared.redactor.redact(&String::from_utf8_lossy(said));
        let failure = Failure::new(Reason::UploadFailed, format!("Cannot keep a lease under {place}"));
        Err(failure.or_disk_of_host(&said, place).details(said))
    }

    /// Holds a lease that the host gave us, by a heartbeat next to whatever else runs.
    fn keep(&mut self, token: u64, holder: Holder) -> Result<(), Failure> {
        let key = Key { token, owner: holder.owner.clone() };
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::beat(&key);
        let heart = Heart::start(Arc::clone(self.host()?), self.prepared.environment.clone(), script);
        self.lease = Some(Lease { key, holder, heart });
        Ok(())
    }

    /// Gives the lease back, if we have one. One that is lost already is another's business.
    pub async fn disown(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        lease.heart.end().await;
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::release(&lease.key);
        let _ = self.script(&script, SHORT).await;
    }

    /// Drops the lease of a host that is no more.
    pub(crate) fn abandon(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.heart.stop();
        }
    }
}

/// The same process as the owner of one more lease, with an id that nobody else draws.
fn claimant(holder: &Holder) -> Result<Holder, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(Reason::CommandFailed, format!("Cannot draw an id for the lease: {error}")))?;
    Ok(holder.as_owner(Owner::new(u128::from_ne_bytes(random))))
}

fn busy(held: &Held) -> Failure {
    let message = format!("It is worked on by {}, last heard {} s ago", held.whose(), held.age);
    Failure::new(Reason::LeaseHeld, message)
}
