//! What every command that looks at hosts begins with: the manifest, the store, the environments asked
//! for, and one observation of each. Never changes a host.

use super::{Context, Ending};
use crate::event::{Event, Outcome, Sink};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use crate::manifest::environment::{Environment, Name};
use crate::manifest::{self, Manifest};
use crate::prepare::{self, Prepared};
use crate::reconcile::{self, Request};
use crate::standing;
use crate::store::{Record, Store};
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
    sink: Sink,
}

/// Whether a command may make the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It changes hosts: its journal must be writable before anything else.
    Always,
    /// It only looks: what it saw is saved where there is a store.
    IfThere,
    /// It looks at this machine alone.
    Never,
}

impl Pass {
    /// Reads the manifest, opens the store, says warnings.
    pub async fn open(context: &Context, keep: Keep) -> Result<Self, Vec<Failure>> {
        let manifest = manifest::load(context.file.as_str(), context.home.as_deref())?;
        let (url, directory) = context.store(Some(&manifest.state));
        let store = match keep {
            Keep::Always => Store::open(&url, &directory).await.map(Some),
            Keep::IfThere => Store::open_existing(&url, &directory).await,
            Keep::Never => Ok(None),
        };
        let store = store.map_err(|failure| vec![failure])?;
        let records = match &store {
            Some(store) => store.records(manifest.project.as_str()).await.map_err(|failure| vec![failure])?,
            None => BTreeMap::new(),
        };
        let (manifest, store) = (Arc::new(manifest), store.map(Arc::new));
        let pass = Self { manifest, store, records, failures: Vec::new(), sink: context.sink.clone() };
        pass.say_warnings(context);
        pass.orphans().map_err(|failure| vec![failure])?;
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
        let records = store.records(manifest.project.as_str()).await?;
        Ok(Self { manifest, store: Some(store), records, failures: Vec::new(), sink: context.sink.clone() })
    }

    /// Warns of environments that are recorded and no longer in the file; a file without any is refused
    /// while some are recorded.
    pub fn orphans(&self) -> Result<(), Failure> {
        if self.manifest.environments.is_empty() && !self.records.is_empty() {
            let names = self.records.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("{} holds no environments, though {names} are recorded", self.manifest.file);
            return Err(Failure::new(Reason::ManifestEmptied, message));
        }
        let known = |name: &str| self.manifest.environments.keys().any(|known| known.as_str() == name);
        for name in self.records.keys().filter(|name| !known(name)) {
            let message = "is recorded and no longer in the manifest; it is left as it is".to_owned();
            (self.sink)(Event::Warning { environment: Some(name.clone()), message });
        }
        Ok(())
    }

    /// The environments named, or all, with those they depend on where `closed`.
    pub fn select(&self, names: &[String], closed: bool) -> Result<Vec<Environment>, Vec<Failure>> {
        let all = &self.manifest.environments;
        let unknown = |name: &&String| !all.keys().any(|known| known.as_str() == name.as_str());
        let failures: Vec<Failure> = names.iter().filter(unknown).map(|name| self.unknown(name)).collect();
        if !failures.is_empty() {
            return Err(failures);
        }
        let mut wanted: BTreeSet<&Name> =
            all.keys().filter(|name| names.is_empty() || names.iter().any(|one| one == name.as_str())).collect();
        let mut open: Vec<&Name> = wanted.iter().copied().filter(|_| closed).collect();
        while let Some(name) = open.pop() {
            open.extend(all.get(name).into_iter().flat_map(|one| &one.depends_on).filter(|need| wanted.insert(need)));
        }
        Ok(all.values().filter(|environment| wanted.contains(&environment.name)).cloned().collect())
    }

    fn unknown(&self, name: &str) -> Failure {
        let names: Vec<&str> = self.manifest.environments.keys().map(Name::as_str).collect();
        let failure =
            Failure::new(Reason::UnknownEnvironment, format!("{} has no environment `{name}`", self.manifest.file));
        match manifest::nearest(name, names.iter().copied()) {
            Some(near) => failure.hint(format!("Did you mean `{near}`?")),
            None => failure.hint(format!("It has: {}", names.join(", "))),
        }
    }

    /// Says a failure and keeps it for the exit code.
    pub fn fail(&mut self, failure: Failure) {
        (self.sink)(Event::Failure(failure.clone()));
        self.failures.push(failure);
    }

    /// Whether something went well beside what failed.
    fn spared(&self, sessions: &Sessions) -> bool {
        let failed = |name: &String| self.failures.iter().any(|failure| failure.environment.as_ref() == Some(name));
        !sessions.keys().all(failed)
    }

    /// Resolves secrets and renders releases; an environment that fails is left out and said.
    pub async fn prepare(&mut self, environments: Vec<Environment>, offline: bool) -> Vec<Prepared> {
        let mut prepared = Vec::new();
        for environment in environments {
            match prepare::prepare(environment, offline).await {
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
            reconcile::observe(prepared, &self.records, request, &self.sink, &vouch).await
        };
        for (_, failure) in &failed {
            self.fail(failure.clone());
        }
        for (name, session) in &sessions {
            let session = session.lock().await;
            let before = self.records.get(name).and_then(|record| record.failed.clone());
            let record = standing::record(&session, (context.now)(), before);
            drop(session);
            self.save(name, record).await;
        }
        (sessions, failed)
    }

    /// Keeps a record, here and in the store where there is one.
    pub async fn save(&mut self, name: &str, record: Record) {
        if let Some(store) = &self.store
            && let Err(failure) = store.save(self.manifest.project.as_str(), name, &record).await
        {
            self.fail(failure);
        }
        self.records.insert(name.to_owned(), record);
    }

    /// Closes connections and the store; `outcome` holds where nothing failed.
    pub async fn close(self, sessions: Sessions, outcome: Outcome) -> Ending {
        let others = self.spared(&sessions);
        for session in sessions.into_values() {
            session.into_inner().host.close().await;
        }
        if let Some(store) = self.store.and_then(Arc::into_inner) {
            store.close().await;
        }
        if self.failures.is_empty() { Ending::ok(outcome) } else { Ending::of(&self.failures, others) }
    }
}

/// Asks at the terminal whether a host's key is to be trusted; no elsewhere.
pub fn vouch(context: &Context, failure: &Failure) -> bool {
    let question = format!("{}. Trust it? [y/N]", failure.message);
    context.render.ask(&question).is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Says failures that end a command at its beginning.
pub fn refuse(context: &Context, failures: &[Failure]) -> Ending {
    for failure in failures {
        context.say(Event::Failure(failure.clone()));
    }
    Ending::of(failures, false)
}
