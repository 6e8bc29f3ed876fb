//! A manifest against an earlier one: what the entries and the rendered files of both say, without any host. Never
//! resolves a secret and never runs a command that a manifest names.

mod checkout;

pub use checkout::{Checkout, checkout};

use crate::application;
use crate::application::release::Release;
use crate::diff;
use crate::event::{Action, PlanView, PlannedStep};
use crate::failure::Failure;
use crate::manifest::{self, Manifest, environment::Environment};
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::preview;
use crate::saved;
use crate::secret::{self, Redactor, SecretSource, Variable};
use crate::state::{Kind, Stage, State};
use crate::step::{self, HostFacts, record::DigestKey, remove};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The beginning of facts that are settings of the manifest's entry.
const SETTING: &str = "setting ";

/// One environment as one of the two manifests has it.
struct Side {
    prepared: Prepared,
    state: State,
    /// The texts that may be shown, by the file they become.
    texts: BTreeMap<Utf8PathBuf, String>,
}

/// What a comparison found.
pub struct Compared {
    /// The plan.
    pub view: PlanView,
    /// What of the manifests cannot be rendered, the present one.
    pub failures: Vec<Failure>,
    /// Environments whose earlier form cannot be rendered: they are shown as new.
    pub unreadable: Vec<(String, Failure)>,
}

/// The steps that would bring what `old` says to what `new` says, for the environments named.
pub async fn compare(old: Option<&Manifest>, new: &Manifest, names: &BTreeSet<String>) -> Compared {
    // One key for both sides, so that secrets written in the manifests compare.
    let key = DigestKey::new(*blake3::hash(uuid::Uuid::new_v4().as_bytes()).as_bytes());
    let (mut steps, mut converged, mut depends_on) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (mut failures, mut unreadable) = (Vec::new(), Vec::new());
    for environment in new.environments.values().filter(|one| names.contains(one.name.as_str())) {
        let name = environment.name.to_string();
        depends_on.insert(name.clone(), environment.depends_on.iter().map(ToString::to_string).collect());
        let before = old.and_then(|old| old.environments.get(&environment.name));
        let shared = |image: &String| before.is_none_or(|before| exists(before, image)) && exists(environment, image);
        let now = match side(environment, &new.directory, &key, &shared).await {
            Ok(side) => side,
            Err(more) => {
                failures.extend(more.into_iter().map(|failure| failure.on(&name)));
                continue;
            }
        };
        let before = match before.zip(old) {
            None => None,
            Some((before, old)) => match side(before, &old.directory, &key, &shared).await {
                Ok(side) => Some(side),
                Err(more) => {
                    unreadable.extend(more.into_iter().next().map(|failure| (name.clone(), failure)));
                    None
                }
            },
        };
        let own = between(before, now);
        if own.is_empty() {
            converged.push(name);
        }
        steps.extend(own);
    }
    let mut view = Plan::new(steps, &depends_on).view(converged);
    view.project = new.project.to_string();
    let place = |one: &Environment| Some((one.name.to_string(), new.place(&one.name)?.clone()));
    view.places = new.environments.values().filter_map(place).collect();
    Compared { view, failures, unreadable }
}

/// Whether the archive of an image is on this machine: it need not be in the repository.
fn exists(environment: &Environment, image: &String) -> bool {
    let archives = environment.application.as_ref().map(|application| &application.archives);
    archives.and_then(|archives| archives.get(image)).is_none_or(|path| path.exists())
}

async fn side(
    environment: &Environment,
    directory: &Utf8Path,
    key: &DigestKey,
    shared: &dyn Fn(&String) -> bool,
) -> Result<Side, Vec<Failure>> {
    let mut environment = environment.clone();
    let mut release = None;
    if let Some(own) = &mut environment.application {
        own.archives.retain(|image, _| shared(image));
        release = Some(application::load(own, &values(&own.variables).await)?);
    }
    let redactor = Arc::new(Redactor::default());
    let prepared =
        Prepared { environment, release, redactor, fallback_key: key.clone(), retry: false, met: BTreeMap::new() };
    // What every supported host has.
    let mut facts = HostFacts::default();
    facts.access.systemd = true;
    let mut state = step::desired(&prepared.subject(), &facts);
    let told = manifest::describe(&prepared.environment);
    for (setting, value) in saved::settings(&told[prepared.name()], directory, &[]) {
        let own = state.0.entry(kind_of(&setting)).or_default();
        own.insert(format!("{SETTING}{setting}"), value);
    }
    let texts = texts(&prepared, directory, state.0.entry(Kind::Files).or_default());
    Ok(Side { prepared, state, texts })
}

/// The values that stand in the manifest, or that it says are no secrets.
async fn values(sources: &BTreeMap<String, SecretSource>) -> BTreeMap<String, Variable> {
    let mut values = BTreeMap::new();
    for (name, source) in sources {
        let known = match source {
            SecretSource::Literal { .. }
            | SecretSource::Environment { secret: false, .. }
            | SecretSource::File { secret: false, .. } => secret::resolve(source).await.ok(),
            _ => None,
        };
        let unknown = Variable { value: None, secret: true };
        let variable = known.map_or(unknown, |value| Variable { value: Some(value.text), secret: value.secret });
        values.insert(name.clone(), variable);
    }
    values
}

/// The kind whose steps bring a setting about.
fn kind_of(setting: &str) -> Kind {
    match setting.split(['.', ' ']).next().unwrap_or_default() {
        "provisioned" => Kind::Infrastructure,
        "registered" | "ssh" | "public_addresses" => Kind::Access,
        "configure" => Kind::Engine,
        "application" => Kind::Files,
        _ => Kind::Services,
    }
}

/// The texts of files that may be shown. A file that waits for a secret is compared, and shown, as the template that it
/// is made from.
///
/// What a link leads to outside of the application and the manifest's directory is not shown: whoever wrote the link need
/// not be one who may read it.
fn texts(prepared: &Prepared, directory: &Utf8Path, facts: &mut crate::state::Facts) -> BTreeMap<Utf8PathBuf, String> {
    let mut texts = BTreeMap::new();
    let Some((release, application)) = prepared.release.as_ref().zip(prepared.environment.application.as_ref()) else {
        return texts;
    };
    let own = application.directory().unwrap_or(directory);
    let real = |path: &Utf8Path| path.canonicalize_utf8().ok();
    let roots: Vec<Utf8PathBuf> = [directory, own].into_iter().filter_map(real).collect();
    let leaves =
        |name: &str| real(&own.join(name)).is_some_and(|real| !roots.iter().any(|root| real.starts_with(root)));
    for (path, file) in &release.files {
        if file.seed || leaves(path.as_str()) || leaves(&format!("{path}{TEMPLATE}")) {
            continue;
        }
        if file.sha256.is_some() {
            texts.extend(preview::text(file).filter(|_| !file.secret).map(|text| (path.clone(), text)));
        } else if let Ok(text) = std::fs::read_to_string(own.join(format!("{path}{TEMPLATE}"))) {
            let digest = blake3::hash(text.as_bytes()).to_hex();
            facts.insert(path.to_string(), format!("{:04o} template {}", file.mode, &digest[..32]));
            texts.insert(path.clone(), text);
        }
    }
    texts
}

/// What a template's name ends with.
const TEMPLATE: &str = ".tera";

/// The steps of one environment.
fn between(before: Option<Side>, mut now: Side) -> Vec<PlannedStep> {
    let name = now.prepared.name().to_owned();
    let stage = now.prepared.environment.stage;
    let Some(before) = before else {
        for facts in now.state.0.values_mut() {
            facts.retain(|fact, _| !fact.starts_with(SETTING));
        }
        let none = |_: Kind, _: &BTreeMap<Kind, BTreeSet<String>>| None;
        let kinds = now.prepared.subject().kinds(stage);
        let mut steps = diff::diff(&name, &kinds, &State::default(), &now.state, &|_| false, &none);
        annotate(&mut steps, &BTreeMap::new(), &now.texts, now.prepared.release.as_ref());
        return steps;
    };
    if stage == Stage::Destroyed && before.prepared.environment.stage != Stage::Destroyed {
        return removal(&name, &before.state);
    }
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| before.state.0.contains_key(kind) || now.state.0.contains_key(kind))
        .collect();
    let subject = now.prepared.subject();
    let follows = |kind: Kind, changed: &BTreeMap<Kind, BTreeSet<String>>| match kind {
        Kind::Images => {
            changed.get(&Kind::Files).filter(|files| step::images::follows(&subject, files)).map(|_| Kind::Files)
        }
        Kind::Services => [Kind::Files, Kind::Images].into_iter().find(|leader| changed.contains_key(leader)),
        _ => None,
    };
    let mut steps = diff::diff(&name, &kinds, &before.state, &now.state, &|_| false, &follows);
    annotate(&mut steps, &before.texts, &now.texts, now.prepared.release.as_ref());
    steps
}

fn removal(name: &str, before: &State) -> Vec<PlannedStep> {
    let there = |kind: &Kind| before.0.get(kind).is_some_and(|facts| !facts.is_empty());
    let step = |kind| PlannedStep {
        environment: name.to_owned(),
        kind,
        action: Action::Remove,
        reason: "destroyed".to_owned(),
        destructive: true,
        changes: Vec::new(),
    };
    remove::ORDER.into_iter().filter(there).map(step).collect()
}

/// Adds diffs of what may be shown, and says what is secret.
fn annotate(
    steps: &mut [PlannedStep],
    old: &BTreeMap<Utf8PathBuf, String>,
    new: &BTreeMap<Utf8PathBuf, String>,
    release: Option<&Release>,
) {
    for change in steps.iter_mut().filter(|step| step.kind == Kind::Files).flat_map(|step| &mut step.changes) {
        let path = Utf8Path::new(&change.fact);
        let (before, after) = (old.get(path), new.get(path));
        if before.is_some() && (after.is_some() || change.to.is_none()) {
            let (before, after) = (before.map_or("", String::as_str), after.map_or("", String::as_str));
            change.diff = (before != after).then(|| preview::unified(before, after));
        }
        let file = release.and_then(|release| release.files.get(path));
        change.note = match file {
            Some(file) if file.sha256.is_none() && new.contains_key(path) => {
                Some("its template; secrets are not compared".to_owned())
            }
            Some(file) if file.secret && change.from.is_some() => Some("secret, changed".to_owned()),
            Some(file) if file.secret => Some("secret".to_owned()),
            _ => None,
        };
    }
}
