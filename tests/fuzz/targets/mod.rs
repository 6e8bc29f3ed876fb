//! The table of all parsers of foreign input.

mod host;
mod local;
mod network;
mod tofu;

use crate::Target;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns all targets.
pub fn all() -> Vec<Target> {
    [host::all(), local::all(), network::all(), tofu::all()].concat()
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, tokens: &[&str], run: fn(&[u8])) -> Target {
    assert!(!seeds.is_empty(), "{name} has no seed");
    Target { name, seeds, tokens: tokens.iter().map(ToString::to_string).collect(), run }
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Returns a path below `tests/cases`.
fn cases(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(below)
}

/// Returns all files below a directory of `tests/cases` with one of these extensions.
fn files(below: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let is_wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        path.is_file() && extensions.contains(&extension)
    };
    let mut found: Vec<PathBuf> =
        walkdir::WalkDir::new(cases(below)).into_iter().map(|entry| entry.unwrap().into_path()).collect();
    found.retain(is_wanted);
    found.sort();
    found
}

/// Returns the contents of those files.
fn read(below: &str, extensions: &[&str]) -> Vec<Vec<u8>> {
    files(below, extensions).into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
