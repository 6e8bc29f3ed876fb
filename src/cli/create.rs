//! `deployer create`: writes an entry into the manifest. Does not contact the host.

use super::new_host::NewHost;
use super::{Context, Ending};
use crate::model::event::Outcome;
use crate::reconcile::entry::{self, Place};
use crate::reconcile::pass::refuse;
use camino::Utf8PathBuf;
use serde_json::json;

/// Add an environment to the manifest without contacting its host
///
/// The host exists (--host), or deployer makes the machine (--lxd, --hetzner, --module).
#[derive(Debug, clap::Args)]
#[command(after_help = "deployer create production --host server.example.com --application ./app")]
pub struct Args {
    /// The new environment.
    #[command(flatten)]
    pub new: NewHost,
    /// The environment's location.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The location of the Hetzner Cloud server
    #[arg(long, value_name = "LOCATION", default_value = "nbg1", requires = "hetzner")]
    pub location: String,
}

/// Location of a new environment.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct PlaceArgs {
    /// DNS name, IPv4 or IPv6 address of an existing host
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Make an LXD container from this image
    #[arg(long, value_name = "IMAGE", num_args = 0..=1, require_equals = true, default_missing_value = "ubuntu:24.04")]
    pub lxd: Option<String>,
    /// Make a Hetzner Cloud server of this type
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "cx23")]
    pub hetzner: Option<String>,
    /// Make the machine with the OpenTofu module in this directory
    #[arg(long, value_name = "DIR")]
    pub module: Option<Utf8PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, args: Args) -> Ending {
    let place = place(&args);
    match entry::create(context, &args.new.into(), place) {
        Ok(()) => Ending::ok(Outcome::Changed),
        Err(failures) => refuse(context, &failures),
    }
}

/// Returns the section that the arguments ask for. clap ensures that exactly one is given.
fn place(args: &Args) -> Place {
    let PlaceArgs { host, lxd, hetzner, module } = &args.place;
    let directory = |path: &Utf8PathBuf| {
        let text = path.as_str();
        if text.starts_with(['.', '/', '~']) { text.to_owned() } else { format!("./{text}") }
    };
    let token = json!({ "from_env": "HCLOUD_TOKEN" });
    match (host, lxd, hetzner, module) {
        (_, Some(image), ..) => Place::Provisioned(json!({ "lxd": { "image": image } })),
        (_, _, Some(server_type), _) => Place::Provisioned(
            json!({ "hetzner": { "server_type": server_type, "location": args.location, "token": token } }),
        ),
        (.., Some(module)) => Place::Provisioned(json!({ "module": { "source": directory(module) } })),
        (host, ..) => Place::Registered(host.clone().unwrap_or_default()),
    }
}
