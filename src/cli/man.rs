//! `deployer man`: makes manual pages from the help. Does not install them.

use super::{Context, Ending, help};
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::write_below;
use camino::{Utf8Path, Utf8PathBuf};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// The exit codes and their meanings.
const EXIT_STATUS: [(&str, &str); 10] = [
    ("0", "The command succeeded, or there was nothing to do."),
    ("1", "Something failed."),
    ("2", "There are changes (only with plan --detailed-exitcode)."),
    ("3", "Environments failed for different reasons."),
    ("4", "The environment is locked by another run, or was taken over by one."),
    ("5", "A saved plan is stale. Nothing was changed."),
    ("6", "Refused: protection, a directory or Compose project of another owner, or missing consent."),
    ("7", "A host is unreachable."),
    ("64", "The command line or the manifest is not valid."),
    ("130, 143", "A signal interrupted the command. Running steps were finished."),
];

/// The files of deployer.
const FILES: [(&str, &str); 6] = [
    ("deployment.yaml", "The manifest. deployer schema prints its JSON schema."),
    (".deployer/state.db", "The state store, next to the manifest: a cache of the hosts' records, and the history."),
    (".deployer/state.key", "The key that encrypts the state of machines, unless state_passphrase is set."),
    (
        ".deployerignore",
        "Patterns of files in an application's directory that are not sent, in the syntax of .gitignore.",
    ),
    ("~/.ssh/config, ~/.ssh/known_hosts", "The settings and the known host keys of ssh."),
    (
        "/var/lib/deployer",
        "On a host: the records, the releases and the backups of its environments. Only root reads them.",
    ),
];

/// Environment variables that are not those of options.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("CI", "If set, the state of machines is kept in a local file only with --allow-local-state."),
    ("NO_COLOR", "If set, the output has no color."),
    ("CLICOLOR_FORCE", "If set, the output has color also without a terminal."),
    ("SSH_AUTH_SOCK", "The socket of ssh-agent, which holds private keys."),
    ("TF_CLI_CONFIG_FILE", "The configuration file of OpenTofu, such as one that names a mirror of providers."),
];

/// Print the manual page, or write the pages of all commands into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer man --output ~/.local/share/man/man1")]
pub struct Args {
    /// Write a page for each command into this directory
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Ending, Failure> {
    let failure = |what: &str, error: io::Error| {
        Failure::new(Reason::CommandFailed, format!("The manual pages cannot be written{what}"))
            .because(error)
            .hint("Name a directory that you can write to")
            .or_disk(args.output.as_deref().unwrap_or("standard output".into()))
    };
    match &args.output {
        None => {
            let page = page(help::plain()).map_err(|error| failure("", error))?;
            context.say(Event::Output(String::from_utf8_lossy(&page).into_owned()));
        }
        Some(directory) => {
            context.admit_output(directory)?;
            write(directory).map_err(|error| failure(&format!(" to {directory}"), error))?;
            context.say(Event::Note(format!("Wrote the manual pages to {directory}")));
        }
    }
    Ok(Ending::ok(Outcome::Ok))
}

/// Writes the pages. A link with a page's name is replaced, not written through.
fn write(directory: &Utf8Path) -> io::Result<()> {
    let mut command = help::plain().disable_help_subcommand(true);
    command.build();
    pages(&command, &mut |name, page| write_below(directory, name, &page))
}

/// Passes the page of a command, and those of its commands, to `keep`.
fn pages(command: &clap::Command, keep: &mut impl FnMut(&Utf8Path, Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        pages(one, keep)?;
    }
    let name = Man::new(command.clone()).get_filename();
    keep(Utf8Path::new(&name), page(command.clone())?)
}

/// Returns the page of one command: the sections of its help, and the sections below.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let example = command.get_after_help().map(ToString::to_string);
    let variables = command.get_arguments().filter_map(|one| {
        let help = one.get_help().map(ToString::to_string).unwrap_or_default();
        Some((one.get_env()?.to_string_lossy().into_owned(), help))
    });
    let others = ENVIRONMENT.map(|(name, use_)| (name.to_owned(), use_.to_owned()));
    let mut environment: Vec<(String, String)> = variables.chain(others).collect();
    environment.sort();
    let mut more = Roff::new();
    section(&mut more, "EXIT STATUS", &EXIT_STATUS);
    section(&mut more, "FILES", &FILES);
    section(&mut more, "ENVIRONMENT", &environment);
    if let Some(example) = example {
        more.control("SH", ["EXAMPLES"]).control("nf", []).text([roman(example)]).control("fi", []);
    }
    let mut page = Vec::new();
    let has_commands = command.has_subcommands();
    let man = Man::new(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

fn section<T: AsRef<str>>(page: &mut Roff, title: &str, rows: &[(T, T)]) {
    page.control("SH", [title]);
    for (name, text) in rows {
        page.control("TP", []).text([bold(name.as_ref())]).text([roman(text.as_ref())]);
    }
}
