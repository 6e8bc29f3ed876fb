//! Forgets the records of environments whose hosts are gone, or go on without deployer. Contacts no host.

use crate::manifest::environment::Environment;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::Sessions;

/// Environments to forget, and the consent.
#[derive(Clone, Debug)]
pub struct Forget {
    /// The environments.
    pub environments: Vec<String>,
    /// True if a machine that deployer made is forgotten too; the machine goes on.
    pub keep_infrastructure: bool,
    /// The environments that may be forgotten without a question.
    pub allow_destroy: Vec<String>,
}

/// Forgets the environments. Failures are already printed.
pub async fn run(context: &Context, args: &Forget) -> Ending {
    forget(context, args).await.unwrap_or_else(|failures| refuse(context, &failures))
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
    if !args.allow_destroy.iter().any(|allowed| allowed == name)
        && !context.typed(format!("Type {name} to forget it:"), name).await
    {
        let message = format!("{name} was not forgotten: consent is missing");
        return Err(Failure::new(Reason::ConsentMissing, message).hint(format!("Pass --allow-destroy {name}")));
    }
    let lifted = |environment: &Environment| environment.name.as_str() == name && environment.protect == Some(false);
    let protected = pass.records.get(name).is_some_and(|record| record.protected);
    if protected && !pass.manifest.environments.values().any(lifted) {
        return Err(Failure::new(Reason::Protected, format!("{name} is protected and was not forgotten")));
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
