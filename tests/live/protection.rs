//! Destruction needs consent by name, and protection stays in force after its entry is removed. An environment that was
//! removed from the manifest is left unchanged until somebody names it. A new name moves nothing.

use crate::bed::{BedHost, Work};
use crate::scene::{containers, entry, several};

const REFUSED: [&str; 1] = ["protected"];

#[test]
fn a_protected_environment_stays_until_the_manifest_lifts_the_protection() {
    let host = BedHost::docker();
    let work = Work::empty();
    let (kept, other) = (entry(&host, &work, "kept", 8080, ""), entry(&host, &work, "other", 8081, ""));
    let manifest = |more: &str| several(&host, &work, &format!("{}{more}{other}", kept.clone()));
    manifest("    protect: true\n");
    work.apply().expect(0);
    let before = containers(&host);
    let destroy = || work.run(&["destroy", "kept", "--allow-destroy", "kept", "--json"]);
    assert_eq!(destroy().expect(6).reasons(), REFUSED);
    assert_eq!(work.run(&["list", "--json"]).expect(0).of("environment")[0]["protected"], true);

    // The entry wants the stage destroyed, or no longer sets `protect`: the host and the store keep the protection.
    manifest("    protect: true\n    stage: destroyed\n");
    assert_eq!(work.apply().expect(6).reasons(), REFUSED);
    manifest("");
    work.apply().expect(0);
    assert_eq!(destroy().expect(6).reasons(), REFUSED);
    several(&host, &work, &other);
    assert_eq!(destroy().expect(6).reasons(), REFUSED);
    let forget = work.run(&["state", "forget", "kept", "--allow-destroy", "kept", "--json"]).expect(6);
    assert_eq!(forget.reasons(), REFUSED);
    manifest("");
    let fresh = work.run(&["destroy", "kept", "--allow-destroy", "kept", "--json", "--state", "sqlite:new.db"]);
    assert_eq!(fresh.expect(6).reasons(), REFUSED);
    assert_eq!(containers(&host), before);

    manifest("    protect: false\n");
    work.apply().expect(0);
    assert_eq!(destroy().expect(0).outcome(), "changed");
    assert_eq!((host.page(8080), host.page(8081).is_some()), (None, true));
}

#[test]
fn a_removed_entry_is_left_alone_until_it_is_named_and_a_new_name_moves_nothing() {
    let host = BedHost::docker();
    let work = Work::empty();
    let (old, other) = (entry(&host, &work, "old", 8080, ""), entry(&host, &work, "other", 8081, ""));
    several(&host, &work, &format!("{old}{other}"));
    work.apply().expect(0);
    let before = containers(&host);

    // A truncated manifest, an empty one and one with an entry less destroy nothing.
    let whole = work.read("deployment.yaml");
    work.write("deployment.yaml", &whole[..whole.len() - 40]);
    assert_eq!(work.apply().code, 64);
    work.write(
        "deployment.yaml",
        whole.split("environments:").next().expect("a beginning").to_owned() + "environments: {}\n",
    );
    assert_eq!(work.apply().expect(6).reasons(), ["manifest-emptied"]);
    several(&host, &work, &other);
    let run = work.apply().expect(0);
    assert_eq!(run.outcome(), "converged");
    assert_eq!((run.warnings("old").len(), run.of("warning").len()), (1, 1), "{}", run.stdout);
    assert_eq!(containers(&host), before);

    // Under a new name, nothing restarts, and the old manifest has no effect any more.
    let new = old.replacen("  old:", "  new:", 1);
    let renamed = format!("{new}    renamed_from: old\n{other}");
    several(&host, &work, &renamed);
    let run = work.apply().expect(0);
    assert!(run.of("warning").is_empty(), "{}", run.stdout);
    assert_eq!(containers(&host), before);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    several(&host, &work, &format!("{old}{other}"));
    assert_eq!(work.run(&["apply", "old", "--json"]).expect(6).reasons(), ["marker-mismatch"]);

    several(&host, &work, &other);
    work.run(&["destroy", "new", "--json"]).expect(6);
    assert_eq!(work.run(&["apply", "--allow-destroy", "new", "--json"]).expect(0).outcome(), "changed");
    assert_eq!((host.page(8080), host.page(8081).is_some()), (None, true));
    let run = work.apply().expect(0);
    assert!(run.of("warning").is_empty(), "it is forgotten: {}", run.stdout);
}

#[test]
fn suspended_environments_are_passed_over_until_they_are_resumed() {
    let host = BedHost::docker();
    let work = Work::demo(&host);
    work.apply().expect(0);
    assert_eq!(work.run(&["suspend", "production", "--json"]).expect(0).outcome(), "changed");
    work.write("app/html/index.html", "page two\n");
    let run = work.apply().expect(0);
    assert_eq!((run.outcome().as_str(), run.of("warning").len()), ("converged", 1), "{}", run.stdout);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    let other = work.run(&["apply", "--json", "--state", "sqlite:new.db"]).expect(0);
    assert_eq!(other.outcome(), "converged", "every runner knows: {}", other.stdout);
    assert_eq!(work.run(&["resume", "production", "--json"]).expect(0).outcome(), "changed");
    work.apply().expect(0);
    assert_eq!(host.page(8080).as_deref(), Some("page two\n"));
}
