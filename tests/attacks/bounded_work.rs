//! Small applications that cause much work: aliases, chains, nested variables, patterns and archives. Each is refused
//! by its form, long before its work would be done. Honest ones of the same form are read.

#[path = "../common/application.rs"]
mod common;

use camino::{Utf8Path, Utf8PathBuf};
use deployer::manifest::environment::Compose;
use deployer::model::failure::{Failure, Reason};
use deployer::release::sent::Release;
use deployer::release::{self, archive};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

/// Loads an application of these files.
fn load(files: &[(&str, &str)], seed: &[String]) -> Result<Release, Vec<Failure>> {
    let held = tempfile::tempdir().unwrap();
    let directory = Utf8PathBuf::from_path_buf(held.path().canonicalize().unwrap()).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
    load_from(directory, seed)
}

/// Loads the application of a directory.
fn load_from(directory: Utf8PathBuf, seed: &[String]) -> Result<Release, Vec<Failure>> {
    let (files, seed) = (Vec::new(), seed.iter().cloned().map(Into::into).collect());
    let compose = Compose {
        directory,
        files,
        templates: false,
        seed,
        links: Vec::new(),
        copies: BTreeSet::new(),
        readable: Vec::new(),
    };
    release::load(&common::application(compose), &BTreeMap::new(), &deployer::model::secret::Redactor::default())
}

/// Asserts that a Compose file is refused as an invalid application, with these words and the file's name.
fn refused(text: &str, words: &str) {
    let failures = load(&[("compose.yaml", text)], &[]).expect_err("refused");
    let told = failures.iter().any(|failure| {
        failure.reason == Reason::ApplicationInvalid
            && failure.message().contains("compose.yaml")
            && failure.message().contains(words)
            && failure.hint.is_some()
    });
    assert!(told && failures.len() < 3, "{failures:?}");
}

#[test]
fn one_service_under_many_names_is_looked_at_once() {
    let compose = |count: usize| {
        let mut text = String::from("x-one: &one\n  image: demo\n  volumes:\n");
        (0..count).for_each(|at| _ = writeln!(text, "    - ./data{at}:/data{at}"));
        text += "services:\n";
        (0..count).for_each(|at| _ = writeln!(text, "  s{at}: *one"));
        text
    };
    load(&[("compose.yaml", &compose(5000))], &[]).unwrap();
}

#[test]
fn lists_that_many_services_share_are_counted() {
    let mut text = String::from("x-volumes: &volumes\n");
    (0..3000).for_each(|at| _ = writeln!(text, "  - ./data{at}:/data{at}"));
    text += "services:\n";
    (0..3000).for_each(|at| _ = writeln!(text, "  s{at}: {{ image: demo, volumes: *volumes }}"));
    refused(&text, "than deployer reads for one application");
}

#[test]
fn mappings_that_are_merged_many_times_are_counted() {
    let mut text = String::from("x-0: &a0 { x-k0: 1 }\n");
    (1..4000).for_each(|at| _ = writeln!(text, "x-{at}: &a{at} {{ <<: *a{}, x-k{at}: 1 }}", at - 1));
    text += "services:\n";
    (0..4000).for_each(|at| _ = writeln!(text, "  s{at}: *a{at}"));
    refused(&text, "than deployer reads for one application");
}

#[test]
fn services_that_extend_each_other_have_a_longest_chain() {
    let chain = |count: usize| {
        let mut text = String::from("services:\n  s0: { image: demo, build: . }\n");
        (1..count).for_each(|at| _ = writeln!(text, "  s{at}: {{ extends: s{} }}", at - 1));
        text
    };
    load(&[("compose.yaml", &chain(50))], &[]).unwrap();
    refused(&chain(8000), "extends others through more than 100");
}

#[test]
fn files_that_include_each_other_have_a_longest_chain() {
    let chain = |count: usize| -> Vec<(String, String)> {
        let name = |at: usize| if at == 0 { "compose.yaml".to_owned() } else { format!("c{at}.yaml") };
        let next = |at: usize| if at + 1 < count { format!("include: [{}]\n", name(at + 1)) } else { String::new() };
        (0..count).map(|at| (name(at), format!("{}services: {{ s{at}: {{ image: demo }} }}\n", next(at)))).collect()
    };
    let read = |files: &[(String, String)]| {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        load(&files, &[])
    };
    read(&chain(50)).unwrap();
    let failures = read(&chain(3000)).expect_err("refused");
    assert!(failures[0].message().contains("c101.yaml is included through more than 100 files"), "{failures:?}");
}

#[test]
fn files_that_services_of_others_extend_need_no_stack() {
    let name = |at: usize| if at == 0 { "compose.yaml".to_owned() } else { format!("c{at}.yaml") };
    let text = |at: usize| {
        let file = name((at + 1) % 3000);
        format!("services: {{ s: {{ extends: {{ file: {file}, service: s }} }} }}\n")
    };
    let files: Vec<(String, String)> = (0..3000).map(|at| (name(at), text(at))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let failures = load(&files, &[]).expect_err("refused");
    assert!(failures[0].message().contains("more than 100"), "{failures:?}");
}

#[test]
fn variables_in_each_other_and_long_texts_are_refused() {
    let env_file = |text: &str| format!("services: {{ web: {{ image: demo, env_file: \"{text}\" }} }}\n");
    refused(&env_file(&"${A:-".repeat(1000)), "more than 32 nested variables");
    refused(&env_file(&"${A:-".repeat(20_000)), "is longer than 16 KiB");
    refused(&env_file(&format!("${{X}}{}", "a".repeat(1 << 20))), "is longer than 16 KiB");
    refused(&env_file(&format!("${{X}}{}", "a".repeat(5000))), "is not a pattern: it is longer than 4096 bytes");
}

/// Returns the failures of a Compose file that has many mistakes, and asserts that they are few and found at once.
fn few(files: &[(&str, &str)]) -> Vec<Failure> {
    let begun = std::time::Instant::now();
    let failures = load(files, &[]).expect_err("refused");
    assert!(begun.elapsed().as_secs() < 20 && failures.len() <= 20, "{} in {:?}", failures.len(), begun.elapsed());
    failures
}

#[test]
fn variables_that_are_not_set_are_looked_for_in_linear_time() {
    let nested = format!("services: {{ web: {{ image: \"{}{}\" }} }}\n", "${A:-".repeat(100_000), "}".repeat(100_000));
    let failures = few(&[("compose.yaml", &nested)]);
    assert!(failures[0].message().contains("more than 32 nested variables"), "{failures:?}");
    let deepest = format!("services: {{ web: {{ image: \"{}demo{}\" }} }}\n", "${A:-".repeat(32), "}".repeat(32));
    load(&[("compose.yaml", &deepest)], &[]).unwrap();

    let of = |text: &dyn Fn(usize) -> String| (0..100_000).map(text).collect::<String>();
    let used = format!("services: {{ web: {{ image: demo, command: \"{}\" }} }}\n", of(&|at| format!("$name_{at}_a ")));
    let set = of(&|at| format!("name_{at}_b=1\n"));
    let failures = few(&[("compose.yaml", &used), (".env", &set)]);
    assert!(failures[0].message().contains("name_0_a is not set"), "{failures:?}");
    let long = format!("services: {{ web: {{ image: \"${}\" }} }}\n", "n".repeat(1 << 20));
    few(&[("compose.yaml", &long), (".env", &format!("{}=1\n", "n".repeat(1 << 20).replacen('n', "m", 1)))]);
}

#[test]
fn few_mistakes_of_many_are_reported() {
    few(&[("compose.yaml", &"---\nunknown: 1\n".repeat(100_000))]);
    few(&[("compose.yaml", &format!("services:\n  web:\n{}", "    unknown: 1\n".repeat(100_000)))]);
    let file = |at: usize| (format!("c{at}.yaml"), "services: { web: { image: demo, unknown: 1 } }\n".to_owned());
    let files: Vec<(String, String)> = (0..900).map(file).collect();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let env = format!("COMPOSE_FILE={}\n", names.join(":"));
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([(".env", env.as_str())]);
    few(&files.collect::<Vec<_>>());
}

#[test]
fn a_long_pattern_of_the_manifest_is_refused() {
    let compose = "services: { web: { image: demo } }\n";
    for pattern in ["a".repeat(1 << 20), "?".repeat(5000)] {
        let failures = load(&[("compose.yaml", compose)], &[pattern]).expect_err("refused");
        assert!(failures[0].message().contains("is not a pattern"), "{failures:?}");
        assert!(failures[0].message().len() < 200, "the pattern is not repeated whole");
    }
}

fn tar(entries: &[(String, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<release::sent::Archive, Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    archive::read("demo:1", Utf8Path::from_path(file.path()).unwrap(), &["demo:1".to_owned()].into())
}

/// Returns an image with `descriptors` in its index, and in each of `levels` nested indexes.
fn image(descriptors: usize, levels: usize) -> Vec<(String, String)> {
    let list = |digest: &str| {
        let one = format!(r#"{{"digest":"sha256:{digest}"}}"#);
        format!(r#"{{"manifests":[{}]}}"#, vec![one; descriptors].join(","))
    };
    let config = r#"{"architecture":"amd64"}"#.to_owned();
    let manifest = r#"[{"Config":"c.json","RepoTags":["demo:1"],"Layers":[]}]"#.to_owned();
    let mut entries = vec![
        ("c.json".to_owned(), config),
        ("manifest.json".to_owned(), manifest),
        ("index.json".to_owned(), list("0")),
    ];
    entries.extend((0..levels).map(|at| (format!("blobs/sha256/{at}"), list(&(at + 1).to_string()))));
    entries
}

#[test]
fn indexes_of_equal_descriptors_are_read_once() {
    assert_eq!(read(&tar(&image(60, 5))).unwrap().ids.len(), 1);
    assert_eq!(read(&tar(&image(2000, 3))).unwrap().ids.len(), 1);
    let failure = read(&tar(&image(20_000, 1))).unwrap_err();
    assert!(failure.message().contains("more than 10000 manifests"), "{failure:?}");
}

#[test]
fn long_names_of_entries_are_refused_before_they_are_held() {
    let honest = image(2, 2);
    let long = format!("{}x", "long/".repeat(60));
    let many = (0..5000).map(|at| (format!("{long}{at}"), "layer".to_owned()));
    let entries: Vec<(String, String)> = many.chain(honest.clone()).collect();
    for bytes in [tar(&entries), packed(&tar(&entries))] {
        read(&bytes).unwrap();
    }
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 20);
        header.set_cksum();
        let bytes = [header.as_bytes().as_slice(), &vec![b'n'; 1 << 20], &tar(&honest)].concat();
        for bytes in [packed(&bytes), bytes] {
            let failure = read(&bytes).unwrap_err();
            assert!(failure.message().contains("headers of an entry are larger than 64 KiB"), "{kind:?}: {failure:?}");
        }
    }
}

#[test]
fn archives_have_most_entries_and_no_sparse_files() {
    let failure = read(&many_entries(200_001)).unwrap_err();
    assert!(failure.message().contains("too many entries"), "{failure:?}");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let sparse = header.as_gnu_mut().unwrap();
    sparse.realsize = *b"77777777777\0";
    sparse.sparse[0].offset = *b"77777777777\0";
    sparse.sparse[0].numbytes = *b"00000000000\0";
    header.set_cksum();
    let failure = read(&[header.as_bytes().as_slice(), &tar(&image(1, 1))].concat()).unwrap_err();
    assert!(failure.message().contains("sparse"), "{failure:?}");
}

/// Returns an archive of `count` empty entries.
fn many_entries(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * 512);
    for at in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_path(at.to_string()).unwrap();
        header.set_size(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
    }
    bytes
}

#[test]
fn directories_in_directories_are_counted() {
    for (depth, refused) in [(150, false), (250, true)] {
        let held = tempfile::tempdir().unwrap();
        let top = Utf8PathBuf::from_path_buf(held.path().canonicalize().unwrap()).unwrap();
        fs::write(top.join("compose.yaml"), "services: { web: { image: demo } }").unwrap();
        let deep = top.join(vec!["d"; depth].join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), "x").unwrap();
        let loaded = load_from(top, &[]);
        assert_eq!(loaded.is_err(), refused, "{depth}");
        for failure in loaded.err().into_iter().flatten() {
            assert!(failure.message().contains("directories above it"), "{failure}");
        }
    }
}
