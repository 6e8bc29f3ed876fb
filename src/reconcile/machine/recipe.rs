//! The recipe of a machine, saved so that the machine can be destroyed after its entry left the manifest. Contains no
//! value of a secret: for a secret that was written in the manifest itself, the recipe records only that it existed.

use crate::manifest::provision::{Login, Machine, Provision, TOKEN};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The saved form of a `provisioned` section.
#[derive(Serialize, Deserialize)]
struct Recipe {
    machine: Machine,
    secrets: BTreeMap<String, Origin>,
    backend: Option<(String, Map<String, Value>)>,
    timeout: Duration,
    templates: Utf8PathBuf,
    #[serde(default)]
    login: Login,
}

/// The source of a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Origin {
    Environment(String),
    File(Utf8PathBuf),
    Command(Vec<String>),
    Manifest,
}

/// Serializes a section.
#[must_use]
pub fn write(provision: &Provision) -> String {
    let origin = |source: &SecretSource| match source {
        SecretSource::Literal { .. } => Origin::Manifest,
        SecretSource::Environment { name, .. } => Origin::Environment(name.clone()),
        SecretSource::File { path, .. } => Origin::File(path.clone()),
        SecretSource::Command { argv, .. } => Origin::Command(argv.clone()),
    };
    let secrets = provision.machine.secrets();
    let recipe = Recipe {
        machine: provision.machine.clone(),
        secrets: secrets.iter().map(|(name, source)| (name.clone(), origin(source))).collect(),
        backend: provision.backend.clone(),
        timeout: provision.timeout,
        templates: provision.templates.clone(),
        login: provision.login.clone(),
    };
    serde_json::to_string(&recipe).unwrap_or_default()
}

/// Returns the section that [`write()`] saved, with the current passphrase of the manifest.
///
/// # Errors
/// `StateUnusable` if the text has another form.
pub fn read(text: &str, passphrase: Option<SecretSource>) -> Result<Provision, Failure> {
    let recipe: Recipe = serde_json::from_str(text).map_err(|error| {
        Failure::new(Reason::StateUnusable, "The stored description of how the machine was made cannot be read")
            .hint("Put its entry back into the manifest, then destroy it")
            .details(error.to_string())
    })?;
    let source = |(name, origin): (String, Origin)| {
        let source = match origin {
            Origin::Environment(name) => SecretSource::Environment { name, secret: true },
            Origin::File(path) => SecretSource::File { path, secret: true },
            Origin::Command(argv) => SecretSource::Command { argv, secret: true },
            Origin::Manifest => SecretSource::Environment { name: instead(&recipe.machine, &name), secret: true },
        };
        (name, source)
    };
    let secrets = recipe.secrets.into_iter().map(source).collect();
    Ok(Provision {
        machine: recipe.machine.with_secrets(secrets),
        backend: recipe.backend,
        timeout: recipe.timeout,
        passphrase,
        templates: recipe.templates,
        scope: Arc::default(),
        login: recipe.login,
    })
}

/// Returns the environment variable that provides a secret after the manifest that contained it is gone. The name is
/// OpenTofu's own.
fn instead(machine: &Machine, secret: &str) -> String {
    match machine {
        Machine::Hetzner(_) if secret == TOKEN => "HCLOUD_TOKEN".to_owned(),
        _ => format!("TF_VAR_{secret}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    fn provision(section: &str) -> Provision {
        let text = format!(
            "version: 1\nproject: shop\nenvironments:\n  lab:\n    provisioned: {section}\n    \
             ssh: {{ identity_file: /key }}\n    configure: {{ firewall: {{ allow: [ {{ port: 1, protocol: udp }} ] }} }}\n"
        );
        let manifest = manifest::parse(&text, "deployment.yaml", "/work".into(), None);
        let environments = manifest.unwrap_or_else(|failures| panic!("{failures:?}")).environments;
        *environments.into_values().next().unwrap().provision.unwrap()
    }

    #[test]
    fn a_kept_section_is_read_back_as_the_same_section() {
        for section in [
            "{ lxd: { image: 'ubuntu:24.04', cpus: 2, disk: 10GiB, config: { a.b: c } } }",
            "{ hetzner: { server_type: cx23, location: nbg1, token: { from_env: TOKEN }, firewall: true, \
             volume: { size: 10GiB, mount: /data }, primary_ip: ip, labels: { a: b } }, timeout: 5m }",
            "{ module: { source: ./infra, variables: { a: [1, x] }, outputs: { address: ip }, resource: 'a.b', \
             secrets: { p: { from_file: /secret }, q: { from_command: [op, read] } } }, backend: { s3: { bucket: b } } }",
        ] {
            let before = provision(section);
            let after = read(&write(&before), None).unwrap();
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
    }

    #[test]
    fn a_secret_that_stood_in_the_manifest_is_not_kept_and_comes_from_a_variable_then() {
        let hetzner = "{ hetzner: { server_type: cx23, location: nbg1, token: canary } }";
        let module = "{ module: { source: ./infra, secrets: { password: canary } } }";
        for (section, variable) in [(hetzner, "from_env HCLOUD_TOKEN"), (module, "from_env TF_VAR_password")] {
            let kept = write(&provision(section));
            assert!(!kept.contains("canary"), "{kept}");
            assert!(format!("{:?}", read(&kept, None).unwrap()).contains(variable), "{kept}");
        }
        assert_eq!(read("{}", None).unwrap_err().reason, Reason::StateUnusable);
    }
}
