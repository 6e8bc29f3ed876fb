//! Writes one environment as a manifest would, with every default filled in. Does not write the value of a secret.
//! `tests/attacks/review_keys.rs` changes every key of the schema in turn, so no key is missing here.

use super::Manifest;
use super::environment::{
    Allow, Application, Check, CheckProbe, Environment, FirewallWish, Identity, Registry, Schedule, Script, Source,
    Vantage,
};
use super::provision::{Machine, ModuleSource, Provision};
use super::tracker::{
    API_TOKEN, DATABASE_PASSWORD, Database, Endpoint, GRAFANA_PASSWORD, Issuer, ROOT_PASSWORD, Tls, Tracker,
};
use crate::model::secret::SecretSource;
use serde_json::{Map, Value, json};

/// Writes the source of a value.
pub type Tell<'a> = &'a dyn Fn(&SecretSource) -> Value;

/// Returns the environment as a mapping with the manifest's keys.
pub fn describe(environment: &Environment) -> Value {
    describe_with(environment, &value)
}

/// Returns the sections of the manifest that all environments share, with the logins of one environment's application.
pub fn describe_shared(manifest: &Manifest, environment: &Environment, value: Tell<'_>) -> Value {
    let logins = environment.application.iter().flat_map(|application| &application.registries);
    let login = |login: &Registry| json!({ "username": login.username, "password": value(&login.password) });
    let mut told = json!({
        "project": manifest.project,
        "state": manifest.state,
        "state_passphrase": manifest.state_passphrase.as_ref().map(value),
        "registries": logins.map(|(host, one)| (host.clone(), login(one))).collect::<Map<_, _>>(),
    });
    without_nothing(&mut told);
    told
}

/// Returns what [`describe`] does, with sources of values as `value` writes them.
pub fn describe_with(environment: &Environment, value: Tell<'_>) -> Value {
    let ssh = &environment.ssh;
    let identity = match &ssh.identity {
        Some(Identity::File(path)) => json!({ "identity_file": path }),
        Some(Identity::Secret(source)) => json!({ "identity": value(source) }),
        None => json!({}),
    };
    let engine = &environment.engine;
    let (major, minor) = engine.minimum;
    let mut told = json!({
        "registered": environment.provision.is_none().then(|| json!({ "address": environment.address })),
        "ssh": {
            "port": ssh.port, "user": ssh.user, "host_key": ssh.host_key, "jump": ssh.jump,
            "sudo_password": ssh.sudo_password.as_ref().map(value),
            "connect_timeout": duration(ssh.connect_timeout), "wait": duration(ssh.wait),
        },
        "public_addresses": environment.public_addresses,
        "configure": { "engine": {
            "minimum": format!("{major}.{minor}"), "install": engine.install, "source": engine.source,
            "ipv6": engine.ipv6,
            "repository": engine.repository.as_ref().map(|repository| json!({ "url": repository.url })),
        }, "firewall": environment.firewall.as_ref().map(firewall),
            "security_updates": environment.security_updates.as_ref().map(|wish| json!({ "reboot_at": wish.reboot_at })),
            "scripts": environment.scripts.iter().map(script).collect::<Vec<_>>(),
            "schedules": environment.schedules.iter().map(schedule).collect::<Vec<_>>() },
        "application": environment.application.as_ref().map(|one| application(one, value)),
        "checks": environment.checks.iter().map(check).collect::<Vec<_>>(),
        "stage": environment.stage,
        "health": { "timeout": duration(environment.health.timeout), "stable_for": duration(environment.health.stable_for),
            "smoke": environment.health.smoke },
        "protect": environment.protect,
        "renamed_from": environment.renamed_from,
        "rollback": environment.rollback,
        "keep_releases": environment.keep_releases,
        "depends_on": environment.depends_on,
        "drift": {
            "policy": environment.drift.policy,
            "ignore": environment.drift.ignore.iter().map(|ignore| json!({
                "fact": format!("{}:{}", ignore.kind, ignore.fact), "reason": ignore.reason,
            })).collect::<Vec<_>>(),
        },
    });
    extend(&mut told["ssh"], identity);
    without_nothing(&mut told);
    // Added afterwards: an empty value means something to a module and to a backend.
    if let Some(provision) = environment.provision.as_deref() {
        told["provisioned"] = provisioned(provision, value);
    }
    // Kept even if the section is empty: an empty section means on.
    if let Some(updates) = &environment.security_updates {
        let reboot_at = updates.reboot_at.as_ref().map(|at| ("reboot_at".to_owned(), json!(at)));
        told["configure"]["security_updates"] = Value::Object(reboot_at.into_iter().collect());
    }
    json!({ environment.name.as_str(): told })
}

fn provisioned(provision: &Provision, value: Tell<'_>) -> Value {
    let mut machine = match &provision.machine {
        Machine::Lxd(lxd) => {
            let mut told = json!(lxd);
            told["disk"] = json!(lxd.disk.as_ref().and_then(|disk| disk.size.as_ref()));
            told["pool"] = json!(lxd.disk.as_ref().map(|disk| &disk.pool));
            told
        }
        Machine::Hetzner(hetzner) => {
            let mut told = json!(hetzner);
            told["token"] = json!(hetzner.token.as_ref().map(value));
            told["firewall"] = json!(hetzner.firewall.is_some());
            if let Some(volume) = &hetzner.volume {
                told["volume"]["size"] = json!(format!("{}GB", volume.size));
            }
            told
        }
        Machine::Module(module) => {
            let (source, version) = match &module.source {
                ModuleSource::Directory(path) => (path.as_str(), &None),
                ModuleSource::Address(address, version) => (address.as_str(), version),
            };
            let secrets: Map<_, _> =
                module.secrets.iter().map(|(name, source)| (name.clone(), value(source))).collect();
            json!({ "source": source, "resource": module.resource, "version": version, "secrets": secrets,
                "outputs": module.outputs })
        }
    };
    without_nothing(&mut machine);
    if let Machine::Module(module) = &provision.machine
        && !module.variables.is_empty()
    {
        machine["variables"] = json!(module.variables);
    }
    let mut told = json!({ provision.machine.name(): machine, "timeout": duration(provision.timeout) });
    if let Some((name, settings)) = &provision.backend {
        told["backend"] = json!({ name.as_str(): settings });
    }
    told
}

fn application(application: &Application, value: Tell<'_>) -> Value {
    let variables: Map<_, _> =
        application.variables.iter().map(|(name, source)| (name.clone(), value(source))).collect();
    let mut told = json!({
        "archives": application.archives, "before": application.before, "pull": application.pull,
        "project": application.project, "host_directory": application.host_directory,
    });
    match &application.source {
        Source::Compose(compose) => {
            let own = json!({
                "directory": compose.directory, "files": compose.files, "templates": compose.templates,
                "variables": variables, "seed": compose.seed.iter().map(|glob| &glob.text).collect::<Vec<_>>(), "links": compose.links, "readable": compose.readable,
            });
            extend(&mut told, own);
            json!({ "compose": told })
        }
        Source::Tracker(tracker) => {
            extend(&mut told, stack(tracker, &variables));
            let backup = application.backup.as_ref();
            let backup = backup.map(|it| json!({ "at": it.at, "keep_days": it.keep_days, "after": it.after }));
            extend(&mut told, json!({ "backup": backup }));
            json!({ "tracker": told })
        }
    }
}

fn stack(tracker: &Tracker, secrets: &Map<String, Value>) -> Value {
    let seconds = |count: u64| duration(std::time::Duration::from_secs(count));
    let database = match &tracker.database {
        Database::Sqlite { file } => json!({ "sqlite": { "file": file } }),
        Database::Mysql { user, database, host, port, .. } => json!({ "mysql": {
            "user": user, "password": secrets.get(DATABASE_PASSWORD), "database": database, "host": host,
            "port": host.as_ref().map(|_| port), "root_password": secrets.get(ROOT_PASSWORD),
        } }),
    };
    let with = |one: &Endpoint, more: Value| {
        let mut told = endpoint(one);
        extend(&mut told, more);
        told
    };
    let issuer = |tls: &Tls| match &tls.issuer {
        Issuer::Letsencrypt => json!("letsencrypt"),
        Issuer::LetsencryptStaging => json!("letsencrypt-staging"),
        Issuer::Internal => json!("internal"),
        Issuer::Acme { url, root } => json!({ "acme": url, "root": root }),
    };
    json!({
        "private": tracker.private, "listed": tracker.listed, "database": database,
        "udp": tracker.udp.iter().map(|one| json!({ "port": one.port, "bind": one.bind, "domain": one.domain })).collect::<Vec<_>>(),
        "http": tracker.http.iter().map(endpoint).collect::<Vec<_>>(),
        "api": tracker.api.as_ref().map(|api| with(api, json!({ "token": secrets.get(API_TOKEN) }))),
        "health_api": with(&tracker.health_api, json!({ "publish": tracker.health_api.published })),
        "announce": { "interval": seconds(tracker.announce_interval), "minimum": seconds(tracker.announce_minimum) },
        "persistent_completed": tracker.persistent_completed, "log": tracker.log,
        "prometheus": tracker.prometheus.as_ref().map(|it| json!({ "scrape_interval": seconds(it.scrape_interval) })),
        "grafana": tracker.grafana.as_ref().map(|grafana| with(&grafana.endpoint, json!({
            "user": grafana.user, "password": secrets.get(GRAFANA_PASSWORD),
        }))),
        "tls": tracker.tls.as_ref().map(|tls| json!({ "email": tls.email, "issuer": issuer(tls) })),
        "ipv6": tracker.ipv6, "images": tracker.images,
    })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    json!({ "port": endpoint.port, "bind": endpoint.bind, "domain": endpoint.domain, "tls": endpoint.tls })
}

/// Adds the entries of one mapping to another.
fn extend(told: &mut Value, more: Value) {
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
}

/// Writes a source, and its value if that is no secret.
pub fn value(source: &SecretSource) -> Value {
    match source {
        SecretSource::Literal { value, secret: false } => json!(value),
        SecretSource::Literal { .. } => json!("(secret)"),
        SecretSource::Environment { name, .. } => json!({ "from_env": name }),
        SecretSource::File { path, .. } => json!({ "from_file": path }),
        SecretSource::Command { argv, .. } => json!({ "from_command": argv }),
    }
}

fn firewall(wish: &FirewallWish) -> Value {
    let entry = |allow: &Allow| {
        let mut told = json!({ "port": allow.port, "protocol": allow.protocol });
        if !allow.from.is_empty() {
            told["from"] = allow.from.iter().map(ToString::to_string).collect();
        }
        told
    };
    if wish.allow.is_empty() {
        json!(true)
    } else {
        json!({ "allow": wish.allow.iter().map(entry).collect::<Vec<_>>() })
    }
}

fn script(script: &Script) -> Value {
    let run = script.file.is_none().then_some(&script.run);
    json!({ "name": script.name, "check": script.check, "run": run, "file": script.file, "undo": script.undo })
}

fn schedule(schedule: &Schedule) -> Value {
    json!({ "name": schedule.name, "at": schedule.at, "run": schedule.run })
}

fn check(check: &Check) -> Value {
    let mut told = match &check.probe {
        CheckProbe::Tcp(port) => json!({ "tcp": port }),
        CheckProbe::Http { port, path, status, contains, tls, host } => json!({ "http": {
            "port": port, "path": path, "status": status, "contains": contains, "tls": tls, "host": host,
        } }),
    };
    told["name"] = json!(check.name);
    told["from"] = json!(if check.from == Vantage::Host { "host" } else { "runner" });
    told["gate"] = json!(check.gate);
    told
}

fn duration(duration: std::time::Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Removes keys that are not set, so that the rest can be pasted into a manifest.
fn without_nothing(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, inner| {
            without_nothing(inner);
            let empty = inner.as_array().is_some_and(Vec::is_empty) || inner.as_object().is_some_and(Map::is_empty);
            !inner.is_null() && !empty
        });
    }
}
