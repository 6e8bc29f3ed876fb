//! Builds the files of a Docker Compose application from the user's own directory: renders its templates and completes
//! its `.env`. Contacts no host.

use super::builds::Scanned;
use super::content::text;
use super::interpolation::Values;
use super::references::Paths;
use super::sent::Release;
use super::tree::{self, Wish};
use super::{ENV, Files, builds, compose_files, confidential, dotenv, env_files, in_memory, invalid, secrecy, seed};
use crate::manifest::environment::Application;
use crate::manifest::environment::Compose;
use crate::model::failure::Failure;
use crate::model::secret::{Redactor, Variable};
use crate::release::template;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Returns the release of the application's directory, without archives and registry logins.
pub fn files(
    compose: &Compose,
    application: &Application,
    values: &BTreeMap<String, Variable>,
    known: &Redactor,
) -> Result<Release, Vec<Failure>> {
    let directory = &compose.directory;
    let except = application.archives.values().map(Utf8PathBuf::as_path).collect();
    let wish = Wish {
        except: &except,
        withheld: &application.withheld,
        links: &compose.links,
        copies: &compose.copies,
        scope: &application.scope,
    };
    let mut tree = tree::walk(directory, wish)?;
    let mut files = std::mem::take(&mut tree.files);
    known.learn(&confidential::of(&files));
    let mut sources = if compose.templates { render(compose, &mut files, values)? } else { BTreeMap::new() };
    let own_env = files.remove(Utf8Path::new(ENV));
    let resolved = own_env.as_ref().is_none_or(|file| file.sha256.is_some());
    let own_env = own_env.map(|file| text(directory, Utf8Path::new(ENV), &file)).transpose().map_err(|f| vec![f])?;
    sources.extend(own_env.clone().filter(|_| resolved).map(|text| (ENV.into(), text)));
    let mut failures = Vec::new();
    let mut env = None;
    if !values.is_empty() || own_env.is_some() {
        match env_text(directory, own_env.as_deref(), values) {
            Ok(text) => {
                env = text.filter(|_| resolved);
                files.insert(ENV.into(), in_memory(env.clone(), 0o600, true));
            }
            Err(several) => failures.extend(several),
        }
    }
    let wanted = compose_files::wanted(compose, own_env.as_deref(), values);
    let compose_files = match wanted.and_then(|wanted| compose_files::find(directory, &wanted, &files, &tree)) {
        Ok(compose_files) => compose_files,
        Err(several) => return Err(failures.into_iter().chain(several).collect()),
    };
    let own = own_env.as_deref().and_then(|text| dotenv::statements(text).ok()).unwrap_or_default();
    let names = values.keys().map(String::as_str).chain(own.iter().map(|statement| statement.key));
    let (values, host_directory) = (&Values::of(env.as_deref(), names, !resolved), &*application.host_directory);
    let places = Paths { values, host_directory, budget: Rc::default() };
    let mut scanned = builds::scan(directory, &compose_files, &files, &places);
    failures.append(&mut scanned.failures);
    failures.extend(seed::mark(&compose.seed, &compose_files, &scanned.references, &mut files));
    secrecy::mark(&scanned.references, &mut files);
    env_files::close(&scanned.references, &scanned.contexts, &mut files);
    known.learn(&confidential::of(&files));
    failures.extend(secrecy::refused(directory, &tree, &compose.links, &scanned.references, &files));
    if !failures.is_empty() {
        return Err(failures);
    }
    if files.values().all(|file| file.sha256.is_some()) {
        sources.clear();
    }
    let other_project = other_project(&scanned, env.as_deref(), &application.project);
    let Scanned { contexts: builds, published, .. } = scanned;
    Ok(Release { files, compose_files, builds, published, other_project, sources, ..Release::default() })
}

/// Returns a warning if the application names a Compose project other than `project`, which it has on the host. Compose
/// would use the other one if somebody ran it by hand, and prefers the variable.
fn other_project(scanned: &Scanned, env: Option<&str>, project: &str) -> Option<String> {
    const VARIABLE: &str = "COMPOSE_PROJECT_NAME";
    let set = env.and_then(|env| dotenv::statements(env).ok()).unwrap_or_default();
    let set = set.into_iter().rev().find(|statement| statement.key == VARIABLE);
    let (name, place) = match (set.and_then(|statement| statement.value), &scanned.name) {
        (Some(name), _) => (name, format!("The variable {VARIABLE}")),
        (None, Some((name, at))) if !name.contains(VARIABLE) => {
            (name.as_str(), format!("{}:{}:{}", at.file, at.line, at.column))
        }
        _ => return None,
    };
    (name != project).then(|| {
        format!(
            "{place} names the Compose project {name}, but containers, networks and volumes get the name {project}. To \
             use the other name, set application.compose.project"
        )
    })
}

/// Replaces every `NAME.tera` by its rendered `NAME`, and returns the texts of the templates. A rendered file with a
/// secret is readable only by its owner, unless the manifest lists it as readable.
fn render(
    compose: &Compose,
    files: &mut Files,
    values: &BTreeMap<String, Variable>,
) -> Result<BTreeMap<Utf8PathBuf, String>, Vec<Failure>> {
    let directory = &compose.directory;
    let names: Vec<Utf8PathBuf> =
        files.keys().filter(|path| path.file_name().is_some_and(template::is_name)).cloned().collect();
    let mut sources = BTreeMap::new();
    let mut templates = BTreeMap::new();
    for path in names {
        let Some(file) = files.remove(&path) else { continue };
        sources.insert(path.to_string(), text(directory, &path, &file).map_err(|f| vec![f])?);
        templates.insert(path.to_string(), (file.mode, file.secret));
    }
    let mut failures = Vec::new();
    let results: BTreeSet<Utf8PathBuf> = sources.keys().map(|name| result(name)).collect();
    let mut readable = BTreeSet::new();
    for pattern in &compose.readable {
        match seed::matched("readable", pattern, results.iter()) {
            Ok(paths) => readable.extend(paths),
            Err(failure) => failures.push(failure),
        }
    }
    for (name, rendered) in template::render(directory, &sources, values)? {
        let path = result(&name);
        if let Some(other) = files.keys().find(|other| other.starts_with(&path) || path.starts_with(other)) {
            failures.push(
                invalid(format!("{} and {} become the same file", directory.join(&name), directory.join(other)))
                    .hint("Remove or rename one of them"),
            );
            continue;
        }
        let (mode, private) = templates.get(&name).copied().unwrap_or((0o644, false));
        let mode = match readable.contains(&path) {
            true if mode & 0o100 == 0 => 0o644,
            true => 0o755,
            false if rendered.secret => mode & 0o700,
            false => mode,
        };
        files.insert(path, in_memory(rendered.text, mode, rendered.secret || private));
    }
    let sources = sources.into_iter().map(|(name, text)| (name.into(), text)).collect();
    if failures.is_empty() { Ok(sources) } else { Err(failures) }
}

/// Returns the path of the file that a template is rendered to.
fn result(name: &str) -> Utf8PathBuf {
    name.strip_suffix(template::SUFFIX).unwrap_or(name).into()
}

/// Returns the `.env` of the release: the application's own file with the manifest's variables merged over it.
fn env_text(
    directory: &Utf8Path,
    own: Option<&str>,
    values: &BTreeMap<String, Variable>,
) -> Result<Option<String>, Vec<Failure>> {
    dotenv::merge(own.unwrap_or_default(), values).map_err(|problems| {
        let own = directory.join(ENV);
        problems.into_iter().map(|problem| problem.into_failure(&own)).collect()
    })
}
