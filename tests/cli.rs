//! The real binary: its output on both streams, and its exit code. Contacts nothing.

#[path = "common/record.rs"]
mod common;

use assert_cmd::Command;
use deployer::io::store::{Record, Store};
use deployer::model::state::{Facts, Kind, Stage, State};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("cli").tempdir().expect("a folder")
}

fn deployer(folder: &TempDir, arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

/// Returns the output of all runs as one text.
fn transcript(folder: &TempDir, runs: &[&[&str]]) -> String {
    let mut page = String::new();
    let path = folder.path().to_str().expect("UTF-8");
    for arguments in runs {
        let (out, err, code) = deployer(folder, arguments);
        let (out, err) = (out.replace(path, "FOLDER"), err.replace(path, "FOLDER"));
        let _ = write!(page, "$ deployer {}\n{out}", arguments.join(" "));
        let err: Vec<_> = err.lines().map(|line| format!("2> {line}\n")).collect();
        let _ = write!(page, "{}exit {code}\n\n", err.concat());
    }
    page
}

#[test]
fn help() {
    insta::assert_snapshot!(transcript(
        &folder(),
        &[&["--help"], &["logs", "--help"], &["apply", "-h"], &["create", "-h"]]
    ));
}

#[test]
fn mistakes() {
    insta::assert_snapshot!(transcript(
        &folder(),
        &[
            &["aply"],
            &["aply", "--json"],
            &["apply", "--paralel", "3"],
            &["apply", "--parallel", "0"],
            &["apply", "--to", "destroyed"],
            &["create", "web"],
            &["destroy"],
            &["--state"],
        ],
    ));
}

#[test]
fn commands_and_options_of_other_tools_are_translated() {
    for (arguments, hint) in [
        (&["deploy"][..], "Use deployer apply"),
        (&["up", "-d"], "Use deployer apply"),
        (&["validate"], "Use deployer check"),
        (&["version"], "Use deployer --version"),
        (&["apply", "--auto-approve"], "Use --yes"),
        (&["apply", "-auto-approve"], "Use --yes"),
        (&["apply", "--target=web"], "deployer apply ENV"),
        (&["apply", "--dry-run"], "Use deployer plan"),
        (&["apply", "--environment", "web"], "deployer apply ENV"),
        (&["remove", "web"], "Use deployer destroy ENV"),
        (&["destory", "web"], "exists: 'destroy'\n"),
    ] {
        let (_, err, code) = deployer(&folder(), arguments);
        assert!(code == 64 && err.contains(hint), "{arguments:?}: {err}");
    }
}

const SHOP: &str = "version: 1
project: shop
environments:
  production:
    registered: { address: 192.0.2.1 }
    application: { compose: { directory: ./app } }
";

/// Makes a folder with a manifest and its application of one service.
fn shop() -> TempDir {
    let folder = folder();
    fs::create_dir(folder.path().join("app")).expect("a directory");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("deployment.yaml", SHOP);
    write("app/compose.yaml", "services:\n  web:\n    image: demo:1\n    ports: [\"8080:80\"]\n");
    folder
}

/// Saves the record of an environment that is not in the manifest, with these facts of its access.
fn recorded(folder: &TempDir, stage: Stage, access: Facts) {
    let facts = State(BTreeMap::from([(Kind::Access, access)]));
    let record = Record { address: "192.0.2.1".to_owned(), ..common::record(facts, stage) };
    let root = camino::Utf8Path::from_path(folder.path()).expect("UTF-8");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open("sqlite:.deployer/state.db", root).await.expect("a store");
        store.save("shop", "prod", &record, None).await.expect("saved");
        store.close().await;
    });
}

/// Former versions recorded an environment that `plan` had only looked at.
#[test]
fn an_environment_that_was_only_looked_at_is_not_reported_as_left_behind() {
    let folder = shop();
    let marker = || Facts::from([("marker".to_owned(), "shop/prod".to_owned())]);
    for (stage, access, left) in [
        (Stage::Created, Facts::new(), false),
        (Stage::Configured, Facts::new(), false),
        (Stage::Configured, marker(), true),
        (Stage::Running, marker(), true),
        (Stage::Destroyed, Facts::new(), true),
    ] {
        recorded(&folder, stage, access);
        let (_, err, code) = deployer(&folder, &["plan", "--offline"]);
        let warned = err.contains("prod: is no longer in the manifest but is still recorded");
        assert_eq!((warned, code), (left, 0), "{stage}: {err}");
    }
}

/// Nothing listens on the host's port: a command that reaches for the host ends with 7.
#[test]
fn a_mistake_in_the_application_ends_only_what_needs_the_application() {
    let folder = shop();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAa33Xtpvzp2qb79CHmeTtxKO89Nab3we0Yte35fTrrh";
    let ssh = format!("address: 127.0.0.1 }}\n    ssh: {{ port: 1, wait: 0s, host_key: [\"{key}\"] }}");
    write("deployment.yaml", &SHOP.replace("address: 192.0.2.1 }", &ssh));
    for compose in ["services:\n  web:\n    imgae: demo:1\n", "services:\n  web:\n    image: \"demo:${NOT_SET:?}\"\n"] {
        write("app/compose.yaml", compose);
        for command in ["check", "plan", "apply --yes", "render production --output out"] {
            let (out, err, code) = deployer(&folder, &command.split(' ').collect::<Vec<_>>());
            assert!(code == 64 && err.contains("compose.yaml"), "{command}: {code} {out}{err}");
        }
        for command in [
            "logs production",
            "exec production web -- true",
            "ssh production -- true",
            "restart production",
            "rollback production --yes",
            "destroy production --allow-destroy production",
            "suspend production",
            "resume production",
            "unlock production --yes",
            "backup production",
            "test production",
        ] {
            let (out, err, code) = deployer(&folder, &command.split(' ').collect::<Vec<_>>());
            let warned = err.contains("has an application that cannot be read");
            assert!(code == 7 && warned == command.starts_with("rollback"), "{command}: {code} {out}{err}");
        }
        let (out, err, code) = deployer(&folder, &["history", "production"]);
        assert!(code == 7 && !err.contains("compose.yaml"), "{code} {out}{err}");
        let (out, err, code) = deployer(&folder, &["status"]);
        assert!(code == 7 && out.contains("production"), "{code} {out}{err}");
        assert!(err.contains("so drift of its release is not known: ") && err.contains("compose.yaml:3:"), "{err}");
    }
}

/// Services can share one list of ports by an alias.
#[test]
fn ports_that_many_services_share_take_no_memory() {
    let folder = shop();
    let ports: Vec<String> = (1000..2000).map(|port| format!("\"{port}:80\"")).collect();
    let mut text = format!("x-ports: &ports [{}]\nservices:\n", ports.join(","));
    let name = "a".repeat(1000);
    for number in 0..1900 {
        text.extend(["  ? s", &number.to_string(), &name, "\n  : { image: demo, ports: *ports }\n"]);
    }
    fs::write(folder.path().join("app/compose.yaml"), text).expect("written");
    let script = "ulimit -v 1000000; exec \"$0\" check";
    let mut sh = Command::new("sh");
    let output =
        sh.args(["-c", script, env!("CARGO_BIN_EXE_deployer")]).current_dir(&folder).output().expect("sh starts");
    assert!(output.status.success(), "{output:?}");
}

/// Compose would use the other name. Whoever moves from Compose to deployer must know that the volumes are others.
#[test]
fn a_project_that_the_application_names_is_reported_if_it_is_not_used() {
    let folder = shop();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let named = |name: &str| format!("name: {name}\nservices: {{ web: {{ image: demo }} }}\n");
    for (compose, env, expected) in [
        (named("mine"), "", Some("app/compose.yaml:1:1 names the Compose project mine, but")),
        (named("shop--production"), "", None),
        (named("${COMPOSE_PROJECT_NAME}"), "", None),
        (named("mine"), "COMPOSE_PROJECT_NAME=shop--production\n", None),
        (named("shop--production"), "COMPOSE_PROJECT_NAME=other\n", Some("The variable COMPOSE_PROJECT_NAME names")),
    ] {
        write("app/compose.yaml", &compose);
        write("app/.env", env);
        let (out, err, code) = deployer(&folder, &["check"]);
        assert_eq!(code, 0, "{out}{err}");
        match expected {
            Some(words) => {
                assert!(err.contains(words) && err.contains("set application.compose.project"), "{compose}{env}{err}");
            }
            None => assert!(!err.contains("Compose project"), "{compose}{env}{err}"),
        }
    }
}

#[test]
fn a_manifest_elsewhere_is_named() {
    let folder = shop();
    let path = folder.path().canonicalize().expect("a path");
    fs::create_dir_all(path.join("docs/more")).expect("directories");
    let errors_in = |directory: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(arguments)
            .current_dir(path.join(directory))
            .env_clear()
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8").replace(path.to_str().expect("UTF-8"), "ROOT")
    };
    let above = errors_in("docs/more", &["check"]);
    assert!(above.contains("deployment.yaml does not exist in ROOT/docs/more"), "{above}");
    assert!(
        above.contains("A manifest exists in ROOT: run deployer there, or pass -f ../../deployment.yaml"),
        "{above}"
    );
    fs::rename(path.join("deployment.yaml"), path.join("deployment.yml")).expect("renamed");
    let here = errors_in(".", &["plan"]);
    let hint = "deployment.yml exists: rename it to deployment.yaml, or pass -f deployment.yml";
    assert!(here.contains(hint), "{here}");
    let above = errors_in("docs", &["check"]);
    assert!(above.contains("pass -f ../deployment.yml"), "{above}");
    let other = errors_in("docs", &["check", "-f", "/nowhere/deployment.yaml"]);
    assert!(other.contains("deployment.yaml does not exist in /nowhere"), "{other}");
}

/// Environments of one host must not publish one port. Compose files are compared as far as they are literal.
#[test]
fn two_applications_on_one_host_do_not_publish_one_port() {
    let folder = shop();
    let staging = SHOP.split_once("environments:\n").expect("there").1.replace("production", "staging");
    for (change, other, expected) in [
        (("", ""), "", Some("their services web and web publish the same port, 8080/tcp")),
        (("192.0.2.1", "192.0.2.2"), "", None),
        // An address behind a jump host is another one, and nothing runs in a destroyed environment.
        (("registered:", "ssh: { jump: me@gate }\n    registered:"), "", None),
        (("registered:", "stage: destroyed\n    registered:"), "", None),
        (("registered:", "stage: running\n    registered:"), "", Some("8080/tcp")),
        (
            ("./app", "./other"),
            "services: { a: { image: a, ports: [{ target: 1, published: \"8000-8090\" }] } }",
            Some("8080/tcp"),
        ),
        (("./app", "./other"), "services: { a: { image: a, ports: [\"8080:80/udp\", \"18080:80\", \"80\"] } }", None),
        (("./app", "./other"), "services: { a: { image: a, ports: [\"127.0.0.1:8080:80\"] } }", Some("8080/tcp")),
        (("./app", "./other"), "services: { a: { image: a, profiles: [x], ports: [\"8080:80\"] } }", None),
    ] {
        let text = format!("{SHOP}{}", staging.replace(change.0, change.1));
        fs::write(folder.path().join("deployment.yaml"), text).expect("written");
        fs::create_dir_all(folder.path().join("other")).expect("a directory");
        fs::write(folder.path().join("other/compose.yaml"), other).expect("written");
        let (out, err, code) = deployer(&folder, &["check", "--json"]);
        match expected {
            Some(expected) => {
                assert!(code == 64 && out.contains(expected) && out.contains("compose.yaml"), "{other}: {out}{err}");
                assert!(out.contains("The other one is at ") && out.contains("app/compose.yaml:"), "{other}: {out}");
            }
            None => assert_eq!(code, 0, "{other}: {out}{err}"),
        }
    }
}

#[test]
fn what_is_known_without_a_host_is_reported() {
    let folder = shop();
    let mut check = Command::new(env!("CARGO_BIN_EXE_deployer"));
    let checked =
        check.arg("check").current_dir(&folder).env_clear().env("PATH", "/nowhere").output().expect("it starts");
    let err = String::from_utf8(checked.stderr).expect("UTF-8");
    assert!(checked.status.success() && err.contains("The program ssh is not installed"), "{err}");
    let (_, err, code) = deployer(&folder, &["plan", "--offline"]);
    assert!(code == 0 && err.contains("Never observed: production. Run deployer plan without --offline"), "{err}");
    let (_, err, code) = deployer(&folder, &["create", "lab", "--lxd"]);
    assert!(code == 64 && err.contains("Pass --identity-file") && !err.contains("deployment.yaml:"), "{err}");
    assert_eq!(fs::read_to_string(folder.path().join("deployment.yaml")).expect("there"), SHOP);
    let variables = "directory: ./app, variables: { TOKEN: { from_env: NO_TOKEN }, OTHER: $NAME }";
    fs::write(folder.path().join("deployment.yaml"), SHOP.replace("directory: ./app", variables)).expect("written");
    let (_, err, code) = deployer(&folder, &["check", "--secrets"]);
    assert!(
        code == 1 && err.contains("Cannot read the variable TOKEN: The environment variable NO_TOKEN is not set"),
        "{err}"
    );
    assert!(err.contains("`$NAME` is passed as it is written") && err.contains("{ from_env: NAME }"), "{err}");
}

#[test]
fn a_report_says_why_nothing_was_tested() {
    insta::assert_snapshot!(transcript(&folder(), &[&["test", "--format", "junit"], &["test", "--format", "xml"]]));
}

#[test]
fn the_version() {
    let version = format!("deployer {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(deployer(&folder(), &["--version"]), (version, String::new(), 0));
}

#[test]
fn no_command_shows_the_help_and_fails() {
    let (out, err, code) = deployer(&folder(), &[]);
    assert_eq!((out.contains("Lifecycle commands:"), err.as_str(), code), (true, "", 64));
}

#[test]
fn init_writes_once() {
    let folder = folder();
    insta::assert_snapshot!(transcript(
        &folder,
        &[&["init"], &["init"], &["init", "--json"], &["init", "-f", "no/such.yaml"]]
    ));
    let written = fs::read_to_string(folder.path().join("deployment.yaml")).expect("written");
    assert_eq!(deployer(&folder, &["init", "-f", "-"]).0, written);
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
}

#[test]
fn init_names_the_project_after_the_directory() {
    let folder = folder();
    fs::create_dir(folder.path().join("web-shop")).expect("made");
    fs::create_dir(folder.path().join("Not_a_name")).expect("made");
    let project = |file: &str| {
        assert_eq!(deployer(&folder, &["init", "-f", file]).2, 0);
        let text = fs::read_to_string(folder.path().join(file)).expect("written");
        text.lines()
            .find_map(|line| line.strip_prefix("project: "))
            .map(|rest| rest.split(' ').next().unwrap_or_default().to_owned())
    };
    assert_eq!(project("web-shop/d.yaml").as_deref(), Some("web-shop"));
    assert_eq!(project("Not_a_name/d.yaml").as_deref(), Some("shop"));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, err, code) = deployer(&folder(), &["completions", shell]);
        assert!(out.contains("DEPLOYER_COMPLETE"), "{shell}");
        assert_eq!((err.as_str(), code), ("", 0));
    }
}

const TWO: &str = "version: 1\nproject: web-shop\nenvironments:\n  production:\n    registered: { address: \"2001:db8::7\" }\n    \
                   ssh: { port: 2222, user: deploy, identity_file: ./a key, jump: me@gate }\n  \
                   preview: { registered: { address: preview.example.com } }\n";

/// Makes a folder with the manifest of two environments, and a key.
fn two() -> TempDir {
    let folder = folder();
    fs::write(folder.path().join("deployment.yaml"), TWO).expect("written");
    fs::write(folder.path().join("a key"), "").expect("written");
    folder
}

/// Returns the completions that a shell's script gets for a line that ends at the cursor, without options.
fn completed(folder: &TempDir, shell: &str, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
        .arg("--")
        .args(&words)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder.path())
        .env("DEPLOYER_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n")
        .output()
        .expect("it starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().map(|line| line.split([':', '\t']).next().unwrap_or_default());
    names.filter(|name| !name.starts_with('-')).collect::<Vec<_>>().join(" ")
}

#[test]
fn shells_complete_the_names_of_environments() {
    let folder = two();
    fs::write(folder.path().join("elsewhere.yaml"), TWO.replace("production", "prod-2")).expect("written");
    fs::write(folder.path().join("broken.yaml"), "version: 1\n").expect("written");
    for shell in ["bash", "zsh", "fish"] {
        for (line, expected) in [
            ("deployer apply ", "preview production"),
            ("deployer apply production pre", "preview"),
            ("deployer --json plan pro", "production"),
            ("deployer -f elsewhere.yaml logs p", "preview prod-2"),
            ("deployer -f ~/elsewhere.yaml logs p", "preview prod-2"),
            ("deployer destroy --allow-destroy pro", "production"),
            ("deployer -f broken.yaml apply p", ""),
            ("deployer logs production ", ""),
            ("deployer exec production web -- p", ""),
            ("deployer apply --state p", ""),
            ("deployer statu", "status"),
        ] {
            assert_eq!(completed(&folder, shell, line), expected, "{shell}: {line}");
        }
    }
}

#[test]
fn the_script_for_bash_completes() {
    let folder = two();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_deployer")).parent().expect("a directory");
    let script = "source <(deployer completions bash); COMP_WORDS=(deployer plan pr) COMP_CWORD=2 COMP_TYPE=9
        $(complete -p deployer | sed 's/.*-F \\([^ ]*\\).*/\\1/') deployer pr plan; echo \"${COMPREPLY[*]}\"";
    let path = format!("{}:/usr/bin:/bin", binary.display());
    let mut bash = Command::new("bash");
    let bash = bash.args(["-c", script]).current_dir(&folder).env_clear().env("PATH", path);
    let output = bash.output().expect("bash starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "preview production");
}

#[test]
fn an_inventory_in_every_form() {
    let folder = two();
    let runs =
        [&["inventory"][..], &["inventory", "--format", "ini"], &["inventory", "--format", "json", "production"]];
    let page =
        transcript(&folder, &runs).replace(&fs::canonicalize(&folder).expect("a path").display().to_string(), "/here");
    insta::assert_snapshot!(page);
    assert_eq!(deployer(&folder, &["inventory", "nowhere"]).2, 64);
}

#[test]
fn a_missing_history_is_reported() {
    let folder = two();
    insta::assert_snapshot!(transcript(
        &folder,
        &[
            &["history"],
            &["history", "production", "--offline", "--json"],
            &["history", "prodction"],
            &["history", "--limit", "0"]
        ]
    ));
    assert!(!folder.path().join(".deployer").exists());
}

#[test]
fn commands_for_work_by_hand_need_their_arguments() {
    let folder = two();
    insta::assert_snapshot!(transcript(
        &folder,
        &[
            &["exec", "production", "web"],
            &["ssh", "production", "--json"],
            &["restart"],
            &["exec", "preview", "web", "--", "ls"]
        ]
    ));
}

#[test]
fn a_manual_page_for_every_command() {
    let folder = folder();
    assert!(deployer(&folder, &["man"]).0.contains(".TH deployer 1"));
    let (out, err, code) = deployer(&folder, &["man", "-o", "pages"]);
    assert_eq!((out.as_str(), err.as_str(), code), ("Wrote the manual pages to pages\n", "", 0));
    for page in ["deployer.1", "deployer-apply.1", "deployer-register.1"] {
        let text = std::fs::read_to_string(folder.path().join("pages").join(page)).expect(page);
        for section in ["OPTIONS", "\"EXIT STATUS\"", "FILES", "ENVIRONMENT", "EXAMPLES"] {
            assert!(text.contains(&format!("\n.SH {section}\n")), "{page} lacks {section}: {text}");
        }
    }
}

#[test]
fn json_always_ends_with_a_result() {
    for arguments in [
        &["init", "--json"][..],
        &["nonsense", "--json"],
        &["--json", "--help"],
        &["apply", "--json", "--to"],
        &["--json"],
    ] {
        let (out, err, code) = deployer(&folder(), arguments);
        let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let last = lines.last().expect("a line");
        assert_eq!((&last["type"], &last["exit_code"]), (&"result".into(), &code.into()), "{arguments:?}: {out}");
        assert_eq!(err, "");
    }
}

#[test]
fn colors_follow_the_user() {
    let colored = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        let output = command.args(arguments).env_clear().envs(variable).output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).contains('\u{1b}')
    };
    assert!(!colored(&["aply"], None), "a pipe has none");
    assert!(colored(&["aply", "--color", "always"], None));
    assert!(colored(&["aply", "--color=always"], Some(("NO_COLOR", "1"))), "the argument comes first");
    assert!(colored(&["aply"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!colored(&["aply", "--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
}

#[test]
fn a_full_disk_is_a_failure_and_a_closed_pipe_is_not() {
    let run = |redirection: &str| {
        let script = format!("{} completions bash {redirection}", env!("CARGO_BIN_EXE_deployer"));
        let output = Command::new("bash").args(["-o", "pipefail", "-c", &script]).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run("> /dev/full"), (Some(1), "error: Cannot write to standard output\n".to_owned()));
    assert_eq!(run("| true"), (Some(0), String::new()));
}

/// Returns the errors of a `--json` run, and checks each of them with the contract.
fn errors(out: &str) -> Vec<serde_json::Value> {
    let lines = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let errors: Vec<_> = lines.filter(|line| line["type"] == "error").collect();
    for error in &errors {
        for field in ["reason", "message", "hint"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {error}");
        }
        let place = &error["location"];
        let at = |field: &str| place[field].as_u64().is_some_and(|number| number > 0);
        assert!(place.is_null() || place["file"].is_string() && at("line") && at("column"), "{error}");
        assert!(error.as_object().expect("an object").contains_key("environment"), "{error}");
    }
    errors
}

#[test]
fn an_invalid_manifest_is_64_for_every_command() {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/manifest/invalid");
    let files = fs::read_dir(cases).expect("cases").map(|entry| entry.expect("a case").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(files.len() > 30);
    let folder = folder();
    for file in files {
        let name = file.to_str().expect("text");
        let (out, _, code) = deployer(&folder, &["check", "--json", "-f", name]);
        assert_eq!(code, 64, "{name}: {out}");
        let errors = errors(&out);
        assert!(
            !errors.is_empty() && errors.iter().all(|error| error["reason"] == "manifest-invalid"),
            "{name}: {out}"
        );
    }
    let broken = format!("{cases}/duplicate-key.yaml");
    for command in ["apply", "plan", "status", "list", "check"] {
        for (file, reason) in [("none.yaml", "manifest-missing"), (broken.as_str(), "manifest-invalid")] {
            let (out, _, code) = deployer(&folder, &[command, "--json", "-f", file]);
            assert_eq!((code, &errors(&out)[0]["reason"]), (64, &reason.into()), "{command} {file}: {out}");
        }
    }
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0, "no store was made");
}

#[test]
fn ten_thousand_environments_are_checked() {
    let folder = folder();
    let mut text = "version: 1\nproject: shop\nenvironments:\n".to_owned();
    for number in 0..10_000 {
        let _ = writeln!(text, "  web-{number}: {{ registered: {{ address: web-{number}.example.com }} }}");
    }
    fs::write(folder.path().join("deployment.yaml"), text).expect("written");
    for arguments in [["check", "--json"], ["plan", "--offline"], ["list", "--json"]] {
        let (out, err, code) = deployer(&folder, &arguments);
        assert_eq!((code, err.contains("error")), (0, false), "{err}");
        assert!(out.contains("web-9999"), "{arguments:?}");
    }
}

/// Makes a repository whose first commit, `one`, contains an application, and whose files then changed.
fn repository() -> TempDir {
    let folder = folder();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    let manifest = |secret: &str, more: &str| {
        format!(
            "version: 1\nproject: shop\nenvironments:\n  production: # the one\n    registered: {{ address: a.example }}\n    ssh: {{ host_key: \
             [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAa33Xtpvzp2qb79CHmeTtxKO89Nab3we0Yte35fTrrh\"] }}\n    application: {{ compose: {{ directory: \
             ./app, templates: true, variables: {{ TAG: \"1\", TOKEN: {{ {secret} }} }}, archives: {{ \"demo:1\": \
                                                          ./not-here.tar }} }} }}\n{more}"
        )
    };
    put("sub/deployment.yaml", &manifest("from_env: SHOP_TOKEN", "  old:\n    registered: { address: b.example }\n"));
    put("sub/app/compose.yaml", "services:\n  web:\n    image: demo:1\n");
    put("sub/app/page.html", "one\ntwo\n");
    put("sub/app/secret.conf.tera", "token={{ TOKEN }}\nlevel=1\n");
    put(".gitattributes", "sub/app/page.html export-ignore\n");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
        command.args(who).args(arguments).current_dir(&folder).assert().success();
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    git(&["tag", "empty"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["tag", "one"]);
    let more = "    checks: [ { name: db, tcp: 5432 } ]\n  lab:\n    registered: { address: c.example }\n";
    let fails = "from_command: [touch, ran]";
    put("sub/deployment.yaml", &manifest(fails, more).replace("# the one", "# another comment"));
    put("sub/app/page.html", "one\n2\n");
    put("sub/app/secret.conf.tera", "token={{ TOKEN }}\nlevel=2\n");
    folder
}

#[test]
fn a_plan_shows_the_content_of_new_files() {
    let folder = repository();
    let app = folder.path().join("sub/app");
    let lines = (1..=25).fold(String::new(), |text, number| text + &format!("line {number}\n"));
    for (name, content) in [("new.txt", lines.as_bytes()), ("new.bin", &[0, 159])] {
        fs::write(app.join(name), content).expect("written");
    }
    Command::new("git").args(["add", "."]).current_dir(&folder).assert().success();
    let plan = ["plan", "-f", "sub/deployment.yaml", "--against", "one", "production"];
    let (out, _, code) = deployer(&folder, &plan);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("+line 20\n            … and 5 more lines; --verbose shows them\n"), "{out}");
    assert!(out.contains("its content is not shown: it is too large, or not text"), "{out}");
    let (out, _, _) = deployer(&folder, &[&plan[..], &["--verbose"]].concat());
    assert!(out.contains("+line 25\n") && !out.contains("more lines"), "{out}");
}

#[test]
fn a_plan_against_a_commit_needs_no_host_and_no_secret() {
    let folder = repository();
    let file = ["-f", "sub/deployment.yaml"];
    let with = |more: &[&'static str]| [&["plan"], &file[..], more].concat();
    let page = transcript(
        &folder,
        &[
            &with(&["--against", "one"]),
            &with(&["--against", "one", "--detailed-exitcode", "lab"]),
            &with(&["--against", "empty", "lab"]),
            &with(&["--against", "nothing", "lab"]),
            &with(&["--against", "--all"]),
            &with(&["--against", "one", "--offline"]),
            &with(&["--against", "one", "no-such"]),
        ],
    );
    // Git words its own message, and the folder has another name in each run.
    let here = folder.path().to_string_lossy().into_owned();
    insta::assert_snapshot!(without_keyed(&page).replace(&here, "FOLDER"));
    assert!(!folder.path().join("ran").exists() && !folder.path().join("sub/ran").exists(), "no command was run");
    assert!(!folder.path().join("sub/.deployer").exists());

    // Only a comment differs from the commit, which the command of production may read.
    let text = fs::read_to_string(folder.path().join("sub/deployment.yaml")).expect("readable");
    for arguments in [&["add", "."][..], &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "two"]] {
        Command::new("git").args(arguments).current_dir(&folder).assert().success();
    }
    fs::write(folder.path().join("sub/deployment.yaml"), text.replace("# another comment", "")).expect("written");
    let (out, _, code) = deployer(&folder, &with(&["--against", "HEAD", "--detailed-exitcode", "--json"]));
    assert!(code == 2 && out.contains("content of sub/deployment.yaml"), "{out}");
    let (out, err, code) = deployer(&folder, &with(&["--against", "HEAD", "--detailed-exitcode", "--json", "lab"]));
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.contains(r#""outcome":"converged""#), "{out}");

    // A link that leads out of the repository is shown as a link.
    fs::remove_file(folder.path().join("sub/app/page.html")).expect("removed");
    std::os::unix::fs::symlink("/etc/os-release", folder.path().join("sub/app/page.html")).expect("a link");
    let (out, _, code) = deployer(&folder, &with(&["--against", "HEAD", "--json"]));
    assert_eq!((code, out.contains("page.html"), out.contains("NAME=")), (0, true, false), "{out}");

    // Destructive steps are shown separately.
    fs::write(
        folder.path().join("sub/deployment.yaml"),
        text.replace("    checks:", "    stage: destroyed\n    checks:"),
    )
    .expect("written");
    let (out, err, code) = deployer(&folder, &with(&["--against", "HEAD", "--format", "markdown", "production"]));
    assert!(out.contains("### These steps cannot be undone\n"), "{out}");
    assert_eq!((out.contains("Other steps"), code), (false, 0), "{out}");
    assert_eq!(
        err,
        "warning: 2 tracked files have uncommitted changes; the versions on disk are compared: sub/app/page.html, \
         sub/deployment.yaml\n\
         warning: sub/app/page.html: a link to /etc/os-release, which is not in the repository; only the link is compared\n"
    );

    let elsewhere = self::folder();
    fs::write(elsewhere.path().join("deployment.yaml"), text).expect("written");
    let (out, _, code) = deployer(&elsewhere, &["plan", "--against", "one", "--json"]);
    assert_eq!((code, out.contains(r#""reason":"ref-unknown""#)), (64, true), "{out}");
    let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(with(&["--against", "one", "--json"]))
        .current_dir(&folder)
        .env("PATH", "/nowhere")
        .output()
        .expect("it starts");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains(r#""reason":"tool-missing""#), "{out}");
}

/// Returns a page without the digests of secrets, which differ in each run.
fn without_keyed(page: &str) -> String {
    let mut parts = page.split("keyed");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "keyed…" + part.split_once('…').map_or(part, |(_, rest)| rest))
}

#[test]
fn a_plan_in_every_form() {
    let folder = repository();
    let with = |more: &[&'static str]| [&["plan", "-f", "sub/deployment.yaml", "--against", "one"], more].concat();
    let page = transcript(
        &folder,
        &[
            &with(&["--format", "markdown", "--detailed-exitcode"]),
            &with(&["--format", "github", "--detailed-exitcode"]),
            &with(&["--format", "markdown", "--json"]),
            &["plan", "--format", "markdown", "-f", "no:such,file.yaml"],
            &["plan", "--format", "github", "-f", "no:such,file.yaml"],
            &["check", "--format", "json", "-f", "none.yaml"],
        ],
    );
    insta::assert_snapshot!(without_keyed(&page));
    let (out, _, code) = deployer(&folder, &with(&["--json", "--detailed-exitcode"]));
    assert_eq!((code, out.contains(r#""against":"one""#)), (2, true), "{out}");
}

#[test]
fn a_graph_without_contact() {
    let folder = repository();
    let text = "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: { address: a.example }\n    depends_on: [db]\n  \
                db:\n    registered: { address: b.example }\n";
    fs::write(folder.path().join("deployment.yaml"), text).expect("written");
    insta::assert_snapshot!(transcript(&folder, &[&["graph"], &["graph", "db", "--format", "mermaid"]]));
    let svg = deployer(&folder, &["graph", "--format", "svg"]);
    assert_eq!((svg.2, svg.0.starts_with("<svg "), svg.0.matches("<rect").count()), (0, true, 4));
    assert_eq!(svg, deployer(&folder, &["graph", "--format", "svg"]));
}

#[test]
fn a_file_that_is_not_a_saved_plan_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("newer.plan"), "{\"format\": 2}").expect("written");
    fs::write(folder.path().join("damaged.plan"), "{\"format\": 1, \"digest\": \"0\", \"body\": {}}").expect("written");
    fs::write(folder.path().join("binary.plan"), b"\xff\xfe").expect("written");
    insta::assert_snapshot!(transcript(
        &folder,
        &[
            &["apply", "newer.plan"],
            &["show", "damaged.plan"],
            &["apply", "./none"],
            &["apply", "binary.plan"],
            &["apply", "damaged.plan", "production"],
            &["apply", "damaged.plan", "--to", "released"],
        ]
    ));
}

#[test]
fn a_workflow_gets_a_summary_outputs_and_annotations() {
    let folder = repository();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(arguments)
            .current_dir(&folder)
            .env_clear()
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", folder.path().join("summary"))
            .env("GITHUB_OUTPUT", folder.path().join("output"))
            .output()
            .expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
    };
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("written");
    fs::write(folder.path().join("output"), "before=1\n").expect("written");
    let plan = ["plan", "-f", "sub/deployment.yaml", "--against", "one", "--detailed-exitcode"];
    let (out, err, code) = run(&plan);
    assert_eq!((code, out.contains("::")), (2, false), "{out}{err}");
    assert_eq!(read("output"), "before=1\noutcome=planned\nexit-code=2\nchanges=6\n");
    let summary = read("summary");
    assert!(summary.starts_with("<!-- deployer-plan shop -->\n"), "{summary}");
    assert!(summary.contains("deployer <code>plan</code>: planned, exit code 2"), "{summary}");

    let (out, err, code) = run(&["plan", "-f", "no\nsuch.yaml"]);
    assert_eq!((out.as_str(), code), ("", 64));
    assert!(err.contains("::error::no%0Asuch.yaml does not exist"), "{err}");
    // With `--json`, both streams contain only JSON lines.
    let (out, err, _) = run(&["plan", "-f", "none.yaml", "--json"]);
    assert!(out.lines().all(|line| line.starts_with('{')), "{out}");
    assert_eq!(err, "");
}
