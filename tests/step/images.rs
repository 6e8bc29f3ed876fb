//! The images with which services are started again. Their names belong to the whole host.

use crate::given::{Given, given, root};
use deployer::resource::contract::record::ReleaseRecord;
use deployer::resource::services;

const THEN: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const NOW: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// Returns a converged host on which each service ran with the image `THEN` and the name stands for the image `now`.
fn host(now: &str) -> (Given, ReleaseRecord) {
    let mut given = given(&root().join("converged.txt")).unwrap();
    let record = given.facts.files.current.as_mut().unwrap();
    for service in record.services.values_mut() {
        service.image_id = Some(THEN.to_owned());
    }
    let record = record.clone();
    given.facts.images.here = [("demo:1".to_owned(), now.to_owned())].into();
    given.facts.images.ids = [THEN.to_owned(), now.to_owned()].into();
    (given, record)
}

fn restored(given: &Given, target: &ReleaseRecord) -> String {
    let commands = services::restore(&given.subject(), &given.facts, target, &[]);
    commands.into_iter().map(|command| command.script).collect()
}

#[test]
fn a_rollback_moves_no_name_of_an_image() {
    let (given, target) = host(NOW);
    let script = restored(&given, &target);
    assert!(!script.contains("docker tag"), "{script}");
    assert_eq!(script.matches(&format!(r#""image":"{THEN}""#)).count(), target.services.len());
    assert_eq!(script.matches(r#""by_id":true"#).count(), target.services.len(), "and the host remembers that");
}

/// Compose would otherwise create the containers again.
#[test]
fn a_rollback_keeps_the_names_that_refer_to_the_same_image() {
    let (given, target) = host(THEN);
    let script = restored(&given, &target);
    assert!(!script.contains("docker tag") && !script.contains(r#""image":"sha256:"#), "{script}");
    assert!(script.contains(target.services["web"].hash.as_deref().unwrap()));
}

#[test]
fn an_image_that_was_built_gets_its_name_back() {
    let (given, mut target) = host(NOW);
    target.services.get_mut("web").unwrap().build = Some("0a1b".to_owned());
    let script = restored(&given, &target);
    assert_eq!(script.matches("docker tag").count(), 1);
    assert!(script.contains(&format!("docker tag {THEN} demo:1")), "{script}");
}

/// Another environment of the host pulled a newer image of the same name.
#[test]
fn a_repair_starts_the_live_release_with_its_own_images() {
    let (mut given, _) = host(NOW);
    let started = |given: &Given| -> String {
        let commands = services::commands(&given.subject(), &given.facts).unwrap();
        commands.into_iter().map(|command| command.script).collect()
    };
    assert!(started(&given).contains(&format!(r#""web":{{"image":"{THEN}""#)), "{}", started(&given));
    // An image that somebody removed from the host cannot be used.
    given.facts.images.ids.remove(THEN);
    assert!(!started(&given).contains(r#""image":"sha256:"#));
}
