//! Events as text for people: results on standard output, other events on standard error. Colours repeat information
//! that the text contains as well.

mod excerpt;
mod failure;
mod plan;
mod progress;
mod table;

use super::Render;
use super::github::Command;
use super::stream::Stream;
use crate::model::defuse;
use crate::model::event::{ArchiveView, CheckView, EnvironmentView, Event, ReleaseView, RunView, VerdictView};
use crate::model::front::Front;
use anstyle::Style;
use progress::Progress;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// The longest time for which a prompt stays open after an interruption.
const MOMENT: Duration = Duration::from_millis(50);

/// The display options of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    pub(super) color: bool,
    /// Columns; `None` if the length of a line is not limited.
    pub(super) width: Option<usize>,
    pub(super) verbose: bool,
}

impl Look {
    /// Returns the text in that style if there are colours.
    fn paint(self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// The two streams and their display options.
pub(super) struct Streams {
    pub(super) out: Stream,
    pub(super) err: Stream,
    pub(super) stdout: Look,
    pub(super) stderr: Look,
    /// True if spinners are shown.
    pub(super) animated: bool,
    /// True if a user can answer.
    pub(super) interactive: bool,
}

/// A renderer that prints text.
pub(super) struct Terminal {
    streams: Arc<Streams>,
    state: Arc<Mutex<State>>,
    /// A lock held while a prompt is open, so that prompts do not overlap.
    asking: Mutex<()>,
    /// True after the run was interrupted: no prompt waits for an answer any more.
    interrupted: AtomicBool,
}

/// The data that is kept between events.
pub(super) struct State {
    progress: Progress,
    /// The environments, which are printed as one table at the end.
    environments: Vec<EnvironmentView>,
    checks: Vec<CheckView>,
    verdicts: Vec<VerdictView>,
    runs: Vec<RunView>,
    releases: Vec<ReleaseView>,
    archives: Vec<ArchiveView>,
    /// Events that are held back until the user answers the prompt.
    held: Option<Vec<Event>>,
}

impl Terminal {
    pub(super) fn new(streams: Streams) -> Self {
        let progress = Progress::new(streams.animated);
        let state = State {
            progress,
            environments: Vec::new(),
            checks: Vec::new(),
            verdicts: Vec::new(),
            runs: Vec::new(),
            releases: Vec::new(),
            archives: Vec::new(),
            held: None,
        };
        Self {
            streams: Arc::new(streams),
            state: Arc::new(Mutex::new(state)),
            asking: Mutex::new(()),
            interrupted: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // After a panic in another task, the remaining events are still printed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, state: &mut State, event: &Event) {
        let Streams { out, err, stdout, stderr, .. } = &*self.streams;
        if !self.streams.animated && matches!(event, Event::Progress { .. } | Event::Step(_)) {
            progress::heartbeat(&self.streams, &self.state, &mut state.progress);
        }
        match event {
            Event::Progress { environment, kind, activity } => state.progress.activity(environment, *kind, activity),
            Event::Step(step) => {
                if let Some(line) = state.progress.step(step, *stderr) {
                    state.progress.above(|| err.say(&line));
                }
            }
            Event::Plan(plan) => {
                state.progress.clear();
                state.progress.align(plan.steps.iter().map(|step| step.environment.as_str()));
                out.say(&plan::text(plan, *stdout));
            }
            Event::Environment(environment) => {
                state.progress.finish(&environment.name);
                state.environments.push((**environment).clone());
            }
            Event::Check(check) => state.checks.push(check.clone()),
            Event::Verdict(verdict) => state.verdicts.push(verdict.clone()),
            Event::Run(run) => state.runs.push(run.clone()),
            Event::Archive(archive) => state.archives.push(archive.clone()),
            Event::Release(release) => state.releases.push(release.clone()),
            Event::Failure(failure) => {
                if let Some(environment) = &failure.environment {
                    state.progress.stop_activity(environment);
                }
                state.progress.above(|| err.say(&failure::text(failure, *stderr)));
            }
            Event::Warning { environment, message } => {
                let text = failure::warning(environment.as_deref(), message, *stderr);
                state.progress.above(|| err.say(&text));
            }
            Event::Output(document) => state.progress.above(|| out.document(&ended(document))),
            Event::Said { text, error } => {
                let to = if *error { err } else { out };
                state.progress.above(|| to.say(&ended(&defuse::said(text))));
            }
            // A watch uses the log renderer instead.
            Event::Watch(watch) => state.progress.above(|| err.say(&format!("{}\n", defuse::controls(&watch.message)))),
            Event::Note(note) => state.progress.above(|| out.say(&format!("{}\n", defuse::controls(note)))),
            Event::Result(result) => {
                state.progress.clear();
                let environments = std::mem::take(&mut state.environments);
                let checks = std::mem::take(&mut state.checks);
                out.say(&table::checks(&checks, *stdout));
                out.say(&table::verdicts(&std::mem::take(&mut state.verdicts), *stdout));
                out.say(&table::runs(&std::mem::take(&mut state.runs), *stdout));
                out.say(&table::releases(&std::mem::take(&mut state.releases), *stdout));
                out.say(&table::archives(&std::mem::take(&mut state.archives), *stdout));
                out.say(&table::environments(&environments, result.command, *stdout));
                if out.lost() {
                    err.say(&format!("{} Cannot write to standard output\n", stderr.paint(failure::RED, "error:")));
                }
            }
        }
    }
}

/// Returns the text with a line break at its end, because two texts on one line could form a command.
fn ended(text: &str) -> String {
    format!("{text}{}", if text.ends_with('\n') { "" } else { "\n" })
}

impl Front for Terminal {
    fn event(&self, event: &Event) {
        let mut state = self.state();
        match &mut state.held {
            Some(held) => held.push(event.clone()),
            None => self.say(&mut state, event),
        }
    }

    fn can_ask(&self) -> bool {
        self.streams.interactive
    }

    fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            state.held.get_or_insert_default();
            state.progress.pause();
        }
        self.streams.err.say(&format!("{} ", defuse::controls(question)));
        let answer = answer(&self.interrupted);
        if answer.is_none() {
            self.streams.err.say("\n");
        }
        let mut state = self.state();
        state.progress.resume();
        for event in state.held.take().unwrap_or_default() {
            self.say(&mut state, &event);
        }
        answer
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }
}

/// Reads a line from standard input. Returns `None` at its end, or at the latest a moment after an interruption: then a
/// thread still waits for the line.
fn answer(interrupted: &AtomicBool) -> Option<String> {
    let (send, answered) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).ok().filter(|read| *read > 0);
        // Nobody waits any more after an interruption.
        let _ = send.send(read.map(|_| line.trim().to_owned()));
    });
    loop {
        match answered.recv_timeout(MOMENT) {
            Ok(answer) => return answer,
            Err(mpsc::RecvTimeoutError::Timeout) if !interrupted.load(Ordering::Relaxed) => {}
            Err(_) => return None,
        }
    }
}

impl Render for Terminal {
    fn commands(&self, commands: &[Command]) {
        self.state().progress.above(|| self.streams.out.commands(commands));
    }

    fn lost(&self) -> bool {
        self.streams.out.lost()
    }
}

#[cfg(test)]
mod tests;
