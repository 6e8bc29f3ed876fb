//! `deployer inventory`: prints the hosts as an Ansible inventory. Prints no secret, and contacts no host.

use super::{Context, Ending};
use crate::reconcile::inventory;

/// Print the environments' hosts as an Ansible inventory
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer inventory --format ini")]
pub struct Args {
    /// Environments; all if none is named
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// The output format; json is the format of an inventory script
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    pub format: Form,
}

/// A form of Ansible's inventories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// YAML.
    Yaml,
    /// INI.
    Ini,
    /// JSON, as inventory scripts print it.
    Json,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    let form = match args.format {
        Form::Yaml => inventory::Form::Yaml,
        Form::Ini => inventory::Form::Ini,
        Form::Json => inventory::Form::Json,
    };
    inventory::run(context, &args.environments, form).await
}
