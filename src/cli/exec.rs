//! `deployer exec`: runs a command in a running container of a service. Records none of its output.

use super::{Ending, Invocation, hand_over};
use crate::model::event::Outcome;
use crate::model::failure::Failure;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::{Prepared, Resolve};
use crate::reconcile::remote::{self, Remote};
use crate::reconcile::session::Sessions;
use crate::render;

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

/// Runs the command, and returns the exit code of that command.
pub async fn run(invocation: &Invocation, args: Args) -> Ending {
    exec(invocation, &args).await.unwrap_or_else(|failures| refuse(&invocation.context, &failures))
}

async fn exec(invocation: &Invocation, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(&invocation.context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    let mut ended = None;
    for prepared in pass.prepare(environments, Resolve::Connection).await {
        match within(invocation, &prepared, args).await {
            Ok(code) => ended = Some(hand_over::ending(code)),
            Err(failure) => pass.fail(failure.on(prepared.name())),
        }
    }
    let failed = pass.close(Sessions::new(), Outcome::Ok).await;
    Ok(ended.unwrap_or(failed))
}

async fn within(invocation: &Invocation, prepared: &Prepared, args: &Args) -> Result<i32, Failure> {
    let terminal = render::at_terminal() && !invocation.json;
    let script = remote::in_container(prepared, &args.service, &args.command, terminal)?;
    let remote = Remote::reach(&invocation.context, prepared).await?;
    // A sudo that asks for a password can be answered only by a person, or over deployer's own session.
    let asks = prepared.environment.ssh.sudo_password.is_some() && !terminal;
    if let Err(failure) = remote.has(&args.service).await {
        remote.close().await;
        return Err(failure);
    }
    let code = if invocation.json {
        remote.lines(&format!("{{ {script}; }} 2>&1 </dev/null\n")).await
    } else if asks {
        hand_over::pour(invocation, &remote, &format!("{{ {script}; }} </dev/null\n")).await
    } else {
        hand_over::run(invocation, &remote, Some(&remote.as_root(&script))).await
    };
    remote.close().await;
    code
}
