//! The record of an environment in the state store, shared by several test programs.

use deployer::io::store::Record;
use deployer::model::event::Health;
use deployer::model::state::{Stage, State};
use std::collections::BTreeMap;

/// Returns a record with these facts and this stage, and with nothing else known.
pub fn record(facts: State, stage: Stage) -> Record {
    Record {
        state: facts,
        stage,
        health: Health::None,
        address: String::new(),
        observed_at: jiff::Timestamp::UNIX_EPOCH,
        serial: 0,
        suspended: false,
        protected: false,
        reach: None,
        in_progress: None,
        failed: None,
        host_keys: Vec::new(),
        endpoints: Vec::new(),
        services: BTreeMap::new(),
        backup: None,
        met: BTreeMap::new(),
    }
}
