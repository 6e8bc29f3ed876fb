//! The templates of the tracker stack: the built-in ones, replaced file by file by the user's own next to the manifest.
//! Renders no template.

use crate::manifest::environment::Application;
use crate::model::failure::Failure;
use crate::model::shell::guarded;
use crate::release::content::text;
use crate::release::sent::{Content, File};
use crate::release::template;
use crate::release::tree::{self, Wish};
use crate::release::{Files, invalid, of_bytes};
use camino::Utf8Path;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../../templates/tracker/", $name)))),*]
    };
}

/// The built-in files. Files of one service are in a directory of its name.
const EMBEDDED: &[(&str, &[u8])] = embedded! {
    "compose.yaml.tera"
    "directories.tera"
    "tracker/etc/tracker.toml.tera"
    "mysql/etc/entrypoint.sh"
    "mysql/etc/account.sh"
    "prometheus/configs/prometheus.yml.tera"
    "grafana/provisioning/datasources/prometheus.yml.tera"
    "grafana/provisioning/dashboards/tracker.yml"
    "grafana/dashboards/stats.json"
    "grafana/dashboards/metrics.json"
    "caddy/etc/Caddyfile.tera"
    "backup/etc/backup.sh.tera"
};

/// Shell functions for the backup script: they handle files that services can change, and start containers that mount
/// them.
const FUNCTIONS: [(&str, &[u8]); 2] =
    [("backup/etc/guard.sh", guarded::GUARD.as_bytes()), ("backup/etc/mounted.sh", guarded::MOUNTED.as_bytes())];

/// The source files of a stack.
#[derive(Default)]
pub struct Sources {
    /// Templates by name.
    pub templates: BTreeMap<String, String>,
    /// Files that are sent unchanged, by name.
    pub files: Files,
}

/// Returns the sources of a stack with these services. A file in `own` has precedence over a built-in one.
///
/// # Errors
/// A file in `own` that cannot be read, or a link that leads out of `own` (one failure each).
pub fn of(
    services: &BTreeSet<&'static str>,
    own: &Utf8Path,
    application: &Application,
) -> Result<Sources, Vec<Failure>> {
    let embedded = EMBEDDED.iter().chain(&FUNCTIONS).map(|(name, bytes)| {
        let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
        ((*name).to_owned(), of_bytes(bytes.to_vec(), mode))
    });
    let mut all: BTreeMap<String, File> = embedded.collect();
    if own.exists() {
        for (path, file) in read(own, application)? {
            let name = path.into_string();
            // A file replaces a template of its name, and the other way round.
            all.remove(&format!("{name}{}", template::SUFFIX));
            all.remove(name.trim_end_matches(template::SUFFIX));
            all.insert(name, file);
        }
    }
    all.retain(|name, _| name.split_once('/').is_none_or(|(service, _)| services.contains(service)));
    let (mut sources, mut failures) = (Sources::default(), Vec::new());
    for (name, file) in all {
        if !template::is_name(name.rsplit('/').next().unwrap_or(&name)) {
            sources.files.insert(name.into(), file);
            continue;
        }
        match text(own, Utf8Path::new(&name), &file) {
            Ok(text) => _ = sources.templates.insert(name, text),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(sources) } else { Err(failures) }
}

/// Reads the user's own templates and files. Scripts are made executable; a file that only its owner may read stays
/// private.
fn read(own: &Utf8Path, application: &Application) -> Result<Files, Vec<Failure>> {
    if !own.is_dir() {
        return Err(vec![
            invalid(format!("{own} is not a directory")).hint("Put your own templates into that directory"),
        ]);
    }
    let Application { withheld, scope, .. } = application;
    let mut files =
        tree::walk(own, Wish { except: &BTreeSet::new(), withheld, links: &[], copies: &BTreeSet::new(), scope })?
            .files;
    for file in files.values_mut().filter(|file| file.mode & 0o077 != 0) {
        let mut start = [0; 2];
        let script = matches!(&file.content, Content::Path(place)
            if place.open().and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!");
        file.mode = if script { 0o755 } else { 0o644 };
    }
    Ok(files)
}
