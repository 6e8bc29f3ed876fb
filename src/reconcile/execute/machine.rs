//! Applies OpenTofu's plan for a machine, and waits until the machine is ready for use.

use crate::io::opentofu::{Action, Outputs, Proposed, Purpose, ResourceChange, Say};
use crate::io::ssh::Host;
use crate::io::store::Plain;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Stage;
use crate::reconcile::connect;
use crate::reconcile::machine::{Machine, reached_at};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::session::Session;
use crate::resource::contract::marker::Marker;
use crate::resource::infrastructure::{Seen, is_machine};
use crate::resource::{HostFacts, SHORT};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause between two checks of a machine that is not ready yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Applies OpenTofu's plan from the survey of a machine.
pub async fn carry_out(session: &mut Session, machine: &Machine) -> Result<(), Failure> {
    session.machine = None;
    let seen = machine.seen();
    let provision = session.prepared.environment.provision.as_ref();
    let new = provision.is_some_and(|provision| seen.is_new(&provision.machine));
    if seen.taking_down {
        return take_down(session, machine).await;
    }
    // From here on a machine may exist.
    machine.vault.keep(Plain::HostKey, machine.keys.text().expose_secret()).await?;
    machine.remember().await?;
    let outputs = apply(session, machine).await?;
    let Prepared { environment, reach, .. } = &mut session.prepared;
    let before = reach.address.clone();
    // A new machine has neither the user, port nor keys of the previous one.
    let way = if new { environment.ssh.reach("") } else { reach.clone() };
    *reach = reached_at(way, &outputs);
    let moved = reach.address != before;
    session.learn(|facts| facts.outside.machine = Seen { exists: true, changes: Vec::new(), ..seen });
    if new || session.connection.is_none() || moved {
        connect_to_new(session, machine).await?;
    }
    session.observe().await
}

/// Destroys the machine. The session keeps its remaining facts itself, because there is no host to ask.
async fn take_down(session: &mut Session, machine: &Machine) -> Result<(), Failure> {
    session.disown().await;
    session.connection = None;
    let say = |activity: String| session.progress(activity);
    machine.work.apply(&machine.proposed, &say).await?;
    machine.vault.forget().await?;
    machine.work.remove_directory();
    session.prepared.reach.address = String::new();
    let environment = &session.prepared.environment;
    let marker = Marker::of(environment, environment.stage != Stage::Destroyed, false);
    session.learn(|facts| {
        *facts = HostFacts::default();
        facts.access.marker = Some(marker);
        facts.outside.machine.taking_down = true;
    });
    Ok(())
}

/// Applies exactly the proposed plan. If the machine has no address yet, waits until it has one.
async fn apply(session: &Session, machine: &Machine) -> Result<Outputs, Failure> {
    let say = |activity: String| session.progress(activity);
    let begun = Instant::now();
    let mut outputs = first(session, machine).await?;
    loop {
        if !reached_at(session.prepared.reach.clone(), &outputs).address.is_empty() {
            return Ok(outputs);
        }
        if begun.elapsed() >= session.prepared.environment.ssh.wait {
            let message = "OpenTofu made the machine, but has no address for it";
            let hint = "Its output `address` must give one; provisioned.module.outputs.address names another output";
            return Err(Failure::new(Reason::ProvisionFailed, message).hint(hint));
        }
        session.progress("wait for the machine's address");
        tokio::time::sleep(PAUSE).await;
        outputs = machine.work.apply(&again(machine, &say).await?, &say).await?;
    }
}

/// Plans the rest of an apply. Refuses a change that the plan from the survey, which was shown, does not have.
async fn again(machine: &Machine, say: &Say<'_>) -> Result<Proposed, Failure> {
    let again = machine.work.plan(Purpose::Apply, say).await?;
    let is_shown = |rest: &ResourceChange| machine.proposed.changes.iter().any(|shown| rest.remains_of(shown));
    let Some(other) = again.changes.iter().find(|rest| !is_shown(rest)) else { return Ok(again) };
    machine.work.discard(&again);
    let message = format!("OpenTofu now plans a change of {} that was not shown; it was not applied", other.address);
    Err(Failure::new(Reason::ProvisionFailed, message).hint("Run the command again to see the new plan"))
}

/// Applies the proposed plan. LXD finishes an operation that a killed run started and meanwhile refuses others: the
/// apply is then tried again, as long as the machine is only updated or imported.
async fn first(session: &Session, machine: &Machine) -> Result<Outputs, Failure> {
    let say = |activity: String| session.progress(activity);
    let Some(source) = session.prepared.environment.provision.as_ref().map(|provision| &provision.machine) else {
        return machine.work.apply(&machine.proposed, &say).await;
    };
    let begun = Instant::now();
    let mut proposed = machine.proposed.clone();
    loop {
        let failure = match machine.work.apply(&proposed, &say).await {
            Err(failure) if is_busy(&failure) && begun.elapsed() < session.prepared.environment.ssh.wait => failure,
            done => return done,
        };
        session.progress("wait until LXD has finished its current operation");
        tokio::time::sleep(PAUSE).await;
        proposed = again(machine, &say).await?;
        let mut of_machine = proposed.changes.iter().filter(|change| is_machine(change, source));
        if !of_machine.all(|change| matches!(change.action, Action::Update | Action::Import)) {
            machine.work.discard(&proposed);
            return Err(failure);
        }
    }
}

fn is_busy(failure: &Failure) -> bool {
    failure.details.as_ref().is_some_and(|details| details.contains("Instance is busy running a"))
}

/// Connects to a machine that was just made, and waits until its first boot is complete.
async fn connect_to_new(session: &mut Session, machine: &Machine) -> Result<(), Failure> {
    session.abandon();
    session.connection = None;
    session.progress("connect to the machine for the first time");
    session.prepared.reach = session.prepared.reach.clone().recording(machine.host_key().as_slice());
    let wait = session.prepared.environment.ssh.wait;
    let begun = Instant::now();
    loop {
        let host = first_connection(session, wait.saturating_sub(begun.elapsed())).await?;
        let settled = first_boot(session, &host, wait.saturating_sub(begun.elapsed())).await;
        match settled {
            Ok(()) => {
                session.connection = Some(Arc::new(host));
                return Ok(());
            }
            // sshd was restarted during the connection, with its new settings or keys.
            Err(failure) if failure.reason == Reason::ConnectionLost && begun.elapsed() < wait => host.close().await,
            Err(failure) => {
                host.close().await;
                return Err(failure);
            }
        }
    }
}

/// Opens the first connection. Early in its first boot, a machine has neither the configured user nor deployer's host
/// key.
async fn first_connection(session: &Session, wait: Duration) -> Result<Host, Failure> {
    let begun = Instant::now();
    loop {
        let left = wait.saturating_sub(begun.elapsed());
        let opened =
            connect::open(&session.prepared, session.accepts_new_keys, left, &session.sink, &connect::trust_none).await;
        match opened {
            Err(failure) if on_its_way(failure.reason) && !left.is_zero() => {
                session.progress("wait for the machine's first boot");
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

const fn on_its_way(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AuthenticationRejected | Reason::HostKeyChanged | Reason::ConnectionLost | Reason::SudoMissing
    )
}

/// Waits until cloud-init has finished, if the machine has cloud-init.
async fn first_boot(session: &Session, host: &Host, wait: Duration) -> Result<(), Failure> {
    const ASK: &str = "command -v cloud-init >/dev/null 2>&1 || { echo 'status: absent'; exit 0; }\n\
                       cloud-init status --long 2>&1 || true\n";
    let begun = Instant::now();
    loop {
        let output = host.run(ASK, Input::Empty, SHORT).await?;
        let said = session.prepared.redactor.redact(&String::from_utf8_lossy(&output.stdout));
        let status = said.lines().find_map(|line| line.strip_prefix("status:")).unwrap_or_default().trim().to_owned();
        match status.as_str() {
            "running" | "not run" | "not started" | "" if begun.elapsed() < wait => {
                session.progress("wait for cloud-init on the machine");
                tokio::time::sleep(PAUSE).await;
            }
            "running" | "not run" | "not started" | "" => {
                let message = format!("cloud-init on the machine did not end within {} s", wait.as_secs());
                let hint = "Raise ssh.wait, or run on the machine: cloud-init status --long. The next apply continues";
                return Err(Failure::new(Reason::CloudInitFailed, message).hint(hint).details(said));
            }
            "error" => {
                return Err(Failure::new(Reason::CloudInitFailed, "cloud-init failed on the machine").details(said));
            }
            _ => return Ok(()),
        }
    }
}
