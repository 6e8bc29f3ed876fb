//! Each case below `tests/cases` begins with a line `# proves: RULE`, which says in one sentence what the case is for.
//! Reads only that line: the tests of each folder read the rest.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use globset::{GlobBuilder, GlobMatcher};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LINE: &str = "# proves: ";

/// The case files. Every other file belongs to a case next to it or above it.
const CASES: [&str; 12] = [
    "application/*/case.yaml",
    "compose-invalid/*/compose.yaml",
    "compose-spec/*/{compose,docker-compose}.{yaml,yml}",
    "import/*.json",
    "manifest/*/*.yaml",
    "smoke/*.txt",
    "step/*.txt",
    "step/*/*.txt",
    "step/models/*.json",
    "store/*.sql",
    "{ssh,sudo}/*.txt",
    "tofu/*.{lines,plan}",
];

/// Cases without the line, each with the reason.
const WITHOUT: [(&str, &str); 13] = [
    ("compose-spec/json/*", "JSON has no comments"),
    ("compose-spec/yaml-forms/*", "a YAML directive comes first"),
    ("import/*", "JSON has no comments"),
    ("manifest/*/{bom-and-crlf,crlf-and-mark}.yaml", "a byte order mark comes first"),
    ("manifest/*/empty.yaml", "an empty file has no line"),
    ("manifest/*/{end-mark,null-document}.yaml", "a document marker comes first"),
    ("manifest/*/{json,json-missing}.yaml", "JSON has no comments"),
    ("manifest/invalid/not-utf8.yaml", "editors change bytes that are not UTF-8"),
    ("smoke/nothing.txt", "an empty file has no line"),
    ("step/models/*", "JSON has no comments"),
    ("store/*", "the file of an old version is never edited"),
    ("{ssh,sudo}/*", "the expected reason comes first"),
    ("tofu/*", "JSON has no comments"),
];

fn matcher(pattern: &str) -> GlobMatcher {
    GlobBuilder::new(pattern).literal_separator(true).build().unwrap().compile_matcher()
}

/// Returns the path of each case below `tests/cases`, with the rule in its first line.
fn cases() -> BTreeMap<PathBuf, Option<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let patterns = CASES.map(matcher);
    let entries = walkdir::WalkDir::new(&root).into_iter().map(|entry| entry.unwrap().into_path());
    let rule = |path: &Path| {
        let text = fs::read(path).unwrap();
        let line = text.split(|byte| *byte == b'\n').next()?.strip_prefix(LINE.as_bytes())?;
        Some(String::from_utf8(line.to_owned()).unwrap())
    };
    let below = |path: PathBuf| {
        let below = path.strip_prefix(&root).unwrap().to_owned();
        patterns.iter().any(|pattern| pattern.is_match(&below)).then(|| (below, rule(&path)))
    };
    entries.filter(|path| path.is_file()).filter_map(below).collect()
}

#[test]
fn each_case_says_which_rule_it_proves() {
    let excepted = WITHOUT.map(|(pattern, _)| matcher(pattern));
    let mut wrong = Vec::new();
    let mut rules = BTreeMap::new();
    for (path, rule) in cases() {
        let shown = path.display();
        let Some(rule) = rule else {
            if !excepted.iter().any(|pattern| pattern.is_match(&path)) {
                wrong.push(format!("{shown} does not begin with `{LINE}RULE`"));
            }
            continue;
        };
        if rule.split_whitespace().count() < 4 || rule.ends_with('.') {
            wrong.push(format!("{shown}: `{rule}` must be a sentence, without a full stop"));
        }
        if let Some(other) = rules.insert(rule, path.clone()) {
            wrong.push(format!("{shown} proves the same rule as {}", other.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_exception_is_needed() {
    let cases = cases();
    for (pattern, reason) in WITHOUT {
        let matcher = matcher(pattern);
        let excepted: Vec<_> = cases.iter().filter(|(path, _)| matcher.is_match(path)).collect();
        assert!(!excepted.is_empty(), "No case matches {pattern} ({reason})");
        assert!(excepted.iter().all(|(_, rule)| rule.is_none()), "{pattern} has the line ({reason})");
    }
}

#[test]
fn each_folder_has_cases() {
    let first = |path: &Path| path.components().next().unwrap().as_os_str().to_owned();
    let covered: BTreeSet<_> = cases().keys().map(|path| first(path)).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        entry.path().is_dir().then(|| entry.file_name())
    };
    let found: BTreeSet<_> = fs::read_dir(root).unwrap().filter_map(folder).collect();
    assert_eq!(found, covered, "CASES names the case files of each folder");
}
