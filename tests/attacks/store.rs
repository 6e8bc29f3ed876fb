//! The author of a pull request chooses `state:` and may commit the file that it names. Commands that only read open it
//! next to the files of the job. They change no file, create none, and terminate.

use crate::review::{Run, Work};
use camino::Utf8Path;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

/// Commands that only read.
const LOOKS: [&[&str]; 9] = [
    &["list"],
    &["graph"],
    &["plan", "--offline"],
    &["status", "--offline"],
    &["history", "--offline"],
    &["render", "production", "-o", "../out", "--offline"],
    &["check"],
    &["show", "production"],
    &["inventory"],
];
/// Commands of these that do not open the store.
const STORELESS: [&str; 3] = ["check", "show", "inventory"];
const REGISTERED: &str = "registered: { address: 192.0.2.1 }";
const PROVISIONED: &str = "provisioned: { lxd: { image: 'ubuntu:24.04' } }";
/// A store of the first format with a record of `production`, whose stage is `configured`.
const OLD: &str = include_str!("../cases/store/v1.sql");

fn manifest(work: &Work, state: &str, target: &str) {
    let text = format!(
        "version: 1\nproject: shop\nstate: 'sqlite:{state}'\nenvironments:\n  production:\n    {target}\n    ssh: {{ identity: {{ from_env: KEY }} }}\n    \
         application: {{ compose: {{ directory: ./app }} }}\n"
    );
    work.put("deployment.yaml", &text);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn connect(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
}

fn sql(file: &Path, statements: &'static str) {
    block_on(async {
        let mut connection = connect(file).await;
        connection.execute(statements).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Makes a store of the newest format with the record of [`OLD`], as a single file.
fn store(file: &Path) {
    sql(file, OLD);
    let path = Utf8Path::from_path(file).unwrap();
    block_on(async {
        deployer::io::store::Store::open(&format!("sqlite:{path}"), "/".into()).await.unwrap().close().await;
    });
}

/// Writes to a database as a process that is killed before it checkpoints its log, so that `to` has a log.
fn killed(from: &Path, to: &Path, statements: &'static str) {
    block_on(async {
        let mut connection = connect(from).await;
        connection.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").await.unwrap();
        connection.execute(statements).await.unwrap();
        for suffix in ["", "-wal"] {
            fs::copy(format!("{}{suffix}", from.display()), format!("{}{suffix}", to.display())).unwrap();
        }
        connection.close().await.unwrap();
    });
    assert!(fs::metadata(format!("{}-wal", to.display())).unwrap().len() > 0);
}

/// Returns all paths of a directory, with the content of regular files.
fn all(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    let content = |entry: &walkdir::DirEntry| entry.file_type().is_file().then(|| fs::read(entry.path()).unwrap());
    entries.map(|entry| (entry.path().to_owned(), content(&entry))).collect()
}

/// Runs a command and asserts that it changed and created nothing.
fn harmless(work: &Work, arguments: &[&str], what: &str) -> Run {
    let places = [work.path("outside"), work.repository()];
    let before = places.clone().map(|place| all(&place));
    let run = work.run(arguments);
    assert!(places.map(|place| all(&place)) == before, "{what}: {arguments:?} changed a file: {}", run.err);
    run
}

/// Asserts that every command that only reads terminates and changes nothing. `refused` is the message of those that
/// open the store.
fn looks(work: &Work, what: &str, refused: Option<&str>) {
    for arguments in LOOKS {
        let run = harmless(work, arguments, what);
        match refused.filter(|_| !STORELESS.contains(&arguments[0])) {
            Some(says) => {
                assert!(run.code == 1 && run.err.contains(says), "{what}: {arguments:?}: {} {}", run.code, run.err);
            }
            None => assert_eq!(run.code, 0, "{what}: {arguments:?}: {}", run.err),
        }
    }
}

/// Asserts that `apply` refuses the store before it contacts any host, and changes nothing.
fn apply_refuses(work: &Work, what: &str, says: &str) {
    let run = harmless(work, &["apply", "--yes"], what);
    assert!(run.code == 1 && run.err.contains(says), "{what}: {} {}", run.code, run.err);
}

#[test]
fn looks_change_nothing_that_state_names() {
    let work = Work::new();
    let victim = |name: &str| work.repository().join(name);
    fs::write(victim("authorized_keys"), "").unwrap();
    fs::write(victim("text"), "ssh-ed25519 AAAA somebody\n".repeat(100)).unwrap();
    sql(&victim("theirs.db"), "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    killed(&work.path("theirs"), &victim("log.db"), "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    for (name, refused) in [
        ("authorized_keys", None),
        ("new/directory/state.db", None),
        ("text", Some("it is not a database")),
        ("theirs.db", Some("theirs.db")),
        ("log.db", Some("another program")),
    ] {
        manifest(&work, name, REGISTERED);
        looks(&work, name, refused);
        if let Some(says) = refused {
            apply_refuses(&work, name, says);
        }
    }
    for name in ["authorized_keys", "new/directory/state.db"] {
        manifest(&work, name, PROVISIONED);
        looks(&work, name, None);
    }
}

/// The store of another project of this machine, and other files there: each answer is the same.
#[test]
fn no_state_outside_of_the_repository_is_read() {
    let work = Work::new();
    store(&work.path("outside/state.db"));
    fs::create_dir(work.path("outside/folder")).unwrap();
    symlink(work.path("outside"), work.repository().join("link")).unwrap();
    let said = |state: &str, arguments: &[&str]| {
        manifest(&work, state, REGISTERED);
        let run = harmless(&work, arguments, state);
        assert_eq!(run.code, 64, "{state}: {arguments:?}: {}{}", run.out, run.err);
        assert!(!run.out.contains("configured"), "{state}: {arguments:?}: {}", run.out);
        let told = format!("{}{}", run.out, run.err);
        // A watch prints the time.
        let words = told.split_whitespace().filter(|word| !word.ends_with('Z'));
        words.collect::<Vec<_>>().join(" ").replace(state.rsplit('/').next().unwrap(), "NAME")
    };
    let outside = work.path("outside").to_str().unwrap().to_owned();
    for place in [&outside, "../outside", "link"] {
        for arguments in LOOKS.iter().filter(|look| !STORELESS.contains(&look[0])).chain(&[
            &["apply", "--yes", "--within", "."][..],
            &["list", "--within", "."],
            &["watch", "--within", "."],
        ]) {
            let told = said(&format!("{place}/state.db"), arguments);
            assert!(told.contains("which is all that this command reads"), "{told}");
            for other in ["file", "folder", "nothing"] {
                assert_eq!(said(&format!("{place}/{other}"), arguments), told, "{arguments:?}");
            }
        }
    }
    for state in ["/dev/zero", "/etc/shadow"] {
        said(state, &["list"]);
    }
    // A store that the user names is trusted.
    let own = format!("sqlite:{outside}/state.db");
    manifest(&work, "/dev/zero", REGISTERED);
    for arguments in [&["list", "--json", "--state", &own][..], &["list", "--json", "--within", ".", "--state", &own]] {
        let run = harmless(&work, arguments, "the user's store");
        assert!(run.out.contains(r#""stage":"configured""#), "{}{}", run.out, run.err);
    }
    manifest(&work, &format!("{outside}/state.db"), REGISTERED);
    let run = harmless(&work, &["list", "--json", "--within", ".."], "a larger directory");
    assert!(run.out.contains(r#""stage":"configured""#), "{}{}", run.out, run.err);
}

#[test]
fn a_store_with_tables_of_somebody_else_is_refused() {
    let work = Work::new();
    for (what, statements) in [
        (
            "a view without end",
            "ALTER TABLE record RENAME TO it; CREATE VIEW record AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 \
             FROM n) SELECT 'shop' AS project, 'production' AS environment, 1 AS format, '{}' AS body FROM n",
        ),
        (
            "migrations without end",
            "DROP TABLE _sqlx_migrations; CREATE VIEW _sqlx_migrations AS WITH RECURSIVE n(version) AS (SELECT 1 UNION ALL \
             SELECT version + 1 FROM n) SELECT version FROM n",
        ),
        ("a trigger", "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM record; END"),
        ("an index on an expression", "CREATE INDEX i ON record (hex(body))"),
        ("a virtual column", "ALTER TABLE lease ADD COLUMN c TEXT AS (hex(holder))"),
        ("a virtual table", "CREATE VIRTUAL TABLE v USING fts5(a)"),
        ("another table", "CREATE TABLE theirs (a)"),
        ("a table less", "DROP TABLE lease"),
        ("a version that it has not", "DELETE FROM _sqlx_migrations WHERE version > 2"),
    ] {
        let file = work.repository().join("evil.db");
        store(&file);
        sql(&file, statements);
        manifest(&work, "evil.db", REGISTERED);
        looks(&work, what, Some("evil.db"));
        apply_refuses(&work, what, "evil.db");
        fs::remove_file(file).unwrap();
    }
}

/// A rollback journal can name another journal that is removed with it.
#[test]
fn a_journal_next_to_the_store_removes_no_file() {
    let work = Work::new();
    let file = work.repository().join("evil.db");
    let name = work.outside("file");
    let mut journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
    for number in [0_u32, 0, 2, 512, 4096] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(512, 0);
    journal.extend((0x4000_0000_u32 / 4096 + 1).to_be_bytes());
    journal.extend(name.as_bytes());
    journal.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
    journal.extend(name.bytes().map(u32::from).sum::<u32>().to_be_bytes());
    journal.extend(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7");
    manifest(&work, "evil.db", REGISTERED);
    for ours in [true, false] {
        if ours {
            store(&file);
        } else {
            sql(&file, "CREATE TABLE theirs (a)");
        }
        fs::write(work.repository().join("evil.db-journal"), &journal).unwrap();
        looks(&work, "a journal", Some(if ours { "evil.db-journal" } else { "another program" }));
        apply_refuses(&work, "a journal", "evil.db");
        fs::remove_file(&file).unwrap();
    }
}

/// Such pages make a store of a few kilobytes with more rows than anybody can read.
#[test]
fn a_store_that_has_a_page_in_two_places_is_damaged() {
    let work = Work::new();
    let path = work.repository().join("evil.db");
    store(&path);
    let root = block_on(async {
        let mut connection = connect(&path).await;
        let many = "WITH n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 500) INSERT INTO record SELECT 'shop', 'e' || n, 1, \
                    'created', 0, 0, '{}' FROM n";
        connection.execute(many).await.unwrap();
        connection.execute("PRAGMA journal_mode = DELETE").await.unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'record'";
        let root: i64 = sqlx::query_scalar(root).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        u64::try_from(root).unwrap()
    });
    // The last page below the root becomes the first one, whose number is stored where the first cell is.
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let page = (root - 1) * 4096;
    let (mut kind, mut cell, mut child) = ([0; 1], [0; 2], [0; 4]);
    file.read_exact_at(&mut kind, page).unwrap();
    assert_eq!(kind, [2], "it has pages below it");
    file.read_exact_at(&mut cell, page + 12).unwrap();
    file.read_exact_at(&mut child, page + u64::from(u16::from_be_bytes(cell))).unwrap();
    file.write_all_at(&child, page + 8).unwrap();
    manifest(&work, "evil.db", REGISTERED);
    looks(&work, "a page in two places", Some("it is damaged"));
}

#[test]
fn a_store_of_an_older_deployer_or_of_a_killed_run_is_read_as_it_is() {
    let work = Work::new();
    let file = work.repository().join("state.db");
    manifest(&work, "state.db", REGISTERED);
    sql(&file, OLD);
    let staged = |what: &str, stage: &str| {
        looks(&work, what, None);
        let run = harmless(&work, &["list", "--json"], what);
        assert!(run.out.contains(&format!(r#""stage":"{stage}""#)), "{what}: {}", run.out);
    };
    staged("an old store", "configured");
    fs::remove_file(&file).unwrap();
    let made = work.path("made.db");
    store(&made);
    killed(&made, &file, r#"UPDATE record SET body = replace(body, '"stage":"configured"', '"stage":"released"')"#);
    staged("a log that nobody folded in", "released");
    // A link to a store has the log next to its target.
    let elsewhere = work.repository().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("state.db{suffix}");
        fs::rename(work.repository().join(&name), elsewhere.join(&name)).unwrap();
    }
    symlink(elsewhere.join("state.db"), &file).unwrap();
    staged("a link", "released");
}

#[test]
fn anything_but_a_regular_file_is_refused_at_once() {
    let work = Work::new();
    let mkfifo = |name: &str| {
        assert_cmd::Command::new("mkfifo").arg(work.repository().join(name)).assert().success();
    };
    mkfifo("pipe");
    fs::create_dir(work.repository().join("folder")).unwrap();
    store(&work.repository().join("state.db"));
    mkfifo("state.db-wal");
    store(&work.repository().join("linked.db"));
    symlink("/dev/zero", work.repository().join("linked.db-wal")).unwrap();
    for name in ["pipe", "folder", "/dev/zero", "state.db", "linked.db"] {
        manifest(&work, name, REGISTERED);
        if !name.starts_with('/') {
            looks(&work, name, Some(name));
        }
        apply_refuses(&work, name, name);
    }
}

#[test]
fn a_store_that_is_too_large_to_be_looked_at_is_refused() {
    let work = Work::new();
    let path = work.repository().join("large.db");
    store(&path);
    fs::File::options().write(true).open(path).unwrap().set_len(3 << 30).unwrap();
    manifest(&work, "large.db", REGISTERED);
    for arguments in &LOOKS[..6] {
        let run = work.run(arguments);
        assert!(
            run.code == 1 && run.err.contains("large.db") && run.err.contains("256 MiB"),
            "{arguments:?}: {}",
            run.err
        );
    }
}

#[test]
fn values_that_fill_a_store_end_a_look_with_a_reason() {
    let work = Work::new();
    let path = work.repository().join("full.db");
    store(&path);
    let fill = "INSERT INTO record SELECT 'shop', value, 1, 'running', 1, 1, '{\"state\":\"' || \
                hex(zeroblob(60000000)) FROM json_each('[\"lab\",\"b\"]')";
    sql(&path, fill);
    manifest(&work, "full.db", REGISTERED);
    for arguments in [&["list"][..], &["graph"]] {
        let run = work.run(arguments);
        assert!(run.code == 1 && !run.err.contains("panicked"), "{arguments:?}: {}: {}", run.code, run.err);
        assert!(run.err.contains("full.db"), "{arguments:?}: {}", run.err);
    }
}
