//! The handling of signals: the first one requests a stop, the second one ends the work. Does not exit the process.

use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// A request to end work at the next safe point.
#[derive(Debug, Default)]
pub struct Stop {
    /// True after the first signal.
    pub flag: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Waits for the first signal.
    pub async fn wait(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // The wait is registered before the flag is read, so that no signal in between is missed.
        told.as_mut().enable();
        if !self.flag.load(Ordering::Relaxed) {
            told.await;
        }
    }

    fn stop(&self) -> bool {
        let first = !self.flag.swap(true, Ordering::Relaxed);
        self.told.notify_waiters();
        first
    }
}

/// Returns the failure for a question that was not answered with yes.
pub fn refused(message: String, stop: &AtomicBool) -> Failure {
    if stop.load(Ordering::Relaxed) {
        return Failure::new(Reason::Interrupted, "The run was interrupted before it changed anything");
    }
    Failure::new(Reason::ConsentMissing, message)
}

/// Runs work until it ends or a second signal comes. After a signal, the exit code is that of the signal.
pub async fn interruptible<W: Future<Output = Ending>>(context: &Context, work: impl FnOnce(Arc<Stop>) -> W) -> Ending {
    let stop = Arc::new(Stop::default());
    let code = AtomicU8::new(0);
    let signals = async {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        for _ in 0..2 {
            let number = tokio::select! { _ = interrupt.recv() => 130, _ = terminate.recv() => 143 };
            code.store(number, Ordering::Relaxed);
            if stop.stop() {
                context.front.interrupt();
                let message = "Interrupted: running steps will finish and no other step will start. A second signal \
                               ends the run now";
                context.say(Event::Warning { environment: None, message: message.to_owned() });
            }
        }
    };
    let ending = tokio::select! {
        ended = work(Arc::clone(&stop)) => ended,
        () = signals => Ending { outcome: Outcome::Interrupted, exit_code: 130 },
    };
    match code.load(Ordering::Relaxed) {
        0 => ending,
        exit_code => Ending { outcome: Outcome::Interrupted, exit_code },
    }
}
