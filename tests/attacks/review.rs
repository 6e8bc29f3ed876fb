//! The author of a pull request chooses the manifest, templates, files and links. `plan --against REF` runs for forks
//! with the tokens of the job at hand, and shows only the contents of the two commits.

use assert_cmd::Command;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

/// A part of every text that no review may show.
pub const CANARY: &str = "canary-5d17";

/// A repository with an application, next to files outside of it.
pub struct Work {
    held: TempDir,
}

/// The result of a run of the real binary.
pub struct Run {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Run {
    /// Asserts that a review shows a change, and claims nowhere that nothing changed.
    pub fn shows(&self, what: &str, told: &str) {
        assert!(self.out.contains(told), "{what}: {}{}", self.out, self.err);
        assert!(!self.out.to_lowercase().contains("no changes"), "{what}: {}{}", self.out, self.err);
    }
}

impl Work {
    /// Returns a repository with the commit `base` on the branch `main`, and another branch on top of it.
    pub fn new() -> Self {
        let work = Self { held: tempfile::Builder::new().prefix("attack").tempdir().expect("a directory") };
        for directory in ["repository/app", "outside"] {
            fs::create_dir_all(work.path(directory)).expect("made");
        }
        fs::write(work.path("outside/file"), format!("outside-{CANARY}\n")).expect("written");
        work.put("app/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
        work.put("app/page.html", "hello\n");
        work.put("app/conf.txt.tera", "a={{ A }}\n");
        work.manifest("");
        work.git(&["init", "-q", "-b", "main"]);
        work.commit();
        work.git(&["config", "http.https://git.example.com/.extraheader", &format!("AUTHORIZATION: basic {CANARY}")]);
        work.git(&["checkout", "-q", "-b", "change"]);
        work
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    pub fn outside(&self, name: &str) -> String {
        self.path("outside").join(name).to_str().expect("text").to_owned()
    }

    pub fn put(&self, name: &str, text: &str) {
        let path = self.repository().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        if path.is_symlink() {
            fs::remove_file(&path).expect("removed");
        }
        fs::write(path, text).expect("written");
    }

    /// Replaces a path by a link.
    pub fn link(&self, name: &str, target: &str) {
        let path = self.repository().join(name);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path).expect("removed");
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(target, path).expect("a link");
    }

    /// Writes the manifest; `more` is additional keys of `application.compose`.
    pub fn manifest(&self, more: &str) {
        self.put("deployment.yaml", &manifest("./app", "{ A: \"1\" }", more));
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always"];
        let output = command.args(who).args(arguments).current_dir(self.repository()).output().expect("Git starts");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
    }

    /// Makes the last commit the base of later reviews.
    pub fn base(&self) {
        self.git(&["branch", "-q", "-f", "main"]);
    }

    /// Commits everything as the base of later reviews, and asserts that a review shows no changes then.
    pub fn unchanged(&self, what: &str) {
        self.commit();
        self.base();
        let run = self.look("nothing changed");
        assert!(run.out.contains("no changes"), "{what}: {}{}", run.out, run.err);
    }

    /// Runs deployer in the repository with the variables of a job.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_in("", arguments)
    }

    pub fn run_in(&self, directory: &str, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(arguments)
            .current_dir(self.repository().join(directory))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path(&format!("home-{CANARY}")))
            .env("JOB_TOKEN", format!("env-{CANARY}"))
            .env("NO_COLOR", "1")
            .timeout(std::time::Duration::from_mins(2))
            .output()
            .expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Run { out: text(output.stdout), err: text(output.stderr), code }
    }

    /// Reviews the working tree, commits it, and reviews the commit. Asserts that no canary is shown, no file `ran` is
    /// created, and the repository does not change. Returns the review of the commit as Markdown. The other formats are
    /// made from the same events as JSON.
    pub fn attempt(&self, what: &str) -> Run {
        self.look(what);
        self.commit();
        self.look(what)
    }

    pub fn look(&self, what: &str) -> Run {
        let before = self.state();
        let mut last = None;
        for form in [&["--json"][..], &["--format", "markdown"]] {
            let run = self.run(&[&["plan", "--against", "main"], form].concat());
            assert!(!run.out.contains(CANARY) && !run.err.contains(CANARY), "{what}: {}{}", run.out, run.err);
            assert!(!run.err.contains("panicked") && run.code >= 0, "{what}: {} {}", run.code, run.err);
            last = Some(run);
        }
        assert!(!self.path("ran").exists(), "{what}: a command was run");
        assert_eq!(before, self.state(), "{what}: the repository changed");
        last.expect("a run")
    }

    /// Returns the index and the objects of the repository.
    fn state(&self) -> (Vec<u8>, Vec<PathBuf>) {
        let git = self.repository().join(".git");
        let files = walkdir::WalkDir::new(git.join("objects")).sort_by_file_name();
        let files = files.into_iter().map(|entry| entry.expect("an entry").into_path()).collect();
        (fs::read(git.join("index")).expect("an index"), files)
    }

    /// Asserts that an honest change is shown, on top of the base.
    pub fn honest(&self) {
        self.git(&["checkout", "-q", "-f", "main"]);
        self.git(&["clean", "-q", "-f", "-d", "-x"]);
        self.put("app/page.html", "hello again\n");
        self.put("deployment.yaml", &manifest("./app", "{ A: \"2\" }", ""));
        let run = self.run(&["plan", "--against", "main", "--format", "markdown"]);
        assert!(run.out.contains("hello again") && run.out.contains("a=2"), "{}{}", run.out, run.err);
        assert_eq!(run.code, 0, "{}", run.err);
        self.git(&["checkout", "-q", "-f", "-B", "change", "main"]);
    }
}

/// Returns a manifest of one environment with a Compose application.
pub fn manifest(directory: &str, variables: &str, more: &str) -> String {
    format!(
        "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    application:\n      \
         compose:\n        directory: {directory}\n        templates: true\n        variables: {variables}\n{more}"
    )
}

#[test]
fn no_value_is_read_even_if_marked_as_no_secret() {
    let work = Work::new();
    let touch = format!("from_command: [touch, {}]", work.path("ran").display());
    let file = format!("from_file: {}", work.outside("file"));
    for source in ["from_env: JOB_TOKEN", "from_env: HOME", &file, "from_file: .git/config", &touch] {
        for form in [format!("{{ {source}, secret: false }}"), format!("{{ {source} }}")] {
            work.put("deployment.yaml", &manifest("./app", &format!("{{ A: {form} }}"), ""));
            let run = work.attempt(&form);
            assert_eq!(run.code, 0, "{form}: {}", run.err);
            assert!(run.out.contains("conf.txt"), "{form}: {}", run.out);
        }
    }
    // Every other place that accepts a source.
    for more in [
        format!("    ssh: {{ user: deploy, identity: {{ {touch} }}, sudo_password: {{ {touch} }} }}\n"),
        format!("registries: {{ registry.example.com: {{ username: u, password: {{ {touch} }} }} }}\n"),
        format!("state_passphrase: {{ {touch} }}\n"),
    ] {
        work.manifest(&more);
        assert_eq!(work.attempt(&more).code, 0, "{more}");
    }
    work.honest();
}

#[test]
fn untracked_files_are_not_shown() {
    let work = Work::new();
    work.put("app/left-by-the-job.txt", &format!("{CANARY}\n"));
    work.put("app/.env", &format!("TOKEN={CANARY}\n"));
    let run = work.look("untracked files");
    assert!(
        run.err.contains("Not compared, because Git does not track it: app/.env, app/left-by-the-job.txt"),
        "{}",
        run.err
    );
    assert_eq!((run.code, run.out.contains("no changes")), (0, true), "{}", run.out);

    // An include does not find them either.
    work.put("app/left.tera", &format!("{CANARY}\n"));
    work.put("app/conf.txt.tera", "a={{ A }}\n{% include \"left.tera\" %}\n");
    work.git(&["add", "app/conf.txt.tera"]);
    assert_ne!(work.look("an include of an untracked template").code, 0);
    work.git(&["rm", "-q", "--cached", "deployment.yaml"]);
    let run = work.look("an untracked manifest");
    assert!(run.err.contains("deployment.yaml is not tracked by Git"), "{}", run.err);
    work.honest();
}

#[test]
fn a_review_of_much_stays_a_comment() {
    let work = Work::new();
    for number in 0..300 {
        work.put(&format!("app/many/{number}.txt"), &format!("{number} {}\n", "x".repeat(400)).repeat(20));
    }
    work.put("app/large.bin", &"y".repeat(9 << 20));
    work.put("app/page.html", "hello again\n");
    let run = work.attempt("many files");
    assert!(run.out.len() < 60_000 && run.out.contains("page.html"), "{} bytes", run.out.len());
    assert_eq!(run.code, 0);
    // A large file is compared by its object.
    work.base();
    work.put("app/large.bin", &"z".repeat(9 << 20));
    let run = work.attempt("a large file");
    assert!(run.out.contains("large.bin") && !run.out.contains("page.html"), "{}", run.out);
}

/// A comment that the next review does not find would remain with outdated text.
#[test]
fn the_comment_is_found_for_every_manifest() {
    let work = Work::new();
    let marker = |run: &Run| run.out.lines().nth(1).expect("a line").to_owned();
    let first = work.look("nothing changed");
    assert!(first.out.starts_with("<!-- deployer-plan shop -->\n"), "{}", first.out);
    for manifest in ["version: 1\nproject: other\nenvironments: {}\n", "version: [", "project: --> <b>\n", ""] {
        work.put("deployment.yaml", manifest);
        let run = work.attempt(manifest);
        assert!(run.out.starts_with("<!-- deployer-plan"), "{}", run.out);
        assert_eq!(marker(&run), marker(&first), "{manifest}");
    }
    assert_eq!(marker(&first), "<!-- deployer-manifest deployment.yaml -->");
}
