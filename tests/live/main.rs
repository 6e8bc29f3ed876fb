//! Tests on real hosts of the test bed: `tests/bed` must be up. They are built only if they are named, so that none is
//! ever skipped and counted as passed.

#![expect(clippy::disallowed_methods, reason = "tests start programs and read the environment themselves")]

mod acme;
mod admission;
mod attack_backup;
mod attack_compose;
mod attack_files;
mod attack_lease;
mod attack_mounts;
mod attack_neighbours;
mod attack_output;
mod backup;
mod bed;
mod before;
mod build;
mod by_hand;
mod canary;
mod ci;
mod compose_spec;
mod dashboards;
mod depends;
mod destroy;
mod drift;
mod edits;
mod engine;
mod firewall;
mod host_settings;
mod hostile;
mod import;
mod kill_schedule;
mod lease;
mod lifecycle;
mod looking;
mod main_job;
mod mounted_data;
mod networks_and_volumes;
mod ownership;
mod protection;
mod registry;
mod rollback;
mod saved;
mod scene;
mod session;
mod side_by_side;
mod stack;
mod trouble;
mod trouble_connection;
mod trouble_host;
mod trouble_interruption;
mod trouble_kill;
mod trouble_release;
mod trouble_store;
mod watch;
mod watch_unit;
