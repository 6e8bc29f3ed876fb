//! Asks OpenTofu what it would do about a machine. Never changes one.

use super::adopt::{self, Search};
use super::inputs::{self, Surroundings};
use super::keys::{self, Keys};
use super::{Machine, reached_at, recipe};
use crate::event::{Event, Sink};
use crate::failure::{Failure, Reason};
use crate::holder::Holder;
use crate::manifest::environment::{Environment, Ssh};
use crate::manifest::provision::{self, Login, Provision};
use crate::prepare::Prepared;
use crate::secret::{self, Redactor, SecretSource};
use crate::store::{Plain, Store};
use crate::tofu::{Action, Backend, Proposed, Purpose, ResourceChange, Tofu, Vault, Work};
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

    /// Asks what would be done about the machine of an environment, `None` where it is none of ours, and lets the
    /// environment know how it is reached.
    pub async fn survey(
        &self,
        prepared: &mut Prepared,
        taking_down: bool,
        sink: &Sink,
    ) -> Result<Option<Machine>, Failure> {
        let Some(provision) = prepared.environment.provision.clone() else { return Ok(None) };
        if self.tools.fleeting && provision.backend.is_none() {
            let message = "What is known of the machine would go away with this CI runner";
            let hint =
                "Keep the store where the next run finds it and pass --allow-local-state, or set provisioned.backend";
            return Err(Failure::new(Reason::StateFleeting, message).hint(hint));
        }
        let name = prepared.name().to_owned();
        let say = |activity: String| sink(Event::Progress { environment: name.clone(), kind: None, activity });
        let environment = &prepared.environment;
        let vault = self.vault(environment, &provision).await?;
        let kept = vault.kept(Plain::HostKey).await?;
        let tried = kept.is_some();
        let keys = match kept {
            Some(text) => Keys::parse(&text)?,
            None => Keys::make().await?,
        };
        let secrets = secrets(&provision).await?;
        let recipe = recipe::write(&provision);
        let directory = self.place(environment);
        let authorized = match keys::authorized(environment).await {
            // Nobody is to log in any more.
            Err(_) if taking_down => String::new(),
            authorized => authorized?,
        };
        let around = Surroundings { authorized: &authorized, keys: &keys, secrets: &secrets, directory: &directory };
        let inputs = inputs::of(environment, &provision, &around)?;
        let hidden: Vec<SecretString> = secrets.into_values().chain([keys.private.as_str().into()]).collect();
        let redactor = Arc::new(Redactor::new(&hidden));
        let our_host_key = inputs.our_host_key;
        let mut work = Work {
            tofu: self.tofu().await?,
            directory,
            files: inputs.files.clone(),
            variables: inputs.variables.clone(),
            backend: match &provision.backend {
                None => Backend::Own(Arc::clone(&vault)),
                Some(_) => Backend::Theirs(Arc::clone(&vault)),
            },
            redactor,
            holder: self.holder.clone(),
            limit: provision.timeout,
            plugins: self.tools.plugins.clone(),
            settings: self.tools.settings.clone(),
        };
        let purpose = if taking_down { Purpose::Destroy } else { Purpose::Apply };
        let mut proposed = work.plan(purpose, &say).await?;
        if tried && adopt::is_lost(&proposed, &provision.machine, taking_down) {
            // What the search needs while it runs is kept apart from the machine's own.
            let vault = Vault::open(self.store()?, environment.project.as_str(), &format!("{name} search"), None);
            let search = Search { environment, provision: &provision, inputs: &inputs, vault: Arc::new(vault) };
            let (planned, found) = search.adopt(&mut work, proposed, purpose, &say).await?;
            if found && taking_down {
                let message = "A run that was killed made the machine, and OpenTofu does not know it yet";
                let back = if environment.orphaned { "Put its entry back: " } else { "" };
                let hint = format!("{back}deployer provision {name} takes it over; it can be destroyed then");
                return Err(Failure::new(Reason::ProvisionFailed, message).hint(hint));
            }
            proposed = planned;
        }
        if super::does(&proposed, &provision.machine, Action::Replace) && work.files.remove(inputs::KEPT).is_some() {
            proposed = work.plan(purpose, &say).await?;
        }
        for message in elsewhere(&proposed) {
            sink(Event::Warning { environment: Some(name.clone()), message });
        }
        // Where something is to change, what the plan says of the outputs may be of the time after it.
        let outputs = if proposed.changes.is_empty() { proposed.outputs.clone() } else { work.outputs(&say).await? };
        reached_at(&mut prepared.environment, &outputs);
        let backend = provision.backend.map(|(name, _)| name);
        let machine = Machine { work, proposed, vault, keys, our_host_key, taking_down, recipe, backend };
        // A module says itself how its machine is reached.
        let ours = !matches!(provision.machine, provision::Machine::Module(_));
        let stays = ours && !taking_down && !machine.seen().is_new(&provision.machine);
        if let Some(message) = born_otherwise(&prepared.environment.ssh, &provision.login).filter(|_| stays) {
            sink(Event::Warning { environment: Some(name), message });
        }
        if machine.proposed.exists && machine.proposed.changes.is_empty() && !taking_down {
            // It may be made otherwise than the last time, to the same end.
            machine.remember().await?;
        }
        Ok(Some(machine))
    }

    /// Where OpenTofu works for an environment on this machine.
    #[must_use]
    pub fn place(&self, environment: &Environment) -> Utf8PathBuf {
        self.directory.join(environment.identity())
    }

    /// What is known to be missing for making the machine of an environment: the program, a secret, a key.
    pub async fn missing(&self, environment: &Environment) -> Vec<Failure> {
        let Some(provision) = &environment.provision else { return Vec::new() };
        let (tool, key) = (self.tofu().await.err(), keys::authorized(environment).await.err());
        let passphrase = match &provision.passphrase {
            Some(source) => secret::resolve(source).await.err(),
            None => None,
        };
        [tool, key, secrets(provision).await.err(), passphrase].into_iter().flatten().collect()
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

    fn store(&self) -> Result<Arc<Store>, Failure> {
        let missing = || Failure::new(Reason::StoreUnusable, "There is no store to keep OpenTofu's state in");
        self.store.as_ref().map(Arc::clone).ok_or_else(missing)
    }

    async fn vault(&self, environment: &Environment, provision: &Provision) -> Result<Arc<Vault>, Failure> {
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

/// What somebody else took away or changed, of what is to be put right: what a provider merely tells anew is no news.
fn elsewhere(proposed: &Proposed) -> Vec<String> {
    let concerns = |drift: &&ResourceChange| proposed.changes.iter().any(|change| change.address == drift.address);
    let words = |drift: &ResourceChange| {
        if drift.action == Action::Delete {
            return format!("{} was taken away, and not by deployer", drift.address);
        }
        let paths: Vec<&str> = drift.attributes.iter().map(|attribute| attribute.path.as_str()).collect();
        format!("{} was changed, and not by deployer: {}", drift.address, paths.join(", "))
    };
    proposed.drift.iter().filter(concerns).map(words).collect()
}

/// What the manifest says of the way in, where the machine was made with another and stays.
fn born_otherwise(ssh: &Ssh, login: &Login) -> Option<String> {
    let port = |port: Option<u16>| port.unwrap_or(22);
    let user = |user: &Option<String>| user.clone().unwrap_or_else(|| "root".to_owned());
    (user(&ssh.user) != user(&login.user) || port(ssh.port) != port(login.port)).then(|| {
        format!(
            "The machine was made for {}, port {}, and is still reached so; ssh.user and ssh.port of the manifest are \
             for the machine that takes its place",
            user(&ssh.user),
            port(ssh.port)
        )
    })
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
async fn secrets(provision: &Provision) -> Result<BTreeMap<String, SecretString>, Failure> {
    let mut values = BTreeMap::new();
    for (name, source) in provision.machine.secrets() {
        values.insert(name, secret::resolve(&source).await?.text);
    }
    Ok(values)
}
