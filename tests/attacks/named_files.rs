//! A file that a user or a manifest names is a pipe, a device, or the kernel's, directly or through a link, which Git
//! can store. No command waits for it, reads it without end, or shows what it contains.

use crate::review::{CANARY, Work};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Puts something endless or blocking in the place of a file of the repository.
fn put(work: &Work, name: &str, what: &str) {
    let path = work.repository().join(name);
    let _ = std::fs::remove_file(&path);
    if what == "pipe" {
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    } else {
        symlink(what, &path).unwrap();
    }
}

/// Runs deployer with at most 4 GB of address space and 20 s. Returns its exit code and what it printed.
fn run(work: &Work, words: &[&str], input: &[u8]) -> (i32, String) {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 4000000; exec timeout 20 \"$@\"", "sh", env!("CARGO_BIN_EXE_deployer")])
        .args(words)
        .current_dir(work.repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn no_command_reads_what_is_no_file() {
    let work = Work::new();
    let entry = |key: &str| {
        format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 127.0.0.1 }}\n    ssh: {{ port: 1, wait: 0s, \
             user: deploy, identity_file: {key} }}\n"
        )
    };
    work.put("deployment.yaml", &entry("./key"));
    let commands: [(&str, &[&str]); 6] = [
        ("env.json", &["import", "--from", "env.json", "--host", "127.0.0.2", "old"]),
        ("plan.json", &["show", "./plan.json"]),
        ("plan.json", &["apply", "./plan.json"]),
        ("key", &["plan"]),
        ("other.yaml", &["-f", "other.yaml", "create", "--host", "127.0.0.2", "other"]),
        ("linked.yaml", &["-f", "linked.yaml", "check"]),
    ];
    for (file, words) in commands {
        for what in ["pipe", "/dev/zero", "/dev/ptmx", "/proc/kmsg"] {
            // A pipe that the user names is read, as the manifest of `-f <(command)`.
            if (file, what) == ("linked.yaml", "pipe") {
                continue;
            }
            put(&work, file, what);
            let begun = Instant::now();
            let (code, said) = run(&work, words, b"");
            assert!(!matches!(code, 0 | 124 | -1), "{words:?} with {what}: {code} {said}");
            assert!(!said.contains("memory"), "{words:?} with {what}: {said}");
            assert!(begun.elapsed() < Duration::from_secs(15), "{words:?} with {what}");
        }
    }
}

#[test]
fn a_link_to_an_open_file_of_the_job_is_no_manifest() {
    let work = Work::new();
    put(&work, "linked.yaml", "/proc/self/fd/0");
    let input = format!("{CANARY}: value\n");
    for words in [&["check", "-f", "linked.yaml"][..], &["check", "-f", "linked.yaml", "--within", "."]] {
        let (code, said) = run(&work, words, input.as_bytes());
        assert!(code != 0 && !said.contains(CANARY), "{words:?}: {code} {said}");
    }
    // The user's own pipe is a manifest.
    let manifest = "version: 1\nproject: shop\nenvironments:\n  web: { registered: { address: 127.0.0.1 } }\n";
    for file in ["/dev/fd/0", "/proc/self/fd/0", "-"] {
        let (code, said) = run(&work, &["check", "-f", file], manifest.as_bytes());
        assert_eq!(code, 0, "{file}: {said}");
    }
}

#[test]
fn an_import_reads_nothing_outside_of_its_scope() {
    let work = Work::new();
    for file in ["file", "nothing"] {
        let from = work.outside(file);
        let (code, said) = run(&work, &["import", "--within", ".", "--from", &from, "--host", "127.0.0.2", "old"], b"");
        assert!(code == 64 && said.contains("is outside the directory of --within"), "{file}: {code} {said}");
    }
}
