//! The heartbeat of a lease. The heartbeat uses the session's connection. If the host allows one session at a time
//! (`MaxSessions 1`) and a long command occupies it, the heartbeat uses a second connection. The runner sends the
//! heartbeat, so the lease expires with the runner; a command that renewed the lease on the host would keep it alive.

use crate::io::ssh::{Host, Output};
use crate::manifest::environment::Ssh;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::reach::Reach;
use crate::reconcile::connect;
use crate::resource::SHORT;
use crate::resource::contract::lease::BEAT;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The task that renews a lease.
#[derive(Debug)]
pub(super) struct Heart {
    task: JoinHandle<()>,
    ended: Arc<Notify>,
    trouble: Arc<Mutex<Option<Failure>>>,
}

impl Heart {
    /// Starts the task. `script` is one beat.
    pub(super) fn start(host: Arc<Host>, (ssh, reach): (Ssh, Reach), script: String) -> Self {
        let (ended, trouble) = (Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
        let mut way = Way { host, spare: None, ssh, reach, script };
        let (end, found) = (Arc::clone(&ended), Arc::clone(&trouble));
        let task = tokio::spawn(async move {
            let beats = async {
                loop {
                    tokio::time::sleep(BEAT).await;
                    let beat = way.beat().await;
                    let place = &way.reach.address;
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

    /// Returns the host's failure of the last beat, if that beat failed.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the task, without waiting.
    pub(super) fn stop(&self) {
        self.ended.notify_one();
    }

    /// Ends the task, and waits until the task is gone.
    pub(super) async fn end(self) {
        self.stop();
        let _ = self.task.await;
    }
}

/// The connections of a heartbeat.
struct Way {
    host: Arc<Host>,
    spare: Option<Host>,
    ssh: Ssh,
    reach: Reach,
    script: String,
}

impl Way {
    /// Sends one beat. Returns `None` if the beat did not reach the host. A lease that expires that way shows with the
    /// next command: the host refuses it.
    async fn beat(&mut self) -> Option<Output> {
        let host = self.spare.as_ref().unwrap_or(&self.host);
        if let Ok(output) = host.run(&self.script, Input::Empty, SHORT).await {
            return Some(output);
        }
        self.spare = connect::another(&self.ssh, &self.reach, &self.host).await.ok();
        self.spare.as_ref()?.run(&self.script, Input::Empty, SHORT).await.ok()
    }
}

/// Returns the failure of a beat that the host could not write because of its disk.
fn trouble_of(beat: &Output, place: &str) -> Option<Failure> {
    let failure = Failure::new(Reason::LeaseLost, "Cannot renew the lease").or_disk_of_host(&beat.stderr, place);
    let disk = beat.status != 0 && failure.reason != Reason::LeaseLost;
    disk.then(|| failure.details(beat.stderr.clone()))
}
