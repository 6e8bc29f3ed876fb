//! `deployer ssh`: opens a shell on the host with the manifest's connection settings. Does not become root.

use super::{Ending, Invocation, hand_over};
use crate::model::event::Outcome;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::Resolve;
use crate::reconcile::remote::Remote;
use crate::reconcile::session::Sessions;

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
pub async fn run(invocation: &Invocation, args: Args) -> Ending {
    let ended = Box::pin(ssh(invocation, &args)).await;
    ended.unwrap_or_else(|failures| refuse(&invocation.context, &failures))
}

async fn ssh(invocation: &Invocation, args: &Args) -> Result<Ending, Vec<Failure>> {
    let context = &invocation.context;
    if invocation.json {
        let failure = Failure::new(Reason::Usage, "deployer ssh runs ssh, which cannot print JSON");
        return Err(vec![failure.hint("Leave out --json, or use deployer exec")]);
    }
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let mut ended = None;
    let words: Vec<String> = args.command.iter().map(|word| quote(word)).collect();
    let command = (!words.is_empty()).then(|| words.join(" "));
    for prepared in pass.prepare(environments, Resolve::Connection).await {
        let code = match Remote::reach(context, &prepared).await {
            Ok(remote) => {
                let code = hand_over::run(invocation, &remote, command.as_deref()).await;
                remote.close().await;
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
