//! What a call of OpenTofu needs: one environment's root module on this machine, and its directory once it is claimed.
//! Never decides what is called.

use super::alone::Ours;
use super::backend::Served;
use super::follow::{self, Call, Heard};
use super::lay::Room;
use super::model::Say;
use super::program::Tofu;
use super::vault::Vault;
use crate::model::failure::Failure;
use crate::model::holder::Holder;
use crate::model::secret::Redactor;
use camino::Utf8PathBuf;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where the state is kept.
#[derive(Clone, Debug)]
pub enum Backend {
    /// In this vault.
    Own(Arc<Vault>),
    /// Where a backend block among the files says; the vault keeps the lock file alone.
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
    /// The program.
    pub tofu: Arc<Tofu>,
    /// The environment's own directory, absolute.
    pub directory: Utf8PathBuf,
    /// The whole root module: file name → text, none of them secret.
    pub files: BTreeMap<String, String>,
    /// Environment variables for OpenTofu and its providers; may be secret.
    pub variables: BTreeMap<String, String>,
    /// Where the state is.
    pub backend: Backend,
    /// Knows the secrets.
    pub redactor: Arc<Redactor>,
    /// Who works: the holder of the state's lock.
    pub holder: Holder,
    /// For how long at most each call of OpenTofu may take.
    pub limit: Duration,
    /// Where providers are kept for all environments of this machine (`${XDG_CACHE_HOME:-~/.cache}/deployer/plugins`).
    pub plugins: Utf8PathBuf,
    /// The file of OpenTofu's own settings, if one is named (`TF_CLI_CONFIG_FILE`).
    pub settings: Option<Utf8PathBuf>,
}

impl Work {
    /// Variables that are the same for every call.
    pub(super) fn fixed(&self, room: &Room) -> BTreeMap<String, String> {
        let mut fixed = BTreeMap::from([
            ("TF_DATA_DIR".to_owned(), room.data().into_string()),
            ("TF_PLUGIN_CACHE_DIR".to_owned(), self.plugins.to_string()),
            ("TF_INPUT".to_owned(), "0".to_owned()),
            ("TF_IN_AUTOMATION".to_owned(), "1".to_owned()),
            ("CHECKPOINT_DISABLE".to_owned(), "1".to_owned()),
        ]);
        if let Some(settings) = &self.settings {
            fixed.insert("TF_CLI_CONFIG_FILE".to_owned(), settings.to_string());
        }
        fixed
    }

    /// Runs it once, in a directory that was claimed.
    pub(super) async fn call(
        &self,
        desk: &Desk,
        arguments: &[&str],
        lines: bool,
        say: &Say<'_>,
    ) -> Result<Heard, Failure> {
        let call = Call {
            program: &self.tofu.program,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: &desk.variables,
            room: &desk.room,
            ours: &desk.ours,
            limit: self.limit,
            lines,
        };
        follow::run(call, say, &self.redactor).await
    }

    pub(super) const fn vault(&self) -> &Arc<Vault> {
        self.backend.vault()
    }
}

/// A claimed directory with all in place for a call.
pub(super) struct Desk {
    /// The directory.
    pub room: Room,
    /// The claim on it.
    pub ours: Ours,
    /// OpenTofu's variables.
    pub variables: BTreeMap<String, String>,
    /// The state's server, where the state is ours to keep.
    pub served: Option<Served>,
}

impl Desk {
    /// What went wrong between OpenTofu and the store explains more than what OpenTofu makes of it.
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.served.as_ref().and_then(Served::trouble) {
            Some(trouble) => trouble.details(format!("{failure}\n{}", failure.details.clone().unwrap_or_default())),
            None => failure,
        }
    }
}
