use super::*;

fn tree(lines: &[(&str, &str)]) -> Tree {
    let mut listing = Vec::new();
    let mut targets = BTreeMap::new();
    for (number, (path, what)) in lines.iter().enumerate() {
        let id = format!("{number:040x}");
        let head = match *what {
            "file" => format!("100644 blob {id}       3\t{path}\0"),
            "program" => format!("100755 blob {id}       3\t{path}\0"),
            "module" => format!("160000 commit {id}       -\t{path}\0"),
            target => {
                targets.insert(id.clone(), target.as_bytes().to_vec());
                format!("120000 blob {id}       9\t{path}\0")
            }
        };
        listing.extend(head.into_bytes());
    }
    let mut tree = Tree::parse(&listing).unwrap();
    tree.set_targets(&targets);
    tree
}

/// Returns a path as text, or the result if there is no path.
fn found(tree: &Tree, path: &str) -> String {
    match tree.find(Utf8Path::new(path)) {
        Found::Entry(path, entry) => format!("{path} {:?}", entry.kind),
        Found::Submodule(path, _) => format!("{path} Submodule"),
        Found::Directory(path) => format!("{path}/"),
        Found::Nothing => "nothing".to_owned(),
        Found::Outside => "outside".to_owned(),
    }
}

#[test]
fn links_are_followed_within_the_tree_and_never_out_of_it() {
    let tree = tree(&[
        ("app/a.txt", "file"),
        ("app/run", "program"),
        ("app/up", "../shared/x"),
        ("app/dir", "../shared"),
        ("app/git", "../.git/config"),
        ("app/root", "/etc/passwd"),
        ("app/out", "../../x"),
        ("app/around", "../../repository/app/a.txt"),
        ("app/self", "self"),
        ("app/one", "two"),
        ("app/two", "one"),
        ("app/gone", "nowhere"),
        ("app/through", "a.txt/b"),
        ("shared/x", "file"),
        ("top", "."),
        ("module", "module"),
        ("into", "module/file"),
    ]);
    for (path, expected) in [
        ("app/a.txt", "app/a.txt File(false)"),
        ("app/run", "app/run File(true)"),
        ("./app//a.txt", "app/a.txt File(false)"),
        ("app", "app/"),
        ("", "/"),
        ("app/..", "/"),
        ("app/up", "shared/x File(false)"),
        ("app/dir", "shared/"),
        ("app/dir/x", "shared/x File(false)"),
        // As in the file system, `..` is the parent of the link's target.
        ("app/dir/../app/a.txt", "app/a.txt File(false)"),
        ("top/app/a.txt", "app/a.txt File(false)"),
        ("app/git", "nothing"),
        ("app/root", "outside"),
        ("app/out", "outside"),
        ("app/around", "outside"),
        ("app/self", "nothing"),
        ("app/one", "nothing"),
        ("app/gone", "nothing"),
        ("app/through", "nothing"),
        ("module", "module Submodule"),
        ("module/file", "module Submodule"),
        ("into", "module Submodule"),
        ("..", "outside"),
        ("app/../../app", "outside"),
        ("/app", "outside"),
        (".git/config", "nothing"),
    ] {
        assert_eq!(found(&tree, path), expected, "{path}");
    }
    let below: Vec<_> = tree.below(Utf8Path::new("shared")).map(|(path, _)| path.as_str()).collect();
    assert_eq!(below, ["x"]);
}

#[test]
fn names_that_no_commit_may_hold_are_refused() {
    let tree = tree(&[
        ("../out", "file"),
        ("a/../b", "file"),
        (".git/config", "file"),
        ("a/.GIT/config", "file"),
        ("/etc/passwd", "file"),
        ("a//b", "file"),
        ("a/./b", "file"),
        ("a/b", "file"),
        ("a.git/b", "file"),
    ]);
    assert_eq!(tree.refused.len(), 7);
    assert_eq!(tree.below(Utf8Path::new("")).count(), 2);
}

#[test]
fn a_listing_that_is_none_is_refused() {
    for listing in ["x\0", "100644 blob\tx\0", "100644 blob ../x 3\tx\0", "040000 tree 00 -\tx\0", "\u{1}\0"] {
        assert!(Tree::parse(listing.as_bytes()).is_err(), "{listing:?}");
    }
    assert!(Tree::parse(b"").unwrap().below(Utf8Path::new("")).next().is_none());
}

#[test]
fn links_are_followed_through_so_many_parts_in_all() {
    let winding = |next: usize| "d/../".repeat(600) + &format!("l{next}");
    let hops: Vec<(String, String)> = (0..38).map(|at| (format!("l{at}"), winding(at + 1))).collect();
    let mut lines = vec![("d/x", "file"), ("l38", "file")];
    lines.extend(hops.iter().map(|(path, target)| (path.as_str(), target.as_str())));
    let tree = tree(&lines);
    assert_eq!(found(&tree, "l0"), "l38 File(false)");
    let reached = (0..40_000).take_while(|_| tree.take(1) && found(&tree, "l0") != "nothing").count();
    assert!((10..1000).contains(&reached), "{reached}");
    assert_eq!(found(&tree, "d/x"), "nothing", "no steps are left");
}

#[test]
fn a_target_that_no_system_follows_is_refused() {
    let long = "d/../".repeat(1000) + "d/x";
    assert_eq!(found(&tree(&[("d/x", "file"), ("l", &long)]), "l"), "nothing");
}
