//! The templates of the tracker stack: those in this program, replaced file by file by those beside the manifest.
//! Never renders one.

use crate::application::invalid;
use crate::failure::Failure;
use crate::template;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};

macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../../templates/tracker/", $name)))),*]
    };
}

/// What belongs to one service lies in a directory of its name.
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

/// What the backup's script calls to handle files that services can change.
const GUARD: (&str, &[u8]) = ("backup/etc/guard.sh", include_bytes!("../../step/guard.sh"));

/// What a stack is made from.
#[derive(Default)]
pub struct Sources {
    /// Templates by name.
    pub templates: BTreeMap<String, String>,
    /// Files that are sent as they are, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The sources of a stack with these services; what lies in `own` goes before what lies in this program.
///
/// # Errors
/// Everything in `own` that cannot be read.
pub fn of(services: &BTreeSet<&'static str>, own: &Utf8Path) -> Result<Sources, Vec<Failure>> {
    let mut all: BTreeMap<String, Vec<u8>> =
        EMBEDDED.iter().chain([&GUARD]).map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    if own.exists() {
        for (name, bytes) in read(own)? {
            // A file takes the place of a template of its name, and the other way round.
            all.remove(&format!("{name}{}", template::SUFFIX));
            all.remove(name.trim_end_matches(template::SUFFIX));
            all.insert(name, bytes);
        }
    }
    all.retain(|name, _| name.split_once('/').is_none_or(|(service, _)| services.contains(service)));
    let (mut sources, mut failures) = (Sources::default(), Vec::new());
    for (name, bytes) in all {
        if !template::is_name(name.rsplit('/').next().unwrap_or(&name)) {
            sources.files.insert(name, bytes);
            continue;
        }
        match String::from_utf8(bytes) {
            Ok(text) => _ = sources.templates.insert(name, text),
            Err(_) => failures.push(invalid(format!("{} is not UTF-8 text", own.join(&name)))),
        }
    }
    if failures.is_empty() { Ok(sources) } else { Err(failures) }
}

fn read(own: &Utf8Path) -> Result<BTreeMap<String, Vec<u8>>, Vec<Failure>> {
    if !own.is_dir() {
        return Err(vec![invalid(format!("{own} is not a directory")).hint("It is where templates of your own lie")]);
    }
    let (mut found, mut failures) = (BTreeMap::new(), Vec::new());
    for entry in walkdir::WalkDir::new(own).follow_links(true).sort_by_file_name().min_depth(1) {
        let unreadable =
            |error: &dyn std::fmt::Display| invalid(format!("{own} cannot be read")).details(error.to_string());
        match entry {
            Err(error) => failures.push(unreadable(&error)),
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => match (Utf8PathBuf::try_from(entry.path().to_owned()), std::fs::read(entry.path())) {
                (Ok(path), Ok(bytes)) => {
                    let name = path.strip_prefix(own).map_or(path.to_string(), ToString::to_string);
                    found.insert(name, bytes);
                }
                (Err(error), _) => failures.push(unreadable(&error)),
                (_, Err(error)) => failures.push(unreadable(&error)),
            },
        }
    }
    if failures.is_empty() { Ok(found) } else { Err(failures) }
}
