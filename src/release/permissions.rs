//! Permission bits: how they are read on this machine, and which ones a file gets on the host. Pure.

/// Says whether only the owner has rights.
pub const fn is_private(mode: u32) -> bool {
    // Nothing for the group and nothing for others.
    mode & (0o070 | 0o007) == 0
}

/// The permission bits that a file has on the host: those of its owner alone where nobody else has any here.
pub const fn mode(mode: u32) -> u32 {
    if is_private(mode) {
        0o400 | mode & 0o700
    } else if mode & 0o111 != 0 {
        0o755
    } else {
        0o644
    }
}
