//! The root module as people may look at it: what OpenTofu would be given, with everything that is secret named and left
//! out. Never reads a secret, and never asks OpenTofu.

use super::inputs::{self, Inputs, Surroundings};
use super::keys::{self, Keys};
use super::workshop::Workshop;
use crate::io::opentofu;
use crate::manifest::environment::{Environment, Identity};
use crate::model::failure::Failure;
use crate::reconcile::prepare::Resolve;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What stands in a secret's place.
const SECRET: &str = "(secret)";
/// Names of variables that hold the user data.
const USER_DATA: [&str; 2] = ["TF_VAR_cloud_init", "TF_VAR_deployer_cloud_init"];

impl Workshop {
    /// The files of an environment's root module, and what else OpenTofu is given, by name; none where the machine is not
    /// made by it. Below [`Resolve::Everything`] the private key of `ssh.identity_file` is not read either.
    ///
    /// # Errors
    /// As [`inputs::of`].
    pub async fn shown(
        &self,
        environment: &Environment,
        resolve: Resolve,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let Some(provision) = &environment.provision else { return Ok(BTreeMap::new()) };
        let keys = Keys { private: SECRET.to_owned(), public: "(made with the machine)".to_owned() };
        // Where the private key itself is a secret, its public half is not asked for here.
        let authorized = match &environment.ssh.identity {
            Some(Identity::File(_)) if resolve == Resolve::Everything => keys::authorized(environment).await.ok(),
            _ => keys::written(environment),
        };
        let authorized = authorized.unwrap_or_else(|| "(the public half of ssh.identity)".to_owned());
        let secrets = provision.machine.secrets().into_keys().map(|name| (name, SECRET.into())).collect();
        let directory = self.place(environment);
        let around = Surroundings { authorized: &authorized, keys: &keys, secrets: &secrets, directory: &directory };
        let Inputs { mut files, variables, .. } = inputs::of(environment, provision, &around)?;
        if provision.backend.is_none() {
            files.insert(opentofu::BACKEND.0.to_owned(), format!("{}\n", opentofu::BACKEND.1));
        }
        files.extend(
            variables
                .iter()
                .find(|(name, _)| USER_DATA.contains(&name.as_str()))
                .map(|(_, text)| ("cloud-init.yaml".to_owned(), text.clone())),
        );
        files.insert("variables.env".to_owned(), named(&variables));
        Ok(files)
    }
}

/// The variables of OpenTofu's process, without their values.
fn named(variables: &BTreeMap<String, String>) -> String {
    let mut text = "# Variables of OpenTofu's process; their values are left out.\n".to_owned();
    for name in variables.keys() {
        let place = if USER_DATA.contains(&name.as_str()) { " # cloud-init.yaml" } else { "" };
        let _ = writeln!(text, "{name}={place}");
    }
    text
}
