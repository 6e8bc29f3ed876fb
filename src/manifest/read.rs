//! Reads a manifest from a path or a text and checks it. Reads no environment variable: the home directory for `~` is
//! an argument.

use super::claim::{self, Claim};
use super::environment::Environment;
use super::faults::Report;
use super::rules::{self, Reading};
use super::spec::{ManifestSpec, ValueSpec};
use super::written::{Given, Spot};
use super::{Manifest, below, mask, yaml};
use crate::manifest::scope::{Extent, Scope};
use crate::model::failure::{Failure, Location, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;

/// Reads and checks a trusted manifest, as [`load_within`] does.
pub fn load(path: &str, home: Option<&Utf8Path>) -> Result<Manifest, Vec<Failure>> {
    load_within(path, home, &Extent::Anywhere)
}

/// Reads and checks the manifest at `path` (`-` for standard input). Also checks that the files it names exist and are
/// inside `extent`.
pub fn load_within(path: &str, home: Option<&Utf8Path>, extent: &Extent) -> Result<Manifest, Vec<Failure>> {
    let one = |failure| vec![failure];
    let base = directory_of(path).map_err(one)?;
    let scope = Scope::of(&base, extent);
    admitted(path, &scope).map_err(one)?;
    let text = text_at(path).map_err(one)?;
    finish(draft(&text, path, &base, home, scope), claim::settle)
}

/// Reads and checks a text that was already read, as [`load`] does.
pub fn load_text(text: &str, file: &str, base: &Utf8Path, home: Option<&Utf8Path>) -> Result<Manifest, Vec<Failure>> {
    finish(draft(text, file, base, home, Scope::of(base, &Extent::Anywhere)), claim::settle)
}

/// Checks a text. Pure: does not check that the files it names exist, and leaves the keys of package repositories and
/// the scripts from files empty.
pub fn parse(text: &str, file: &str, base: &Utf8Path, home: Option<&Utf8Path>) -> Result<Manifest, Vec<Failure>> {
    finish(draft(text, file, base, home, Scope::default()), |_, _, _| claim::Texts::default())
}

/// Reads and checks only the manifest at `path`: the files it names need not exist, and keys of package repositories
/// and scripts from files stay empty.
pub fn load_unsettled(path: &str, home: Option<&Utf8Path>) -> Result<Manifest, Vec<Failure>> {
    let one = |failure| vec![failure];
    let (text, base) = (text_at(path).map_err(one)?, directory_of(path).map_err(one)?);
    parse(&text, path, &base, home)
}

/// Checks a text as [`parse`] does, with the texts of keys and scripts from `text_of`, which gets their paths. The
/// files need not be on a disk.
pub fn parse_with(
    text: &str,
    file: &str,
    base: &Utf8Path,
    home: Option<&Utf8Path>,
    text_of: &mut dyn FnMut(&Utf8Path) -> Option<String>,
) -> Result<Manifest, Vec<Failure>> {
    finish(draft(text, file, base, home, Scope::default()), |claims, _, _| claim::texts(claims, text_of))
}

struct Draft {
    report: Report,
    manifest: Option<Manifest>,
    claims: Vec<Claim>,
    scope: Arc<Scope>,
}

fn draft(text: &str, file: &str, base: &Utf8Path, home: Option<&Utf8Path>, scope: Scope) -> Draft {
    let scope = Arc::new(scope);
    let unmarked = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::new(file, mask::masked(unmarked, &[]).into());
    if unmarked.len() > yaml::LARGEST {
        let message = format!("The manifest is larger than {} MiB", yaml::LARGEST / 1024 / 1024);
        report.fault(Spot::default(), message, "Split it into several projects");
        return Draft { report, manifest: None, claims: Vec::new(), scope };
    }
    let Some(spec) = yaml::read(unmarked, &mut report) else {
        return Draft { report, manifest: None, claims: Vec::new(), scope };
    };
    if spec.empty {
        report.fault(Spot::default(), "The manifest is empty", "Run deployer init to write one to start from");
        return Draft { report, manifest: None, claims: Vec::new(), scope };
    }
    let mut report = Report::new(file, mask::masked(unmarked, &literals(&spec)).into());
    let mut reading = Reading {
        claims: Vec::new(),
        withheld: own_files(file, base),
        environment: None,
        passphrase: None,
        variables: BTreeSet::new(),
        report: &mut report,
        base,
        home,
    };
    let mut meaning = rules::apply(spec, &mut reading);
    let (claims, state_passphrase, variables) = (reading.claims, reading.passphrase, reading.variables);
    reading.withheld.extend(store_files(&meaning.state, base));
    withhold(meaning.environments.values_mut().map(|(_, environment)| environment), reading.withheld);
    meaning.environments.values_mut().for_each(|(_, environment)| bound(environment, &scope));
    let (places, environments) = (meaning.environments.into_iter())
        .map(|(name, (spot, environment))| ((name.clone(), report.location(spot)), (name, environment)))
        .unzip::<_, _, Vec<_>, _>();
    let manifest = Manifest {
        project: meaning.project,
        state: meaning.state,
        state_passphrase,
        environments,
        variables,
        warnings: Vec::new(),
        file: file.to_owned(),
        text: Arc::from(text),
        directory: base.to_owned(),
        places: places.into_iter().filter_map(|(name, place)| Some((name, place?))).collect(),
    };
    Draft { report, manifest: Some(manifest), claims, scope }
}

/// Sets the scope of an environment's files.
fn bound(environment: &mut Environment, scope: &Arc<Scope>) {
    if let Some(application) = &mut environment.application {
        application.scope = Arc::clone(scope);
    }
    if let Some(provision) = &mut environment.provision {
        provision.scope = Arc::clone(scope);
    }
}

/// Returns the manifest's path, which no application may send.
fn own_files(file: &str, base: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
    Utf8Path::new(file).file_name().filter(|_| file != "-").map(|name| base.join(name)).into_iter().collect()
}

impl Manifest {
    /// Keeps every application from sending the files of the store at `url`, whose relative path is resolved against
    /// `directory`.
    pub fn withhold_store(&mut self, url: &str, directory: &Utf8Path) {
        let mut applications = self.environments.values().filter_map(|environment| environment.application.as_ref());
        let known = applications.next().map(|application| application.withheld.as_ref().clone()).unwrap_or_default();
        let files = known.into_iter().chain(store_files(url, directory)).collect();
        withhold(self.environments.values_mut(), files);
    }
}

/// Sets the files that no application may send.
fn withhold<'a>(environments: impl Iterator<Item = &'a mut Environment>, files: BTreeSet<Utf8PathBuf>) {
    let files = Arc::new(files);
    for application in environments.filter_map(|environment| environment.application.as_mut()) {
        application.withheld = Arc::clone(&files);
    }
}

/// Returns the files of the store at `url`, and the file of the key that encrypts values in it.
pub(crate) fn store_files(url: &str, base: &Utf8Path) -> Vec<Utf8PathBuf> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Vec::new() };
    let store = base.join(path.strip_prefix("//").unwrap_or(path));
    let mut files: Vec<Utf8PathBuf> =
        ["", "-wal", "-shm", "-journal"].iter().map(|suffix| format!("{store}{suffix}").into()).collect();
    files.push(store.with_file_name("state.key"));
    files
}

fn finish(
    draft: Draft,
    settle: impl FnOnce(&[Claim], &Scope, &mut Report) -> claim::Texts,
) -> Result<Manifest, Vec<Failure>> {
    let Draft { mut report, manifest, claims, scope } = draft;
    let texts = settle(&claims, &scope, &mut report);
    let (failures, warnings) = report.finish();
    let Some(mut manifest) = manifest.filter(|_| failures.is_empty()) else { return Err(failures) };
    for script in manifest.environments.values_mut().flat_map(|environment| &mut environment.scripts) {
        if let Some(text) = script.file.as_ref().and_then(|file| texts.scripts.get(file)) {
            script.run.clone_from(text);
        }
    }
    for (name, key) in texts.keys {
        let environment = manifest.environments.get_mut(&name);
        if let Some(repository) = environment.and_then(|it| it.engine.repository.as_mut()) {
            repository.key = key;
        }
    }
    manifest.warnings = warnings;
    Ok(manifest)
}

/// Returns the positions of secrets that were written as literals.
fn literals(spec: &ManifestSpec) -> Vec<Spot> {
    let environments = spec.environments.value().into_iter().flatten().map(|(_, body)| &body.value);
    let secret = |given: &Given<ValueSpec>| {
        given.0.as_ref().filter(|it| matches!(it.value, ValueSpec::Literal(_))).map(|it| it.spot)
    };
    environments
        .chain(spec.defaults.value())
        .filter_map(|environment| environment.ssh.value())
        .flat_map(|ssh| [secret(&ssh.sudo_password), secret(&ssh.identity)])
        .flatten()
        .collect()
}

/// Returns true for standard input and for a pipe that the user names, such as that of a shell's `<(command)`. A link to
/// a pipe or a device is none: the author of a commit chooses the targets of links.
fn is_pipe(path: &str) -> bool {
    let own = |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.parse::<u32>().is_ok());
    let is_named = || std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    path == "-" || own("/dev/fd/") || own("/proc/self/fd/") || is_named()
}

/// Refuses a manifest that is a link out of its scope. A pipe is not on a disk and is accepted.
fn admitted(path: &str, scope: &Scope) -> Result<(), Failure> {
    let whole = camino::absolute_utf8(path).map_err(|error| unreadable(path, error))?;
    match scope.refuse(&whole).filter(|_| !is_pipe(path)) {
        Some(refusal) => Err(refusal.failure(Reason::ManifestInvalid, path.into())),
        None => Ok(()),
    }
}

fn text_at(path: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = yaml::LARGEST as u64 + 1;
    if path == "-" {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable("Standard input", error))?;
    } else {
        if std::fs::metadata(path).is_ok_and(|found| found.is_dir()) {
            let hint = format!("Name the file: {}/deployment.yaml", path.trim_end_matches('/'));
            return Err(Failure::new(Reason::ManifestMissing, format!("{path} is a directory")).hint(hint));
        }
        let file = if is_pipe(path) { std::fs::File::open(path) } else { below::regular(path.into()) };
        let file = file.map_err(|error| unreadable(path, error))?;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))
}

fn not_utf8(path: &str, error: &std::string::FromUtf8Error) -> Failure {
    let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let line = before.matches('\n').count() + 1;
    let place = Location { file: path.to_owned(), line, column, span: None, source: None };
    Failure::new(Reason::ManifestInvalid, "The manifest is not UTF-8").hint("Save the file as UTF-8").at(place)
}

/// Returns the file's directory, absolute; the current directory for standard input.
fn directory_of(path: &str) -> Result<Utf8PathBuf, Failure> {
    let near = if path == "-" { Utf8Path::new("-") } else { Utf8Path::new(path) };
    let whole = camino::absolute_utf8(near).map_err(|error| unreadable(path, error))?;
    Ok(whole.parent().unwrap_or(Utf8Path::new("/")).to_owned())
}

fn unreadable(path: &str, error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        return missing(path);
    }
    let failure = Failure::new(Reason::ManifestMissing, format!("{path} cannot be read"));
    failure.because(error).hint("Check its permissions")
}

/// Returns the failure of a manifest that does not exist, with the file that may be meant: the other spelling of its
/// name, or a manifest in a directory above.
fn missing(path: &str) -> Failure {
    let Ok(whole) = camino::absolute_utf8(path) else {
        return Failure::new(Reason::ManifestMissing, format!("{path} does not exist"));
    };
    let directory = whole.parent().unwrap_or(Utf8Path::new("/"));
    let name = whole.file_name().unwrap_or_default();
    let failure = Failure::new(Reason::ManifestMissing, format!("{name} does not exist in {directory}"));
    let other = match whole.extension() {
        Some("yaml") => whole.with_extension("yml"),
        Some("yml") => whole.with_extension("yaml"),
        _ => return failure,
    };
    let other = other.file_name().unwrap_or_default();
    if directory.join(other).is_file() {
        let near = Utf8Path::new(path).with_file_name(other);
        return failure.hint(format!("{other} exists: rename it to {name}, or pass -f {near}"));
    }
    let mut levels = directory.ancestors().enumerate().skip(1);
    let above = levels.find_map(|(level, above)| {
        let found = [name, other].into_iter().find(|name| above.join(name).is_file())?;
        Some((above, format!("{}{found}", "../".repeat(level))))
    });
    match above {
        Some((above, found)) if !Utf8Path::new(path).is_absolute() && !path.contains('/') => {
            failure.hint(format!("A manifest exists in {above}: run deployer there, or pass -f {found}"))
        }
        _ => failure,
    }
}
