//! The loop of `deployer watch`: receives changes, keeps the last valid manifest, starts passes when they are due. The
//! schedule decides when, and `pass.rs` reconciles.

mod followed;

use super::pass::{self, Done, Job, Said};
use super::{Settings, say};
use crate::io::store::Store;
use crate::manifest::Manifest;
use crate::manifest::environment::{Environment, Ignore};
use crate::model::event::{Event, Happening};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::connect::Kept;
use crate::reconcile::context::Context;
use crate::reconcile::signals::Stop;
use crate::reconcile::watch::files;
use crate::reconcile::watch::git::{self, Followed};
use crate::reconcile::watch::http::Shared;
use crate::reconcile::watch::quarantine::Quarantine;
use crate::reconcile::watch::schedule::{self, End, Schedule};
use crate::reconcile::watch::served::Served;
use crate::reconcile::watch::sources::Prints;
use crate::reconcile::watch::watching::followed::{count, read};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinError, JoinSet};

/// The longest sleep: health checks see that the loop still turns.
const TURN: Duration = Duration::from_secs(10);
/// The interval of file checks without any reported change: some file systems report none.
const LOOK: Duration = Duration::from_mins(1);
/// The interval of file checks while a directory cannot be watched.
const LOOK_OFTEN: Duration = Duration::from_secs(2);

/// The state of the loop.
pub struct Watching<'a> {
    context: &'a Context,
    settings: &'a Settings,
    stop: &'a Arc<Stop>,
    begun: Instant,
    /// The last valid manifest, and its environments that are watched.
    manifest: Arc<Manifest>,
    environments: BTreeMap<String, Environment>,
    store: Arc<Store>,
    /// The error of the current manifest, if that is invalid.
    invalid: Option<String>,
    /// Files: the watch, whether it covers everything, the time of the next check, and the known content.
    watch: Option<files::Watch>,
    armed: bool,
    look: Instant,
    prints: Prints,
    digests: BTreeMap<String, blake3::Hash>,
    changes: (UnboundedSender<()>, UnboundedReceiver<()>),
    /// Passes.
    schedule: Schedule,
    quarantine: Quarantine,
    kept: Arc<Kept>,
    jobs: JoinSet<Option<Done>>,
    names: BTreeMap<Id, String>,
    said: BTreeMap<String, Said>,
    waiting: BTreeSet<(String, String)>,
    board: Shared,
}

/// A valid manifest with its store.
struct Good {
    manifest: Arc<Manifest>,
    environments: BTreeMap<String, Environment>,
    store: Arc<Store>,
}

impl<'a> Watching<'a> {
    /// Reads the manifest, which must be valid at the start, and opens the store.
    pub async fn open(context: &'a Context, settings: &'a Settings, stop: &'a Arc<Stop>) -> Result<Self, Vec<Failure>> {
        let good = read(context, settings, None).await?;
        let (url, directory) = context.store(Some(&good.manifest.state));
        let own = url.strip_prefix("sqlite:").map(|path| directory.join(path.trim_start_matches("//")));
        let changes = unbounded_channel();
        let watch = files::Watch::start(changes.0.clone(), own.into_iter().collect());
        let watch = watch.map_err(|why| {
            let message = format!("Files cannot be watched, so they are checked at intervals instead: {why}");
            context.say(Event::Warning { environment: None, message });
        });
        let now = Instant::now();
        let mut watching = Self {
            context,
            settings,
            stop,
            begun: now,
            manifest: Arc::clone(&good.manifest),
            environments: BTreeMap::new(),
            store: Arc::clone(&good.store),
            invalid: None,
            watch: watch.ok(),
            armed: false,
            look: now,
            prints: Prints::default(),
            digests: BTreeMap::new(),
            changes,
            schedule: Schedule::new(settings.interval, settings.parallel),
            quarantine: Quarantine::default(),
            kept: Arc::new(Kept::new(schedule::jittered(settings.interval, 1.0))),
            jobs: JoinSet::new(),
            names: BTreeMap::new(),
            said: BTreeMap::new(),
            waiting: BTreeSet::new(),
            board: Arc::new(Mutex::new(Served::new(now))),
        };
        watching.follow(good);
        Ok(watching)
    }

    /// Returns the board that the HTTP server reads.
    pub fn board(&self) -> Shared {
        Arc::clone(&self.board)
    }

    /// Runs until a signal comes, then waits for the passes that still run.
    pub async fn run(&mut self) -> Result<(), Failure> {
        let every = humantime::format_duration(self.settings.interval);
        let message = format!("watching {}: {}, every {every}", self.context.file, count(self.environments.len()));
        say(self.context, Happening::Started, None, message);
        let mut hangup = signal(SignalKind::hangup())
            .map_err(|error| Failure::new(Reason::CommandFailed, "Cannot listen for signals").because(error))?;
        let pulling = Arc::new(AtomicBool::new(false));
        let mut pulls = self.pulls(&pulling);
        let mut lost: Option<String> = None;
        loop {
            let sleep = self.turn();
            tokio::select! {
                () = self.stop.wait() => break,
                _ = hangup.recv() => self.schedule.force(self.begun.elapsed()),
                Some(ended) = self.jobs.join_next_with_id() => self.ended(ended),
                Some(pulled) = pulls.recv() => {
                    self.pulled(pulled, &mut lost);
                    self.refresh().await;
                }
                Some(()) = self.changes.1.recv() => {
                    while self.changes.1.try_recv().is_ok() {}
                    // A checkout that is being moved is read after the move.
                    if !pulling.load(Ordering::Relaxed) {
                        self.refresh().await;
                    }
                }
                () = tokio::time::sleep(sleep) => if Instant::now() >= self.look {
                    self.refresh().await;
                }
            }
        }
        say(self.context, Happening::Stopping, None, "stopping when the running steps have ended");
        while let Some(ended) = self.jobs.join_next_with_id().await {
            self.ended(ended);
        }
        Ok(())
    }

    fn board_mut(&self) -> MutexGuard<'_, Served> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts all passes that are due. Returns the time to sleep.
    fn turn(&mut self) -> Duration {
        let now = self.begun.elapsed();
        self.board_mut().turned = Instant::now();
        while let Some(name) = self.schedule.start(now) {
            self.start(&name);
        }
        let waiting: BTreeSet<(String, String)> =
            self.schedule.waiting(now).into_iter().map(|(name, need)| (name.to_owned(), need.to_owned())).collect();
        for (name, need) in waiting.difference(&self.waiting) {
            say(self.context, Happening::Waiting, Some(name), format!("waiting for {need}, which it depends on"));
        }
        self.waiting = waiting;
        let due = self.schedule.next().map_or(TURN, |due| due.saturating_sub(now));
        due.min(TURN).min(self.look.saturating_duration_since(Instant::now())).max(Duration::from_millis(1))
    }

    fn start(&mut self, name: &str) {
        let Some(mut environment) = self.environments.get(name).cloned() else { return };
        let given_up = self.quarantine.of(name).map(|(kind, fact)| Ignore {
            kind: *kind,
            fact: fact.clone(),
            reason: "corrected too often".to_owned(),
            quarantined: true,
        });
        environment.drift.ignore.extend(given_up);
        let job = Job {
            context: self.context.clone(),
            manifest: Arc::clone(&self.manifest),
            store: Arc::clone(&self.store),
            environment,
            said: self.said.get(name).cloned().unwrap_or_default(),
            kept: Arc::clone(&self.kept),
            stop: Arc::clone(self.stop),
        };
        let task = self.jobs.spawn(pass::run(job));
        self.names.insert(task.id(), name.to_owned());
    }

    /// Drops the connections of environments that are no longer watched.
    fn release(&self) {
        self.kept.retain(|name| self.environments.contains_key(name));
    }

    fn ended(&mut self, ended: Result<(Id, Option<Done>), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, done),
            Err(error) => {
                let id = error.id();
                let failure = Failure::new(Reason::CommandFailed, "A pass was aborted").because(error);
                self.context.say(Event::Failure(failure));
                (id, None)
            }
        };
        let Some(name) = self.names.remove(&id) else { return };
        if !self.environments.contains_key(&name) {
            self.release();
        }
        let now = self.begun.elapsed();
        let pause = self.schedule.ended(&name, done.as_ref().map_or(End::Failed, |done| done.end), now, chance());
        let Some(done) = done else { return };
        for (kind, fact) in &done.corrected {
            if self.quarantine.corrected(&name, *kind, fact, now) {
                let message = format!(
                    "{kind}:{fact} was corrected 3 times in an hour; it is not corrected again until something changes"
                );
                say(self.context, Happening::Quarantined, Some(&name), message);
            }
        }
        if let Some(entry) = self.board_mut().environments.get_mut(&name) {
            entry.at = Some((self.context.now)());
            entry.took = done.took;
            entry.passes += 1;
            entry.failures += u64::from(done.end == End::Failed);
            entry.corrections += done.corrected.len() as u64;
            entry.view = done.view.or(entry.view.take());
        }
        self.said.insert(name.clone(), done.said);
        let took = done.took.as_secs_f64();
        let next = pause.map_or(0, |pause| pause.as_secs());
        let message = match done.end {
            End::Failed => format!("failed after {took:.1} s; next attempt in {next} s"),
            _ if done.applied > 0 => format!("reconciled in {took:.1} s, steps applied: {}", done.applied),
            _ if self.context.verbose => format!("checked in {took:.1} s; nothing to do; next pass in {next} s"),
            _ => return,
        };
        say(self.context, Happening::Reconciled, Some(&name), message);
    }

    /// Starts to follow the Git checkout if requested. Returns the receiver of the results.
    fn pulls(&self, pulling: &Arc<AtomicBool>) -> UnboundedReceiver<Result<Followed, Failure>> {
        let (send, receive) = unbounded_channel();
        if let Some(every) = self.settings.git_pull {
            let (directory, pulling) = (self.context.manifest_directory(), Arc::clone(pulling));
            tokio::spawn(async move {
                loop {
                    pulling.store(true, Ordering::Relaxed);
                    let pulled = git::follow(&directory).await;
                    pulling.store(false, Ordering::Relaxed);
                    if send.send(pulled).is_err() {
                        return;
                    }
                    tokio::time::sleep(every).await;
                }
            });
        }
        receive
    }

    /// Reports the result of a pull. Reports the same failure only once.
    fn pulled(&self, pulled: Result<Followed, Failure>, lost: &mut Option<String>) {
        match pulled {
            Ok(followed) => {
                if lost.take().is_some() {
                    say(self.context, Happening::Pulled, None, "the Git checkout follows its upstream again");
                }
                if let Followed::Moved(commit) = followed {
                    let message = format!("the Git checkout moved forward to {}", commit.get(..12).unwrap_or(&commit));
                    say(self.context, Happening::Pulled, None, message);
                }
            }
            Err(failure) => {
                if lost.as_ref() != Some(&failure.message()) {
                    self.context.say(Event::Failure(failure.clone()));
                }
                *lost = Some(failure.message());
            }
        }
    }
}

/// Closes the kept connections.
pub async fn close(watching: Watching<'_>) {
    watching.kept.close().await;
}

/// Returns a random number between 0 and 1.
fn chance() -> f64 {
    let (_, number, ..) = uuid::Uuid::new_v4().as_fields();
    f64::from(number) / f64::from(u16::MAX)
}
