//! What machines are made with on this machine: OpenTofu, the store, secrets, keys. Never asks OpenTofu anything itself.

use super::{keys, recipe};
use crate::io::opentofu::{Tofu, Vault};
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

/// How OpenTofu is found and set on this machine.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program, where one was named.
    pub program: Option<String>,
    /// Where providers are kept for all environments of this machine.
    pub plugins: Utf8PathBuf,
    /// The file of OpenTofu's own settings, where one is named.
    pub settings: Option<Utf8PathBuf>,
    /// Whether what is kept in files here goes away with this machine, and that was not allowed.
    pub fleeting: bool,
}

/// What machines are made with.
pub struct Workshop {
    /// How OpenTofu is found.
    pub tools: Tools,
    /// Where OpenTofu's state is kept; `None` where no machine is asked about.
    pub store: Option<Arc<Store>>,
    /// Below it, each environment has a working directory. Absolute.
    pub directory: Utf8PathBuf,
    /// The program, once it was looked for.
    pub found: OnceCell<Arc<Tofu>>,
    /// As whom its state is locked.
    pub holder: Holder,
}

impl Workshop {
    /// The program, looked for once.
    ///
    /// # Errors
    /// `ToolMissing` where there is none.
    pub async fn tofu(&self) -> Result<Arc<Tofu>, Failure> {
        let found =
            self.found.get_or_try_init(|| async { Tofu::find(self.tools.program.as_deref()).await.map(Arc::new) });
        found.await.map(Arc::clone)
    }

    /// Where OpenTofu works for an environment on this machine.
    #[must_use]
    pub fn place(&self, environment: &Environment) -> Utf8PathBuf {
        self.directory.join(environment.identity())
    }

    /// Returns what is missing for making the machine of an environment: the program, a key that is named, and where `read`,
    /// that key itself or a secret.
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

    /// What made the machine of an environment that left the manifest, as it was kept; `None` where nothing was.
    ///
    /// # Errors
    /// `StateSealed` where `passphrase` does not open it, `StateUnusable`.
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
        let missing = || Failure::new(Reason::StoreUnusable, "There is no store to keep OpenTofu's state in");
        self.store.as_ref().map(Arc::clone).ok_or_else(missing)
    }

    /// Where OpenTofu's state of an environment is kept.
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

/// The values of a section's secrets.
pub(super) async fn secrets(provision: &Provision) -> Result<BTreeMap<String, SecretString>, Failure> {
    let mut values = BTreeMap::new();
    for (name, source) in provision.machine.secrets() {
        values.insert(name, secret::resolve(&source).await?.text);
    }
    Ok(values)
}
