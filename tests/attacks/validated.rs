//! Docker Compose reads the same files when it validates a release and when it starts it, and never a file that
//! services of the release can write to. The tests run the real scripts in `sh`, with their own mount namespace and a
//! Docker Compose that reads one `env_file`.

use camino::Utf8PathBuf;
use deployer::io::process;
use deployer::resource::contract::guard;
use deployer::resource::contract::record::ReleaseRecord;
use deployer::resource::contract::whole::WRITE_WHOLE;
use deployer::resource::files;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

/// Compose's model of the release, with the variable that the `env_file` sets.
const MODEL: &str = r#"{
  "services": {
    "web": {
      "environment": {
        "X": "VALUE"
      },
      "volumes": [
        {
          "type": "bind",
          "source": "ROOT/etc",
          "target": "/etc/app",READ_ONLY
          "bind": {
            "create_host_path": true
          }
        },
        {
          "type": "bind",
          "source": "TREE/data",
          "target": "/data"
        }
      ]
    }
  }
}
"#;

/// A host with the files of a release, and a service that mounts `etc`, where an `env_file` of the release is.
struct Host {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    record: ReleaseRecord,
}

impl Host {
    /// `missing` is what Docker Compose does without its `env_file`, and `read_only` a line of the mount.
    fn new(missing: &str, read_only: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        let record = ReleaseRecord {
            id: "R1".to_owned(),
            directory: root.join("srv/a$b").into_string(),
            project: "shop".to_owned(),
            compose_files: vec!["compose.yaml".to_owned()],
            ..ReleaseRecord::default()
        };
        let host = Self { _folder: folder, root, record };
        let model = MODEL.replace("READ_ONLY", read_only).replace("TREE", "$dir").replace('"', "\\\"");
        let model = model.replace("VALUE", "$value");
        let docker = format!(
            "#!/bin/sh\ncase \" $* \" in ' ps '* | ' volume '*) exit ;; *' up '*) echo \"$*\" >ROOT/ran; exit ;; esac\ndir=$5 value=none\n[ -e \"$dir/compose.yaml\" ] || exit 3\n\
             if [ -e ROOT/etc/app.env ]; then value=$(cat ROOT/etc/app.env); else {missing}; fi\nprintf %s \"{model}\"\n"
        );
        host.write("bin/docker", &docker);
        fs::set_permissions(host.root.join("bin/docker"), fs::Permissions::from_mode(0o755)).unwrap();
        host.write("etc/app.env", "1");
        host.write("lib/one/releases/R1/tree/compose.yaml", "    env_file: 'ROOT/etc/app.env' # ROOT/etc/none\n");
        fs::create_dir_all(&host.record.directory).unwrap();
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("ROOT", self.root.as_str())).unwrap();
    }

    fn read(&self, path: &str) -> String {
        let text = fs::read_to_string(self.root.join(path)).unwrap_or_default();
        text.replace(self.root.as_str(), "ROOT")
    }

    /// Runs a script, and returns whether it came to its end, and what it said.
    async fn sh(&self, script: &str) -> (bool, String) {
        let app = deployer::model::shell::quote(&self.record.directory);
        let script = format!(
            "set -eu\numask 077\necho $$ >{root}/pid\nPATH={root}/bin:$PATH state={root}/lib/one app={app} code=0\n{WRITE_WHOLE}{functions}{script}",
            root = self.root,
            functions = guard::FUNCTIONS,
        );
        let root: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["unshare", "-r"] };
        let argv: Vec<String> = root.iter().chain(&["sh", "-c", &script]).map(|word| (*word).to_owned()).collect();
        let finished = process::run(&argv, b"", Duration::from_mins(1)).await.unwrap();
        let said = String::from_utf8_lossy(&finished.stderr).replace(self.root.as_str(), "ROOT");
        (finished.status.success(), said)
    }

    async fn validate(&self) -> (bool, String) {
        let id = fs::metadata(&self.root).unwrap();
        self.sh(&files::validate(&self.record, (id.uid(), id.gid()))).await
    }

    async fn start(&self) -> (bool, String) {
        self.sh(&files::as_validated(&self.record, " up >&2 || code=$?")).await
    }
}

#[tokio::test]
async fn a_release_that_needs_a_file_of_its_services_is_refused_by_the_name_of_the_file() {
    for missing in [":", "echo 'env file not found' >&2; exit 14"] {
        let host = Host::new(missing, "");
        let (valid, said) = host.validate().await;
        let refusal = "Docker Compose needs ROOT/etc/app.env, and services of the release can write to it. Send it with the release, or mount it read-only (:ro)\n";
        assert_eq!((valid, said.as_str()), (false, refusal));
        // Where it is not named, its directory is.
        host.write("lib/one/releases/R1/tree/compose.yaml", "    env_file: $HERE/app.env\n");
        let (valid, said) = host.validate().await;
        assert!(!valid && said.starts_with("Docker Compose needs ROOT/etc, and"), "{said}");
        // Compose may write the path of a mount with `..`.
        let host = Host::new(missing, "");
        let docker = host.read("bin/docker").replace(r#"\"ROOT/etc\""#, r#"\"$dir/../../etc\""#);
        assert!(docker.contains("../../etc"));
        host.write("bin/docker", &docker);
        assert_eq!(host.validate().await, (false, refusal.to_owned()));
        // What services can only read is read.
        let host = Host::new(missing, "\n          \"read_only\": true,");
        assert_eq!(host.validate().await, (true, String::new()));
        assert!(host.read("lib/one/releases/R1/resolved.json").contains(r#""X": "1""#));
    }
}

#[tokio::test]
async fn a_release_that_needs_nothing_of_its_services_is_valid() {
    let host = Host::new(":", "");
    fs::remove_file(host.root.join("etc/app.env")).unwrap();
    assert_eq!(host.validate().await, (true, String::new()));
}

/// The paths of the model are those that the files will have, also before the first start, and however many directories
/// `..` leaves.
#[tokio::test]
async fn paths_of_a_release_lead_from_its_directory() {
    let host = Host::new(":", "");
    fs::remove_file(host.root.join("etc/app.env")).unwrap();
    fs::remove_dir_all(host.root.join("srv")).unwrap();
    assert_eq!(host.validate().await, (true, String::new()));
    assert!(!host.root.join("srv").exists(), "the directory was lent");
    let model = host.read("lib/one/releases/R1/resolved.json");
    assert!(model.contains(r#""source": "ROOT/srv/a$b/data""#), "{model}");
    // What is there already, or came meanwhile, stays.
    fs::create_dir(host.root.join("srv")).unwrap();
    assert_eq!(host.validate().await, (true, String::new()));
    assert!(host.root.join("srv").exists() && !host.root.join("srv/a$b").exists());
}

/// Another account can rename a directory below its own, with all that root mounted there in its own view.
#[tokio::test]
async fn an_application_below_a_directory_of_another_account_is_parsed_as_root_keeps_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for owner in [12345, 0] {
        let host = Host::new(":", "");
        fs::remove_file(host.root.join("etc/app.env")).unwrap();
        host.write("srv/evil/compose.yaml", "evil");
        host.write("srv/common.env", "");
        let swap = "cd ROOT/srv && mv 'a$b' old && mv evil 'a$b'; ls 'a$b' >ROOT/swapped";
        let swap = format!(
            "[ -e ROOT/swapped ] || nsenter --mount=/proc/$(cat ROOT/pid)/ns/mnt sh -c \"{}\"",
            swap.replace('$', "\\$")
        );
        let parse =
            "value=$(cat \"$dir/compose.yaml\" | tr -dc a-z)$(ls ROOT/srv/common.env); echo \"$value\" >>ROOT/parsed";
        let docker = host.read("bin/docker").replace("printf %s", &format!("{swap}\n{parse}\nprintf %s"));
        host.write("bin/docker", &docker);
        std::os::unix::fs::chown(host.root.join("srv"), Some(owner), None).unwrap();
        let (valid, said) = host.validate().await;
        assert_eq!(host.read("swapped"), "compose.yaml\n", "{said}");
        // Only root can have renamed what is below a directory of its own.
        let parsed = host.read("parsed");
        let (expected, hidden) = if owner == 0 { ("evil", false) } else { ("envfile", true) };
        assert!(parsed.starts_with(expected) && parsed.contains("common.env") != hidden, "{parsed} {said}");
        assert_eq!(valid, hidden, "{said}");
        assert_eq!(said.contains("reads nothing in ROOT/srv: other accounts can change it"), owner != 0, "{said}");
    }
}

#[tokio::test]
async fn a_mount_of_roots_state_is_refused_by_name() {
    for (source, refused) in [("lib", true), ("lib/two/x", true), ("link/two", true), ("lib2", false), ("", false)] {
        let host = Host::new(":", "");
        fs::remove_file(host.root.join("etc/app.env")).unwrap();
        std::os::unix::fs::symlink("lib", host.root.join("link")).unwrap();
        let docker = host.read("bin/docker").replace("$dir/data", &format!("ROOT/srv/../{source}"));
        host.write("bin/docker", &docker);
        let (valid, said) = host.validate().await;
        assert_eq!(
            (valid, said.contains("is mounted, and deployer keeps the state")),
            (!refused, refused),
            "{source}: {said}"
        );
        assert_eq!(host.root.join("lib/one/releases/R1/resolved.json").exists(), !refused);
    }
}

#[tokio::test]
async fn notes_of_an_earlier_start_are_printed_if_a_release_needs_them() {
    let host = Host::new("echo 'env file not found' >&2; exit 14", "");
    host.write("lib/one/mounted", "ROOT/etc\n");
    let (valid, said) = host.validate().await;
    assert!(!valid && said.contains("Docker Compose reads nothing in ROOT/etc"), "{said}");
    assert!(
        said.ends_with("env file not found\nSend the files that it needs from that directory with the release\n"),
        "{said}"
    );
}

/// A former version validated the release. An even earlier one kept no model.
#[tokio::test]
async fn an_earlier_release_starts_from_the_model_that_was_validated() {
    for missing in [":", "echo 'env file not found' >&2; exit 14"] {
        let host = Host::new(missing, "");
        let record = r#"{"services":{"web":{"image":"demo:1","end":"running","hash":"0a1b","image_id":"i"}}}"#;
        host.write("lib/one/swapping.json", record);
        assert_eq!(host.start().await, (true, String::new()));
        assert!(host.read("ran").contains("a$b -f compose.yaml up"), "{}", host.read("ran"));
        assert_eq!(host.read("lib/one/swapping.json"), record);

        let model = MODEL.replace("READ_ONLY", "").replace("VALUE", "1");
        host.write("lib/one/releases/R1/model.json", &model.replace("TREE", "ROOT/lib/one/releases/R1/tree"));
        let (ran, said) = host.start().await;
        assert!(ran && said.contains("The services start from the validated model"), "{said}");
        assert!(host.read("ran").contains("a$b -f ROOT/lib/one/model.json up"), "{}", host.read("ran"));
        let model = host.read("lib/one/model.json");
        let resolved =
            host.read("lib/one/releases/R1/model.json").replace("ROOT/lib/one/releases/R1/tree", "ROOT/srv/a$$b");
        host.write("lib/one/releases/R1/resolved.json", &resolved);
        host.write("lib/one/swapping.json", record);
        assert!(host.start().await.0);
        assert_eq!(host.read("lib/one/model.json"), model);
        assert!(model.contains(r#""X": "1""#), "{model}");
        assert!(model.contains(r#""source": "ROOT/srv/a$$b/data""#), "{model}");
        assert!(!host.read("lib/one/swapping.json").contains("hash"));
    }
}
