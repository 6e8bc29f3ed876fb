//! Rules for working on any host: commands and their lanes, leases, records, framed output, guarded files.

pub mod claims;
pub(crate) mod exclusive;
pub mod frame;
pub mod guard;
pub(crate) mod lane;
pub mod lease;
pub mod marker;
pub mod mount_points;
pub mod object_settings;
pub mod record;
pub mod whole;
