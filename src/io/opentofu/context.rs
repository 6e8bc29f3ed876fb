//! The context of OpenTofu calls: one environment's root module on this machine, and its directory after it was
//! claimed. Does not choose the calls.

use super::backend::Served;
use super::directory_lock::DirectoryLock;
use super::follow::{self, Call, Heard};
use super::model::Say;
use super::program::Tofu;
use super::vault::Vault;
use super::working_directory::WorkingDirectory;
use crate::model::failure::Failure;
use crate::model::holder::Holder;
use crate::model::secret::Redactor;
use camino::Utf8PathBuf;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Location of the state.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The state is in this vault.
    Own(Arc<Vault>),
    /// The state is where a backend block in the files puts it. The vault keeps only the lock file.
    Theirs(Arc<Vault>),
}

impl Backend {
    pub(super) const fn vault(&self) -> &Arc<Vault> {
        match self {
            Self::Own(vault) | Self::Theirs(vault) => vault,
        }
    }
}

/// One environment's root module on this machine.
#[derive(Clone)]
pub struct Work {
    /// The OpenTofu program.
    pub tofu: Arc<Tofu>,
    /// The environment's own directory, absolute.
    pub directory: Utf8PathBuf,
    /// The whole root module: file name → text. No text is secret.
    pub files: BTreeMap<String, String>,
    /// Environment variables for OpenTofu and its providers.
    pub variables: BTreeMap<String, SecretString>,
    /// Location of the state.
    pub backend: Backend,
    /// The redactor, which knows the secrets.
    pub redactor: Arc<Redactor>,
    /// The holder of the state's lock: this run.
    pub holder: Holder,
    /// Time limit of each call of OpenTofu.
    pub limit: Duration,
    /// The plugin cache of this machine, shared by all environments (`${XDG_CACHE_HOME:-~/.cache}/deployer/plugins`).
    pub plugins: Utf8PathBuf,
    /// OpenTofu's own configuration file, if one is named (`TF_CLI_CONFIG_FILE`).
    pub settings: Option<Utf8PathBuf>,
}

impl Work {
    /// Returns the variables that are the same for every call.
    pub(super) fn fixed(&self, directory: &WorkingDirectory) -> BTreeMap<String, SecretString> {
        let data = directory.data();
        let settings = self.settings.as_ref().map(|settings| ("TF_CLI_CONFIG_FILE", settings.as_str()));
        let fixed = [
            ("TF_DATA_DIR", data.as_str()),
            ("TF_PLUGIN_CACHE_DIR", self.plugins.as_str()),
            ("TF_INPUT", "0"),
            ("TF_IN_AUTOMATION", "1"),
            ("CHECKPOINT_DISABLE", "1"),
        ];
        fixed.into_iter().chain(settings).map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// Runs OpenTofu once in the claimed directory.
    pub(super) async fn call(
        &self,
        context: &CallContext,
        arguments: &[&str],
        lines: bool,
        say: &Say<'_>,
    ) -> Result<Heard, Failure> {
        let call = Call {
            program: &self.tofu.program,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: &context.variables,
            directory: &context.directory,
            lock: &context.lock,
            limit: self.limit,
            lines,
        };
        follow::run(call, say, &self.redactor).await
    }

    pub(super) const fn vault(&self) -> &Arc<Vault> {
        self.backend.vault()
    }
}

/// A claimed directory that is ready for a call.
pub(super) struct CallContext {
    pub directory: WorkingDirectory,
    /// The claim on the directory.
    pub lock: DirectoryLock,
    /// Environment variables for OpenTofu.
    pub variables: BTreeMap<String, SecretString>,
    /// The state server, if the state is in the vault.
    pub served: Option<Served>,
}

impl CallContext {
    /// Returns the failure between OpenTofu and the store, if one occurred, because it explains more than OpenTofu's
    /// own error. Else returns `failure`.
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.served.as_ref().and_then(Served::trouble) {
            Some(trouble) => {
                trouble.details(format!("{}\n{}", failure.message(), failure.details.clone().unwrap_or_default()))
            }
            None => failure,
        }
    }
}
