//! Paths and links of a manifest that lead out of its repository. Commands that only read refuse them by name and read
//! nothing there. Within the repository, and for commands that trust the manifest, they work.

use crate::review::{CANARY, Run, Work};
use assert_cmd::Command;
use std::fs;

/// Commands that only read the repository.
const LOOKS: [&[&str]; 11] = [
    &["check"],
    &["check", "--json"],
    &["check", "--format", "github"],
    &["graph"],
    &["list"],
    &["show", "web"],
    &["inventory"],
    &["probe", "web"],
    &["plan", "--offline"],
    &["status", "--offline"],
    &["render", "web", "-o", "out", "--offline"],
];

/// Commands of these that also read the application's files.
const READS: [&[&str]; 7] = [LOOKS[0], LOOKS[1], LOOKS[2], LOOKS[3], LOOKS[7], LOOKS[8], LOOKS[10]];

/// A file that is not valid YAML, a script or a certificate, and that is recognizable if it is quoted.
const FOREIGN: &str = "[default]\naws_access_key_id = canary-5d17\nkey: {{ canary-5d17\n\tpassword: canary-5d17\n";

/// Returns a repository, with files next to it that must not be read.
fn work() -> Work {
    let work = Work::new();
    fs::remove_file(work.repository().join("app/conf.txt.tera")).unwrap();
    for name in ["bad", "compose.override.yaml", "Caddyfile.tera", "main.tf"] {
        fs::write(work.path("outside").join(name), FOREIGN).unwrap();
    }
    fs::write(work.path("outside/script"), format!("echo {CANARY}\n")).unwrap();
    fs::write(work.path("outside/compose.yaml"), "services: { web: { image: \"demo:1\" } }\n").unwrap();
    work
}

/// Returns the manifest of an environment `web` with this application and these settings.
fn manifest(application: &str, more: &str) -> String {
    format!(
        "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    ssh: {{ user: deploy, identity: {{ from_env: JOB_TOKEN }} }}\n    \
         application: {application}\n{more}"
    )
}

fn compose(keys: &str) -> String {
    manifest(&format!("{{ compose: {{ {keys} }} }}"), "")
}

/// Runs the commands, and asserts that each refuses with `why`, shows nothing that it must not read, and writes no
/// files.
fn refused(work: &Work, commands: &[&[&str]], why: &str, what: &str) {
    for command in commands {
        let Run { out, err, code } = work.run(command);
        assert!(!out.contains(CANARY) && !err.contains(CANARY), "{what}: {command:?}: {out}{err}");
        let text = format!("{out}{err}").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code != 0 && text.contains(why), "{what}: {command:?} ends with {code}: {text}");
        assert!(!work.repository().join("out").exists(), "{what}: {command:?} wrote files");
    }
}

#[test]
fn no_path_of_the_manifest_leads_a_look_out_of_the_repository() {
    let work = work();
    let (outside, bad) = (work.outside(""), work.outside("bad"));
    let tracker = "{ tracker: { udp: [{ port: 6969 }]";
    let acme = "http: [{ port: 7070, domain: t.example.com, tls: true }], tls: { issuer: { acme: \"https://acme.example.com/d\", root:";
    let configure =
        |text: &str| manifest("{ compose: { directory: ./app } }", &format!("    configure: {{ {text} }}\n"));
    for (what, text) in [
        ("absolute", compose(&format!("directory: {outside}, files: [bad]"))),
        ("relative", compose("directory: ../outside, files: [bad]")),
        ("not there", compose("directory: ../outside/nothing")),
        ("up and down", compose("directory: ./app/../../outside, files: [bad]")),
        ("everything", compose("directory: /usr")),
        ("archive", compose(&format!("directory: ./app, archives: {{ \"demo:1\": {bad} }}"))),
        (
            "script",
            configure(&format!("scripts: [ {{ name: a, check: \"true\", file: {} }} ]", work.outside("script"))),
        ),
        ("key", configure(&format!("engine: {{ repository: {{ url: \"https://m.example.com\", key_file: {bad} }} }}"))),
        ("certificate", manifest(&format!("{tracker}, {acme} {bad} }} }} }} }}"), "")),
        (
            "module",
            compose("directory: ./app").replace(
                "registered: { address: 192.0.2.1 }",
                "provisioned: { module: { source: ../outside, resource: a.b, outputs: { address: a } } }",
            ),
        ),
    ] {
        work.put("deployment.yaml", &text);
        refused(&work, &LOOKS, "the Git repository", what);
    }
}

#[test]
fn no_link_leads_a_look_out_of_the_repository() {
    let work = work();
    let tracker = manifest(
        "{ tracker: { udp: [{ port: 6969 }], http: [{ port: 7070, domain: t.example.com, tls: true }], tls: { email: a@example.com } } }",
        "",
    );
    let made = compose("directory: ./app")
        .replace("registered: { address: 192.0.2.1 }", "provisioned: { lxd: { image: \"debian/13\" } }");
    let listed = |name: &str| compose(&format!("directory: ./app, templates: true, links: [{name}]"));
    for (what, link, target, text, commands) in [
        ("Compose file", "app/compose.yaml", "bad", listed("compose.yaml"), &READS[..]),
        ("template", "app/page.tera", "bad", listed("page.tera"), &READS),
        ("variables", "app/.env", "bad", listed(".env"), &READS),
        ("directory in it", "app/more", "", listed("more"), &READS),
        ("the directory", "there", "", compose("directory: ./there, files: [bad]"), &LOOKS),
        ("above the directory", "there", "..", compose("directory: ./there/outside, files: [bad]"), &LOOKS),
        (
            "its Compose file",
            "app/other.yaml",
            "bad",
            compose("directory: ./app, files: [other.yaml], links: [other.yaml]"),
            &LOOKS,
        ),
        ("own templates", "templates/tracker", "", tracker.clone(), &READS),
        ("own template of OpenTofu", "templates/tofu/lxd/main.tf", "main.tf", made.clone(), &READS[6..]),
        ("own templates of OpenTofu", "templates/tofu", "", made, &READS[6..]),
    ] {
        work.put("deployment.yaml", &text);
        work.put("templates/tofu/lxd/.keep", "");
        fs::create_dir_all(work.path("outside/lxd")).unwrap();
        fs::write(work.path("outside/lxd/main.tf"), FOREIGN).unwrap();
        work.link(link, &work.outside(target));
        refused(&work, commands, "the Git repository", what);
        fs::remove_file(work.repository().join(link)).unwrap();
        work.put("app/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
    }
    work.link("deployment.yaml", &work.outside("bad"));
    refused(&work, &LOOKS, "the Git repository", "the manifest itself");
}

#[test]
fn the_directories_of_git_and_deployer_are_no_application() {
    let work = work();
    fs::write(work.repository().join(".git/config"), FOREIGN).unwrap();
    for directory in ["./.git", ".git/info", "./there", "sub/.deployer/app"] {
        work.put("sub/.deployer/app/bad", FOREIGN);
        work.link("there", ".git");
        for (name, text) in [("config", FOREIGN), ("info/config", FOREIGN)] {
            fs::write(work.repository().join(".git").join(name), text).unwrap();
        }
        let file = if directory.contains("app") { "bad" } else { "config" };
        work.put("deployment.yaml", &compose(&format!("directory: {directory}, files: [{file}]")));
        refused(&work, &READS, "belongs to Git or deployer", directory);
        // Commands that trust the manifest refuse such a directory, too.
        refused(
            &work,
            &[&["check", "--secrets"], &["render", "web", "-o", "out"]],
            "belongs to Git or deployer",
            directory,
        );
    }
}

#[test]
fn no_file_without_an_end_is_read() {
    let work = work();
    for target in ["/proc/self/pagemap", "/proc/self/environ", "/sys/kernel/uevent_seqnum", "/dev/zero"] {
        work.put("deployment.yaml", &compose("directory: ./app, links: [big]"));
        work.link("app/big", target);
        for command in [&["check"][..], &["graph"], &["check", "--within", "/"], &["check", "--secrets"]] {
            let Run { out, err, code } = work.run(command);
            assert!(code == 64 && err.contains("app/big"), "{target}: {command:?} ends with {code}: {out}{err}");
        }
        work.put(
            "deployment.yaml",
            &manifest(
                "{ compose: { directory: ./app } }",
                &format!("    configure: {{ scripts: [ {{ name: a, check: \"true\", file: {target} }} ] }}\n"),
            ),
        );
        work.put("app/big", "");
        for command in [&["check"][..], &["check", "--within", "/"], &["check", "--secrets"]] {
            let Run { out, err, code } = work.run(command);
            assert!(code == 64 && err.contains("The script"), "{target}: {command:?} ends with {code}: {out}{err}");
        }
    }
}

#[test]
fn a_file_that_holds_more_than_its_size_is_refused() {
    let work = work();
    work.put("deployment.yaml", &compose("directory: ./app"));
    work.put("app/big", "");
    let script = "mount --bind /proc/meminfo app/big && exec \"$0\" check --secrets";
    let output = Command::new("unshare")
        .args(["-m", "bash", "-c", script, env!("CARGO_BIN_EXE_deployer")])
        .current_dir(work.repository())
        .env("JOB_TOKEN", "x")
        .timeout(std::time::Duration::from_mins(2))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(64) && err.contains("app/big has 0 bytes"), "{output:?}");
}

#[test]
fn honest_applications_are_read_wherever_they_are() {
    let work = work();
    let whole = |arguments: &[&str], directory: &str| {
        let run = work.run_in(directory, arguments);
        assert_eq!(run.code, 0, "{arguments:?} in {directory}: {}{}", run.out, run.err);
    };
    // Another directory of the same repository, and a link to a third one.
    work.put("shop/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
    work.put("shared/page", "x");
    work.link("shop/shared", "../shared");
    work.put("deploy/deployment.yaml", &compose("directory: ../shop, links: [shared]"));
    for command in [&["check"][..], &["graph"], &["list"], &["plan", "--offline"]] {
        whole(command, "deploy");
    }
    whole(&["render", "web", "-o", "out", "--offline"], "deploy");
    assert!(work.repository().join("deploy/out/shared/page").exists());
    // Another repository: the user permits it, or trusts the manifest.
    work.put("deploy/deployment.yaml", &compose(&format!("directory: {}", work.outside(""))));
    fs::remove_file(work.path("outside/compose.override.yaml")).unwrap();
    let Run { err, code, .. } = work.run_in("deploy", &["check"]);
    // The hint names no directory, because the author of the manifest would choose it.
    let advice = "pass --within DIR if you trust the manifest with all of DIR";
    assert!(code == 64 && err.split_whitespace().collect::<Vec<_>>().join(" ").contains(advice), "{err}");
    for command in [&["check", "--within", "../.."][..], &["list", "--within", "/"], &["check", "--secrets"]] {
        whole(command, "deploy");
    }
    whole(&["render", "web", "-o", "out"], "deploy");
    // After the user names a directory, no command reads outside it.
    let run = work.run_in("deploy", &["render", "web", "-o", "out", "--within", ".."]);
    assert!(run.code == 64 && run.err.contains("--within"), "{}", run.err);
    assert_eq!(work.run_in("deploy", &["check", "--within", "nothing"]).code, 64);
    // Without Git, the limit is the directory of the manifest.
    fs::remove_dir_all(work.repository().join(".git")).unwrap();
    whole(&["check", "--within", "../.."], "deploy");
    assert_eq!(work.run_in("deploy", &["check"]).code, 64);
    work.put("deploy/app/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
    work.put("deploy/deployment.yaml", &compose("directory: ./app"));
    whole(&["check"], "deploy");
}
