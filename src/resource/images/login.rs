//! Logins of the host's Docker client at registries.

use crate::release::sent::Release;
use secrecy::ExposeSecret as _;

/// Returns shell in which `$config` is a separate configuration directory of the Docker client. The configuration is
/// read from standard input and kept in memory while `script` runs. If a command is killed, the next command of its
/// lane removes the leftovers.
pub(super) fn with_login(script: &str) -> String {
    format!(
        r#"(
umask 077
config=$(mktemp -d "/run/deployer.${{state##*/}}.XXXXXX")
trap 'rm -rf "$config"' EXIT
trap 'exit 143' HUP INT TERM
cat > "$config/config.json"
{script}
)"#
    )
}

/// Returns the Docker client's configuration with the manifest's logins for these registries.
pub(super) fn logins(release: &Release, hosts: &[String]) -> Option<Vec<u8>> {
    let entry = |host: &String| {
        let login = release.logins.get(host)?;
        // Source: the Docker client's configuration file, which uses this name for Docker's own registry.
        let name = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
        let entry = serde_json::json!({ "username": login.username, "password": login.password.expose_secret() });
        Some((name.to_owned(), entry))
    };
    let entries: serde_json::Map<_, _> = hosts.iter().filter_map(entry).collect();
    (!entries.is_empty()).then(|| serde_json::json!({ "auths": entries }).to_string().into_bytes())
}
