//! The files of a directory that are not sent: files that belong to deployer or Git, files that `.deployerignore`
//! names, and private files that nobody asked to send. `.dockerignore` is not read, because it belongs to builds.

use super::invalid;
use crate::manifest::below;
use crate::manifest::scope::{OURS, belongs_to_us};
use crate::model::bounded;
use crate::model::failure::{Failure, Location};
use camino::{Utf8Path, Utf8PathBuf};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::io;
use std::path::Path;

/// The name of the file with the user's own rules, in the syntax of `.gitignore`.
pub const FILE: &str = ".deployerignore";

/// Rules with a lower precedence than the user's own: `!PATH` there sends a file that matches one of these.
const BUILT_IN: [&str; 5] = ["/.deployerignore", ".env.local", ".env.*.local", "*.tfstate", "*.tfstate.*"];

/// The largest file of rules that is read (bytes).
const LARGEST: u64 = 1 << 20;

/// The reason why a file is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `.deployerignore` matches it.
    Ignored,
    /// A built-in rule matches it.
    BuiltIn,
    /// It belongs to Git or deployer, or the manifest reads a secret from it.
    Never,
}

impl Why {
    /// Returns the end of the sentence "PATH is not sent: …".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Ignored => "it matches .deployerignore",
            Self::BuiltIn => "such files usually contain secrets of one machine",
            Self::Never => {
                "it belongs to Git or deployer, is the manifest, or is a file that the manifest reads a secret from"
            }
        }
    }

    /// Returns a hint about sending `path` anyway.
    pub fn advice(self, path: &Utf8Path) -> String {
        match self {
            Self::Ignored | Self::BuiltIn => format!("Add !{path} to {FILE} to send it"),
            Self::Never => format!("Copy what the application needs from {path} to another file"),
        }
    }
}

/// The rules of one directory.
pub struct Rules(Gitignore);

impl Rules {
    /// Returns the built-in rules and the rules in the directory's `.deployerignore`.
    ///
    /// # Errors
    /// A line is not a pattern (one failure each), or the file cannot be read.
    pub fn of(directory: &Utf8Path, root: &Utf8Path) -> Result<Self, Vec<Failure>> {
        let file = directory.join(FILE);
        let text = match read(root) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let failure = invalid(format!("{file} cannot be read")).details(error.to_string());
                return Err(vec![failure.hint(format!("Make {file} a regular file of at most 1 MiB in UTF-8"))]);
            }
        };
        let mut builder = GitignoreBuilder::new("");
        let mut failures = Vec::new();
        for pattern in BUILT_IN {
            // Every built-in rule is a valid pattern: tested by `built_in_rules_are_patterns`.
            let _ = builder.add_line(None, pattern);
        }
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if let Err(error) = builder.add_line(Some(FILE.into()), line) {
                let at = Location { file: file.to_string(), line: index + 1, column: 1, span: None, source: None };
                // The line is not quoted if the file is a link, because a link may lead to a secret file.
                let failure = if file.is_symlink() {
                    invalid(format!("Line {} of {file} is not a pattern", index + 1))
                } else {
                    invalid(format!("`{line}` is not a pattern")).details(error.to_string())
                };
                failures.push(
                    failure.at(at).hint(format!("Write line {} of {file} in the syntax of .gitignore", index + 1)),
                );
            }
        }
        match builder.build() {
            Ok(rules) if failures.is_empty() => Ok(Self(rules)),
            Ok(_) => Err(failures),
            Err(error) => Err(vec![invalid(format!("{file} cannot be used")).details(error.to_string())]),
        }
    }

    /// Returns the reason why one entry of a directory that is sent is left out, or `None`.
    pub fn verdict(&self, path: &Path, is_directory: bool) -> Option<Why> {
        if path.file_name().is_some_and(|name| OURS.iter().any(|ours| name == *ours)) {
            return Some(Why::Never);
        }
        of(&self.0.matched(path, is_directory))
    }

    /// Returns the reason why a path or a directory above it is left out, or `None`.
    pub fn verdict_below(&self, path: &Utf8Path, is_directory: bool) -> Option<Why> {
        if belongs_to_us(path) {
            return Some(Why::Never);
        }
        of(&self.0.matched_path_or_any_parents(path, is_directory))
    }

    /// Returns true if `!PATH` asks to send the file.
    pub fn is_asked_for(&self, path: &Utf8Path) -> bool {
        self.0.matched_path_or_any_parents(path, false).is_whitelist()
    }
}

fn of(found: &Match<&ignore::gitignore::Glob>) -> Option<Why> {
    match found {
        Match::Ignore(glob) if glob.from().is_some() => Some(Why::Ignored),
        Match::Ignore(_) => Some(Why::BuiltIn),
        Match::None | Match::Whitelist(_) => None,
    }
}

fn read(root: &Utf8Path) -> io::Result<String> {
    // A link leads to another file of the directory, or nowhere.
    let real = root.join(FILE).canonicalize()?;
    let real = Utf8PathBuf::try_from(real).map_err(camino::FromPathBufError::into_io_error)?;
    let below =
        real.strip_prefix(root).map_err(|_| io::Error::other("it is a link to a target outside the directory"))?;
    io::read_to_string(&*bounded::whole(below::open(root, below)?, LARGEST)?)
}

/// Returns true if a file begins like a private key: PEM of any kind, alone or after a certificate, or the format of
/// another program.
pub fn is_private_key(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let pem = |line: &str| line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY");
    let bundle = text.starts_with("-----BEGIN ") || text.starts_with("Bag Attributes");
    let age = || text.lines().filter(|line| !line.starts_with('#')).any(|line| line.starts_with("AGE-SECRET-KEY-"));
    (bundle && text.lines().any(pem))
        || text.starts_with("PuTTY-User-Key-File-")
        || (text.starts_with(['#', 'A']) && age())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_rules_are_patterns() {
        let mut builder = GitignoreBuilder::new("");
        for pattern in BUILT_IN {
            builder.add_line(None, pattern).unwrap();
        }
        assert_eq!(builder.build().unwrap().len(), BUILT_IN.len());
    }

    #[test]
    fn private_keys_are_told_by_their_beginning() {
        let keys: [&[u8]; 8] = [
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn",
            b"-----BEGIN RSA PRIVATE KEY-----\r\nMIIE",
            b"\xef\xbb\xbf\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
            b"Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n-----BEGIN PRIVATE KEY-----\n",
            b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
            b"PuTTY-User-Key-File-3: ssh-ed25519\n",
            b"# created: 2026-11-26T00:00:00Z\n# public key: age1x\nAGE-SECRET-KEY-1QQ\n",
        ];
        for key in keys {
            assert!(is_private_key(key), "{}", String::from_utf8_lossy(key));
        }
        let others: [&[u8]; 5] = [
            b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            b"ssh-ed25519 AAAA user@host\n",
            b"# How to make a key\n\n    -----BEGIN OPENSSH PRIVATE KEY-----\n",
            b"let key = \"-----BEGIN PRIVATE KEY-----\\n\";\n",
            b"",
        ];
        for other in others {
            assert!(!is_private_key(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
