//! `deployer ssh`: opens a shell on the host with the manifest's connection settings. Does not become root.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, hand_over};
use crate::model::event::Outcome;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::Resolve;

/// Open a shell on an environment's host, or run a command there
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer ssh production -- df -h")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// A command and its arguments, instead of a shell
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
}

/// Runs the command, and returns the exit code of ssh.
pub async fn run(context: &Context, args: Args) -> Ending {
    Box::pin(ssh(context, &args)).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn ssh(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    if context.json {
        let failure = Failure::new(Reason::Usage, "deployer ssh runs ssh, which cannot print JSON");
        return Err(vec![failure.hint("Leave out --json, or use deployer exec")]);
    }
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let mut ended = None;
    let words: Vec<String> = args.command.iter().map(|word| quote(word)).collect();
    let command = (!words.is_empty()).then(|| words.join(" "));
    for prepared in pass.prepare(environments, Resolve::Connection).await {
        let code = match hand_over::reach(context, &pass, &prepared).await {
            Ok(host) => {
                let code = hand_over::run(context, &prepared, &host, command.as_deref()).await;
                host.close().await;
                code
            }
            Err(failure) => Err(failure),
        };
        match code {
            Ok(code) => ended = Some(hand_over::ending(code)),
            Err(failure) => pass.fail(failure.on(prepared.name())),
        }
    }
    let failed = pass.close(Sessions::new(), Outcome::Ok).await;
    Ok(ended.unwrap_or(failed))
}
