//! Files below a directory of this machine, opened and made without following a link in any component. The directory
//! itself is what somebody named: it may be a link.

use camino::{Utf8Component, Utf8Path};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, mkdirat, openat, unlinkat};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a regular file for reading. Returns at once for a pipe or a device, which is refused.
pub fn open(root: &Utf8Path, path: &Utf8Path) -> io::Result<File> {
    let (above, name) = split(path)?;
    let mut directory = openat(CWD, root.as_std_path(), DIRECTORY, Mode::empty())?;
    for part in above {
        directory = enter(&directory, part)?;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(&directory, name, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Makes a file with exactly these permission bits, and the directories above it. A file or link of that name is
/// replaced, never written through.
pub fn create(root: &Utf8Path, path: &Utf8Path, mode: u32) -> io::Result<File> {
    let (above, name) = split(path)?;
    std::fs::create_dir_all(root)?;
    let mut directory = openat(CWD, root.as_std_path(), DIRECTORY, Mode::empty())?;
    for part in above {
        match mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        directory = enter(&directory, part)?;
    }
    match unlinkat(&directory, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, name, flags, Mode::from_raw_mode(0o600))?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    Ok(File::from(file))
}

fn enter(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    openat(directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| match error {
        // A link with O_DIRECTORY and O_NOFOLLOW is "not a directory" on Linux and a loop elsewhere.
        rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
            io::Error::new(io::ErrorKind::NotADirectory, format!("{name} is a link or not a directory"))
        }
        error => error.into(),
    })
}

/// The directories on the way to a file, and its name.
fn split(path: &Utf8Path) -> io::Result<(Vec<&str>, &str)> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Utf8Component::Normal(name) => parts.push(name),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is not a path below"))),
        }
    }
    let name = parts.pop().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path is empty"))?;
    Ok((parts, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn directory() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    #[test]
    fn no_component_is_followed_and_only_regular_files_are_opened() {
        let (_guard, root) = directory();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::write(root.join("real/deep/file"), "text").unwrap();
        symlink("real", root.join("directory")).unwrap();
        symlink("real/deep/file", root.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let fifo = std::ffi::CString::new(root.join("fifo").as_str()).unwrap();
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let mut text = String::new();
        open(&root, "real/deep/file".into()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for wrong in ["directory/deep/file", "link", "fifo", "socket", "real", "../x", "/etc/passwd", ""] {
            assert!(open(&root, wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_made_replaces_a_link_and_is_never_written_through_one() {
        let (_guard, root) = directory();
        std::fs::write(root.join("victim"), "untouched").unwrap();
        std::fs::create_dir(root.join("elsewhere")).unwrap();
        symlink("victim", root.join("file")).unwrap();
        symlink("elsewhere", root.join("directory")).unwrap();
        create(&root, "file".into(), 0o600).unwrap().write_all(b"new").unwrap();
        create(&root, "a/b/c".into(), 0o755).unwrap().write_all(b"new").unwrap();
        let error = create(&root, "directory/file".into(), 0o644).unwrap_err();
        assert!(error.to_string().contains("directory is a link"), "{error}");
        assert_eq!(std::fs::read_to_string(root.join("victim")).unwrap(), "untouched");
        assert_eq!(std::fs::read_dir(root.join("elsewhere")).unwrap().count(), 0);
        let mode = |path: &str| std::fs::symlink_metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("file"), mode("a/b/c")), (0o600, 0o755));
    }
}
