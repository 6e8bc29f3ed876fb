//! The paths that a manifest names, and those that a review does not compare.

use super::git_tree::Kind as Entry;
use super::snapshot::Snapshot;
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
        // SSH reads the files with these names as well.
        named.extend(["", ".pub", "-cert.pub"].map(|suffix| (Kind::Access, format!("{path}{suffix}").into())));
    }
    let store = manifest::store_files(&manifest.state, &manifest.directory);
    named.extend(store.into_iter().map(|path| (Kind::Services, path)));
    let sources = sources(environment, manifest).into_iter();
    named.extend(sources.flat_map(|source| read_by(&source, &manifest.directory)).map(|path| (Kind::Access, path)));
    named
}

/// Returns the sources of all values of an environment.
fn sources(environment: &Environment, manifest: &Manifest) -> Vec<SecretSource> {
    let sources = RefCell::new(Vec::new());
    let gather = |source: &SecretSource| {
        sources.borrow_mut().push(source.clone());
        Value::Null
    };
    manifest::describe_with(environment, &gather);
    manifest::describe_shared(manifest, environment, &gather);
    sources.into_inner()
}

/// Returns the name of what runs on the runner for an environment and may read or run any file of the repository.
/// OpenTofu with deployer's own templates gets no path from the manifest, except in the settings of a backend.
pub fn programs(environment: &Environment, manifest: &Manifest, snapshot: &Snapshot<'_>) -> Option<&'static str> {
    let is_command = |source: &SecretSource| matches!(source, SecretSource::Command { .. });
    let commands = sources(environment, manifest).iter().any(is_command).then_some("from_command");
    let is_tofu = || {
        let provision = environment.provision.as_ref()?;
        let recipe = || recipe(environment).and_then(|(_, path)| snapshot.find(&path).directory());
        let is_module = matches!(provision.machine, Machine::Module(_));
        (is_module || provision.backend.is_some() || recipe().is_some()).then_some("OpenTofu")
    };
    commands.or_else(is_tofu)
}

/// Returns the files that the source of a value may read or run.
fn read_by(source: &SecretSource, directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    match source {
        SecretSource::File { path, .. } => vec![path.clone()],
        SecretSource::Command { argv, .. } => {
            argv.iter().filter(|word| !word.is_empty()).map(|word| directory.join(word)).collect()
        }
        SecretSource::Literal { .. } | SecretSource::Environment { .. } => Vec::new(),
    }
}

/// Returns digests of the tracked files that the manifest names in addition to those of its applications, by their
/// paths.
pub fn contents(
    named: &[(Kind, Utf8PathBuf)],
    snapshot: &Snapshot<'_>,
    key: &DigestKey,
) -> Vec<(Kind, String, String)> {
    let others = named.iter().filter(|(kind, _)| !matches!(kind, Kind::Files | Kind::Images));
    let content = |(kind, path): &(Kind, Utf8PathBuf)| {
        let (path, content) = content(path, snapshot, key)?;
        Some((*kind, path, content))
    };
    others.filter_map(content).collect()
}

/// Returns the path of a tracked file in the tree, and a digest of the file.
pub fn content(path: &Utf8Path, snapshot: &Snapshot<'_>, key: &DigestKey) -> Option<(String, String)> {
    let (at, entry) = snapshot.find(path).file()?;
    let mode = if entry.kind == Entry::File(true) { "0755" } else { "0644" };
    let digest = key.digest(blake3::hash(entry.id.as_bytes()).as_bytes());
    Some((at.into_string(), format!("{mode} keyed:{digest}")))
}

/// Returns what is not compared below the named paths: kind → path in the tree → reason.
pub fn gaps(named: &[(Kind, Utf8PathBuf)], snapshot: &Snapshot<'_>) -> BTreeMap<Kind, BTreeMap<String, String>> {
    let mut gaps: BTreeMap<Kind, BTreeMap<String, String>> = BTreeMap::new();
    for (kind, path) in named {
        let Ok(path) = path.strip_prefix(&snapshot.root) else { continue };
        let found = gaps.entry(*kind).or_default();
        found.extend(snapshot.tree.gaps(path));
        // Links of an application may be left out of it.
        if *kind != Kind::Files {
            found.extend(snapshot.tree.astray(path));
        }
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
