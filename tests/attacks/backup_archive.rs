//! Archives that an attacker made to reach more of a host than its data. The check before a restore refuses them by
//! their content and waits for none of it, and it still accepts the archives that deployer makes.

use crate::backup_scene::Scene;
use deployer::model::checked::ArchiveName;
use deployer::resource::backups::{Chosen, check};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};
use tar::{Builder, EntryType, Header};

const LARGE: u64 = 1 << 60;

/// An unpacked archive as deployer makes it, with the members that an attacker adds.
struct Archive {
    builder: Builder<Vec<u8>>,
    sums: String,
}

impl Archive {
    fn new() -> Self {
        let mut archive = Self { builder: Builder::new(Vec::new()), sums: String::new() };
        archive.add(EntryType::Directory, "./data/", "", b"", 0);
        archive.file(
            "./backup.json",
            br#"{"version":1,"project":"tracker","environment":"production","database":"sqlite"}"#,
        );
        archive.file("./data/tracker.db", b"-- data\n-- Dump completed\n");
        archive
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.add(EntryType::Regular, name, "", content, content.len() as u64);
        let digest = <sha2::Sha256 as sha2::Digest>::digest(content);
        writeln!(self.sums, "{}  {name}", data_encoding::HEXLOWER.encode(&digest)).unwrap();
    }

    /// Adds a member under any name.
    fn add(&mut self, kind: EntryType, name: &str, link: &str, content: &[u8], size: u64) {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(5).unwrap();
        }
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
    }

    fn packed(mut self, sums: Option<&str>) -> Vec<u8> {
        let sums = sums.map_or_else(|| self.sums.clone(), str::to_owned);
        self.add(EntryType::Regular, "./SHA256SUMS", "", sums.as_bytes(), sums.len() as u64);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &self.builder.into_inner().unwrap()).unwrap();
        packed.finish().unwrap()
    }
}

/// Checks an archive as `restore` does, and returns the exit code and the output.
async fn checked(scene: &Scene, packed: &[u8]) -> (Option<i32>, String) {
    let name = "tracker--production-1.tar.gz";
    fs::create_dir_all(scene.state("backups")).unwrap();
    fs::write(scene.state("backups").join(name), packed).unwrap();
    let chosen = Chosen { name: ArchiveName::parse(name).unwrap(), sent: None, other: false };
    let begun = Instant::now();
    let ended = scene.run(&check(&scene.subject(), scene.backup(), chosen).script).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    ended
}

#[tokio::test]
async fn forbidden_contents_of_an_archive_are_refused_before_it_is_unpacked() {
    let scene = Scene::new();
    let victim = scene.victim();
    let (outside, link) = (victim.join("new"), victim.join("file"));
    let far = format!("./data/{}{}", "../".repeat(12), outside.as_str().trim_start_matches('/'));
    for (what, kind, name, target, size, why) in [
        ("a link", EntryType::Symlink, "./data/x", link.as_str(), 0, "more than files and directories"),
        ("a hard link", EntryType::Link, "./data/x", link.as_str(), 0, "more than files and directories"),
        ("a pipe", EntryType::Fifo, "./data/tracker.db", "", 0, "more than files and directories"),
        ("a device", EntryType::Char, "./data/zero", "", 0, "more than files and directories"),
        ("a disk", EntryType::Block, "./data/disk", "", 0, "more than files and directories"),
        ("a file without end", EntryType::Regular, "./data/large", "", LARGE, "larger than the free space on the host"),
        ("a path upwards", EntryType::Regular, &far, "", 0, "It is damaged"),
        ("an absolute path", EntryType::Regular, outside.as_str(), "", 0, "a digest in it does not match"),
    ] {
        let mut archive = Archive::new();
        archive.add(kind, name, target, b"", size);
        let (code, said) = checked(&scene, &archive.packed(None)).await;
        assert!(code == Some(65) && said.contains(why), "{what}: {code:?} {said}");
        scene.victim_is_untouched();
    }
    let (code, said) = checked(&scene, &Archive::new().packed(None)).await;
    assert_eq!(code, Some(0), "an honest one: {said}");
}

#[tokio::test]
async fn a_list_of_digests_is_compared_and_never_followed() {
    let scene = Scene::new();
    let victim = scene.victim().join("file");
    let digest = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest("precious\n"));
    let honest = Archive::new().sums;
    let zeros = "0".repeat(64);
    for sums in [
        format!("{honest}{zeros}  /dev/zero\n"),
        format!("{honest}{digest}  {victim}\n"),
        format!("{honest}{digest}  ../../../../../..{victim}\n"),
        format!("{honest}\\{zeros}  ./data/a\\nb\n"),
        String::new(),
        honest.split_inclusive('\n').take(1).collect(),
    ] {
        let (code, said) = checked(&scene, &Archive::new().packed(Some(&sums))).await;
        assert!(code == Some(65) && said.contains("a digest in it does not match"), "{sums}: {code:?} {said}");
    }
    // Another order, and names that sha256sum escapes, are accepted.
    let mut archive = Archive::new();
    archive.file("./data/a\nb", b"x");
    let mut lines: Vec<String> = honest.lines().map(str::to_owned).collect();
    let x = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest("x"));
    lines.insert(0, format!("\\{x}  ./data/a\\nb"));
    let (code, said) = checked(&scene, &archive.packed(Some(&(lines.join("\n") + "\n")))).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn the_description_in_an_archive_is_shown_as_plain_text() {
    let scene = Scene::new();
    let mut archive = Archive { builder: Builder::new(Vec::new()), sums: String::new() };
    archive.add(EntryType::Directory, "./data/", "", b"", 0);
    let text = "{\"project\":\"a\u{1b}[31m\r::error::x\",\"environment\":\"b\",\"database\":\"sqlite\"}";
    archive.file("./backup.json", text.as_bytes());
    let (code, said) = checked(&scene, &archive.packed(None)).await;
    assert!(code == Some(65) && said.contains("of the project a31merrorx"), "{said:?}");
    assert!(!said.contains(['\u{1b}', '\r']), "{said:?}");
}
