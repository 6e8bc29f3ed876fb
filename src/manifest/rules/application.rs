//! Rules of the `application` section. Does not read the application's files.

use super::scalars::{image_name, switch};
use super::{Reading, paths, shown, tracker, values};
use crate::manifest::claim::Need;
use crate::manifest::environment::{Application, Compose, Pattern, Pull, Source};
use crate::manifest::faults::Report;
use crate::manifest::spec::{ApplicationSpec, ComposeSpec, TrackerSpec};
use crate::manifest::written::{Given, Written};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads the section of the environment whose identity on the host is `identity`.
pub fn read(spec: &Written<ApplicationSpec>, identity: &str, reading: &mut Reading<'_>) -> Option<Application> {
    match (&spec.value.compose.0, &spec.value.tracker.0) {
        (Some(compose), None) => Some(of_directory(compose, identity, reading)),
        (None, Some(tracker)) => Some(of_tracker(tracker, identity, reading)),
        (None, None) => {
            let hint = "Add `compose: { directory: ./app }` or `tracker: { … }`, or remove `application`";
            reading.report.fault(spec.spot, "`application` has neither `compose` nor `tracker`", hint);
            None
        }
        (Some(_), Some(tracker)) => {
            let message = "`application` has both `compose` and `tracker`";
            reading.report.fault(tracker.spot, message, "Split it into two environments, which may share a host");
            None
        }
    }
}

fn of_tracker(written: &Written<TrackerSpec>, identity: &str, reading: &mut Reading<'_>) -> Application {
    let spec = &written.value;
    let (tracker, secrets) = tracker::read(written, reading);
    let backup = tracker::backup(&spec.backup, &tracker, reading.report);
    Application {
        backup,
        source: Source::Tracker(Box::new(tracker)),
        variables: secrets,
        archives: archives(&spec.archives, reading),
        before: Vec::new(),
        pull: pull(&spec.pull),
        registries: BTreeMap::new(),
        project: project(&spec.project, identity, reading.report),
        host_directory: host_directory(&spec.host_directory, identity, reading.report),
        withheld: Arc::default(),
        scope: Arc::default(),
    }
}

fn of_directory(compose: &Written<ComposeSpec>, identity: &str, reading: &mut Reading<'_>) -> Application {
    let directory = directory(compose, reading);
    let compose = &compose.value;
    let source = Source::Compose(Compose {
        files: files(compose, &directory, reading),
        directory,
        templates: switch(&compose.templates, false, "templates", reading.report),
        seed: placed_globs(&compose.seed, reading.report),
        links: links(compose, reading.report),
        copies: BTreeSet::new(),
        readable: globs(&compose.readable, reading.report),
    });
    Application {
        source,
        variables: variables(compose, reading),
        archives: archives(&compose.archives, reading),
        before: before(compose, reading.report),
        backup: None,
        pull: pull(&compose.pull),
        registries: BTreeMap::new(),
        project: project(&compose.project, identity, reading.report),
        host_directory: host_directory(&compose.host_directory, identity, reading.report),
        withheld: Arc::default(),
        scope: Arc::default(),
    }
}

fn directory(compose: &Written<ComposeSpec>, reading: &mut Reading<'_>) -> Utf8PathBuf {
    let Some(directory) = &compose.value.directory.0 else {
        let message = "`compose` has no directory";
        reading.report.fault(compose.spot, message, "Add `directory: ./app`, where the Compose file is");
        return Utf8PathBuf::new();
    };
    reading.existing(directory, Need::Directory, "The application's directory")
}

fn files(compose: &ComposeSpec, directory: &Utf8Path, reading: &mut Reading<'_>) -> Vec<String> {
    for file in compose.files.value().into_iter().flatten() {
        if paths::below(file, "Compose file", reading.report) {
            reading.claim(&directory.join(&file.value), Need::File, "The Compose file", file.spot);
        }
    }
    compose.files.value().into_iter().flatten().map(|file| file.value.clone()).collect()
}

fn variables(compose: &ComposeSpec, reading: &mut Reading<'_>) -> BTreeMap<String, crate::model::secret::SecretSource> {
    let written = compose.variables.value().into_iter().flatten();
    written.map(|(name, value)| (name.value.clone(), values::variable(name, value, reading))).collect()
}

fn archives(
    given: &Given<BTreeMap<Written<String>, Written<String>>>,
    reading: &mut Reading<'_>,
) -> BTreeMap<String, Utf8PathBuf> {
    let mut archives = BTreeMap::new();
    for (image, file) in given.value().into_iter().flatten() {
        image_name(image, reading.report);
        archives.insert(image.value.clone(), reading.existing(file, Need::File, "The image archive"));
    }
    archives
}

fn links(compose: &ComposeSpec, report: &mut Report) -> Vec<String> {
    for link in compose.links.value().into_iter().flatten() {
        paths::below(link, "link", report);
    }
    compose.links.value().into_iter().flatten().map(|link| link.value.clone()).collect()
}

fn globs(given: &Given<Vec<Written<String>>>, report: &mut Report) -> Vec<String> {
    for glob in given.value().into_iter().flatten() {
        paths::below(glob, "pattern", report);
        if let Err(error) = globset::Glob::new(&glob.value) {
            let message = format!("`{}` is not a pattern", shown(&glob.value));
            report.fault(glob.spot, message, super::capitalised(&error.kind().to_string()));
        }
    }
    given.value().into_iter().flatten().map(|glob| glob.value.clone()).collect()
}

fn placed_globs(given: &Given<Vec<Written<String>>>, report: &mut Report) -> Vec<Pattern> {
    let texts = globs(given, report).into_iter();
    let places = given.value().into_iter().flatten().map(|glob| report.location(glob.spot));
    texts.zip(places).map(|(text, place)| Pattern { text, place }).collect()
}

fn pull(given: &Given<Pull>) -> Pull {
    given.value().copied().unwrap_or(Pull::Missing)
}

fn before(compose: &ComposeSpec, report: &mut Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in compose.before.value().into_iter().flatten() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !name.value.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.value.chars().all(allowed) {
            let message = format!("`{}` is not a service's name", shown(&name.value));
            report.fault(name.spot, message, "Write it as the Compose file does");
        } else if names.contains(&name.value) {
            let message = format!("The service {} is listed twice", name.value);
            report.fault(name.spot, message, "It runs once per release; remove one of them");
        }
        names.push(name.value.clone());
    }
    names
}

fn project(given: &Given<String>, identity: &str, report: &mut Report) -> String {
    let Some(project) = &given.0 else { return identity.to_owned() };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if !project.value.bytes().all(allowed) || project.value.is_empty() || project.value.starts_with(['-', '_']) {
        let message = format!("`{}` is not a Compose project's name", shown(&project.value));
        report.fault(
            project.spot,
            message,
            "Lower-case letters, digits, dashes and underscores; a letter or digit first",
        );
    }
    project.value.clone()
}

fn host_directory(given: &Given<String>, identity: &str, report: &mut Report) -> Utf8PathBuf {
    given
        .0
        .as_ref()
        .map_or_else(|| Utf8Path::new("/opt/deployer").join(identity), |written| paths::on_host(written, report))
}
