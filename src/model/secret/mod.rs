//! Values that cannot be printed or stored, and where the manifest says they come from. No value derives `Debug` or
//! `Serialize`; `secrecy` wipes it when it is dropped.

mod forms;
mod redactor;

pub use redactor::Redactor;

use camino::Utf8PathBuf;
use secrecy::SecretString;

/// Where a value comes from, and whether it is secret.
#[derive(Clone, PartialEq, Eq)]
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

/// The value of one variable of the manifest.
#[derive(Clone)]
pub struct Variable {
    /// The value; `None` where its source was not asked or gave none (offline, check).
    pub value: Option<SecretString>,
    /// Whether it must not be shown.
    pub secret: bool,
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = match self {
            Self::Literal { value, secret: false } => return write!(f, "{value:?}"),
            Self::Literal { secret, .. } => {
                f.write_str("literal")?;
                secret
            }
            Self::Environment { name, secret } => {
                write!(f, "from_env {name}")?;
                secret
            }
            Self::File { path, secret } => {
                write!(f, "from_file {path}")?;
                secret
            }
            Self::Command { argv, secret } => {
                write!(f, "from_command {argv:?}")?;
                secret
            }
        };
        if *secret { f.write_str(" (secret)") } else { Ok(()) }
    }
}

/// A resolved value.
#[derive(Clone)]
pub struct Value {
    /// The text; may be empty.
    pub text: SecretString,
    /// Whether it must not be shown.
    pub secret: bool,
}
