//! Bed hosts and a user's working directory for live tests. Touches nothing but the bed.

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A host of the test bed, removed when dropped.
pub struct BedHost {
    pub name: String,
    pub ipv4: String,
    pub ipv6: String,
}

/// Runs `tests/bed` and returns what it printed; a failure fails the test.
pub fn bed(arguments: &[&str]) -> String {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("tests/bed starts");
    assert!(output.status.success(), "tests/bed {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns one value of `tests/bed env`.
pub fn bed_value(name: &str) -> PathBuf {
    let prefix = format!("{name}=");
    let line = bed(&["env"]).lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
    PathBuf::from(line.expect("the bed says it").trim_matches('\''))
}

/// Returns the archive of a test image, such as `demo-1.tar`.
pub fn image(name: &str) -> PathBuf {
    bed_value("BED_IMAGES").join(name)
}

impl BedHost {
    fn up(kind: &str) -> Self {
        let line = bed(&["up", "1", kind]);
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut word = || words.next().expect("NAME IPV4 IPV6 KIND");
        Self { name: word(), ipv4: word(), ipv6: word() }
    }

    /// Starts a fresh Debian host without Docker.
    pub fn bare() -> Self {
        Self::up("--bare")
    }

    /// Starts a fresh Debian host with Docker from Debian's packages.
    pub fn docker() -> Self {
        Self::up("--docker")
    }

    /// Runs a command on the host as root; a failure fails the test.
    pub fn shell(&self, command: &str) -> String {
        bed(&["shell", &self.name, "sh", "-c", command])
    }

    /// Runs a script on the host as root. It passes the script on standard input, so that no argument contains it.
    pub fn script(&self, text: &str) -> String {
        let mut shell = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
            .args(["shell", &self.name, "sh", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/bed starts");
        shell.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
        let output = shell.wait_with_output().expect("an end");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Replaces a directory on the host by one of this machine.
    pub fn send(&self, directory: &Path, to: &str) {
        let packed = Command::new("tar").arg("-C").arg(directory).args(["-c", "."]).stdout(Stdio::piped()).spawn();
        let unpacked = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
            .args(["shell", &self.name, "sh", "-c", &format!("rm -rf {to} && mkdir -p {to} && tar -x -C {to}")])
            .stdin(packed.expect("tar starts").stdout.expect("a pipe"))
            .status();
        assert!(unpacked.expect("tests/bed starts").success());
    }

    /// Returns true if a command on the host succeeds.
    pub fn holds(&self, command: &str) -> bool {
        self.shell(&format!("if {command}; then echo yes; else echo no; fi")).trim().ends_with("yes")
    }

    /// Turns a fault of the host on or off.
    pub fn fault(&self, kind: &str, more: &[&str]) {
        let mut arguments = vec!["fault", &self.name, kind];
        arguments.extend(more);
        bed(&arguments);
    }

    /// Returns the host's ed25519 key in the format of a manifest.
    pub fn host_key(&self) -> String {
        let line = self.shell("cat /etc/ssh/ssh_host_ed25519_key.pub");
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Returns the page that the application serves on a port, if it does.
    pub fn page(&self, port: u16) -> Option<String> {
        let url = format!("http://{}:{port}/", self.ipv4);
        let output =
            Command::new("curl").args(["-sf", "-m", "5", "--noproxy", "*", &url]).output().expect("curl starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for BedHost {
    fn drop(&mut self) {
        let _ = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
            .args(["remove", &self.name])
            .stdin(Stdio::null())
            .output();
    }
}

/// A user's directory: a manifest, an application, and a separate home.
pub struct Work {
    pub directory: tempfile::TempDir,
}

/// The result of a run of deployer.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Returns the events of a `--json` run, and checks each of them with the shipped schema.
    pub fn events(&self) -> Vec<Value> {
        let events: Vec<Value> =
            self.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
        let schema = serde_json::from_str(include_str!("../../schemas/events.schema.json")).expect("a JSON file");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        for event in &events {
            schema.validate(event).unwrap_or_else(|error| panic!("{event} is not in the contract: {error}"));
        }
        events
    }

    /// Returns the events of one type.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// Returns the messages of the warnings about one environment.
    pub fn warnings(&self, environment: &str) -> Vec<String> {
        let about = self.of("warning").into_iter().filter(|warning| warning["environment"] == environment);
        about.map(|warning| warning["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the reasons of the errors.
    pub fn reasons(&self) -> Vec<String> {
        self.of("error").iter().map(|error| error["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the outcome from the last line, which every run prints.
    pub fn outcome(&self) -> String {
        let last = self.events().pop().unwrap_or_default();
        assert_eq!((&last["type"], &last["exit_code"]), (&"result".into(), &self.code.into()), "{last}");
        last["outcome"].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts the exit code, and shows the whole output if it differs.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl Work {
    /// Makes an empty directory.
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("home")).expect("a home");
        Self { directory }
    }

    /// Makes the usual application on a host: one service of `demo:1` that mounts a page, with an HTTP check.
    pub fn demo(host: &BedHost) -> Self {
        let work = Self::empty();
        work.write("app/compose.yaml", DEMO);
        work.write("app/html/index.html", "page one\n");
        work.link("demo.tar", &image("demo-1.tar"));
        work.manifest(host, "");
        work
    }

    /// Writes the usual manifest with `more` added to the environment, which is indented by four.
    pub fn manifest(&self, host: &BedHost, more: &str) {
        let text = format!(
            "version: 1\nproject: shop\nenvironments:\n  production:\n    registered: {{ address: {} }}\n    ssh: {{ user: deploy, \
             identity_file: {}, host_key: [\"{}\"], wait: 0s }}\n    health: {{ timeout: 30s, stable_for: 1s }}\n    application: {{ compose: {{ directory: ./app, archives: \
             {{ \"demo:1\": ./demo.tar }} }} }}\n    checks: [ {{ name: page, http: {{ port: 8080, path: / }} }} ]\n{more}",
            host.ipv4,
            bed_value("BED_KEY").display(),
            host.host_key(),
        );
        self.write("deployment.yaml", &text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    /// Replaces text in a file, and fails if the file does not contain it.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} lacks {from:?}:\n{text}");
        self.write(name, text.replace(from, to));
    }

    pub fn link(&self, name: &str, target: &Path) {
        let _ = std::fs::remove_file(self.path(name));
        std::os::unix::fs::symlink(target, self.path(name)).expect("a link");
    }

    /// Returns a command that runs deployer in this directory, with a separate home and no other environment variables
    /// than `PATH`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").expect("a PATH"))
            .env("HOME", self.path("home"))
            .stdin(Stdio::null());
        // The archives are links to the bed's cache, which is outside the directory that these commands may read.
        let looks = ["check", "graph", "inventory", "list", "probe", "show", "--offline"];
        if arguments.iter().any(|word| looks.contains(word)) {
            command.env("DEPLOYER_WITHIN", "/");
        }
        command
    }

    /// Runs deployer.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Self::finish(&mut self.command(arguments))
    }

    /// Runs a prepared command.
    pub fn finish(command: &mut Command) -> Run {
        let output = command.output().expect("deployer starts");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `deployer apply --json`.
    pub fn apply(&self) -> Run {
        self.run(&["apply", "--json"])
    }
}

/// The Compose file of the usual application.
pub const DEMO: &str = "services:
  web:
    image: demo:1
    restart: unless-stopped
    ports: [\"8080:8080\"]
    volumes: [\"./html:/www:ro\"]
    healthcheck: { test: [\"CMD\", \"wget\", \"-q\", \"-O\", \"-\", \"http://127.0.0.1:8080/\"], interval: 1s, timeout: 2s, retries: 10 }
";
