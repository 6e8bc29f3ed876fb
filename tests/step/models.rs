//! What `docker compose config --format json` really printed for each directory of `tests/cases/compose-spec` (Compose
//! 2.26, the directory written as `/s`), and the services that are read from it.

use crate::given::root;
use camino::{Utf8Path, Utf8PathBuf};
use deployer::step::model::Model;
use deployer::step::record::DigestKey;
use std::fs;

#[test]
fn every_model_that_compose_printed_is_read() {
    let directory = root().join("models");
    let mut names: Vec<String> = (directory.read_dir_utf8().unwrap())
        .filter_map(|entry| entry.unwrap().file_name().strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let json = fs::read_to_string(directory.join(format!("{name}.json"))).unwrap();
        let model = Model::parse(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let spec = root().join("../compose-spec").join(&name);
        let files: Vec<Utf8PathBuf> = (walkdir::WalkDir::new(&spec).sort_by_file_name().into_iter())
            .map(|entry| Utf8PathBuf::from_path_buf(entry.unwrap().into_path()).unwrap())
            .filter(|path| path.is_file())
            .map(|path| path.strip_prefix(&spec).unwrap().to_owned())
            .collect();
        let variable = |name: &str| Some(*blake3::hash(name.as_bytes()).as_bytes());
        let key = DigestKey::new([7; 32]);
        let records = model.records(&[Utf8Path::new("/s")], &files.iter(), &variable, &|digest| key.digest(&digest));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&directory);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), serde_json::to_string_pretty(&records).unwrap()));
    }
}

fn inline(config: &str, value: &str) -> Option<String> {
    let json = format!(r#"{{"services":{{"web":{{"configs":[{{"source":"c"}}]}}}},"configs":{{"c":{config}}}}}"#);
    let digest = *blake3::hash(value.as_bytes()).as_bytes();
    let variable = |name: &str| (name == "V").then_some(digest);
    let records = Model::parse(&json).unwrap().records(&[], &[].iter(), &variable, &|digest| format!("{digest:?}"));
    records["web"].inline.clone()
}

#[test]
fn a_config_that_stands_in_the_compose_file_or_a_variable_is_part_of_its_service() {
    let (one, two) = (inline(r#"{"content":"a=1"}"#, ""), inline(r#"{"content":"a=2"}"#, ""));
    assert!(one.is_some() && two.is_some() && one != two);
    let (one, two) = (inline(r#"{"environment":"V"}"#, "1"), inline(r#"{"environment":"V"}"#, "2"));
    assert!(one.is_some() && two.is_some() && one != two);
    assert_eq!(inline(r#"{"environment":"UNSET"}"#, ""), None);
    assert_eq!(inline(r#"{"external":true}"#, ""), None);
}

#[test]
fn a_dollar_in_a_path_is_one() {
    let json = r#"{"services":{"web":{"volumes":[{"type":"bind","source":"/s/a$$b/$$$$","target":"/x"}]}}}"#;
    let files = [Utf8PathBuf::from("a$b/$$/file"), Utf8PathBuf::from("a$$b/file")];
    let records =
        Model::parse(json).unwrap().records(&[Utf8Path::new("/s")], &files.iter(), &|_| None, &|_| String::new());
    assert_eq!(records["web"].reads, [Utf8PathBuf::from("a$b/$$/file")]);
}

#[test]
fn a_service_that_a_provider_brings_has_no_container() {
    let json = r#"{"services":{"db":{"provider":{"type":"cloud"}}}}"#;
    let records = Model::parse(json).unwrap().records(&[], &[].iter(), &|_| None, &|_| String::new());
    assert_eq!((records["db"].replicas, records["db"].image.as_str()), (0, ""));
}
