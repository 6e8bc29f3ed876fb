//! Rules of the top-level `registries` section. Does not read a password.

use super::{Reading, shown, values};
use crate::manifest::environment::Registry;
use crate::manifest::spec::{RegistrySpec, ValueSpec};
use crate::manifest::written::{Given, Written};
use std::collections::BTreeMap;

/// Reads the section.
pub fn read(
    written: &Given<BTreeMap<Written<String>, Written<RegistrySpec>>>,
    reading: &mut Reading<'_>,
) -> BTreeMap<String, Registry> {
    let mut registries = BTreeMap::new();
    for (host, login) in written.value().into_iter().flatten() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if host.value.is_empty() || !host.value.chars().all(allowed) {
            let message = format!("`{}` is not a registry's host", shown(&host.value));
            reading.report.fault(host.spot, message, "Write it as images name it: ghcr.io, or HOST:PORT");
        }
        registries.extend(registry(login, reading).map(|registry| (host.value.clone(), registry)));
    }
    registries
}

fn registry(login: &Written<RegistrySpec>, reading: &mut Reading<'_>) -> Option<Registry> {
    let (Some(username), Some(password)) = (&login.value.username.0, &login.value.password.0) else {
        let hint = "Write { username: NAME, password: { from_env: NAME } }";
        reading.report.fault(login.spot, "A registry needs `username` and `password`", hint);
        return None;
    };
    if username.value.is_empty() || username.value.contains(|c: char| c == ':' || c.is_control()) {
        let message = format!("`{}` is not a user of a registry", shown(&username.value));
        reading.report.fault(username.spot, message, "No colon and no control characters");
    }
    let password: &Written<ValueSpec> = password;
    Some(Registry { username: username.value.clone(), password: values::secret("password", password, reading) })
}
