//! Mounts of one environment below directories that others on the host can write to: no link there is followed, whoever
//! else writes there and whichever version made the release. `sh` runs the real script that starts services, with a
//! stand-in for Docker that only reports the mounts.

use camino::Utf8PathBuf;
use deployer::io::process::{self, Finished};
use deployer::resource::HostFacts;
use deployer::resource::contract::guard;
use deployer::resource::contract::record::{ReleaseRecord, ServiceRecord};
use deployer::resource::contract::whole::WRITE_WHOLE;
use deployer::resource::services::start;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

/// Directories of a host, with a release that mounts `srv/shared/sub`, which can be replaced by a link to `victim`.
struct Host {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    record: ReleaseRecord,
}

const DOCKER: &str = r#"#!/bin/sh
case "$*" in
  *'json .Options'*) cat "ROOT/options" 2>/dev/null ;;
  'ps -aq'*) cat "ROOT/containers" ;;
  'inspect --format'*) cat "ROOT/mounts" ;;
  'volume ls'*) cat "ROOT/volumes" ;;
  'volume inspect'*) cat "ROOT/devices" ;;
  start*) : > "ROOT/ran" ;;
esac
"#;

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        for directory in ["state/shop--two/releases/R1", "state/shop--one", "srv/shared/sub", "app", "victim", "bin"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for name in ["containers", "mounts", "volumes", "devices"] {
            fs::write(root.join(name), "").unwrap();
        }
        let outside = [(root.join("srv/shared/sub"), false)].into();
        let service = ServiceRecord { outside, ..ServiceRecord::default() };
        let record = ReleaseRecord {
            id: "R1".to_owned(),
            directory: root.join("app").into_string(),
            project: "shop--two".to_owned(),
            services: [("web".to_owned(), service)].into(),
            ..ReleaseRecord::default()
        };
        let host = Self { _folder: folder, root, record };
        host.write("bin/docker", DOCKER);
        fs::set_permissions(host.root.join("bin/docker"), fs::Permissions::from_mode(0o755)).unwrap();
        host
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text.replace("ROOT", self.root.as_str())).unwrap();
    }

    async fn sh(&self, script: &str) -> Finished {
        let root = &self.root;
        let script = format!(
            "root={root} state=/var/lib/deployer/shop--two app={root}/app PATH={root}/bin:$PATH\nset -eu\n{script}"
        );
        let script =
            script.replace("/var/lib/deployer", root.join("state").as_str()).replace("/run/docker.sock", "/none");
        let _ = fs::remove_file(root.join("ran"));
        process::run(&["sh", "-c", &script].map(str::to_owned), b"", Duration::from_secs(30)).await.unwrap()
    }

    /// Starts the release, and returns true if the start succeeded, with the output.
    async fn start(&self) -> (bool, String) {
        let run = start::guarded(&self.record, &HostFacts::default(), ": > \"$root/ran\"");
        let finished = self.sh(&[WRITE_WHOLE, guard::FUNCTIONS, start::FUNCTIONS, &run].concat()).await;
        let ran = self.root.join("ran").exists();
        assert_eq!(ran, finished.status.success(), "{finished:?}");
        (ran, String::from_utf8_lossy(&finished.stderr).into_owned())
    }

    /// Replaces the mounted directory by a link.
    fn plant(&self) {
        fs::remove_dir(self.root.join("srv/shared/sub")).unwrap();
        symlink(self.root.join("victim"), self.root.join("srv/shared/sub")).unwrap();
    }

    async fn refused(&self) {
        let (ran, said) = self.start().await;
        assert!(!ran && said.contains("srv/shared/sub is mounted, and") && said.contains("is a link"), "{said}");
    }
}

#[tokio::test]
async fn a_mount_below_a_path_that_a_foreign_container_writes_to_is_not_a_link() {
    for (list, told) in [("containers", "mounts"), ("volumes", "devices")] {
        let host = Host::new();
        host.write(list, "0123\n");
        host.write(told, "ROOT/srv/other\nROOT/srv/shared\n\n/\n");
        assert!(host.start().await.0, "what is no link is mounted");
        host.plant();
        host.refused().await;
        // A link that only root can have made is accepted.
        host.write(told, "ROOT/srv/shared/sub\nROOT/srv/shared/other\nROOT/srv/share\n/\n");
        assert!(host.start().await.0);
    }
}

#[tokio::test]
async fn a_mount_below_a_path_that_another_environment_could_write_to_is_not_a_link() {
    for noted in ["ROOT/srv/shared\n", "shared\n", ".\n"] {
        let host = Host::new();
        host.write("state/shop--one/claims", "directory ROOT/srv\nproject one\n");
        host.write("state/shop--one/mounted", noted);
        assert!(host.start().await.0);
        host.plant();
        host.refused().await;
    }
    // An older version recorded no claims.
    let host = Host::new();
    host.write("state/shop--one/current.json", r#"{"version":1,"directory":"ROOT/srv","project":"one"}"#);
    host.write("state/shop--one/mounted", "shared\n");
    host.plant();
    host.refused().await;
}

/// Records of older versions do not list mounts from outside. The model that Compose made of the release does.
#[tokio::test]
async fn releases_of_former_versions_are_protected_as_they_are() {
    let mut host = Host::new();
    host.record.services.values_mut().for_each(|service| service.outside.clear());
    host.write("containers", "0123\n");
    host.write("mounts", "ROOT/srv/shared\n");
    host.plant();
    assert!(host.start().await.0, "nothing tells of the mount");
    for line in [
        r#""source": "ROOT/srv/shared/sub","#,
        r#""device": "ROOT/srv/shared/sub""#,
        r#""file": "ROOT/srv/shared/sub""#,
    ] {
        host.write("state/shop--two/releases/R1/model.json", &format!("{{\n      {line}\n}}\n"));
        host.refused().await;
    }
    let beside = r#""source": "ROOT/state/shop--two/releases/R1/srv/shared/sub","#;
    host.write("state/shop--two/releases/R1/model.json", &format!("{{\n      {beside}\n}}\n"));
    host.refused().await;
}

/// What a volume consists of is what Docker has, whether or not a Compose file says it.
#[tokio::test]
async fn volumes_are_what_docker_made_of_them() {
    for (device, options) in [
        ("ROOT/srv/shared/sub", "bind"),
        // Docker counts relative paths from the root directory.
        ("RELATIVE/srv/shared/sub", "ro,bind"),
        ("ROOT/srv//other/../shared/./sub", "bind"),
    ] {
        let mut host = Host::new();
        let device = device.replace("RELATIVE", host.root.as_str().trim_start_matches('/'));
        host.record.services.values_mut().for_each(|service| service.outside.clear());
        host.write("containers", "0123\n");
        host.write("mounts", "\"ROOT/srv/shared\"\n");
        host.write("devices", &format!("\"/d/_data\"\n\"{device}\"\no \"{options}\"\n"));
        let model =
            "{\n  \"volumes\": {\n    \"ext\": {\n      \"name\": \"ext\",\n      \"external\": true\n    }\n  }\n}\n";
        host.write("state/shop--two/releases/R1/model.json", model);
        assert!(host.start().await.0);
        host.plant();
        host.refused().await;
    }
}

#[tokio::test]
async fn a_volume_that_docker_keeps_with_other_options_is_refused_by_name() {
    let host = Host::new();
    let model = "{\n  \"volumes\": {\n    \"dev\": {\n      \"name\": \"shop_dev\",\n      \"driver_opts\": {\n        \"device\": \"DEVICE\",\n        \"o\": \"bind\"\n      }\n    }\n  }\n}\n";
    let script = start::before_switch(&host.record, &HostFacts::default(), &std::collections::BTreeSet::new());
    let script = [guard::FUNCTIONS, start::FUNCTIONS, &script].concat();
    for (device, options, same) in [
        ("/srv/$$a", r#"{"device":"/srv/$a","o":"bind"}"#, true),
        ("/srv/$$a", r#"{"device":"/srv/b","o":"bind"}"#, false),
        ("/srv/$$a", "null", false),
        // Compose resolved these paths in root's copy of the release.
        ("ROOT/state/shop--two/releases/R1/tree/data", r#"{"device":"ROOT/app/data","o":"bind"}"#, true),
        ("ROOT/state/shop--two/releases/R1/data", r#"{"device":"ROOT/data","o":"bind"}"#, true),
        ("ROOT/state/shop--two/releases/R1/tree/data", r#"{"device":"ROOT/app/other","o":"bind"}"#, false),
    ] {
        host.write("state/shop--two/releases/R1/model.json", &model.replace("DEVICE", device));
        host.write("options", options);
        let finished = host.sh(&script).await;
        assert_eq!(finished.status.success(), same, "{finished:?}");
        assert_eq!(
            String::from_utf8_lossy(&finished.stderr).contains("volume shop_dev was created with other options"),
            !same
        );
    }
}

/// Docker looks up such paths itself, and no list of the kernel tells afterwards what it found.
#[tokio::test]
async fn mounts_that_cannot_be_compared_are_refused_where_others_write() {
    let device = "{\n  \"services\": {\n    \"web\": {\n      \"devices\": [\n        {\n          \"source\": \"PATH\",\n          \"target\": \"/dev/x\"\n        }\n      ]\n    }\n  }\n}\n";
    let short = "{\n  \"services\": {\n    \"web\": {\n      \"devices\": [\n        \"PATH:/dev/x:rwm\"\n      ]\n    }\n  }\n}\n";
    let volume = "{\n  \"volumes\": {\n    \"v\": {\n      \"name\": \"v\",\n      \"driver_opts\": {\n        \"device\": \"DEVICE\",\n        \"o\": \"OPTIONS\"\n      }\n    }\n  }\n}\n";
    let overlay = volume.replace("DEVICE", "overlay").replace("OPTIONS", "lowerdir=/l:PATH,upperdir=/u,workdir=/w");
    let disk = volume.replace("DEVICE", "PATH").replace("OPTIONS", "");
    for model in [device, short, &overlay, &disk] {
        let mut host = Host::new();
        host.record.services.values_mut().for_each(|service| service.outside.clear());
        let path = host.root.join("srv/shared/sub");
        for file in ["resolved.json", "model.json"] {
            let file = format!("state/shop--two/releases/R1/{file}");
            host.write("mounts", "");
            host.write("containers", "");
            host.write(&file, &model.replace("PATH", path.as_str()));
            assert!(host.start().await.0, "{model}");
            host.write("containers", "0123\n");
            host.write("mounts", "\"ROOT/srv/shared\"\n");
            let (ran, said) = host.start().await;
            assert!(!ran && said.contains("or part of a volume that is no directory"), "{model}: {said}");
            fs::remove_file(host.root.join(file)).unwrap();
        }
        // Whoever writes to /dev has the host.
        host.write("mounts", "\"/dev\"\n");
        host.write("state/shop--two/releases/R1/resolved.json", &model.replace("PATH", "/dev/ttyS0"));
        assert!(host.start().await.0, "{model}");
        // A backslash may stand before a colon of a name: nothing tells which directory that is.
        host.write("state/shop--two/releases/R1/resolved.json", &overlay.replace("PATH", r"ROOT/srv/own/a\\:b"));
        assert!(host.start().await.1.contains("/srv/own/? is a device or part"));
    }
}

/// What leads to one directory by another path, over a link of root's, is compared too.
#[tokio::test]
async fn mounts_over_links_are_compared_where_they_lead() {
    for (written, mounted) in
        [("link", "srv/shared/sub"), ("srv/shared", "link/sub"), ("srv/shared", "srv/../link//sub"), ("srv", "deep")]
    {
        let mut host = Host::new();
        symlink("srv/shared", host.root.join("link")).unwrap();
        symlink(host.root.join("srv/shared/sub"), host.root.join("deep")).unwrap();
        let outside = [(host.root.join(mounted), false)].into();
        host.record.services.values_mut().for_each(|service| service.outside.clone_from(&outside));
        host.write("containers", "0123\n");
        host.write("mounts", &format!("\"ROOT/{written}\"\n"));
        assert!(host.start().await.0, "{written} {mounted}");
        host.plant();
        let (ran, said) = host.start().await;
        assert!(!ran && said.contains("sub is a link"), "{written} {mounted}: {said}");
    }
}

/// Accounts of the host count as services do.
#[tokio::test]
async fn a_mount_below_what_other_accounts_can_change_is_no_link() {
    let host = Host::new();
    let mode = |mode: u32| {
        fs::set_permissions(host.root.join("srv/shared"), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o777);
    assert!(host.start().await.0, "what is no link is mounted");
    host.plant();
    host.refused().await;
    // Nobody else can replace a link of root's in a directory such as /tmp, or in one that only root can change.
    for safe in [0o1777, 0o755] {
        mode(safe);
        assert!(host.start().await.0);
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(host.root.join("srv/shared/sub"), Some(12345), None).unwrap();
        mode(0o1777);
        host.refused().await;
        std::os::unix::fs::lchown(host.root.join("srv/shared"), Some(12345), None).unwrap();
        mode(0o755);
        host.refused().await;
    }
}

/// The kernel shows an access list as the rights of the group, whatever the group is. The owner of the application's
/// directory is nobody special: another account may have put the directory there.
#[tokio::test]
async fn a_group_with_an_access_list_and_the_owner_of_the_application_count_as_other_accounts() {
    let host = Host::new();
    host.plant();
    fs::set_permissions(host.root.join("srv/shared"), fs::Permissions::from_mode(0o775)).unwrap();
    host.refused().await;
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(host.root.join("srv/shared"), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(host.start().await.0, "root alone can have made the link");
        for path in ["srv/shared", "app"] {
            std::os::unix::fs::lchown(host.root.join(path), Some(12345), None).unwrap();
        }
        host.refused().await;
    }
}

/// A run of deployer logs in, and the schedule of a backup does not.
#[tokio::test]
async fn the_directories_of_the_login_account_are_roots_own() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    host.plant();
    std::os::unix::fs::lchown(host.root.join("srv/shared"), Some(12345), None).unwrap();
    host.refused().await;
    let start = start::guarded(&host.record, &HostFacts::default(), ": > \"$root/ran\"");
    let schedule = "[ -z \"$(echo \"$root/srv/shared/sub\" | of_others)\" ]\n";
    for (login, run, trusted) in [
        ("", schedule, false),
        ("SUDO_UID=12345\n", &start, true),
        ("", schedule, true),
        ("SUDO_UID=12346\n", &start, false),
    ] {
        let finished = host.sh(&[login, WRITE_WHOLE, guard::FUNCTIONS, start::FUNCTIONS, run].concat()).await;
        assert_eq!(finished.status.success(), trusted, "{login} {run} {finished:?}");
    }
}

/// Docker creates a directory that is missing. Another account can put a link there at that moment, so the mount is
/// compared after the start.
#[tokio::test]
async fn a_mount_that_does_not_exist_yet_is_compared_where_others_can_create_it() {
    let mut host = Host::new();
    let exposed = |host: &Host| {
        let script = start::guarded(&host.record, &HostFacts::default(), "printf '%s\\n' \"$exposed\"");
        [WRITE_WHOLE, guard::FUNCTIONS, start::FUNCTIONS, &script].concat()
    };
    for (mode, path, listed) in [
        (0o1777, "srv/shared/cache", "srv/shared\tcache\n"),
        (0o1777, "srv/shared/cache/more", "srv/shared\tcache/more\n"),
        (0o777, "srv/shared/cache", "srv/shared\tcache\n"),
        (0o1777, "srv/shared/sub", "\n"),
        (0o755, "srv/shared/cache", "\n"),
        (0o755, "app/data", "\n"),
    ] {
        fs::set_permissions(host.root.join("srv/shared"), fs::Permissions::from_mode(mode)).unwrap();
        let outside = [(host.root.join(path), false)].into();
        host.record.services.values_mut().for_each(|service| service.outside.clone_from(&outside));
        let finished = host.sh(&exposed(&host)).await;
        let text = String::from_utf8_lossy(&finished.stdout).replace(&format!("{}/", host.root), "");
        assert_eq!(text, listed, "{mode:o} {path} {finished:?}");
    }
}

/// `volumes_from` takes what another container has, which no Compose file tells.
#[tokio::test]
async fn mounts_taken_from_a_container_count_as_the_services_own() {
    let mut host = Host::new();
    host.record.services.values_mut().for_each(|service| service.outside.clear());
    host.write("state/shop--one/mounted", "ROOT/srv/shared\n");
    host.write("mounts", "\"ROOT/srv/shared/sub\"\n");
    let model = "{\n  \"services\": {\n    \"web\": {\n      \"volumes_from\": [\n        \"container:data:ro\"\n      ]\n    }\n  }\n}\n";
    host.write("state/shop--two/releases/R1/resolved.json", model);
    assert!(host.start().await.0);
    let noted = fs::read_to_string(host.root.join("state/shop--two/mounted")).unwrap();
    assert_eq!(noted, format!("{}/srv/shared/sub\n", host.root), "its services can write there");
    host.plant();
    host.refused().await;
    // Without the container, nothing tells.
    fs::remove_file(host.root.join("mounts")).unwrap();
    let (ran, said) = host.start().await;
    assert!(!ran && said.contains("whose volumes a service takes: data"), "{said}");
    let own = model.replace("\"volumes_from\"", "\"container_name\": \"data\",\n      \"volumes_from\"");
    host.write("state/shop--two/releases/R1/resolved.json", &own);
    assert!(host.start().await.0);
}

#[tokio::test]
async fn roots_state_is_mounted_under_no_name() {
    let mut host = Host::new();
    symlink("state", host.root.join("link")).unwrap();
    for (path, refused) in
        [("state", true), ("state/shop--one/x", true), ("link/shop--one", true), ("srv", false), ("", false)]
    {
        let outside = [(host.root.join(path), false)].into();
        host.record.services.values_mut().for_each(|service| service.outside.clone_from(&outside));
        let (ran, said) = host.start().await;
        assert_eq!((ran, said.contains("deployer keeps the state")), (!refused, refused), "{path}: {said}");
    }
}

/// The paths of a release are those that Docker gets. A former version resolved them elsewhere: what it wrote counts
/// for each path that it may mean.
#[tokio::test]
async fn a_path_that_leaves_the_application_is_the_one_that_docker_gets() {
    let mut host = Host::new();
    host.record.services.values_mut().for_each(|service| service.outside.clear());
    host.write("containers", "0123\n");
    host.write("mounts", "\"ROOT/srv/shared\"\n");
    host.plant();
    let up = |levels: usize, path: &str| {
        let tree = host.root.join("state/shop--two/releases/R1/tree");
        let above = tree.ancestors().nth(levels).unwrap();
        format!("{{\n      \"source\": \"{}\",\n}}\n", above.join(path))
    };
    let record = ReleaseRecord { directory: host.root.join("srv/a/b/c/d/e").into_string(), ..host.record.clone() };
    for (levels, path) in [(4, "../shared/sub"), (5, "shared/sub")] {
        let model = up(levels, path).replace("/../", "/");
        host.write("state/shop--two/releases/R1/model.json", &model);
        let lists = format!(
            "release=$state/releases/R1; written_by_former \"$release\" \"$release/model.json\" >\"$root/list\"\napp={}; outside \"$release/model.json\" >>\"$root/list\"",
            record.directory
        );
        host.write(
            "state/shop--two/releases/R1/release.json",
            &format!("{{\"directory\":\"{}\",\"project\":\"x\"}}", record.directory),
        );
        let finished = host.sh(&[guard::FUNCTIONS, start::FUNCTIONS, &lists].concat()).await;
        assert!(finished.status.success(), "{finished:?}");
        let list = fs::read_to_string(host.root.join("list")).unwrap();
        let expected = if levels == 4 { "srv/a/shared/sub" } else { "srv/shared/sub" };
        let expected = host.root.join(expected);
        assert_eq!(list.lines().filter(|line| *line == expected).count(), 2, "{levels}: {list}");
    }
}

/// A restore starts the services that it stopped in this way.
#[tokio::test]
async fn containers_that_start_again_mount_no_link() {
    let host = Host::new();
    host.write("containers", "0123\n");
    host.write("mounts", "ROOT/srv/shared\nROOT/srv/shared/sub\n");
    let script = [guard::FUNCTIONS, start::FUNCTIONS, "start_guarded shop--two 0123 || exit 1\n"].concat();
    let finished = host.sh(&script).await;
    assert!(finished.status.success() && host.root.join("ran").exists(), "{finished:?}");
    host.plant();
    let finished = host.sh(&script).await;
    assert!(!finished.status.success() && !host.root.join("ran").exists(), "{finished:?}");
}

/// The models of all kept releases of the host count, of every version, however a file ends.
#[tokio::test]
async fn what_any_kept_release_could_write_to_is_known() {
    let host = Host::new();
    let model = |path: &str| {
        format!(
            "{{\n  \"services\": {{\n    \"a\": {{\n      \"volumes\": [\n        {{\n          \"source\": \"ROOT/{path}\"\n        }},\n        \
             {{\n          \"source\": \"ROOT/{path}-read\",\n          \"read_only\": true\n        }}\n      ]\n    }}\n  }}\n}}"
        )
    };
    for name in ["one/releases/R1", "one/releases/R2", "one/releases/R3", "two/releases/R2"] {
        fs::create_dir_all(host.root.join(format!("state/shop--{name}"))).unwrap();
    }
    host.write("state/shop--one/releases/R1/resolved.json", &model("first"));
    host.write("state/shop--one/releases/R2/resolved.json", &(model("second") + "\n"));
    host.write("state/shop--one/releases/R2/model.json", &model("replaced"));
    host.write("state/shop--one/releases/R3/model.json", &model("third"));
    host.write("state/shop--two/releases/R2/resolved.json", &model("fourth"));
    let finished = host.sh(&[guard::FUNCTIONS, "writable\n"].concat()).await;
    let said = String::from_utf8_lossy(&finished.stdout).replace(host.root.as_str(), "");
    let mut paths: Vec<&str> = said.lines().collect();
    paths.sort_unstable();
    paths.dedup(); // a former path may be one of two
    assert!(finished.status.success() && finished.stderr.is_empty(), "{finished:?}");
    assert_eq!(paths, ["/first", "/fourth", "/second", "/third"]);
}
