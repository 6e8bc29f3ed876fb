//! The interface between a run and the front that started it, which receives events and answers questions.

use super::event::{Event, Sink};
use super::secret::Redactor;
use std::sync::Arc;

/// The receiver of a run's events, which also asks its questions. Called from many tasks at once.
pub trait Front: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);

    /// Returns true if a user can be asked: there is a terminal for the question and the answer.
    fn can_ask(&self) -> bool;

    /// Asks the user. Returns `None` if there is no terminal or no answer. Blocks.
    fn ask(&self, question: &str) -> Option<String>;

    /// Ends the current question and later ones without an answer, because the run was interrupted.
    fn interrupt(&self) {}

    /// Returns true if the log service hides the secrets that it knows.
    fn masks(&self) -> bool {
        false
    }

    /// Returns an event without the hidden secrets, for code that stores the event elsewhere.
    fn without_secrets(&self, event: Event) -> Event {
        event
    }

    /// Hides the secrets of an environment from now on, and replaces the secrets that were hidden for it before.
    fn hide(&self, _environment: &str, _secrets: &Arc<Redactor>) {}
}

/// Returns the sink to which the engine sends its events.
pub fn sink(front: &Arc<dyn Front>) -> Sink {
    let front = Arc::clone(front);
    Arc::new(move |event| front.event(&event))
}
