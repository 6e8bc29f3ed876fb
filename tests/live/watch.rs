//! `deployer watch` on a real host: changes are applied at once, and drift is corrected within an interval.

use crate::bed::{BedHost, Work};
use crate::scene::{APP, containers, duo};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running watch, and its output.
struct Watch {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Watch {
    fn start(work: &Work, interval: &str) -> Self {
        let arguments = ["watch", "--json", "--listen", "127.0.0.1:0", "--interval", interval];
        let mut child =
            work.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let events = Arc::new(Mutex::new(Vec::new()));
        let (lines, into) = (BufReader::new(child.stdout.take().expect("a pipe")).lines(), Arc::clone(&events));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.lock().expect("events").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { child, events }
    }

    fn events(&self) -> Vec<Value> {
        self.events.lock().expect("events").clone()
    }

    fn count(&self, event: &str) -> usize {
        self.events().iter().filter(|found| found["event"] == event).count()
    }

    /// Waits until a condition holds, and returns how long that took.
    #[track_caller]
    fn until(&self, what: &str, seconds: u64, mut so: impl FnMut(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !so(self) {
            assert!(begun.elapsed().as_secs() < seconds, "{what} after {seconds} s: {:#?}", self.events());
            std::thread::sleep(Duration::from_millis(200));
        }
        begun.elapsed()
    }

    /// Returns the status and the body of a path; the status is 0 if it does not answer.
    fn get(&self, path: &str) -> (u16, String) {
        let events = self.events();
        let said = events.iter().find(|event| event["event"] == "listening").expect("it listens");
        let address = said["message"].as_str().expect("text").split('/').nth(2).expect("an address");
        let url = format!("http://{address}{path}");
        let output =
            Command::new("curl").args(["-s", "-m", "5", "--noproxy", "*", "-w", "\n%{http_code}", &url]).output();
        let text = String::from_utf8(output.expect("curl starts").stdout).expect("text");
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    /// Waits until one more pass has begun and ended well.
    #[track_caller]
    fn pass(&self, what: &str, seconds: u64) {
        self.until("it listens", 20, |watch| watch.count("listening") == 1);
        let well = |watch: &Self| watch.metric("reconciles_total") - watch.metric("reconcile_failures_total");
        let before = well(self);
        // A pass may have begun already.
        self.until(what, seconds, |watch| well(watch) > before + 1);
    }

    /// Returns a counter of the only environment.
    fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("deployer_{name}{{"))).expect(name);
        line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    fn end(mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill starts").success());
        self.child.wait().expect("an end").code().expect("a code")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serves(host: &BedHost, page: &str) -> bool {
    host.page(8081).as_deref().map(str::trim_end) == Some(page)
}

#[test]
fn changes_are_applied_at_once_and_drift_within_an_interval() {
    let host = BedHost::docker();
    let work = duo(&host);

    // No pass is due by time: the watch reacts to events.
    let watch = Watch::start(&work, "1h");
    watch.until("the first release", 60, |_| serves(&host, "side one"));
    watch.until("its end", 30, |watch| watch.count("reconciled") == 1);
    work.write("app/side/index.html", "side two\n");
    watch.until("a changed file", 30, |_| serves(&host, "side two"));
    watch.until("its end", 30, |watch| watch.count("reconciled") == 2);
    let (web, side) = (containers(&host)["web"].clone(), containers(&host)["side"].clone());
    work.edit(
        "deployment.yaml",
        "directory: ./app",
        "directory: ./app, variables: { NOTE: { from_env: HOME, secret: false } }",
    );
    watch.until("a changed manifest", 30, |watch| watch.count("reconciled") == 3);
    assert!(host.holds(&format!("grep -q ^NOTE= {APP}/.env")));
    assert_eq!((containers(&host)["web"].clone(), containers(&host)["side"].clone()), (web, side));
    assert_eq!(watch.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(watch.end(), 143);

    let watch = Watch::start(&work, "5s");
    let edit = format!("echo hacked >{APP}/side/index.html");
    let stop = "docker stop -t 0 $(docker ps -q --filter label=com.docker.compose.service=web)";
    // Waits for the end of a pass, because a service that stops during a release fails that release.
    watch.pass("the first passes", 30);
    host.shell(&edit);
    host.shell(stop);
    // One interval with its jitter, and the work itself.
    watch.until("corrections", 20, |_| serves(&host, "side two") && host.page(8080).is_some());
    watch.until("their end", 20, |watch| watch.count("reconciled") >= 1);

    // A broken manifest is ignored, and drift is still corrected.
    let good = work.read("deployment.yaml");
    work.write("deployment.yaml", &good[..good.len() / 2]);
    watch.until("the break noticed", 10, |watch| watch.count("manifest-invalid") == 1);
    assert_eq!(watch.get("/healthz").0, 503);
    watch.pass("passes with the last good manifest", 30);
    let before = watch.count("reconciled");
    host.shell(stop);
    watch.until("a correction", 20, |watch| host.page(8080).is_some() && watch.count("reconciled") > before);
    work.write("deployment.yaml", &good);
    watch.until("the mending noticed", 10, |watch| watch.count("manifest-mended") == 1);
    assert_eq!((watch.get("/healthz").0, watch.count("manifest-invalid")), (200, 1));

    // A fact that keeps drifting is quarantined after three corrections, and this is reported once.
    for _ in 0..3 {
        if watch.count("quarantined") > 0 {
            break;
        }
        let before = watch.count("reconciled");
        host.shell(&edit);
        watch.until("a correction", 20, |watch| serves(&host, "side two") && watch.count("reconciled") > before);
    }
    watch.until("the end of patience", 10, |watch| watch.count("quarantined") > 0);
    host.shell(&edit);
    watch.until("its mark", 20, |watch| {
        watch
            .get("/metrics")
            .1
            .contains(r#"deployer_quarantined{environment="production",fact="files:side/index.html"} 1"#)
    });
    assert!(watch.get("/status").1.contains(r#""why":"quarantined""#));
    std::thread::sleep(Duration::from_secs(7));
    assert!(host.holds(&format!("grep -q hacked {APP}/side/index.html")));
    work.write("deployment.yaml", format!("{good}# Another try.\n"));
    watch.until("another try", 30, |_| serves(&host, "side two"));
    let wrong = |event: &Value| event["type"] == "error" && event["reason"] != "manifest-invalid";
    let errors: Vec<Value> = watch.events().into_iter().filter(wrong).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(watch.end(), 143);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_connection_is_kept_between_passes_and_given_up_when_it_breaks_or_leads_elsewhere() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    // One process for each connection, and the ports by which they came in.
    let connections = || host.shell("pgrep -u deploy sshd || true").trim().to_owned();
    let ends = || host.shell("ss -Htn state established sport = :22");
    assert_eq!(work.apply().expect(0).outcome(), "changed");

    let watch = Watch::start(&work, "2s");
    watch.pass("the first passes", 60);
    let first = connections();
    assert_eq!(first.lines().count(), 1, "{first}");
    watch.pass("more passes", 20);
    assert_eq!(connections(), first, "the same connection");
    // Events on the host are reported over it.
    host.shell("docker stop -t 0 $(docker ps -q)");
    watch.until("a correction", 30, |_| host.page(8080).is_some());

    host.shell("pgrep -u deploy sshd | xargs kill");
    watch.pass("passes over a new connection", 20);
    let second = connections();
    assert!(!second.is_empty() && second != first, "{first} {second}");
    host.shell("systemctl restart ssh");
    watch.pass("passes after a restart of sshd", 20);
    assert_eq!(watch.metric("reconcile_failures_total"), 0, "{:#?}", watch.events());

    host.fault("reboot", &["on"]);
    host.fault("reboot", &["off"]);
    watch.pass("passes after the host was gone", 120);

    assert!(ends().contains(&host.ipv4));
    work.edit("deployment.yaml", &format!("address: {}", host.ipv4), &format!("address: \"{}\"", host.ipv6));
    watch.pass("passes over the new address", 30);
    assert!(ends().contains(&host.ipv6) && !ends().contains(&host.ipv4), "{}", ends());
    assert_eq!(connections().lines().count(), 1);
    assert_eq!(watch.end(), 143);
    assert_eq!(connections(), "", "nothing outlives it");

    let watch = Watch::start(&work, "2s");
    watch.pass("passes", 60);
    assert_ne!(connections(), "");
    // Kills the watch instead of asking it to end.
    drop(watch);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(connections(), "", "nor when it is killed");
}
