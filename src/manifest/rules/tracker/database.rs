//! Rules of the tracker's database. Does not open a database.

use super::{Secrets, secret};
use crate::manifest::faults::Report;
use crate::manifest::rules::scalars::port;
use crate::manifest::rules::{Reading, address, shown};
use crate::manifest::spec::{DatabaseSpec, MysqlSpec};
use crate::manifest::tracker::{DATABASE_PASSWORD, Database, ROOT_PASSWORD};
use crate::manifest::written::{Given, Written};
use std::net::IpAddr;

const FILE: &str = "tracker.db";

/// Reads the section. If the section is absent, the database is a file of `SQLite`.
pub fn read(given: &Given<DatabaseSpec>, secrets: &mut Secrets, reading: &mut Reading<'_>) -> Database {
    let file = || Database::Sqlite { file: FILE.to_owned() };
    let Some(written) = &given.0 else { return file() };
    let settings = match &written.value {
        DatabaseSpec::Named(name) if name == "sqlite" => return file(),
        DatabaseSpec::Named(name) => {
            let message = format!("`{}` is not a database", shown(name));
            let hint = "Write `database: sqlite`, or `database: { mysql: { password: { from_env: NAME } } }`";
            reading.report.fault(written.spot, message, hint);
            return file();
        }
        DatabaseSpec::Settings(settings) => settings,
    };
    match (&settings.sqlite.0, &settings.mysql.0) {
        (Some(sqlite), None) => {
            let named = sqlite.value.file.0.as_ref().filter(|name| file_name(name, reading.report));
            Database::Sqlite { file: named.map_or_else(|| FILE.to_owned(), |name| name.value.clone()) }
        }
        (None, Some(settings)) => mysql(settings, secrets, reading),
        _ => {
            let hint = "Write either `sqlite: {}` or `mysql: { password: { from_env: NAME } }`";
            reading.report.fault(written.spot, "`database` has to be one of sqlite and mysql", hint);
            file()
        }
    }
}

fn file_name(name: &Written<String>, report: &mut Report) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let plain = name.value.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.value.bytes().all(allowed);
    if !plain {
        let message = format!("`{}` is not the name of a database file", shown(&name.value));
        report.fault(name.spot, message, "Use letters, digits, dots, dashes and underscores; no directory");
    }
    plain
}

fn mysql(written: &Written<MysqlSpec>, secrets: &mut Secrets, reading: &mut Reading<'_>) -> Database {
    let spec = &written.value;
    secret("mysql.password", DATABASE_PASSWORD, &spec.password, written, secrets, reading);
    if let Some(host) = &spec.host.0 {
        let name = host.value.split_once(':').filter(|_| host.value.parse::<IpAddr>().is_err());
        match name {
            Some(_) => {
                let message = format!("`{}` is not the address of a MySQL server", shown(&host.value));
                reading.report.fault(host.spot, message, "Write a DNS name or an IP address, and the port as `port`");
            }
            None => address::host(host, reading.report),
        }
    }
    if let Some(root) = spec.root_password.0.as_ref() {
        if spec.host.0.is_some() {
            let message = "`root_password` is for the stack's own MySQL, but `host` names another server";
            reading.report.fault(root.spot, message, "Remove one of the two");
        }
        secret("mysql.root_password", ROOT_PASSWORD, &spec.root_password, written, secrets, reading);
    }
    if let (Some(other), None) = (&spec.port.0, &spec.host.0) {
        reading.report.fault(other.spot, "`port` is for another MySQL server, and `host` names none", "Add `host`");
    }
    Database::Mysql {
        user: user(&spec.user, reading.report),
        database: database(&spec.database, reading.report),
        host: spec.host.value().cloned(),
        port: spec.port.0.as_ref().map_or(3306, |written| port(written, "port", reading.report)),
        root_password: spec.root_password.0.is_some(),
    }
}

fn user(given: &Given<String>, report: &mut Report) -> String {
    let Some(written) = &given.0 else { return "tracker".to_owned() };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    // 32 characters is what MySQL allows.
    if written.value.is_empty() || written.value.len() > 32 || !written.value.bytes().all(allowed) {
        let message = format!("`{}` is not the name of a MySQL user", shown(&written.value));
        report.fault(written.spot, message, "Use at most 32 letters, digits, dashes and underscores");
    } else if written.value.eq_ignore_ascii_case("root") {
        report.fault(written.spot, "The tracker must not use the root user of its database", "Give it its own user");
    }
    written.value.clone()
}

fn database(given: &Given<String>, report: &mut Report) -> String {
    let Some(written) = &given.0 else { return "torrust".to_owned() };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if written.value.is_empty() || written.value.len() > 64 || !written.value.bytes().all(allowed) {
        let message = format!("`{}` is not the name of a MySQL database", shown(&written.value));
        report.fault(written.spot, message, "Use at most 64 letters, digits and underscores");
    }
    written.value.clone()
}
