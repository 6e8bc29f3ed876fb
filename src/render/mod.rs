//! The only place that prints: events to a terminal's text or to JSON lines. Never decides anything.

mod actions;
mod formed;
mod github;
pub mod graph;
mod json;
pub mod junit;
mod log;
pub mod markdown;
mod stream;
mod terminal;
mod text;

pub use actions::Files;
pub use json::line;

use crate::event::{Event, Sink};
use crate::secret::Redactor;
use actions::Actions;
use clap::ColorChoice;
use formed::{Form, Formed};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use stream::Stream;
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

    /// Whether the log's keeper is to be told the secrets, so that it hides them.
    fn masks(&self) -> bool {
        false
    }

    /// Tells the log's keeper secrets, where it wants them.
    fn mask(&self, _secrets: &Redactor) {}
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
    /// The user's choice; `Auto` looks at `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the stream.
    pub color: ColorChoice,
    /// Whether to say more than is usual.
    pub verbose: bool,
    /// The clock, for logs.
    pub now: fn() -> jiff::Timestamp,
    /// Whether the terminal cannot move its cursor (`TERM=dumb`).
    pub dumb: bool,
    /// Where a GitHub workflow takes a step's summary and outputs from; `None` elsewhere.
    pub workflow: Option<Files>,
}

/// Opens standard output and standard error for printing.
pub fn open(options: Options) -> Arc<dyn Render> {
    let render: Arc<dyn Render> = match options.format {
        Format::Json => Arc::new(json::Json::new(Stream::new(Box::new(io::stdout())))),
        Format::Terminal => terminal(&options),
        Format::Log => Arc::new(log::Log::new(Stream::new(Box::new(io::stdout())), options.now, options.verbose)),
        Format::Markdown => Arc::new(Formed::new(terminal(&options), Form::Markdown)),
        Format::Junit => Arc::new(Formed::new(terminal(&options), Form::Junit)),
        Format::Github => Arc::new(Formed::new(terminal(&options), Form::Github)),
    };
    let plain = matches!(options.format, Format::Terminal | Format::Markdown | Format::Junit);
    match options.workflow {
        Some(files) => Arc::new(Actions::new(render, Stream::new(Box::new(io::stderr())), files, plain)),
        None => render,
    }
}

fn terminal(options: &Options) -> Arc<dyn Render> {
    let out = Stream::new(Box::new(io::stdout()));
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let look = |color, width| Look { color, width, verbose: options.verbose };
    Arc::new(Terminal::new(terminal::Streams {
        out,
        err: Stream::new(Box::new(io::stderr())),
        stdout: look(is_colored(options.color, &stdout), width(&stdout, false)),
        stderr: look(is_colored(options.color, &stderr), width(&stderr, true)),
        escape_output: stdout.is_terminal(),
        animated: stderr.is_terminal() && !options.dumb,
        interactive: io::stdin().is_terminal() && stderr.is_terminal(),
    }))
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
