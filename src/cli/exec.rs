//! `deployer exec`: runs a command in a running container of a service. Records none of its output.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, hand_over};
use crate::io::ssh::Line;
use crate::model::bounded;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::{Prepared, Resolve};
use crate::render;
use std::time::Duration;

/// Run a command in a service's container
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer exec production db -- pg_dump shop")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub command: Vec<String>,
}

/// The time limit of a command that runs without a terminal.
const DAY: Duration = Duration::from_hours(24);

/// Runs the command, and returns the exit code of that command.
pub async fn run(context: &Context, args: Args) -> Ending {
    exec(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn exec(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let mut ended = None;
    for prepared in pass.prepare(environments, Resolve::Connection).await {
        match within(context, &pass, &prepared, args).await {
            Ok(code) => ended = Some(hand_over::ending(code)),
            Err(failure) => pass.fail(failure.on(prepared.name())),
        }
    }
    let failed = pass.close(Sessions::new(), crate::model::event::Outcome::Ok).await;
    Ok(ended.unwrap_or(failed))
}

async fn within(context: &Context, pass: &Pass, prepared: &Prepared, args: &Args) -> Result<i32, Failure> {
    let Some(application) = &prepared.environment.application else {
        return Err(Failure::new(Reason::CommandFailed, "The environment has no application"));
    };
    let terminal = render::at_terminal() && !context.json;
    let words: Vec<String> = std::iter::once(&args.service).chain(&args.command).map(|word| quote(word)).collect();
    let tty = if terminal { "" } else { " -T" };
    let script = format!(
        "cd / && exec docker compose --env-file /dev/null -p {} exec{tty} -- {}",
        quote(&application.project),
        words.join(" ")
    );
    let host = hand_over::reach(context, pass, prepared).await?;
    // A sudo that asks for a password can be answered only by a person, or over deployer's own session.
    let asks = prepared.environment.ssh.sudo_password.is_some() && !terminal;
    let code = if context.json {
        let mut line = |line: &Line| {
            if line.left_out > 0 {
                // The output of a command is data: a part of a line is useless.
                let hint = "Run the command again without --json and redirect its output to a file";
                return Err(bounded::too_large("A line of the command's output", bounded::LINE).hint(hint));
            }
            context.say(Event::Said { text: prepared.redactor.redact(&line.text) + "\n", error: false });
            Ok(())
        };
        host.follow(&format!("{{ {script}; }} 2>&1 </dev/null\n"), DAY, &mut line).await
    } else if asks {
        hand_over::pour(context, prepared, &host, &format!("{{ {script}; }} </dev/null\n")).await
    } else {
        hand_over::run(context, prepared, &host, Some(&host.as_root(&script))).await
    };
    host.close().await;
    code
}
