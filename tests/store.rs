//! The store on real files: it creates, keeps, refuses and survives. Uses no mocks.

use camino::Utf8Path;
use deployer::io::store::{Record, Run, Store};
use deployer::model::event::{FailedView, Health, Outcome};
use deployer::model::failure::{Failure, Reason};
use deployer::model::state::{Kind, Stage, State};
use jiff::Timestamp;
use sqlx::{ConnectOptions, Connection, Executor};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const URL: &str = "sqlite:.deployer/state.db";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

fn record(serial: u64) -> Record {
    let facts = [("docker".to_owned(), "26.1".to_owned()), ("quoted".to_owned(), "'\"\n\u{e9}".to_owned())];
    Record {
        state: State(BTreeMap::from([(Kind::Engine, BTreeMap::from(facts))])),
        stage: Stage::Configured,
        health: Health::None,
        address: "203.0.113.7".to_owned(),
        observed_at: at(0),
        serial,
        suspended: false,
        in_progress: None,
        protected: false,
        reach: None,
        failed: Some(FailedView {
            kind: Some(Kind::Services),
            reason: "unhealthy".to_owned(),
            message: "web did not become healthy".to_owned(),
            at: at(1),
            run: "r1".to_owned(),
        }),
        host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        endpoints: vec!["http://203.0.113.7:8080".to_owned()],
        services: BTreeMap::from([("web".to_owned(), "running".to_owned())]),
        backup: None,
        met: BTreeMap::from([(Kind::Engine, "ab".to_owned())]),
    }
}

fn run(id: &str, started_at: Timestamp) -> Run {
    let text = str::to_owned;
    Run { id: text(id), command: text("apply"), project: text("shop"), started_at, by: text("ci@runner") }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn path(folder: &TempDir) -> &Utf8Path {
    Utf8Path::from_path(folder.path()).expect("UTF-8")
}

async fn opened(folder: &TempDir) -> Store {
    Store::open(URL, path(folder)).await.expect("a store")
}

async fn refused(url: &str, folder: &TempDir) -> Failure {
    Store::open(url, path(folder)).await.expect_err("it is refused")
}

fn mode(path: &Utf8Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Runs SQL on the file without the code of the store.
async fn sql(file: &Utf8Path, statements: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(&format!("sqlite:{file}")).expect("a path");
    let mut connection = options.create_if_missing(true).connect().await.expect("it opens");
    connection.execute(statements).await.expect("it runs");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn a_new_store_is_private_and_hidden_from_git() {
    let folder = folder();
    let own = path(&folder).join(".deployer");
    assert!(Store::open_existing(URL, path(&folder)).await.expect("no failure").is_none());
    assert!(Store::read(URL, path(&folder)).await.expect("no failure").is_none());
    assert!(!own.exists(), "reading creates nothing");
    opened(&folder).await.close().await;
    assert_eq!(mode(&own), 0o700);
    assert_eq!(mode(&own.join("state.db")), 0o600);
    assert_eq!(fs::read_to_string(own.join(".gitignore")).expect("there"), "*\n");
    Store::open("sqlite:other/deep/s.db", path(&folder)).await.expect("a store").close().await;
    assert!(!path(&folder).join("other/deep/.gitignore").exists(), "only our own folder hides itself");
}

#[tokio::test]
async fn records_come_back_as_they_were_saved() {
    let folder = folder();
    let store = opened(&folder).await;
    for serial in [0, 7, u64::MAX] {
        store.save("shop", "production", &record(serial), None).await.expect("saved");
        assert_eq!(store.records("shop").await.expect("read")["production"], record(serial));
    }
    store.save("other", "production", &record(1), None).await.expect("saved");
    store.close().await;
    let store = Store::open_existing(URL, path(&folder)).await.expect("no failure").expect("a store");
    assert_eq!(store.records("shop").await.expect("read").len(), 1);
    assert!(store.forget("shop", "production").await.expect("forgotten"));
    assert!(!store.forget("shop", "production").await.expect("nothing there"));
    assert_eq!(store.records("other").await.expect("read").len(), 1);
}

#[tokio::test]
async fn unsettled_intents_are_in_doubt() {
    let folder = folder();
    let store = opened(&folder).await;
    store.begin(&run("r1", at(0))).await.expect("begun");
    let engine = store.intend("r1", "production", Kind::Engine, at(1)).await.expect("written");
    let files = store.intend("r1", "production", Kind::Files, at(2)).await.expect("written");
    store.settle(engine, "applied", at(3)).await.expect("settled");
    let doubts = store.in_doubt("shop").await.expect("read");
    assert_eq!(
        doubts.iter().map(|d| (d.intent, d.kind, d.at)).collect::<Vec<_>>(),
        [(files, Some(Kind::Files), at(2))]
    );
    assert!(store.in_doubt("other").await.expect("read").is_empty());
    store.settle(files, "observed", at(4)).await.expect("settled");
    assert!(store.in_doubt("shop").await.expect("read").is_empty());
    store.end("r1", Outcome::Changed, at(5)).await.expect("ended");
}

#[tokio::test]
async fn old_entries_are_pruned_and_doubts_are_not() {
    const DAY: i64 = 86_400;
    let folder = folder();
    let store = opened(&folder).await;
    for (id, day) in [("old", 0), ("doubt", 1), ("new", 100)] {
        store.begin(&run(id, at(day * DAY))).await.expect("begun");
        store.log(id, at(day * DAY), "{}").await.expect("logged");
    }
    store.intend("doubt", "production", Kind::Engine, at(DAY)).await.expect("written");
    store.close().await;
    let store = opened(&folder).await;
    assert_eq!(store.in_doubt("shop").await.expect("read").len(), 1);
    store.close().await;
    let file = path(&folder).join(".deployer/state.db");
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).connect().await.expect("it opens");
    let runs: Vec<String> =
        sqlx::query_scalar("SELECT id FROM run ORDER BY id").fetch_all(&mut connection).await.expect("rows");
    let events: Vec<String> =
        sqlx::query_scalar("SELECT run FROM event").fetch_all(&mut connection).await.expect("rows");
    assert_eq!((runs, events), (vec!["doubt".to_owned(), "new".to_owned()], vec!["new".to_owned()]));
}

#[tokio::test]
async fn a_store_of_format_1_keeps_loading() {
    let folder = folder();
    let file = path(&folder).join("v1.db");
    sql(&file, include_str!("cases/store/v1.sql")).await;
    let read = Store::read("sqlite:v1.db", path(&folder)).await.expect("no failure").expect("a store");
    assert_eq!(read.records("shop").await.expect("read")["production"].serial, 7);
    assert!(read.save("shop", "production", &record(8), None).await.is_err(), "a store that is read is not written");
    let store = Store::open("sqlite:v1.db", path(&folder)).await.expect("a store");
    assert_eq!(store.records("shop").await.expect("read")["production"], Record { met: BTreeMap::new(), ..record(7) });
    assert_eq!(store.in_doubt("shop").await.expect("read").len(), 1);
}

#[tokio::test]
async fn urls_that_are_no_store_are_usage_errors() {
    let folder = folder();
    for url in
        ["postgres://u@h/db", "postgresql://h/db", "mysql:x", "state.db", "sqlite:", "sqlite:dir/", "sqlite::memory:"]
    {
        let failure = refused(url, &folder).await;
        assert_eq!(failure.reason, Reason::Usage, "{url}: {failure}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let absolute = format!("sqlite://{}/a.db", path(&folder));
    Store::open(&absolute, "/nowhere".into()).await.expect("a store").close().await;
    assert!(folder.path().join("a.db").exists());
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    let folder = folder();
    let garbage = "garbage ".repeat(1000);
    fs::write(path(&folder).join("garbage.db"), &garbage).expect("written");
    fs::create_dir(path(&folder).join("directory.db")).expect("made");
    fs::write(path(&folder).join("file"), "").expect("written");
    sql(&path(&folder).join("foreign.db"), "CREATE TABLE theirs (a)").await;
    assert!(assert_cmd::Command::new("mkfifo").arg(path(&folder).join("fifo.db")).ok().is_ok());
    for (name, says) in [
        ("garbage.db", "it is not a database"),
        ("directory.db", "it is a directory"),
        ("file/state.db", "Not a directory"),
        ("foreign.db", "another program"),
        ("fifo.db", "not a regular file"),
    ] {
        let failure = refused(&format!("sqlite:{name}"), &folder).await;
        assert_eq!(failure.reason, Reason::StoreUnusable, "{failure}");
        assert!(failure.message().contains(says) && failure.message().contains(name), "{failure}");
    }
    assert_eq!(fs::read_to_string(path(&folder).join("garbage.db")).expect("there"), garbage);
}

#[tokio::test]
async fn a_damaged_store_is_reported() {
    let folder = folder();
    let store = opened(&folder).await;
    store.save("shop", "production", &record(1), None).await.expect("saved");
    store.close().await;
    let file = path(&folder).join(".deployer/state.db");
    let mut bytes = fs::read(&file).expect("read");
    bytes[4096..].fill(0xa5);
    fs::write(&file, bytes).expect("written");
    let failure = refused(URL, &folder).await;
    assert_eq!(failure.reason, Reason::StoreUnusable);
    assert!(failure.message().contains("damaged"), "{failure}");
    fs::write(&file, "").expect("emptied");
    opened(&folder).await.close().await;
}

#[tokio::test]
async fn a_newer_store_is_refused_unchanged() {
    let folder = folder();
    opened(&folder).await.close().await;
    let file = path(&folder).join(".deployer/state.db");
    sql(&file, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2030-01-01', TRUE, x'00', 1)").await;
    let before = fs::read(&file).expect("read");
    let failure = refused(URL, &folder).await;
    assert_eq!(failure.reason, Reason::StoreNewer);
    assert!(failure.message().contains("state.db") && failure.message().contains("9999"), "{failure}");
    let failure = Store::open_existing(URL, path(&folder)).await.expect_err("it is refused");
    assert_eq!(failure.reason, Reason::StoreNewer);
    let failure = Store::read(URL, path(&folder)).await.expect_err("it is refused");
    assert_eq!(failure.reason, Reason::StoreNewer);
    assert_eq!(fs::read(&file).expect("read"), before);
}

#[tokio::test]
async fn a_newer_record_is_refused() {
    let folder = folder();
    let store = opened(&folder).await;
    store.save("shop", "production", &record(1), None).await.expect("saved");
    store.close().await;
    sql(&path(&folder).join(".deployer/state.db"), "UPDATE record SET format = 2").await;
    let store = opened(&folder).await;
    assert_eq!(store.records("shop").await.expect_err("it is refused").reason, Reason::StoreNewer);
}

/// A folder that nobody can write to, not even root. It is writable again when dropped.
struct ReadOnly<'a>(&'a Utf8Path, bool);

impl<'a> ReadOnly<'a> {
    fn new(folder: &'a Utf8Path) -> Self {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).expect("a mode");
        let is_root = fs::write(folder.join("probe"), "").is_ok();
        if is_root {
            fs::remove_file(folder.join("probe")).expect("removed");
            let mount = |arguments: &[&str]| {
                assert_cmd::Command::new("mount").args(arguments).arg(folder).ok().expect("root can mount");
            };
            mount(&["--bind", folder.as_str()]);
            mount(&["-o", "remount,ro,bind"]);
        }
        Self(folder, is_root)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        if self.1 {
            // A process that another test started may still have a file open.
            assert_cmd::Command::new("umount").arg("-l").arg(self.0).ok().expect("unmounted");
        }
        fs::set_permissions(self.0, fs::Permissions::from_mode(0o700)).expect("a mode");
    }
}

#[tokio::test]
async fn a_read_only_store_is_refused_for_writing_at_once_and_can_be_read() {
    let folder = folder();
    let store = opened(&folder).await;
    store.save("shop", "production", &record(3), None).await.expect("saved");
    store.close().await;
    let own = path(&folder).join(".deployer");
    let read_only = ReadOnly::new(&own);
    // Root gets the error of the read-only file system, and other users the error of the folder's mode.
    let reason = if read_only.1 { Reason::ReadOnly } else { Reason::StoreUnusable };
    let failure = refused(URL, &folder).await;
    assert_eq!(failure.reason, reason);
    assert!(failure.message().contains("state.db"), "{failure}");
    let failure = refused("sqlite:.deployer/other.db", &folder).await;
    assert_eq!(failure.reason, reason);
    let store = Store::open_existing(URL, path(&folder)).await.expect("no failure").expect("a store");
    assert_eq!(store.records("shop").await.expect("read")["production"].serial, 3);
    store.close().await;
    drop(read_only);
    opened(&folder).await.close().await;
}

#[test]
fn many_open_a_new_store_at_once() {
    let folder = folder();
    let open = |number: u64| {
        let directory = path(&folder).to_owned();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let store = Store::open(URL, &directory).await.expect("a store");
                store.save("shop", &format!("e{number}"), &record(number), None).await.expect("saved");
                store.close().await;
            });
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|number| drop(scope.spawn(open(number)))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { assert_eq!(opened(&folder).await.records("shop").await.expect("read").len(), 8) });
}

/// The process that other tests start and kill: it saves in a loop, and prints each saved number.
#[tokio::test]
#[ignore = "started by other tests"]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it is its own program")]
async fn saves_until_killed() {
    let directory = std::env::var("STORE_DIRECTORY").expect("started by the other test");
    let store = Store::open(URL, directory.as_str().into()).await.expect("a store");
    store.begin(&run("r1", at(0))).await.expect("begun");
    for serial in 1.. {
        store.intend("r1", "production", Kind::Files, at(0)).await.expect("written");
        store.save("shop", "production", &record(serial), None).await.expect("saved");
        println!("saved {serial}");
    }
}

/// Starts `saves_until_killed`, and returns the process and the numbers that it saved.
#[expect(clippy::disallowed_methods, reason = "a process to kill")]
fn saving(folder: &TempDir) -> (std::process::Child, impl Iterator<Item = u64>) {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["saves_until_killed", "--exact", "--ignored", "--nocapture"])
        .env("STORE_DIRECTORY", path(folder))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let said = |line: String| line.rsplit_once("saved ").and_then(|(_, serial)| serial.parse::<u64>().ok());
    (child, lines.map_while(Result::ok).filter_map(said))
}

#[tokio::test]
async fn a_store_that_another_process_writes_is_read_as_it_was_at_one_moment() {
    let folder = folder();
    let (mut child, mut saved) = saving(&folder);
    let own = path(&folder).join(".deployer");
    let names = || {
        let entries = fs::read_dir(&own).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    let mut serial = saved.next().expect("it saves");
    let before = names();
    let mut reads = 0;
    // The log is checkpointed after every 1,000 pages, so this happens several times meanwhile.
    while serial < 800 {
        let store = Store::read(URL, path(&folder)).await.expect("no failure").expect("a store");
        let found = store.records("shop").await.expect("read")["production"].serial;
        // The intent of each save was written right before the save.
        let intents = store.in_doubt("shop").await.expect("read").len() as u64;
        assert!(found >= serial && (intents == found || intents == found + 1), "{serial} {found} {intents}");
        store.close().await;
        (serial, reads) = (found, reads + 1);
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("it ended");
    assert!(reads > 2, "{reads}");
    assert_eq!(names(), before);
}

#[tokio::test]
async fn saved_records_survive_kill() {
    let folder = folder();
    let (mut child, mut saved) = saving(&folder);
    let serial = saved.find(|serial| *serial >= 25).expect("it saves");
    child.kill().expect("SIGKILL");
    child.wait().expect("it ended");
    let store = opened(&folder).await;
    assert!(store.records("shop").await.expect("read")["production"].serial >= serial);
    assert!(store.in_doubt("shop").await.expect("read").len() as u64 >= serial);
}

#[tokio::test]
async fn the_history_is_of_a_project_and_of_an_environment_the_newest_first() {
    let folder = folder();
    let store = opened(&folder).await;
    for (id, project, environment, second) in
        [("r1", "shop", "production", 0), ("r2", "shop", "staging", 10), ("r3", "other", "production", 20)]
    {
        store.begin(&Run { project: project.to_owned(), ..run(id, at(second)) }).await.expect("begun");
        let engine = store.intend(id, environment, Kind::Engine, at(second)).await.expect("written");
        store.intend(id, environment, Kind::Files, at(second + 1)).await.expect("written");
        store.settle(engine, "failed", at(second + 1)).await.expect("settled");
    }
    store.end("r1", Outcome::Failed, at(5)).await.expect("ended");
    let ids = async |environment: Option<&str>, most| {
        let runs = store.history("shop", environment, most).await.expect("a history");
        runs.into_iter().map(|past| past.run.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 9).await, ["r2", "r1"]);
    assert_eq!(ids(None, 1).await, ["r2"]);
    assert_eq!(ids(Some("production"), 1).await, ["r1"]);
    assert!(ids(Some("nowhere"), 9).await.is_empty());
    let past = store.history("shop", Some("production"), 9).await.expect("a history").remove(0);
    assert_eq!((past.outcome.as_deref(), past.ended_at), (Some("failed"), Some(at(5))));
    let steps: Vec<_> = past.steps.iter().map(|step| (step.kind.as_str(), step.outcome.as_deref())).collect();
    assert_eq!(steps, [("engine", Some("failed")), ("files", None)]);
}

/// A task that is not finished yet, such as one of an interrupted run, shares the store.
#[tokio::test]
async fn a_store_is_closed_whoever_else_has_it() {
    let folder = folder();
    let store = Arc::new(opened(&folder).await);
    let other = Arc::clone(&store);
    other.save("shop", "prod", &record(1), None).await.expect("it is saved");
    let log = path(&folder).join(".deployer/state.db-wal");
    assert!(log.exists());
    store.close().await;
    assert!(!log.exists(), "the log was folded into the one file");
    let failure = other.save("shop", "prod", &record(2), None).await.expect_err("it is closed");
    assert_eq!(failure.reason, Reason::StoreUnusable);
    assert_eq!(opened(&folder).await.records("shop").await.expect("records")["prod"].serial, 1);
}

/// All cores are busy, so that the database's own thread is still running when the process ends.
#[test]
fn a_command_that_ends_early_closes_the_store() {
    let folder = folder();
    let manifest = "version: 1\nproject: shop\nenvironments:\n  lab:\n    registered: { address: 192.0.2.1 }\n";
    fs::write(path(&folder).join("deployment.yaml"), manifest).expect("a manifest");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { opened(&folder).await.close().await });
    let busy = Arc::new(AtomicBool::new(true));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let spinning: Vec<_> = (0..cores)
        .map(|_| {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || while busy.load(Ordering::Relaxed) {})
        })
        .collect();
    for _ in 0..10 {
        for command in ["history", "unlock"] {
            let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_deployer"))
                .args([command, "nobody", "--json"])
                .current_dir(folder.path())
                .output()
                .expect("it starts");
            assert_eq!(output.status.code(), Some(64));
            assert!(!path(&folder).join(".deployer/state.db-wal").exists(), "{command} closed the store");
        }
    }
    busy.store(false, Ordering::Relaxed);
    for thread in spinning {
        thread.join().expect("it ends");
    }
}

#[tokio::test]
async fn a_store_keeps_the_last_token_and_forgets_one_that_no_count_can_have_reached() {
    let folder = folder();
    let store = opened(&folder).await;
    let holder = deployer::model::holder::Holder::here("me@here", "apply", None);
    for (issued, kept) in [
        (7, 7),
        (5, 7),
        (9, 9),
        (999_999_999_999_999, 999_999_999_999_999),
        (1_800_000_000, 1_800_000_000),
        (3, 1_800_000_000),
    ] {
        store.take("shop", "web", issued, &holder, at(1)).await.unwrap();
        assert_eq!(store.token("shop", "web").await.unwrap(), kept, "{issued}");
    }
    assert!(store.save("shop", "web", &record(1), Some(3)).await.is_err(), "a late run is still refused");
    store.save("shop", "web", &record(1), Some(1_800_000_000)).await.unwrap();
}
