//! An environment that is deployed but no longer in the manifest, rebuilt from its record: enough to remove it from its
//! host or to destroy its machine, and nothing more.

use crate::io::store::Record;
use crate::manifest::environment::{
    Application, Compose, Drift, DriftPolicy, EngineSource, EngineWish, Environment, Health, Identity, Name, Pull,
    Rollback, Source, Ssh,
};
use crate::manifest::provision::Provision;
use crate::model::state::Stage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Returns the environment of `record`, with `provision` for a machine that deployer made, or `None` if the record does
/// not hold the way to its host.
#[must_use]
pub fn environment(project: &Name, name: &str, record: &Record, provision: Option<Provision>) -> Option<Environment> {
    let reach = record.reach.as_ref()?;
    let application = reach.application.as_ref().map(|(project, directory)| Application {
        source: Source::Compose(Compose {
            directory: directory.into(),
            files: Vec::new(),
            templates: false,
            seed: Vec::new(),
            links: Vec::new(),
            copies: BTreeSet::new(),
            readable: Vec::new(),
        }),
        variables: BTreeMap::new(),
        archives: BTreeMap::new(),
        before: Vec::new(),
        pull: Pull::Missing,
        registries: BTreeMap::new(),
        project: project.clone(),
        backup: None,
        host_directory: directory.into(),
        withheld: Arc::default(),
        scope: Arc::default(),
    });
    let ssh = Ssh {
        port: reach.port,
        user: reach.user.clone(),
        identity: reach.identity_file.as_ref().map(|path| Identity::File(path.into())),
        host_key: record.host_keys.clone(),
        jump: reach.jump.clone(),
        sudo_password: None,
        connect_timeout: Duration::from_secs(10),
        wait: Duration::ZERO,
    };
    Some(Environment {
        name: Name::parse(name).ok()?,
        project: project.clone(),
        address: record.address.clone(),
        provision: provision.map(Box::new),
        ssh,
        public_addresses: Vec::new(),
        engine: EngineWish {
            minimum: (0, 0),
            install: false,
            source: EngineSource::Auto,
            ipv6: None,
            repository: None,
        },
        firewall: None,
        security_updates: None,
        scripts: Vec::new(),
        schedules: Vec::new(),
        application,
        checks: Vec::new(),
        stage: Stage::Destroyed,
        health: Health { timeout: Duration::from_mins(3), stable_for: Duration::from_secs(2), smoke: false },
        protect: None,
        renamed_from: reach.renamed_from.as_deref().and_then(|former| Name::parse(former).ok()),
        orphaned: true,
        rollback: Rollback::Never,
        keep_releases: 1,
        depends_on: Vec::new(),
        drift: Drift { policy: DriftPolicy::Correct, ignore: Vec::new() },
    })
}
