//! The README's generated parts are up to date. `UPDATE=1 cargo test --test readme` generates them again. The test
//! fails for a README without these parts.

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
