//! Image archives in the formats that `docker save` has written over the years, built here. Needs no Docker.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use camino::Utf8PathBuf;
use deployer::model::failure::{Failure, Reason};
use deployer::release::archive;
use deployer::release::sent::Archive;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::{Seek, Write};

const CONFIG: &str = r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Returns an archive as Docker wrote it up to version 24.
fn classic() -> Vec<u8> {
    let id = hex(CONFIG);
    let manifest =
        format!(r#"[{{"Config":"{id}.json","RepoTags":["demo:1","ghcr.io/a/b:2"],"Layers":["x/layer.tar"]}}]"#);
    let layer = "l".repeat(100_000);
    tar(&[
        ("repositories", "{}"),
        ("x/VERSION", "1.0"),
        ("x/json", "{}"),
        ("x/layer.tar", &layer),
        (&format!("{id}.json"), CONFIG),
        ("manifest.json", &manifest),
    ])
}

/// Returns an archive as Docker writes it since version 25: an OCI layout next to the classic manifest. `nested`: as
/// the containerd image store writes an image for several platforms.
fn layout(nested: bool) -> (Vec<u8>, Vec<String>) {
    let id = hex(CONFIG);
    let oci = format!(r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{id}","size":1}},"layers":[]}}"#);
    let list =
        format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"sha256:{}"}},{{"digest":"sha256:00"}}]}}"#, hex(&oci));
    let top = hex(if nested { &list } else { &oci });
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"sha256:11"}},{{"digest":"sha256:{top}"}}]}}"#);
    let manifest = format!(
        r#"[{{"Config":"blobs/sha256/{id}","RepoTags":null}},{{"Config":"blobs/sha256/{id}","RepoTags":["docker.io/library/demo:latest"]}}]"#
    );
    let blob = |text: &str| format!("blobs/sha256/{}", hex(text));
    let bytes = tar(&[
        (&blob(CONFIG), CONFIG),
        (&blob(&oci), &oci),
        (&blob(&list), &list),
        ("index.json", &index),
        ("manifest.json", &manifest),
        ("oci-layout", "{}"),
    ]);
    let mut ids = vec![format!("sha256:{id}"), format!("sha256:{top}")];
    if nested {
        ids.push(format!("sha256:{}", hex(&oci)));
    }
    (bytes, ids)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Reads an archive that the manifest gives the name of the image and all names of these archives.
fn read(image: &str, bytes: &[u8]) -> Result<Archive, Failure> {
    read_given(image, bytes, &names(&[image, "demo:1", "ghcr.io/a/b:2", "demo:latest"]))
}

fn read_given(image: &str, bytes: &[u8], given: &BTreeSet<String>) -> Result<Archive, Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = Utf8PathBuf::from_path_buf(file.path().to_owned()).unwrap();
    let read = archive::read(image, &path, given).map_err(|mut failure| {
        assert_eq!(failure.reason, Reason::ArchiveInvalid);
        failure.each_text(|text| *text = text.replace(path.as_str(), "FILE"));
        failure
    });
    read.inspect(|archive| assert_eq!((&archive.path, archive.bytes), (&path, bytes.len() as u64)))
}

fn refusal(image: &str, bytes: &[u8]) -> String {
    read(image, bytes).unwrap_err().message()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_classic_archive_tells_its_image() {
    for bytes in [classic(), packed(&classic())] {
        let archive = read("docker.io/library/demo:1", &bytes).unwrap();
        assert_eq!(archive.image, "demo:1");
        assert_eq!(archive.ids, [format!("sha256:{}", hex(CONFIG))]);
        assert_eq!(archive.architecture, "arm64");
        assert_eq!(read("ghcr.io/a/b:2", &bytes).unwrap().image, "ghcr.io/a/b:2");
    }
}

#[test]
fn a_layout_also_tells_the_ids_of_the_containerd_store() {
    for nested in [false, true] {
        let (bytes, ids) = layout(nested);
        let archive = read("demo", &bytes).unwrap();
        assert_eq!((archive.image.as_str(), archive.ids), ("demo:latest", ids));
    }
}

#[test]
fn a_name_that_the_archive_does_not_hold_is_answered_with_those_it_holds() {
    assert_eq!(refusal("demo", &classic()), "FILE does not contain the image demo:latest, but demo:1, ghcr.io/a/b:2");
    let (bytes, _) = layout(false);
    assert_eq!(refusal("other:1", &bytes), "FILE does not contain the image other:1, but demo:latest");
}

#[test]
fn images_that_the_manifest_lists_under_several_names_are_all_there() {
    let given = names(&["docker.io/library/demo:1", "ghcr.io/a/b:2"]);
    for image in &given {
        read_given(image, &classic(), &given).unwrap();
    }
}

#[test]
fn a_file_that_is_not_an_archive_is_reported() {
    for (bytes, message) in [
        (Vec::new(), "FILE is not an image archive: it contains no manifest.json"),
        (b"hello".to_vec(), "FILE is not a tar archive"),
        (vec![b'x'; 4096], "FILE is not a tar archive"),
        (packed(b"hello"), "FILE is not a tar archive"),
        (b"\x1f\x8bnonsense".to_vec(), "FILE is not a tar archive"),
        (tar(&[("etc/passwd", "root")]), "FILE is not an image archive: it contains no manifest.json"),
        (tar(&[("manifest.json", "{}")]), "FILE is not an image archive: manifest.json is unusual"),
        (
            tar(&[("manifest.json", r#"[{"Config":"c.json","RepoTags":["demo:1"]}]"#)]),
            "FILE is damaged: c.json is missing",
        ),
    ] {
        assert_eq!(refusal("demo:1", &bytes), message);
    }
    let nowhere = archive::read("demo:1", "/nowhere.tar".into(), &BTreeSet::new()).unwrap_err();
    assert_eq!(nowhere.message(), "/nowhere.tar cannot be read");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_never_passes() {
    let whole = classic();
    for length in (0..whole.len() - 2048).step_by(1499) {
        refusal("demo:1", &whole[..length]);
    }
    let packed = packed(&whole);
    for length in 1..packed.len() {
        refusal("demo:1", &packed[..length]);
    }
    // Truncated within a layer that is the last entry, and right before it.
    let id = hex(CONFIG);
    let manifest = format!(r#"[{{"Config":"{id}.json","RepoTags":["demo:1"],"Layers":["layer.tar"]}}]"#);
    let layer = "l".repeat(100_000);
    let late = tar(&[("manifest.json", &manifest), (&format!("{id}.json"), CONFIG), ("layer.tar", &layer)]);
    read("demo:1", &late).unwrap();
    assert_eq!(refusal("demo:1", &late[..late.len() - 50_000]), "FILE is cut off or damaged");
    assert_eq!(refusal("demo:1", &late[..2048]), "FILE is damaged: layer.tar is missing");
}

#[test]
fn a_configuration_with_other_content_than_its_name_is_damage() {
    let bytes = classic();
    let at = bytes.windows(5).position(|window| window == b"arm64").unwrap();
    let mut damaged = bytes;
    damaged[at..at + 5].copy_from_slice(b"amd64");
    assert!(refusal("demo:1", &damaged).contains("does not match its name"));
}

#[test]
fn a_gigabyte_of_layers_is_skipped() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("layer.tar").unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    file.write_all(header.as_bytes()).unwrap();
    file.as_file_mut().seek(std::io::SeekFrom::Current(1 << 30)).unwrap();
    file.write_all(&classic()).unwrap();
    let path = Utf8PathBuf::from_path_buf(file.path().to_owned()).unwrap();
    let started = std::time::Instant::now();
    assert_eq!(
        archive::read("demo:1", &path, &names(&["demo:1", "ghcr.io/a/b:2"])).unwrap().bytes,
        (1 << 30) + 512 + classic().len() as u64
    );
    assert!(started.elapsed().as_millis() < 500, "{:?}", started.elapsed());
}
