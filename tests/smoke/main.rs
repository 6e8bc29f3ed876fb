//! The probes of `deployer test` against stand-ins on the loopback interface: good ones, bad ones, silent ones. Sends
//! nothing outside of this machine.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod facts;
mod http_tracker;
mod stack;
mod swarm;
mod tls;
mod udp_tracker;

use deployer::model::verdict::{Vantage, Verdict};
use deployer::smoke::{Check, Probe, ask};
use std::time::Duration;

/// A deadline that is long enough for a busy machine, and short enough to wait for.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

fn check(probe: Probe) -> Check {
    Check { name: "it".to_owned(), vantage: Vantage::Outside, probe }
}

async fn asked(probe: Probe) -> Verdict {
    ask(&check(probe), DEADLINE, PAUSE).await
}

/// Sends a probe with a short deadline, and asserts that the deadline is kept.
async fn asked_for(deadline: Duration, probe: Probe) -> Verdict {
    let verdict = ask(&check(probe), deadline, PAUSE).await;
    assert!(verdict.took <= deadline + DEADLINE / 4, "{verdict:?}");
    verdict
}

/// Sends a probe whose answer stays wrong until the deadline. A busy machine may need a longer deadline for its first
/// answer.
async fn asked_in_vain(probe: Probe) -> Verdict {
    let mut deadline = Duration::from_secs(1);
    loop {
        let verdict = asked_for(deadline, probe.clone()).await;
        if !verdict.detail.contains("no response in time") || deadline > DEADLINE {
            return verdict;
        }
        deadline *= 2;
    }
}
