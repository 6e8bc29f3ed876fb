//! A private key that is given as a secret is never on a disk, and is gone if deployer is killed while it connects. The
//! next process removes the other files that the killed process left behind.

use camino::Utf8Path;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Writes a manifest with one host that accepts connections and sends nothing.
fn project(directory: &Utf8Path, port: u16) {
    let manifest = format!(
        "version: 1\nproject: shop\nenvironments:\n  lab:\n    registered: {{ address: 127.0.0.1 }}\n    \
         ssh: {{ port: {port}, user: root, identity: {{ from_env: KEY }}, connect_timeout: 30s }}\n"
    );
    fs::write(directory.join("deployment.yaml"), manifest).unwrap();
}

fn status(directory: &Utf8Path, key: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_deployer"))
        .args(["status", "--json"])
        .current_dir(directory)
        .env("KEY", key)
        .env("TMPDIR", directory.join("tmp"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns the directories of the deployer process `pid` that contain a name.
fn with(name: &str, pid: u32) -> Vec<std::path::PathBuf> {
    let own = format!("/proc/{pid}/");
    let entries = fs::read_dir("/tmp").unwrap().flatten();
    let of = |path: &std::path::PathBuf| {
        fs::read_link(path.join("identity")).is_ok_and(|link| link.starts_with(&own)) && path.join(name).exists()
    };
    entries.map(|entry| entry.path()).filter(of).collect()
}

/// Returns the files below directories of temporary files that contain a text and were written after `begun`. It
/// follows no links.
fn holding(text: &str, begun: SystemTime, roots: &[&str]) -> Vec<std::path::PathBuf> {
    let files = roots.iter().flat_map(|root| walkdir::WalkDir::new(root).into_iter().flatten());
    let written = |entry: &walkdir::DirEntry| {
        entry.metadata().is_ok_and(|about| about.modified().is_ok_and(|modified| modified >= begun))
    };
    let files = files.filter(|entry| entry.file_type().is_file() && written(entry));
    let holds =
        |path: &std::path::PathBuf| fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text));
    files.map(walkdir::DirEntry::into_path).filter(holds).collect()
}

#[test]
fn a_killed_process_leaves_no_key_and_the_next_one_removes_its_directory() {
    let folder = tempfile::Builder::new().prefix("attack").tempdir().unwrap();
    let directory = Utf8Path::from_path(folder.path()).unwrap();
    fs::create_dir(directory.join("tmp")).unwrap();
    // A file system's clock may be slightly behind.
    let since = SystemTime::now() - Duration::from_secs(1);
    let generated = directory.join("generated");
    let generate = ["-q", "-t", "ed25519", "-N", "", "-f", generated.as_str()].map(str::to_owned);
    assert!(Command::new("ssh-keygen").args(generate).status().unwrap().success());
    let key = fs::read_to_string(&generated).unwrap();
    // A line in the middle of the private half.
    let canary = key.lines().nth(3).unwrap();
    let roots = ["/tmp", "/dev/shm", "/run", directory.as_str()];
    assert!(
        holding(canary, since, &roots).contains(&generated.clone().into_std_path_buf()),
        "the search finds a key on disk"
    );
    fs::remove_file(&generated).unwrap();

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    project(directory, silent.local_addr().unwrap().port());
    let mut victim = status(directory, &key);
    let (connection, _) = silent.accept().unwrap();
    let begun = Instant::now();
    let place = loop {
        if let [place] = &with("config", victim.id())[..] {
            break place.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "ssh has its files");
        std::thread::sleep(Duration::from_millis(20));
    };
    // Ssh can read the key while deployer runs.
    assert!(fs::read_to_string(place.join("identity")).unwrap().contains(canary));
    assert_eq!(holding(canary, since, &roots), Vec::<std::path::PathBuf>::new(), "the key is on no disk");

    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(fs::read(place.join("identity")).is_err(), "the key is gone with its process");
    assert_eq!(holding(canary, since, &roots), Vec::<std::path::PathBuf>::new());
    drop(connection);

    // A running process keeps its directory, and the directory of the killed process is removed.
    let mut living = status(directory, &key);
    let (_connection, _) = silent.accept().unwrap();
    let begun = Instant::now();
    while with("config", living.id()).is_empty() || place.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{place} was removed", place = place.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    let list = Command::new(env!("CARGO_BIN_EXE_deployer")).args(["list", "--json"]).current_dir(directory).output();
    assert!(list.unwrap().status.success(), "honest use goes on");
    assert_eq!(with("config", living.id()).len(), 1, "what a living process needs stays");
    living.kill().unwrap();
    living.wait().unwrap();
}
