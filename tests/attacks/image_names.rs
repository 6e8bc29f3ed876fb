//! An image archive that gives its image the name of an image that a neighbour runs with: `docker load` would take the
//! name from the neighbour's image.

use camino::Utf8Path;
use deployer::release::archive;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

fn entry(archive: &mut tar::Builder<Vec<u8>>, name: &str, text: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    archive.append(&header, text.as_bytes()).unwrap();
}

fn manifest(tags: &str) -> String {
    format!(r#"[{{"Config":"c.json","RepoTags":[{tags}],"Layers":[]}}]"#)
}

/// Returns why an archive with these entries, and the image `own:1`, is refused.
fn refusal(entries: &[(&str, &str)]) -> Option<String> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [("c.json", CONFIG)].iter().chain(entries) {
        if let Some(pax) = name.strip_prefix("pax:") {
            archive.append_pax_extensions([("GNU.sparse.name", pax.as_bytes())]).unwrap();
            entry(&mut archive, "harmless", text);
        } else {
            entry(&mut archive, name, text);
        }
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&archive.into_inner().unwrap()).unwrap();
    let read = archive::read("own:1", Utf8Path::from_path(file.path()).unwrap(), &["own:1".to_owned()].into());
    read.err().map(|failure| failure.message())
}

#[test]
fn an_archive_brings_no_names_that_the_manifest_does_not_give_it() {
    let own = manifest(r#""own:1""#);
    assert_eq!(refusal(&[("manifest.json", &own)]), None);
    let index = |annotation: &str, name: &str| {
        let digest = Sha256::digest(CONFIG).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!(r#"{{"manifests":[{{"digest":"sha256:{digest}","annotations":{{"{annotation}":"{name}"}}}}]}}"#)
    };
    let (containerd, layout) = ("io.containerd.image.name", "org.opencontainers.image.ref.name");
    for (annotation, name) in [(containerd, "docker.io/library/own:1"), (layout, "own:1"), (layout, "1")] {
        assert_eq!(refusal(&[("manifest.json", &own), ("index.json", &index(annotation, name))]), None, "{name}");
    }
    let both = manifest(r#""own:1","base:1""#);
    let two = own.replace("]}]", r#"]},{"Config":"c.json","RepoTags":["docker.io/library/base:1"],"Layers":[]}]"#);
    for entries in [
        vec![("manifest.json", &both)],
        vec![("manifest.json", &two)],
        vec![("manifest.json", &own), ("index.json", &index(containerd, "docker.io/library/base:1"))],
        vec![("manifest.json", &own), ("index.json", &index(layout, "base:1"))],
    ] {
        let entries: Vec<(&str, &str)> = entries.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let said = refusal(&entries).unwrap();
        assert!(said.ends_with("contains images under names that `archives` does not give it: base:1"), "{said}");
    }
}

/// Docker may read another list of images than deployer does.
#[test]
fn an_archive_has_one_list_of_its_images() {
    let (own, base) = (manifest(r#""own:1""#), manifest(r#""base:1""#));
    for name in [
        "manifest.json",
        "./manifest.json",
        ".//manifest.json",
        "x/../manifest.json",
        "x/manifest.json",
        "pax:manifest.json",
    ] {
        for entries in [[("manifest.json", own.as_str()), (name, &base)], [(name, &base), ("manifest.json", &own)]] {
            assert!(refusal(&entries).is_some_and(|said| said.contains(" it contains ")), "{name}");
        }
    }
}
