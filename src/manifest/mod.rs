//! `deployment.yaml` as written: read, checked, merged with its defaults. Never contacts anything.

pub mod environment;
