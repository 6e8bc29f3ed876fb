//! Proves that a host can still be reached after its firewall changed. The proof needs a new connection, because an
//! established one survives any rules. Undoes nothing: the watchdog on the host does that.

use crate::io::ssh::{Host, Output};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::connect;
use crate::reconcile::session::Session;
use crate::resource::contract::lease::Key;
use crate::resource::firewall;
use std::time::{Duration, Instant};

/// The part of the watchdog's time that is kept for a proof that starts late.
const MARGIN: Duration = Duration::from_secs(5);
/// The time that a host may take to be reachable again after its watchdog acted.
const RETURN: Duration = Duration::from_mins(1);

/// Confirms the rules that were just loaded, or waits until the host has its previous rules back.
///
/// # Errors
/// `RolledBack` if no new connection could be made in time.
pub async fn firewall(session: &mut Session) -> Result<(), Failure> {
    let loaded = Instant::now();
    session.progress("check that the host can still be reached");
    let trouble = loop {
        let left = firewall::WATCHDOG.saturating_sub(MARGIN + loaded.elapsed());
        let trouble = match tokio::time::timeout(left, attempt(session)).await {
            Ok(Ok(output)) if output.status == firewall::UNDONE => break None,
            Ok(Ok(output)) => return judge(session, &output),
            Ok(Err(failure)) => Some(failure),
            Err(_) => None,
        };
        if left <= MARGIN {
            break trouble;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    session.progress("wait until the previous firewall rules are restored");
    tokio::time::sleep((firewall::WATCHDOG + Duration::from_secs(1)).saturating_sub(loaded.elapsed())).await;
    again(session).await?;
    let why = trouble.map_or_else(|| "it did not answer in time".to_owned(), |failure| failure.message());
    let message = "No new connection reached the host with its new firewall rules; the previous rules were restored";
    Err(Failure::new(Reason::RolledBack, message).details(why))
}

fn judge(session: &Session, output: &Output) -> Result<(), Failure> {
    if output.status == 0 {
        return Ok(());
    }
    let message = format!("The firewall's new rules could not be confirmed: exit {}", output.status);
    let said = session.prepared.redactor.redact(&output.stderr);
    let failure = Failure::new(Reason::FirewallFailed, message);
    Err(failure.or_disk_of_host(&said, &session.prepared.reach.address).details(said))
}

async fn attempt(session: &Session) -> Result<Output, Failure> {
    let subject = session.prepared.subject();
    let command = firewall::proof(&subject);
    let key = session.lease.as_ref().map_or(Key { token: 0, owner: None }, |lease| lease.key.clone());
    let script = session.lane.script(&subject, &command, &key, "proof");
    let host = fresh(session).await?;
    let output = host.run(&script, command.input, command.limit).await;
    host.close().await;
    output
}

/// Opens a separate connection, with its own SSH master.
async fn fresh(session: &Session) -> Result<Host, Failure> {
    connect::another(&session.prepared.environment.ssh, &session.prepared.reach, session.host()?).await
}

/// Observes again, over a new connection if the old one is lost.
async fn again(session: &mut Session) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let observed = if session.gone().await { None } else { Some(session.observe().await) };
        let late = begun.elapsed() > RETURN;
        match observed {
            Some(Ok(())) => return Ok(()),
            Some(Err(failure)) if late => return Err(failure),
            _ => {}
        }
        match session.reconnect().await {
            Ok(()) => {}
            Err(failure) if late => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}
