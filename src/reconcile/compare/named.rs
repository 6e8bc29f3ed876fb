//! The paths that a manifest names, and what of them a review does not compare.

use super::snapshot::Snapshot;
use super::tree::Found;
use crate::manifest::environment::{Environment, Identity, Source};
use crate::manifest::provision::{Machine, Module, ModuleSource};
use crate::manifest::tracker::Issuer;
use crate::manifest::{self, Manifest};
use crate::model::secret::SecretSource;
use crate::model::state::Kind;
use crate::resource::contract::record::DigestKey;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Returns the paths that the manifest names for an environment, each with the kind of resource that it affects.
pub fn named(environment: &Environment, manifest: &Manifest) -> Vec<(Kind, Utf8PathBuf)> {
    let mut named = Vec::new();
    if let Some(application) = &environment.application {
        named.extend(application.archives.values().map(|path| (Kind::Images, path.clone())));
        match &application.source {
            Source::Compose(compose) => named.push((Kind::Files, compose.directory.clone())),
            Source::Tracker(tracker) => {
                named.push((Kind::Files, tracker.templates.clone()));
                if let Some(Issuer::Acme { root: Some(root), .. }) = tracker.tls.as_ref().map(|tls| &tls.issuer) {
                    named.push((Kind::Files, root.clone()));
                }
            }
        }
    }
    named.extend(recipe(environment).map(|(_, directory)| (Kind::Infrastructure, directory)));
    if let Some(Identity::File(path)) = &environment.ssh.identity {
        named.push((Kind::Access, path.clone()));
    }
    let sources = RefCell::new(Vec::new());
    let gather = |source: &SecretSource| {
        sources.borrow_mut().extend(read_by(source, &manifest.directory).into_iter().map(|path| (Kind::Access, path)));
        Value::Null
    };
    manifest::describe_with(environment, &gather);
    manifest::describe_shared(manifest, environment, &gather);
    named.extend(sources.into_inner());
    named
}

/// Returns the files that the source of a value may read or run.
fn read_by(source: &SecretSource, directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    match source {
        SecretSource::File { path, .. } => vec![path.clone()],
        SecretSource::Command { argv, .. } => {
            argv.iter().filter(|word| word.contains('/')).map(|word| directory.join(word)).collect()
        }
        SecretSource::Literal { .. } | SecretSource::Environment { .. } => Vec::new(),
    }
}

/// Returns a digest of the tracked files that the source of a value reads or runs, or `None` if there are none.
pub fn content(
    source: &SecretSource,
    snapshot: &Snapshot<'_>,
    directory: &Utf8Path,
    key: &DigestKey,
) -> Option<String> {
    let entries = read_by(source, directory).into_iter().filter_map(|path| match snapshot.find(&path) {
        Found::Entry(_, entry) => Some(entry.id.clone()),
        _ => None,
    });
    let ids: Vec<String> = entries.collect();
    (!ids.is_empty()).then(|| format!("keyed:{}", key.digest(blake3::hash(ids.join(" ").as_bytes()).as_bytes())))
}

/// Returns what is not compared below the named paths: kind → path in the tree → reason.
pub fn gaps(named: &[(Kind, Utf8PathBuf)], snapshot: &Snapshot<'_>) -> BTreeMap<Kind, BTreeMap<String, String>> {
    let mut gaps: BTreeMap<Kind, BTreeMap<String, String>> = BTreeMap::new();
    for (kind, path) in named {
        let found = snapshot.tree.gaps(path.strip_prefix(&snapshot.root).ok());
        gaps.entry(*kind).or_default().extend(found);
    }
    gaps
}

/// Returns the directory of the repository that OpenTofu uses, a module or the user's own templates, and what it is.
pub fn recipe(environment: &Environment) -> Option<(&'static str, Utf8PathBuf)> {
    let provision = environment.provision.as_ref()?;
    match &provision.machine {
        Machine::Module(Module { source: ModuleSource::Directory(path), .. }) => {
            Some(("files of the module", path.clone()))
        }
        Machine::Module(_) => None,
        machine => Some(("templates of the machine", provision.templates.join(machine.name()))),
    }
}
