//! `deployer restore`: restores an environment's data from an archive. Changes nothing before the archive is checked
//! and the environment's name is given, and keeps the previous data until the services are healthy.

use super::backup::{ready, say};
use super::restart::{begin, record, say as step, well};
use crate::model::checked::ArchiveName;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome, StepState};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Kind;
use crate::reconcile::context::Context;
use crate::reconcile::execute::Sessions;
use crate::reconcile::look;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::Resolve;
use crate::reconcile::session::Session;
use crate::release::digest_of;
use crate::resource::backups::{self, Chosen};
use crate::resource::{self, Command};
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use std::time::{Duration, Instant};

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
    restore(context, args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn restore(context: &Context, args: &Restore) -> Result<Ending, Vec<Failure>> {
    let changes = args.archive.is_some();
    let chosen = args.archive.as_deref().map(|archive| choose(archive, args.other_environment)).transpose();
    let chosen = chosen.map_err(|failure| vec![failure.on(&args.environment)])?;
    let mut pass = Pass::open(context, if changes { Keep::Always } else { Keep::IfThere }).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let prepared = pass.prepare(environments, Resolve::Connection).await;
    let (sessions, _) = pass.observe(context, prepared, &look::request()).await;
    let Some(chosen) = chosen else {
        list(context, &mut pass, &sessions).await;
        return Ok(pass.close(sessions, Outcome::Ok).await);
    };
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let begun = match consent(context, &session, args, &chosen.name).await {
            Ok(()) => begin(context, &pass, &mut session, args.wait).await,
            Err(failure) => Err(failure),
        };
        let (run, intent) = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                pass.fail(failure.on(name));
                continue;
            }
        };
        let started = Instant::now();
        step(context, name, StepState::Started, None);
        let done = bring_back(&mut session, &chosen, args.without_backup).await.map_err(|failure| failure.on(name));
        if done.is_err() {
            // The failure report must describe the current state of the host.
            let _ = session.observe().await;
        }
        let state = if done.is_ok() { StepState::Applied } else { StepState::Failed };
        step(context, name, state, Some(started.elapsed()));
        record(context, &mut pass, &session, (&run, intent), done.as_ref().err()).await;
        match done {
            Ok(()) => context.say(Event::Note(format!("Restored the data of {name} from {}", chosen.name))),
            Err(failure) => pass.fail(failure),
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
    Ok(HEXLOWER.encode(&digest_of(std::fs::File::open(path)?)?))
}

/// Checks everything that must hold before the lease is taken; the environment's name is the consent.
async fn consent(context: &Context, session: &Session, args: &Restore, archive: &str) -> Result<(), Failure> {
    let name = session.prepared.name();
    if let Some(refused) = resource::preflight(Kind::Access, &session.prepared.subject(), session.facts()) {
        return Err(refused);
    }
    ready(session)?;
    if args.allow_restore.as_deref() == Some(name) {
        return Ok(());
    }
    let question = format!("This replaces the data of {name} with the data in {archive}. Type {name} to restore it:");
    if context.ask(question).await.is_some_and(|answer| answer.trim() == name) {
        return Ok(());
    }
    let message = format!("The data of {name} was not replaced: consent is missing");
    Err(Failure::new(Reason::ConsentMissing, message).hint(format!("Pass --allow-restore {name}")))
}

async fn bring_back(session: &mut Session, chosen: &Chosen, without_backup: bool) -> Result<(), Failure> {
    let environment = session.prepared.environment.clone();
    let Some(backup) = backups::wanted(&environment) else { return Ok(()) };
    let check = backups::check(&session.prepared.subject(), backup, chosen.clone());
    carry_out(session, &check).await.map_err(|failure| refused(failure, &chosen.name))?;
    if !without_backup {
        let keep = backups::keep(&session.prepared.subject());
        let hint = "Nothing was changed. If the current data is already lost, pass --without-backup";
        carry_out(session, &keep).await.map_err(|failure| failure.hint(hint))?;
    }
    let put = backups::restore(&session.prepared.subject(), &chosen.name);
    carry_out(session, &put).await?;
    let kept = "The previous data is kept on the host, also as its newest archive. To go back, restore that archive";
    well(session, None).await.map_err(|failure| failure.hint(kept))?;
    let settle = backups::settle(&session.prepared.subject());
    carry_out(session, &settle).await?;
    session.observe().await
}

async fn carry_out(session: &mut Session, command: &Command) -> Result<(), Failure> {
    session.progress(command.title.clone());
    session.run(command).await.map(|_| ())
}

/// Turns the script's refusal of an archive into the failure's message.
fn refused(failure: Failure, name: &str) -> Failure {
    let said = failure.details.as_deref().and_then(|said| said.lines().last());
    match said.filter(|_| failure.reason == Reason::BackupInvalid) {
        Some(said) => Failure { what: format!("{name} was not restored: {said}"), details: None, ..failure },
        None => failure,
    }
}
