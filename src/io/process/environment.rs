//! The variables that a child process gets of ours: the one place that decides it. `README.md`, "What child processes
//! get", says it to users; `tests/attacks/environment_leaks.rs` holds it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{PoisonError, RwLock};

/// How much of our environment a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The variables that any program needs: where programs are, who and where the user is, language and time zone.
    Minimal,
    /// All but what is withheld: for programs that the user's own settings steer, such as ssh with a `ProxyCommand`,
    /// and those that the manifest names.
    User,
    /// The same without the variables that lead Git to another repository or make it run something; Git never asks.
    Git,
    /// The same as `User` with what providers of OpenTofu read by themselves.
    Provider,
}

/// The variables that any program needs.
const MINIMAL: [&str; 14] = [
    "COLORTERM",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];
const MINIMAL_BEGINNINGS: [&str; 2] = ["LC_", "XDG_"];

/// Tokens that a CI service gives its job to write with, and the files by which a step changes the ones after it.
const WITHHELD: [&str; 27] = [
    "BITBUCKET_STEP_OIDC_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "CI_BUILD_TOKEN",
    "CI_DEPENDENCY_PROXY_PASSWORD",
    "CI_DEPLOY_PASSWORD",
    "CI_JOB_JWT",
    "CI_JOB_JWT_V1",
    "CI_JOB_JWT_V2",
    "CI_JOB_TOKEN",
    "CI_REGISTRY_PASSWORD",
    "CI_REPOSITORY_URL",
    "FORGEJO_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GH_TOKEN",
    "GITEA_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GITHUB_ENV",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "RUNNER_TOKEN",
    "SYSTEM_ACCESSTOKEN",
];
/// Ours, those of a GitHub job's own services, and the inputs of its actions.
const WITHHELD_BEGINNINGS: [&str; 3] = ["ACTIONS_", "DEPLOYER_", "INPUT_"];

/// The variables beginning with `GIT_` that Git keeps: how it reaches a remote and where its settings are.
const GIT: [&str; 8] = [
    "GIT_ASKPASS",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
];
const GIT_BEGINNINGS: [&str; 3] = ["GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_SSL_"];

/// How the variables begin that providers, and backends of OpenTofu, read by themselves.
const PROVIDERS: [&str; 19] = [
    "ALICLOUD_",
    "ARM_",
    "AWS_",
    "AZURE_",
    "CLOUDFLARE_",
    "CONSUL_",
    "DIGITALOCEAN_",
    "EXOSCALE_",
    "GOOGLE_",
    "HCLOUD_",
    "INCUS_",
    "LINODE_",
    "LXD_",
    "OS_",
    "OVH_",
    "SCW_",
    "TF_",
    "VAULT_",
    "VULTR_",
];

/// The variables that manifests of this process read secrets from.
static NAMED: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Keeps variables that hold secrets of a manifest from every child process.
pub fn withhold(names: impl IntoIterator<Item = String>) {
    NAMED.write().unwrap_or_else(PoisonError::into_inner).extend(names);
}

impl Environment {
    /// Gives a command its environment.
    pub(super) fn apply(self, command: &mut tokio::process::Command) {
        let named = NAMED.read().unwrap_or_else(PoisonError::into_inner);
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| self.has(name, &named)));
        if self == Self::Git {
            command.env("GIT_TERMINAL_PROMPT", "0").env("SSH_ASKPASS_REQUIRE", "never");
        }
    }

    /// Says whether a variable is part of it; `named` are those that hold secrets of a manifest.
    fn has(self, name: &OsStr, named: &BTreeSet<String>) -> bool {
        let begins = |beginnings: &[&str]| {
            beginnings.iter().any(|beginning| name.as_encoded_bytes().starts_with(beginning.as_bytes()))
        };
        let is = |names: &[&str]| names.iter().any(|one| name == *one);
        if is(&MINIMAL) || begins(&MINIMAL_BEGINNINGS) {
            return true;
        }
        if self == Self::Minimal || is(&WITHHELD) || begins(&WITHHELD_BEGINNINGS) {
            return false;
        }
        let secret = name.to_str().is_some_and(|name| named.contains(name));
        match self {
            Self::Minimal => false,
            Self::User => !secret,
            Self::Git => !secret && (!begins(&["GIT_"]) || is(&GIT) || begins(&GIT_BEGINNINGS)),
            Self::Provider => !secret || begins(&PROVIDERS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_what_it_needs() {
        let named = ["DATABASE_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PATH"].map(str::to_owned).into();
        // Variable, then whether each kind has it: minimal, user, Git, provider.
        let cases = [
            ("PATH", [true, true, true, true]),
            ("LC_ALL", [true, true, true, true]),
            ("SSH_AUTH_SOCK", [false, true, true, true]),
            ("AWS_PROFILE", [false, true, true, true]),
            ("VAULT_ADDR", [false, true, true, true]),
            ("DATABASE_PASSWORD", [false; 4]),
            ("AWS_SECRET_ACCESS_KEY", [false, false, false, true]),
            ("GITHUB_TOKEN", [false; 4]),
            ("GITHUB_ENV", [false; 4]),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", [false; 4]),
            ("CI_JOB_TOKEN", [false; 4]),
            ("DEPLOYER_STATE", [false; 4]),
            ("GITHUB_REPOSITORY", [false, true, true, true]),
            ("GIT_DIR", [false, true, false, true]),
            ("GIT_EXTERNAL_DIFF", [false, true, false, true]),
            ("GIT_SSH_COMMAND", [false, true, true, true]),
            ("GIT_CONFIG_VALUE_0", [false, true, true, true]),
        ];
        let kinds = [Environment::Minimal, Environment::User, Environment::Git, Environment::Provider];
        for (name, expected) in cases {
            assert_eq!(kinds.map(|kind| kind.has(OsStr::new(name), &named)), expected, "{name}");
        }
    }
}
