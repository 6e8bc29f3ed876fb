//! Values that cannot be printed or stored, and where they are read from. Never derives `Debug` or
//! `Serialize` for a value; `secrecy` wipes it when it is dropped.

use crate::failure::{Failure, Reason};
use crate::process::{self, Environment};
use camino::Utf8PathBuf;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use zeroize::Zeroize;

/// How long a command may take to tell a value.
const LIMIT: Duration = Duration::from_secs(30);
/// Shorter values are too common to be told from other text.
const SHORTEST: usize = 4;

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

/// Reads a value from its source.
///
/// # Errors
/// `SecretUnresolved`, naming the source, never the value or anything a command said. An empty value is none.
pub async fn resolve(source: &SecretSource) -> Result<Value, Failure> {
    let unresolved = |message: String| Failure::new(Reason::SecretUnresolved, message);
    match source {
        SecretSource::Literal { value, secret } => Ok(Value { text: value.clone().into(), secret: *secret }),
        SecretSource::Environment { name, secret } => {
            if *secret {
                process::withhold([name.clone()]);
            }
            #[expect(clippy::disallowed_methods, reason = "the home of values from the environment")]
            let value = std::env::var(name).map_err(|error| {
                unresolved(match error {
                    std::env::VarError::NotPresent => format!("The environment variable {name} is not set"),
                    std::env::VarError::NotUnicode(_) => format!("The environment variable {name} is not UTF-8 text"),
                })
            })?;
            Ok(Value { text: value.into(), secret: *secret })
        }
        SecretSource::File { path, secret } => {
            let bytes = tokio::fs::read(path)
                .await
                .map_err(|error| unresolved(format!("The file {path} of a value cannot be read: {}", error.kind())))?;
            let text =
                text(bytes).ok_or_else(|| unresolved(format!("The file {path} of a value is not UTF-8 text")))?;
            Ok(Value { text, secret: *secret })
        }
        SecretSource::Command { argv, secret } => {
            let name = format!("The command {} of a value", argv.join(" "));
            let mut finished = process::run_in(Environment::User, argv, b"", LIMIT)
                .await
                .map_err(|failure| unresolved(format!("{name} cannot be run")).details(failure.message))?;
            finished.stderr.zeroize();
            if !finished.status.success() {
                finished.stdout.zeroize();
                return Err(unresolved(format!("{name} failed ({})", finished.status)));
            }
            let text = text(finished.stdout).ok_or_else(|| unresolved(format!("{name} does not print UTF-8 text")))?;
            Ok(Value { text, secret: *secret })
        }
    }
}

/// Text without one trailing newline; bytes that are not text are wiped.
fn text(mut bytes: Vec<u8>) -> Option<SecretString> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            error.into_bytes().zeroize();
            None
        }
    }
}

/// Takes secret values out of text that is about to be reported.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that no part of a longer one stays.
    values: Vec<SecretString>,
}

impl Redactor {
    /// Knows these secrets; also each line of one that has several. Values under four bytes are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut values: Vec<SecretString> = Vec::new();
        for secret in secrets {
            let whole = secret.expose_secret();
            let lines = whole.lines().map(str::trim).filter(|line| whole.contains('\n') && line.len() >= 2 * SHORTEST);
            values.extend(lines.chain([whole]).filter(|text| text.len() >= SHORTEST).map(SecretString::from));
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.expose_secret().len()));
        Self { values }
    }

    /// The values that stand on one line, for a keeper of logs that hides what it was told. They must reach nobody else.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(ExposeSecret::expose_secret).filter(|value| !value.contains('\n'))
    }

    /// The text with `***` in place of every secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut redacted = text.to_owned();
        for value in &self.values {
            if redacted.contains(value.expose_secret()) {
                let next = redacted.replace(value.expose_secret(), "***");
                redacted.zeroize();
                redacted = next;
            }
        }
        redacted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(source: SecretSource) -> Result<String, Failure> {
        resolve(&source).await.map(|value| value.text.expose_secret().to_owned())
    }

    fn command(words: &[&str]) -> SecretSource {
        SecretSource::Command { argv: words.iter().map(ToString::to_string).collect(), secret: true }
    }

    #[tokio::test]
    async fn reads_each_source() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("value")).unwrap();
        for (written, read) in [("a b\n", "a b"), ("two\n\n", "two\n"), ("", ""), ("\n", ""), ("é$(x)", "é$(x)")] {
            std::fs::write(&path, written).unwrap();
            assert_eq!(resolved(SecretSource::File { path: path.clone(), secret: true }).await.unwrap(), read);
        }
        assert_eq!(resolved(command(&["printf", "%s\n", "$HOME; `id`"])).await.unwrap(), "$HOME; `id`");
        let literal = SecretSource::Literal { value: "x".into(), secret: false };
        assert!(!resolve(&literal).await.unwrap().secret);
        // Cargo sets this one for every test.
        let name = "CARGO_PKG_NAME".to_owned();
        assert_eq!(resolved(SecretSource::Environment { name, secret: true }).await.unwrap(), "deployer");
    }

    #[tokio::test]
    async fn names_the_source_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("value")).unwrap();
        let missing = path.with_file_name("missing");
        std::fs::write(&path, b"canary\xff").unwrap();
        let cases = [
            (
                SecretSource::Environment { name: "DEPLOYER_NOT_SET".into(), secret: true },
                "DEPLOYER_NOT_SET is not set",
            ),
            (SecretSource::File { path: missing, secret: true }, "missing of a value cannot be read: entity not found"),
            (SecretSource::File { path, secret: true }, "value of a value is not UTF-8 text"),
            (command(&["sh", "-c", "echo can''ary; echo can''ary >&2; exit 3"]), "failed (exit status: 3)"),
            (command(&["printf", r"can\141ry\377"]), "does not print UTF-8 text"),
            (command(&["no-such-program-here"]), "cannot be run"),
        ];
        for (source, words) in cases {
            let failure = resolved(source).await.unwrap_err();
            assert_eq!(failure.reason, Reason::SecretUnresolved);
            assert!(failure.message.contains(words), "{failure}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
    }

    #[test]
    fn redacts_longest_first() {
        let secrets = ["pass", "password1", "abc", "first line\nsecond line\nx\n"].map(SecretString::from);
        let redactor = Redactor::new(&secrets);
        assert_eq!(redactor.redact("password1 pass abc é"), "*** *** abc é");
        assert_eq!(redactor.redact("> second line\n> x"), "> ***\n> x");
        assert_eq!(Redactor::default().redact("pass"), "pass");
    }
}
