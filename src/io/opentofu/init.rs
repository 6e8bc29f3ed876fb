//! Runs `init` if one of its inputs changed since the last successful `init`. A plan that asks for `init` gets it, even
//! if the mark says that `init` was done.

use super::context::{Backend, CallContext, Work};
use super::model::Say;
use super::working_directory;
use crate::manifest::below;
use crate::model::bounded;
use crate::model::digest::Digest;
use crate::model::failure::Failure;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::time::{Duration, Instant};

/// Runs `init` if it is needed, or if `anyway` is true.
pub(super) async fn unless_done(
    work: &Work,
    context: &CallContext,
    say: &Say<'_>,
    anyway: bool,
) -> Result<(), Failure> {
    let (mark, lock_file) = (context.directory.own("init"), context.directory.lock_file());
    let vault = work.vault();
    if let Some(kept) = vault.lock_file().await? {
        working_directory::write(&lock_file, &kept).map_err(|error| working_directory::cannot(&lock_file, error))?;
    }
    let done = fs::read_to_string(&mark).is_ok_and(|mark| mark == rests_on(work, context));
    if done && !anyway {
        return Ok(());
    }
    let _ = fs::remove_file(&mark);
    let _turn = take_turn(work).await?;
    say(format!("Preparing {}", work.tofu.program.file_name().unwrap_or("tofu")));
    let json = if work.tofu.says_init { "-json" } else { "-no-color" };
    let mut arguments = vec!["init", "-input=false", "-reconfigure", json];
    let mut heard = work.call(context, &arguments, work.tofu.says_init, &quiet).await?;
    if heard.errors().iter().any(|error| error.wants_other_versions()) {
        say("The files require other provider versions than those selected before".to_owned());
        arguments.push("-upgrade");
        heard = work.call(context, &arguments, work.tofu.says_init, &quiet).await?;
    }
    if !heard.status.success() {
        return Err(context.explain(heard.failure(&work.redactor)));
    }
    if let Ok(text) = fs::read_to_string(&lock_file) {
        vault.keep_lock_file(&text).await?;
    }
    working_directory::write(&mark, &rests_on(work, context)).map_err(|error| working_directory::cannot(&mark, error))
}

// The lines of `init` report providers found and installed, which users do not need.
fn quiet(_: String) {}

/// Returns a digest of the inputs of `init`: the configuration, the program, its settings, the chosen providers.
fn rests_on(work: &Work, context: &CallContext) -> String {
    let mut digest = Digest::default();
    digest
        .part(work.tofu.program.as_str())
        .part(&work.tofu.version)
        .part(work.plugins.as_str())
        .part(
            work.settings
                .as_ref()
                .and_then(|path| below::bytes(path, bounded::SMALL_FILE as u64).ok())
                .unwrap_or_default(),
        )
        .part(fs::read(context.directory.lock_file()).unwrap_or_default())
        .part([u8::from(matches!(work.backend, Backend::Own(_)))]);
    for (name, text) in work.files.iter().filter(|(name, _)| !name.contains(".tfvars")) {
        digest.part(name).part(text);
    }
    digest.finish().to_string()
}

/// Locks the plugin cache, which only one process at a time may write. The lock lasts as long as the returned file is
/// open. If the lock is not free within the time limit, returns without it.
async fn take_turn(work: &Work) -> Result<File, Failure> {
    let path = work.plugins.join(".lock");
    let opened = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&work.plugins)
        .and_then(|()| File::options().write(true).create(true).truncate(false).open(&path));
    let file = opened.map_err(|error| working_directory::cannot(&work.plugins, error))?;
    let until = Instant::now() + work.limit;
    while let Err(TryLockError::WouldBlock) = file.try_lock()
        && Instant::now() < until
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(file)
}
