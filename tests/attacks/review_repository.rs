//! Nested repositories, and programs that Git itself could be made to run.

use crate::review::{CANARY, Work, manifest};
use assert_cmd::Command;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Adds another repository next to the reviewed one, with the same manifest and a secret.
fn private(work: &Work) -> String {
    let place = work.path("private");
    fs::create_dir_all(place.join("app")).expect("made");
    fs::write(place.join("app/compose.yaml"), format!("services: {{ web: {{ image: \"{CANARY}:1\" }} }}\n"))
        .expect("written");
    fs::write(place.join("app/page.html"), CANARY).expect("written");
    fs::write(place.join("deployment.yaml"), manifest("./app", "{ A: \"1\" }", "")).expect("written");
    let git = |words: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        Command::new("git").args(who).args(words).current_dir(&place).assert().success();
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    place.to_str().expect("text").to_owned()
}

/// Reviews the manifest in `deploy`, from the repository and from another directory.
fn deploy(work: &Work, what: &str, form: &[&str]) -> Vec<(i32, String)> {
    let absolute = work.repository().join("deploy/deployment.yaml");
    let absolute = absolute.to_str().expect("text");
    let ways = [
        ("", "deploy/deployment.yaml"),
        ("app", "../deploy/deployment.yaml"),
        ("", absolute),
        ("../outside", absolute),
    ];
    let mut ended = Vec::new();
    for (directory, file) in ways {
        let run = work.run_in(directory, &[&["plan", "-f", file, "--against", "main"], form].concat());
        assert!(!run.out.contains(CANARY) && !run.err.contains(CANARY), "{what}, {file}: {}{}", run.out, run.err);
        assert!(!work.path("ran").exists(), "{what}, {file}: a command was run");
        ended.push((run.code, run.out));
    }
    ended
}

#[test]
fn a_manifest_in_another_repository_is_not_read() {
    let work = Work::new();
    let private = private(&work);
    work.put("deploy/deployment.yaml", &manifest("../app", "{ A: \"1\" }", ""));
    work.commit();
    work.base();
    for form in [&["--json"][..], &["--format", "markdown"]] {
        assert!(deploy(&work, "nothing changed", form).iter().all(|(code, _)| *code == 0));
    }

    for target in [private.as_str(), "../private"] {
        work.link("deploy", target);
        work.commit();
        assert!(deploy(&work, "a link to a repository", &["--json"]).iter().all(|(code, _)| *code == 64));
    }
    // The job checked submodules out with its own token.
    work.git(&["rm", "-q", "-f", "deploy"]);
    work.git(&["submodule", "--quiet", "add", &private, "deploy"]);
    work.commit();
    assert!(deploy(&work, "a submodule", &["--json"]).iter().all(|(code, _)| *code == 64));
    work.put("deployment.yaml", &manifest("./deploy/app", "{ A: \"1\" }", ""));
    work.attempt("an application in a submodule");
    work.put("app/module", "x\n");
    work.manifest("");
    work.attempt("a submodule next to the application");

    // A link within the repository works.
    work.git(&["checkout", "-q", "-f", "main"]);
    work.git(&["clean", "-q", "-ffd"]);
    work.git(&["mv", "deploy", "real"]);
    work.link("deploy", "real");
    work.put("app/page.html", "hello again\n");
    work.git(&["checkout", "-q", "-B", "change"]);
    work.commit();
    for (code, out) in deploy(&work, "a link within", &["--format", "markdown"]) {
        assert!(code == 0 && out.contains("hello again"), "{out}");
    }
}

#[test]
fn the_files_of_a_bare_repository_are_not_taken_for_one() {
    let work = Work::new();
    let ran = work.path("ran");
    work.put("deploy/deployment.yaml", &manifest("../app", "{ A: \"1\" }", ""));
    work.put("deploy/HEAD", "ref: refs/heads/main\n");
    work.put("deploy/objects/keep", "");
    work.put("deploy/refs/heads/keep", "");
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = /\n\tfsmonitor = \"touch {0}; false\"\n\thooksPath = \
         /\n[alias]\n\trev-parse = \"!touch {0}\"\n",
        ran.display()
    );
    work.put("deploy/config", &config);
    work.commit();
    for (code, out) in deploy(&work, "a bare repository", &["--json"]) {
        assert!(code == 0 && out.contains("\"planned\""), "{out}");
    }
    work.honest();
}

#[test]
fn git_runs_nothing_that_a_commit_chooses() {
    let work = Work::new();
    let touch = format!("touch {}; cat", work.path("ran").display());
    // Programs that a job may have configured, for files that a commit's attributes name.
    for key in ["filter.x.smudge", "diff.x.textconv", "diff.x.command", "core.fsmonitor", "core.pager", "diff.external"]
    {
        work.git(&["config", key, &touch]);
    }
    work.git(&["config", "core.fsmonitor", "false"]);
    let hook = work.repository().join(".git/hooks/post-index-change");
    fs::create_dir_all(hook.parent().expect("a parent")).expect("made");
    fs::write(&hook, format!("#!/bin/sh\n{touch}\n")).expect("written");
    work.put(".gitattributes", "* filter=x diff=x export-subst\n");
    work.put("app/page.html", "hello $Format:%H$\n");
    work.commit();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    work.git(&["config", "core.fsmonitor", &touch]);
    let _ = fs::remove_file(work.path("ran"));
    let run = work.look("attributes and hooks");
    assert!(run.code == 0 && run.out.contains("hello $Format:%H$"), "{}{}", run.out, run.err);
}

#[test]
fn a_working_tree_that_is_not_as_git_left_it_is_reviewed() {
    let work = Work::new();
    let page = work.repository().join("app/page.html");
    // With the same size and the same second, the index alone cannot detect the change.
    fs::write(&page, "HELLO\n").expect("written");
    let run = work.look("a change in the same second");
    assert!(run.code == 0 && run.out.contains("-hello\n+HELLO"), "{}", run.out);
    assert!(run.err.contains("uncommitted"), "{}", run.err);

    fs::remove_file(&page).expect("removed");
    assert!(work.look("a file that is gone").out.contains("page.html"));
    Command::new("mkfifo").arg(&page).assert().success();
    work.look("a pipe in place of a file");
    fs::remove_file(&page).expect("removed");
    fs::create_dir(&page).expect("made");
    fs::write(page.join("x"), CANARY).expect("written");
    work.look("a directory in place of a file");
    // A directory in the path is a link in the working tree only.
    fs::rename(work.repository().join("app"), work.path("moved")).expect("moved");
    fs::write(work.path("outside/page.html"), CANARY).expect("written");
    std::os::unix::fs::symlink("../outside", work.repository().join("app")).expect("a link");
    work.look("a link on the way");
    fs::remove_file(work.repository().join("app")).expect("removed");
    work.honest();
}

/// A job's checkout may omit objects (`git clone --filter`), which Git would fetch when it needs them.
#[test]
fn a_partial_clone_is_not_completed_from_its_remote() {
    let work = Work::new();
    work.git(&["config", "uploadpack.allowFilter", "true"]);
    work.put("app/page.html", "hello again\n");
    work.commit();
    let origin = format!("file://{}", work.repository().display());
    let ran = format!("touch {} #", work.path("ran").display());
    for (name, url) in [("ssh", "ssh://git@git.example.com/x".to_owned()), ("ext", format!("ext::{ran}"))] {
        let clone = work.path(name);
        let git = |words: &[&str]| {
            Command::new("git").args(words).current_dir(&clone).assert().success();
        };
        fs::create_dir(&clone).expect("made");
        git(&["clone", "-q", "--filter=blob:none", &origin, "."]);
        git(&["config", "core.sshCommand", &ran]);
        git(&["config", "protocol.allow", "always"]);
        git(&["config", "remote.origin.url", &url]);
        let review = || work.run_in(&format!("../{name}"), &["plan", "--against", "origin/main"]);
        let run = review();
        assert!(!work.path("ran").exists(), "the remote {url} was contacted");
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        assert!(run.err.contains("git fetch --refetch --no-filter"), "{}", run.err);
        // The review works after the hint was followed.
        git(&["config", "remote.origin.url", &origin]);
        git(&["fetch", "-q", "--refetch", "--no-filter"]);
        let run = review();
        assert!(run.code == 0 && run.out.contains("page.html"), "{}{}", run.out, run.err);
    }
}
