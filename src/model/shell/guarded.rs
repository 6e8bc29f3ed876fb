//! Shell functions for work as root below a directory that services and other users may change. Our own scripts and the
//! backup script that a release sends share them.

/// Functions that read a claim of an environment.
pub const CLAIMED: &str = include_str!("claimed.sh");
/// Functions that enter a directory, and open and replace files in it, without following a link in any component.
pub const GUARD: &str = concat!(
    include_str!("claimed.sh"),
    include_str!("engine.sh"),
    include_str!("writable.sh"),
    include_str!("guard.sh")
);
/// Functions that find the paths that services can replace, and compare the mounts of containers. They come after
/// [`GUARD`].
pub const MOUNTED: &str = include_str!("mounted.sh");
