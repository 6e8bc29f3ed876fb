//! Removal of an environment from its host: exactly what we put there. Packages are kept. Volumes and other data are
//! removed only if `purge` is true.

use super::compose::container;
use super::contract::claims;
use super::contract::marker::{self, LEGACY_MARKER};
use super::contract::object_settings::ObjectKind;
use super::{
    Command, HostFacts, LONG, SHORT, Subject, files, firewall, images, keep, schedules, scripts, services, updates,
};
use crate::manifest::environment::{Application, Environment};
use crate::model::event::Change;
use crate::model::failure::Reason;
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::model::state::{Kind, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that are removed, in order.
pub const ORDER: [Kind; 8] = [
    Kind::Schedules,
    Kind::Services,
    Kind::Firewall,
    Kind::Images,
    Kind::Files,
    Kind::Scripts,
    Kind::Updates,
    Kind::Access,
];

/// Returns true if there is anything of this kind to remove. Volumes and data that an earlier removal kept count only
/// if `purge` is true.
#[must_use]
pub fn present(kind: Kind, environment: &Environment, host: &HostFacts, purge: bool) -> bool {
    match kind {
        // A kind that could not be read may be present.
        _ if host.unread.contains_key(&kind) => true,
        Kind::Services => {
            let project = environment.application.as_ref().map_or("", |application| application.project.as_str());
            claims::own_containers(environment, host).next().is_some()
                || claims::former_containers(environment, host, project).next().is_some()
                || host.files.current.is_some()
                || (purge && kept_volumes(environment, host).next().is_some())
        }
        Kind::Images => !host.files.owned().is_empty() || host.files.staged.is_some(),
        Kind::Files => {
            present(Kind::Images, environment, host, purge) || kept_directory(environment, host, purge).is_some()
        }
        Kind::Firewall => host.firewall.own.is_some(),
        // The record of things that an earlier removal kept stays until these are removed, too.
        Kind::Access => {
            let kept = [Kind::Services, Kind::Files].into_iter().any(|kind| present(kind, environment, host, purge));
            host.access.key.is_some() || (purge && kept)
        }
        Kind::Updates => host.updates.ours.is_some(),
        Kind::Scripts => !host.scripts.applied.is_empty(),
        Kind::Schedules => !host.schedules.units.is_empty(),
        Kind::Infrastructure | Kind::Engine => false,
    }
}

/// Returns the volumes that an earlier removal kept.
fn kept_volumes<'a>(environment: &'a Environment, host: &'a HostFacts) -> impl Iterator<Item = &'a str> {
    let own = claims::own_projects(environment, host);
    let former = host.services.left.iter().filter(move |(project, _)| own.contains(*project));
    let former = former.flat_map(|(_, left)| left).filter_map(|left| left.strip_prefix("volume "));
    host.services.kept.iter().map(String::as_str).chain(former)
}

/// Returns the application's directory if an earlier removal kept data in it.
fn kept_directory<'a>(environment: &'a Environment, host: &HostFacts, purge: bool) -> Option<&'a camino::Utf8PathBuf> {
    claims::kept_directory(environment, host).filter(|_| purge && host.access.key.is_none())
}

/// Limit of the number of things of one sort that a plan names. If there are more, they are counted.
const NAMED: usize = 20;

/// Returns what a plan names of a removal: what goes, and what stays.
#[must_use]
pub fn changes(kind: Kind, environment: &Environment, host: &HostFacts, purge: bool) -> Vec<Change> {
    match kind {
        Kind::Services => of_services(environment, host, purge),
        Kind::Images => {
            let note = Some("stays if something else on the host uses it");
            let there = host.images.brought.iter().filter(|name| host.images.here.contains_key(*name));
            let gone = there.map(|name| change(format!("image {name}"), EXISTS, None, note));
            bounded(gone, "images")
        }
        Kind::Files => of_files(environment, host, purge).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Value of a thing that an earlier removal kept, and of anything else that is there.
const KEPT: &str = "kept";
const EXISTS: &str = "exists";
/// Value of a thing that a removal leaves.
const STAYS: &str = "stays";

fn change(fact: String, from: &str, to: Option<&str>, note: Option<&str>) -> Change {
    let [to, note] = [to, note].map(|text| text.map(str::to_owned));
    Change { fact, from: Some(from.to_owned()), to, diff: None, note }
}

/// Returns the changes of things of one sort, the last of which counts those that are not named.
fn bounded(changes: impl Iterator<Item = Change>, sort: &str) -> Vec<Change> {
    let mut changes: Vec<Change> = changes.collect();
    let more = changes.len().saturating_sub(NAMED);
    if more > 1 {
        changes.truncate(NAMED + 1);
        changes.iter_mut().skip(NAMED).for_each(|last| last.fact = format!("{more} more {sort}"));
    }
    changes
}

/// Returns the containers, networks and volumes. Networks stay if somebody else has containers in their project.
fn of_services(environment: &Environment, host: &HostFacts, purge: bool) -> Vec<Change> {
    let project = environment.application.as_ref().map_or("", |application| application.project.as_str());
    let own = claims::own_containers(environment, host).chain(claims::former_containers(environment, host, project));
    let own = own.map(|container| change(format!("container {}", container.said()), EXISTS, None, None));
    let by_hand = || claims::by_hand(environment, host);
    let theirs = by_hand().map(|container| change(container.said(), "started by hand", Some(STAYS), None));
    let projects = claims::own_projects(environment, host);
    let alone = projects.iter().filter(|project| by_hand().all(|container| !container.is_of(project)));
    let alone: BTreeSet<String> = alone.cloned().collect();
    let networks = services::made(host, ObjectKind::Network, &alone);
    let networks = networks.map(|name| change(format!("network {name}"), EXISTS, None, None));
    let mut volumes: BTreeMap<&str, &str> =
        services::made(host, ObjectKind::Volume, &projects).map(|name| (name, EXISTS)).collect();
    volumes.extend(kept_volumes(environment, host).map(|name| (name, KEPT)));
    let (to, note) = if purge { (None, DATA_GOES) } else { (Some(STAYS), "destroy --purge deletes its data") };
    let volumes = volumes.into_iter().map(|(name, from)| change(format!("volume {name}"), from, to, Some(note)));
    [
        bounded(theirs, "containers started by hand"),
        bounded(own, "containers"),
        bounded(networks, "networks"),
        bounded(volumes, "volumes"),
    ]
    .concat()
}

/// Note on what a purge removes.
const DATA_GOES: &str = "its data is deleted";

/// Returns the application's directory, unless another environment uses it.
fn of_files(environment: &Environment, host: &HostFacts, purge: bool) -> Option<Change> {
    if let Some(directory) = kept_directory(environment, host, purge) {
        return Some(change(directory.to_string(), KEPT, None, Some(DATA_GOES)));
    }
    let directory = environment.application.as_ref()?.host_directory.to_string();
    let files = host.files.removable().len();
    if claims::shares_directory(environment, host) {
        None
    } else if purge {
        Some(change(directory, EXISTS, None, Some("everything in it is deleted")))
    } else {
        let count = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        let note = "what services wrote there stays; destroy --purge deletes it";
        (files > 0).then(|| change(directory, &count, None, Some(note)))
    }
}

/// Returns true if nothing of an environment remains: neither its machine, if deployer made it, nor, otherwise,
/// anything that was put on its host.
#[must_use]
pub fn nothing_left(environment: &Environment, host: &HostFacts) -> bool {
    match &environment.provision {
        Some(_) => host.outside.machine.taking_down && !host.outside.machine.exists,
        None => ORDER.iter().all(|kind| !present(*kind, environment, host, false)),
    }
}

/// Returns the commands that remove this kind from the host.
#[must_use]
pub fn commands(kind: Kind, subject: &Subject<'_>, host: &HostFacts, purge: bool) -> Vec<Command> {
    let (title, script, limit, reason) = match kind {
        Kind::Services => {
            ("stop and remove the services", remove_services(subject, host, purge), LONG, Reason::ServicesFailed)
        }
        Kind::Images => {
            ("remove the images that deployer brought", images::REMOVE.to_owned() + IMAGES, LONG, Reason::CommandFailed)
        }
        Kind::Files => {
            ("remove the files of releases", remove_files(subject, host, purge), LONG, Reason::CommandFailed)
        }
        Kind::Access => ("remove the host's marker", release(subject, host), SHORT, Reason::CommandFailed),
        Kind::Firewall => return firewall::remove(subject),
        Kind::Schedules => {
            let names: Vec<&String> = host.schedules.units.keys().collect();
            ("remove the schedules", schedules::take_off(subject, &names), SHORT, Reason::CommandFailed)
        }
        Kind::Updates => return vec![updates::removal(subject)],
        Kind::Scripts => return scripts::removal(subject, host),
        Kind::Infrastructure | Kind::Engine => return Vec::new(),
    };
    let script = subject.preamble() + &script;
    vec![Command { title: title.to_owned(), script, input: Input::Empty, limit, reason }]
}

fn remove_services(subject: &Subject<'_>, host: &HostFacts, purge: bool) -> String {
    let environment = subject.environment;
    let script = if purge { PURGED } else { "" }.to_owned() + "command -v docker >/dev/null || exit 0\ncd /\n";
    let Some(Application { project, .. }) = &environment.application else { return String::new() };
    let script = script + &claims::leave(subject, host, project, purge);
    if claims::own_projects(environment, host).contains(project) {
        // Compose stops services in the order of their dependencies.
        let down = files::by_name(project) + " down >&2 </dev/null";
        return script + &claims::leave_project(subject, host, project, purge, &down);
    }
    script + &container::removal(claims::own_containers(environment, host))
}

/// Shell, after [`images::REMOVE`], that removes the images that we brought and that nothing else on the host needs.
const IMAGES: &str = r#"if [ -e "$state/brought" ]; then
  { brought_names; sort -u "$state/brought"; } | remove_images >/dev/null
fi
rm -f "$state/images" "$state/brought" "$state/built""#;

/// Shell that forgets the paths that services could write to, as far as they were removed with the application's
/// directory. Paths elsewhere on the host stay recorded.
const FORGET_MOUNTED: &str = r#"if [ ! -e "$app" ] && [ -e "$state/mounted" ]; then
  lines=$(app=$app awk '/^\// && index($0 "/", ENVIRON["app"] "/") != 1' "$state/mounted")
  if [ -n "$lines" ]; then write_whole "$state/mounted" '%s\n' "$lines"; else rm -f "$state/mounted"; fi
fi
"#;

fn remove_files(subject: &Subject<'_>, host: &HostFacts, purge: bool) -> String {
    let kept = r#"rm -rf "$state/releases" "$state/staged" "$state/current.json" "$state/swapping.json" "$state/override.json" "$state/model.json" "$state/owned" "$state/mount-points" "$state/own" "$state/login" "$state/before.run" "$state/rejected.json"
"#;
    let Some(application) = &subject.environment.application else { return kept.to_owned() };
    let kept = kept.to_owned() + FORGET_MOUNTED;
    let kept = kept + &claims::disown(subject.environment, &application.host_directory);
    if claims::shares_directory(subject.environment, host) {
        return kept;
    }
    let live = host.files.begun().next().filter(|_| !purge);
    let (mounted, owned): (Vec<_>, Vec<_>) =
        host.files.removable().into_iter().partition(|path| live.is_some_and(|live| live.mounts(path)));
    let mounted = live.filter(|_| !mounted.is_empty()).map(|live| {
        let (id, paths) = (quote(&live.id), files::lines(mounted));
        format!("{WRITTEN}tree=\"$state/releases/\"{id}/tree\n{}", files::remove_unless("written", &paths))
    });
    let (unmounted, purged) = if purge {
        (PURGED.to_owned() + UNMOUNTED, "rm -rf --one-file-system -- \"./${top##*/}\"\n")
    } else {
        (String::new(), "")
    };
    let lost = if purge { "  cannot_enter\n" } else { LEFT };
    let removal = format!(
        r#"mark={mark}
if [ -d "$app" ] || [ -L "$app" ]; then
if pin "$app"; then
{unmounted}{mounted}{ours}discard {LEGACY_MARKER}
cd -P "${{top%/*}}/"
[ "${{PWD%/}}/${{top##*/}}" = "$top" ] || {{ echo "$top was moved away" >&2; exit 1; }}
{purged}[ ! -d "./${{top##*/}}" ] || rmdir --ignore-fail-on-non-empty -- "./${{top##*/}}"
else
{lost}fi
fi
cd /
"#,
        mark = quote(subject.marks().as_str()),
        mounted = mounted.unwrap_or_default(),
        ours = files::remove(&files::lines(owned)),
    );
    claims::unless_shared(subject, &removal, purge) + &kept
}

/// Shell function that succeeds for a file that was changed on the host, and says that it stays. Needs $tree, root's
/// copy of the release.
const WRITTEN: &str = r#"written() {
  split "$1"
  enter "$directory" && [ ! -L "$name" ] && [ -f "$name" ] && [ -f "$tree/$1" ] || return 1
  ! same_content "$tree/$1" "$name" "$(stat -c %s -- "$tree/$1")" || return 1
  printf '%s says %s stays: it was changed on the host\n' "$mark" "$1" >&2
}
"#;

/// Shell that ends a purge, before it removes anything, if the application's directory is or holds a home directory, or
/// held files before deployer used it.
const PURGED: &str = r#"if place=$(cd -P -- "$app" 2>/dev/null && pwd); then
  why=''
  held=''
  { IFS= read -r held <"$state/held"; } 2>/dev/null || :
  [ "$held" != "$app" ] || why='it held other files before deployer used it'
  owner=$(awk -F : -v place="$place" 'index($6 "/", place "/") == 1 { print $1; exit }' /etc/passwd)
  [ -z "$owner" ] || why="it is or holds the home directory of $owner"
  if [ -n "$why" ]; then
    echo "Did not purge $app: $why. Run deployer destroy without --purge, and remove what is left by hand" >&2
    exit 1
  fi
fi
"#;

/// Shell that ends a purge if something is mounted below the directory. A bind mount of the same file system is, for
/// `rm`, a directory like any other.
const UNMOUNTED: &str = r#"found=$(mounts_below "$top" | head -n 1)
[ -z "$found" ] || { echo "Did not remove $app: $found is a mount point, and its data would be removed" >&2; exit 1; }
"#;

/// Shell that leaves a directory that root cannot enter, and says so.
const LEFT: &str = r#"  printf '%s says The files in %s stay: it does not lead where it led when it was claimed, or a service may have put a link on its way\n' "$mark" "$app" >&2
"#;

/// Releases the host. An environment that the manifest declares as destroyed is not suspended. One destroyed by command
/// is suspended until it is resumed.
fn release(subject: &Subject<'_>, host: &HostFacts) -> String {
    let suspended = subject.environment.stage != Stage::Destroyed;
    format!(
        "umask 077\n{}{}rm -f \"$state/key\" \"$state/compose\"\n",
        keep("marker.json", &marker::json(subject, host, suspended)),
        claims::give_up(subject.environment, host),
    )
}
