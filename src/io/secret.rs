//! Reads values from their sources: environment variables, files and commands of the runner.

use crate::io::process::{self, Environment};
use crate::manifest::below;
use crate::model::failure::{Failure, Reason};
use crate::model::secret::{SecretSource, Value};
use camino::Utf8PathBuf;
use secrecy::SecretString;
use std::io::ErrorKind;
use std::time::Duration;
use zeroize::Zeroize;

/// The largest file that holds a value (bytes).
const LARGEST: u64 = 1 << 20;
/// Time limit of a command that prints a value.
const LIMIT: Duration = Duration::from_secs(30);

/// Reads a value from its source.
///
/// # Errors
/// `SecretUnresolved`. The error names the source; it holds neither the value nor any output of a command. An empty
/// value is not an error.
pub async fn resolve(source: &SecretSource) -> Result<Value, Failure> {
    let unresolved = |message: String| Failure::new(Reason::SecretUnresolved, message);
    match source {
        SecretSource::Literal { value, secret } => Ok(Value { text: value.clone().into(), secret: *secret }),
        SecretSource::Environment { name, secret } => {
            if *secret {
                process::withhold([name.clone()]);
            }
            #[expect(clippy::disallowed_methods, reason = "the home of values from the environment")]
            let value = std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => unresolved(format!("The environment variable {name} is not set"))
                    .hint(format!("Set it, as in: export {name}=VALUE")),
                std::env::VarError::NotUnicode(_) => {
                    unresolved(format!("The environment variable {name} is not UTF-8 text"))
                }
            })?;
            Ok(Value { text: value.into(), secret: *secret })
        }
        SecretSource::File { path, secret } => {
            let bytes = file(path.clone()).await.map_err(|error| {
                let why = match error.kind() {
                    ErrorKind::InvalidInput => "it is not a regular file".to_owned(),
                    ErrorKind::FileTooLarge => format!("it has more than {LARGEST} bytes"),
                    kind => kind.to_string(),
                };
                unresolved(format!("The file {path}, which holds a value, cannot be read: {why}"))
            })?;
            let text = text(bytes)
                .ok_or_else(|| unresolved(format!("The file {path}, which holds a value, is not UTF-8 text")))?;
            Ok(Value { text, secret: *secret })
        }
        SecretSource::Command { argv, secret } => {
            let name = format!("The command {} for a value", argv.join(" "));
            let mut finished = process::run_in(Environment::User, argv, b"", LIMIT)
                .await
                .map_err(|failure| unresolved(format!("{name} cannot be run")).details(failure.message()))?;
            finished.stderr.zeroize();
            if !finished.status.success() {
                finished.stdout.zeroize();
                return Err(unresolved(format!("{name} failed ({})", finished.status)));
            }
            let text =
                text(finished.stdout).ok_or_else(|| unresolved(format!("{name} printed text that is not UTF-8")))?;
            Ok(Value { text, secret: *secret })
        }
    }
}

/// Reads a file of at most [`LARGEST`] bytes.
async fn file(path: Utf8PathBuf) -> std::io::Result<Vec<u8>> {
    tokio::task::spawn_blocking(move || below::bytes(&path, LARGEST)).await?
}

/// Returns the bytes as text without one trailing newline. Wipes bytes that are not UTF-8.
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

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    async fn resolved(source: SecretSource) -> Result<String, Failure> {
        resolve(&source).await.map(|value| value.text.expose_secret().to_owned())
    }

    fn command(words: &[&str]) -> SecretSource {
        SecretSource::Command { argv: words.iter().map(ToString::to_string).collect(), secret: true }
    }

    #[tokio::test]
    async fn a_file_that_is_endless_too_large_or_the_kernels_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| Utf8PathBuf::from_path_buf(directory.path().join(name)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe").as_std_path(), rustix::fs::Mode::RUSR).unwrap();
        std::fs::File::create(at("sparse")).unwrap().set_len(20 << 30).unwrap();
        std::os::unix::fs::symlink("/proc/self/environ", at("link")).unwrap();
        for path in ["/dev/zero".into(), "/proc/self/environ".into(), at("pipe"), at("sparse"), at("link")] {
            let refused = resolved(SecretSource::File { path: path.clone(), secret: true }).await.unwrap_err();
            assert!(refused.message().contains("cannot be read: it "), "{path}: {}", refused.message());
        }
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
        // Cargo sets this variable for every test.
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
            (
                SecretSource::File { path: missing, secret: true },
                "missing, which holds a value, cannot be read: entity not found",
            ),
            (SecretSource::File { path, secret: true }, "value, which holds a value, is not UTF-8 text"),
            (command(&["sh", "-c", "echo can''ary; echo can''ary >&2; exit 3"]), "failed (exit status: 3)"),
            (command(&["printf", r"can\141ry\377"]), "printed text that is not UTF-8"),
            (command(&["no-such-program-here"]), "cannot be run"),
        ];
        for (source, words) in cases {
            let failure = resolved(source).await.unwrap_err();
            assert_eq!(failure.reason, Reason::SecretUnresolved);
            assert!(failure.message().contains(words), "{failure}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
    }
}
