//! `deployer watch` as a process, over hosts that refuse it: its output, its HTTP server and its recovery. Needs no
//! host.
#![expect(clippy::disallowed_methods, reason = "tests start programs themselves")]

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MANIFEST: &str = "version: 1
project: shop
environments:
  lab:
    registered: { address: 127.0.0.1 }
    ssh: { port: 1, user: nobody, wait: 0s }
";

struct Watch {
    folder: TempDir,
    child: Child,
    events: Receiver<Value>,
    schema: jsonschema::Validator,
    address: String,
}

impl Watch {
    fn start(folder: TempDir, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(["watch", "--json", "--listen", "127.0.0.1:0"])
            .args(more)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").expect("a PATH"))
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let (send, events) = channel();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let schema = serde_json::from_str(include_str!("../schemas/events.schema.json")).expect("JSON");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        let mut watch = Self { folder, child, events, schema, address: String::new() };
        let said = watch.hear("listening");
        let address = said["message"].as_str().and_then(|text| text.split('/').nth(2)).expect("an address");
        address.clone_into(&mut watch.address);
        watch
    }

    fn next(&self, limit: Duration) -> Option<Value> {
        let event = self.events.recv_timeout(limit).ok()?;
        assert!(self.schema.is_valid(&event), "{event} is not in the contract");
        Some(event)
    }

    /// Waits for an event of the watch.
    #[track_caller]
    fn hear(&self, event: &str) -> Value {
        self.hear_that(event, |found| found["type"] == "watch" && found["event"] == event)
    }

    #[track_caller]
    fn hear_that(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut others = Vec::new();
        while let Some(found) = self.next(Duration::from_secs(20).saturating_sub(begun.elapsed())) {
            if matches(&found) {
                return found;
            }
            others.push(found.to_string());
        }
        panic!("{what} is not heard of, only:\n{}", others.join("\n"));
    }

    /// Returns the events within a time span.
    fn rest(&self, length: Duration) -> Vec<Value> {
        let begun = Instant::now();
        std::iter::from_fn(|| self.next(length.saturating_sub(begun.elapsed()))).collect()
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        (status, text.split_once("\r\n\r\n").expect("a body").1.to_owned())
    }

    /// Saves a file as editors do: it writes a new file and renames it.
    fn save(&self, name: &str, text: &str) {
        save(self.folder.path(), name, text);
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill starts").success());
    }

    /// Ends the watch by a signal, and returns the exit code and the last event.
    fn end(mut self, signal: &str) -> (i32, Value) {
        self.signal(signal);
        let status = self.child.wait().expect("an end");
        (status.code().expect("a code"), self.rest(Duration::from_secs(2)).pop().expect("a last event"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn save(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join("new~"), text).expect("written");
    fs::rename(folder.join("new~"), folder.join(name)).expect("renamed");
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    save(folder.path(), "deployment.yaml", MANIFEST);
    folder
}

#[test]
fn a_broken_manifest_is_reported_once_and_the_last_good_one_kept() {
    let watch = Watch::start(folder(), &["--interval", "1h"]);
    watch.hear_that("the refusal", |event| event["reason"] == "connection-refused" && event["environment"] == "lab");
    watch.hear("reconciled");
    assert_eq!(watch.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(watch.get("/nothing").0, 404);

    watch.save("deployment.yaml", "version: 1\nproject: [\n");
    watch.hear_that("the error", |event| event["reason"] == "manifest-invalid");
    watch.hear("manifest-invalid");
    let (status, why) = watch.get("/healthz");
    assert!(status == 503 && why.starts_with("the manifest is not valid: "), "{status} {why}");
    assert!(watch.get("/metrics").1.contains("\ndeployer_manifest_valid 0\n"));
    // A second read of the same broken file reports nothing, and passes continue.
    watch.save("deployment.yaml", "version: 1\nproject: [\n");
    watch.signal("HUP");
    watch.hear_that("a pass", |event| event["reason"] == "connection-refused");
    let said = watch.rest(Duration::from_secs(1));
    assert!(said.iter().all(|event| event["reason"] != "manifest-invalid"), "{said:?}");
    // A manifest without environments destroys nothing and is not used either.
    watch.save("deployment.yaml", "version: 1\nproject: shop\nenvironments: {}\nx-note: emptied\n");

    let two = MANIFEST.to_owned() + "  more:\n    registered: { address: 127.0.0.1 }\n    ssh: { port: 2, wait: 0s }\n";
    watch.save("deployment.yaml", &two);
    watch.hear("manifest-mended");
    watch.hear("manifest-changed");
    watch.hear_that("the other one", |event| event["reason"] == "connection-refused" && event["environment"] == "more");
    watch.hear_that("its end", |event| event["event"] == "reconciled" && event["environment"] == "more");
    assert_eq!(watch.get("/healthz").0, 200);
    let metrics = watch.get("/metrics").1;
    assert!(metrics.contains("\ndeployer_reconcile_failures_total{environment=\"more\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\ndeployer_unreachable{environment=\"lab\"} 1\n"), "{metrics}");
    let status = watch.get("/status").1;
    assert!(status.lines().count() == 2 && status.contains(r#""name":"more""#), "{status}");

    // Saving the file again unchanged is not a change.
    watch.rest(Duration::from_secs(1));
    watch.save("deployment.yaml", &two);
    let said = watch.rest(Duration::from_secs(2));
    assert!(said.iter().all(|event| event["type"] != "watch" || event["event"] == "reconciled"), "{said:?}");

    let (code, last) = watch.end("TERM");
    assert_eq!((code, &last["outcome"], &last["exit_code"]), (143, &"interrupted".into(), &143.into()));
}

#[test]
fn a_manifest_that_becomes_a_pipe_or_endless_stops_no_watch() {
    let watch = Watch::start(folder(), &["--interval", "1h"]);
    watch.hear("reconciled");
    let path = watch.folder.path().join("deployment.yaml");
    let new = watch.folder.path().join("new");
    std::os::unix::fs::symlink("/dev/zero", &new).expect("a link");
    std::fs::rename(&new, &path).expect("renamed");
    watch.hear_that("the error", |event| event["type"] == "error" && event["reason"] == "manifest-missing");
    let made = Command::new("mkfifo").arg(&new).status();
    assert!(made.expect("mkfifo starts").success());
    std::fs::rename(&new, &path).expect("renamed");
    watch.signal("HUP");
    assert_eq!(watch.get("/healthz").0, 503);
    assert_eq!(watch.end("TERM").0, 143);
}

#[test]
fn silent_connections_keep_a_watch_neither_from_its_work_nor_from_answers() {
    let watch = Watch::start(folder(), &["--interval", "1h"]);
    watch.hear("reconciled");
    let silent: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&watch.address).expect("it listens");
            write!(stream, "GET /healthz HTTP/1.1\r\nX: ").expect("sent");
            stream
        })
        .collect();
    assert_eq!(watch.get("/healthz"), (200, "ok\n".to_owned()));
    let open = std::fs::read_dir(format!("/proc/{}/fd", watch.child.id())).expect("its descriptors").count();
    assert!(open < 150, "{open} files are open");
    drop(silent);
}

#[test]
fn links_that_lead_to_one_directory_by_very_many_paths_stop_no_watch() {
    let folder = folder();
    let app = folder.path().join("app");
    for depth in 0..30 {
        let directory = app.join(format!("d{depth}"));
        std::fs::create_dir_all(&directory).expect("made");
        for name in ["a", "b"] {
            std::os::unix::fs::symlink(format!("../d{}", depth + 1), directory.join(name)).expect("a link");
        }
    }
    std::fs::create_dir_all(app.join("d30")).expect("made");
    let manifest = MANIFEST.to_owned() + "    application: { compose: { directory: ./app } }\n";
    save(folder.path(), "deployment.yaml", &manifest);
    save(folder.path(), "app/compose.yaml", "services: { web: { image: demo } }\n");
    let watch = Watch::start(folder, &["--interval", "1h"]);
    // The first 100,000 files are counted, which takes long on a busy machine.
    let begun = Instant::now();
    let left = || Duration::from_secs(150).saturating_sub(begun.elapsed());
    let refused = std::iter::from_fn(|| watch.next(left())).any(|event| event["type"] == "error");
    assert!(refused, "no refusal was heard of");
    assert_eq!(watch.end("TERM").0, 143);
}

#[test]
fn failures_are_tried_again_ever_later_and_an_interrupt_ends_it() {
    let watch = Watch::start(folder(), &["--interval", "1s"]);
    let pauses: Vec<Duration> = (0..4)
        .map(|_| {
            let begun = Instant::now();
            watch.hear("reconciled");
            begun.elapsed()
        })
        .collect();
    // The pauses are 1 s, 2 s and 4 s, each with a jitter of a fifth.
    assert!(pauses[2] > pauses[1] && pauses[3] > pauses[2] && pauses[3] > Duration::from_millis(3200), "{pauses:?}");
    let (code, last) = watch.end("INT");
    assert_eq!((code, &last["outcome"]), (130, &"interrupted".into()));
}

#[test]
fn a_watch_that_cannot_work_is_refused() {
    let refused = |arguments: &[&str], setup: &dyn Fn(&Path)| {
        let folder = folder();
        setup(folder.path());
        let output = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .args(["watch", "--json"])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let text = String::from_utf8(output.stdout).expect("text");
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let reason = events.iter().find(|event| event["type"] == "error").expect("an error")["reason"].clone();
        (output.status.code().expect("a code"), reason.as_str().expect("text").to_owned())
    };
    let nothing = |_: &Path| {};
    assert_eq!(refused(&["-f", "-"], &nothing), (64, "usage".to_owned()));
    assert_eq!(refused(&["nobody"], &nothing), (64, "unknown-environment".to_owned()));
    assert_eq!(refused(&["--interval", "10"], &nothing), (64, "usage".to_owned()));
    assert_eq!(refused(&["--listen", "9640"], &nothing), (64, "usage".to_owned()));
    assert_eq!(
        refused(&[], &|folder| save(folder, "deployment.yaml", "version: 2\n")),
        (64, "manifest-invalid".to_owned())
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    assert_eq!(refused(&["--listen", &address], &nothing), (1, "listen-failed".to_owned()));
}
