//! Writes an environment's root module into its directory, readable only by its owner. Removes only files that are
//! OpenTofu configuration or that an earlier run wrote.

use crate::io::scratch::SecretFile;
use crate::model::failure::{Failure, Reason};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

/// The backend block that sends the state to us.
pub const BACKEND: (&str, &str) = ("deployer_backend.tf.json", r#"{"terraform":{"backend":{"http":{}}}}"#);
/// Directory of our own files, which are not part of the module.
const OWN: &str = ".deployer";
/// File name suffixes that OpenTofu loads by itself.
const READ: [&str; 6] = [".tf", ".tf.json", ".tofu", ".tofu.json", ".tfvars", ".tfvars.json"];

/// An environment's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkingDirectory {
    /// Root module and working directory of OpenTofu.
    pub path: Utf8PathBuf,
}

impl WorkingDirectory {
    /// Opens the directory. Creates it if it does not exist.
    pub fn open(directory: &Utf8Path) -> Result<Self, Failure> {
        let path = camino::absolute_utf8(directory).map_err(|error| cannot(directory, error))?;
        let private = fs::Permissions::from_mode(0o700);
        let made = make(&path.join(OWN)).and_then(|()| fs::set_permissions(&path, private));
        made.map_err(|error| cannot(&path, error))?;
        Ok(Self { path })
    }

    /// Returns the path of one of our own files.
    #[must_use]
    pub fn own(&self, name: &str) -> Utf8PathBuf {
        self.path.join(OWN).join(name)
    }

    /// Returns OpenTofu's data directory.
    #[must_use]
    pub fn data(&self) -> Utf8PathBuf {
        self.path.join(".terraform")
    }

    /// Returns the path of the dependency lock file, which records the chosen providers.
    #[must_use]
    pub fn lock_file(&self) -> Utf8PathBuf {
        self.path.join(".terraform.lock.hcl")
    }

    /// Writes the files of the module. Removes files of an earlier run that are no longer listed.
    pub fn write_module(&self, files: &BTreeMap<String, String>, own_backend: bool) -> Result<(), Failure> {
        let mut wanted: BTreeMap<&str, &str> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        if own_backend {
            wanted.insert(BACKEND.0, BACKEND.1);
        }
        if let Some(name) = wanted.keys().find(|name| !is_below(name)) {
            return Err(Failure::new(Reason::ApplicationInvalid, format!("The file {name:?} is not below its module")));
        }
        self.replace(&wanted).map_err(|error| cannot(&self.path, error))
    }

    fn replace(&self, wanted: &BTreeMap<&str, &str>) -> io::Result<()> {
        let listing = self.own("files");
        let before = match fs::read_to_string(&listing) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let mut unwanted: BTreeSet<String> = before.lines().map(str::to_owned).collect();
        for entry in self.path.read_dir_utf8()? {
            let name = entry?.file_name().to_owned();
            if READ.iter().any(|end| name.ends_with(end)) {
                unwanted.insert(name);
            }
        }
        // Write the list before the files, so that a crash leaves no unlisted file behind.
        let names: String = wanted.keys().flat_map(|name| [*name, "\n"]).collect();
        write(&listing, &format!("{before}{names}"))?;
        for name in unwanted.iter().filter(|name| is_below(name) && !wanted.contains_key(name.as_str())) {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for (name, text) in wanted {
            write(&self.path.join(name), text)?;
        }
        write(&listing, &names)
    }
}

fn is_below(name: &str) -> bool {
    !name.is_empty()
        && Utf8Path::new(name).components().all(|part| matches!(part, camino::Utf8Component::Normal(_)))
        && !name.starts_with(OWN)
        && !name.contains('\n')
}

fn make(directory: &Utf8Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Replaces a file atomically, unless it already has this content.
pub(super) fn write(path: &Utf8Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
    let folder = path.parent().unwrap_or(path);
    make(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Creates an empty file that only its owner can read.
pub(super) fn fresh(path: &Utf8Path) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Do not truncate the old file: an earlier process may still write to it.
    let _ = fs::remove_file(path);
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(|error| cannot(path, error))
}

/// Creates an empty file in memory that ends with this process, in place of an existing one. Returns it open for
/// writing.
pub(super) fn in_memory(path: &Utf8Path) -> Result<(SecretFile, File), Failure> {
    let _ = fs::remove_file(path);
    let file = SecretFile::place(path.as_std_path(), b"").map_err(|error| cannot(path, error))?;
    let open = File::options().write(true).open(path).map_err(|error| cannot(path, error))?;
    Ok((file, open))
}

pub(super) fn cannot(path: &Utf8Path, error: io::Error) -> Failure {
    Failure::new(Reason::StateUnusable, format!("OpenTofu's working directory {path} cannot be used"))
        .because(error)
        .hint("Check its permissions and the free space on its disk")
}
