//! The grouped list of commands in the help. The texts come from the doc comments of the commands.

use super::Cli;
use clap::CommandFactory;
use std::fmt::Write;

/// The groups, in the order in which a new user needs them.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Commands",
        &[
            "init", "check", "plan", "apply", "watch", "status", "list", "rollback", "destroy", "suspend", "resume",
            "unlock",
        ],
    ),
    ("Inspection commands", &["test", "show", "graph", "logs", "history", "render"]),
    ("Host commands", &["backup", "restore", "exec", "restart", "ssh"]),
    ("Lifecycle commands", &["create", "register", "import", "provision", "configure", "release", "run"]),
    ("Other commands", &["state", "inventory", "schema", "completions", "man"]),
];

/// The heading of the options that every command has.
pub(super) const GLOBAL: &str = "Global options";

/// Returns the whole command line in clap's form, with a heading above the example of each command.
#[must_use]
pub fn command() -> clap::Command {
    with_headings(with_groups(plain()))
}

/// Returns the command line in clap's form. The help after each command is its example.
pub(super) fn plain() -> clap::Command {
    Cli::command()
}

/// Lists the commands in groups.
fn with_groups(command: clap::Command) -> clap::Command {
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let about = |name: &str| {
        command.find_subcommand(name).and_then(clap::Command::get_about).map(ToString::to_string).unwrap_or_default()
    };
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{header}{title}:{header:#}");
        for name in names {
            let _ = writeln!(groups, "  {literal}{name:12}{literal:#}{}", about(name));
        }
        groups.push('\n');
    }
    let usage = "{about-with-newline}\n{usage-heading} {usage}\n\n";
    let template = format!("{usage}{groups}{header}{GLOBAL}:{header:#}\n{{options}}{{after-help}}");
    command
        .help_template(template)
        .after_help("Run deployer COMMAND --help for the options and an example of a command")
}

fn with_headings(command: clap::Command) -> clap::Command {
    let header = *command.get_styles().get_header();
    command.mut_subcommands(|one| {
        let example = one.get_after_help().map(|example| format!("{header}Example:{header:#}\n  {example}"));
        let one = with_headings(one);
        match example {
            Some(example) => one.after_help(example),
            None => one,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        listed.sort_unstable();
        let command = Cli::command();
        let listable = command.get_subcommands().filter(|one| !one.is_hide_set());
        let mut known: Vec<&str> = listable.map(clap::Command::get_name).collect();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn each_command_has_an_example_that_it_accepts() {
        fn examples(command: &clap::Command, found: &mut Vec<(String, String)>) {
            for one in command.get_subcommands() {
                let example = one.get_after_help().map(ToString::to_string).unwrap_or_default();
                found.push((one.get_name().to_owned(), example));
                examples(one, found);
            }
        }
        let mut found = Vec::new();
        examples(&plain(), &mut found);
        assert!(found.len() > 30, "the commands were found");
        for (name, example) in found {
            let words = example.trim_start_matches("source <(").trim_end_matches(')').split(" > ").next();
            let words: Vec<&str> = words.unwrap_or_default().split(' ').collect();
            assert!(words.contains(&name.as_str()), "{name}: {example}");
            assert!(plain().try_get_matches_from(&words).is_ok(), "{name}: {example}");
        }
    }

    #[test]
    fn clap_finds_no_mistake() {
        command().debug_assert();
    }
}
