//! Finds the secrets in an application's own files: files that are secret as a whole, and variables of `.env` files
//! whose names mark them as credentials or whose values are addresses with a password. Resolves no secret.

use super::Files;
use super::dotenv;
use super::sent::{Content, File};
use camino::Utf8Path;
use secrecy::SecretString;

/// The largest file that is searched (bytes). Larger files hold data, not credentials.
const LONGEST: u64 = 64 * 1024;
/// The shortest value that is a secret (bytes). Shorter values are words that occur in other texts, too.
const SHORTEST: usize = 8;
/// Parts of the names of variables whose values are credentials.
const NAMES: [&str; 8] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "SALT"];

/// Returns the secrets in an application's files. The manifest's variables are not included.
pub fn of(files: &Files) -> Vec<SecretString> {
    let small = files.iter().filter(|(_, file)| file.bytes <= LONGEST);
    small.flat_map(|(path, file)| in_file(path, file)).collect()
}

fn in_file(path: &Utf8Path, file: &File) -> Vec<SecretString> {
    let is_env = path.file_name().is_some_and(|name| name.contains("env"));
    if !(file.secret || is_env) {
        return Vec::new();
    }
    // A file that cannot be read is reported when it is sent.
    let Some(text) = file.read(LONGEST).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Vec::new();
    };
    let mut secrets = in_variables(&text);
    // A rendered file is mostly not secret, and its secrets are already known.
    if file.secret && !is_env && matches!(file.content, Content::Path(_)) {
        secrets.push(text.trim_end().into());
    }
    secrets
}

/// Returns the values of variables that are credentials. Lines that do not parse are skipped.
fn in_variables(text: &str) -> Vec<SecretString> {
    let mut secrets = Vec::new();
    let each_line = |_| text.lines().filter_map(|line| dotenv::statements(line).ok()).flatten().collect();
    for statement in dotenv::statements(text).unwrap_or_else(each_line) {
        let value = statement.value.unwrap_or_default();
        let key = statement.key.to_ascii_uppercase();
        if NAMES.iter().any(|name| key.contains(name)) {
            secrets.push(value);
        }
        secrets.extend(password(value));
    }
    secrets.retain(|value| value.len() >= SHORTEST);
    secrets.into_iter().map(SecretString::from).collect()
}

/// Returns the password in an address of the form `SCHEME://USER:PASSWORD@HOST`.
fn password(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (login, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    Some(login.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::sent::Place;
    use secrecy::ExposeSecret as _;

    fn found(path: &str, text: &str, secret: bool) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = camino::Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        std::fs::write(root.join("file"), text).unwrap();
        let file = File {
            content: Content::Path(Place { root, path: "file".into() }),
            sha256: None,
            bytes: text.len() as u64,
            mode: 0o600,
            secret,
            seed: false,
        };
        of(&[(path.into(), file)].into()).iter().map(|secret| secret.expose_secret().to_owned()).collect()
    }

    #[test]
    fn credentials_are_found_and_settings_are_not() {
        let text = "NODE_ENV=production\nDB_PASSWORD='correct horse'\nPORT=8080\napi_token=\"0123456789\"\nPASS=short\n\
                    DATABASE_URL=postgres://shop:hunter2hunter2@db/shop?x=1\nHOME_URL=https://example.com/a@b:c\n";
        let expected = ["correct horse", "0123456789", "hunter2hunter2"];
        assert_eq!(found(".env", text, false), expected);
        assert_eq!(found("conf/db.env", text, true), expected);
        assert!(found("readme.txt", text, false).is_empty());
        assert_eq!(found("secrets/db", "hunter2\n", true), ["hunter2"]);
        assert!(found(".env", "not an env file", false).is_empty());
        assert_eq!(found("app.env.tera", &format!("no = \"line\n{{% if X %}}\n{text}"), false), expected);
    }
}
