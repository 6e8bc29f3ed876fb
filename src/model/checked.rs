//! Types for names, ids and paths from outside that cannot hold an invalid value. Everything that a host sends passes
//! through one of these types before it reaches a path, a script, a file name or a message.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// Limit of a file name in bytes.
const FILE_NAME: usize = 255;
/// Limit of a path in bytes.
const PATH: usize = 4096;
/// Limit of an image's name in bytes.
const IMAGE: usize = 512;
/// Limit, in characters, of text from a host that is shown to the user.
const SAID: usize = 300;

/// Declares a text type that checks its value on construction.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Accepts a text of this form. Returns `None` for every other text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let valid: fn(&str) -> bool = $valid;
                valid(text).then(|| Self(text.to_owned()))
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("not a valid ", stringify!($name))))
            }
        }
    };
}

checked!(
    /// Plain file name of a data archive: `PROJECT--ENV-TIME.tar.gz`.
    ArchiveName,
    |text| is_plain(text) && text.ends_with(".tar.gz")
);
checked!(
    /// Id of a release, also the name of the release's directory on the host.
    ReleaseId,
    is_plain
);
checked!(
    /// Digest of an image or of an image's manifest: `sha256:` and 64 hexadecimal digits.
    ImageId,
    |text| text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && is_hex(digits))
);
checked!(
    /// Id of a container: 12 to 64 hexadecimal digits.
    ContainerId,
    |text| (12..=64).contains(&text.len()) && is_hex(text)
);
checked!(
    /// SHA-256 digest as 64 hexadecimal digits.
    Sha256Hex,
    |text| text.len() == 64 && is_hex(text)
);

impl ArchiveName {
    /// Returns true if the name belongs to an archive of the environment with this identity.
    #[must_use]
    pub fn is_of(&self, identity: &str) -> bool {
        let time = self.0.strip_prefix(identity).and_then(|rest| rest.strip_prefix('-'));
        time.and_then(|rest| rest.strip_suffix(".tar.gz"))
            .is_some_and(|time| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }
}

/// Returns true if a text is a file name that no shell, path or option parser interprets as anything else.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    (1..=FILE_NAME).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Returns true if a text is a valid Compose service name that does not look like an option.
#[must_use]
pub fn is_service(text: &str) -> bool {
    (1..=FILE_NAME).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Returns true if a text is an image's name, with or without its registry, tag and digest.
#[must_use]
pub fn is_image(text: &str) -> bool {
    (1..=IMAGE).contains(&text.len())
        && text.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

/// Returns true if a text consists of lower-case hexadecimal digits only, like our digests and Docker's.
#[must_use]
pub fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns true if a path stays below the directory that it is joined to, in any list or script that contains the path.
#[must_use]
pub fn is_relative(path: &Utf8Path) -> bool {
    (1..=PATH).contains(&path.as_str().len())
        && !path.as_str().ends_with('/')
        && !path.as_str().chars().any(|c| matches!(c, '\n' | '\0'))
        && path.components().all(|part| matches!(part, Utf8Component::Normal(_)))
}

/// Accepts a path below a directory. Returns `None` for every other path.
#[must_use]
pub fn relative(text: &str) -> Option<Utf8PathBuf> {
    is_relative(Utf8Path::new(text)).then(|| text.into())
}

/// Returns true if a path is absolute and has no `.` or `..`.
#[must_use]
pub fn is_absolute(path: &str) -> bool {
    path.strip_prefix('/').and_then(|path| relative(path.trim_end_matches('/'))).is_some()
}

/// Returns an absolute path with `.` and `..` resolved lexically.
#[must_use]
pub fn plain_path(path: &Utf8Path) -> Utf8PathBuf {
    let mut clean = Utf8PathBuf::from("/");
    for part in path.components() {
        match part {
            Utf8Component::Normal(name) => clean.push(name),
            Utf8Component::ParentDir => _ = clean.pop(),
            _ => {}
        }
    }
    clean
}

/// Accepts one short word, such as a version or the name of an operating system.
#[must_use]
pub fn word(text: &str) -> Option<&str> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~:".contains(&byte);
    let text = text.trim_end();
    ((1..=64).contains(&text.len()) && !text.starts_with(['-', '~']) && text.bytes().all(valid)).then_some(text)
}

/// Returns a text from outside as one short line that can be shown.
#[must_use]
pub fn said(text: &str) -> String {
    let mut line: String = text.chars().take(SAID).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SAID).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Generates texts near the border between accepted and refused.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/".to_owned()),
            Just("..".to_owned()),
            Just(".tar.gz".to_owned()),
            Just("sha256:".to_owned()),
            Just("\n".to_owned()),
            "[a-f0-9]{1,64}",
            "[a-zA-Z0-9._-]{1,9}",
            "\\PC{1,3}",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    fn is_harmless(text: &str) -> bool {
        !text.is_empty()
            && text.len() <= IMAGE
            && !text.starts_with(['-', '.'])
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "/\\'\"`$;&|<>(){}*?!~#".contains(c))
    }

    proptest! {
        #[test]
        fn no_name_or_id_is_more_than_one_plain_word(text in text()) {
            let accepted = [
                ArchiveName::parse(&text).map(|it| it.0),
                ReleaseId::parse(&text).map(|it| it.0),
                ImageId::parse(&text).map(|it| it.0),
                ContainerId::parse(&text).map(|it| it.0),
                Sha256Hex::parse(&text).map(|it| it.0),
            ];
            for one in accepted.into_iter().flatten() {
                prop_assert!(is_harmless(&one), "{:?}", one);
                prop_assert_eq!(&one, &text);
            }
            if is_service(&text) {
                prop_assert!(!text.contains(['/', ' ', '\n']) && !text.starts_with('-'));
            }
            if let Some(word) = word(&text) {
                // A Debian version may contain a tilde.
                prop_assert!(!word.starts_with(['-', '~']), "{:?}", word);
                prop_assert!(is_harmless(&format!("x{}", word.replace('~', "+"))), "{:?}", word);
            }
        }

        #[test]
        fn a_relative_path_never_leaves_its_directory(text in text()) {
            if let Some(path) = relative(&text) {
                let whole = Utf8Path::new("/a/b").join(&path);
                prop_assert!(whole.starts_with("/a/b") && whole != "/a/b");
                prop_assert!(!whole.as_str().split('/').any(|part| part == ".." || part.contains('\n')));
            }
        }

        #[test]
        fn quoted_text_is_one_short_line(text in text()) {
            let line = said(&text);
            prop_assert!(line.chars().count() <= SAID + 1 && !line.chars().any(char::is_control));
        }

        #[test]
        fn a_digest_is_a_digest(digits in "[0-9a-f]{64}") {
            prop_assert!(Sha256Hex::parse(&digits).is_some());
            prop_assert!(ContainerId::parse(&digits).is_some());
            let id = format!("sha256:{digits}");
            prop_assert!(ImageId::parse(&id).is_some());
        }
    }

    #[test]
    fn honest_names_are_accepted() {
        assert!(ArchiveName::parse("shop--web-20260102T000000Z.tar.gz").is_some_and(|name| name.is_of("shop--web")));
        assert!(ReleaseId::parse("20261122T170032Z-655f").is_some());
        for image in ["demo:1", "localhost:5000/a/b_c:1.0-rc", "a@sha256:00ff", "shop--web-api"] {
            assert!(is_image(image), "{image}");
        }
        for path in ["a", "conf/app.conf", ".env", "sub/-/deep", "@@deployer end files", "é漢🦀", "a b"] {
            assert!(relative(path).is_some(), "{path}");
        }
        assert!(is_absolute("/opt/deployer/shop--web") && is_service("_db.1"));
    }

    #[test]
    fn hostile_names_are_refused() {
        let up = "/../../victim/authorized_keys";
        for name in [
            up,
            "../x.tar.gz",
            "a/b.tar.gz",
            "/abs.tar.gz",
            ".x.tar.gz",
            "-x.tar.gz",
            "x.tar.gz\n",
            "x",
            "",
            "a b.tar.gz",
        ] {
            assert!(ArchiveName::parse(name).is_none(), "{name:?}");
        }
        assert!(!ArchiveName::parse("other--web-1.tar.gz").is_some_and(|name| name.is_of("shop--web")));
        assert!(!ArchiveName::parse("shop--web-a-1.tar.gz").is_some_and(|name| name.is_of("shop--web")));
        for path in ["", "/etc/passwd", "../a", "a/../b", "./a", "a\nb", "a\0b", ".", "..", "/.", "a/"] {
            assert!(relative(path).is_none(), "{path:?}");
        }
        for path in ["", "a", "/", "/a/../b", "//", "/a\n"] {
            assert!(!is_absolute(path), "{path:?}");
        }
    }
}
