//! `deployer plan`: the dry run. Changes nothing on a host.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, against, consent, look, saved};
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::execute::Sessions;
use crate::reconcile::prepare::Resolve;
use crate::reconcile::propose::{self, Outside, Request};
use camino::{Utf8Path, Utf8PathBuf};

/// The form of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people at a terminal.
    Terminal,
    /// For a comment on a pull request: under 60,000 characters.
    Markdown,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Show what apply would do, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer plan --out production.plan")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Compare with the last recorded state; contacts no host and reads no secret
    #[arg(long)]
    pub offline: bool,
    /// Compare with the manifest and the files at this Git ref; contacts no host and reads no secret
    #[arg(long, value_name = "REF", conflicts_with = "offline")]
    pub against: Option<String>,
    /// Save the plan to FILE for deployer apply FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["offline", "against"])]
    pub out: Option<Utf8PathBuf>,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "terminal", conflicts_with = "json")]
    pub format: Format,
    /// Exit with 2 if there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let looked = match &args.against {
        Some(reference) => against::plan(context, &args.environments, reference).await,
        None => plan(context, &args).await,
    };
    match looked.unwrap_or_else(|failures| refuse(context, &failures)) {
        Ending { outcome: Outcome::Planned, exit_code: 0 } if args.detailed_exitcode => {
            Ending { outcome: Outcome::Planned, exit_code: 2 }
        }
        ending => ending,
    }
}

async fn plan(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    // A link with the file's own name is replaced, not written through.
    if let Some(directory) = args.out.as_deref().and_then(Utf8Path::parent) {
        context.admit_output(directory).map_err(|failure| vec![failure])?;
    }
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    if args.offline {
        let view = look::recorded_view(context, &mut pass, &args.environments).await?;
        let outcome = view.outcome();
        context.say(Event::Plan(view));
        return Ok(pass.close(Sessions::new(), outcome).await);
    }
    let environments = pass.select(&args.environments, true)?;
    let prepared = pass.prepare(environments, Resolve::Everything).await;
    let named = !args.environments.is_empty();
    let request = Request { resume: named, outside: Outside::Asked, ..look::request() };
    let (sessions, failed) = pass.observe(context, prepared, &request).await;
    let unreachable: Vec<String> = failed.iter().map(|(prepared, _)| prepared.name().to_owned()).collect();
    if args.out.is_some() {
        pass.derive_keys(&sessions).await;
    }
    let proposal = propose::propose(&sessions, &unreachable, &request).await;
    proposal.refused.iter().for_each(|failure| pass.fail(failure.clone()));
    consent::say_left(context, &proposal);
    consent::warn_uncompared(context, &sessions).await;
    match consent::view(&pass, &sessions, &proposal).await {
        Ok(view) => {
            context.say(Event::Plan(view.clone()));
            // A plan that leaves something out must not be applied.
            if let Some(path) = args.out.as_ref().filter(|_| pass.failures.is_empty()) {
                let saved = saved::write(context, path, named, &sessions, view).await;
                saved.unwrap_or_else(|failure| pass.fail(failure));
            }
        }
        Err(failure) => pass.fail(failure),
    }
    let outcome = if proposal.plan.is_empty() { Outcome::Converged } else { Outcome::Planned };
    Ok(pass.close(sessions, outcome).await)
}
