//! Command lines that run no command: help, the version, mistakes. Uses deployer's exit codes instead of clap's.

use super::{Ending, end as conclude};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::render::{self, Format};
use clap::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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
            let mut failure = failure(&error.render().to_string());
            if let Some(hint) = translation(error, flags()).map(str::to_owned).or_else(|| nearest_command(error)) {
                failure = failure.hint(hint);
            }
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

/// Commands and options of Terraform, Kamal and Docker Compose, and what deployer has for them.
const TRANSLATIONS: [(&str, &str); 21] = [
    ("deploy", "Use deployer apply"),
    ("up", "Use deployer apply"),
    ("setup", "Use deployer apply"),
    ("redeploy", "Use deployer apply"),
    ("validate", "Use deployer check"),
    ("config", "Use deployer check, or deployer show ENV for the merged entry"),
    ("diff", "Use deployer plan"),
    ("preview", "Use deployer plan"),
    ("refresh", "Use deployer plan, which reads the hosts each time"),
    ("ps", "Use deployer status"),
    ("down", "Use deployer destroy ENV, or deployer suspend ENV to have apply skip it"),
    ("remove", "Use deployer destroy ENV"),
    ("delete", "Use deployer destroy ENV"),
    ("rm", "Use deployer destroy ENV"),
    ("start", "Use deployer apply"),
    ("version", "Use deployer --version"),
    ("--auto-approve", "Use --yes"),
    ("--dry-run", "Use deployer plan"),
    ("--target", "Name the environments instead, as in: deployer apply ENV"),
    ("--environment", "Name the environments instead, as in: deployer apply ENV"),
    ("-e", "Name the environments instead, as in: deployer apply ENV"),
];

/// Returns the hint for a command or an option of another tool.
fn translation<'a>(error: &clap::Error, mut arguments: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(given)) = error.get(kind) else { return None };
    // Terraform's options begin with one dash: clap reports only their first letter.
    let whole = arguments.find(|argument| argument.starts_with(given.as_str()))?;
    let name = whole.split('=').next().unwrap_or_default();
    let is_same = |known: &str| known == name || known.strip_prefix('-') == Some(name);
    TRANSLATIONS.iter().find(|(known, _)| is_same(known)).map(|(_, hint)| *hint)
}

/// Returns the hint with the command that was most likely meant: clap lists every command that is a little like it.
fn nearest_command(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let Some(ContextValue::Strings(like)) = error.get(ContextKind::SuggestedSubcommand) else { return None };
    let best = like.iter().min_by_key(|name| strsim::osa_distance(given, name))?;
    Some(format!("A similar subcommand exists: '{best}'"))
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
