//! A simulated host in a directory of this machine: the state that deployer keeps of a tracker with backups, the
//! application's directory, and a directory that nothing may touch.

use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::process;
use deployer::manifest;
use deployer::manifest::environment::{Backup, Environment};
use deployer::model::secret::Variable;
use deployer::release;
use deployer::release::sent::Content;
use deployer::resource::Subject;
use deployer::resource::contract::record::DigestKey;
use deployer::resource::contract::whole::WRITE_WHOLE;
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// The stand-in for Docker, whose sqlite3 copies the file that a container would see at /source.
const DOCKER: &str = r#"#!/bin/sh
set -eu
[ "$1" = run ] || exit 0
source='' copies='' last=''
for word; do
  case $last in
    --volume) case $word in *:/source) source=${word%:/source} ;; *:/data) copies=${word%:/data} ;; esac ;;
    -bail) file=${word#/source/} ;;
  esac
  last=$word
done
echo "$source" >>"$(dirname "$0")/mounted"
case $last in
  .backup*) cp -P "$source/$file" "$copies/copy" ;;
  *) printf 'ok\n1\n' ;;
esac
"#;

/// Databases below the application's directory, where their services can change them.
pub const TRACKER: &str = "storage/tracker/lib/database/tracker.db";
pub const GRAFANA: &str = "storage/grafana/data/grafana.db";

const MANIFEST: &str = "
version: 1
project: tracker
environments:
  production:
    registered: { address: tracker.example.com }
    application:
      tracker:
        udp: [{ port: 6969 }]
        api: { token: { from_env: TRACKER_TOKEN } }
        prometheus: {}
        grafana: { password: { from_env: GRAFANA_PASSWORD } }
        backup: { at: '03:00' }
";

pub struct Scene {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    environment: Environment,
    key: DigestKey,
}

impl Scene {
    /// Returns a scene with a tracker and a Grafana, both with `SQLite`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        let manifest = manifest::parse(MANIFEST, "deployment.yaml", &root, None).unwrap();
        let environment = manifest.environments.into_values().next().unwrap();
        let scene = Self { _folder: folder, root, environment, key: DigestKey::new([7; 32]) };
        let tree = scene.state("releases/R1/tree");
        let application = scene.environment.application.as_ref().unwrap();
        let value = Variable { value: Some("s3cret".to_owned().into()), secret: true };
        let values = application.variables.keys().map(|name| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>();
        for (path, file) in
            release::load(application, &values, &deployer::model::secret::Redactor::default()).unwrap().files
        {
            let Content::Bytes(bytes) = file.content else { panic!("{path} is in memory") };
            for directory in [&tree, &scene.app()] {
                fs::create_dir_all(directory.join(&path).parent().unwrap()).unwrap();
                fs::write(directory.join(&path), bytes.expose_secret()).unwrap();
            }
        }
        fs::write(scene.state("current.json"), r#"{"version":1,"id":"R1"}"#).unwrap();
        fs::create_dir_all(scene.victim()).unwrap();
        fs::write(scene.victim().join("file"), "precious\n").unwrap();
        fs::set_permissions(scene.victim().join("file"), fs::Permissions::from_mode(0o644)).unwrap();
        for database in [TRACKER, GRAFANA] {
            fs::create_dir_all(scene.app().join(database).parent().unwrap()).unwrap();
            fs::write(scene.app().join(database), "data\n").unwrap();
        }
        fs::create_dir_all(scene.root.join("bin")).unwrap();
        fs::write(scene.root.join("bin/docker"), DOCKER).unwrap();
        fs::set_permissions(scene.root.join("bin/docker"), fs::Permissions::from_mode(0o755)).unwrap();
        scene
    }

    pub fn subject(&self) -> Subject<'_> {
        Subject {
            environment: &self.environment,
            release: None,
            retry: false,
            take_over: false,
            new_volumes: &[],
            fallback_key: &self.key,
        }
    }

    pub fn backup(&self) -> &Backup {
        self.environment.application.as_ref().unwrap().backup.as_ref().unwrap()
    }

    /// Returns a path in the state directory of deployer.
    pub fn state(&self, path: &str) -> Utf8PathBuf {
        self.root.join("state").join(self.environment.identity()).join(path)
    }

    /// Returns the application's directory.
    pub fn app(&self) -> Utf8PathBuf {
        self.root.join("app").join(self.environment.identity())
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub fn victim(&self) -> Utf8PathBuf {
        self.root.join("victim")
    }

    /// Runs a script of root in this directory, and returns its exit code and its standard error.
    pub async fn run(&self, script: &str) -> (Option<i32>, String) {
        let script = script
            .replace("/var/lib/deployer", self.root.join("state").as_str())
            .replace("/opt/deployer", self.root.join("app").as_str());
        // The prelude of each script in a lane of the session.
        let script = format!("set -eu\nPATH={}/bin:$PATH\nexport PATH\n{WRITE_WHOLE}{script}", self.root);
        let argv = ["sh", "-c", &script].map(str::to_owned);
        let finished = process::run(&argv, b"", Duration::from_mins(1)).await.unwrap();
        (finished.status.code(), String::from_utf8_lossy(&finished.stderr).into_owned())
    }

    /// Runs an action of the release's data script, from root's copy.
    pub async fn about_data(&self, action: &str, directory: &Utf8Path) -> (Option<i32>, String) {
        let script = self.state("releases/R1/tree/storage/backup/etc/backup.sh");
        self.run(&format!("umask 077\napp={} sh {script} {action} {directory}", self.app())).await
    }

    #[track_caller]
    pub fn victim_is_untouched(&self) {
        let names: Vec<_> =
            self.victim().read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
        assert_eq!(names, ["file"]);
        assert_eq!(fs::read_to_string(self.victim().join("file")).unwrap(), "precious\n");
        assert_eq!(fs::metadata(self.victim().join("file")).unwrap().permissions().mode() & 0o7777, 0o644);
    }
}
