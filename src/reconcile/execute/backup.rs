//! `deployer backup`: makes an archive of an environment's data now, with the script that its schedule runs. Stops no
//! service, and does not overwrite a file on the runner. Takes no lease and is no step: like the schedule, it may run
//! during an apply, and a saved plan stays valid after it. The script's own lock keeps backups and restores apart.

use crate::io::directory::Directory;
use crate::model::disk::by_errno;
use crate::model::ending::Ending;
use crate::model::event::{ArchiveView, Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::Session;
use crate::reconcile::status;
use crate::resource::backups::{self, Archive};
use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;

/// The size of one part of a download (bytes); less than [`crate::model::bounded::REMOTE_OUTPUT`].
const PART: u64 = 8 << 20;
/// The largest archive that is downloaded, regardless of the size that the host reports (bytes).
const LARGEST: u64 = 1 << 40;

/// Makes an archive, and downloads it into `output` if that is given. Failures are already printed.
pub async fn run(context: &Context, environment: &str, output: Option<&Utf8Path>) -> Ending {
    backup(context, environment, output).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn backup(context: &Context, environment: &str, output: Option<&Utf8Path>) -> Result<Ending, Vec<Failure>> {
    if let Some(directory) = output {
        context.admit_output(directory).map_err(|failure| vec![failure])?;
    }
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let sessions = pass.look(context, &[environment.to_owned()]).await?;
    for (name, session) in &sessions {
        let mut session = session.lock().await;
        let made = make(&mut session).await;
        let before = pass.records.get(name).and_then(|record| record.failed.clone());
        pass.save(name, status::record(&session, (context.now)(), before)).await;
        let (archive, failed) = match made {
            Ok(archive) => (archive, None),
            // The script that runs after the backup failed; the archive itself is complete.
            Err((Some(archive), failure)) => (archive, Some(failure)),
            Err((None, failure)) => {
                pass.fail(failure.on(name));
                continue;
            }
        };
        let saved = match output {
            Some(directory) => download(&session, &archive, directory).await.map(Some),
            None => Ok(None),
        };
        let (saved, lost) = saved.map_or_else(|failure| (None, Some(failure)), |saved| (saved, None));
        say(context, name, &archive, saved);
        for failure in failed.into_iter().chain(lost) {
            pass.fail(failure.on(name));
        }
    }
    Ok(pass.close(sessions, Outcome::Ok).await)
}

/// Prints an archive.
pub(super) fn say(context: &Context, environment: &str, archive: &Archive, saved: Option<Utf8PathBuf>) {
    context.say(Event::Archive(ArchiveView {
        environment: environment.to_owned(),
        archive: archive.name.to_string(),
        bytes: archive.bytes,
        made: Timestamp::from_second(archive.at).unwrap_or_default(),
        saved: saved.map(Utf8PathBuf::into_string),
    }));
}

/// Returns a failure unless the manifest and the host both make backups of this environment.
pub(super) fn ready(session: &Session) -> Result<(), Failure> {
    let environment = &session.prepared.environment;
    if backups::wanted(environment).is_none() {
        let failure = Failure::new(Reason::BackupUnknown, "The manifest declares no backup of this environment");
        let name = &environment.name;
        return Err(failure.hint(format!(
            "Add `backup: {{ at: \"03:00\" }}` to application.tracker of {name}, then run deployer apply {name}"
        )));
    }
    if session.facts().backups.since.is_none() {
        let failure = Failure::new(Reason::BackupUnknown, "Backups of this environment are not set up on the host yet");
        return Err(failure.hint(format!("Run deployer apply {} first", environment.name)));
    }
    Ok(())
}

async fn make(session: &mut Session) -> Result<Archive, (Option<Archive>, Failure)> {
    ready(session).map_err(|failure| (None, failure))?;
    let command = backups::now(&session.prepared.subject(), false);
    session.progress(command.title.clone());
    let output = session.script(&command.script, command.limit).await.map_err(|failure| (None, failure))?;
    let failure = session.failed(&command, &output);
    let failed = match output.status {
        0 => None,
        backups::AFTER_FAILED => {
            let what = "The command after the backup failed".to_owned();
            Some(Failure { reason: Reason::AfterFailed, what, hint: None, ..failure })
        }
        _ => return Err((None, failure)),
    };
    session.observe().await.map_err(|failure| (None, failure))?;
    let missing = || Failure::new(Reason::BackupFailed, "The backup succeeded, but the host reports no archive");
    let made = session.facts().backups.made.clone().ok_or_else(|| (None, missing()))?;
    match failed {
        Some(failure) => Err((Some(made), failure)),
        None => Ok(made),
    }
}

/// Downloads an archive part by part, under a temporary name until it is complete.
async fn download(session: &Session, archive: &Archive, directory: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let path = directory.join(archive.name.as_str());
    let kept = format!("The archive is on the host: {}", archive.name);
    let invalid = |why: &str| Failure::new(Reason::BackupFailed, format!("Cannot download {}: {why}", archive.name));
    let broken = |error: std::io::Error| {
        let failure = Failure::new(Reason::BackupFailed, format!("{path} cannot be written"));
        failure.details(error.to_string()).hint(&kept).or_disk_reason(by_errno(&error), path.as_str())
    };
    let identity = session.prepared.environment.identity();
    if !archive.name.is_of(&identity) {
        return Err(invalid(&format!("its name does not begin with {identity}")));
    }
    let Some(wanted) = &archive.sha256 else { return Err(invalid("the host gives no digest for it")) };
    if archive.bytes > LARGEST {
        let size = format!("the host reports a size of {} GiB", archive.bytes >> 30);
        return Err(Failure { reason: Reason::OutputTooLarge, ..invalid(&size) });
    }
    let place = Directory::open(directory).map_err(broken)?;
    if place.has(&archive.name).map_err(broken)? {
        return Err(broken(std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut draft = place.draft().map_err(broken)?;
    let (mut digest, mut have) = (Sha256::new(), 0);
    while have < archive.bytes {
        session.progress(format!("download, {} %", have * 100 / archive.bytes));
        let part = PART.min(archive.bytes - have);
        let script = backups::part(&session.prepared.subject(), &archive.name, have, part);
        let output = session.script(&script, crate::resource::LONG).await?;
        if output.stdout.len() as u64 != part {
            return Err(invalid("the host sent less of it than it reported").hint(&kept));
        }
        digest.update(&output.stdout);
        draft.file.write_all(&output.stdout).map_err(broken)?;
        have += part;
    }
    if HEXLOWER.encode(&digest.finalize()) != wanted.as_str() {
        let message = format!("The downloaded {} differs from the archive on the host", archive.name);
        return Err(Failure::new(Reason::BackupFailed, message).hint("Run the command again"));
    }
    draft.keep(&archive.name).map_err(broken)?;
    Ok(path)
}
