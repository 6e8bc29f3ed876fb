//! Command lines that run no command: help, the version, mistakes. Uses deployer's exit codes instead of clap's.

use super::{Ending, end as conclude};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::render::{self, Format};
use clap::ColorChoice;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::process::ExitCode;

/// Prints clap's result, in the format that the arguments ask for as far as they can be parsed.
pub(super) fn end(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let flags = || arguments.iter().skip(1).filter_map(|argument| argument.to_str()).take_while(|text| *text != "--");
    let color = flags()
        .zip(flags().skip(1).chain([""]))
        .find_map(|(flag, next)| flag.strip_prefix("--color=").or((flag == "--color").then_some(next)));
    let color = match color {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    let format = if flags().any(|flag| flag == "--json") { Format::Json } else { Format::Terminal };
    let (now, ci) = (super::invocation::now(), super::invocation::in_ci());
    let render = render::open(render::Options {
        format,
        file: String::new(),
        color,
        verbose: false,
        now,
        dumb: true,
        ci,
        workflow: None,
    });
    let ending = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            render.event(&Event::Output(text(error, format, color)));
            Ending::ok(Outcome::Ok)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            render.event(&Event::Output(text(error, format, color)));
            Ending::of(&[Failure::new(Reason::Usage, "No command was given")], false)
        }
        _ => {
            let failure = failure(&error.render().to_string());
            render.event(&Event::Failure(failure.clone()));
            Ending::of(&[failure], false)
        }
    };
    conclude(render.as_ref(), "deployer", ending)
}

fn text(error: &clap::Error, format: Format, color: ColorChoice) -> String {
    let text = error.render();
    let colored = format == Format::Terminal && render::is_stdout_colored(color);
    if colored { text.ansi().to_string() } else { text.to_string() }
}

/// Converts clap's text to a failure: its first paragraph is the message, its tips are the hint, the usage is below.
fn failure(text: &str) -> Failure {
    let mut paragraphs = text.trim().split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let mut failure = Failure::new(Reason::Usage, sentence(message));
    let mut details = String::new();
    for paragraph in paragraphs {
        let tips: Vec<&str> = paragraph.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
        if !tips.is_empty() {
            failure = failure.hint(sentence(&tips.join("\n")));
        } else if paragraph.starts_with("Usage:") {
            paragraph.clone_into(&mut details);
        }
    }
    failure.details(details)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_becomes_the_hint() {
        let failure = failure(
            "error: unrecognized subcommand 'aply'\n\n  tip: a similar subcommand exists: 'apply'\n\n\
             Usage: deployer <COMMAND>\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(failure.message(), "Unrecognized subcommand 'aply'");
        assert_eq!(failure.advice(), "A similar subcommand exists: 'apply'");
        assert_eq!(failure.details.as_deref(), Some("Usage: deployer <COMMAND>"));
    }
}
