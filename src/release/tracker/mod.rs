//! The files of the Torrust tracker stack: the built-in templates or the user's own, rendered with the settings of the
//! manifest. Contacts no host. Secrets are written only to `.env`, from which Compose passes them on.

mod templates;
mod view;

use super::sent::{Directories, Owner, Place};
use super::{ENV, Files, content, dotenv, in_memory, invalid};
use crate::manifest::environment::Application;
use crate::manifest::tracker::{API_TOKEN, DATABASE_PASSWORD, Database, Issuer, Tracker};
use crate::model::failure::Failure;
use crate::model::secret::Variable;
use crate::release::template;
use camino::{Utf8Path, Utf8PathBuf};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use view::View;

/// The stack's Compose files: the built-in one, and a user's file that is merged over it.
const COMPOSE: [&str; 2] = ["compose.yaml", "compose.override.yaml"];
/// The template that lists the directories to create once on the host, one `OWNER PATH` per line.
const DIRECTORIES: &str = "directories";
/// The folder in a service's directory with texts that Compose places into the container. They may refer to secrets, so
/// they are not written as files on the host.
const CONTENTS: &str = "configs/";

/// Returns the files of the stack, the names of its Compose files, and the directories it needs.
///
/// # Errors
/// Every template that does not render, and the certificate if it cannot be read.
pub fn files(
    tracker: &Tracker,
    application: &Application,
    values: &BTreeMap<String, Variable>,
) -> Result<(Files, Vec<String>, Directories), Vec<Failure>> {
    let mut view = View::of(tracker, application);
    let sources = templates::of(&view.services, &tracker.templates, application)?;
    let templates = template::parse(&tracker.templates, &sources.templates)?;
    for (name, text) in templates.view(&view, |name| name.contains(CONTENTS))? {
        let short = name.rsplit('/').next().unwrap_or(&name).trim_end_matches(template::SUFFIX);
        view.contents.insert(short.to_owned(), text);
    }
    let mut files = Files::new();
    files.extend(sources.files.into_iter().map(|(path, file)| (place(path.as_str()), file)));
    let mut directories = Directories::new();
    for (name, text) in templates.view(&view, |name| !name.contains(CONTENTS))? {
        let path = name.trim_end_matches(template::SUFFIX);
        if path == DIRECTORIES {
            directories = lines(&tracker.templates.join(&name), &text).map_err(|failure| vec![failure])?;
        } else {
            files.insert(place(path), in_memory(Some(text), 0o644, false));
        }
    }
    if let Some(Issuer::Acme { root: Some(root), .. }) = tracker.tls.as_ref().map(|tls| &tls.issuer) {
        let bytes = certificate(root).map_err(|error| vec![content::unreadable(root, &error)])?;
        files.insert("storage/caddy/etc/root.pem".into(), super::of_bytes(bytes, 0o644));
    }
    let variables = variables(tracker, values);
    let text = dotenv::merge("", &variables).map_err(|problems| {
        problems.into_iter().map(|problem| problem.into_failure(Utf8Path::new(ENV))).collect::<Vec<_>>()
    })?;
    files.insert(ENV.into(), in_memory(text, 0o600, true));
    let compose = COMPOSE.into_iter().filter(|name| files.contains_key(Utf8Path::new(name)));
    let compose = compose.map(str::to_owned).collect();
    Ok((files, compose, directories))
}

/// Reads the certificate that the manifest names.
fn certificate(path: &Utf8Path) -> std::io::Result<Vec<u8>> {
    let real = Utf8PathBuf::try_from(path.canonicalize()?).map_err(camino::FromPathBufError::into_io_error)?;
    let root = real.parent().unwrap_or(&real).to_owned();
    let path = real.file_name().unwrap_or_default().into();
    Place { root, path }.read(content::LARGEST_TEXT)
}

/// Returns the path of a template's file below the host directory. Files of a service are next to its data.
fn place(name: &str) -> Utf8PathBuf {
    if name.contains('/') { Utf8Path::new("storage").join(name) } else { name.into() }
}

/// Returns the variables of the manifest and the variables that are derived from them.
fn variables(tracker: &Tracker, values: &BTreeMap<String, Variable>) -> BTreeMap<String, Variable> {
    let mut all = values.clone();
    let mut derive = |from: &str, name: &str, make: &dyn Fn(&str) -> String| {
        if let Some(source) = values.get(from) {
            let value = source.value.as_ref().map(|value| make(value.expose_secret()).into());
            all.insert(name.to_owned(), Variable { value, secret: true });
        }
    };
    derive(API_TOKEN, "TRACKER_API_TOKEN_QUOTED", &|token| serde_json::json!(token).to_string());
    derive(API_TOKEN, "TRACKER_API_TOKEN_SETTING", &setting);
    if let Database::Mysql { user, database, host, port, .. } = &tracker.database {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let host = host.as_deref().unwrap_or("mysql");
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        derive(DATABASE_PASSWORD, "TRACKER_DATABASE_URL", &|password| {
            format!("mysql://{}:{}@{host}:{port}/{}", encode(user), encode(password), database)
        });
    }
    all
}

/// Returns a text in the form of a tracker setting in its environment, where an unquoted `007` would be a number and
/// `[a]` a list. A text in quotes is a string. A text that contains quotes or backslashes is returned unchanged,
/// because it is read as a string.
fn setting(text: &str) -> String {
    if text.contains(['"', '\\']) { text.to_owned() } else { format!("\"{text}\"") }
}

/// Reads the list of directories.
fn lines(template: &Utf8Path, text: &str) -> Result<Directories, Failure> {
    let mut found = Directories::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parsed = line.split_once(' ').and_then(|(owner, path)| {
            let below = !path.starts_with('/') && !path.split('/').any(|part| part == "..") && !path.contains('\'');
            Some((path, Owner::parse(owner)?)).filter(|_| below && !path.is_empty())
        });
        let Some((path, owner)) = parsed else {
            let hint = "Write `user PATH` or `UID:GID PATH` on each line, paths relative to the host directory";
            return Err(invalid(format!("{template} produces a line that names no directory: {line}")).hint(hint));
        };
        found.insert(path.into(), owner);
    }
    Ok(found)
}
