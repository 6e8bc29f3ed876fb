//! A store, an environment's directory and a root module for one run. Tests do not share them.

use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::opentofu::{Action, Backend, Outputs, Proposed, Purpose, Tofu, Vault, Work};
use deployer::io::store::Store;
use deployer::model::failure::Failure;
use deployer::model::holder::Holder;
use deployer::model::secret::Redactor;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Returns the directory of `tests/bed tofu`.
pub fn tools() -> Utf8PathBuf {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed")).arg("tofu").output().unwrap();
    assert!(output.status.success(), "tests/bed tofu: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

pub struct Scene {
    _kept: Option<tempfile::TempDir>,
    pub root: Utf8PathBuf,
    pub tools: Utf8PathBuf,
    pub program: Option<String>,
    pub files: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    pub passphrase: Option<String>,
    pub limit: Duration,
    pub said: Mutex<Vec<String>>,
}

impl Scene {
    pub fn new(main: &str) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(kept.path()).unwrap().to_owned();
        Self { _kept: Some(kept), ..Self::at(root, main) }
    }

    /// Returns a scene in an existing directory.
    pub fn at(root: Utf8PathBuf, main: &str) -> Self {
        Self {
            _kept: None,
            root,
            tools: tools(),
            program: None,
            files: BTreeMap::from([("main.tf".to_owned(), main.to_owned())]),
            variables: BTreeMap::new(),
            passphrase: Some("correct horse".to_owned()),
            limit: Duration::from_mins(2),
            said: Mutex::default(),
        }
    }

    pub fn write(&mut self, main: &str) {
        self.files.insert("main.tf".to_owned(), main.to_owned());
    }

    pub async fn store(&self) -> Arc<Store> {
        Arc::new(Store::open("sqlite:store/state.db", &self.root).await.unwrap())
    }

    pub async fn vault(&self) -> Arc<Vault> {
        Arc::new(Vault::open(self.store().await, "shop", "prod", self.passphrase.as_deref()))
    }

    pub async fn work(&self) -> Work {
        let program = self.program.clone().unwrap_or_else(|| self.tools.join("tofu").into_string());
        let secrets: Vec<SecretString> =
            self.variables.values().map(|value| SecretString::from(value.as_str())).collect();
        Work {
            tofu: Arc::new(Tofu::find(Some(&program)).await.unwrap()),
            directory: self.root.join("work"),
            files: self.files.clone(),
            variables: self.variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect(),
            backend: Backend::Own(self.vault().await),
            redactor: Arc::new(Redactor::new(&secrets)),
            holder: Holder::here("tester@here", "apply", None),
            limit: self.limit,
            plugins: self.root.join("plugins"),
            settings: Some(self.tools.join("settings.tfrc")),
        }
    }

    pub fn say(&self) -> impl Fn(String) + Sync + '_ {
        |text| {
            self.said.lock().unwrap().push(text);
        }
    }

    /// Returns true if any message contains this text.
    pub fn heard(&self, text: &str) -> bool {
        self.said.lock().unwrap().iter().any(|said| said.contains(text))
    }

    pub async fn plan(&self) -> Result<Proposed, Failure> {
        self.work().await.plan(Purpose::Apply, &self.say()).await
    }

    pub async fn apply(&self, proposed: &Proposed) -> Result<Outputs, Failure> {
        self.work().await.apply(proposed, &self.say()).await
    }

    /// Plans and applies.
    pub async fn converge(&self) -> Result<(Proposed, Outputs), Failure> {
        let proposed = self.plan().await?;
        let outputs = self.apply(&proposed).await?;
        Ok((proposed, outputs))
    }

    pub async fn destroy(&self) -> Result<Proposed, Failure> {
        let proposed = self.work().await.plan(Purpose::Destroy, &self.say()).await?;
        self.apply(&proposed).await?;
        Ok(proposed)
    }
}

/// Returns the only change of a plan.
pub fn only(proposed: &Proposed) -> (&str, Action) {
    let [change] = proposed.changes.as_slice() else { panic!("{proposed:#?}") };
    (&change.address, change.action)
}

/// Returns all files below a directory that contain these bytes.
pub fn holding(directory: &Utf8Path, bytes: &str) -> Vec<String> {
    let finder = |path: &std::path::Path| {
        std::fs::read(path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes.as_bytes())
    };
    // Files of the database appear and disappear during the walk.
    let entries = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file() && finder(entry.path()));
    files.map(|entry| entry.path().display().to_string()).collect()
}
