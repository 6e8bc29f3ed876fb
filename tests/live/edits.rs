//! Edits of the application and of the manifest: exactly the same changes happen on the host.

use crate::bed::BedHost;
use crate::scene::{APP, DUO, change, containers, duo, everything, summary};

#[test]
fn one_edited_file_restarts_exactly_the_service_that_mounts_it() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    let before = containers(&host);
    assert_eq!(before.len(), 2);
    assert_eq!((host.page(8080).as_deref(), host.page(8081).as_deref()), (Some("page one\n"), Some("side one\n")));

    work.write("app/side/index.html", "side two\n");
    let plan = work.run(&["plan", "--json"]).expect(0);
    let edited = change(&plan, "side/index.html");
    assert_eq!(edited["diff"], "@@ -1 +1 @@\n-side one\n+side two\n");
    assert_eq!(edited["note"], "restarts side");
    assert_eq!(summary(&plan), ["files update differs", "services update differs"]);
    let text = work.run(&["plan"]).expect(0).stdout;
    assert!(text.contains("-side one") && text.contains("+side two") && text.contains("restarts side"), "{text}");

    assert_eq!(work.apply().expect(0).outcome(), "changed");
    let after = containers(&host);
    assert_eq!(after["web"], before["web"]);
    assert_ne!(after["side"], before["side"]);
    assert_eq!(host.page(8081).as_deref(), Some("side two\n"));
}

#[test]
fn a_comment_in_the_manifest_changes_nothing() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.apply().expect(0);
    let before = everything(&host);
    work.edit("deployment.yaml", "project: shop\n", "# a remark\nproject: shop # and another\n\n");
    assert_eq!(work.run(&["plan", "--json", "--detailed-exitcode"]).expect(0).outcome(), "converged");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    assert_eq!(everything(&host), before);
}

#[test]
fn removed_files_leave_the_host_and_foreign_files_stay() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.write("app/side/deep/er/old.html", "old\n");
    work.write("app/side/both/ours.html", "ours\n");
    work.apply().expect(0);
    host.shell(&format!("echo theirs >{APP}/side/both/theirs.html; echo theirs >{APP}/theirs.txt"));
    let before = containers(&host);

    std::fs::remove_dir_all(work.path("app/side")).expect("removed");
    let (web, _) = DUO.split_once("  side:").expect("two services");
    work.write("app/compose.yaml", web);
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert_eq!(change(&plan, "side/deep/er/old.html")["to"], serde_json::Value::Null);
    work.apply().expect(0);

    let after = containers(&host);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(after["web"], before["web"]);
    assert_eq!(host.shell("docker ps -aq").lines().count(), 1);
    let files = host.shell(&format!("cd {APP}; find . -mindepth 1 | sort"));
    assert_eq!(
        files,
        "./compose.yaml\n./html\n./html/index.html\n./side\n./side/both\n./side/both/theirs.html\n./theirs.txt\n"
    );
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_new_image_and_a_new_variable_recreate_what_uses_them() {
    let host = BedHost::docker();
    let work = duo(&host);
    work.edit("app/compose.yaml", "    command:", "    environment: { WORD: \"${WORD}\" }\n    command:");
    work.edit("deployment.yaml", "archives", "variables: { WORD: one }, archives");
    work.apply().expect(0);
    let before = containers(&host);

    work.edit("deployment.yaml", "WORD: one", "WORD: two");
    work.apply().expect(0);
    let after = containers(&host);
    assert_eq!(after["web"], before["web"]);
    assert_ne!(after["side"], before["side"]);

    work.link("demo.tar", &crate::bed::image("demo-2.tar"));
    work.edit("deployment.yaml", "\"demo:1\": ./demo.tar", "\"demo:1\": ./one.tar, \"demo:2\": ./demo.tar");
    work.link("one.tar", &crate::bed::image("demo-1.tar"));
    work.edit("app/compose.yaml", "  web:\n    image: demo:1\n", "  web:\n    image: demo:2\n");
    work.apply().expect(0);
    let last = containers(&host);
    assert_eq!(last["side"], after["side"]);
    assert_ne!(last["web"], after["web"]);
    assert!(host.shell("docker ps --format '{{.Image}}'").contains("demo:2"));
}
