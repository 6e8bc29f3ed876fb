//! The real output of `docker compose config --format json` for each directory of `tests/cases/compose-spec` (Compose
//! 2.26, the directory written as `/s`), and the services that are read from it.

use crate::given::{given, root};
use camino::{Utf8Path, Utf8PathBuf};
use deployer::model::state::Kind;
use deployer::resource::compose::model::Model;
use deployer::resource::contract::record::{DigestKey, ReleaseRecord};
use deployer::resource::{self, services};
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
        let records = model.records(Utf8Path::new("/s"), &files.iter(), &variable, &|digest| key.digest(&digest));
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
    let records = Model::parse(&json)
        .unwrap()
        .records(Utf8Path::new("/s"), &[].iter(), &variable, &|digest| format!("{digest:?}"));
    records["web"].inline.clone()
}

#[test]
fn a_config_in_the_compose_file_or_a_variable_is_part_of_its_service() {
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
        Model::parse(json).unwrap().records(Utf8Path::new("/s"), &files.iter(), &|_| None, &|_| String::new());
    assert_eq!(records["web"].reads, [Utf8PathBuf::from("a$b/$$/file")]);
}

#[test]
fn a_service_that_a_provider_brings_has_no_container() {
    let json = r#"{"services":{"db":{"provider":{"type":"cloud"}}}}"#;
    let records = Model::parse(json).unwrap().records(Utf8Path::new("/s"), &[].iter(), &|_| None, &|_| String::new());
    assert_eq!((records["db"].replicas, records["db"].image.as_str()), (0, ""));
}

/// The work for a host's answer is proportional to its length, not to its length times the number of its services.
#[test]
fn a_host_with_many_services_and_containers_is_judged_container_by_container() {
    let mut given = given(&root().join("converged.txt")).unwrap();
    let text: String = (0..10_000)
        .map(|at| {
            format!(
                r#"{{"id":"{at:064x}","service":"s{:05}","status":"running","exit":0,"health":null,"restarts":0,"policy":"","started":"2026-01-01T00:00:00Z"}}"#,
                at % 5000
            ) + "\n"
        })
        .collect();
    given.facts.services = services::parse(text.as_bytes()).unwrap();
    let record = given.facts.files.current.as_mut().unwrap();
    let one = record.services["web"].clone();
    record.services = (0..10_000).map(|at| (format!("s{at:05}"), one.clone())).collect();
    let (subject, names) = (given.subject(), given.facts.files.current.as_ref().unwrap().services.keys());
    let by_service = services::ByService::of(&subject, &given.facts);
    assert_eq!(names.map(|name| by_service.get(name).len()).sum::<usize>(), 10_000);
    let observed = resource::observed(&subject, &given.facts).0.remove(&Kind::Services).unwrap();
    assert_eq!(observed["s04999"], "2 of 1 containers");
    assert!(!observed.contains_key("s05000"));

    // A host that reports more than that is refused.
    let more = text.clone() + text.lines().next().unwrap() + "\n";
    assert!(services::parse(more.as_bytes()).unwrap_err().contains("10000"));
    let left = (0..=10_000).fold(String::new(), |text, at| text + &format!("left shop volume v{at}\n"));
    assert!(services::parse(left.as_bytes()).is_err());
    let record = given.facts.files.current.as_mut().unwrap();
    assert!(ReleaseRecord::read(&serde_json::to_vec(record).unwrap()).is_some());
    record.services.insert("one-more".to_owned(), one);
    assert!(ReleaseRecord::read(&serde_json::to_vec(record).unwrap()).is_none());
}

/// Every service has a state of its own, also one whose name is that of another fact.
#[test]
fn the_status_of_services_is_that_of_the_live_release_while_another_one_is_staged() {
    let mut given = given(&root().join("services/staged.txt")).unwrap();
    let live = given.facts.files.current.as_mut().unwrap();
    live.services.get_mut("web").unwrap().ports[0].port = 9090;
    let leaving = live.services["worker"].clone();
    live.services.insert("leaving".to_owned(), leaving);
    let subject = given.subject();
    assert_eq!(services::records::of(&subject, &given.facts)["web"].ports[0].port, 8080, "the staged release");
    let seen = services::live(&subject, &given.facts);
    let states: Vec<(&str, Option<&str>)> = seen.iter().map(|(name, live)| (*name, live.state.as_deref())).collect();
    let wanted =
        [("leaving", None), ("migrate", Some("completed")), ("web", Some("healthy")), ("worker", Some("running"))];
    assert_eq!(states, wanted);
    assert_eq!(seen["web"].ports[0].port, 9090);
}

#[test]
fn a_service_can_have_any_name() {
    let mut given = given(&root().join("converged.txt")).unwrap();
    let facts = |given: &crate::given::Given| {
        let subject = given.subject();
        let of = |mut state: deployer::model::state::State| state.0.remove(&Kind::Services).unwrap();
        (of(resource::observed(&subject, &given.facts)), of(resource::desired(&subject, &given.facts)))
    };
    let converged = facts(&given);
    assert_eq!(converged.0, converged.1);
    let record = given.facts.files.current.as_mut().unwrap();
    let service = record.services["web"].clone();
    record.services.insert("release".to_owned(), service);
    let (observed, desired) = facts(&given);
    assert_eq!(observed, converged.0);
    assert_eq!(desired["release"], converged.1["release"], "the digest of the release");
    assert_eq!(desired["service release"], "healthy");
    assert_eq!(services::Fact::of("service release"), services::Fact::Service("release"), "it is waited for");
    // The label of a container that somebody else started can be any text.
    let mut container = given.facts.services.containers[0].clone();
    container.service = "check page".to_owned();
    given.facts.services.containers.push(container);
    assert_eq!(facts(&given).0["service check page"], "not in the application");
}

/// Services that read all files of a release produce many more entries than they name.
#[test]
fn the_files_that_many_services_read_are_bounded_in_total() {
    let service = r#"{"volumes":[{"type":"bind","source":"/s","target":"/t"}]}"#;
    let services: Vec<String> = (0..5000).map(|at| format!(r#""s{at}":{service}"#)).collect();
    let model = Model::parse(&format!(r#"{{"services":{{{}}}}}"#, services.join(","))).unwrap();
    let files: Vec<Utf8PathBuf> = (0..1000).map(|at| format!("f{at}").into()).collect();
    let records = model.records(Utf8Path::new("/s"), &files.iter(), &|_| None, &|_| String::new());
    assert_eq!(records.values().map(|record| record.reads.len()).sum::<usize>(), 1_000_000);
    assert_eq!(records["s0"].reads.len(), 1000);
}
