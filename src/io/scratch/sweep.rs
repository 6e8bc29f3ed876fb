//! Removes the directories that dead processes left behind. Leaves directories alone that are not ours or whose owner
//! is alive.

use super::{LOCK, PREFIX, places};
use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use std::fs::{self, File};
use std::path::Path;

/// Removes the temporary directories that dead processes of this user left behind. Ignores directories that cannot be
/// removed.
pub fn sweep() {
    for base in places() {
        sweep_in(&base);
    }
}

fn sweep_in(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && let Some(_lock) = abandoned(&entry.path())
        {
            // Follows no link, not even one that replaces the directory in a race.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns the lock of one of our directories whose owner has ended. A directory without a lock file was made by
/// another program.
fn abandoned(path: &Path) -> Option<File> {
    let directory = open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let about = fstat(&directory).ok()?;
    if about.st_uid != rustix::process::geteuid().as_raw() || about.st_mode & 0o777 != 0o700 {
        return None;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = openat(&directory, LOCK, flags, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&lock).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let lock = File::from(lock);
    lock.try_lock().ok().map(|()| lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::scratch::Directory;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn only_what_a_dead_process_left_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let place = |name: &str| base.path().join(name);
        let restrict = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let make = |name: &str, mode| {
            fs::create_dir(place(name)).unwrap();
            fs::write(place(name).join(LOCK), "").unwrap();
            restrict(&place(name), mode);
        };
        let lives = Directory::new_in(base.path()).unwrap();
        make("deployer-dead", 0o700);
        let victim = tempfile::tempdir().unwrap();
        fs::write(victim.path().join("file"), "kept").unwrap();
        symlink(victim.path(), place("deployer-dead").join("link")).unwrap();
        make("other-dead", 0o700);
        // If other users can write to a directory, its lock proves nothing.
        make("deployer-open", 0o777);
        make("deployer-unlocked", 0o700);
        fs::remove_file(place("deployer-unlocked").join(LOCK)).unwrap();
        restrict(victim.path(), 0o700);
        fs::write(victim.path().join(LOCK), "").unwrap();
        symlink(victim.path(), place("deployer-link")).unwrap();
        symlink(victim.path().join(LOCK), place("deployer-unlocked").join(LOCK)).unwrap();

        sweep_in(base.path());
        assert!(!place("deployer-dead").exists());
        for name in ["other-dead", "deployer-open", "deployer-unlocked", "deployer-link"] {
            assert!(place(name).exists(), "{name}");
        }
        assert_eq!(fs::read_to_string(victim.path().join("file")).unwrap(), "kept");
        assert!(lives.path().join(LOCK).exists());

        // A process that is being spawned holds a copy of the lock for a moment.
        let path = lives.path().to_owned();
        let (directory, claim) = lives.into_parts();
        let kept = directory.keep();
        drop(claim);
        let begun = std::time::Instant::now();
        while kept.exists() && begun.elapsed() < std::time::Duration::from_secs(10) {
            sweep_in(base.path());
        }
        assert!(!path.exists());
    }
}
