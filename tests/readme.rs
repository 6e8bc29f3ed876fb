//! The documents match the code: the README's generated parts, its examples, and the paths and diffs that documents for
//! contributors name. `UPDATE=1 cargo test --test readme` generates the README's parts again.

use deployer::io::process;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BEGIN: &str = "<!-- reasons -->\n";
const END: &str = "<!-- /reasons -->";

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people, not for the program")]
fn the_table_of_reasons_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md is there");
    let (before, rest) = readme.split_once(BEGIN).expect("README.md holds <!-- reasons -->");
    let (block, after) = rest.split_once(END).expect("README.md holds <!-- /reasons -->");
    let table = deployer::model::failure::table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("README.md can be written");
    } else {
        assert!(block == table, "README.md is behind src/failure.rs: UPDATE=1 cargo test --test readme");
    }
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md is there")
}

#[test]
fn the_manifests_in_the_readme_are_valid() {
    let readme = readme();
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the README shows a manifest");
    for block in blocks {
        // An abbreviated key is replaced by a whole one.
        let text = block.replace("AAAA…", "AAAAC3NzaC1lZDI1NTE5AAAAIAa33Xtpvzp2qb79CHmeTtxKO89Nab3we0Yte35fTrrh");
        let parsed = deployer::manifest::parse(&text, "README.md", "/shop".into(), Some("/home/user".into()));
        assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
    }
}

#[test]
fn the_example_manifests_are_valid() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).expect("examples/") {
        let path = entry.expect("an entry").path().join("deployment.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let parsed = deployer::manifest::parse(&text, "deployment.yaml", "/shop".into(), Some("/home/user".into()));
        assert!(parsed.is_ok(), "{}: {:?}", path.display(), parsed.err());
        seen += 1;
    }
    assert!(seen > 0, "there are examples");
}

#[test]
fn every_command_in_the_readme_exists() {
    let readme = readme();
    let command = deployer::cli::command();
    let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let section = readme.split("## Commands").nth(1).and_then(|rest| rest.split("###").next()).expect("a section");
    let listed: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split('|').next().unwrap_or_default().split('`').step_by(2))
        .filter(|word| !word.is_empty())
        .collect();
    for name in &listed {
        assert!(known.contains(name), "the README lists {name}");
    }
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name);
    for name in visible.filter(|name| *name != "help") {
        assert!(listed.contains(&name), "the README lacks {name}");
    }
}

#[test]
fn the_changelog_begins_with_what_is_unreleased() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md");
    let changelog = std::fs::read_to_string(path).expect("CHANGELOG.md is there");
    let first = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("a section");
    assert_eq!(first, "[Unreleased]");
}

/// The documents for contributors.
const DOCUMENTS: [&str; 3] = ["CONTRIBUTING.md", "docs/architecture.md", "docs/style.md"];

/// The beginnings of paths below the root. Paths in the text begin so, or end like a source or a document.
const TOPS: [&str; 7] = ["src/", "tests/", "docs/", "schemas/", "examples/", "templates/", ".github/"];
const ENDS: [&str; 3] = [".rs", ".md", ".toml"];

fn below_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the text of a document without its diffs, and the diffs.
fn document(name: &str) -> (String, Vec<String>) {
    let whole = std::fs::read_to_string(below_root(name)).expect(name);
    let mut parts = whole.split("```diff\n");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut diffs = Vec::new();
    for part in parts {
        let (diff, rest) = part.split_once("```\n").expect("the end of a diff");
        diffs.push(diff.to_owned());
        text += rest;
    }
    (text, diffs)
}

/// Returns the words of a text that name a file or a folder, each with the item that it names in the file:
/// `src/plan/mod.rs::order`.
fn paths(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let words = text.split(|c: char| !c.is_alphanumeric() && !"_-./:".contains(c));
    let words = words.filter(|word| !word.contains("//")).map(|word| word.trim_end_matches(['.', ':']));
    let parts = words.map(|word| word.split_once("::").map_or((word, None), |(path, item)| (path, Some(item))));
    parts.filter(|(path, _)| TOPS.iter().any(|top| path.starts_with(top)) || ENDS.iter().any(|end| path.ends_with(end)))
}

/// Returns the files that a path may mean: below the root, next to the document, or with that name anywhere in `src`.
fn meant(document: &str, path: &str) -> Vec<PathBuf> {
    let sources = walkdir::WalkDir::new(below_root("src")).into_iter().filter_map(Result::ok);
    let named =
        sources.map(walkdir::DirEntry::into_path).filter(|source| !path.contains('/') && source.ends_with(path));
    let direct = [below_root(path), below_root(document).with_file_name(path)];
    direct.into_iter().filter(|path| path.exists()).chain(named).collect()
}

/// Returns true if a file defines the item.
fn defines(file: &Path, item: &str) -> bool {
    let source = std::fs::read_to_string(file).unwrap_or_default();
    let words: Vec<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    words.windows(2).any(|pair| ["fn", "struct", "enum"].contains(&pair[0]) && pair[1] == item)
}

#[test]
fn the_paths_in_documents_for_contributors_exist() {
    let (mut missing, mut seen) = (Vec::new(), 0);
    for name in DOCUMENTS {
        for (path, item) in paths(&document(name).0) {
            if !meant(name, path).iter().any(|file| item.is_none_or(|item| defines(file, item))) {
                missing.push(format!("{name}: {path} {}", item.unwrap_or_default()));
            }
            seen += 1;
        }
    }
    assert!(missing.is_empty(), "these do not exist:\n{}", missing.join("\n"));
    assert!(seen > 80, "the paths were found");
}

#[test]
fn the_workflow_tests_the_oldest_rust() {
    let workflow = std::fs::read_to_string(below_root(".github/workflows/ci.yml")).expect("the workflow");
    let oldest = format!("rust: [stable, \"{}\"]", env!("CARGO_PKG_RUST_VERSION"));
    assert!(workflow.contains(&oldest), "the workflow lacks {oldest}");
}

#[tokio::test]
async fn the_diffs_for_contributors_apply() {
    let diffs = document("CONTRIBUTING.md").1;
    assert_eq!(diffs.len(), 3, "each recipe has a diff");
    for diff in diffs {
        // A contributor who tries a recipe has applied its diff.
        if !applies(&["--check", "--reverse"], &diff).await.is_empty() {
            assert_eq!(applies(&["--check"], &diff).await, "");
        }
    }
}

/// Returns what Git reports if a diff does not apply.
async fn applies(options: &[&str], diff: &str) -> String {
    let command: Vec<String> = ["git", "apply"].iter().chain(options).map(ToString::to_string).collect();
    let finished = process::run(&command, diff.as_bytes(), Duration::from_mins(1)).await.expect("git starts");
    if finished.status.success() { String::new() } else { String::from_utf8_lossy(&finished.stderr).into_owned() }
}
