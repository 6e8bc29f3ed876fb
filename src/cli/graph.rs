//! `deployer graph`: prints the plan as a graph of the order of its steps. Contacts no host.

use super::{Context, Ending};
use crate::model::event::Event;
use crate::reconcile::look;
use crate::reconcile::pass::refuse;
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
    let (view, ending) = match look::recorded(context, &args.environments).await {
        Ok(recorded) => recorded,
        Err(failures) => return refuse(context, &failures),
    };
    context.say(Event::Output(match args.format {
        Format::Dot => graph::dot(&view),
        Format::Mermaid => graph::mermaid(&view),
        Format::Svg => graph::svg(&view),
    }));
    ending
}
