//! Contacts a host, writes its entry with the key that the host showed, then marks the host as
//! deployer's. The key is always checked, and nothing is written if the contact fails.

use super::{Edited, NewHost, text};
use crate::manifest::edit::{self, Place};
use crate::manifest::environment::Environment;
use crate::model::ending::Ending;
use crate::model::event::Event;
use crate::model::failure::{Failure, Reason};
use crate::model::state::Stage;
use crate::reconcile::connect;
use crate::reconcile::context::Context;
use crate::reconcile::converge;
use crate::reconcile::pass::{Keep, Pass, refuse, vouch};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::request::{Asked, Goal};

/// Host to register as a new environment.
#[derive(Clone, Debug)]
pub struct Register {
    /// The new environment.
    pub new: NewHost,
    /// DNS name, IPv4 or IPv6 address of the host.
    pub host: String,
}

/// Registers the host, and applies the entry up to the stage `provisioned`. Failures are already printed.
pub async fn run(context: &Context, args: Register) -> Ending {
    match register(context, &args).await {
        Ok(()) => {
            let goal = Goal::Reach(Stage::Provisioned);
            let asked = Asked { yes: true, ..Asked::new(context.command, vec![args.new.name], goal) };
            converge::run(context, &asked).await
        }
        Err(failures) => refuse(context, &failures),
    }
}

async fn register(context: &Context, args: &Register) -> Result<(), Vec<Failure>> {
    let one = |failure: Failure| vec![failure];
    let new = &args.new;
    let place = || Place::Registered(args.host.clone());
    let pass = match text(context).map_err(one)? {
        Some(_) => Some(Pass::open(context, Keep::Never).await?),
        None => None,
    };
    let all = pass.iter().flat_map(|pass| pass.manifest.environments.values());
    let known = all.into_iter().find(|environment| environment.name.as_str() == new.name);
    let environment = match known {
        Some(known) if known.address == args.host => known.clone(),
        Some(known) => {
            let message = format!("{} is already in {} with the address {}", known.name, context.file, known.address);
            return Err(one(
                Failure::new(Reason::Usage, message).hint("Choose another name, or change the entry by hand")
            ));
        }
        None => new.add(context, place(), &new.host_key)?.environment,
    };
    let keys = contact(context, environment).await.map_err(|failure| one(failure.on(&new.name)))?;
    let edited = match known {
        Some(known) if !known.ssh.host_key.is_empty() => return Ok(()),
        Some(known) => {
            let old = text(context).map_err(one)?;
            let new = edit::set_host_keys(old.as_deref().unwrap_or_default(), &known.name, &keys).map_err(one)?;
            Edited { old, new, environment: known.clone() }
        }
        None => new.add(context, place(), &keys)?,
    };
    edited.write(context).map_err(one)?;
    context.say(Event::Note(format!("Added {} to {} with its host key", new.name, context.file)));
    Ok(())
}

/// Connects to the host and returns its verified host keys.
async fn contact(context: &Context, environment: Environment) -> Result<Vec<String>, Failure> {
    let prepared = Prepared::without_release(environment);
    context.front.hide(prepared.name(), &prepared.redactor);
    let (wait, ask) = (prepared.environment.ssh.wait, |failure: &Failure| vouch(context, failure));
    let connection = connect::open(&prepared, context.accept_new_host_keys, wait, &context.sink, &ask).await?;
    let keys = connection.host_keys().to_vec();
    let output = connection.run("id -u", crate::model::input::Input::Empty, crate::resource::SHORT).await;
    connection.close().await;
    output.map(|_| keys)
}
