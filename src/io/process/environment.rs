//! The only place that decides which of our environment variables a child process gets. Documented for users in
//! `README.md`, "What child processes get"; tested by `tests/attacks/environment_leaks.rs`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{PoisonError, RwLock};

/// The part of our environment that a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The variables that any program needs: search path, user and home, language and time zone.
    Minimal,
    /// All variables except the withheld ones. For programs that the user's own settings control, such as ssh with a
    /// `ProxyCommand`, and for programs that the manifest names.
    User,
    /// As `User`, without the variables that point Git to another repository or make it run a program. Git does not
    /// prompt.
    Git,
    /// As `User`, plus the secret variables that OpenTofu providers read by themselves.
    Provider,
}

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

/// Write tokens that a CI service gives its jobs, and the files through which a step changes later steps.
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
/// Prefixes of our own variables, those of a GitHub job's services, and the inputs of GitHub actions.
const WITHHELD_BEGINNINGS: [&str; 3] = ["ACTIONS_", "DEPLOYER_", "INPUT_"];

/// The `GIT_` variables that Git keeps: how to reach a remote and where the settings are.
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

/// Prefixes of the variables that OpenTofu providers and backends read by themselves.
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

/// The variables from which manifests of this process read secrets.
static NAMED: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Withholds variables that hold secrets of a manifest from child processes.
pub fn withhold(names: impl IntoIterator<Item = String>) {
    NAMED.write().unwrap_or_else(PoisonError::into_inner).extend(names);
}

impl Environment {
    /// Sets the environment of a command.
    pub(super) fn apply(self, command: &mut tokio::process::Command) {
        let named = NAMED.read().unwrap_or_else(PoisonError::into_inner);
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| self.has(name, &named)));
        if self == Self::Git {
            command.env("GIT_TERMINAL_PROMPT", "0").env("SSH_ASKPASS_REQUIRE", "never");
        }
    }

    /// Returns true if this environment contains the variable. `named` are the variables that hold secrets of a
    /// manifest.
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
        // Variable; true for each kind that has it: minimal, user, Git, provider.
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
