//! `deployer completions`: a script for a shell. Never installs it.

use super::{Context, Ending};
use crate::event::{Event, Outcome};
use std::collections::BTreeSet;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// What an argument is called that takes an environment's name.
const ENVIRONMENT: &str = "ENV";

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Ending {
    let mut command = super::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "deployer", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == clap_complete::Shell::Bash {
        script += &with_environments(&command);
    }
    context.say(Event::Output(script));
    Ending::ok(Outcome::Ok)
}

/// Bash that adds the names of the manifest's environments where a command or an option takes one.
fn with_environments(command: &clap::Command) -> String {
    let takes = |argument: &clap::Arg| {
        argument.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains(ENVIRONMENT)))
    };
    let (mut of_one, mut of_many) = (BTreeSet::new(), BTreeSet::new());
    let (mut named, mut valued) = (BTreeSet::new(), BTreeSet::new());
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        if let Some(argument) = one.get_positionals().find(|argument| takes(argument)) {
            let many = argument.get_num_args().is_some_and(|number| number.max_values() > 1)
                || matches!(argument.get_action(), clap::ArgAction::Append);
            if many { &mut of_many } else { &mut of_one }.insert(one.get_name().to_owned());
        }
        for option in one.get_arguments().chain(command.get_arguments()).filter(|one| !one.is_positional()) {
            let long = option.get_long().map(|long| format!("--{long}"));
            let short = option.get_short().filter(|_| one.get_name() != "logs").map(|short| format!("-{short}"));
            let into = if takes(option) { &mut named } else { &mut valued };
            if option.get_action().takes_values() {
                into.extend(long.into_iter().chain(short));
            }
        }
    }
    let alternatives = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join("|");
    let commands = |names: BTreeSet<String>| alternatives(names.into_iter().map(|name| name + ":*").collect());
    BASH.replace("@MANY@", &commands(of_many))
        .replace("@ONE@", &commands(of_one))
        .replace("@NAMED@", &alternatives(named))
        .replace("@VALUED@", &alternatives(valued))
}

const BASH: &str = r#"
_deployer_environments() {
    local word command= file= before= given=0
    _deployer "$@"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$before" in
            -f|--file) file=${word/#\~\//$HOME/} ;;
            @VALUED@|@NAMED@) ;;
            *) case "$word" in
                --) return 0 ;;
                -*) ;;
                *) if [[ -z $command ]]; then command=$word; else given=$((given + 1)); fi ;;
            esac ;;
        esac
        before=$word
    done
    case "$before" in
        @NAMED@) ;;
        @VALUED@) return 0 ;;
        *) case "$command:${COMP_WORDS[COMP_CWORD]}" in
            *:-*) return 0 ;;
            @MANY@) ;;
            @ONE@) [[ $given -eq 0 ]] || return 0 ;;
            *) return 0 ;;
        esac ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$(deployer environments ${file:+-f "$file"} 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -F _deployer_environments -o bashdefault deployer
"#;
