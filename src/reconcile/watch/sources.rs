//! The files on the runner that environments are made from, and one digest of their content. A file whose times, size
//! and inode are unchanged is not read again.

use crate::manifest::below;
use crate::manifest::environment::{Environment, Identity, Source};
use crate::manifest::scope::{self, OURS};
use crate::manifest::tracker::Issuer;
use crate::model::digest::Digest;
use crate::model::secret::SecretSource;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// The files and directories that an environment is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Single files.
    pub files: BTreeSet<Utf8PathBuf>,
    /// Directories, with all their content.
    pub trees: BTreeSet<Utf8PathBuf>,
}

/// Returns the sources of an environment besides the manifest.
#[must_use]
pub fn of(environment: &Environment) -> Sources {
    let mut sources = Sources::default();
    let identity = environment.ssh.identity.as_ref().and_then(|identity| match identity {
        Identity::Secret(source) => Some(source),
        Identity::File(_) => None,
    });
    let mut secrets: Vec<&SecretSource> = identity.into_iter().chain(&environment.ssh.sudo_password).collect();
    if let Some(application) = &environment.application {
        match &application.source {
            Source::Compose(compose) => _ = sources.trees.insert(compose.directory.clone()),
            Source::Tracker(tracker) => {
                // A templates directory that is created later is found by the next pass.
                sources.trees.extend(tracker.templates.is_dir().then(|| tracker.templates.clone()));
                if let Some(Issuer::Acme { root: Some(root), .. }) = tracker.tls.as_ref().map(|tls| &tls.issuer) {
                    sources.files.insert(root.clone());
                }
            }
        }
        sources.files.extend(application.archives.values().cloned());
        secrets.extend(application.variables.values());
    }
    sources.files.extend(secrets.into_iter().filter_map(|source| match source {
        SecretSource::File { path, .. } => Some(path.clone()),
        _ => None,
    }));
    sources
}

/// Returns true if the path may be a file that a user wrote, as opposed to files that deployer or Git keep.
#[must_use]
pub fn matters(path: &Utf8Path) -> bool {
    !scope::belongs_to_us(path)
}

/// The known digests of files that were read.
#[derive(Debug, Default)]
pub struct Prints {
    known: BTreeMap<Utf8PathBuf, (Look, blake3::Hash)>,
}

/// The metadata that changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Look {
    fn from(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl Prints {
    /// Returns one digest of names, contents, and of who may read and run the files. A missing file counts as missing.
    pub fn digest(&mut self, sources: &Sources) -> blake3::Hash {
        let mut digest = Digest::default();
        for file in &sources.files {
            self.feed(&mut digest, file);
        }
        for tree in &sources.trees {
            let entries = walkdir::WalkDir::new(tree).follow_links(true).sort_by_file_name().min_depth(1);
            let root = tree.canonicalize_utf8().unwrap_or_else(|_| tree.clone());
            // A linked directory outside the tree is not read: such a link is refused later, and may lead to a whole
            // disk.
            let outside = |entry: &walkdir::DirEntry| {
                entry.path_is_symlink()
                    && entry.file_type().is_dir()
                    && entry.path().canonicalize().is_ok_and(|real| !real.starts_with(&root))
            };
            // Links can lead to one directory by very many paths.
            let (mut seen, mut links) = (BTreeSet::new(), Digest::default());
            let mut again = |entry: &walkdir::DirEntry| {
                let found = entry.metadata().ok().filter(|_| entry.file_type().is_dir());
                found.is_some_and(|found| !seen.insert((found.dev(), found.ino())))
            };
            let kept = |entry: &walkdir::DirEntry| {
                if OURS.iter().any(|name| entry.file_name() == *name) || outside(entry) {
                    return false;
                }
                if let Ok(target) = entry.path().read_link() {
                    links.part(entry.path().as_os_str().as_encoded_bytes()).part(target.as_os_str().as_encoded_bytes());
                }
                !again(entry)
            };
            for entry in entries.into_iter().filter_entry(kept) {
                let path = match &entry {
                    Ok(entry) if entry.file_type().is_dir() => continue,
                    Ok(entry) => Some(entry.path()),
                    // For a broken link or a loop, only the name is known.
                    Err(error) => error.path(),
                };
                if let Some(path) = path.and_then(Utf8Path::from_path) {
                    self.feed(&mut digest, path);
                }
            }
            digest.part(links.finish().as_bytes());
        }
        digest.finish()
    }

    fn feed(&mut self, digest: &mut Digest, path: &Utf8Path) {
        let data = std::fs::metadata(path).ok().filter(Metadata::is_file);
        let content = data.as_ref().and_then(|data| self.content(path, data));
        let (executable, open) =
            data.map_or((false, false), |data| (data.mode() & 0o111 != 0, data.mode() & (0o070 | 0o007) != 0));
        let content = content.as_ref().map_or(&[][..], |hash| hash.as_bytes());
        digest.part(path.as_str()).part([u8::from(executable), u8::from(open)]).part(content);
    }

    fn content(&mut self, path: &Utf8Path, data: &Metadata) -> Option<blake3::Hash> {
        let look = Look::from(data);
        if let Some((known, hash)) = self.known.get(path)
            && *known == look
        {
            return Some(*hash);
        }
        let hash = read(path).ok()?;
        self.known.insert(path.to_owned(), (look, hash));
        Some(hash)
    }
}

fn read(path: &Utf8Path) -> std::io::Result<blake3::Hash> {
    let file = below::regular(path)?;
    let size = file.metadata()?.len();
    // Bytes that are appended during the read belong to the next digest.
    let (mut file, mut hasher, mut block) = (file.take(size), blake3::Hasher::new(), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finalize()),
            length => hasher.update(&block[..length]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_stack_is_made_from_its_own_templates_and_its_issuers_root() {
        let folder = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(folder.path()).unwrap();
        let text = "version: 1\nproject: t\nenvironments:\n  a:\n    registered: { address: a.example.com }\n    application:\n      \
                    tracker:\n        http: [{ port: 1, domain: t.example.com, tls: true }]\n        \
                    tls: { issuer: { acme: \"https://acme.example.com/dir\", root: ./root.pem } }\n";
        let found = || {
            let manifest = crate::manifest::parse(text, "deployment.yaml", base, None).unwrap();
            of(manifest.environments.values().next().unwrap())
        };
        assert_eq!(found(), Sources { files: [base.join("root.pem")].into(), trees: BTreeSet::new() });
        fs::create_dir_all(base.join("templates/tracker")).unwrap();
        assert_eq!(found().trees, [base.join("templates/tracker")].into());
    }

    #[test]
    fn only_content_names_and_executable_bits_count() {
        let folder = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(folder.path()).unwrap();
        let app = base.join("app");
        fs::create_dir(&app).unwrap();
        fs::write(app.join("page"), "one").unwrap();
        fs::write(base.join("image.tar"), "layers").unwrap();
        let sources = Sources { files: [base.join("image.tar")].into(), trees: [app.clone()].into() };
        let mut prints = Prints::default();
        let first = prints.digest(&sources);
        assert_eq!(prints.digest(&sources), first);

        // The file is saved with the same content, by an editor that renames.
        fs::write(app.join("new"), "one").unwrap();
        fs::rename(app.join("new"), app.join("page")).unwrap();
        // These are files that deployer and Git keep there.
        fs::create_dir(app.join(".git")).unwrap();
        fs::write(app.join(".git/index"), "x").unwrap();
        assert_eq!(prints.digest(&sources), first);

        let mut differs = |what: &str| assert_ne!(prints.digest(&sources), first, "{what}");
        fs::write(app.join("page"), "two").unwrap();
        differs("content");
        fs::write(app.join("page"), "one").unwrap();
        fs::set_permissions(app.join("page"), fs::Permissions::from_mode(0o755)).unwrap();
        differs("mode");
        fs::set_permissions(app.join("page"), fs::Permissions::from_mode(0o600)).unwrap();
        differs("closed to all but its owner");
        fs::set_permissions(app.join("page"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(app.join("more"), "").unwrap();
        differs("another file");
        fs::rename(app.join("more"), app.join("else")).unwrap();
        symlink("nowhere", app.join("else2")).unwrap();
        differs("a broken link");
        fs::remove_file(app.join("else")).unwrap();
        fs::remove_file(app.join("else2")).unwrap();
        fs::write(base.join("image.tar"), "other").unwrap();
        differs("an archive");
        fs::write(base.join("image.tar"), "layers").unwrap();

        // A new directory with the same content replaces the old one.
        fs::rename(&app, base.join("old")).unwrap();
        differs("no directory");
        fs::create_dir(&app).unwrap();
        fs::write(app.join("page"), "one").unwrap();
        assert_eq!(prints.digest(&sources), first);
    }
}
