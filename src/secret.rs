//! Values that cannot be printed or stored, and where they are read from. Never derives `Debug` or
//! `Serialize` for a value; `secrecy` wipes it when it is dropped.

use camino::Utf8PathBuf;

/// Where a value comes from, and whether it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the manifest: shown freely when `secret` is false.
    Literal {
        /// The value.
        value: String,
        /// Whether it is treated as a secret all the same.
        secret: bool,
    },
    /// An environment variable of the runner.
    Environment {
        /// Its name.
        name: String,
        /// False for `secret: false`.
        secret: bool,
    },
    /// A file of the runner; one trailing newline is dropped.
    File {
        /// Absolute path.
        path: Utf8PathBuf,
        /// False for `secret: false`.
        secret: bool,
    },
    /// Standard output of a command, started without a shell, 30 s; one trailing newline is dropped.
    Command {
        /// The command and its arguments.
        argv: Vec<String>,
        /// False for `secret: false`.
        secret: bool,
    },
}
