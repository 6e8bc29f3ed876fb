//! Services that run once and end before the switch to a release, such as migrations. A service that succeeded for a
//! release is not run again for that release. A service does not run next to a copy that a killed run left behind.

use super::records::{listed, of_staged};
use super::start;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::resource::compose::model::{SentMount, SentTo};
use crate::resource::contract::claims::CLAIMED;
use crate::resource::contract::guard;
use crate::resource::contract::record::ReleaseRecord;
use crate::resource::files::{self, SEED, compose, in_release};
use crate::resource::{Command, HostFacts, LONG, SHORT, Subject, keep};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;

/// Time limit of one service, in seconds. This limit is less than the limit of the service's command, so that the
/// container is removed in time.
const LIMIT: u64 = LONG.as_secs() - SHORT.as_secs();

/// Refuses a listed name that no service of the staged release has.
pub(super) fn unknown(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let staged = files::staged_as_wanted(subject, host)?;
    let services = of_staged(subject, host, staged);
    let name = listed(subject).iter().find(|name| !services.contains_key(*name))?;
    let message = format!("application.compose.before lists {name}, which is not a service of the application");
    let names: Vec<&str> = services.keys().map(String::as_str).collect();
    let hint =
        format!("Its services are {}; a service with a profile counts only if the profile is on", names.join(", "));
    Some(Failure::new(Reason::ApplicationInvalid, message).hint(hint))
}

/// Returns the settings that make Compose's `up` start none of these services. Both keys are set, because they must
/// agree.
pub(super) fn none() -> serde_json::Value {
    serde_json::json!({ "scale": 0, "deploy": { "replicas": 0 } })
}

/// Runs these services of the staged release. If a release is live, they run next to it, with files of the staged tree.
/// If none is, they run from the live directory, after `placed`, and their dependencies are started first.
pub(super) fn commands(
    subject: &Subject<'_>,
    host: &HostFacts,
    record: &ReleaseRecord,
    labels: &str,
    placed: &str,
) -> Vec<Command> {
    let Some(staged) = &host.files.staged else { return Vec::new() };
    let names = listed(subject).iter().filter(|name| record.services.get(*name).is_some_and(|service| service.before));
    let serves = host.files.current.is_some();
    let mut commands = Vec::new();
    for name in names {
        if !serves && commands.is_empty() {
            commands.push(place(subject, labels, placed));
        }
        let script = if serves {
            let sent: Vec<&Utf8PathBuf> =
                record.files.iter().filter(|(_, file)| file.value != SEED).map(|(path, _)| path).collect();
            let sent = staged.model.sent_to(name, Utf8Path::new(&record.directory), &sent);
            keep("before.json", &copied(name, &format!("{}/before.run", subject.state_directory()), &sent))
                + &once(record, name, &next_to_live(subject, host, record, name))
        } else {
            once(record, name, &first(host, record, name))
        };
        commands.push(Command {
            title: format!("run {name} before the switch"),
            script: subject.preamble() + "umask 077\n" + guard::FUNCTIONS + start::FUNCTIONS + &script,
            input: Input::Empty,
            limit: LONG,
            reason: Reason::BeforeFailed,
        });
    }
    commands
}

/// Returns a Compose file that makes a service take the release's files from `run`, a copy of the staged tree. All else
/// that it mounts, it mounts from where the live release has it.
fn copied(name: &str, run: &str, sent: &SentTo) -> String {
    // Compose interprets a dollar sign as the beginning of a variable.
    let plain = |path: &str| path.replace('$', "$$");
    let source = |path: &Utf8Path| plain(Utf8Path::new(run).join(path).as_str().trim_end_matches('/'));
    let volume = |mount: &SentMount| {
        serde_json::json!({
            "type": "bind", "source": source(&mount.path),
            "target": plain(mount.target.as_str()), "read_only": mount.read_only,
        })
    };
    let given = |files: &BTreeMap<String, Utf8PathBuf>| -> BTreeMap<String, serde_json::Value> {
        files.iter().map(|(name, path)| (name.clone(), serde_json::json!({ "file": source(path) }))).collect()
    };
    let volumes: Vec<_> = sent.mounts.iter().map(volume).collect();
    serde_json::json!({
        "services": { name: { "volumes": volumes } }, "configs": given(&sent.configs), "secrets": given(&sent.secrets),
    })
    .to_string()
}

/// Places the first release's files.
fn place(subject: &Subject<'_>, labels: &str, placed: &str) -> Command {
    Command {
        title: "put the files in place".to_owned(),
        script: subject.preamble() + "umask 077\n" + guard::FUNCTIONS + &keep("override.json", labels) + placed,
        input: Input::Empty,
        limit: SHORT,
        reason: Reason::UploadFailed,
    }
}

/// Runs one service next to the live release, with a copy of the files of the staged release: the service may write to
/// its mounts, and its writes are not released. All paths lead from the application's directory, never from root's
/// state.
fn next_to_live(subject: &Subject<'_>, host: &HostFacts, record: &ReleaseRecord, name: &str) -> String {
    let (user, group) = host.access.owner;
    format!(
        r#"cp -a --reflink=auto "$state/releases/"{id}/tree "$run"
  chown -R {user}:{group} "$run"
  # The tree was unpacked for root alone. The service sees the modes that the files will have.
  find "$run" -type d -exec chmod 0755 {{}} +
  owner={user}:{group}
  {run}"#,
        id = quote(&record.id),
        run = start::guarded_before_switch(
            record,
            host,
            &files::left_to_host(subject, host),
            &in_release(&record.id, "\"${top:-$tree}\"", &run(record, name, "--no-deps", "before.json")),
        ),
    )
}

/// Runs one service of the first release in the application's directory.
fn first(host: &HostFacts, record: &ReleaseRecord, name: &str) -> String {
    let run = run(record, name, "--quiet-pull", "override.json");
    start::guarded(record, host, &in_release(&record.id, "\"${top:?}\"", &run))
}

fn run(record: &ReleaseRecord, name: &str, options: &str, over: &str) -> String {
    format!(
        "timeout -k 20 {LIMIT} {compose} -f \"$state/{over}\" run --rm -T {options} --label deployer.before={project} {name} >&2 || code=$?",
        project = quote(&record.project),
        name = quote(name),
        compose = compose(&record.project, "\"$app\"", &record.compose_files),
    )
}

/// Returns shell, under our lease, that removes the containers that a run without a lease left running, and prints
/// their ids. Such a run may have been killed during a long-running service.
#[must_use]
pub fn end_left() -> String {
    format!(
        r#"{CLAIMED}for project in $(claimed "$state" | sed -n 's/^project //p'); do
  ! command -v docker >/dev/null || docker ps -aq --filter "label=deployer.before=$project" | xargs -r docker rm -f
done
"#
    )
}

/// Runs one service to its end, unless its success is already recorded next to the release.
fn once(record: &ReleaseRecord, name: &str, run: &str) -> String {
    format!(
        r#"ran_before="$state/releases/"{id}/before run="$state/before.run"
left() {{
  docker ps -aq --filter label=deployer.before={project} | xargs -r docker rm -f >/dev/null
  rm -rf "$run"
}}
if ! grep -qxsF -- {name} "$ran_before"; then
  left
  {run}
  cd /
  left
  [ "$code" = 0 ] || exit "$code"
  printf '%s\n' {name} >> "$ran_before"
fi
"#,
        id = quote(&record.id),
        project = quote(&record.project),
        name = quote(name),
    )
}
