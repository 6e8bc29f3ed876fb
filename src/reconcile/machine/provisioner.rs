//! The tools on the runner that make machines: OpenTofu, the store, secrets, keys. Runs no OpenTofu command except the
//! search for the program.

use super::{keys, recipe};
use crate::io::opentofu::{self, Tofu, Vault};
use crate::io::secret;
use crate::io::store::{Plain, Store};
use crate::manifest::environment::Environment;
use crate::manifest::provision::Provision;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use crate::model::secret::SecretSource;
use camino::Utf8PathBuf;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The settings for finding and running OpenTofu on the runner.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program, if the user named one.
    pub program: Option<String>,
    /// The cache of providers, shared by all environments of the runner.
    pub plugins: Utf8PathBuf,
    /// The file of OpenTofu's own settings, if the user named one.
    pub settings: Option<Utf8PathBuf>,
    /// True if local files are lost with this runner, and the user did not allow that.
    pub fleeting: bool,
}

/// The tools that make machines.
pub struct Provisioner {
    /// The settings for finding OpenTofu.
    pub tools: Tools,
    /// The store of OpenTofu's state; `None` if no machine is surveyed.
    pub store: Option<Arc<Store>>,
    /// The absolute path under which each environment has a working directory.
    pub directory: Utf8PathBuf,
    /// The program, after it was found.
    pub found: OnceCell<Arc<Tofu>>,
    /// The holder that locks the state.
    pub holder: Holder,
}

impl Provisioner {
    /// Returns the program. Searches for it once.
    ///
    /// # Errors
    /// `ToolMissing` if there is none.
    pub async fn tofu(&self) -> Result<Arc<Tofu>, Failure> {
        let found =
            self.found.get_or_try_init(|| async { Tofu::find(self.tools.program.as_deref()).await.map(Arc::new) });
        found.await.map(Arc::clone)
    }

    /// Returns OpenTofu's working directory for an environment, without the random digits at its end. Former versions
    /// used this path.
    #[must_use]
    pub fn place(&self, environment: &Environment) -> Utf8PathBuf {
        self.directory.join(environment.identity())
    }

    /// Returns OpenTofu's working directory for an environment.
    ///
    /// # Errors
    /// `StateUnusable` if the directory that former versions used has the state of an interrupted run.
    pub(super) async fn own_place(&self, environment: &Environment, vault: &Vault) -> Result<Utf8PathBuf, Failure> {
        let former = self.place(environment);
        let directory = vault.directory(&former).await?;
        let left = former.join(opentofu::ERRORED);
        if left.exists() {
            let message = format!("{left} may be the state of the machine, from a run of a former version of deployer");
            let hint = format!(
                "If a run of yours wrote it, continue with it: mv {former} {directory}. Otherwise remove {former}"
            );
            return Err(Failure::new(Reason::StateUnusable, message).hint(hint));
        }
        Ok(directory)
    }

    /// Returns the failures of what is missing to make the machine of an environment: the program and a named key; if
    /// `read` is true, also the key itself and the secrets.
    pub async fn missing(&self, environment: &Environment, read: bool) -> Vec<Failure> {
        let Some(provision) = &environment.provision else { return Vec::new() };
        let mut missing = Vec::from_iter(self.tofu().await.err());
        if read || environment.ssh.identity.is_none() {
            missing.extend(keys::authorized(environment).await.err());
        }
        if read {
            missing.extend(secrets(provision).await.err());
            if let Some(source) = &provision.passphrase {
                missing.extend(secret::resolve(source).await.err());
            }
        }
        missing
    }

    /// Returns the saved section of an environment that left the manifest, or `None` if nothing was saved.
    ///
    /// # Errors
    /// `StateSealed` if `passphrase` does not open the vault; `StateUnusable`.
    pub async fn remembered(
        &self,
        project: &str,
        name: &str,
        passphrase: Option<&SecretSource>,
    ) -> Result<Option<Provision>, Failure> {
        let vault = open(self.store()?, project, name, passphrase).await?;
        match vault.kept(Plain::Recipe).await? {
            Some(text) => recipe::read(&text, passphrase.cloned()).map(Some).map_err(|failure| failure.on(name)),
            None => Ok(None),
        }
    }

    pub(super) fn store(&self) -> Result<Arc<Store>, Failure> {
        let missing = || Failure::new(Reason::StoreUnusable, "There is no store for OpenTofu's state");
        self.store.as_ref().map(Arc::clone).ok_or_else(missing)
    }

    /// Opens the vault of an environment's OpenTofu state.
    pub(super) async fn vault(&self, environment: &Environment, provision: &Provision) -> Result<Arc<Vault>, Failure> {
        let store = self.store()?;
        let (project, name) = (environment.project.as_str(), environment.name.as_str());
        let former = environment.renamed_from.as_ref().map(ToString::to_string);
        let vault = open(Arc::clone(&store), project, name, provision.passphrase.as_ref()).await?;
        if let Some(former) = former
            && store.has_infrastructure(project, &former).await?
            && !store.has_infrastructure(project, name).await?
        {
            vault.take_over(&former).await?;
        }
        Ok(Arc::new(vault))
    }
}

async fn open(
    store: Arc<Store>,
    project: &str,
    name: &str,
    passphrase: Option<&SecretSource>,
) -> Result<Vault, Failure> {
    let passphrase = match passphrase {
        Some(source) => Some(secret::resolve(source).await?.text),
        None => None,
    };
    Ok(Vault::open(store, project, name, passphrase.as_ref().map(ExposeSecret::expose_secret)))
}

/// Resolves the secrets of a section.
pub(super) async fn secrets(provision: &Provision) -> Result<BTreeMap<String, SecretString>, Failure> {
    let mut values = BTreeMap::new();
    for (name, source) in provision.machine.secrets() {
        values.insert(name, secret::resolve(&source).await?.text);
    }
    Ok(values)
}
