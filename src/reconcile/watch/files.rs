//! Reports changes of files. Watches directories, not files: the watch of a file ends with its first atomic save.
//! Reports only that something changed, not what.

use super::sources::{self, Sources};
use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The quiet time before changes are reported: editors and checkouts write several times.
const SETTLE: Duration = Duration::from_millis(300);

/// A watch over directories.
pub struct Watch {
    debouncer: Debouncer<RecommendedWatcher, NoCache>,
    watched: BTreeMap<Utf8PathBuf, RecursiveMode>,
}

impl Watch {
    /// Starts without any directory; [`Watch::arm`] adds them. Sends to `changed` when a watched file changes, except
    /// for files whose path begins with one of `own`.
    ///
    /// # Errors
    /// The system's reason why files cannot be watched.
    pub fn start(changed: UnboundedSender<()>, own: Vec<Utf8PathBuf>) -> Result<Self, String> {
        let hears = move |result: DebounceEventResult| {
            let counts = |path: &std::path::PathBuf| {
                Utf8Path::from_path(path).is_none_or(|path| {
                    sources::matters(path) && !own.iter().any(|own| path.as_str().starts_with(own.as_str()))
                })
            };
            let told = match &result {
                Ok(events) => events.iter().any(|event| is_change(event.kind) && event.paths.iter().any(counts)),
                // There were too many events, or a directory cannot be followed: an extra pass does no harm.
                Err(_) => true,
            };
            if told {
                // If there is no receiver, the process is about to end.
                let _ = changed.send(());
            }
        };
        // What links inside a tree lead to is watched as a part of the tree.
        let config = notify::Config::default().with_follow_symlinks(false);
        let debouncer = new_debouncer_opt(SETTLE, None, hears, NoCache::new(), config).map_err(|it| it.to_string())?;
        Ok(Self { debouncer, watched: BTreeMap::new() })
    }

    /// Watches exactly the directories that contain these files and trees. Watches them again even if they were watched
    /// before, because another directory may have replaced one of them. Returns false if a directory cannot be watched
    /// now.
    pub fn arm(&mut self, sources: &Sources) -> bool {
        for path in std::mem::take(&mut self.watched).into_keys() {
            // A directory that is gone is no longer watched.
            let _ = self.debouncer.unwatch(&path);
        }
        let mut whole = true;
        for (path, mode) in directories(sources) {
            match self.debouncer.watch(&path, mode) {
                Ok(()) => _ = self.watched.insert(path, mode),
                Err(_) => whole = false,
            }
        }
        whole
    }
}

/// Returns the directories to watch: the trees, the parent directories of the files and trees, and for links also the
/// parent directories of their targets.
fn directories(sources: &Sources) -> BTreeMap<Utf8PathBuf, RecursiveMode> {
    let mut wanted = BTreeMap::new();
    for path in sources.files.iter().chain(&sources.trees) {
        let real = path.canonicalize_utf8().ok();
        for holder in [Some(path), real.as_ref()].into_iter().flatten().filter_map(|path| path.parent()) {
            wanted.insert(holder.to_owned(), RecursiveMode::NonRecursive);
        }
    }
    wanted.extend(sources.trees.iter().map(|tree| (tree.clone(), RecursiveMode::Recursive)));
    wanted
}

/// Returns true if the event is a change. Reading is not a change: deployer reads the files in each pass.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => matches!(kind, AccessKind::Close(AccessMode::Write)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    /// Returns true if a change is reported within 5 s. Drains all changes that arrive together.
    async fn heard(changes: &mut mpsc::UnboundedReceiver<()>) -> bool {
        let first = timeout(Duration::from_secs(5), changes.recv()).await.is_ok();
        while timeout(SETTLE * 2, changes.recv()).await.is_ok() {}
        first
    }

    async fn silent(changes: &mut mpsc::UnboundedReceiver<()>) -> bool {
        timeout(SETTLE * 3, changes.recv()).await.is_err()
    }

    #[tokio::test]
    async fn atomic_saves_and_replaced_directories_are_heard_of_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(folder.path()).unwrap();
        let (manifest, app) = (base.join("deployment.yaml"), base.join("app"));
        fs::write(&manifest, "1").unwrap();
        fs::create_dir_all(app.join("deep")).unwrap();
        fs::write(app.join("deep/page"), "1").unwrap();
        let (send, mut changes) = mpsc::unbounded_channel();
        let sources = Sources { files: [manifest.clone()].into(), trees: [app.clone()].into() };
        let mut watch = Watch::start(send, vec![base.join("state.db")]).unwrap();
        assert!(watch.arm(&sources));

        fs::read(&manifest).unwrap();
        fs::read(app.join("deep/page")).unwrap();
        fs::write(base.join("state.db-wal"), "our own").unwrap();
        assert!(silent(&mut changes).await, "reading, and our own store");

        for _ in 0..2 {
            fs::write(base.join("new"), "2").unwrap();
            fs::rename(base.join("new"), &manifest).unwrap();
            assert!(heard(&mut changes).await, "an atomic save");
        }
        fs::write(app.join("deep/page"), "2").unwrap();
        assert!(heard(&mut changes).await, "a file of a tree");

        fs::rename(&app, base.join("old")).unwrap();
        fs::create_dir_all(app.join("deep")).unwrap();
        assert!(heard(&mut changes).await, "a replaced directory");
        assert!(watch.arm(&sources));
        fs::write(app.join("deep/page"), "3").unwrap();
        assert!(heard(&mut changes).await, "a file of the new directory");

        fs::remove_dir_all(&app).unwrap();
        assert!(heard(&mut changes).await);
        assert!(!watch.arm(&sources), "it cannot be watched while it does not exist");
    }
}
