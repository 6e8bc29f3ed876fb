//! The heartbeat of a lease. It goes over the session's connection; where a host allows one session at a time
//! (`MaxSessions 1`) and a long command has it, over a second connection: so the lease still expires with its runner,
//! unlike one that the command itself renewed on the host.

use crate::io::ssh::{Host, Output};
use crate::manifest::environment::Environment;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::reconcile::connect;
use crate::resource::SHORT;
use crate::resource::contract::lease::BEAT;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The task that keeps a lease.
#[derive(Debug)]
pub(super) struct Heart {
    task: JoinHandle<()>,
    ended: Arc<Notify>,
    trouble: Arc<Mutex<Option<Failure>>>,
}

impl Heart {
    /// Starts it: `script` is one beat.
    pub(super) fn start(host: Arc<Host>, environment: Environment, script: String) -> Self {
        let (ended, trouble) = (Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
        let mut way = Way { host, spare: None, environment, script };
        let (end, found) = (Arc::clone(&ended), Arc::clone(&trouble));
        let task = tokio::spawn(async move {
            let beats = async {
                loop {
                    tokio::time::sleep(BEAT).await;
                    let beat = way.beat().await;
                    let place = &way.environment.address;
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = beat.and_then(|it| trouble_of(&it, place));
                }
            };
            tokio::select! { () = beats => {}, () = end.notified() => {} }
            if let Some(spare) = way.spare {
                spare.close().await;
            }
        });
        Self { task, ended, trouble }
    }

    /// Why the last beat failed on the host, if it did.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, without waiting.
    pub(super) fn stop(&self) {
        self.ended.notify_one();
    }

    /// Ends it, and waits until nothing of it is left.
    pub(super) async fn end(self) {
        self.stop();
        let _ = self.task.await;
    }
}

/// How a beat reaches the host.
struct Way {
    host: Arc<Host>,
    spare: Option<Host>,
    environment: Environment,
    script: String,
}

impl Way {
    /// One beat; `None` where it did not reach the host. The next command notices that: the host refuses it.
    async fn beat(&mut self) -> Option<Output> {
        let host = self.spare.as_ref().unwrap_or(&self.host);
        if let Ok(output) = host.run(&self.script, Input::Empty, SHORT).await {
            return Some(output);
        }
        self.spare = connect::another(&self.environment, self.host.host_keys()).await.ok();
        self.spare.as_ref()?.run(&self.script, Input::Empty, SHORT).await.ok()
    }
}

/// The failure of a beat that the host's disk keeps from being written.
fn trouble_of(beat: &Output, place: &str) -> Option<Failure> {
    let failure = Failure::new(Reason::LeaseLost, "Cannot renew the lease").or_disk_of_host(&beat.stderr, place);
    let disk = beat.status != 0 && failure.reason != Reason::LeaseLost;
    disk.then(|| failure.details(beat.stderr.clone()))
}
