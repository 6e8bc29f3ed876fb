//! `deployer restore`: restores an environment's data from an archive. Changes nothing before the archive is checked
//! and the environment's name is given, and keeps the previous data until the services are healthy.

use super::Work;
use super::backup::{ready, say};
use super::change::{run_all, run_all_and_observe};
use super::journal::{self, Pace};
use super::release::well;
use super::restart::unwell;
use crate::manifest::below;
use crate::model::checked::ArchiveName;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Kind;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::{Session, Sessions};
use crate::reconcile::signals::{self, Stop};
use crate::release::digest_of;
use crate::resource;
use crate::resource::backups::{self, Chosen};
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A restoration of an environment's data.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The environment.
    pub environment: String,
    /// The archive: a file of the runner, or the name of an archive on the host. `None` lists those on the host.
    pub archive: Option<String>,
    /// The environment whose data may be replaced without a question.
    pub allow_restore: Option<String>,
    /// True if the archive may be of another project or environment.
    pub other_environment: bool,
    /// True if the current data is not backed up first.
    pub without_backup: bool,
    /// The time to wait for another run that works on the same environment.
    pub wait: Duration,
}

/// Restores the data, or lists the archives. Failures are already printed.
pub async fn run(context: &Context, args: &Restore) -> Ending {
    let work = async |stop: Arc<Stop>| {
        restore(context, args, &stop.flag).await.unwrap_or_else(|failures| refuse(context, &failures))
    };
    signals::interruptible(context, work).await
}

async fn restore(context: &Context, args: &Restore, stop: &AtomicBool) -> Result<Ending, Vec<Failure>> {
    let chosen = args.archive.as_deref().map(|archive| choose(archive, args.other_environment)).transpose();
    let chosen = chosen.map_err(|failure| vec![failure.on(&args.environment)])?;
    let mut pass = Pass::open(context, if chosen.is_some() { Keep::Always } else { Keep::IfThere }).await?;
    let sessions = pass.look(context, slice::from_ref(&args.environment)).await?;
    let Some(chosen) = chosen else {
        list(context, &mut pass, &sessions).await;
        return Ok(pass.close(sessions, Outcome::Ok).await);
    };
    let pace = Pace { parallel: 1, wait: args.wait, stop };
    for (name, session) in &sessions {
        let agreed = consent(context, &*session.lock().await, args, &chosen.name, stop).await;
        if let Err(failure) = agreed {
            pass.fail(failure.on(name));
            continue;
        }
        let work = Work::Restore { archive: Box::new(chosen.clone()), without_backup: args.without_backup };
        if journal::by_hand(context, &mut pass, &sessions, (name, work), &pace).await {
            context.say(Event::Note(format!("Restored the data of {name} from {}", chosen.name)));
        }
    }
    Ok(pass.close(sessions, Outcome::Changed).await)
}

/// Prints the archives on the hosts.
async fn list(context: &Context, pass: &mut Pass, sessions: &Sessions) {
    for (name, session) in sessions {
        let session = session.lock().await;
        let script = backups::list(&session.prepared.subject());
        match session.script(&script, resource::SHORT).await {
            Ok(output) => {
                let archives = backups::parse_list(&output.stdout);
                if archives.is_empty() {
                    context.say(Event::Note(format!("The host has no archive of {name}")));
                }
                archives.iter().rev().for_each(|archive| say(context, name, archive, None));
            }
            Err(failure) => pass.fail(failure.on(name)),
        }
    }
}

/// Returns the chosen archive: a file on the runner if there is one, or else an archive on the host by its name.
fn choose(archive: &str, other: bool) -> Result<Chosen, Failure> {
    let path = Utf8Path::new(archive);
    let Some(name) = ArchiveName::parse(path.file_name().unwrap_or_default()) else {
        let message = format!("`{archive}` is not the name of an archive, such as PROJECT--ENV-TIME.tar.gz");
        return Err(Failure::new(Reason::BackupUnknown, message));
    };
    if !path.is_file() {
        if archive.contains('/') {
            return Err(Failure::new(Reason::BackupUnknown, format!("The file {archive} does not exist")));
        }
        return Ok(Chosen { name, sent: None, other });
    }
    let read = digest(path).map_err(|error| {
        Failure::new(Reason::BackupUnknown, format!("{archive} cannot be read")).details(error.to_string())
    })?;
    Ok(Chosen { name, sent: Some((Input::File(path.to_owned()), read)), other })
}

fn digest(path: &Utf8Path) -> std::io::Result<String> {
    Ok(HEXLOWER.encode(&digest_of(below::regular(path)?)?))
}

/// Checks everything that must hold before the lease is taken; the environment's name is the consent.
async fn consent(
    context: &Context,
    session: &Session,
    args: &Restore,
    archive: &str,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let name = session.prepared.name();
    admit(session)?;
    let question = format!("This replaces the data of {name} with the data in {archive}. Type {name} to restore it:");
    if args.allow_restore.as_deref() == Some(name) || context.typed(question, name).await {
        return Ok(());
    }
    let message = format!("The data of {name} was not replaced: consent is missing");
    Err(signals::refused(message, stop).hint(format!("Pass --allow-restore {name}")))
}

/// Returns a failure unless the host's data is this environment's and has backups.
fn admit(session: &Session) -> Result<(), Failure> {
    let subject = session.prepared.subject();
    let access = resource::preflight(Kind::Access, &subject, session.facts());
    let refused = access.or_else(|| resource::services::restore_preflight(&subject, session.facts()));
    refused.map_or_else(|| ready(session), Err)
}

/// Restores the data, and observes the host also after a failure: its report must describe the current state.
pub(super) async fn carry_out(session: &mut Session, chosen: &Chosen, without_backup: bool) -> Result<(), Failure> {
    admit(session)?;
    let done = bring_back(session, chosen, without_backup).await;
    let seen = session.observe().await;
    done.and(seen)
}

async fn bring_back(session: &mut Session, chosen: &Chosen, without_backup: bool) -> Result<(), Failure> {
    let environment = session.prepared.environment.clone();
    let Some(backup) = backups::wanted(&environment) else { return Ok(()) };
    let check = backups::check(&session.prepared.subject(), backup, chosen.clone());
    run_all(session, &[check]).await.map_err(|failure| refused(failure, &chosen.name))?;
    if !without_backup {
        let keep = backups::now(&session.prepared.subject(), true);
        let hint = "Nothing was changed. If the current data is already lost, pass --without-backup";
        run_all(session, &[keep]).await.map_err(|failure| advise(failure, hint))?;
    }
    let put = backups::restore(&session.prepared.subject(), &chosen.name);
    run_all_and_observe(session, &[put]).await?;
    let kept = "The previous data is kept on the host, also as its newest archive. To go back, restore that archive";
    let healthy = well(session, Ok(()), &|session| unwell(session, None)).await;
    healthy.map_err(|failure| advise(failure, kept))?;
    let settle = backups::settle(&session.prepared.subject());
    run_all(session, &[settle]).await
}

/// Adds a hint to a failure of the data or the services. Another run's work on them needs the reason's own hint.
fn advise(failure: Failure, hint: &str) -> Failure {
    if failure.reason == Reason::LeaseLost { failure } else { failure.hint(hint) }
}

/// Turns the script's refusal of an archive into the failure's message.
fn refused(failure: Failure, name: &str) -> Failure {
    let said = failure.details.as_deref().and_then(|said| said.lines().last());
    match said.filter(|_| failure.reason == Reason::BackupInvalid) {
        Some(said) => Failure { what: format!("{name} was not restored: {said}"), details: None, ..failure },
        None => failure,
    }
}
