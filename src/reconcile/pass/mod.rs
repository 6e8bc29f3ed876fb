//! The start of every command that looks at hosts: the manifest, the store, the requested environments, and one
//! observation of each. Changes no host.

mod left;

use crate::io::store::{Plain, Record, Store};
use crate::manifest::environment::{Environment, Name};
use crate::manifest::{self, Manifest};
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome, PlanView, Sink};
use crate::model::failure::{Failure, Reason};
use crate::model::front::Front;
use crate::reconcile::connect::Kept;
use crate::reconcile::context::Context;
use crate::reconcile::machine::{self, Provisioner};
use crate::reconcile::observe::{self, Survey};
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::reconcile::request::Request;
use crate::reconcile::session::{Claim, Sessions};
use crate::reconcile::status;
use camino::Utf8PathBuf;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The manifest, the store and the records of a command.
pub struct Pass {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The store; `None` if a command that only looks found none.
    pub store: Option<Arc<Store>>,
    /// The records of the project's environments.
    pub records: BTreeMap<String, Record>,
    /// The failures so far; each is already printed.
    pub failures: Vec<Failure>,
    /// The open connections that outlive the pass; `None` if connections end with the pass.
    pub kept: Option<Arc<Kept>>,
    sink: Sink,
    front: Arc<dyn Front>,
    provisioner: Provisioner,
}

/// The access to the state store that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The command changes hosts: the store must be writable before anything else.
    Always,
    /// The command looks at hosts: observations of environments that were applied are saved if there is a store. With
    /// `--offline`, and for other commands that [only look at the repository](Context::only_looks), the store is only
    /// read.
    IfThere,
    /// The command needs the records and saves nothing: the store is not changed.
    Read,
    /// The command needs no records.
    Never,
}

impl Pass {
    /// Reads the manifest, opens the store, prints warnings.
    pub async fn open(context: &Context, keep: Keep) -> Result<Self, Vec<Failure>> {
        let manifest = context.manifest()?;
        let (url, directory) = match keep {
            Keep::Never => context.store(Some(&manifest.state)),
            _ => context.admitted_store(&manifest).map_err(|failure| vec![failure])?,
        };
        // A plan for a machine needs the store, which is made if missing: OpenTofu too makes its state for a mere plan.
        let makes_machines = manifest.environments.values().any(|environment| environment.provision.is_some());
        let store = match keep {
            Keep::Never => Ok(None),
            Keep::Read => context.stores.read(&url, &directory).await,
            _ if context.only_looks => context.stores.read(&url, &directory).await,
            Keep::IfThere if !makes_machines => context.stores.open_existing(&url, &directory).await,
            Keep::IfThere | Keep::Always => context.stores.open(&url, &directory).await.map(Some),
        };
        let store = store.map_err(|failure| vec![failure])?;
        let records = match &store {
            Some(store) => recorded(store, &manifest).await.map_err(|failure| vec![failure])?,
            None => BTreeMap::new(),
        };
        let manifest = Arc::new(manifest);
        let (sink, front) = (context.sink.clone(), Arc::clone(&context.front));
        let provisioner = context.provisioner(&manifest.state, store.as_ref());
        let pass = Self { manifest, store, records, failures: Vec::new(), kept: None, sink, front, provisioner };
        pass.say_warnings(context);
        pass.orphans().await.map_err(|failure| vec![failure])?;
        pass.left_machines().await.map_err(|failure| vec![failure])?;
        Ok(pass)
    }

    /// Prints the warnings of a valid manifest.
    pub fn say_warnings(&self, context: &Context) {
        for (location, message) in &self.manifest.warnings {
            let place =
                location.as_ref().map_or(String::new(), |at| format!("{}:{}:{}: ", at.file, at.line, at.column));
            context.say(Event::Warning { environment: None, message: format!("{place}{message}") });
        }
    }

    /// Opens a pass with a manifest and a store that are already open.
    pub async fn over(context: &Context, manifest: Arc<Manifest>, store: Arc<Store>) -> Result<Self, Failure> {
        let records = recorded(&store, &manifest).await?;
        let (sink, front) = (context.sink.clone(), Arc::clone(&context.front));
        let provisioner = context.provisioner(&manifest.state, Some(&store));
        Ok(Self { manifest, store: Some(store), records, failures: Vec::new(), kept: None, sink, front, provisioner })
    }

    /// Returns the named environments, or all. With `closed`, adds those that they depend on.
    pub fn select(&self, names: &[String], closed: bool) -> Result<Vec<Environment>, Vec<Failure>> {
        let wanted = self.choose(names, closed)?;
        Ok(wanted.iter().filter_map(|name| self.manifest.environments.get(*name)).cloned().collect())
    }

    /// Returns the names of the environments that [`Pass::select`] copies.
    pub fn choose(&self, names: &[String], closed: bool) -> Result<BTreeSet<&Name>, Vec<Failure>> {
        let all = &self.manifest.environments;
        let failures: Vec<Failure> =
            names.iter().filter(|name| !self.knows(name)).map(|name| unknown(&self.manifest, name)).collect();
        if !failures.is_empty() {
            return Err(failures);
        }
        let mut wanted: BTreeSet<&Name> =
            all.keys().filter(|name| names.is_empty() || names.iter().any(|one| one == name.as_str())).collect();
        let mut open: Vec<&Name> = wanted.iter().copied().filter(|_| closed).collect();
        while let Some(name) = open.pop() {
            open.extend(all.get(name).into_iter().flat_map(|one| &one.depends_on).filter(|need| wanted.insert(need)));
        }
        Ok(wanted)
    }

    /// Returns true if the manifest has an environment of that name.
    pub fn knows(&self, name: &str) -> bool {
        self.manifest.environments.contains_key(name)
    }

    /// Adds to the plan the project's name, the places of its environments in the manifest, and the environments that
    /// already failed.
    pub fn named(&self, mut view: PlanView) -> PlanView {
        view.project = self.manifest.project.to_string();
        let names = self.manifest.environments.keys();
        let place = |name: &Name| Some((name.to_string(), self.manifest.place(name)?.clone()));
        view.places = names.filter_map(place).collect();
        view.unplanned = self.failures.iter().filter_map(|failure| failure.environment.clone()).collect();
        view
    }

    /// Gives every session a digest key that a later run derives again. Prints failures.
    pub async fn derive_keys(&mut self, sessions: &Sessions) {
        for (name, session) in sessions {
            if let Err(failure) = session.lock().await.derive_key().await {
                self.fail(failure.on(name));
            }
        }
    }

    /// Takes the lease of every host, and observes the hosts again. Prints failures.
    pub async fn own(&mut self, claim: &Claim, sessions: &Sessions) {
        let project = self.manifest.project.to_string();
        for (name, session) in sessions {
            // An environment without a host is locked by the lock of OpenTofu's state.
            if session.lock().await.connection.is_none() {
                continue;
            }
            let floor = match &self.store {
                Some(store) => store.token(&project, name).await,
                None => Ok(0),
            };
            let owned = match floor {
                Ok(floor) => session.lock().await.own(claim, floor).await,
                Err(failure) => Err(failure),
            };
            owned.unwrap_or_else(|failure| self.fail(failure.on(name)));
        }
    }

    /// Prints a failure and keeps it for the exit code.
    pub fn fail(&mut self, failure: Failure) {
        (self.sink)(Event::Failure(failure.clone()));
        self.failures.push(failure);
    }

    /// Returns OpenTofu's working directory for an environment.
    pub async fn place_of_tofu(&self, environment: &Environment) -> Result<Utf8PathBuf, Failure> {
        let usual = self.provisioner.place(environment);
        let Some(store) = &self.store else { return Ok(usual) };
        let digits = store.plain(environment.project.as_str(), environment.name.as_str(), Plain::Directory).await?;
        Ok(match digits {
            Some(digits) => format!("{usual}.{digits}").into(),
            None => usual,
        })
    }

    /// Returns OpenTofu's inputs for an environment, without secrets.
    pub async fn shown_to_tofu(
        &self,
        environment: &Environment,
        resolve: Resolve,
    ) -> Result<BTreeMap<String, String>, Failure> {
        self.provisioner.shown(environment, resolve).await
    }

    /// Returns the failures of what is missing to make an environment's machine. Reads its secrets only if `secrets` is
    /// true.
    pub async fn machine(&self, environment: &Environment, secrets: bool) -> Vec<Failure> {
        self.provisioner.missing(environment, secrets).await
    }

    /// Returns true if an environment succeeded although others failed.
    fn spared(&self, sessions: &Sessions) -> bool {
        let failed = |name: &String| self.failures.iter().any(|failure| failure.environment.as_ref() == Some(name));
        !sessions.keys().all(failed)
    }

    /// Resolves values and renders releases. Leaves out environments that fail, and prints their failures.
    pub async fn prepare(&mut self, environments: Vec<Environment>, resolve: Resolve) -> Vec<Prepared> {
        let mut prepared = Vec::new();
        for environment in environments {
            if self.front.masks() && resolve != Resolve::Literals {
                let known = Arc::new(prepare::known_of_access(&environment).await);
                self.front.hide(environment.name.as_str(), &known);
            }
            let hide = |name: &str, known: &_| self.front.hide(name, known);
            let resolved = Box::pin(prepare::prepare(environment, resolve, &hide)).await;
            match resolved {
                Ok(mut one) => {
                    if let Some(record) = self.records.get(one.name()) {
                        one.met = record.met.clone();
                        one.reach = machine::recalled(&one.environment, one.reach, record);
                    }
                    prepared.push(one);
                }
                Err(failures) => failures.into_iter().for_each(|failure| self.fail(failure)),
            }
        }
        prepared
    }

    /// Connects to every host, observes it, and saves the observation if the environment was ever applied. Prints
    /// failures and returns them with their environments.
    pub async fn observe(
        &mut self,
        context: &Context,
        prepared: Vec<Prepared>,
        request: &Request,
    ) -> (Sessions, Vec<(Prepared, Failure)>) {
        let (sessions, failed) = {
            let vouch = |failure: &Failure| vouch(context, failure);
            let (records, kept, sink, provisioner) =
                (&self.records, self.kept.as_deref(), &self.sink, &self.provisioner);
            let accept_new_host_keys = context.accept_new_host_keys;
            let survey = Survey { records, request, kept, provisioner, sink, accept_new_host_keys, vouch: &vouch };
            Box::pin(observe::observe(prepared, &survey)).await
        };
        for (_, failure) in &failed {
            self.fail(failure.clone());
        }
        for (name, session) in &sessions {
            let session = session.lock().await;
            let before = self.records.get(name).and_then(|record| record.failed.clone());
            let facts = session.facts();
            let failed = before.filter(|_| !status::is_as_wanted(&session));
            let record = status::record(&session, (context.now)(), failed);
            let marker = facts.access.marker.as_ref().map(|marker| marker.is_of(&session.prepared.environment));
            let machine = session.prepared.environment.provision.is_some() && facts.outside.machine.exists;
            drop(session);
            let applied = || machine || self.records.get(name).is_some_and(status::was_applied);
            if marker.unwrap_or_else(applied) {
                self.save(name, record).await;
            } else {
                // The directory belongs to another owner, or the environment was never applied: the observation is
                // used, but not saved as this environment's.
                self.records.insert(name.clone(), record);
            }
        }
        (sessions, failed)
    }

    /// Observes the hosts of the named environments, for a command that needs only a connection and the facts.
    pub async fn look(&mut self, context: &Context, names: &[String]) -> Result<Sessions, Vec<Failure>> {
        let environments = self.select(names, false)?;
        let prepared = self.prepare(environments, Resolve::Connection).await;
        Ok(self.observe(context, prepared, &Request::look()).await.0)
    }

    /// Saves a record in memory, and in the store if there is one.
    pub async fn save(&mut self, name: &str, record: Record) {
        if let Some(store) = &self.store
            && let Err(failure) = store.save(self.manifest.project.as_str(), name, &record, None).await
        {
            self.fail(failure);
        }
        self.records.insert(name.to_owned(), record);
    }

    /// Returns the last fencing token that this store knows of an environment's lease.
    pub async fn token(&self, name: &str) -> u64 {
        match &self.store {
            Some(store) => store.token(self.manifest.project.as_str(), name).await.unwrap_or_default(),
            None => 0,
        }
    }

    /// Deletes the record of an environment and of its machine.
    pub async fn forget(&mut self, name: &str) {
        if let Some(store) = &self.store
            && let Err(failure) = store.forget(self.manifest.project.as_str(), name).await
        {
            self.fail(failure);
        }
        self.forget_machine(name).await;
        self.records.remove(name);
    }

    /// Deletes the saved data of a machine that is gone.
    pub async fn forget_machine(&mut self, name: &str) {
        if let Some(store) = &self.store
            && let Err(failure) = store.forget_infrastructure(self.manifest.project.as_str(), name).await
        {
            self.fail(failure);
        }
    }

    /// Closes the connections that are not kept. `outcome` applies if nothing failed.
    pub async fn close(self, sessions: Sessions, outcome: Outcome) -> Ending {
        let others = self.spared(&sessions);
        for (name, session) in sessions {
            let session = session.into_inner();
            let token = session.lease.as_ref().map(|lease| lease.key.token);
            match (&self.kept, Box::pin(session.part()).await) {
                // After a failure nothing is trusted any more, including the connection.
                (Some(kept), (_, Some(host))) if self.failures.is_empty() => kept.keep(&name, host).await,
                (_, (_, Some(host))) => host.close().await,
                (_, (_, None)) => {}
            }
            if let (Some(store), Some(token)) = (&self.store, token) {
                // The host already released the lease, and the host decides.
                let _ = store.give_back(self.manifest.project.as_str(), &name, token).await;
            }
        }
        if self.failures.is_empty() { Ending::ok(outcome) } else { Ending::of(&self.failures, others) }
    }
}

/// Returns the failure of a name that the manifest does not have.
pub fn unknown(manifest: &Manifest, name: &str) -> Failure {
    let names: Vec<&str> = manifest.environments.keys().map(Name::as_str).collect();
    let failure = Failure::new(Reason::UnknownEnvironment, format!("{} has no environment `{name}`", manifest.file));
    match manifest::nearest(name, names.iter().copied()) {
        Some(near) => failure.hint(format!("Did you mean `{near}`?")),
        None => failure.hint(format!("Known names: {}", names.join(", "))),
    }
}

/// Returns the records of a project under the current names of its environments, with the holders of their leases.
async fn recorded(store: &Store, manifest: &Manifest) -> Result<BTreeMap<String, Record>, Failure> {
    let project = manifest.project.as_str();
    let (mut records, holders) = (store.records(project).await?, store.holders(project).await?);
    let former = |environment: &Environment| Some((environment.renamed_from.clone()?, environment.name.to_string()));
    for (from, to) in manifest.environments.values().filter_map(former) {
        if let Some(record) = records.remove(from.as_str()) {
            // A store that can only be read keeps the old name; the record still counts under the new name.
            let _ = store.rename(project, from.as_str(), &to).await;
            records.entry(to).or_insert(record);
        }
    }
    for (name, record) in &mut records {
        let holder = holders.get(name).filter(|holder| !holder.gone());
        record.in_progress = holder.map(ToString::to_string).or(record.in_progress.take());
    }
    Ok(records)
}

/// Asks at the terminal whether to trust a host's key. Returns false elsewhere.
pub fn vouch<'a>(context: &'a Context, failure: &Failure) -> BoxFuture<'a, bool> {
    let question = format!("{}. Trust it?", failure.message());
    Box::pin(async move { context.confirm(&question).await })
}

/// Prints the failures that end a command at its start.
pub fn refuse(context: &Context, failures: &[Failure]) -> Ending {
    for failure in failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(failures, false)
}
