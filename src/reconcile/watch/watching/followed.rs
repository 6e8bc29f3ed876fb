//! The sources of `watch`: the manifest and the files that environments are made from. Reports changes to the schedule,
//! and starts no pass.

use super::{Good, LOOK, LOOK_OFTEN, Watching};
use crate::io::store::Store;
use crate::manifest::Manifest;
use crate::manifest::environment::Environment;
use crate::manifest::{LARGEST, below};
use crate::model::event::{Event, Happening};
use crate::model::failure::Failure;
use crate::reconcile::context::Context;
use crate::reconcile::pass::Pass;
use crate::reconcile::watch::sources::{self, Sources};
use crate::reconcile::watch::{Settings, say};
use camino::Utf8PathBuf;
use std::sync::Arc;
use std::time::Instant;

impl Watching<'_> {
    /// Reads the manifest and all files that environments are made from, if they changed.
    pub(super) async fn refresh(&mut self) {
        self.arm();
        let now = Instant::now();
        self.look = now + if self.armed { LOOK.min(self.settings.interval) } else { LOOK_OFTEN };
        let file = Utf8PathBuf::from(&self.context.file);
        let text = tokio::task::spawn_blocking(move || below::text(&file, LARGEST as u64)).await;
        let same = text.is_ok_and(|text| text.is_ok_and(|text| *text == *self.manifest.text));
        if !same {
            match read(self.context, self.settings, Some((&self.manifest, &self.store))).await {
                Ok(good) => {
                    let message = format!("the manifest changed: {} to check", count(good.environments.len()));
                    self.mended();
                    self.follow(good);
                    return say(self.context, Happening::ManifestChanged, None, message);
                }
                Err(failures) => self.keep(&failures),
            }
        } else if self.invalid.is_some() {
            self.mended();
        }
        for name in self.changed() {
            say(self.context, Happening::FilesChanged, Some(&name), "its source files changed");
            self.quarantine.lift(&name);
            self.schedule.touch(&name, self.begun.elapsed());
        }
    }

    /// Follows this manifest from now on.
    pub(super) fn follow(&mut self, good: Good) {
        (self.manifest, self.environments, self.store) = (good.manifest, good.environments, good.store);
        self.arm();
        self.changed();
        self.release();
        let needs = |environment: &Environment| environment.depends_on.iter().map(ToString::to_string).collect();
        let needs = self.environments.iter().map(|(name, environment)| (name.clone(), needs(environment))).collect();
        self.schedule.renew(&needs, self.begun.elapsed());
        self.quarantine.lift_all();
        self.said.clear();
        self.board_mut().renew(self.environments.keys().map(String::as_str));
    }

    /// Keeps the last valid manifest, and reports the reason once.
    fn keep(&mut self, failures: &[Failure]) {
        let why = failures.iter().map(Failure::message).collect::<Vec<_>>().join("; ");
        if self.invalid.as_ref() == Some(&why) {
            return;
        }
        self.board_mut().invalid = Some(why.clone());
        self.invalid = Some(why);
        for failure in failures {
            self.context.say(Event::Failure(failure.clone()));
        }
        say(
            self.context,
            Happening::ManifestInvalid,
            None,
            "the manifest is not valid; the last valid one stays in use",
        );
    }

    fn mended(&mut self) {
        if self.invalid.take().is_some() {
            self.board_mut().invalid = None;
            say(self.context, Happening::ManifestMended, None, "the manifest is valid again");
        }
    }

    fn sources(&self) -> Sources {
        let mut all = Sources::default();
        all.files.insert(self.context.directory.join(&self.context.file));
        for environment in self.environments.values() {
            let own = sources::of(environment);
            all.files.extend(own.files);
            all.trees.extend(own.trees);
        }
        all
    }

    pub(super) fn arm(&mut self) {
        let sources = self.sources();
        self.armed = self.watch.as_mut().is_some_and(|watch| watch.arm(&sources));
    }

    /// Returns the environments whose files changed.
    pub(super) fn changed(&mut self) -> Vec<String> {
        let (prints, environments) = (&mut self.prints, &self.environments);
        let digest =
            |(name, environment): (&String, &Environment)| (name.clone(), prints.digest(&sources::of(environment)));
        let digests = tokio::task::block_in_place(|| environments.iter().map(digest).collect());
        let before = std::mem::replace(&mut self.digests, digests);
        let differs = |name: &&String| before.get(*name).is_some_and(|digest| self.digests.get(*name) != Some(digest));
        self.digests.keys().filter(differs).cloned().collect()
    }
}

/// Reads the current manifest. `before` is the followed one; its store is kept if it is still the same.
pub(super) async fn read(
    context: &Context,
    settings: &Settings,
    before: Option<(&Arc<Manifest>, &Arc<Store>)>,
) -> Result<Good, Vec<Failure>> {
    let manifest = tokio::task::block_in_place(|| context.manifest())?;
    let manifest = Arc::new(manifest);
    let (url, directory) = context.admitted_store(&manifest).map_err(|failure| vec![failure])?;
    let store = match before {
        Some((before, store)) if context.store(Some(&before.state)) == (url.clone(), directory.clone()) => {
            Arc::clone(store)
        }
        _ => context.stores.open(&url, &directory).await.map_err(|failure| vec![failure])?,
    };
    let pass = Pass::over(context, Arc::clone(&manifest), Arc::clone(&store)).await.map_err(|failure| vec![failure])?;
    pass.orphans().await.map_err(|failure| vec![failure])?;
    let selected = pass.select(&settings.environments, true)?;
    pass.say_warnings(context);
    let environments = selected.into_iter().map(|environment| (environment.name.to_string(), environment)).collect();
    Ok(Good { manifest, environments, store })
}

pub(super) fn count(environments: usize) -> String {
    if environments == 1 { "1 environment".to_owned() } else { format!("{environments} environments") }
}
