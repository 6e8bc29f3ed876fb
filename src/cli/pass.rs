//! What every command that looks at hosts begins with: the manifest, the store, the environments asked
//! for, and one observation of each. Never changes a host.

mod left;

use super::{Context, Ending};
use crate::io::store::{Record, Store};
use crate::manifest::environment::{Environment, Name};
use crate::manifest::{self, Manifest};
use crate::model::event::{Event, Outcome, PlanView, Sink};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::connect::Kept;
use crate::reconcile::execute::Sessions;
use crate::reconcile::machine::{self, Workshop};
use crate::reconcile::observe::{self, Survey};
use crate::reconcile::prepare::{self, Prepared, Resolve};
use crate::reconcile::propose::Request;
use crate::reconcile::session::Claim;
use crate::reconcile::status;
use crate::render::Render;
use crate::resource::access;
use camino::Utf8PathBuf;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Manifest, store and what is recorded.
pub struct Pass {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The store; `None` where a looking command found none.
    pub store: Option<Arc<Store>>,
    /// What is recorded of the project's environments.
    pub records: BTreeMap<String, Record>,
    /// What failed so far; each was already said.
    pub failures: Vec<Failure>,
    /// Where connections stay open after the pass; `None` where they end with it.
    pub kept: Option<Arc<Kept>>,
    sink: Sink,
    render: Arc<dyn Render>,
    workshop: Workshop,
}

/// Access to the state store that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It changes hosts: its journal must be writable before anything else.
    Always,
    /// It looks at hosts: what it saw is saved where there is a store. Only read with `--offline` and by other commands
    /// that [only look at the repository](Context::only_looks).
    IfThere,
    /// It needs what is recorded, and saves nothing: the store stays as it is.
    Read,
    /// It needs nothing that is recorded.
    Never,
}

impl Pass {
    /// Reads the manifest, opens the store, says warnings.
    pub async fn open(context: &Context, keep: Keep) -> Result<Self, Vec<Failure>> {
        let manifest = context.manifest()?;
        let (url, directory) = match keep {
            Keep::Never => context.store(Some(&manifest.state)),
            _ => context.admitted_store(&manifest).map_err(|failure| vec![failure])?,
        };
        // What a machine is about cannot be told without its record, as OpenTofu's own state is made by a mere plan.
        let provisioned = manifest.environments.values().any(|environment| environment.provision.is_some());
        let store = match keep {
            Keep::Never => Ok(None),
            Keep::Read => context.stores.read(&url, &directory).await,
            _ if context.only_looks => context.stores.read(&url, &directory).await,
            Keep::IfThere if !provisioned => context.stores.open_existing(&url, &directory).await,
            Keep::IfThere | Keep::Always => context.stores.open(&url, &directory).await.map(Some),
        };
        let store = store.map_err(|failure| vec![failure])?;
        let records = match &store {
            Some(store) => recorded(store, &manifest).await.map_err(|failure| vec![failure])?,
            None => BTreeMap::new(),
        };
        let manifest = Arc::new(manifest);
        let (sink, render) = (context.sink.clone(), Arc::clone(&context.render));
        let workshop = context.workshop(&manifest.state, store.as_ref());
        let pass = Self { manifest, store, records, failures: Vec::new(), kept: None, sink, render, workshop };
        pass.say_warnings(context);
        pass.orphans().await.map_err(|failure| vec![failure])?;
        pass.left_machines().await.map_err(|failure| vec![failure])?;
        Ok(pass)
    }

    /// Says what is worth knowing of the manifest though it is not wrong.
    pub fn say_warnings(&self, context: &Context) {
        for (location, message) in &self.manifest.warnings {
            let place =
                location.as_ref().map_or(String::new(), |at| format!("{}:{}:{}: ", at.file, at.line, at.column));
            context.say(Event::Warning { environment: None, message: format!("{place}{message}") });
        }
    }

    /// A pass over what is open already.
    pub async fn over(context: &Context, manifest: Arc<Manifest>, store: Arc<Store>) -> Result<Self, Failure> {
        let records = recorded(&store, &manifest).await?;
        let (sink, render) = (context.sink.clone(), Arc::clone(&context.render));
        let workshop = context.workshop(&manifest.state, Some(&store));
        Ok(Self { manifest, store: Some(store), records, failures: Vec::new(), kept: None, sink, render, workshop })
    }

    /// The environments named, or all, with those they depend on where `closed`.
    pub fn select(&self, names: &[String], closed: bool) -> Result<Vec<Environment>, Vec<Failure>> {
        let wanted = self.choose(names, closed)?;
        Ok(wanted.iter().filter_map(|name| self.manifest.environments.get(*name)).cloned().collect())
    }

    /// The names of those that [`Pass::select`] copies.
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

    /// Whether the manifest has an environment of that name.
    pub fn knows(&self, name: &str) -> bool {
        self.manifest.environments.contains_key(name)
    }

    /// The plan with the project's name, where its environments stand, and which of them failed before it.
    pub fn named(&self, mut view: PlanView) -> PlanView {
        view.project = self.manifest.project.to_string();
        let names = self.manifest.environments.keys();
        let place = |name: &Name| Some((name.to_string(), self.manifest.place(name)?.clone()));
        view.places = names.filter_map(place).collect();
        view.unplanned = self.failures.iter().filter_map(|failure| failure.environment.clone()).collect();
        view
    }

    /// Gives every session a key that a later run finds again; what fails is said.
    pub async fn derive_keys(&mut self, sessions: &Sessions) {
        for (name, session) in sessions {
            if let Err(failure) = session.lock().await.derive_key().await {
                self.fail(failure.on(name));
            }
        }
    }

    /// Takes the lease of every host, and looks at it again; what fails is said.
    pub async fn own(&mut self, claim: &Claim, sessions: &Sessions) {
        let project = self.manifest.project.to_string();
        for (name, session) in sessions {
            // What has no host yet is worked on under the lock of OpenTofu's state.
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

    /// Says a failure and keeps it for the exit code.
    pub fn fail(&mut self, failure: Failure) {
        (self.sink)(Event::Failure(failure.clone()));
        self.failures.push(failure);
    }

    /// Where OpenTofu works for an environment on this machine.
    pub fn place_of_tofu(&self, environment: &Environment) -> Utf8PathBuf {
        self.workshop.place(environment)
    }

    /// What OpenTofu would be given for an environment, without anything secret.
    pub async fn shown_to_tofu(
        &self,
        environment: &Environment,
        resolve: Resolve,
    ) -> Result<BTreeMap<String, String>, Failure> {
        self.workshop.shown(environment, resolve).await
    }

    /// Returns what is missing for making the machine of an environment; its secrets are read only where `secrets`.
    pub async fn machine(&self, environment: &Environment, secrets: bool) -> Vec<Failure> {
        self.workshop.missing(environment, secrets).await
    }

    /// Whether something went well beside what failed.
    fn spared(&self, sessions: &Sessions) -> bool {
        let failed = |name: &String| self.failures.iter().any(|failure| failure.environment.as_ref() == Some(name));
        !sessions.keys().all(failed)
    }

    /// Resolves values and renders releases; an environment that fails is left out and said.
    pub async fn prepare(&mut self, environments: Vec<Environment>, resolve: Resolve) -> Vec<Prepared> {
        let mut prepared = Vec::new();
        for mut environment in environments {
            if let Some(record) = self.records.get(environment.name.as_str()) {
                machine::recall(&mut environment, record);
            }
            if self.render.masks() && resolve != Resolve::Literals {
                let known = Arc::new(prepare::known_of_access(&environment).await);
                self.render.hide(environment.name.as_str(), &known);
            }
            let hide = |name: &str, known: &_| self.render.hide(name, known);
            let resolved = Box::pin(prepare::prepare(environment, resolve, &hide)).await;
            match resolved {
                Ok(mut one) => {
                    one.met = self.records.get(one.name()).map(|record| record.met.clone()).unwrap_or_default();
                    prepared.push(one);
                }
                Err(failures) => failures.into_iter().for_each(|failure| self.fail(failure)),
            }
        }
        prepared
    }

    /// Connects and looks at every host, saves what was seen. What fails is said and returned by name.
    pub async fn observe(
        &mut self,
        context: &Context,
        prepared: Vec<Prepared>,
        request: &Request,
    ) -> (Sessions, Vec<(Prepared, Failure)>) {
        let (sessions, failed) = {
            let vouch = |failure: &Failure| vouch(context, failure);
            let (records, kept, sink, workshop) = (&self.records, self.kept.as_deref(), &self.sink, &self.workshop);
            let survey = Survey { records, request, kept, workshop, sink, vouch: &vouch };
            Box::pin(observe::observe(prepared, &survey)).await
        };
        for (_, failure) in &failed {
            self.fail(failure.clone());
        }
        for (name, session) in &sessions {
            let session = session.lock().await;
            let before = self.records.get(name).and_then(|record| record.failed.clone());
            let record = status::record(&session, (context.now)(), before);
            let marker = session.facts.access.marker.as_ref();
            let ours = marker.is_none_or(|marker| access::ours(&session.prepared.environment, marker));
            drop(session);
            if ours {
                self.save(name, record).await;
            } else {
                // Another's: seen, but not kept as if it were this one's.
                self.records.insert(name.clone(), record);
            }
        }
        (sessions, failed)
    }

    /// Keeps a record, here and in the store where there is one.
    pub async fn save(&mut self, name: &str, record: Record) {
        if let Some(store) = &self.store
            && let Err(failure) = store.save(self.manifest.project.as_str(), name, &record, None).await
        {
            self.fail(failure);
        }
        self.records.insert(name.to_owned(), record);
    }

    /// The last token that is known here of an environment's lease.
    pub async fn token(&self, name: &str) -> u64 {
        match &self.store {
            Some(store) => store.token(self.manifest.project.as_str(), name).await.unwrap_or_default(),
            None => 0,
        }
    }

    /// Drops what is recorded of an environment, and of a machine that it had.
    pub async fn forget(&mut self, name: &str) {
        if let Some(store) = &self.store
            && let Err(failure) = store.forget(self.manifest.project.as_str(), name).await
        {
            self.fail(failure);
        }
        self.forget_machine(name).await;
        self.records.remove(name);
    }

    /// Drops what is kept of a machine that is gone.
    pub async fn forget_machine(&mut self, name: &str) {
        if let Some(store) = &self.store
            && let Err(failure) = store.forget_infrastructure(self.manifest.project.as_str(), name).await
        {
            self.fail(failure);
        }
    }

    /// Closes the connections that are not kept; `outcome` holds where nothing failed.
    pub async fn close(self, sessions: Sessions, outcome: Outcome) -> Ending {
        let others = self.spared(&sessions);
        for (name, session) in sessions {
            let session = session.into_inner();
            let token = session.lease.as_ref().map(|lease| lease.key.token);
            match (&self.kept, Box::pin(session.part()).await) {
                // After a failure nothing is taken on trust, the connection included.
                (Some(kept), (_, Some(host))) if self.failures.is_empty() => kept.keep(&name, host).await,
                (_, (_, Some(host))) => host.close().await,
                (_, (_, None)) => {}
            }
            if let (Some(store), Some(token)) = (&self.store, token) {
                // The host was told already, and it decides.
                let _ = store.give_back(self.manifest.project.as_str(), &name, token).await;
            }
        }
        if self.failures.is_empty() { Ending::ok(outcome) } else { Ending::of(&self.failures, others) }
    }
}

/// The failure of a name that the manifest does not have.
pub fn unknown(manifest: &Manifest, name: &str) -> Failure {
    let names: Vec<&str> = manifest.environments.keys().map(Name::as_str).collect();
    let failure = Failure::new(Reason::UnknownEnvironment, format!("{} has no environment `{name}`", manifest.file));
    match manifest::nearest(name, names.iter().copied()) {
        Some(near) => failure.hint(format!("Did you mean `{near}`?")),
        None => failure.hint(format!("It has: {}", names.join(", "))),
    }
}

/// What is recorded of a project, under the names its environments have now, with who works on them.
async fn recorded(store: &Store, manifest: &Manifest) -> Result<BTreeMap<String, Record>, Failure> {
    let project = manifest.project.as_str();
    let (mut records, holders) = (store.records(project).await?, store.holders(project).await?);
    let former = |environment: &Environment| Some((environment.renamed_from.clone()?, environment.name.to_string()));
    for (from, to) in manifest.environments.values().filter_map(former) {
        if let Some(record) = records.remove(from.as_str()) {
            // A store that can only be read keeps the old name; the record counts under the new one all the same.
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

/// Asks at the terminal whether a host's key is to be trusted; no elsewhere.
pub fn vouch(context: &Context, failure: &Failure) -> bool {
    context.confirm(&format!("{}. Trust it?", failure.message))
}

/// Says failures that end a command at its beginning.
pub fn refuse(context: &Context, failures: &[Failure]) -> Ending {
    for failure in failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(failures, false)
}
