//! The root module in a form for people: the inputs of OpenTofu, with each secret named and left out. Reads no secret,
//! and does not run OpenTofu.

use super::inputs::{self, Inputs, Surroundings};
use super::keys::{self, Keys};
use super::provisioner::Provisioner;
use crate::io::opentofu;
use crate::manifest::environment::{Environment, Identity};
use crate::model::failure::Failure;
use crate::reconcile::prepare::Resolve;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text that replaces a secret.
const SECRET: &str = "(secret)";
/// The names of the variables that hold the user data.
const USER_DATA: [&str; 2] = ["TF_VAR_cloud_init", "TF_VAR_deployer_cloud_init"];

impl Provisioner {
    /// Returns the files of an environment's root module and the other inputs of OpenTofu, by name. Returns none if
    /// OpenTofu does not make the machine. Reads the private key of `ssh.identity_file` only at
    /// [`Resolve::Everything`].
    ///
    /// # Errors
    /// As [`inputs::of`].
    pub async fn shown(
        &self,
        environment: &Environment,
        resolve: Resolve,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let Some(provision) = &environment.provision else { return Ok(BTreeMap::new()) };
        let keys = Keys { private: SECRET.into(), public: "(made with the machine)".to_owned() };
        // If the private key itself is a secret, its public half is not derived here.
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
                .map(|(_, text)| ("cloud-init.yaml".to_owned(), text.expose_secret().to_owned())),
        );
        files.insert("variables.env".to_owned(), named(&variables));
        Ok(files)
    }
}

/// Lists the environment variables of the OpenTofu process, without their values.
fn named(variables: &BTreeMap<String, SecretString>) -> String {
    let mut text = "# Variables of OpenTofu's process; their values are left out.\n".to_owned();
    for name in variables.keys() {
        let place = if USER_DATA.contains(&name.as_str()) { " # cloud-init.yaml" } else { "" };
        let _ = writeln!(text, "{name}={place}");
    }
    text
}
