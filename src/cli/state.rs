//! `deployer state`: changes the records of environments by hand. Contacts no host.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, consent};
use crate::manifest::environment::Environment;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::execute::Sessions;

/// Manage the records in the state store
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer state forget staging")]
pub struct Args {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with records.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Remove the records of environments without contacting their hosts
    Forget(Forget),
}

/// What is forgotten.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer state forget lab --keep-infrastructure")]
pub struct Forget {
    /// Environments
    #[arg(value_name = "ENV", required = true)]
    pub environments: Vec<String>,
    /// Also forget a machine that deployer made: it keeps running and is no longer managed
    #[arg(long)]
    pub keep_infrastructure: bool,
    /// Consent to forgetting this environment; repeatable
    #[arg(long, value_name = "ENV")]
    pub allow_destroy: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let Command::Forget(args) = args.command;
    forget(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn forget(context: &Context, args: &Forget) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    for name in &args.environments {
        if let Err(failure) = one(context, &pass, args, name).await {
            pass.fail(failure.on(name));
        }
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

async fn one(context: &Context, pass: &Pass, args: &Forget, name: &str) -> Result<(), Failure> {
    if !args.allow_destroy.iter().any(|allowed| allowed == name) && !consent::typed(context, name, "forget") {
        let message = format!("{name} was not forgotten: consent is missing");
        return Err(Failure::new(Reason::ConsentMissing, message).hint(format!("Pass --allow-destroy {name}")));
    }
    let lifted = |environment: &Environment| environment.name.as_str() == name && environment.protect == Some(false);
    let protected = pass.records.get(name).is_some_and(|record| record.protected);
    if protected && !pass.manifest.environments.values().any(lifted) {
        return Err(Failure::new(Reason::Protected, "It is protected and was not forgotten"));
    }
    let Some(store) = &pass.store else {
        context.say(Event::Note(format!("{name} has no record")));
        return Ok(());
    };
    let project = pass.manifest.project.as_str();
    let machine = store.has_infrastructure(project, name).await?;
    if machine && !args.keep_infrastructure {
        let message = "deployer made its machine and would no longer manage it";
        let hint = format!(
            "To destroy the machine: deployer destroy {name}. To keep it: deployer state forget {name} \
             --keep-infrastructure"
        );
        return Err(Failure::new(Reason::InfrastructureExists, message).hint(hint));
    }
    if machine {
        store.forget_infrastructure(project, name).await?;
    }
    let known = store.forget(project, name).await? || machine;
    context.say(Event::Note(if known {
        format!("Removed the record of {name}")
    } else {
        format!("{name} has no record")
    }));
    Ok(())
}
