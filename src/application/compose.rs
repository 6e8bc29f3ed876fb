//! The files of a Docker Compose application: the user's own directory, its templates rendered, its `.env` completed.
//! Never contacts a host.

use super::release::Release;
use super::{ENV, Files, builds, compose_files, dotenv, in_memory, invalid, seed, text, tree};
use crate::failure::Failure;
use crate::manifest::environment::Application;
use crate::manifest::environment::Compose;
use crate::secret::Variable;
use crate::template;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;

/// The release that the directory makes, without archives and logins.
pub fn files(
    compose: &Compose,
    application: &Application,
    values: &BTreeMap<String, Variable>,
) -> Result<Release, Vec<Failure>> {
    let directory = &compose.directory;
    let mut files = tree::walk(directory, &application.archives.values().map(Utf8PathBuf::as_path).collect())?;
    if compose.templates {
        render(directory, &mut files, values)?;
    }
    let own_env = files.remove(Utf8Path::new(ENV));
    let known = own_env.as_ref().is_none_or(|file| file.sha256.is_some());
    let own_env = own_env.map(|file| text(directory, Utf8Path::new(ENV), &file)).transpose().map_err(|f| vec![f])?;
    let mut failures = Vec::new();
    if !values.is_empty() || own_env.is_some() {
        match env_text(directory, own_env.as_deref(), values) {
            Ok(text) => {
                let secret = own_env.is_some() || values.values().any(|variable| variable.secret);
                files.insert(ENV.into(), in_memory(text.filter(|_| known), 0o600, secret));
            }
            Err(several) => failures.extend(several),
        }
    }
    let wanted = compose_files::wanted(compose, own_env.as_deref(), values);
    match wanted.and_then(|wanted| compose_files::find(directory, &wanted, &files)) {
        Ok(compose_files) => {
            let (builds, refused) = builds::contexts(directory, &compose_files, &files);
            failures.extend(refused);
            failures.extend(seed::mark(&compose.seed, &compose_files, &mut files));
            let release = Release { files, compose_files, builds, ..Release::default() };
            if failures.is_empty() { Ok(release) } else { Err(failures) }
        }
        Err(several) => Err(failures.into_iter().chain(several).collect()),
    }
}

/// Replaces every `NAME.tera` by the `NAME` it renders to.
fn render(directory: &Utf8Path, files: &mut Files, values: &BTreeMap<String, Variable>) -> Result<(), Vec<Failure>> {
    let names: Vec<Utf8PathBuf> =
        files.keys().filter(|path| path.file_name().is_some_and(template::is_name)).cloned().collect();
    let mut sources = BTreeMap::new();
    let mut modes = BTreeMap::new();
    for path in names {
        let Some(file) = files.remove(&path) else { continue };
        sources.insert(path.to_string(), text(directory, &path, &file).map_err(|f| vec![f])?);
        modes.insert(path.to_string(), file.mode);
    }
    let mut failures = Vec::new();
    for (name, rendered) in template::render(directory, &sources, values)? {
        let path = Utf8PathBuf::from(name.strip_suffix(template::SUFFIX).unwrap_or(&name));
        if let Some(other) = files.keys().find(|other| other.starts_with(&path) || path.starts_with(other)) {
            failures.push(
                invalid(format!("{} and {} become the same file", directory.join(&name), directory.join(other)))
                    .hint("Remove or rename one of them"),
            );
            continue;
        }
        let mode = modes.get(&name).copied().unwrap_or(0o644);
        let mode = if rendered.secret && private(&directory.join(&name)) { 0o600 } else { mode };
        files.insert(path, in_memory(rendered.text, mode, rendered.secret));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Whether a template is kept so that only its owner reads it.
fn private(template: &Utf8Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(template).is_ok_and(|data| data.permissions().mode() & 0o777 & !0o600 == 0)
}

/// The `.env` of the release: the manifest's variables over the application's own file.
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
