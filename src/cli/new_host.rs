//! The arguments of `create` and `register`: the entry's settings besides its host. None is a secret.

use crate::reconcile::entry;
use camino::Utf8PathBuf;

/// A new environment, wherever it is.
#[derive(Debug, clap::Args)]
pub struct NewHost {
    /// The environment's name
    pub name: String,
    /// The port on which sshd listens
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// The user to log in as: root, or one with sudo
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub identity_file: Option<Utf8PathBuf>,
    /// A public key of the host, "TYPE BASE64"; repeatable
    #[arg(long, value_name = "KEY")]
    pub host_key: Vec<String>,
    /// The directory with the application's Compose files
    #[arg(long, value_name = "DIR")]
    pub application: Option<Utf8PathBuf>,
}

impl From<NewHost> for entry::NewHost {
    fn from(new: NewHost) -> Self {
        let NewHost { name, ssh_port, ssh_user, identity_file, host_key, application } = new;
        Self { name, ssh_port, ssh_user, identity_file, host_key, application }
    }
}
