//! Types of objects on a host under the paths of a release, and their values as facts.

use super::value::value;
use crate::resource::contract::record::DigestKey;

/// Object on the host under a path of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHost {
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// SHA-256 of the content.
        sha256: [u8; 32],
    },
    /// An object that is never opened.
    Other(Obstacle),
}

/// Object in the place of a file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A file that could not be read to its end, such as an endless file.
    Unread,
    /// A file with a size that none of the releases gave it, so the file was not read.
    OtherSize,
    /// The time limit was reached before the object was read.
    Late,
    /// The path leads through a symbolic link.
    ThroughLink,
    /// The path leads through something other than a directory.
    ThroughFile,
}

impl Obstacle {
    /// Reads `st_mode`, as defined in inode(7).
    pub(super) const fn of_mode(mode: u32) -> Self {
        match mode >> 12 {
            0xa => Self::Link,
            0x4 => Self::Directory,
            0x1 => Self::Pipe,
            0xc => Self::Socket,
            0x2 | 0x6 => Self::Device,
            _ => Self::Unread,
        }
    }

    /// Returns true for what may be a regular file that was not read.
    pub(super) const fn may_be_regular(self) -> bool {
        matches!(self, Self::Unread | Self::OtherSize | Self::Late)
    }

    /// Returns the fact's value.
    const fn name(self) -> &'static str {
        match self {
            Self::Link => "a symbolic link",
            Self::Directory => "a directory",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unread => "a file that cannot be read",
            Self::OtherSize => "a file of another size",
            Self::Late => "not read in time",
            Self::ThroughLink => "below a symbolic link",
            Self::ThroughFile => "below something other than a directory",
        }
    }
}

impl OnHost {
    /// Returns the value for the paths below this object.
    pub(super) const fn passed(self) -> Self {
        Self::Other(if matches!(self, Self::Other(Obstacle::Link)) {
            Obstacle::ThroughLink
        } else {
            Obstacle::ThroughFile
        })
    }

    /// Returns the fact's value: mode and digest of a file, keyed if its content is secret.
    pub(super) fn value(self, key: Option<&DigestKey>) -> String {
        match self {
            Self::File { mode, sha256 } => value(mode, &sha256, key),
            Self::Other(obstacle) => obstacle.name().to_owned(),
        }
    }
}
