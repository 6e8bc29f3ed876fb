//! Images that are built on the host from a staged release. The live directory is not used for builds, and an image is
//! not built again from the same inputs.

use super::brought;
use super::login::{logins, with_login};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::release::builds::pinned;
use crate::release::sent::Release;
use crate::release::within;
use crate::resource::compose::json::Build;
use crate::resource::contract::guard;
use crate::resource::contract::record::{FileRecord, ReleaseRecord, ServiceRecord};
use crate::resource::files::value::key;
use crate::resource::files::{Staged, compose, in_release};
use crate::resource::{Command, HostFacts, LONG, SHORT, Subject};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Sets, for the services that are built, the image name that Compose gives them and the digest of the build's inputs.
pub(in crate::resource) fn mark(
    subject: &Subject<'_>,
    host: &HostFacts,
    staged: &Staged,
    records: &mut BTreeMap<String, ServiceRecord>,
) {
    let record = &staged.record;
    let directory = record.directory.as_str();
    for (name, build) in staged.model.builds() {
        let Some(service) = records.get_mut(name) else { continue };
        if service.image.is_empty() {
            service.image = format!("{}-{name}", record.project);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(build.text().replace(directory, "").as_bytes());
        let places: Vec<Utf8PathBuf> = build.places().iter().filter_map(|path| below(directory, path)).collect();
        let read = |(path, _): &(&Utf8PathBuf, &FileRecord)| places.iter().any(|place| path.starts_with(place));
        for (path, file) in record.files.iter().filter(read) {
            hasher.update(format!("\0{path}\0{}", file.value).as_bytes());
        }
        let digest = key(subject, host).digest(hasher.finalize().as_bytes());
        service.build = Some(digest[..16].to_owned());
    }
}

/// Refuses builds that need more than the release itself.
pub(super) fn refused(host: &HostFacts) -> Option<Failure> {
    let staged = host.files.staged.as_ref()?;
    let directory = staged.record.directory.as_str();
    let wrong = |(service, build): (&String, &Build)| {
        let outside = build.places().into_iter().find(|path| below(directory, path).is_none());
        let outside = outside.map(|path| {
            let path = path.strip_prefix(directory).unwrap_or(&path);
            format!("The build of service {service} reads {path}, which is outside the application's directory")
        });
        let loose = || {
            build
                .remote()
                .into_iter()
                .find(|url| !pinned(url))
                .map(|url| format!("The service {service} is built from {url}, which names no commit"))
        };
        outside.or_else(loose)
    };
    let message = staged.model.builds().find_map(wrong)?;
    let hint = "Build from files that are sent with the application, or from a commit: URL#0123…, all 40 digits";
    Some(Failure::new(Reason::ComposeInvalid, message).hint(hint))
}

/// Builds images. `wanted` maps an image to its service and the digest of its inputs. An image that an earlier release
/// built from the same inputs only gets its name back.
pub(super) fn commands(
    subject: &Subject<'_>,
    host: &HostFacts,
    wanted: &BTreeMap<String, (String, String)>,
) -> Vec<Command> {
    let earlier = |(image, (_, digest)): (&String, &(String, String))| {
        host.images.built.get(digest).map(|id| format!("docker tag {} {}\n", quote(id), quote(image)))
    };
    let named: String = wanted.iter().filter_map(earlier).collect();
    let named = Command {
        title: "tag the images built before".to_owned(),
        script: subject.preamble() + &named,
        input: Input::Empty,
        limit: SHORT,
        reason: Reason::BuildFailed,
    };
    let mut new = wanted.clone();
    new.retain(|_, (_, digest)| !host.images.built.contains_key(digest));
    let record = host.files.newest().filter(|_| !new.is_empty());
    let named = Some(named).filter(|_| new.len() < wanted.len());
    named.into_iter().chain(record.map(|record| all(subject, record, &new))).collect()
}

/// Builds all these images with one command, because Compose knows their dependencies.
fn all(subject: &Subject<'_>, record: &ReleaseRecord, new: &BTreeMap<String, (String, String)>) -> Command {
    let services: Vec<String> = new.values().map(|(service, _)| quote(service)).collect();
    let compose = compose(&record.project, "\"$tree\"", &record.compose_files);
    let build =
        |compose: &str| in_release(&record.id, "\"$tree\"", &format!("{compose} build {} >&2", services.join(" ")));
    // A build may use a base image from any registry. The client gives each registry only its own login.
    let hosts = |release: &Release| release.logins.keys().cloned().collect::<Vec<_>>();
    let login = subject.release.and_then(|release| logins(release, &hosts(release)));
    let build = match &login {
        // Compose may be a plugin in root's home directory. Docker looks for it next to its configuration.
        Some(_) => with_login(&format!(
            "[ ! -d /root/.docker/cli-plugins ] || ln -s /root/.docker/cli-plugins \"$config\"\n{}",
            build(&compose.replacen("HOME=/root", "HOME=/root DOCKER_CONFIG=\"$config\"", 1))
        )),
        None => build(&compose),
    };
    // BuildKit treats a file with the same size and time as the same file, and all of our files are dated 1970.
    let mut script = format!(
        "{}{}(cd \"$state/releases/\"{}/tree && find . -type f -exec touch {{}} +)\n{build}",
        subject.preamble(),
        guard::FUNCTIONS,
        quote(&record.id)
    );
    for (image, (_, digest)) in new {
        let _ = write!(
            script,
            "{}\nprintf '%s %s\\n' {} \"$(docker image inspect -f '{{{{.Id}}}}' -- {})\" >> \"$state/built\"",
            brought(image),
            quote(digest),
            quote(image),
        );
    }
    let images: Vec<&str> = new.keys().map(String::as_str).collect();
    Command {
        title: format!("build {}", images.join(", ")),
        script,
        input: login.map_or(Input::Empty, |login| Input::Bytes(login.into())),
        limit: LONG,
        reason: Reason::BuildFailed,
    }
}

/// Returns a path relative to the release, or `None` if the path leads out of the release.
fn below(directory: &str, path: &Utf8Path) -> Option<Utf8PathBuf> {
    within(Utf8Path::new(""), path.strip_prefix(directory).ok()?)
}
