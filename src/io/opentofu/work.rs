//! The work with OpenTofu for one environment: plan, apply, outputs. Applies only a saved plan, and recovers the state
//! of an interrupted run.

use super::backend::Served;
use super::context::{Backend, CallContext, Work};
use super::directory_lock;
use super::model::{Outputs, Proposed, Purpose, Say};
use super::state;
use super::working_directory::WorkingDirectory;
use super::{init, lock, rescue, show, working_directory};
use crate::model::digest::Digest;
use crate::model::failure::{Failure, Reason};
use std::fs;
use std::sync::Arc;

impl Work {
    /// Plans the changes, without a lock on the state.
    ///
    /// # Errors
    /// `ProvisionFailed` with OpenTofu's output, `StateSealed`, `StateLocked` if another run on this machine uses the
    /// directory, `ProvisionTimeout`, `Interrupted`.
    pub async fn plan(&self, purpose: Purpose, say: &Say<'_>) -> Result<Proposed, Failure> {
        self.named(self.planned(purpose, say).await)
    }

    async fn planned(&self, purpose: Purpose, say: &Say<'_>) -> Result<Proposed, Failure> {
        let context = self.open(say).await?;
        init::unless_done(self, &context, say, false).await?;
        let file = context.directory.own("plan");
        let (kept, _) = working_directory::in_memory(&file)?;
        let mut arguments = vec!["plan", "-input=false", "-json", "-lock=false", "-detailed-exitcode", "-no-color"];
        if purpose == Purpose::Destroy {
            arguments.push("-destroy");
        }
        let out = format!("-out={file}");
        arguments.push(&out);
        let mut heard = self.call(&context, &arguments, true, say).await?;
        if heard.errors().iter().any(|error| error.wants_init()) {
            init::unless_done(self, &context, say, true).await?;
            heard = self.call(&context, &arguments, true, say).await?;
        }
        let applicable = match heard.status.code() {
            Some(0) => false,
            Some(2) => true,
            _ => return Err(context.explain(heard.failure(&self.redactor))),
        };
        let written = self.call(&context, &["show", "-json", "-no-color", file.as_str()], false, say).await?;
        if !written.status.success() {
            return Err(context.explain(written.failure(&self.redactor)));
        }
        let shown = show::read(&written.output, &self.redactor)
            .map_err(|error| Failure::new(Reason::ProvisionFailed, "OpenTofu's plan cannot be read").details(error))?;
        let exists = match &self.backend {
            Backend::Own(vault) => shown.exists || vault.exists().await?,
            Backend::Theirs(_) => shown.exists,
        };
        Ok(Proposed {
            file,
            kept: Arc::new(kept),
            changes: shown.changes,
            drift: shown.drift,
            outputs: shown.outputs,
            output_changes: shown.output_changes,
            exists,
            applicable,
            warnings: heard.warnings(&self.redactor),
            digest: self.digest(purpose),
        })
    }

    /// Applies exactly this plan, under the state's lock. Reports warnings that the plan did not have.
    ///
    /// # Errors
    /// As [`Self::plan`]; `StateLocked` if another run has the lock, `PlanStale` if the state changed since the plan.
    pub async fn apply(&self, proposed: &Proposed, say: &Say<'_>) -> Result<Outputs, Failure> {
        self.named(self.applied(proposed, say).await)
    }

    async fn applied(&self, proposed: &Proposed, say: &Say<'_>) -> Result<Outputs, Failure> {
        let context = self.open(say).await?;
        if let Backend::Own(vault) = &self.backend {
            lock::clear(vault).await?;
        }
        if !proposed.file.exists() {
            return Err(Failure::new(Reason::PlanStale, "OpenTofu's saved plan is gone"));
        }
        let arguments = ["apply", "-input=false", "-json", "-no-color", "-auto-approve", proposed.file.as_str()];
        let heard = self.call(&context, &arguments, true, say).await;
        // The left state may hold changes that were made even if the call failed.
        let saved = rescue::take_in(self, &context.directory, say).await;
        let heard = heard?;
        for warning in heard.warnings(&self.redactor) {
            if !proposed.warnings.contains(&warning) {
                say(format!("Warning: {warning}"));
            }
        }
        if !heard.status.success() {
            return Err(context.explain(heard.failure(&self.redactor)));
        }
        saved?;
        // The applied plan holds secrets of the state and has no further use.
        let _ = fs::remove_file(&proposed.file);
        self.known(&context, say).await
    }

    /// Removes a plan that will not be applied, because it holds secrets.
    pub fn discard(&self, proposed: &Proposed) {
        let _ = fs::remove_file(&proposed.file);
    }

    /// Removes the directory of a machine that was destroyed. The next machine gets a directory with another name.
    pub fn remove_directory(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    /// Returns the outputs in the state without asking a provider.
    ///
    /// # Errors
    /// `StateSealed`; for a backend of OpenTofu as [`Self::plan`].
    pub async fn outputs(&self, say: &Say<'_>) -> Result<Outputs, Failure> {
        if let Backend::Own(vault) = &self.backend {
            return vault.outputs().await;
        }
        let work = async {
            let context = self.open(say).await?;
            init::unless_done(self, &context, say, false).await?;
            self.known(&context, say).await
        };
        self.named(work.await)
    }

    async fn known(&self, context: &CallContext, say: &Say<'_>) -> Result<Outputs, Failure> {
        if let Backend::Own(vault) = &self.backend {
            return vault.outputs().await;
        }
        let heard = self.call(context, &["output", "-json", "-no-color"], false, say).await?;
        if !heard.status.success() {
            return Err(heard.failure(&self.redactor));
        }
        let value = serde_json::from_slice(show::object(&heard.output))
            .map_err(|_| Failure::new(Reason::ProvisionFailed, "OpenTofu's outputs cannot be read"))?;
        Ok(state::outputs(&value))
    }

    /// Claims the directory, recovers the state of an interrupted run, writes the files and serves the state.
    async fn open(&self, say: &Say<'_>) -> Result<CallContext, Failure> {
        let directory = WorkingDirectory::open(&self.directory)?;
        let lock = directory_lock::claim(&directory, &self.holder, self.limit, say).await?;
        let vault = self.backend.vault();
        rescue::take_in(self, &directory, say).await?;
        let own = matches!(self.backend, Backend::Own(_));
        // Read the state before OpenTofu does, so that a wrong key gets a clear error.
        let kept = vault.exists().await?;
        if !own && kept {
            let message = "The manifest names a backend of OpenTofu, but the state is in deployer's store";
            return Err(Failure::new(Reason::StateUnusable, message)
                .hint("Destroy the infrastructure first, or remove backend: from the manifest"));
        }
        directory.write_module(&self.files, own)?;
        let mut variables = self.fixed(&directory);
        variables.extend(self.variables.clone());
        let served = match &self.backend {
            Backend::Own(vault) => {
                let served = Served::begin(vault, &self.holder).await?;
                variables.extend(served.variables.clone());
                Some(served)
            }
            Backend::Theirs(_) => None,
        };
        Ok(CallContext { directory, lock, variables, served })
    }

    fn digest(&self, purpose: Purpose) -> String {
        let mut digest = Digest::default();
        digest.part(if purpose == Purpose::Apply { "apply" } else { "destroy" });
        for (name, text) in &self.files {
            digest.part(name).part(text);
        }
        for name in self.variables.keys() {
            digest.part(name);
        }
        digest.finish().to_string()
    }

    fn named<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| failure.on(self.backend.vault().environment()))
    }
}
