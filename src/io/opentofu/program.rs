//! Finds the OpenTofu program and reads its version, once. Does not download it.

use crate::io::process::{self, Environment};
use crate::model::failure::{Failure, Reason};
use camino::Utf8PathBuf;
use serde::Deserialize;
use std::time::Duration;

/// Time for the program to print its version.
const LIMIT: Duration = Duration::from_secs(30);
/// The oldest supported version: the JSON and lock files of newer versions are known to be compatible.
const OLDEST: (u64, u64) = (1, 6);

/// A program that creates infrastructure: `tofu`, or `terraform` instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tofu {
    /// The program.
    pub program: Utf8PathBuf,
    /// Version, as the program prints it.
    pub version: String,
    /// True if the program supports `init -json`.
    pub(super) says_init: bool,
}

#[derive(Deserialize)]
struct Said {
    terraform_version: String,
}

impl Tofu {
    /// Finds the named program, or else `tofu`, or else `terraform`.
    ///
    /// # Errors
    /// `ToolMissing` if the program does not exist, is too old or is another program.
    pub async fn find(named: Option<&str>) -> Result<Self, Failure> {
        for program in named.map_or(vec!["tofu", "terraform"], |named| vec![named]) {
            match Self::ask(program).await {
                Err(failure) if failure.reason == Reason::ToolMissing && named.is_none() => {}
                found => return found,
            }
        }
        Err(absent("Neither tofu nor terraform is installed, but the manifest has provisioned environments"))
    }

    async fn ask(program: &str) -> Result<Self, Failure> {
        let argv = [program, "version", "-json"].map(str::to_owned);
        let finished =
            process::run_in(Environment::Provider, &argv, b"", LIMIT).await.map_err(|failure| {
                match failure.reason {
                    Reason::ToolMissing => absent(format!("The program {program} is not installed")),
                    _ => failure,
                }
            })?;
        // Warnings may precede the object.
        let text = String::from_utf8_lossy(&finished.stdout);
        let said = text
            .find('{')
            .and_then(|begin| serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Said>().next()?.ok());
        let Some(said) = said else {
            return Err(absent(format!("The program {program} is neither OpenTofu nor Terraform"))
                .details(String::from_utf8_lossy(&finished.stderr)));
        };
        let Some(version) = parse(&said.terraform_version).filter(|version| *version >= OLDEST) else {
            return Err(absent(format!(
                "The program {program} has version {}, but 1.6 or newer is needed",
                said.terraform_version
            )));
        };
        // `init -json`: OpenTofu since 1.7, Terraform since 1.9.
        Ok(Self { program: program.into(), version: said.terraform_version, says_init: version >= (1, 9) })
    }
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn absent(message: impl Into<String>) -> Failure {
    Failure::new(Reason::ToolMissing, message)
        .hint("Install OpenTofu 1.6 or newer (or Terraform), or name the program with --tofu")
}
