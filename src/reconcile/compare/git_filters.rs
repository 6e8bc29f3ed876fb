//! Finds tracked files that Git's filters and attributes change between an object and the disk. The author of a change
//! chooses the attributes.

use super::git_commands::Repository;
use super::git_tree::Entry;
use super::working_tree::cannot;
use crate::model::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that let Git change a file between its object and the disk.
const CHANGING: [&str; 5] = ["filter", "working-tree-encoding", "ident", "eol", "text"];

impl Repository {
    /// Returns the files that a filter of this machine may have made, with a key or a token and so from more than the
    /// commit, and the remarks to print about them. Uses the attributes on the disk and those of the index, which a
    /// checkout uses.
    pub(super) async fn filtered(&self, files: &BTreeMap<String, Entry>) -> Result<BTreeMap<String, String>, Failure> {
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let set_up = self.filters().await?;
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        let input = paths.join("\0");
        let (mut filters, mut others): (BTreeMap<String, String>, BTreeMap<String, BTreeSet<String>>) =
            Default::default();
        for source in [&[][..], &["--cached"]] {
            let words: Vec<&str> =
                ["check-attr", "-z", "--stdin"].iter().chain(source).chain(&CHANGING).copied().collect();
            let printed = self.run(&words, input.as_bytes()).await?.map_err(cannot)?;
            let fields: Vec<String> =
                printed.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            for answer in fields.chunks_exact(3) {
                let [path, attribute, value] = answer else { continue };
                if attribute == "filter" && set_up.contains(value) {
                    filters.insert(path.clone(), value.clone());
                } else if attribute != "filter" && !matches!(value.as_str(), "unspecified" | "unset") {
                    others.entry(path.clone()).or_default().insert(format!("{attribute}={value}"));
                }
            }
        }
        let told = |(path, filter): (String, String)| {
            let also = others.get(&path).map(|others| others.iter().cloned().collect::<Vec<_>>().join(" "));
            let also = also.map_or(String::new(), |also| format!(", and changed by {also}"));
            (path, format!("not compared: it is made by the filter {filter}{also}"))
        };
        Ok(filters.into_iter().map(told).collect())
    }

    /// Returns the names of the filters that this machine applies to files that it checks out.
    async fn filters(&self) -> Result<BTreeSet<String>, Failure> {
        let words = ["config", "-z", "--get-regexp", r"^filter\..*\.(smudge|process)$"];
        // Git fails if there is none.
        let printed = self.text(&words).await?.unwrap_or_default();
        let name = |entry: &str| {
            let (key, _) = entry.split_once('\n').filter(|(_, command)| !command.is_empty())?;
            Some(key.strip_prefix("filter.")?.rsplit_once('.')?.0.to_owned())
        };
        Ok(printed.split('\0').filter_map(name).collect())
    }
}
