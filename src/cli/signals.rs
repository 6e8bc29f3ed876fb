//! What the first signal asks for and the second one does. Never ends the process itself.

use super::{Context, Ending};
use crate::model::event::{Event, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Whether work is to end at the next good moment.
#[derive(Debug, Default)]
pub struct Stop {
    /// Set by the first signal.
    pub flag: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Waits for the first signal.
    pub async fn wait(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // Listens before it looks, so that a signal in between is not missed.
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

/// Works until its end or a second signal. Where a signal came, the exit code is that signal's.
pub async fn heed<W: Future<Output = Ending>>(context: &Context, work: impl FnOnce(Arc<Stop>) -> W) -> Ending {
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
                let message = "Interrupted: what runs is finished, nothing else begins; a second signal ends it now";
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
