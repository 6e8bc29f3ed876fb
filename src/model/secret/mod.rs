//! Values that must not be printed or stored, and their sources in the manifest. No value derives `Debug` or
//! `Serialize`. `secrecy` wipes a value when it is dropped.

mod forms;
mod redactor;

pub use redactor::Redactor;

use camino::Utf8PathBuf;
use secrecy::SecretString;

/// Source of a value, and whether the value is secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A value written in the manifest, which is shown if `secret` is false.
    Literal {
        /// The value.
        value: String,
        /// True if the value is nevertheless treated as a secret.
        secret: bool,
    },
    /// An environment variable of the runner.
    Environment {
        /// The variable's name.
        name: String,
        /// False for `secret: false`.
        secret: bool,
    },
    /// A file of the runner. One trailing newline is dropped.
    File {
        /// Absolute path.
        path: Utf8PathBuf,
        /// False for `secret: false`.
        secret: bool,
    },
    /// Standard output of a command, which is started without a shell and may take 30 s. One trailing newline is
    /// dropped.
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
    /// The value; `None` if its source was not read or gave none (offline, check).
    pub value: Option<SecretString>,
    /// True if the value must not be shown.
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

/// Resolved value.
#[derive(Clone)]
pub struct Value {
    /// The text, which may be empty.
    pub text: SecretString,
    /// True if the value must not be shown.
    pub secret: bool,
}
