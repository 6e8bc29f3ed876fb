//! Digests of the inputs that the manifest only names and that OpenTofu reads on the runner: templates, the files of a
//! module, the values of secrets. A saved plan is bound to them.

use super::Machine;
use crate::manifest::below;
use crate::manifest::provision::{self, Module, ModuleSource, Provision};
use crate::model::digest::Digest;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::io;

/// Directories that OpenTofu and Git make.
const MADE: [&str; 2] = [".git", ".terraform"];
/// The values that deployer passes to a template: the manifest's own, and keys that are made for a new machine.
const VALUES: &str = "terraform.tfvars.json";
/// The beginning of the names of variables that hold secrets of the manifest.
const SECRET: &str = "TF_VAR_secret_";

impl Machine {
    /// Returns each of these inputs by a name for messages, with a digest.
    ///
    /// # Errors
    /// A file of the module cannot be read.
    pub fn bound(&self, provision: &Provision) -> io::Result<BTreeMap<String, String>> {
        let digest = |text: &str| blake3::hash(text.as_bytes()).to_string();
        let mut bound = BTreeMap::new();
        match &provision.machine {
            provision::Machine::Module(Module { source: ModuleSource::Directory(directory), .. }) => {
                bound.insert("the files of the module".to_owned(), tree(directory)?);
            }
            provision::Machine::Module(_) => {}
            _ => {
                let files = self.work.files.iter().filter(|(name, _)| *name != VALUES);
                bound.extend(files.map(|(name, text)| (format!("template {name}"), digest(text))));
            }
        }
        for (name, value) in &self.work.variables {
            if let Some(name) = name.strip_prefix(SECRET) {
                bound.insert(format!("variable {name} of the module"), digest(value.expose_secret()));
            }
        }
        Ok(bound)
    }
}

/// Returns a digest of the names and contents of all files below a directory.
fn tree(directory: &Utf8Path) -> io::Result<String> {
    let mut digest = Digest::default();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        let entries: io::Result<Vec<_>> = next.read_dir_utf8()?.collect();
        let mut paths: Vec<Utf8PathBuf> = entries?.into_iter().map(camino::Utf8DirEntry::into_path).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| !path.file_name().is_some_and(|name| MADE.contains(&name))) {
            digest.part(path.strip_prefix(directory).unwrap_or(&path).as_str());
            let kind = path.symlink_metadata()?.file_type();
            if kind.is_symlink() {
                digest.part(path.read_link_utf8()?.as_str());
            }
            // A link to a directory counts by its target alone.
            if kind.is_dir() {
                waiting.push(path);
            } else if path.is_file() {
                let mut content = blake3::Hasher::new();
                content.update_reader(below::regular(&path)?)?;
                digest.part(content.finalize().as_bytes());
            }
        }
    }
    Ok(digest.finish().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_module_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let put = |path: &str, text: &str| {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
            tree(root).unwrap()
        };
        let mut seen = std::collections::BTreeSet::new();
        for (path, text) in [("main.tf", "a"), ("main.tf", "b"), ("files/init.sh", "a"), ("files/init.sh", "b")] {
            assert!(seen.insert(put(path, text)), "{path} {text}");
        }
        assert!(!seen.insert(put(".terraform/providers/lock", "x")), "what OpenTofu makes does not count");
    }
}
