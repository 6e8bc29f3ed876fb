//! An application as the manifest gives it, shared by several test programs.

use deployer::manifest::environment::{Application, Compose, Pull, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Returns an application of a Compose directory, with no other settings.
pub fn application(compose: Compose) -> Application {
    Application {
        source: Source::Compose(compose),
        withheld: Arc::default(),
        scope: Arc::default(),
        variables: BTreeMap::new(),
        archives: BTreeMap::new(),
        backup: None,
        before: Vec::new(),
        pull: Pull::Missing,
        registries: BTreeMap::new(),
        project: "shop--production".to_owned(),
        host_directory: "/opt/deployer/shop--production".into(),
    }
}
