//! The only place that prints: renders events as text for a terminal or as JSON lines. Makes no decisions.
//!
//! Every text passes through `hiding`, which removes secrets, and `stream`, which makes it safe for its readers.

mod actions;
mod formed;
mod github;
pub mod graph;
mod hiding;
mod json;
pub mod junit;
mod log;
pub mod markdown;
mod stream;
mod terminal;
mod text;

pub use actions::Files;
pub use github::Command;

use crate::model::front::Front;
use actions::Actions;
use clap::ColorChoice;
use formed::{Form, Formed};
use hiding::Hiding;
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;
use stream::{Readers, Stream};
use terminal::{Look, Terminal};

/// A renderer of events in one form. Called from many tasks at once.
pub trait Render: Front {
    /// Returns true if output could not be written. A closed pipe does not count.
    fn lost(&self) -> bool;

    /// Writes commands for a workflow whose log is standard output.
    fn commands(&self, _commands: &[Command]) {}

    /// Stops the runner from handling commands until [`Render::resume_commands`] gets the returned token. Returns
    /// `None` if no runner handles commands.
    fn stop_commands(&self) -> Option<String> {
        None
    }

    /// Ends the effect of [`Render::stop_commands`].
    fn resume_commands(&self, _token: &str) {}
}

/// Returns true if a user types and reads: standard input and output are both terminals.
#[must_use]
pub fn at_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    Terminal,
    /// One line per event, with its time, for a service's log.
    Log,
    /// One JSON object per line, only on standard output.
    Json,
    /// Text, and the plan as Markdown for a comment.
    Markdown,
    /// Text, and the checks as a report for pipelines.
    Junit,
    /// Text, and the plan and the failures as annotations of a GitHub workflow.
    Github,
}

/// The settings of the output.
#[derive(Clone, Debug)]
pub struct Options {
    /// The form.
    pub format: Format,
    /// The manifest as the user named it.
    pub file: String,
    /// The user's choice; `Auto` uses `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the stream.
    pub color: ColorChoice,
    /// True if more than usual is printed.
    pub verbose: bool,
    /// The clock, for logs.
    pub now: fn() -> jiff::Timestamp,
    /// True if a CI service keeps the output.
    pub ci: bool,
    /// True if the terminal cannot move its cursor (`TERM=dumb`).
    pub dumb: bool,
    /// The files for a step's summary and outputs in a GitHub workflow; `None` elsewhere.
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

/// Prints panics through the same stream as all other output, because their messages may quote the output of a host.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let err = Stream::new(Box::new(io::stderr()), Readers::default());
        let trace = std::backtrace::Backtrace::capture();
        let trace = if trace.status() == std::backtrace::BacktraceStatus::Captured {
            format!("{trace}\n")
        } else {
            String::new()
        };
        err.say(&format!("deployer failed because of an internal error: {panic}\n{trace}"));
    }));
}

/// Writes data of the user to standard output, byte for byte.
///
/// # Errors
/// The errors of the stream: for example, nobody reads it any more, or a disk is full.
pub fn data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Returns standard output, to find out how much of it was read. Only [`data`] and [`Render`] write to it.
#[must_use]
pub fn output() -> impl std::os::fd::AsFd {
    io::stdout()
}

/// Returns true if a program reads standard output while it is written, as in a step of a workflow: it is neither a
/// terminal nor a file.
#[must_use]
pub fn is_log() -> bool {
    let kind = std::fs::metadata("/dev/fd/1").map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

/// Returns true if text on standard output gets colours.
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

/// Returns the columns of a terminal, or `None` if the length of a line is not limited.
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
