//! The pipelines of `examples/ci/`: their steps run unchanged, with the variables that such runners set, against a bed
//! host and stand-ins for the services' APIs. The steps are read from the examples, not copied.

use crate::bed::{BedHost, Run, Work, bed_value};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const TOKEN: &str = "a-canary-of-a-secret";
const SAME: &str = "github.event.pull_request.head.repo.full_name == github.repository";

fn example(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// Makes a repository with the usual application, a secret among its variables, and the key as a secret.
fn shop(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.edit(
        "app/compose.yaml",
        "    image: demo:1\n",
        "    image: demo:1\n    environment: { TOKEN: \"${TOKEN}\" }\n",
    );
    work.edit("deployment.yaml", "archives", "variables: { TOKEN: { from_env: APP_TOKEN } }, archives");
    let file = format!("identity_file: {}", bed_value("BED_KEY").display());
    work.edit("deployment.yaml", &file, "identity: { from_env: DEPLOY_KEY }");
    work.write(".gitignore", "home\nbin\ngh\ndemo.tar\nplan.md\ndeploy.plan\n.deployer\nsummary\noutput\nstep.sh\n");
    git(&work, &["init", "-q"]);
    commit(&work);
    work
}

fn git(work: &Work, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let output = Command::new("git").args(who).args(arguments).current_dir(work.directory.path()).output();
    let output = output.expect("git starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn commit(work: &Work) -> String {
    git(work, &["add", "."]);
    git(work, &["commit", "-q", "-m", "change"]);
    git(work, &["rev-parse", "HEAD"])
}

/// Returns a shell as a runner starts it: with a clean environment, and with deployer and the stand-ins on the path.
fn shell(work: &Work, script: &str, options: &str) -> Command {
    work.write("step.sh", script);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_deployer")).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = Command::new("bash");
    command
        .args([options, "step.sh"])
        .current_dir(work.directory.path())
        .env_clear()
        .env("PATH", format!("{}:{}:{path}", work.path("bin").display(), binary.display()))
        .env("HOME", work.path("home"))
        .env("CI", "true")
        .stdin(Stdio::null());
    command
}

/// A job of the workflow, which is run step by step.
struct GitHub<'a> {
    work: &'a Work,
    job: Value,
    workflow_env: Value,
    /// Values of expressions.
    known: BTreeMap<&'static str, String>,
}

/// The results of steps by name; `None` for a step that its condition skipped.
type Steps = BTreeMap<String, Option<Run>>;

impl GitHub<'_> {
    fn value(&self, text: &str) -> String {
        let Some(expression) = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) else {
            return text.to_owned();
        };
        self.known.get(expression.trim()).unwrap_or_else(|| panic!("{text} has a value")).clone()
    }

    fn condition(&self, text: &str, failed: bool, outputs: &str) -> bool {
        let text = text.trim_start_matches("${{").trim_end_matches("}}").trim();
        let (always, text) = text.strip_prefix("!cancelled() && ").map_or((false, text), |rest| (true, rest));
        let met = match text {
            "" => true,
            "steps.plan.outputs.changes != '0'" => !outputs.lines().any(|line| line == "changes=0"),
            other => self.known.get(other).unwrap_or_else(|| panic!("{other} is known")) == "true",
        };
        met && (always || !failed)
    }

    /// Runs the steps that have a `run:`, and calls `before` with each step's name first.
    fn run(&self, before: &dyn Fn(&str)) -> Steps {
        let (mut steps, mut failed, mut outputs) = (Steps::new(), false, String::new());
        for step in self.job["steps"].as_array().expect("steps") {
            let Some(script) = step["run"].as_str() else { continue };
            let name = step["name"].as_str().expect("a name").to_owned();
            if !self.condition(step["if"].as_str().unwrap_or_default(), failed, &outputs) {
                steps.insert(name, None);
                continue;
            }
            before(&name);
            self.work.write("output", "");
            let mut command = shell(self.work, script, "-e");
            let own = [&self.workflow_env, &self.job["env"], &step["env"]];
            for (key, value) in own.into_iter().filter_map(Value::as_object).flatten() {
                command.env(key, self.value(value.as_str().expect("text")));
            }
            command.env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", "octo/shop");
            command.env("GITHUB_STEP_SUMMARY", self.work.path("summary"));
            command.env("GITHUB_OUTPUT", self.work.path("output"));
            let run = Work::finish(&mut command);
            failed |= run.code != 0;
            if step["id"] == "plan" {
                outputs = self.work.read("output");
            }
            steps.insert(name, Some(run));
        }
        steps
    }
}

fn github<'a>(work: &'a Work, job: &str, fork: bool, base: &str) -> GitHub<'a> {
    let workflow = example(include_str!("../../examples/ci/github.yml"));
    let mut known = BTreeMap::from([
        ("github.event.pull_request.base.sha", base.to_owned()),
        ("github.token", "token-of-the-job".to_owned()),
        ("github.event.number", "7".to_owned()),
        (SAME, (!fork).to_string()),
        ("github.event.pull_request.head.repo.full_name != github.repository", fork.to_string()),
    ]);
    if !fork {
        known.insert("secrets.DEPLOY_KEY", std::fs::read_to_string(bed_value("BED_KEY")).expect("a key"));
        known.insert("secrets.APP_TOKEN", TOKEN.to_owned());
    }
    GitHub { work, job: workflow["jobs"][job].clone(), workflow_env: workflow["env"].clone(), known }
}

/// A `gh` whose comments are files in `gh/`, and whose filters are jq filters.
const GH: &str = r#"#!/bin/sh
set -eu
[ "$1" = api ] && [ -n "$GH_TOKEN" ]
shift
method=GET filter=. body= path=
while [ $# -gt 0 ]; do
  case "$1" in
  --paginate) ;;
  --method) method=$2; shift ;;
  --jq) filter=$2; shift ;;
  -F) body=${2#body=@}; shift ;;
  *) path=$1 ;;
  esac
  shift
done
mkdir -p gh
case "$method $path" in
'GET repos/octo/shop/issues/7/comments')
  for file in gh/*; do
    [ ! -e "$file" ] || jq -n --rawfile body "$file" --arg id "${file#gh/}" \
      '{id: ($id | tonumber), body: $body, user: {login: (if $id == "1" then "someone" else "github-actions[bot]" end)}}'
  done | jq -s . | jq -r "$filter" ;;
'POST repos/octo/shop/issues/7/comments') cp "$body" "gh/$(($(ls gh | wc -l) + 1))" ;;
'PATCH repos/octo/shop/issues/comments/'*) [ -e "gh/${path##*/}" ] && cp "$body" "gh/${path##*/}" ;;
*) echo "$method $path" >&2; exit 1 ;;
esac
"#;

/// Returns every step's exit code, in the order of the names.
fn codes(steps: &Steps) -> Vec<(&str, Option<i32>)> {
    steps.iter().map(|(name, run)| (name.as_str(), run.as_ref().map(|run| run.code))).collect()
}

/// Asserts that secrets occur only in masks.
fn discreet(work: &Work, steps: &Steps) {
    for run in steps.values().flatten() {
        assert!(!run.stdout.contains(TOKEN), "{}", run.stdout);
        let told = run.stderr.lines().filter(|line| !line.starts_with("::add-mask::"));
        assert!(told.into_iter().all(|line| !line.contains(TOKEN)), "{}", run.stderr);
    }
    for file in ["summary", "output", "plan.md", "deploy.plan"] {
        assert!(!std::fs::read_to_string(work.path(file)).unwrap_or_default().contains(TOKEN), "{file}");
    }
}

#[test]
fn the_workflow_of_the_example_plans_comments_and_applies() {
    let host = BedHost::docker();
    let work = shop(&host);
    work.write("bin/gh", GH);
    std::fs::set_permissions(work.path("bin/gh"), PermissionsExt::from_mode(0o755)).expect("a mode");
    // Another person's comment is not taken for deployer's.
    work.write("gh/1", "<!-- deployer-plan shop -->\nnot ours\n");
    let base = git(&work, &["rev-parse", "HEAD"]);
    let nothing = |_: &str| {};

    let steps = github(&work, "plan", false, &base).run(&nothing);
    let same = [
        ("Check", Some(0)),
        ("Comment", Some(0)),
        ("Compare with the base", None),
        ("Install deployer", Some(0)),
        ("Plan", Some(0)),
    ];
    assert_eq!(codes(&steps), same, "{steps:?}");
    discreet(&work, &steps);
    assert!(work.read("gh/2").contains("4 to create"), "{}", work.read("gh/2"));
    assert_eq!(work.read("gh/2"), work.read("plan.md"));
    assert!(work.read("summary").contains("deployer <code>plan</code>: planned, exit code 0"));
    assert_eq!(host.page(8080), None);

    // The next push replaces the comment.
    work.write("app/html/index.html", "page two\n");
    work.write("app/html/more.html", "more\n");
    let head = commit(&work);
    let steps = github(&work, "plan", false, &base).run(&nothing);
    assert_eq!(codes(&steps), same, "{steps:?}");
    assert!(work.read("gh/2").contains("more.html") && !work.path("gh/3").exists());
    assert!(work.read("gh/1").contains("not ours"));

    // A fork has no secrets, and needs none.
    let steps = github(&work, "plan", true, &base).run(&nothing);
    let compared = steps["Compare with the base"].as_ref().expect("run");
    assert_eq!((compared.code, steps["Comment"].is_none()), (0, true), "{compared:?}");
    assert!(compared.stdout.contains("::notice file=deployment.yaml,line="), "{}", compared.stdout);
    assert!(work.read("summary").contains("+page two"));

    // On main, exactly that plan is applied. The second run has nothing to do.
    let steps = github(&work, "apply", false, &head).run(&nothing);
    assert_eq!(
        codes(&steps),
        [("Apply", Some(0)), ("Install deployer", Some(0)), ("Plan", Some(0)), ("Test", Some(0))]
    );
    discreet(&work, &steps);
    let applied = steps["Apply"].as_ref().expect("run");
    assert!(applied.stderr.contains("::group::production\n") && applied.stderr.contains("::endgroup::\n"));
    assert!(applied.stderr.starts_with("::add-mask::"), "{}", applied.stderr);
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
    assert!(work.read("summary").contains("| <code>production</code> | running | healthy |"));
    let steps = github(&work, "apply", false, &head).run(&nothing);
    assert_eq!(codes(&steps)[0], ("Apply", None));

    // Somebody edits the host between the plan and its apply.
    work.write("app/html/index.html", "page three\n");
    let edit = |name: &str| {
        if name == "Apply" {
            host.shell(&format!("echo edited > {}/html/more.html", crate::scene::APP));
        }
    };
    let steps = github(&work, "apply", false, &head).run(&edit);
    assert_eq!(codes(&steps)[0], ("Apply", Some(5)));
    let refused = steps["Apply"].as_ref().expect("run");
    assert!(refused.stderr.contains("::error title=production::The saved plan is stale: html/more.html on the host"));
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));

    // An error in the manifest is annotated at its line, and no plan is made.
    work.edit("deployment.yaml", "    health:", "    healt:");
    std::fs::remove_file(work.path("plan.md")).expect("removed");
    let steps = github(&work, "plan", false, &base).run(&nothing);
    let check = steps["Check"].as_ref().expect("run");
    assert_eq!((check.code, steps["Plan"].is_none()), (64, true));
    assert!(check.stdout.starts_with("::error file=deployment.yaml,line=7,col=5::"), "{}", check.stdout);
}

/// The notes of one merge request, over HTTP.
type Notes = Arc<Mutex<Vec<String>>>;

fn gitlab() -> (String, Notes) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/v4", listener.local_addr().expect("an address"));
    let notes = Notes::default();
    let shared = Arc::clone(&notes);
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream, &shared)));
    (url, notes)
}

fn answer(stream: &TcpStream, notes: &Notes) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        head.push(std::mem::take(&mut line).trim().to_owned());
    }
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = header("Content-Length:").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = decoded(&String::from_utf8(body).expect("text"));
    let text = body.strip_prefix("body=").unwrap_or_default().to_owned();
    let mut notes = notes.lock().expect("unpoisoned");
    let path = "/api/v4/projects/5/merge_requests/7/notes";
    let request = head[0].trim_end_matches(" HTTP/1.1").to_owned();
    let status = if header("PRIVATE-TOKEN:") != Some("token-of-the-project") {
        401
    } else if request == format!("POST {path}") {
        notes.push(text);
        201
    } else if let Some(id) = request.strip_prefix(&format!("PUT {path}/")) {
        notes[id.parse::<usize>().expect("a number")] = text;
        200
    } else if request == format!("GET {path}?per_page=100") || request == "GET /api/v4/user" {
        200
    } else {
        404
    };
    // The first note is of somebody else.
    let note = |(id, body)| serde_json::json!({ "id": id, "body": body, "author": { "id": usize::from(id > 0) } });
    let all: Vec<Value> = notes.iter().enumerate().map(note).collect();
    let page = if request.ends_with("/user") { "{ \"id\": 1 }".to_owned() } else { Value::from(all).to_string() };
    let length = page.len();
    let mut stream = stream;
    let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}");
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).expect("a digit");
        bytes.push(match byte {
            b'%' => u8::try_from(digit() * 16 + digit()).expect("a byte"),
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_pipeline_of_the_example_plans_comments_and_applies() {
    let host = BedHost::docker();
    let work = shop(&host);
    let (url, notes) = gitlab();
    let foreign = "<!-- deployer-plan shop -->\nNo changes, says somebody";
    notes.lock().expect("unpoisoned").push(foreign.to_owned());
    let pipeline = example(include_str!("../../examples/ci/gitlab.yml"));
    let job = |name: &str, token: &str| {
        let lines = [&pipeline["default"]["before_script"], &pipeline[name]["script"]];
        let lines = lines.into_iter().filter_map(Value::as_array).flatten().map(|line| line.as_str().expect("text"));
        // Like the runner's shell executor: one shell for all lines.
        let script = lines.collect::<Vec<_>>().join("\n");
        let mut command = shell(&work, &format!("set -eo pipefail\n{script}\n"), "-e");
        let key = std::fs::read_to_string(bed_value("BED_KEY")).expect("a key");
        let set =
            [("CI_PROJECT_ID", "5"), ("CI_MERGE_REQUEST_IID", "7"), ("CI_API_V4_URL", &url), ("GITLAB_CI", "true")];
        command.envs(set).env("DEPLOY_KEY", key).env("APP_TOKEN", token).env("COMMENT_TOKEN", "token-of-the-project");
        Work::finish(&mut command)
    };
    let note = |at: usize| notes.lock().expect("unpoisoned")[at].clone();

    let planned = job("plan", TOKEN).expect(0);
    assert!(note(1).starts_with("<!-- deployer-plan shop -->\n"), "{planned:?}");
    assert_eq!(note(1), work.read("plan.md"));
    work.write("app/html/more.html", "more & <b>more</b>\n");
    job("plan", TOKEN).expect(0);
    assert!(note(1).contains("more.html") && note(0) == foreign);
    assert_eq!(notes.lock().expect("unpoisoned").len(), 2);
    assert_eq!(host.page(8080), None);

    let deployed = job("deploy", TOKEN).expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    job("deploy", TOKEN).expect(0);
    for text in [&deployed.stdout, &deployed.stderr, &note(1), &work.read("deploy.plan")] {
        assert!(!text.contains(TOKEN), "{text}");
    }

    // A failed plan is reported in its note and by its exit code.
    host.fault("sshd-stop", &[]);
    assert_eq!(job("plan", TOKEN).code, 7);
    assert!(note(1).contains("connection-refused"), "{}", note(1));
    host.fault("sshd-stop", &["off"]);
}
