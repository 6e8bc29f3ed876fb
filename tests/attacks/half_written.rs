//! Files that deployer writes on this machine are complete or unchanged, whatever interrupts the write.

use crate::review::{CANARY, Work};
use assert_cmd::Command;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Runs deployer in a directory on a full disk, then again when the disk has space, and returns the output of both
/// runs.
fn on_a_full_disk(arguments: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=16k tmpfs . && cd . && cd \"$PWD\" && umask 022 && dd if=/dev/zero of=fill bs=4096 count=4 2>/dev/null\n\
         $DEPLOYER {arguments} && echo 'no failure'; ls -A; rm fill; $DEPLOYER {arguments}; ls -A; stat -c '%a %s' deployment.yaml"
    );
    let output = Command::new("unshare")
        .args(["-m", "bash", "-c", &script])
        .current_dir(place.path())
        .env("DEPLOYER", env!("CARGO_BIN_EXE_deployer"))
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn a_manifest_is_written_whole_or_not_at_all() {
    for arguments in ["init", "create web --host 192.0.2.1"] {
        let said = on_a_full_disk(arguments);
        let lines: Vec<&str> = said.lines().collect();
        assert!(!said.contains("no failure") && said.contains("No space left"), "{said}");
        assert_eq!(lines.iter().filter(|line| **line == "deployment.yaml").count(), 1, "only the second time: {said}");
        let last = lines.iter().find(|line| line.starts_with("644 ")).unwrap_or_else(|| panic!("{said}"));
        assert!(last.split(' ').nth(1).unwrap().parse::<u64>().unwrap() > 0, "{said}");
    }
}

#[test]
fn render_writes_one_whole_release() {
    let work = Work::new();
    work.put("app/a.txt", "new");
    work.put("app/zz/b.txt", "new");
    let out = |name: &str| work.repository().join("out").join(name);
    for broken in ["a link above", "a directory in its place", "a file above"] {
        let _ = fs::remove_dir_all(out(""));
        work.put("out/a.txt", "old");
        fs::set_permissions(out("a.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        match broken {
            "a link above" => work.link("out/zz", "../app"),
            "a directory in its place" => work.put("out/zz/b.txt/c", ""),
            _ => work.put("out/zz", ""),
        }
        let run = work.run(&["render", "web", "-o", "out"]);
        assert!(run.code != 0 && run.err.contains("out/zz"), "{broken}: {}{}", run.out, run.err);
        assert_eq!(fs::read_to_string(out("a.txt")).unwrap(), "old", "{broken}");
        let mut names: Vec<_> = fs::read_dir(out("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.txt", "zz"], "{broken}: nothing else is left there");
    }
    fs::remove_file(out("zz")).unwrap();
    assert_eq!(work.run(&["render", "web", "-o", "out"]).code, 0);
    assert_eq!(fs::read_to_string(out("a.txt")).unwrap() + &fs::read_to_string(out("zz/b.txt")).unwrap(), "newnew");
    assert_eq!(fs::metadata(out("a.txt")).unwrap().permissions().mode() & 0o777, 0o644);
}

/// The author of a commit chooses the targets of the links in a repository, and the text that is written there.
#[test]
fn nothing_is_written_through_a_link_of_the_repository() {
    let work = Work::new();
    work.put("app/post-checkout", "#!/bin/sh\ntouch ../ran\n");
    fs::create_dir_all(work.repository().join(".git/hooks")).unwrap();
    work.link("out", ".git/hooks");
    let before = fs::read_dir(work.repository().join(".git/hooks")).unwrap().count();
    for output in ["out", "out/new", "./out"] {
        for command in [&["render", "web", "-o"][..], &["backup", "web", "-o"], &["man", "-o"]] {
            let run = work.run(&[command, &[output]].concat());
            assert!(run.code == 64 && run.err.contains("reached by a link"), "{command:?} {output}: {}", run.err);
        }
        let run = work.run(&["plan", "--out", &format!("{output}/post-checkout")]);
        assert!(run.code == 64 && run.err.contains("reached by a link"), "{output}: {}{}", run.out, run.err);
    }
    assert_eq!(fs::read_dir(work.repository().join(".git/hooks")).unwrap().count(), before);
    fs::create_dir(work.repository().join("pages")).unwrap();
    work.link("pages/deployer.1", &work.outside("file"));
    assert_eq!(work.run(&["man", "-o", "pages"]).code, 0);
    assert!(fs::read_to_string(work.path("outside/file")).unwrap().contains(CANARY), "nothing is written through it");
    assert!(fs::read_to_string(work.repository().join("pages/deployer.1")).unwrap().contains(".TH deployer"));
    // An output path without a link is accepted.
    assert_eq!(work.run(&["render", "web", "-o", "../outside/new"]).code, 0);
}
