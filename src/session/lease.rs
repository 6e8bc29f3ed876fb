//! Taking, keeping and giving back the lease of an environment: one owner at a time. Never keeps a lease whose
//! heartbeat stopped: the host lets it expire, and refuses what comes late.

use super::Session;
use crate::failure::{Failure, Reason};
use crate::holder::Holder;
use crate::host::{Host, Input};
use crate::step::lease::{self, Answer, Held};
use crate::step::{self, SHORT, frame};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often the host hears that the holder is still there.
const BEAT: Duration = Duration::from_secs(10);

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
    /// The fencing token.
    pub token: u64,
    holder: Holder,
    heart: JoinHandle<()>,
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
        let mut over = None;
        loop {
            let probe = step::probe(&self.prepared.subject());
            let (answer, seen) = self.ask(&claim.holder, over, floor, &probe).await?;
            let held = match answer {
                Answer::Ours(token) => {
                    self.keep(token, claim.holder.clone())?;
                    return match step::parse(&seen) {
                        Ok(facts) => self.take_in(facts).await,
                        Err(_) => self.observe().await,
                    };
                }
                Answer::Held(held) => held,
            };
            if over != Some(held.token) && held.holder.as_ref().is_some_and(Holder::gone) {
                over = Some(held.token);
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
        match self.ask(&claim.holder, Some(held.token), floor, "").await?.0 {
            Answer::Ours(token) => self.keep(token, claim.holder.clone()),
            Answer::Held(held) => Err(busy(&held)),
        }
    }

    /// Takes our own lease up again over a new connection, also where it expired meanwhile; not where another took it.
    pub(crate) async fn renew(&mut self) -> Result<(), Failure> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        lease.heart.abort();
        match self.ask(&lease.holder, Some(lease.token), lease.token, "").await?.0 {
            Answer::Ours(token) => self.keep(token, lease.holder),
            Answer::Held(held) => Err(busy(&held)),
        }
    }

    /// The host's answer, and what it said to `more`, which it runs after that.
    async fn ask(
        &self,
        holder: &Holder,
        over: Option<u64>,
        floor: u64,
        more: &str,
    ) -> Result<(Answer, Vec<u8>), Failure> {
        let lease = frame::wrap("lease", &lease::acquire(holder, over, floor));
        let script = self.prepared.subject().preamble() + &lease + more;
        let output = self.script(&script, SHORT).await?;
        let answer = frame::split(&output.stdout).get("lease").and_then(|answer| lease::parse(answer));
        answer.map(|answer| (answer, output.stdout)).ok_or_else(|| {
            let message = format!("No lease can be kept under {}", self.prepared.subject().state_directory());
            Failure::new(Reason::UploadFailed, message).details(output.stderr)
        })
    }

    /// Holds a lease that the host gave us, by a heartbeat beside whatever else runs.
    fn keep(&mut self, token: u64, holder: Holder) -> Result<(), Failure> {
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::beat(token);
        let heart = tokio::spawn(beat(Arc::clone(self.host()?), script));
        self.lease = Some(Lease { token, holder, heart });
        Ok(())
    }

    /// Gives the lease back, if we have one. One that is lost already is another's business.
    pub async fn disown(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        lease.heart.abort();
        let _ = lease.heart.await;
        let script = self.prepared.subject().preamble() + "set -e\n" + &lease::release(lease.token);
        let _ = self.script(&script, SHORT).await;
    }

    /// Drops the lease of a host that is no more.
    pub(crate) fn abandon(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.heart.abort();
        }
    }
}

async fn beat(host: Arc<Host>, script: String) {
    loop {
        tokio::time::sleep(BEAT).await;
        // A beat that is lost is noticed by the next command: the host refuses it.
        let _ = host.run(&script, Input::Empty, SHORT).await;
    }
}

fn busy(held: &Held) -> Failure {
    let message = format!("It is worked on by {}, last heard {} s ago", held.whose(), held.age);
    Failure::new(Reason::LeaseHeld, message)
}
