//! Running work: one spinner per environment at a terminal, otherwise one line per event. A long step prints a sign of
//! life at least every 10 s.

use super::{Look, State, Streams};
use crate::model::defuse;
use crate::model::event::{StepState, StepView};
use crate::model::state::Kind;
use crate::render::text;
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest time without output for a running step.
const SILENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);

/// One piece of running work.
struct Running {
    since: Instant,
    said: Instant,
    what: String,
    /// The current activity of a step.
    detail: Option<String>,
}

/// All running work.
pub(super) struct Progress {
    /// The work by environment and kind. Work that is not a step has no kind.
    running: BTreeMap<(String, Option<Kind>), Running>,
    bars: BTreeMap<String, ProgressBar>,
    multi: Option<MultiProgress>,
    /// The length of the longest environment's name so far.
    column: usize,
    beating: bool,
}

impl Running {
    fn words(&self) -> String {
        self.detail.as_ref().map_or_else(|| self.what.clone(), |detail| format!("{}: {detail}", self.what))
    }
}

impl Progress {
    pub(super) fn new(animated: bool) -> Self {
        let multi = animated.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { running: BTreeMap::new(), bars: BTreeMap::new(), multi, column: 0, beating: false }
    }

    /// Widens the first column to fit these names.
    pub(super) fn align<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.column = names.map(str::len).fold(self.column, usize::max);
    }

    /// Records an activity in the environment's step of this kind, or in any step that runs. If no step runs, starts
    /// separate work that ends with the environment's next event.
    pub(super) fn activity(&mut self, environment: &str, kind: Option<Kind>, what: &str) {
        self.align([environment].into_iter());
        let steps = self.running.iter_mut().filter(|((name, running), _)| {
            name == environment && running.is_some_and(|running| kind.is_none_or(|kind| kind == running))
        });
        match steps.map(|(_, running)| running).last() {
            Some(step) => step.detail = Some(defuse::line(what)),
            None => self.start(environment, None, defuse::line(what)),
        }
        self.draw(environment);
    }

    /// Records the start or end of a step. Returns a line if one must be printed.
    pub(super) fn step(&mut self, step: &StepView, look: Look) -> Option<String> {
        let environment = &step.environment;
        self.align([environment.as_str()].into_iter());
        self.running.remove(&(environment.clone(), None));
        let style = match step.state {
            StepState::Started | StepState::Skipped => Style::new().dimmed(),
            StepState::Applied => AnsiColor::Green.on_default(),
            StepState::Failed => AnsiColor::Red.on_default().bold(),
            StepState::Blocked => AnsiColor::Yellow.on_default(),
        };
        let word = step.state.name();
        if step.state == StepState::Started {
            self.start(environment, Some(step.kind), step.kind.name().to_owned());
        } else {
            self.running.remove(&(environment.clone(), Some(step.kind)));
        }
        self.draw(environment);
        if step.state == StepState::Started && self.multi.is_some() {
            return None;
        }
        let took = step.duration_ms.map(|ms| text::duration(Duration::from_millis(ms)));
        Some(self.line(environment, step.kind.name(), &look.paint(style, word), word.len(), took.as_deref()))
    }

    /// Removes all running work of an environment.
    pub(super) fn finish(&mut self, environment: &str) {
        self.running.retain(|(name, _), _| name != environment);
        self.draw(environment);
    }

    /// Removes the running work of an environment that is not a step.
    pub(super) fn stop_activity(&mut self, environment: &str) {
        self.running.remove(&(environment.to_owned(), None));
        self.draw(environment);
    }

    /// Removes all running work.
    pub(super) fn clear(&mut self) {
        self.running.clear();
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
    }

    /// Calls `write`, whose output is placed above the spinners.
    pub(super) fn above(&self, write: impl FnOnce()) {
        match &self.multi {
            Some(multi) => multi.suspend(write),
            None => write(),
        }
    }

    /// Removes the spinners from the screen while the user types.
    pub(super) fn pause(&self) {
        self.bars.values().for_each(ProgressBar::disable_steady_tick);
        if let Some(multi) = &self.multi {
            // The worst result of an error is a spinner that remains on the screen.
            let _ = multi.clear();
        }
    }

    /// Shows the spinners again.
    pub(super) fn resume(&self) {
        self.bars.values().for_each(|bar| bar.enable_steady_tick(TICK));
    }

    fn start(&mut self, environment: &str, kind: Option<Kind>, what: String) {
        let now = Instant::now();
        self.running.insert((environment.to_owned(), kind), Running { since: now, said: now, what, detail: None });
    }

    fn line(&self, environment: &str, what: &str, word: &str, length: usize, took: Option<&str>) -> String {
        let environment = defuse::line(environment);
        let (column, word) = (self.column, format!("{word}{:pad$}", "", pad = 9_usize.saturating_sub(length)));
        format!("{environment:column$}  {what:8}  {word}  {}", took.unwrap_or_default()).trim_end().to_owned() + "\n"
    }

    /// Updates the environment's spinner to its running work.
    fn draw(&mut self, environment: &str) {
        let Some(multi) = &self.multi else { return };
        let running =
            self.running.range((environment.to_owned(), None)..).take_while(|((name, _), _)| name == environment);
        let what: Vec<String> = running.map(|(_, running)| running.words()).collect();
        if what.is_empty() {
            if let Some(bar) = self.bars.remove(environment) {
                bar.finish_and_clear();
                multi.remove(&bar);
            }
            return;
        }
        let bar = self.bars.entry(environment.to_owned()).or_insert_with(|| {
            let bar = multi.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_prefix(format!("{:column$}", defuse::line(environment), column = self.column));
        bar.set_message(what.join(", "));
    }

    /// Returns a line for each step without recent output.
    fn heartbeat(&mut self, now: Instant) -> String {
        let mut lines = String::new();
        let due: Vec<_> = self.running.iter().filter(|(_, running)| now - running.said >= SILENCE).collect();
        for ((environment, _), running) in &due {
            let elapsed = text::duration(now - running.since);
            let elapsed = running.detail.as_ref().map_or(elapsed.clone(), |detail| format!("{elapsed:8}  {detail}"));
            lines += &self.line(environment, &running.what, "running", 7, Some(&elapsed));
        }
        for running in self.running.values_mut().filter(|running| now - running.said >= SILENCE) {
            running.said = now;
        }
        lines
    }
}

/// Starts the thread that prints running steps, once. It ends with the renderer.
pub(super) fn heartbeat(streams: &Arc<Streams>, state: &Arc<Mutex<State>>, progress: &mut Progress) {
    if std::mem::replace(&mut progress.beating, true) {
        return;
    }
    let (streams, state) = (Arc::downgrade(streams), Arc::downgrade(state));
    let beat = move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let (Some(streams), Some(state)) = (streams.upgrade(), state.upgrade()) else { return };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.held.is_none() {
                let lines = state.progress.heartbeat(Instant::now());
                streams.err.say(&lines);
            }
        }
    };
    // If no thread can be started, the run continues without heartbeats.
    let _ = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(beat);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_gives_a_sign_of_life_every_ten_seconds() {
        let mut progress = Progress::new(false);
        let step = StepView {
            environment: "production".to_owned(),
            kind: Kind::Engine,
            state: StepState::Started,
            duration_ms: None,
        };
        assert_eq!(progress.step(&step, Look::default()).as_deref(), Some("production  engine    started\n"));
        let began = progress.running.values().next().expect("it runs").since;
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(progress.heartbeat(after(9)), "");
        assert_eq!(progress.heartbeat(after(10)), "production  engine    running    10.0 s\n");
        assert_eq!(progress.heartbeat(after(15)), "");
        progress.activity("production", Some(Kind::Engine), "install Docker");
        assert_eq!(progress.heartbeat(after(21)), "production  engine    running    21.0 s    install Docker\n");
        let done = StepView { state: StepState::Applied, duration_ms: Some(21_300), ..step };
        assert_eq!(progress.step(&done, Look::default()).as_deref(), Some("production  engine    applied    21.3 s\n"));
        assert_eq!(progress.heartbeat(after(60)), "");
    }
}
