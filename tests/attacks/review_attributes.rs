//! `.gitattributes` and flags of the index, which change how Git itself reads a working tree. The author of a change
//! chooses the attributes, so a review uses none of them.

use crate::review::{CANARY, Run, Work};
use assert_cmd::Command;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Adds a file to the index byte for byte.
fn put_raw(work: &Work, name: &str, text: &[u8]) {
    let own = work.path("raw");
    fs::write(&own, text).expect("written");
    let id = work.git(&["hash-object", "-w", "--no-filters", own.to_str().expect("text")]);
    work.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{id},{name}")]);
}

/// Commits the index and makes Git check it out again, as a job gets it.
fn job(work: &Work) {
    work.git(&["commit", "-q", "-m", "change"]);
    fs::remove_dir_all(work.repository().join("app")).expect("removed");
    let _ = fs::remove_file(work.path("ran"));
    // Git only warns about a conversion that fails.
    work.git(&["checkout", "-q", "-f", "HEAD", "--", "."]);
    let _ = fs::remove_file(work.path("ran"));
}

/// Reviews a fresh checkout, whose files are as new as its index, and then a checkout with newer files.
fn reviews(work: &Work, what: &str) -> [Run; 2] {
    let fresh = work.look(what);
    for file in ["app/page.html", "app/compose.yaml", "deployment.yaml"] {
        let path = work.repository().join(file);
        fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(std::time::SystemTime::now()))
            .expect("a time");
    }
    [fresh, work.look(what)]
}

#[test]
fn no_attribute_hides_what_a_commit_holds() {
    let hidden = "services: { web: { image: \"demo:1\", labels: { a: \"$$Id: \" }, privileged: true, annotations: { b: \"$$\" } } }\n";
    let shown = "services: { web: { image: \"demo:1\", labels: { a: \"$$Id$$\" } } }\n";
    for (attributes, file, before, after, told) in [
        ("* ident", "app/compose.yaml", shown.as_bytes(), hidden.as_bytes(), "privileged"),
        ("* text", "app/page.html", b"a\nb\n", b"a\r\nb\r\n", "page.html"),
        ("* text=auto eol=crlf", "app/page.html", b"a\n", b"a\r\n", "page.html"),
        ("*.html working-tree-encoding=UTF-16LE", "app/page.html", b"hello\n", b"added\n", "page.html"),
        ("*.html working-tree-encoding=UTF-16", "app/page.html", b"hello\n", b"added\xff\n", "page.html"),
        ("* export-ignore export-subst", "app/page.html", b"hello\n", b"$Format:%H$\n", "$Format:%H$"),
        ("* -text diff=x merge=x binary", "app/page.html", b"hello\n", b"added\n", "+added"),
    ] {
        let work = Work::new();
        put_raw(&work, file, before);
        work.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
        work.base();
        put_raw(&work, ".gitattributes", format!("{attributes}\n").as_bytes());
        put_raw(&work, file, after);
        job(&work);
        for run in reviews(&work, attributes) {
            assert!(run.code == 0 && run.out.contains(told), "{attributes}: {}{}", run.out, run.err);
        }
    }
}

/// Returns a filter program, such as those of Git LFS and git-crypt, that a job may have configured.
fn filter(work: &Work, name: &str, script: &str) -> String {
    let path = work.path(name);
    fs::write(&path, format!("#!/bin/sh\ntouch {}\n{script}\n", work.path("ran").display())).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path.to_str().expect("text").to_owned()
}

#[test]
fn no_filter_of_the_runner_is_run_or_hides_a_line() {
    for key in ["filter.x.clean", "filter.x.process"] {
        let work = Work::new();
        let strip = filter(&work, "strip", "grep -v hidden");
        put_raw(&work, ".gitattributes", b"* filter=x\n");
        put_raw(&work, "app/page.html", b"hello\nhidden\n");
        job(&work);
        work.git(&["config", key, &strip]);
        work.git(&["config", "filter.x.required", "true"]);
        for run in reviews(&work, key) {
            assert!(run.code == 0 && run.out.contains("+hidden"), "{key}: {}{}", run.out, run.err);
        }
    }
}

/// The checkout of a job contains more than the commit: a filter decrypted a file with a key, or fetched it with a
/// token.
#[test]
fn output_of_the_runners_filters_is_not_shown() {
    for hide in [&b""[..], b".gitattributes working-tree-encoding=UTF-16\n"] {
        let work = Work::new();
        let decrypt = filter(&work, "decrypt", &format!("sed s/sealed/{CANARY}/"));
        put_raw(&work, ".gitattributes", &[b"app/page.html filter=x\n", hide].concat());
        put_raw(&work, "app/page.html", b"sealed\n");
        work.git(&["config", "filter.x.smudge", &decrypt]);
        job(&work);
        assert!(fs::read_to_string(work.repository().join("app/page.html")).expect("there").contains(CANARY));
        for run in reviews(&work, "a filter with a key") {
            assert!(run.code == 0 && run.out.contains("+sealed"), "{}{}", run.out, run.err);
            let told = "app/page.html: not compared: it is made by the filter x";
            assert!(run.err.contains(told), "{}", run.err);
        }
    }
}

#[test]
fn no_flag_of_the_index_hides_a_change() {
    let work = Work::new();
    let page = work.repository().join("app/page.html");
    let shown = |what: &str, text: &str| {
        let run = work.look(what);
        assert!(run.code == 0 && run.out.contains(text), "{what}: {}{}", run.out, run.err);
        run
    };
    for (flag, unset) in [("--assume-unchanged", "--no-assume-unchanged"), ("--skip-worktree", "--no-skip-worktree")] {
        work.git(&["update-index", flag, "app/page.html"]);
        fs::write(&page, "HELLO\n").expect("written");
        let run = shown(flag, "+HELLO");
        // The comment names the file that it uses and that is not committed.
        let note = run.out.lines().find(|line| line.contains("uncommitted"));
        assert!(note.is_some_and(|note| note.contains("app/page.html")), "{}", run.out);
        work.git(&["update-index", unset, "app/page.html"]);
        work.git(&["checkout", "-q", "-f", "HEAD", "--", "app/page.html"]);
    }
    // A link in a clean checkout.
    work.link("app/link.html", "page.html");
    work.commit();
    assert!(!work.look("a link").err.contains("not committed"));
    work.git(&["reset", "-q", "--hard", "main"]);
    // A sparse checkout omits files that its commit contains.
    work.git(&["update-index", "--skip-worktree", "app/page.html"]);
    fs::remove_file(&page).expect("removed");
    let run = shown("a sparse checkout", "no changes");
    assert!(!run.err.contains("uncommitted"), "{}", run.err);
    work.git(&["update-index", "--no-skip-worktree", "app/page.html"]);
    shown("a file that is gone", "goes, was");
    work.honest();

    work.put("app/new.html", "hello\n");
    work.git(&["add", "--intent-to-add", "app/new.html"]);
    shown("a file that is to be added", "new.html");
    work.git(&["rm", "-q", "-f", "--cached", "app/new.html"]);
    fs::remove_file(work.repository().join("app/new.html")).expect("removed");
    fs::set_permissions(&page, fs::Permissions::from_mode(0o755)).expect("a mode");
    shown("a file that can be run", "0755");
    fs::remove_file(&page).expect("removed");
    symlink("compose.yaml", &page).expect("a link");
    shown("a link in place of a file", "link to");
    work.honest();

    // A merge that stopped at a conflict.
    work.put("app/page.html", "theirs\n");
    work.commit();
    work.git(&["checkout", "-q", "-b", "other", "main"]);
    work.put("app/page.html", "ours\n");
    work.commit();
    let merge = ["-c", "user.name=a", "-c", "user.email=a@example.com", "merge", "-q", "change"];
    Command::new("git").args(merge).current_dir(work.repository()).assert().failure();
    shown("a merge that stopped", "ours");
}

#[test]
fn sparse_indexes_and_sha_256_are_read() {
    let work = Work::new();
    work.put("other/deep/file", "x\n");
    work.put("app/page.html", "hello again\n");
    work.commit();
    work.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "app"]);
    assert!(!work.repository().join("other").exists());
    let run = work.look("a sparse index");
    assert!(run.code == 0 && run.out.contains("+hello again"), "{}{}", run.out, run.err);
    assert!(!run.err.contains("uncommitted"), "{}", run.err);

    let work = Work::new();
    fs::remove_dir_all(work.repository().join(".git")).expect("removed");
    work.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    work.commit();
    work.git(&["checkout", "-q", "-b", "change"]);
    assert!(work.look("nothing changed").out.contains("no changes"));
    work.put("app/page.html", "hello again\n");
    let run = work.attempt("a commit named by SHA-256");
    assert!(run.code == 0 && run.out.contains("+hello again") && !run.err.contains("uncommitted"), "{}", run.err);
}
