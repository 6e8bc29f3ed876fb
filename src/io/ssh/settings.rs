//! Reads the settings that the local ssh would use for a host. Does not connect.

use crate::io::process::{self, Environment};
use crate::model::failure::Failure;
use std::path::Path;
use std::time::Duration;

/// Time limit of a local OpenSSH program.
pub(super) const HELPER: Duration = Duration::from_secs(10);

/// Settings that ssh would use for a host, from `ssh -G`.
pub(crate) struct Settings {
    pub(super) known_files: Vec<String>,
    pub(super) agent: Option<String>,
}

impl Settings {
    pub(super) async fn read(options: &[String], address: &str) -> Result<Self, Failure> {
        let argv = [words(&["ssh", "-G"]), options.to_vec(), vec!["--".to_owned(), bare(address).to_owned()]].concat();
        let finished = process::run_in(Environment::User, &argv, b"", HELPER).await?;
        Ok(Self::parse(&String::from_utf8_lossy(&finished.stdout)))
    }

    /// Parses the output of `ssh -G`.
    pub(crate) fn parse(text: &str) -> Self {
        let get =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::to_owned);
        let files = |key: &str| {
            let list = get(key).unwrap_or_default();
            list.split_whitespace().map(home).filter(|file| Path::new(file).exists()).collect::<Vec<_>>()
        };
        let agent = get("identityagent").filter(|agent| agent != "SSH_AUTH_SOCK").map(|agent| home(&agent));
        Self { known_files: files("userknownhostsfile"), agent }
    }
}

/// Returns an IPv6 address without its brackets.
pub(super) fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address)
}

fn home(path: &str) -> String {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
        _ => path.to_owned(),
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
