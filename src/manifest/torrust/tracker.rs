//! Converts the predecessor's services to the manifest's `tracker` section. Does not carry over settings that the
//! predecessor ignored.

use super::cron;
use super::unread_keys::Section;
use serde_json::{Map, Value, json};

/// Returns the manifest's `tracker` section; `runs` is true if the installation exists.
pub(super) fn read(file: &mut Section<'_>, runs: bool) -> Map<String, Value> {
    let mut stack = tracker(file, runs);
    beside(file, &mut stack);
    backup(file, &mut stack, runs);
    // The predecessor's tracker image followed the branch.
    stack.insert("images".to_owned(), json!({ "tracker": "torrust/tracker:develop" }));
    file.note("images.tracker: torrust/tracker:develop, as before; name a fixed tag or a digest");
    if runs {
        // The predecessor's Compose project had the name of its directory.
        stack.insert("project".to_owned(), json!("torrust"));
        stack.insert("host_directory".to_owned(), json!("/opt/torrust"));
    }
    stack
}

/// Reads the tracker's own settings.
fn tracker(file: &mut Section<'_>, runs: bool) -> Map<String, Value> {
    let mut stack = Map::new();
    let mut section = file.section("tracker");
    let mut core = section.section("core");
    for key in ["private", "listed"] {
        stack.extend(core.take(key).map(|value| (key.to_owned(), value)));
    }
    let mut database = core.section("database");
    stack.insert("database".to_owned(), self::database(&mut database, runs));
    database.finish();
    core.finish();
    let each = |section: &mut Section<'_>, key: &str| -> Vec<Value> {
        let list = section.take(key).and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let one = |(at, value): (usize, Value)| {
            let mut one = section.child(&format!("{key}[{at}]"), &value);
            let told = endpoint(&mut one);
            one.finish();
            told.into()
        };
        list.into_iter().enumerate().map(one).collect()
    };
    for (key, ours) in [("udp_trackers", "udp"), ("http_trackers", "http")] {
        let list = each(&mut section, key);
        stack.extend((!list.is_empty()).then(|| (ours.to_owned(), list.into())));
    }
    if section.holds("http_api") {
        let mut api = section.section("http_api");
        let mut told = endpoint(&mut api);
        told.insert("token".to_owned(), api.secret("admin_token", "TRACKER_API_TOKEN"));
        api.finish();
        stack.insert("api".to_owned(), told.into());
    }
    if section.holds("health_check_api") {
        let mut health = section.section("health_check_api");
        let mut told = endpoint(&mut health);
        // The predecessor published the health check API only through Caddy.
        told.remove("bind");
        health.finish();
        stack.insert("health_api".to_owned(), told.into());
    }
    for misplaced in ["prometheus", "grafana", "https", "backup"] {
        if section.take(misplaced).is_some() {
            section.note(&format!(
                "tracker.{misplaced}: misplaced, so the predecessor ignored it; it belongs next to tracker"
            ));
        }
    }
    section.finish();
    stack
}

fn database(section: &mut Section<'_>, runs: bool) -> Value {
    let name = section.text("database_name");
    if section.text("driver").as_deref() != Some("mysql") {
        return json!({ "sqlite": { "file": name } });
    }
    let mut told = Map::new();
    told.extend(section.text("username").map(|user| ("user".to_owned(), json!(user))));
    told.insert("password".to_owned(), section.secret("password", "TRACKER_DATABASE_PASSWORD"));
    told.extend(name.map(|name| ("database".to_owned(), json!(name))));
    let host = section.text("host").filter(|host| host != "mysql");
    let port = section.number("port");
    if let Some(host) = host {
        told.insert("host".to_owned(), json!(host));
        told.extend(port.map(|port| ("port".to_owned(), json!(port))));
        section.take("root_password");
    } else if runs || section.map.contains_key("root_password") {
        // The data exists, and with it root's password: the host's .env has the password if this file does not.
        told.insert("root_password".to_owned(), section.secret("root_password", "MYSQL_ROOT_PASSWORD"));
    }
    json!({ "mysql": told })
}

/// Reads the settings of services next to the tracker.
fn beside(file: &mut Section<'_>, stack: &mut Map<String, Value>) {
    if file.holds("prometheus") {
        let mut section = file.section("prometheus");
        let interval = section.number("scrape_interval_in_secs");
        let told = interval.map_or_else(|| json!({}), |seconds| json!({ "scrape_interval": format!("{seconds}s") }));
        section.finish();
        stack.insert("prometheus".to_owned(), told);
    }
    if file.holds("grafana") {
        let mut section = file.section("grafana");
        let mut told = endpoint(&mut section);
        told.extend(section.text("admin_user").map(|user| ("user".to_owned(), json!(user))));
        told.insert("password".to_owned(), section.secret("admin_password", "GRAFANA_ADMIN_PASSWORD"));
        section.finish();
        stack.insert("grafana".to_owned(), told.into());
    }
    if file.holds("https") {
        let mut section = file.section("https");
        let mut told = Map::new();
        told.extend(section.text("admin_email").map(|email| ("email".to_owned(), json!(email))));
        if section.take("use_staging") == Some(json!(true)) {
            told.insert("issuer".to_owned(), json!("letsencrypt-staging"));
        }
        section.finish();
        stack.insert("tls".to_owned(), told.into());
    }
}

/// Reads the settings of archives of the data.
fn backup(file: &mut Section<'_>, stack: &mut Map<String, Value>, runs: bool) {
    if !file.holds("backup") {
        return;
    }
    let mut section = file.section("backup");
    let schedule = section.text("schedule");
    let at = schedule.as_deref().and_then(cron::calendar);
    if at.is_none() {
        let schedule = schedule.unwrap_or_default();
        section.note(&format!(
            "backup.schedule: `{schedule}` is not a time of day or of days of the week; 03:00 is used instead"
        ));
    }
    let mut told = Map::from_iter([("at".to_owned(), json!(at.unwrap_or_else(|| "03:00".to_owned())))]);
    told.extend(section.number("retention_days").map(|days| ("keep_days".to_owned(), json!(days))));
    if runs {
        section.note(
            "backup: by a systemd timer from now on; remove the old entry from the host's crontab, which stops the \
             tracker",
        );
    }
    section.finish();
    stack.insert("backup".to_owned(), told.into());
}

/// Reads port, address, domain and TLS of an endpoint.
fn endpoint(section: &mut Section<'_>) -> Map<String, Value> {
    let mut told = Map::new();
    if let Some(address) = section.text("bind_address") {
        match address.parse::<std::net::SocketAddr>() {
            Ok(address) => {
                told.insert("port".to_owned(), json!(address.port()));
                if !address.ip().is_unspecified() {
                    told.insert("bind".to_owned(), json!(address.ip()));
                }
            }
            Err(_) => {
                section.note(&format!("{}.bind_address: `{address}` is not an address with a port", section.path));
            }
        }
    }
    told.extend(section.text("domain").map(|domain| ("domain".to_owned(), json!(domain))));
    if section.take("use_tls_proxy") == Some(json!(true)) {
        told.insert("tls".to_owned(), json!(true));
        told.remove("bind");
    }
    told
}
