//! `deployer graph`: prints the plan as a graph of the order of its steps. Contacts no host.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending, look};
use crate::model::event::{Event, Outcome};
use crate::model::failure::Failure;
use crate::reconcile::execute::Sessions;
use crate::render::graph;

/// The form of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For Graphviz.
    Dot,
    /// For Markdown that shows Mermaid.
    Mermaid,
    /// A picture.
    Svg,
}

/// Print the graph of the steps, compared with the last recorded state
///
/// An environment without a record shows its whole lifecycle.
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer graph --format svg")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub format: Format,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    draw(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn draw(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let view = look::recorded_view(context, &mut pass, &args.environments).await?;
    let text = match args.format {
        Format::Dot => graph::dot(&view),
        Format::Mermaid => graph::mermaid(&view),
        Format::Svg => graph::svg(&view),
    };
    context.say(Event::Output(text));
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}
