//! `deployer restore`: restores an environment's data from an archive. Changes nothing before the archive is checked
//! and the environment's name is given, and keeps the previous data until the services are healthy.

use super::backup::{ready, say};
use super::look;
use super::pass::{Keep, Pass, refuse};
use super::restart::{begin, record, say as step, well};
use super::{Context, Ending};
use crate::model::checked::ArchiveName;
use crate::model::event::{Event, Outcome, StepState};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::state::Kind;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::Resolve;
use crate::reconcile::session::Session;
use crate::release::digest_of;
use crate::resource::backups::{self, Chosen};
use crate::resource::{self, Command};
use camino::Utf8Path;
use data_encoding::HEXLOWER;
use std::time::{Duration, Instant};

/// Restore an environment's data from an archive, or list the archives on its host
///
/// Checks the archive, backs up the current data, stops the services that use the data, replaces the data, starts the
/// services and waits until they are healthy. Restores only databases: the files of the release come from the manifest.
/// If the command is interrupted, run it again: it starts over.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer restore production shop--production-20261122T030000Z.tar.gz")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The archive: a file on this machine, or the name of an archive on the host
    #[arg(value_name = "ARCHIVE")]
    pub archive: Option<String>,
    /// Consent to replacing this environment's data
    #[arg(long, value_name = "ENV")]
    pub allow_restore: Option<String>,
    /// Allow an archive of another project or environment
    #[arg(long)]
    pub other_environment: bool,
    /// Do not back up the current data first: for data that is lost or damaged
    #[arg(long)]
    pub without_backup: bool,
    /// How long to wait for another run that has locked the same environment
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "90s")]
    pub wait: Duration,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    restore(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn restore(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
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
async fn consent(context: &Context, session: &Session, args: &Args, archive: &str) -> Result<(), Failure> {
    let name = session.prepared.name();
    if let Some(refused) = resource::preflight(Kind::Access, &session.prepared.subject(), &session.facts) {
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
        Some(said) => Failure { message: format!("{name} was not restored: {said}"), details: None, ..failure },
        None => failure,
    }
}
