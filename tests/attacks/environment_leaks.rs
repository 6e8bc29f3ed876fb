//! Child processes get neither the tokens of a CI job nor the secrets of a manifest: commands that the manifest names,
//! Git with its hooks, ssh and its children, OpenTofu and its providers.

use camino::{Utf8Path, Utf8PathBuf};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// Variables that no child process may have.
const TOKENS: [&str; 6] = [
    "GITHUB_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "CI_JOB_TOKEN",
    "DATABASE_PASSWORD",
    "STATE_PASSPHRASE",
];
const CANARY: &str = "canary-5d0f";

struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    /// Returns a job whose manifest takes values from variables and from a command, with programs that record their
    /// environment.
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("attack").tempdir().unwrap();
        let job = Self { folder };
        fs::create_dir_all(job.path("bin")).unwrap();
        fs::create_dir_all(job.path("app")).unwrap();
        fs::write(
            job.path("app/compose.yaml"),
            "services: { web: { image: 'demo:1', environment: { A: '${A}', B: '${B}' } } }\n",
        )
        .unwrap();
        fs::write(
            job.path("deployment.yaml"),
            "version: 1\nproject: shop\nstate_passphrase: { from_env: STATE_PASSPHRASE }\nenvironments:\n  lab:\n    \
             registered: { address: 127.0.0.1 }\n    ssh: { port: 1, user: root }\n    application:\n      compose:\n        directory: ./app\n        \
             variables:\n          A: { from_env: DATABASE_PASSWORD }\n          B: { from_command: [./bin/value] }\n  \
             made:\n    provisioned: { hetzner: { server_type: cx23, location: nbg1, token: { from_env: HCLOUD_TOKEN } } }\n    \
             ssh: { identity_file: ./key }\n",
        )
        .unwrap();
        fs::write(job.path("key.pub"), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHb1 me\n").unwrap();
        fs::write(job.path("key"), "").unwrap();
        for (name, then) in [("value", "echo value"), ("ssh", "exit 255"), ("tofu", "exit 1")] {
            let script = format!("#!/bin/sh\nenv >>{}\n{then}\n", job.path(&format!("{name}.env")));
            fs::write(job.path(&format!("bin/{name}")), script).unwrap();
            fs::set_permissions(job.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
        }
        job
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        let path = format!("{}:{}", self.path("bin"), std::env::var("PATH").unwrap());
        command.args(arguments).current_dir(self.folder.path()).env("PATH", path);
        command.env("AWS_PROFILE", "honest").env("HCLOUD_TOKEN", "honest").env("GIT_DIR", self.path("elsewhere"));
        command.envs(TOKENS.map(|name| (name, CANARY)));
        // In CI, deployer refuses to keep OpenTofu's state in a local file.
        command.env_remove("CI");
        command.output().unwrap()
    }

    /// Returns the variables that a program was given, and asserts that the tokens are not among them.
    fn given(&self, name: &str, by: &Output) -> String {
        let given = fs::read_to_string(self.path(&format!("{name}.env"))).unwrap_or_default();
        let said = String::from_utf8_lossy(&by.stderr);
        assert!(!given.is_empty(), "{name} was not started by this command, which said:\n{said}");
        assert!(!given.contains(CANARY), "{name} got:\n{given}");
        given
    }
}

#[test]
fn no_child_process_gets_tokens_of_the_job_or_secrets_of_the_manifest() {
    let job = Job::new();
    let rendered = job.run(&["render", "lab", "-o", "out"]);
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    // The secret itself is in the file that needs it.
    let own = fs::read_to_string(job.path("out/.env")).unwrap();
    assert!(own.contains(CANARY) && own.contains("value"), "{own}");
    assert!(job.given("value", &rendered).contains("AWS_PROFILE=honest"), "a command has the user's own settings");

    let status = job.run(&["status", "lab"]);
    assert!(job.given("ssh", &status).contains("AWS_PROFILE=honest"), "a ProxyCommand has the user's own settings");

    let plan = job.run(&["plan", "made"]);
    let tofu = job.given("tofu", &plan);
    assert!(tofu.contains("HCLOUD_TOKEN=honest"), "a provider has its own credentials");
}

/// Hooks of the checkout do not run, and variables of the job do not redirect Git.
#[test]
fn git_runs_no_hook_and_stays_in_its_repository() {
    let job = Job::new();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=me", "-c", "user.email=me@here"]).args(words).current_dir(job.folder.path());
        assert!(command.output().unwrap().status.success(), "{words:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    for hook in ["post-checkout", "post-index-change", "reference-transaction"] {
        let path = job.path(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\nenv >{}\n", job.path("hook.env"))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let plan = job.run(&["plan", "--against", "HEAD", "lab"]);
    let said = String::from_utf8_lossy(&plan.stderr).into_owned() + &String::from_utf8_lossy(&plan.stdout);
    assert!(plan.status.success(), "{said}");
    assert!(!job.path("hook.env").exists(), "a hook ran");
}
