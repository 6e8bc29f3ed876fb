//! Helpers of the trouble tests: asserting that nothing was disturbed, and stopping an apply at a chosen point. Breaks
//! nothing itself.

use crate::bed::{BedHost, Run, Work, image};
use deployer::io::store::Store;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Makes the application running on a host with Docker.
pub fn running() -> (BedHost, Work) {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    (host, work)
}

/// Writes the page, which gives the next apply something to do.
pub fn write_page(work: &Work, text: &str) {
    work.write("app/html/index.html", format!("{text}\n"));
}

/// Sets another image, which the next apply must send.
pub fn use_demo_2(work: &Work) {
    work.link("demo2.tar", &image("demo-2.tar"));
    work.edit("app/compose.yaml", "demo:1", "demo:2");
    work.edit("deployment.yaml", "\"demo:1\": ./demo.tar", "\"demo:2\": ./demo2.tar");
}

/// Returns everything that an apply would change on a host with the application running: the files, images and
/// containers, with their start times.
pub fn picture(host: &BedHost) -> String {
    host.shell(
        "docker ps -aq | xargs -r docker inspect -f '{{.Id}} {{.State.StartedAt}}'; docker image ls -q --no-trunc | sort; \
         cd /; find opt/deployer var/lib/deployer -printf '%p %T@ %m %s\\n' 2>/dev/null | sort",
    )
}

/// Asserts that an apply fails for one reason, reports it clearly, and changes nothing on the host.
#[track_caller]
pub fn fails_untouched(host: &BedHost, work: &Work, reason: &str, code: i32, telling: &str) -> Run {
    let before = picture(host);
    let run = fails(work.apply(), reason, code, telling);
    assert_eq!(picture(host), before, "{reason}: something on the host was changed");
    run
}

/// Asserts that a run failed with one error with this reason, whose message or details contain `telling`.
#[track_caller]
pub fn fails(run: Run, reason: &str, code: i32, telling: &str) -> Run {
    let run = run.expect(code);
    assert_eq!(run.reasons(), [reason], "{}", run.stdout);
    let error = run.of("error").remove(0);
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    let said = format!("{} {}", text("message"), text("details"));
    assert!(said.contains(telling), "{reason} does not tell {telling:?}: {error}");
    assert!(!text("hint").is_empty(), "{reason} says what to do: {error}");
    run
}

/// Asserts that the next apply finishes the job: one container for each service serves the page, and nothing is left to
/// do afterwards.
#[track_caller]
pub fn finishes(host: &BedHost, work: &Work, page: &str) {
    work.apply().expect(0);
    finished(host, work, page);
}

/// Asserts that the job is done, exactly once.
#[track_caller]
pub fn finished(host: &BedHost, work: &Work, page: &str) {
    assert_eq!(host.page(8080).as_deref().map(str::trim_end), Some(page));
    let count = host.shell("docker ps -aq | wc -l; ls -d /var/lib/deployer/*--*/ | wc -l; ls -A /opt/deployer | wc -l");
    assert_eq!(count.split_whitespace().collect::<Vec<_>>(), ["1", "1", "1"], "nothing is there twice");
    let left = host.shell("cd /var/lib/deployer/*--*; ls -A . releases; find /opt/deployer -name '*deployer-new*'");
    for unfinished in ["staged", "swapping", ".new", "deployer-new"] {
        assert!(!left.contains(unfinished), "{unfinished} is left:\n{left}");
    }
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

/// A running command, and its output until now.
pub struct Underway {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

/// A point at which an apply is interrupted.
#[derive(Clone, Copy, Debug)]
pub enum Point {
    /// The plan is made, and no step has begun.
    Planned,
    /// A step of this kind began this many milliseconds ago.
    Began(&'static str, u64),
    /// The services were started, and the apply waits for them.
    Waiting,
}

impl Underway {
    /// Starts `deployer apply --json`.
    pub fn apply(work: &Work) -> Self {
        Self::start(&mut work.command(&["apply", "--json"]))
    }

    /// Starts a command that prints JSON lines.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("deployer starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines, said: String::new() }
    }

    /// Waits until the run reaches a point, and returns false if it ended before.
    pub fn reach(&mut self, point: Point) -> bool {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("readable") > 0 {
            let event: Value = serde_json::from_str(&line).expect("a JSON line");
            self.said += &line;
            line.clear();
            match point {
                Point::Planned if event["type"] == "plan" => return true,
                Point::Began(kind, after) if event["kind"] == kind && event["state"] == "started" => {
                    std::thread::sleep(Duration::from_millis(after));
                    return true;
                }
                Point::Waiting if event["activity"].as_str().is_some_and(|text| text.starts_with("wait:")) => {
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Kills the run, as the kernel would when memory runs out.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Sends a signal to the run.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for the end of the run.
    pub fn end(mut self) -> Run {
        self.lines.read_to_string(&mut self.said).expect("readable");
        let code = self.child.wait().expect("ended").code().unwrap_or(-1);
        Run { code, stdout: self.said, stderr: String::new() }
    }
}

/// Returns the number of steps that began and whose end the store does not know.
pub fn in_doubt(work: &Work) -> usize {
    let directory = camino::Utf8PathBuf::from_path_buf(work.directory.path().to_owned()).expect("text");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open("sqlite:.deployer/state.db", &directory).await.expect("the store opens");
        let steps = store.in_doubt("shop").await.expect("readable").len();
        store.close().await;
        steps
    })
}
