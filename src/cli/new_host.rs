//! The arguments of `create` and `register`: what an entry for an existing host needs. Never a secret.

use camino::Utf8PathBuf;

/// A new environment on an existing host.
#[derive(Debug, clap::Args)]
pub struct NewHost {
    /// The environment's name
    pub name: String,
    /// DNS name, IPv4 or IPv6 address of the host
    #[arg(long, value_name = "ADDRESS")]
    pub host: String,
    /// The port sshd listens on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// The user to log in as: root, or one with sudo
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub identity_file: Option<Utf8PathBuf>,
    /// A key of the host, "TYPE BASE64"; may be given again
    #[arg(long, value_name = "KEY")]
    pub host_key: Vec<String>,
    /// The directory with the application's Compose files
    #[arg(long, value_name = "DIR")]
    pub application: Option<Utf8PathBuf>,
}
