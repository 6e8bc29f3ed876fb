//! Applications and archives of any size are streamed. The tests measure the peak memory of this process, which runs
//! nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::print_stdout, reason = "the figure is what people want to see")]

use camino::{Utf8Path, Utf8PathBuf};
use deployer::manifest;
use deployer::model::input::Stream;
use deployer::release::{self, Tarball};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write};

const GIB: u64 = 1 << 30;
const ALLOWED: u64 = 64 << 20;

/// Returns the peak memory of this process, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn header(kind: tar::EntryType, path: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// Makes a sparse image archive with a layer of 1 GiB.
fn archive(path: &Utf8Path) {
    let config = br#"{"architecture":"amd64"}"#;
    let manifest = br#"[{"Config":"config.json","RepoTags":["demo:1"],"Layers":["layer.tar"]}]"#;
    let mut file = File::create(path).unwrap();
    for (name, text) in [("config.json", &config[..]), ("manifest.json", &manifest[..])] {
        file.write_all(header(tar::EntryType::Regular, name, text.len() as u64).as_bytes()).unwrap();
        file.write_all(text).unwrap();
        file.write_all(&vec![0; 512 - text.len() % 512]).unwrap();
    }
    file.write_all(header(tar::EntryType::Regular, "layer.tar", GIB).as_bytes()).unwrap();
    let end = file.seek(SeekFrom::Current(i64::try_from(GIB).unwrap())).unwrap();
    file.set_len(end + 1024).unwrap();
}

#[test]
fn an_application_and_an_archive_of_a_gibibyte_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    fs::create_dir(root.join("app")).unwrap();
    fs::write(root.join("app/compose.yaml"), "services: { web: { image: \"demo:1\" } }\n").unwrap();
    File::create(root.join("app/large")).unwrap().set_len(GIB).unwrap();
    archive(&root.join("demo.tar"));
    fs::write(
        root.join("deployment.yaml"),
        "version: 1\nproject: shop\nenvironments:\n  prod:\n    registered: { address: 192.0.2.1 }\n    application:\n      \
         compose: { directory: ./app, archives: { \"demo:1\": ./demo.tar } }\n",
    )
    .unwrap();
    let manifest = manifest::load(root.join("deployment.yaml").as_str(), None).unwrap();
    let application = manifest.environments["prod"].application.clone().unwrap();

    let before = peak();
    let release = release::load(&application, &BTreeMap::new(), &deployer::model::secret::Redactor::default()).unwrap();
    let tarball = Tarball::of(&release);
    let stream = Stream::new(move |out| tarball.write(out));
    // Written twice, as after a broken connection.
    for _ in 0..2 {
        let mut sent = Counting(0);
        stream.write(&mut sent).unwrap();
        assert!(sent.0 > GIB);
    }
    let grown = peak() - before;
    println!("1 GiB file and 1 GiB archive: {} KiB of additional memory", grown >> 10);
    assert!(grown < ALLOWED, "{} MiB", grown >> 20);

    // Texts are read whole, so they have a limit: a Compose file, a template, variables.
    for (name, named) in [("compose.override.yaml", "compose.override.yaml"), (".env", ".env")] {
        File::create(root.join("app").join(name)).unwrap().set_len(GIB).unwrap();
        let failures =
            release::load(&application, &BTreeMap::new(), &deployer::model::secret::Redactor::default()).unwrap_err();
        assert!(failures[0].message().contains(named) && failures[0].message().contains("16 MiB"), "{failures:?}");
        fs::remove_file(root.join("app").join(name)).unwrap();
    }
    assert!(peak() - before < ALLOWED, "{} MiB", (peak() - before) >> 20);
}
