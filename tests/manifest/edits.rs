//! Entries and host keys written into manifests of every form. Edits only files in a temporary directory.

use super::{cases, entry, expect};
use camino::Utf8Path;
use deployer::manifest::edit;
use deployer::manifest::environment::Name;
use deployer::model::failure::Failure;
use std::fs;

fn shown(edited: &Result<String, Failure>) -> String {
    match edited {
        Ok(text) => text.replace('\r', "␍"),
        Err(failure) => {
            let place = failure.location.as_ref().map(|at| format!("{}:{} ", at.line, at.column)).unwrap_or_default();
            let details = failure.details.as_deref().unwrap_or_default();
            format!("{place}{}\n{}\n{details}", failure.message(), failure.advice())
        }
    }
}

#[test]
fn edits_keep_everything_else() {
    let (new, old) = (Name::parse("new").unwrap(), Name::parse("old").unwrap());
    let mut wrong = Vec::new();
    for (path, _) in cases("edit") {
        let text = fs::read_to_string(format!("{path}.yaml")).unwrap();
        let added = edit::add(&text, "deployment.yaml", &new, &entry());
        let keyed = edit::set_host_keys(&text, &old, &entry().host_key);
        let found = format!("=== add\n{}\n=== set host keys\n{}\n", shown(&added), shown(&keyed));
        wrong.extend(expect(&format!("{path}.txt"), &found).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_manifest_is_replaced_at_once_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("deployment.yaml");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    edit::write(&path, "old", "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(edit::write(&path, "old", "newer").is_err(), "someone else's change is overwritten");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
