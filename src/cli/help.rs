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

/// Returns the whole command line in clap's form.
#[must_use]
pub fn command() -> clap::Command {
    let command = Cli::command();
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
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    command
        .help_template(template)
        .after_help("Run deployer COMMAND --help for the options and an example of a command")
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
    fn clap_finds_no_mistake() {
        command().debug_assert();
    }
}
