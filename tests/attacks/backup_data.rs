//! A service that replaces its data with something else, and a file in the application's directory that a service
//! changes. Root saves and restores data, and reads, writes, owns and runs nothing else.

use crate::backup_scene::{GRAFANA, Scene, TRACKER};
use camino::Utf8Path;
use deployer::model::checked::ArchiveName;
use deployer::resource::backups::{Chosen, check, restore, settle};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

fn remove(path: &Utf8Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

/// Replaces the file at a path with something else.
fn plant(what: &str, scene: &Scene, at: &Utf8Path) {
    remove(at);
    let target = scene.victim();
    match what {
        "a link" => symlink(target.join("file"), at).unwrap(),
        "a link to a directory" => symlink(&target, at).unwrap(),
        "a dangling link" => symlink(target.join("new"), at).unwrap(),
        "a pipe" => assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
        "a link to an endless device" => symlink("/dev/zero", at).unwrap(),
        "a huge file" => fs::File::create(at).unwrap().set_len(1 << 43).unwrap(),
        _ => fs::create_dir(at).unwrap(),
    }
}

const KINDS: [&str; 7] = [
    "a link",
    "a link to a directory",
    "a dangling link",
    "a pipe",
    "a link to an endless device",
    "a huge file",
    "a directory",
];

#[tokio::test]
async fn an_object_in_place_of_a_database_is_refused_by_its_name_and_in_time() {
    let scene = Scene::new();
    let copies = scene.state("backups/work");
    for database in [TRACKER, GRAFANA] {
        for what in KINDS {
            let _ = fs::remove_dir_all(&copies);
            fs::create_dir_all(&copies).unwrap();
            plant(what, &scene, &scene.app().join(database));
            let begun = Instant::now();
            let (code, said) = scene.about_data("save", &copies).await;
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
            assert!(code != Some(0) && said.contains(database), "{what} in place of {database}: {code:?} {said}");
            let saved = |name: &str| fs::read_to_string(copies.join(name)).unwrap_or_default();
            assert!(!saved("tracker.db").contains("precious") && !saved("grafana.db").contains("precious"), "{what}");
            scene.victim_is_untouched();
        }
        remove(&scene.app().join(database));
        fs::write(scene.app().join(database), "data\n").unwrap();
    }
    // A directory above the database, within the mount of the service.
    let directory = scene.app().join(TRACKER).parent().unwrap().to_owned();
    fs::write(scene.victim().join("tracker.db"), "another's\n").unwrap();
    fs::rename(&directory, directory.with_extension("away")).unwrap();
    symlink(scene.victim(), &directory).unwrap();
    let _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).unwrap();
    let (code, said) = scene.about_data("save", &copies).await;
    assert!(code != Some(0) && said.contains(TRACKER), "{code:?} {said}");
    fs::remove_file(&directory).unwrap();
    fs::rename(directory.with_extension("away"), &directory).unwrap();
    fs::remove_file(scene.victim().join("tracker.db")).unwrap();

    let (code, said) = scene.about_data("save", &copies).await;
    assert_eq!(code, Some(0), "an honest one: {said}");
    assert_eq!(fs::read_to_string(copies.join("tracker.db")).unwrap(), "data\n");
    assert_eq!(fs::read_to_string(copies.join("grafana.db")).unwrap(), "data\n");
    // Containers see the mounts of the service and the copies, and nothing else of the host.
    let mounted = fs::read_to_string(scene.root().join("bin/mounted")).unwrap();
    let mounted: std::collections::BTreeSet<&str> = mounted.lines().collect();
    let (app, copies) = (scene.app(), copies.to_string());
    let expected = [app.join("storage/tracker/lib").to_string(), app.join("storage/grafana/data").to_string(), copies];
    assert_eq!(mounted, expected.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn links_where_data_is_restored_are_replaced_and_never_followed() {
    let scene = Scene::new();
    let copies = scene.state("backups/.restore/data");
    let database = scene.app().join(TRACKER);
    let near = |suffix: &str| Utf8Path::new(&format!("{database}{suffix}")).to_owned();
    for suffix in ["", "-wal", "-shm", "-journal", ".before-restore", ".before-restore-wal", ".restored"] {
        for what in KINDS {
            fs::create_dir_all(&copies).unwrap();
            fs::write(copies.join("tracker.db"), format!("restored {what}\n")).unwrap();
            plant(what, &scene, &near(suffix));
            let (code, said) = scene.about_data("restore", &copies).await;
            assert_eq!(code, Some(0), "{what} at {suffix}: {said}");
            assert_eq!(fs::read_to_string(&database).unwrap(), format!("restored {what}\n"), "{what} at {suffix}");
            assert!(fs::symlink_metadata(&database).unwrap().is_file());
            scene.victim_is_untouched();
            let (code, said) = scene.about_data("settle", Utf8Path::new("")).await;
            assert_eq!(code, Some(0), "{what} at {suffix}: {said}");
            remove(&near(".restored"));
            scene.victim_is_untouched();
        }
    }
    // A restored file has the owner of its directory, and no more rights than a data file needs.
    let (file, directory) = (fs::metadata(&database).unwrap(), fs::metadata(database.parent().unwrap()).unwrap());
    assert_eq!((file.uid(), file.mode() & 0o7777), (directory.uid(), 0o644));

    // A link in the path fails the restore before anything is written.
    let directory = database.parent().unwrap();
    fs::rename(directory, directory.with_extension("away")).unwrap();
    symlink(scene.victim(), directory).unwrap();
    fs::write(copies.join("tracker.db"), "restored\n").unwrap();
    let (code, said) = scene.about_data("restore", &copies).await;
    assert!(code != Some(0) && said.contains(TRACKER), "{code:?} {said}");
    scene.victim_is_untouched();
}

#[tokio::test]
async fn a_script_in_the_applications_directory_is_never_run() {
    let scene = Scene::new();
    let copies = scene.state("backups/.restore/data");
    for script in ["backup.sh", "guard.sh", "mounted.sh"] {
        let planted = scene.app().join("storage/backup/etc").join(script);
        fs::write(&planted, format!("touch {}/run\n", scene.victim())).unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir_all(scene.state("backups")).unwrap();
    // A backup by its timer, which runs the schedule's script as installed.
    let environment = scene.subject().environment;
    let schedule = deployer::resource::backups::schedule(environment).unwrap();
    let installed =
        deployer::resource::schedules::commands(&scene.subject(), &deployer::resource::HostFacts::default());
    assert!(installed.iter().all(|command| !command.script.contains("cd /opt/deployer/tracker--production")));
    let (code, said) = scene.run(&schedule.run).await;
    assert_eq!(code, Some(0), "{said}");
    scene.victim_is_untouched();
    let made = scene.state("backups").read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned());
    let made = made.into_iter().find_map(|name| ArchiveName::parse(&name)).unwrap();
    // A restore, from its check to its end.
    let chosen = Chosen { name: made.clone(), sent: None, other: false };
    let subject = scene.subject();
    fs::write(scene.app().join(TRACKER), "changed since\n").unwrap();
    for command in [check(&subject, scene.backup(), chosen), restore(&subject, &made), settle(&subject)] {
        let (code, said) = scene.run(&command.script).await;
        assert_eq!(code, Some(0), "{}: {said}", command.title);
        scene.victim_is_untouched();
    }
    assert_eq!(fs::read_to_string(scene.app().join(TRACKER)).unwrap(), "data\n");
    assert!(!copies.exists());
    // A release of an older deployer is not run: its script would trust the files that it finds.
    fs::remove_file(scene.state("releases/R1/tree/storage/backup/etc/guard.sh")).unwrap();
    let chosen = Chosen { name: made, sent: None, other: false };
    let (code, said) = scene.run(&check(&subject, scene.backup(), chosen).script).await;
    assert!(code == Some(65) && said.contains("run deployer apply first"), "{said}");
}
