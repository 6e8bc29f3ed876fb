//! Permission bits: tests of the bits on this machine, and the bits that a file gets on the host. Pure.

/// Returns true if only the owner has rights.
pub const fn is_private(mode: u32) -> bool {
    // Nothing for the group and nothing for others.
    mode & (0o070 | 0o007) == 0
}

/// Returns the permission bits of a file on the host: only the owner has rights there if only the owner has rights
/// here.
pub const fn mode(mode: u32) -> u32 {
    if is_private(mode) {
        0o400 | mode & 0o700
    } else if mode & 0o111 != 0 {
        0o755
    } else {
        0o644
    }
}
