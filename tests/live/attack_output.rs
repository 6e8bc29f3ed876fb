//! A service prints sequences that a terminal or a workflow runner acts on, and its secrets in other forms. The
//! standard output of `exec` stays byte-exact.

use crate::bed::{BedHost, Run, Work};
use data_encoding::BASE64;
use std::fmt::Write as _;
use std::process::{Command, Output};

/// A password that every encoding changes.
const PASSWORD: &str = "p@ss:w/ord #%\"$e";

/// Returns the lines that the service prints.
fn forms() -> Vec<String> {
    vec![
        PASSWORD.to_owned(),
        serde_json::json!(PASSWORD).to_string().trim_matches('"').to_owned(),
        percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC).to_string(),
        BASE64.encode(PASSWORD.as_bytes()),
        BASE64.encode(format!("root:{PASSWORD}").as_bytes()),
    ]
}

fn with_password(work: &Work, arguments: &[&str]) -> Command {
    let mut command = work.command(arguments);
    command.env("SHOP_PASSWORD", PASSWORD);
    command
}

fn in_workflow(work: &Work, arguments: &[&str]) -> Command {
    let mut command = with_password(work, arguments);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", work.path("output"));
    command.env("GITHUB_STEP_SUMMARY", work.path("summary"));
    command
}

/// Returns the lines of the attacker that a runner takes as commands, by GitHub's rules.
fn taken(text: &str) -> Vec<&str> {
    let lines = text.split(['\n', '\r']).filter(|line| line.contains("forged"));
    lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

/// Returns the number of lines with a hidden secret. A user name before the password stays visible.
fn hidden(text: &str) -> usize {
    text.lines().filter(|line| line.contains("secret ***") || line.contains("secret cm9vdDp***")).count()
}

fn assert_text(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        assert_eq!(taken(text), Vec::<&str>::new(), "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

/// Returns the token with which commands were stopped, and whether commands are resumed at the end.
fn stopped(output: &Output) -> (String, bool) {
    let text = String::from_utf8_lossy(&output.stderr);
    let token =
        text.lines().find_map(|line| line.strip_prefix("::stop-commands::")).expect("they are stopped").to_owned();
    assert!(token.len() >= 32, "{text}");
    (token.clone(), text.lines().any(|line| line == format!("::{token}::")))
}

#[test]
fn output_of_a_service_is_text_and_its_files_are_data() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    let mut says = String::from(
        "printf 'plain\\r::add-mask::forged\\n   ::error::forged\\n##[group]forged\\n\\033]0;forged\\007\\033[2J\\n'\n\
         printf 'section_start:1:forged\\r\\033[0K\\n\\033[31mred\\033[0m\\n'\n",
    );
    for form in forms() {
        let _ = writeln!(says, "cat <<'END'\nsecret {form}\nEND");
    }
    work.write("app/html/says.sh", says);
    work.edit(
        "app/compose.yaml",
        "image: demo:1",
        "image: demo:1\n    command: [sh, -c, \"sh /www/says.sh; exec httpd -f -p 8080 -h /www\"]",
    );
    work.edit(
        "deployment.yaml",
        "directory: ./app,",
        "directory: ./app, variables: { DB_PASSWORD: { from_env: SHOP_PASSWORD } },",
    );
    let run = |arguments: &[&str]| Work::finish(&mut with_password(&work, arguments));
    run(&["apply", "--json"]).expect(0);

    for run in [
        run(&["logs", "production"]),
        Work::finish(&mut in_workflow(&work, &["logs", "production"])),
        Work::finish(&mut in_workflow(&work, &["logs", "production", "--json"])),
    ] {
        assert_text(&run);
        let said = &run.stdout;
        assert!(said.contains("forged") && said.contains("red"), "the rest is still shown: {said}");
        assert_eq!(hidden(said), forms().len(), "{said}");
        let found: Vec<String> = forms().into_iter().filter(|form| said.contains(form.as_str())).collect();
        assert!(found.is_empty(), "{found:?} is in {said}");
    }

    // The standard output of a command is data, whoever reads it. Its standard error is text.
    let exec = |script: &str| {
        let words = ["exec", "production", "web", "--", "sh", "-c", script];
        in_workflow(&work, &words).output().expect("it starts")
    };
    let output =
        exec("printf 'a\\r::b\\n##[c]\\377\\000\\n'; printf 'x\\r::error::forged\\n' >&2; sh /www/says.sh >&2; exit 3");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(3), &b"a\r::b\n##[c]\xff\0\n"[..]),
        "{output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((taken(&said), hidden(&said)), (Vec::new(), forms().len()), "{said}");
    let (token, counts) = stopped(&output);
    assert!(counts && said.find(&token) < said.find("forged"), "{said}");
    // The next text in the log would end this line.
    let output = exec("printf '::error::forged'");
    assert_eq!(output.stdout, b"::error::forged");
    assert!(!stopped(&output).1, "{output:?}");

    // A sudo that asks for a password is answered over deployer's own session. The data is the same.
    host.shell("echo 'deploy ALL=(ALL) ALL' > /etc/sudoers.d/deploy; echo 'deploy:correct horse' | chpasswd");
    work.write("sudo-password", "correct horse\n");
    work.edit("deployment.yaml", "user: deploy", "user: deploy, sudo_password: { from_file: ./sudo-password }");
    let output = exec("printf '\\377\\r\\n\\n::b'; printf '::error::forged correct horse\\n' >&2; exit 4");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(4), &b"\xff\r\n\n::b"[..]), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("\\::error::forged ***\n") && taken(&said).is_empty(), "{said}");

    assert_eq!(run(&["apply", "--json"]).expect(0).outcome(), "converged");
    run(&["destroy", "production", "--allow-destroy", "production", "--yes"]).expect(0);
}
