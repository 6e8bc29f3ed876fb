//! The only place that prints: events to a terminal's text or to JSON lines. Never decides anything.
//!
//! Every text passes `hiding`, which takes secrets out, and `stream`, which makes it safe for whoever reads it.

mod actions;
mod defuse;
mod formed;
mod github;
pub mod graph;
mod hiding;
#[cfg(test)]
mod hostile;
mod json;
pub mod junit;
mod log;
pub mod markdown;
mod stream;
mod terminal;
mod text;

pub use actions::Files;
pub use github::Command;
pub use json::line;

use crate::model::event::{Event, Sink};
use crate::model::secret::Redactor;
use actions::Actions;
use clap::ColorChoice;
use formed::{Form, Formed};
use hiding::Hiding;
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;
use stream::{Readers, Stream};
use terminal::{Look, Terminal};

/// Says events, in one form or another. Called from many tasks at once.
pub trait Render: Send + Sync {
    /// Says one event.
    fn event(&self, event: &Event);

    /// Whether somebody can be asked: there is a terminal to read from and to ask on.
    fn can_ask(&self) -> bool;

    /// Asks the person at the terminal; `None` where there is none, or no answer. Blocks.
    fn ask(&self, question: &str) -> Option<String>;

    /// Whether something could not be written, a closed pipe aside.
    fn lost(&self) -> bool;

    /// Writes commands for a workflow, where standard output is its log.
    fn commands(&self, _commands: &[Command]) {}

    /// Says whether the log's keeper hides secrets that it knows.
    fn masks(&self) -> bool {
        false
    }

    /// An event without the secrets that are hidden, for those who keep it elsewhere.
    fn without_secrets(&self, event: Event) -> Event {
        event
    }

    /// Hides the secrets of an environment from now on, in place of those that were hidden for it before.
    fn hide(&self, _environment: &str, _secrets: &Arc<Redactor>) {}

    /// Has the keeper of the log take no command until [`Render::resume_commands`] gives it the token returned. `None`
    /// where nobody would take one.
    fn stop_commands(&self) -> Option<String> {
        None
    }

    /// Ends what [`Render::stop_commands`] began.
    fn resume_commands(&self, _token: &str) {}
}

/// Whether a person types and reads: standard input and output both are a terminal.
#[must_use]
pub fn at_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    Terminal,
    /// One line an event, with its time, for a service's log.
    Log,
    /// One JSON object a line, on standard output only.
    Json,
    /// Text, and the plan as a comment's Markdown.
    Markdown,
    /// Text, and the checks as a report for pipelines.
    Junit,
    /// Text, and the plan and what failed as annotations of a GitHub workflow.
    Github,
}

/// How to print.
#[derive(Clone, Debug)]
pub struct Options {
    /// The form.
    pub format: Format,
    /// The manifest as the user named it.
    pub file: String,
    /// The user's choice; `Auto` looks at `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the stream.
    pub color: ColorChoice,
    /// Whether to say more than is usual.
    pub verbose: bool,
    /// The clock, for logs.
    pub now: fn() -> jiff::Timestamp,
    /// True where a CI service keeps the output.
    pub ci: bool,
    /// Whether the terminal cannot move its cursor (`TERM=dumb`).
    pub dumb: bool,
    /// Where a GitHub workflow takes a step's summary and outputs from; `None` elsewhere.
    pub workflow: Option<Files>,
}

/// Opens standard output and standard error for printing.
pub fn open(options: Options) -> Arc<dyn Render> {
    let render: Arc<dyn Render> = match options.format {
        Format::Json => Arc::new(json::Json::new(Stream::new(Box::new(io::stdout()), Readers::default()))),
        Format::Terminal => terminal(&options),
        Format::Log => {
            let out = Stream::new(Box::new(io::stdout()), Readers::default());
            Arc::new(log::Log::new(out, options.now, options.verbose))
        }
        Format::Markdown => Arc::new(Formed::new(terminal(&options), Form::Markdown, &options.file)),
        Format::Junit => Arc::new(Formed::new(terminal(&options), Form::Junit, &options.file)),
        Format::Github => Arc::new(Formed::new(terminal(&options), Form::Github, &options.file)),
    };
    let plain = matches!(options.format, Format::Terminal | Format::Markdown | Format::Junit);
    let render = match options.workflow {
        Some(files) => {
            let err = Stream::new(Box::new(io::stderr()), Readers::default());
            Arc::new(Actions::new(render, err, files, plain, &options.file))
        }
        None => render,
    };
    Arc::new(Hiding::new(render))
}

fn terminal(options: &Options) -> Arc<dyn Render> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let look = |color, width| Look { color, width, verbose: options.verbose };
    let (out, err) = (
        look(is_colored(options.color, &stdout), width(&stdout, false)),
        look(is_colored(options.color, &stderr), width(&stderr, true)),
    );
    let programs = !stdout.is_terminal() && !options.ci;
    Arc::new(Terminal::new(terminal::Streams {
        out: Stream::new(Box::new(io::stdout()), Readers { styled: out.color, programs }),
        err: Stream::new(Box::new(io::stderr()), Readers { styled: err.color, programs: false }),
        stdout: out,
        stderr: err,
        animated: stderr.is_terminal() && !options.dumb,
        interactive: io::stdin().is_terminal() && stderr.is_terminal(),
    }))
}

/// A text of others as those may read it who asked for plain text.
#[must_use]
pub fn plain(text: &str) -> String {
    defuse::whole(text, false)
}

/// Has panics print through the same door as everything else: their messages may quote what a host said.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let err = Stream::new(Box::new(io::stderr()), Readers::default());
        let trace = std::backtrace::Backtrace::capture();
        let trace = if trace.status() == std::backtrace::BacktraceStatus::Captured {
            format!("{trace}\n")
        } else {
            String::new()
        };
        err.say(&format!("deployer failed by a fault in itself: {panic}\n{trace}"));
    }));
}

/// Writes data of the user to standard output, byte for byte.
///
/// # Errors
/// Those of the stream; nobody reads any more, or a disk is full.
pub fn data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Standard output, to see how much of it was read. It is written to by [`data`] and by [`Render`] alone.
#[must_use]
pub fn output() -> impl std::os::fd::AsFd {
    io::stdout()
}

/// Says whether a program reads standard output as it is written, as that of a workflow's step is: neither a terminal
/// nor a file.
#[must_use]
pub fn is_log() -> bool {
    let kind = std::fs::metadata("/dev/fd/1").map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

/// Where the engine sends its events.
pub fn sink(render: &Arc<dyn Render>) -> Sink {
    let render = Arc::clone(render);
    Arc::new(move |event| render.event(&event))
}

/// Whether text on standard output is to be coloured.
pub fn is_stdout_colored(choice: ColorChoice) -> bool {
    is_colored(choice, &io::stdout())
}

fn is_colored(choice: ColorChoice, stream: &impl anstream::stream::RawStream) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

/// Columns of a terminal; `None` where a line may be as long as it is.
fn width(stream: &impl IsTerminal, is_stderr: bool) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let mut table = comfy_table::Table::new();
    if is_stderr {
        table.use_stderr();
    }
    Some(usize::from(table.width().unwrap_or(80)))
}
