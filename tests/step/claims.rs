//! The claims of environments as real `sh` reads and writes them, in directories of this machine.

use crate::given::{Given, given, root as cases};
use camino::Utf8PathBuf;
use deployer::io::process::{self, Finished};
use deployer::manifest::environment::{Name, Schedule};
use deployer::model::event::Change;
use deployer::model::shell::quote;
use deployer::model::state::Kind;
use deployer::resource::compose::container;
use deployer::resource::contract::whole::WRITE_WHOLE;
use deployer::resource::contract::{claims, guard};
use deployer::resource::{self, Subject, access, images, remove, schedules, services};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::Duration;

/// A host's directories, for environments `shop/NAME`.
struct Host {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
}

/// One environment with its directory and its Compose project.
struct Wish {
    given: Given,
    take_over: bool,
}

impl Wish {
    fn subject(&self) -> Subject<'_> {
        Subject { take_over: self.take_over, ..self.given.subject() }
    }
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        fs::create_dir_all(root.join("state")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        // A file replaces the list of objects that Docker finds by a label. Changes of containers and units are
        // recorded, not made.
        let docker = format!(
            "#!/bin/sh\nfor last; do :; done\ncase \"$1 $2\" in 'ps '*) cat {root}/docker/${{last##*[=/]}}.containers ;; \
             'image inspect') cat {root}/docker/${{last##*/}}.id ;; 'volume ls' | 'network ls') cat {root}/docker/${{last##*=}}.${{1}}s ;; *) echo docker \"$@\" >>{root}/calls ;; esac 2>/dev/null || :\n"
        );
        for (name, text) in [("docker", docker), ("systemctl", format!("#!/bin/sh\necho \"$@\" >>{root}/calls\n"))] {
            fs::write(root.join("bin").join(name), text).unwrap();
            fs::set_permissions(root.join("bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { _folder: folder, root }
    }

    fn wish(&self, name: &str, directory: &str, project: &str) -> Wish {
        let mut given = given(&cases().join("access/bare-debian-13.txt")).unwrap();
        given.environment.name = Name::parse(name).unwrap();
        let application = given.environment.application.as_mut().unwrap();
        (application.host_directory, application.project) = (self.root.join(directory), project.to_owned());
        Wish { given, take_over: false }
    }

    async fn sh(&self, script: &str) -> Finished {
        let script = script.replace("/var/lib/deployer", self.root.join("state").as_str());
        let script = script.replace("/etc/systemd", self.root.join("units").as_str());
        let script = script.replace("/run/systemd", self.root.join("systemd").as_str());
        let script = format!("PATH={}/bin:$PATH\n{script}", self.root);
        process::run(&["sh", "-c", &script].map(str::to_owned), b"", Duration::from_secs(30)).await.unwrap()
    }

    /// Returns the conflicts with the wish, each as `RELATION OWNER VALUE`.
    async fn conflicts(&self, wish: &Wish) -> Vec<String> {
        let subject = wish.subject();
        let finished = self.sh(&(subject.preamble() + &claims::probe(&subject))).await;
        assert!(finished.status.success() && finished.stderr.is_empty(), "{finished:?}");
        let text = String::from_utf8(finished.stdout).unwrap().replace(self.root.as_str(), "");
        text.lines().filter_map(|line| line.strip_prefix("neighbour ")).map(str::to_owned).collect()
    }

    /// Runs the command that claims, and returns true if it succeeds.
    async fn claims(&self, wish: &Wish) -> bool {
        let subject = wish.subject();
        let project = &subject.environment.application.as_ref().unwrap().project;
        let command = claims::commands(&subject, &wish.given.facts, project).unwrap();
        let mark = access::mark(&subject, &wish.given.facts, false).script;
        self.sh(&format!("set -eu\n{WRITE_WHOLE}{}{mark}", command.script)).await.status.success()
    }

    /// Runs the script that removes the environment's files and data.
    async fn purge(&self, wish: &Wish) -> Finished {
        self.remove_files(wish, true).await
    }

    async fn remove_files(&self, wish: &Wish, purge: bool) -> Finished {
        let commands = remove::commands(Kind::Files, &wish.subject(), &wish.given.facts, purge);
        self.sh(&format!("set -eu\n{WRITE_WHOLE}{}", commands[0].script)).await
    }

    /// Runs the script that gives up the claims of an environment that is removed without its data.
    async fn give_up(&self, wish: &Wish) {
        let give_up = claims::give_up(&wish.given.environment, &wish.given.facts);
        let finished = self.sh(&format!("set -eu\n{WRITE_WHOLE}{}{give_up}", wish.subject().preamble())).await;
        assert!(finished.status.success(), "{finished:?}");
    }

    /// Puts a link in the place of a directory, as a service that can write above it does.
    fn replace(&self, directory: &str, target: &str) {
        fs::rename(self.root.join(directory), self.root.join(format!("{directory}.old"))).unwrap();
        symlink(self.root.join(target), self.root.join(directory)).unwrap();
    }

    fn claimed(&self, name: &str) -> String {
        fs::read_to_string(self.root.join("state").join(format!("shop--{name}/claims"))).unwrap_or_default()
    }
}

#[tokio::test]
async fn directories_that_are_equal_or_nested_conflict_by_every_path() {
    let host = Host::new();
    let one = host.wish("one", "srv/one app", "one");
    assert!(host.conflicts(&one).await.is_empty());
    assert!(host.claims(&one).await);
    assert!(host.conflicts(&one).await.is_empty(), "its own claims are no conflict");
    fs::create_dir_all(host.root.join("srv/one app/data")).unwrap();
    symlink("one app", host.root.join("srv/link")).unwrap();
    symlink("/nowhere", host.root.join("srv/dangling")).unwrap();
    symlink(host.root.join("srv/link/data"), host.root.join("deep")).unwrap();
    // Without root, no link is root's.
    let others = fs::metadata(&host.root).unwrap().uid() != 0;
    let unrooted =
        |path: &str| others && ["srv/link", "srv/dangling", "deep"].iter().any(|link| path.starts_with(link));
    for (directory, found) in [
        ("srv/one app", Some("same")),
        ("srv/link", Some("same")),
        ("srv/one app/data", Some("inside")),
        ("srv/one app/not/there", Some("inside")),
        ("srv/link/not/there", Some("inside")),
        ("deep/not/there", Some("inside")),
        ("srv", Some("around")),
        ("srv/one", None),
        ("srv/one app2", None),
        ("srv/dangling/one app", None),
        ("srv/*", None),
    ] {
        let wish = host.wish("two", directory, "two");
        let found = found.filter(|_| !unrooted(directory));
        let wanted: Vec<String> = found.iter().map(|relation| format!("{relation} shop/one /srv/one app")).collect();
        assert_eq!(host.conflicts(&wish).await, wanted, "{directory}");
        let link = unrooted(directory);
        assert_eq!(host.claims(&wish).await, found.is_none() && !link, "{directory}");
        let _ = fs::remove_dir_all(host.root.join("state/shop--two"));
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_is_still_claimed() {
    let host = Host::new();
    assert!(host.claims(&host.wish("one", "srv/a/b", "one")).await);
    for (directory, relation) in [("srv/a/b", "same"), ("srv/a/b/c", "inside"), ("srv/a", "around")] {
        let conflicts = host.conflicts(&host.wish("two", directory, "two")).await;
        assert_eq!(conflicts, [format!("{relation} shop/one /srv/a/b")]);
    }
}

#[tokio::test]
async fn of_many_that_claim_at_once_one_wins() {
    for _ in 0..5 {
        let host = Host::new();
        let all: Vec<Wish> = (0..6).map(|n| host.wish(&format!("env{n}"), &format!("srv/{n}"), "stack")).collect();
        let won = futures::future::join_all(all.iter().map(|wish| host.claims(wish))).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    }
}

/// Hosts of older versions have records of releases, and a file for each directory with its owner.
#[tokio::test]
async fn records_of_former_versions_are_claims() {
    let host = Host::new();
    let mut record = given(&cases().join("converged.txt")).unwrap().facts.files.current.unwrap();
    record.directory = host.root.join("srv/\"a\"").into_string();
    record.project = "stack".to_owned();
    let state = host.root.join("state/shop--one");
    fs::create_dir_all(&state).unwrap();
    for name in ["current.json", "swapping.json"] {
        fs::write(state.join(name), serde_json::to_string(&record).unwrap()).unwrap();
        let two = host.wish("two", "srv/\"a\"/b", "stack");
        let wanted = ["inside shop--one /srv/\"a\"", "project shop--one stack"];
        let mut conflicts = host.conflicts(&two).await;
        conflicts.sort();
        assert_eq!(conflicts, wanted, "{name}");
        assert!(!host.claims(&two).await);
        fs::remove_file(state.join(name)).unwrap();
    }
    // An older version let `two` take the directory over.
    fs::write(state.join("current.json"), serde_json::to_string(&record).unwrap()).unwrap();
    let two = host.wish("two", "srv/\"a\"", "stack");
    assert_eq!(host.conflicts(&two).await.len(), 2);
    let hash = blake3::hash(two.subject().environment.application.as_ref().unwrap().host_directory.as_str().as_bytes());
    let owners = host.root.join("state/directories");
    fs::create_dir_all(&owners).unwrap();
    let marker = r#"{"version":1,"project":"shop","environment":"two","suspended":false,"protect":false}"#;
    fs::write(owners.join(&hash.to_hex()[..32]), marker).unwrap();
    assert!(host.conflicts(&two).await.is_empty());
    assert!(host.claims(&two).await);
}

#[tokio::test]
async fn a_claim_that_is_taken_over_leaves_its_former_owner() {
    let host = Host::new();
    let mut two = host.wish("two", "srv/app", "stack");
    let one = host.wish("one", "srv/app", "stack");
    assert!(host.claims(&one).await);
    assert!(!host.claims(&two).await);
    two.take_over = true;
    assert!(host.claims(&two).await);
    assert_eq!(host.claimed("one").trim(), "");
    assert!(host.conflicts(&two).await.is_empty());
    assert_eq!(host.conflicts(&one).await.len(), 2);
    assert!(!host.claims(&one).await);
}

#[tokio::test]
async fn a_claim_lasts_until_a_release_has_left_the_directory() {
    let host = Host::new();
    assert!(host.claims(&host.wish("one", "srv/first", "first")).await);
    let mut moved = host.wish("one", "srv/second", "second");
    assert!(host.claims(&moved).await);
    let (first, second) = (host.wish("two", "srv/first", "two"), host.wish("two", "srv/new", "second"));
    assert_eq!(host.conflicts(&first).await, ["same shop/one /srv/first"]);
    assert_eq!(host.conflicts(&second).await, ["project shop/one second"]);
    moved.given.facts.files.current = given(&cases().join("converged.txt")).unwrap().facts.files.current;
    let subject = moved.subject();
    let settle = claims::settle(&subject, &moved.given.facts, "second");
    let finished = host.sh(&format!("set -eu\n{WRITE_WHOLE}{}{settle}", subject.preamble())).await;
    assert!(finished.status.success(), "{finished:?}");
    assert!(host.conflicts(&first).await.is_empty());
    let claimed = format!("directory {0}\nproject second\nreal {0}/{0}\n", host.root.join("srv/second"));
    assert_eq!(host.claimed("one"), claimed);
}

/// Objects that remain of a previous project keep the claim on it.
#[tokio::test]
async fn a_project_is_claimed_until_nothing_of_it_is_left() {
    let host = Host::new();
    let directory = host.root.join("docker");
    fs::create_dir(&directory).unwrap();
    assert!(host.claims(&host.wish("one", "srv/one", "alpha")).await);
    let moved = host.wish("one", "srv/one", "beta");
    assert!(host.claims(&moved).await);
    let (two, own) = (host.wish("two", "srv/two", "alpha"), moved.subject());
    for (left, claimed) in [("containers", true), ("volumes", true), ("", false)] {
        for kind in ["containers", "volumes"] {
            fs::write(directory.join(format!("alpha.{kind}")), if kind == left { "left\n" } else { "" }).unwrap();
        }
        let settle = claims::settle(&own, &moved.given.facts, "beta");
        let finished = host.sh(&format!("set -eu\n{WRITE_WHOLE}{}{settle}", own.preamble())).await;
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(host.conflicts(&two).await.is_empty(), !claimed, "{left}");
    }
    // An environment that was removed from its host keeps the claim on its volumes only.
    for (left, lines) in [("left\n", "project beta\n"), ("", "\n")] {
        fs::write(directory.join("beta.volumes"), left).unwrap();
        let give_up = claims::give_up(&moved.given.environment, &moved.given.facts);
        let finished = host.sh(&format!("set -eu\n{WRITE_WHOLE}{}{give_up}", own.preamble())).await;
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(host.claimed("one"), lines);
    }
}

/// Docker Compose keeps containers of the previous owner that match the new owner's definition, with the previous
/// owner's directory in their labels.
#[test]
fn containers_of_a_project_that_was_taken_over_are_the_new_owners() {
    let Given { mut environment, facts: recorded, .. } = given(&cases().join("services/project-changed.txt")).unwrap();
    environment.application.as_mut().unwrap().project = "shop--production".to_owned();
    let own = |claims: &[&str]| {
        let mut facts = recorded.clone();
        facts.access.claims = claims::Seen::default();
        facts.access.claims.note();
        for claim in claims {
            facts.access.claims.own(claim);
        }
        assert!(facts.access.claims.conflict("project two/web shop--production"));
        let own = claims::own_containers(&environment, &facts).count();
        (own, claims::own_projects(&environment, &facts).len())
    };
    let directory = "directory /opt/deployer/shop--production";
    assert_eq!(own(&[directory]), (0, 0));
    // An older version let both have the project.
    assert_eq!(own(&[directory, "project shop--production"]), (4, 0));
}

#[tokio::test]
async fn the_work_of_a_former_owner_ends_with_its_claim() {
    let host = Host::new();
    let units = host.root.join("units/system");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(host.root.join("systemd/system")).unwrap();
    for name in ["shop--one--backup", "shop--one--nightly", "shop--one-more--nightly", "shop--two--nightly"] {
        fs::write(units.join(format!("deployer-{name}.timer")), "").unwrap();
    }
    assert!(host.claims(&host.wish("one", "srv/app", "one")).await);
    // Services of the previous owner run in that directory, too.
    fs::create_dir(host.root.join("docker")).unwrap();
    fs::write(host.root.join("docker/app.containers"), "0123\n4567\n").unwrap();
    let mut two = host.wish("two", "srv/app", "two");
    two.take_over = true;
    assert!(host.claims(&two).await);
    let calls = fs::read_to_string(host.root.join("calls")).unwrap();
    let of = |name: &str| {
        let unit = format!("deployer-shop--one--{name}");
        format!("disable -q --now {unit}.timer\nstop {unit}.service\n")
    };
    assert_eq!(calls, of("backup") + &of("nightly") + "docker stop 0123 4567\ndocker rm -f 0123 4567\n");
}

/// A service that can write to the directory above puts a link to another environment's directory, or to one above
/// that, there.
#[tokio::test]
async fn a_link_in_the_place_of_a_claimed_directory_leads_to_no_removal() {
    for target in ["srv/two", "srv"] {
        let host = Host::new();
        let (one, two) = (host.wish("one", "srv/one", "one"), host.wish("two", "srv/two", "two"));
        for wish in [&one, &two] {
            assert!(host.claims(wish).await);
        }
        for path in ["srv/one", "srv/two"] {
            fs::create_dir_all(host.root.join(path)).unwrap();
            fs::write(host.root.join(path).join("compose.yaml"), "precious\n").unwrap();
        }
        fs::rename(host.root.join("srv/one"), host.root.join("aside")).unwrap();
        symlink(host.root.join(target), host.root.join("srv/one")).unwrap();
        host.purge(&one).await;
        assert_eq!(fs::read_to_string(host.root.join("srv/two/compose.yaml")).unwrap(), "precious\n", "{target}");
    }
}

/// A conflict would keep the neighbours from being planned, applied and purged.
#[tokio::test]
async fn a_link_in_the_place_of_a_claimed_directory_is_no_conflict_of_others() {
    for target in ["srv/two", "srv", "."] {
        let host = Host::new();
        let (one, two) = (host.wish("one", "srv/one", "one"), host.wish("two", "srv/two", "two"));
        for wish in [&one, &two] {
            fs::create_dir_all(&wish.subject().environment.application.as_ref().unwrap().host_directory).unwrap();
            assert!(host.claims(wish).await);
        }
        fs::write(host.root.join("state/shop--one/mounted"), format!("{}/srv\n", host.root)).unwrap();
        host.replace("srv/one", target);
        for wish in [&one, &two] {
            assert!(host.conflicts(wish).await.is_empty(), "{target}");
        }
        for (directory, relation) in [("srv/one", "same"), ("srv/one/data", "inside")] {
            let found = host.conflicts(&host.wish("three", directory, "three")).await;
            assert!(found.contains(&format!("{relation} shop/one /srv/one")), "{target}: {found:?}");
        }
        assert!(host.purge(&two).await.status.success() && !host.root.join("srv/two").exists(), "{target}");
    }
}

#[tokio::test]
async fn a_take_over_takes_nothing_unless_root_can_enter_the_directory() {
    let host = Host::new();
    let (mut one, two) = (host.wish("one", "srv/one", "one"), host.wish("two", "srv/two", "two"));
    for wish in [&one, &two] {
        fs::create_dir_all(&wish.subject().environment.application.as_ref().unwrap().host_directory).unwrap();
        assert!(host.claims(wish).await);
    }
    fs::create_dir(host.root.join("docker")).unwrap();
    fs::write(host.root.join("docker/two.containers"), "0123\n").unwrap();
    fs::write(host.root.join("state/shop--one/mounted"), format!("{}/srv\n", host.root)).unwrap();
    host.replace("srv/one", "srv/two");
    one.take_over = true;
    let before = (host.claimed("one"), host.claimed("two"));
    assert!(!host.claims(&one).await);
    assert_eq!((host.claimed("one"), host.claimed("two")), before);
    assert!(!host.root.join("calls").exists(), "nothing of the other one was stopped");
    if fs::metadata(&host.root).unwrap().uid() == 0 {
        fs::remove_file(host.root.join("state/shop--one/mounted")).unwrap();
        assert!(host.claims(&one).await, "root's own link");
        assert_eq!(host.claimed("two"), "project two\n");
        assert!(host.claimed("one").contains(&format!("real {0}/srv/one/{0}/srv/two\n", host.root)));
    }
}

#[tokio::test]
async fn a_purge_leaves_what_another_environment_kept() {
    let host = Host::new();
    let (one, two, around) =
        (host.wish("one", "srv/x", "one"), host.wish("two", "srv/x", "two"), host.wish("three", "srv", "three"));
    let (directory, note) = (host.root.join("srv/x"), host.root.join("state/shop--one/kept"));
    fs::create_dir_all(&directory).unwrap();
    assert!(host.claims(&one).await);
    host.give_up(&one).await;
    // Whoever claims the directory has what is there.
    assert!(note.exists());
    assert!(host.claims(&two).await);
    assert!(!note.exists());
    host.give_up(&two).await;
    assert!(host.claims(&around).await);
    fs::write(&note, format!("{directory}\n")).unwrap();
    for wish in [&one, &around] {
        let refused = host.purge(wish).await;
        let said = String::from_utf8_lossy(&refused.stderr).replace(host.root.as_str(), "");
        assert!(!refused.status.success() && said.contains("shop/two uses or kept data in /srv/x"), "{said}");
        assert!(directory.exists());
    }
    // A removal that keeps the data needs no more.
    assert!(host.remove_files(&around, false).await.status.success() && directory.exists());
    fs::remove_file(&note).unwrap();
    host.give_up(&around).await;
    let purged = host.purge(&two).await;
    assert!(purged.status.success() && !directory.exists() && host.root.join("srv").exists(), "{purged:?}");
}

/// Files that were there before the environment's first release are not the environment's data.
#[tokio::test]
async fn a_purge_is_refused_of_a_directory_that_held_other_files() {
    let host = Host::new();
    let wish = host.wish("one", "srv/one", "one");
    fs::create_dir_all(host.root.join("srv/one")).unwrap();
    fs::write(host.root.join("srv/one/photo"), "precious\n").unwrap();
    assert!(host.claims(&wish).await);
    let refused = host.purge(&wish).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("held other files before deployer used it"), "{said}");
    assert!(host.root.join("srv/one/photo").exists());
    let kept = host.remove_files(&wish, false).await;
    assert!(kept.status.success() && host.root.join("srv/one/photo").exists(), "{kept:?}");
}

/// `rm` does not notice a bind mount of the same file system.
#[tokio::test]
async fn a_purge_is_refused_while_something_is_mounted_in_the_directory() {
    let host = Host::new();
    let wish = host.wish("one", "srv/one app", "one");
    fs::create_dir_all(host.root.join("srv/one app")).unwrap();
    assert!(host.claims(&wish).await);
    for path in ["srv/one app/media", "srv/one app2", "films"] {
        fs::create_dir_all(host.root.join(path)).unwrap();
    }
    fs::write(host.root.join("films/film"), "precious\n").unwrap();
    let (subject, root) = (wish.subject(), host.root.as_str());
    let probe = subject.preamble() + &claims::probe(&subject);
    let purge = &remove::commands(Kind::Files, &subject, &wish.given.facts, true)[0].script;
    let mounted = async |script: &str, at: &str| {
        let script = format!("set -eu\n{WRITE_WHOLE}mount --bind {root}/films '{root}/srv/{at}'\n{script}");
        let root = if rustix::process::geteuid().is_root() { "" } else { "-r" };
        host.sh(&format!("unshare {root} -m sh -c {}", quote(&script))).await
    };
    let seen = mounted(&probe, "one app/media").await;
    assert!(String::from_utf8_lossy(&seen.stdout).contains(&format!("\nmount {root}/srv/one app/media\n")), "{seen:?}");
    let refused = mounted(purge, "one app/media").await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("/srv/one app/media is a mount point"), "{said}");
    assert!(host.root.join("films/film").exists() && host.root.join("srv/one app/media").exists());
    assert!(!String::from_utf8_lossy(&mounted(&probe, "one app2").await.stdout).contains("\nmount "));
    let purged = mounted(purge, "one app2").await;
    assert!(purged.status.success() && !host.root.join("srv/one app").exists(), "{purged:?}");
}

/// A plan of a purge ends before anything is stopped.
#[test]
fn a_mount_in_the_directory_is_refused_by_name() {
    let mut given = given(&cases().join("converged.txt")).unwrap();
    assert!(access::purge_preflight(&given.subject(), &given.facts).is_none());
    given.facts.access.claims.mount("/srv/app/it's");
    let failure = access::purge_preflight(&given.subject(), &given.facts).unwrap();
    assert!(failure.message().starts_with("/srv/app/it's on the host is a mount point inside "), "{failure:?}");
    assert!(access::removal_preflight(&given.subject(), &given.facts).is_none());
}

/// The owner may have given the name to an image that is nowhere else.
#[tokio::test]
async fn a_removal_leaves_an_image_that_has_the_name_of_a_former_one() {
    let host = Host::new();
    let wish = host.wish("one", "srv/one", "one");
    fs::create_dir_all(host.root.join("docker")).unwrap();
    fs::create_dir_all(host.root.join("state/shop--one")).unwrap();
    let write = |path: &str, text: &str| fs::write(host.root.join(path), text).unwrap();
    write("state/shop--one/images", "demo:1\nreg.test/web:2\ngone:3\n");
    write("state/shop--one/brought", "sha256:1\nsha256:2\n");
    write("docker/demo:1.id", "sha256:9\n");
    write("docker/web:2.id", "sha256:2\n");
    let commands = remove::commands(Kind::Images, &wish.subject(), &wish.given.facts, false);
    let finished = host.sh(&format!("set -eu\n{}", commands[0].script)).await;
    assert!(finished.status.success(), "{finished:?}");
    let calls = fs::read_to_string(host.root.join("calls")).unwrap();
    let removed: Vec<&str> = calls.lines().filter_map(|line| line.strip_prefix("docker image rm -- ")).collect();
    assert_eq!(removed, ["reg.test/web:2", "sha256:1", "sha256:2"]);
    assert!(!host.root.join("state/shop--one/images").exists());
}

/// Another account can rename a directory below its own and put its own in the place.
#[tokio::test]
async fn a_directory_that_another_account_put_in_the_place_of_the_claimed_one_is_not_entered() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let mut wish = host.wish("one", "home/alice/app", "one");
    let (app, inode) = (host.root.join("home/alice/app"), host.root.join("state/shop--one/inode"));
    let own = |owner: u32| std::os::unix::fs::chown(host.root.join("home/alice"), Some(owner), None).unwrap();
    let replace = |other: &str| {
        fs::rename(&app, host.root.join("home/alice").join(other)).unwrap();
        fs::create_dir(&app).unwrap();
    };
    let enter = async |wish: &Wish| {
        let script = guard::claim((0, 0));
        let script = [&wish.subject().preamble(), "set -eu\n", WRITE_WHOLE, guard::FUNCTIONS, &script].concat();
        host.sh(&script).await.status.success()
    };
    fs::create_dir_all(app.parent().unwrap()).unwrap();
    own(12345);
    // Somebody was faster than the first release.
    assert!(host.claims(&wish).await);
    fs::create_dir(&app).unwrap();
    assert!(!enter(&wish).await);
    fs::remove_dir(&app).unwrap();
    assert!(enter(&wish).await && enter(&wish).await, "deployer made it");
    replace("app.1");
    assert!(!enter(&wish).await && !host.claims(&wish).await);
    let subject = wish.subject();
    let seen = host.sh(&(subject.preamble() + &claims::probe(&subject))).await;
    assert!(String::from_utf8_lossy(&seen.stdout).lines().any(|line| line == "astray"), "{seen:?}");
    wish.take_over = true;
    assert!(host.claims(&wish).await && enter(&wish).await, "the owner accepts it");
    wish.take_over = false;
    // A former version recorded nothing, and root may replace what only root can replace.
    fs::remove_file(&inode).unwrap();
    replace("app.2");
    assert!(enter(&wish).await && inode.exists());
    own(0);
    replace("app.3");
    assert!(enter(&wish).await && host.claims(&wish).await);
}

/// Any account can create a btrfs subvolume, and inode numbers start over in each one.
#[tokio::test]
async fn a_directory_with_the_same_inode_number_is_another_if_it_was_born_at_another_time() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let (wish, app) = (host.wish("one", "home/alice/site/app", "one"), host.root.join("home/alice/site/app"));
    let stat = format!(
        "#!/bin/sh\ncase $2 in %i) cut -d : -f 1 {root}/id ;; %i:*) cat {root}/id ;; *) exec /usr/bin/stat \"$@\" ;; esac\n",
        root = host.root
    );
    fs::write(host.root.join("bin/stat"), stat).unwrap();
    fs::set_permissions(host.root.join("bin/stat"), fs::Permissions::from_mode(0o755)).unwrap();
    let born = |time: &str| fs::write(host.root.join("id"), format!("257:{time}\n")).unwrap();
    fs::create_dir_all(app.parent().unwrap()).unwrap();
    std::os::unix::fs::chown(host.root.join("home/alice"), Some(12345), None).unwrap();
    let script =
        [&wish.subject().preamble(), "set -eu\n", WRITE_WHOLE, guard::FUNCTIONS, &guard::claim((0, 0))].concat();
    let enter = async || host.sh(&script).await.status.success();
    born("1795832452.668447760");
    assert!(host.claims(&wish).await && enter().await && enter().await);
    // A former version recorded the number alone.
    let inode = host.root.join("state/shop--one/inode");
    let noted = fs::read_to_string(&inode).unwrap();
    fs::write(&inode, noted.replacen(":1795832452.668447760 ", " ", 1)).unwrap();
    assert!(enter().await, "the directory is still the recorded one");
    fs::write(&inode, noted.replacen("257:1795832452.668447760 ", "258 ", 1)).unwrap();
    assert!(!enter().await, "the number is another");
    fs::write(&inode, noted).unwrap();
    fs::rename(host.root.join("home/alice/site"), host.root.join("home/alice/old")).unwrap();
    fs::create_dir_all(&app).unwrap();
    born("1795832460.000000001");
    assert!(!enter().await && !host.claims(&wish).await);
}

#[tokio::test]
async fn a_removal_that_keeps_the_data_leaves_a_directory_that_root_cannot_enter_and_says_so() {
    let host = Host::new();
    let wish = host.wish("one", "srv/one", "one");
    fs::create_dir_all(host.root.join("srv/one")).unwrap();
    fs::create_dir_all(host.root.join("victim")).unwrap();
    fs::write(host.root.join("victim/compose.yaml"), "precious\n").unwrap();
    assert!(host.claims(&wish).await);
    fs::write(host.root.join("state/shop--one/current.json"), "{}\n").unwrap();
    host.replace("srv/one", "victim");
    assert!(!host.purge(&wish).await.status.success());
    assert!(host.root.join("state/shop--one/current.json").exists());
    let removed = host.remove_files(&wish, false).await;
    let said = format!("{} says The files in {}/srv/one stay: ", wish.subject().marks().as_str(), host.root);
    assert!(removed.status.success() && String::from_utf8_lossy(&removed.stderr).contains(&said), "{removed:?}");
    assert!(!host.root.join("state/shop--one/current.json").exists(), "the rest is removed");
    assert_eq!(fs::read_to_string(host.root.join("victim/compose.yaml")).unwrap(), "precious\n");
}

/// Root runs schedules at times at which nobody looks.
#[tokio::test]
async fn a_schedule_enters_a_directory_only_where_it_was_when_it_was_claimed() {
    let host = Host::new();
    let mut wish = host.wish("one", "srv/one's app", "one");
    let run = "rm -f file".to_owned();
    wish.given.environment.schedules =
        vec![Schedule { name: Name::parse("tidy").unwrap(), at: "Sun 04:00".to_owned(), run }];
    fs::create_dir_all(host.root.join("srv/one's app")).unwrap();
    fs::create_dir_all(host.root.join("victim")).unwrap();
    fs::create_dir_all(host.root.join("units/system")).unwrap();
    let scripts = schedules::commands(&wish.subject(), &wish.given.facts);
    let titles: Vec<_> = scripts.iter().map(|command| command.title.as_str()).collect();
    let claim = "claim the directory and the Compose project";
    assert_eq!(
        titles,
        [claim, "read the times of the schedules", "install the schedules"],
        "older hosts have no claim yet"
    );
    for command in [&scripts[0], &scripts[2]] {
        let finished = host.sh(&format!("set -eu\n{WRITE_WHOLE}{}", command.script)).await;
        assert!(finished.status.success(), "{finished:?}");
    }
    let runs = async || {
        for directory in ["srv/one's app", "victim"] {
            fs::write(host.root.join(directory).join("file"), "").unwrap();
        }
        host.sh(&fs::read_to_string(host.root.join("state/shop--one/schedules/tidy")).unwrap()).await.status.success()
    };
    assert!(runs().await && !host.root.join("srv/one's app/file").exists());
    host.replace("srv/one's app", "victim");
    assert!(!runs().await && host.root.join("victim/file").exists());
    fs::remove_file(host.root.join("srv/one's app")).unwrap();
    fs::rename(host.root.join("srv/one's app.old"), host.root.join("srv/one's app")).unwrap();
    assert!(runs().await && host.root.join("victim/file").exists());
    // An environment whose directory was taken over has no claim on it.
    fs::write(host.root.join("state/shop--one/claims"), "project one\n").unwrap();
    assert!(!runs().await && host.root.join("srv/one's app/file").exists());
}

/// Former versions let directories contain one another.
#[tokio::test]
async fn a_directory_that_contains_anothers_is_left_by_the_script_that_would_remove_it() {
    let host = Host::new();
    let one = host.wish("one", "srv", "one");
    assert!(host.claims(&one).await);
    fs::create_dir_all(host.root.join("srv/two")).unwrap();
    fs::create_dir_all(host.root.join("state/shop--two")).unwrap();
    fs::write(host.root.join("state/shop--two/claims"), format!("directory {}/srv/two\n", host.root)).unwrap();
    host.purge(&one).await;
    assert!(host.root.join("srv/two").is_dir());
    fs::remove_dir_all(host.root.join("state/shop--two")).unwrap();
    host.purge(&one).await;
    assert!(!host.root.join("srv").exists());
}

/// The link is there before the claim, in a directory that another environment's service could write to.
#[tokio::test]
async fn a_claim_follows_no_link_of_a_service() {
    let host = Host::new();
    fs::create_dir_all(host.root.join("srv")).unwrap();
    fs::create_dir_all(host.root.join("victim")).unwrap();
    fs::create_dir_all(host.root.join("state/shop--two")).unwrap();
    symlink(host.root.join("victim"), host.root.join("srv/one")).unwrap();
    let one = host.wish("one", "srv/one", "one");
    fs::write(host.root.join("state/shop--two/mounted"), format!("{}/srv\n", host.root)).unwrap();
    assert!(!host.claims(&one).await);
    if fs::metadata(&host.root).unwrap().uid() == 0 {
        fs::remove_file(host.root.join("state/shop--two/mounted")).unwrap();
        assert!(host.claims(&one).await, "root's own link");
        assert!(host.claimed("one").contains(&format!("real {0}/srv/one/{0}/victim\n", host.root)));
    }
}

/// A plan says it where the directory is no longer what was claimed, and who moved it accepts that.
#[tokio::test]
async fn a_directory_that_leads_elsewhere_is_refused_until_it_is_taken_over() {
    let host = Host::new();
    let mut one = host.wish("one", "opt/app", "one");
    fs::create_dir_all(host.root.join("first/app")).unwrap();
    fs::create_dir_all(host.root.join("second/app")).unwrap();
    symlink("first", host.root.join("opt")).unwrap();
    if fs::metadata(&host.root).unwrap().uid() != 0 {
        return;
    }
    let astray = async |wish: &Wish| {
        let finished = host.sh(&(wish.subject().preamble() + &claims::probe(&wish.subject()))).await;
        String::from_utf8(finished.stdout).unwrap().lines().any(|line| line == "astray")
    };
    assert!(host.claims(&one).await && !astray(&one).await);
    fs::remove_file(host.root.join("opt")).unwrap();
    symlink("second", host.root.join("opt")).unwrap();
    assert!(astray(&one).await && !host.claims(&one).await);
    let mut facts = one.given.facts.clone();
    facts.access.claims.stray();
    assert!(claims::preflight(&one.subject(), &facts).unwrap().message().starts_with("Cannot enter "));
    one.take_over = true;
    assert!(claims::preflight(&one.subject(), &facts).is_none());
    assert!(host.claims(&one).await && !astray(&one).await);
}

#[test]
fn a_look_that_was_made_up_becomes_no_claim() {
    let base = "os debian\nmachine x86_64\n";
    for line in [
        "neighbour project two/web $(reboot)",
        "neighbour same two/web ../x",
        "neighbour same two/web /",
        "neighbour inside two/web/three /srv",
        "neighbour inside \u{1b}[2J /srv",
        "neighbour near two/web /srv",
        "neighbour same two/web",
    ] {
        let seen = access::parse(format!("{base}{line}\n").as_bytes()).unwrap();
        assert!(seen.broken_marker && seen.claims == claims::Seen::default(), "{line:?}");
    }
    let many = "neighbour same two/web /srv\n".repeat(100_000);
    assert!(access::parse(format!("{base}{many}").as_bytes()).unwrap().claims.conflicts().count() <= 100);
    for line in ["claim project a b", "claim directory srv", "claim directory /a/../b", "claim", "claim user root"] {
        let seen = access::parse(format!("{base}{line}\n").as_bytes()).unwrap();
        assert_eq!(seen.claims, claims::Seen::default(), "{line:?}");
    }
}

/// A container of an image that Compose built has some of Compose's labels; Docker tells none of the others.
#[test]
fn a_container_that_compose_did_not_make_is_not_a_service_and_stays() {
    let mut given = given(&cases().join("converged.txt")).unwrap();
    given.environment.application.as_mut().unwrap().project = "shop--production".to_owned();
    let id = "ab".repeat(32);
    let line = format!(
        r#"{{"id":"{id}","name":"/tool","project":"shop--production","service":"web","directory":null,"oneoff":null,"hash":null,"status":"running","exit":0,"health":null,"restarts":0,"policy":"no","started":"2026-11-22T10:00:00Z","ports":null,"image":""}}"#
    );
    let other = line.replace(&id, &"cd".repeat(32)).replace("/tool", "/bare").replace(r#""web""#, "null");
    given.facts.services.containers.extend([&line, &other].map(|line| container::parse(line).unwrap()));
    let subject = given.subject();
    assert_eq!(resource::observed(&subject, &given.facts), resource::desired(&subject, &given.facts));
    let changes = remove::changes(Kind::Services, &given.environment, &given.facts, false);
    let stays = changes.iter().filter(|change| change.to.is_some());
    let named: Vec<_> = stays.map(|change| (change.fact.as_str(), change.to.as_deref())).collect();
    assert_eq!(named, [("tool", Some("stays")), ("bare", Some("stays"))]);
    // Before the first release, the project is not the environment's own.
    given.facts.files = resource::files::Seen::default();
    let refused = claims::preflight(&given.subject(), &given.facts).unwrap();
    assert!(refused.message().contains("did not start: "), "{}", refused.message());
}

#[tokio::test]
async fn containers_started_by_hand_in_a_project_outlast_the_environment() {
    let host = Host::new();
    fs::create_dir(host.root.join("docker")).unwrap();
    let wish = host.wish("one", "srv/one", "alpha");
    let calls = async |all: &str, own: &str| {
        for (name, text) in [
            ("alpha.containers", all),
            ("one.containers", own),
            ("com.docker.compose.volume.volumes", "unused\nvol\n"),
            ("vol.containers", "4567\n"),
            ("com.docker.compose.network.networks", "default\nproxy\n"),
            ("proxy.containers", "4567\n"),
        ] {
            fs::write(host.root.join("docker").join(name), text).unwrap();
        }
        let _ = fs::remove_file(host.root.join("calls"));
        let command = remove::commands(Kind::Services, &wish.subject(), &wish.given.facts, true).remove(0);
        let finished = host.sh(&format!("set -eu\n{}", command.script)).await;
        assert!(finished.status.success(), "{finished:?}");
        let (mark, said) = (wish.subject().marks(), String::from_utf8(finished.stderr).unwrap());
        let stays = |line: &'_ str| {
            let (what, _) = line.strip_prefix(mark.as_str())?.strip_prefix(" says The ")?.split_once(" stays: ")?;
            Some(what.to_owned())
        };
        (fs::read_to_string(host.root.join("calls")).unwrap(), said.lines().filter_map(stays).collect::<Vec<_>>())
    };
    let own = "docker stop 0123\ndocker rm -f 0123\n";
    let (made, stays) = calls("0123\n4567\n", "0123\n").await;
    assert_eq!((made, stays), (format!("{own}docker volume rm -- unused\n"), vec!["volume vol".to_owned()]));
    // Nobody else has anything there.
    let (alone, _) = calls("0123\n", "0123\n").await;
    let down = format!("--project-directory {}/state/shop--one --env-file /dev/null down\n", host.root);
    assert!(alone.starts_with(&format!("docker compose -p alpha {down}{own}")), "{alone}");
    // Somebody's container joined its network and uses its volume, from another project.
    let (made, stays) = calls("", "").await;
    let removed = "docker network rm -- default\ndocker volume rm -- unused\n";
    assert_eq!(made, format!("docker compose -p alpha {down}{removed}"));
    assert_eq!(stays, ["network proxy", "volume vol"]);
}

#[test]
fn the_plan_of_a_removal_names_what_goes_and_what_stays() {
    let mut given = given(&cases().join("converged.txt")).unwrap();
    let environment = &given.environment;
    let said = |facts: &resource::HostFacts, kind, purge| {
        let all = remove::changes(kind, environment, facts, purge).into_iter();
        let line = |it: Change| {
            let to = it.to.map_or_else(String::new, |to| format!(" -> {to}"));
            format!("{} {}{to}{}", it.fact, it.from.unwrap(), it.note.map_or_else(String::new, |it| format!(" ({it})")))
        };
        all.map(line).collect::<Vec<_>>()
    };
    let facts = &mut given.facts;
    let object = |kind: &str, name: &str, project: &str| {
        format!(
            r#"{{"Name":"{name}","Labels":{{"com.docker.compose.project":"{project}","com.docker.compose.{kind}":"it"}}}}"#
        )
    };
    let (ours, theirs) = ("shop--production", "another");
    let volumes = [object("volume", "data", ours), object("network", "mine", ours), object("volume", "x", theirs)];
    let networks = [object("network", "front", ours), object("network", "y", theirs)];
    let containers: Vec<String> = (0..25)
        .map(|at| {
            format!(
                r#"{{"id":"{at:064}","name":"/web-{at:02}","project":"{ours}","service":"web","directory":"/opt/deployer/{ours}","oneoff":"False","hash":"a","status":"running","exit":0,"health":null,"restarts":0,"policy":"no","started":"2026-11-22T10:00:00Z","ports":null,"image":""}}"#
            )
        })
        .collect();
    let probe = |containers: &[String]| {
        let lines = [format!("volumes [{}]", volumes.join(",")), format!("networks [{}]", networks.join(","))];
        services::parse([&lines[..], containers].concat().join("\n").as_bytes()).unwrap()
    };
    facts.services = probe(&containers[..1]);
    let goes = ["container web-00 exists", "network front exists"];
    let named = |volume: &'static str| [&goes[..], &[volume]].concat();
    assert_eq!(said(facts, Kind::Services, true), named("volume data exists (its data is deleted)"));
    let stays = named("volume data exists -> stays (destroy --purge deletes its data)");
    assert_eq!(said(facts, Kind::Services, false), stays);
    facts.services = probe(&containers);
    let many = said(facts, Kind::Services, false);
    assert_eq!((many.len(), many[20].as_str()), (23, "5 more containers exists"));

    let brought = "brought demo:1\nbrought demo:1\nbrought gone:1\nbrought $(x)\nbrought\n";
    let here = format!("demo 1 <none> sha256:{}\n", "0".repeat(64));
    facts.images = images::parse((brought.to_owned() + &here).as_bytes());
    let image = ["image demo:1 exists (stays if something else on the host uses it)"];
    assert_eq!(said(facts, Kind::Images, false), image);

    let directory = "/opt/deployer/shop--production";
    let everything = [format!("{directory} exists (everything in it is deleted)")];
    assert_eq!(said(facts, Kind::Files, true), everything);
    let files = [format!("{directory} 3 files (what services wrote there stays; destroy --purge deletes it)")];
    assert_eq!(said(facts, Kind::Files, false), files);

    // What is left of it after that.
    facts.files = resource::files::Seen::default();
    facts.access.key = None;
    facts.services = services::parse(b"kept data\n").unwrap();
    facts.access.claims.keep(directory);
    assert_eq!(said(facts, Kind::Services, true), ["volume data kept (its data is deleted)"]);
    assert_eq!(said(facts, Kind::Files, true), [format!("{directory} kept (its data is deleted)")]);
}

#[tokio::test]
async fn data_that_a_removal_kept_can_be_purged() {
    let host = Host::new();
    let mut wish = host.wish("one", "srv/one", "alpha");
    assert!(host.claims(&wish).await);
    let directory = host.root.join("srv/one");
    for there in [true, false] {
        if there {
            fs::create_dir_all(&directory).unwrap();
        } else {
            fs::remove_dir(&directory).unwrap();
        }
        let give_up = claims::give_up(&wish.given.environment, &wish.given.facts);
        let preamble = wish.subject().preamble();
        let finished = host.sh(&format!("set -eu\n{WRITE_WHOLE}{preamble}{give_up}")).await;
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(host.claimed("one"), "\n", "others can have the directory");
        let finished = host.sh(&(preamble + &claims::probe(&wish.subject()))).await;
        let noted = format!("kept {directory}\n");
        assert_eq!(String::from_utf8(finished.stdout).unwrap().contains(&noted), there);
    }
    let Given { environment, facts, .. } = &mut wish.given;
    let left = |facts: &resource::HostFacts, purge: bool| {
        let all = remove::ORDER.into_iter().filter(|kind| remove::present(*kind, environment, facts, purge));
        let named = |kind| remove::changes(kind, environment, facts, purge).into_iter().map(|change| change.fact);
        all.map(|kind| (kind, named(kind).collect::<Vec<String>>())).collect::<Vec<_>>()
    };
    (facts.access.key, facts.files) = (None, resource::files::Seen::default());
    assert!(left(facts, true).is_empty());
    facts.services = services::parse(b"kept alpha_data\n").unwrap();
    assert!(left(facts, false).is_empty());
    let volume = (Kind::Services, vec!["volume alpha_data".to_owned()]);
    assert_eq!(left(facts, true), [volume.clone(), (Kind::Access, vec![])]);
    facts.access.claims.keep(directory.as_str());
    assert!(left(facts, false).is_empty());
    assert_eq!(left(facts, true), [volume, (Kind::Files, vec![directory.into_string()]), (Kind::Access, vec![])]);
}
