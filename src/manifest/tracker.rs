//! The Torrust tracker stack as it is wanted: every default filled in, every rule kept. What its templates see.
//! Never holds a secret's value, and never says how a service is run: that is for the templates.

use super::network::Protocol;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The stack.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the tracker's own, each by itself")]
pub struct Tracker {
    /// Whether announces need a key.
    pub private: bool,
    /// Whether only torrents of the whitelist are tracked.
    pub listed: bool,
    /// Where torrents and keys are kept.
    pub database: Database,
    /// UDP trackers.
    pub udp: Vec<Endpoint>,
    /// HTTP trackers; all behind TLS, or none.
    pub http: Vec<Endpoint>,
    /// The API.
    pub api: Option<Endpoint>,
    /// The health check API.
    pub health_api: Endpoint,
    /// What clients are told to wait between announces, in seconds.
    pub announce_interval: u64,
    /// The least that they are told, in seconds.
    pub announce_minimum: u64,
    /// Whether the number of completed downloads outlives a restart.
    pub persistent_completed: bool,
    /// What the tracker logs.
    pub log: LogLevel,
    /// Prometheus, which scrapes the tracker.
    pub prometheus: Option<Prometheus>,
    /// Grafana, which shows what Prometheus knows.
    pub grafana: Option<Grafana>,
    /// Where certificates come from; there where anything is behind TLS.
    pub tls: Option<Tls>,
    /// Whether the services' networks have IPv6.
    pub ipv6: bool,
    /// Image of each service, by its role.
    pub images: BTreeMap<String, String>,
    /// Where templates of the user's own are looked for first, absolute.
    #[serde(skip)]
    pub templates: Utf8PathBuf,
}

/// Where the tracker keeps its torrents.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Database {
    /// A file on the host.
    Sqlite {
        /// Its name.
        file: String,
    },
    /// A MySQL server.
    Mysql {
        /// Its user for the tracker.
        user: String,
        /// The database.
        database: String,
        /// Address of a server that is not the stack's own.
        host: Option<String>,
        /// Its port.
        port: u16,
        /// Whether the manifest has root's password.
        root_password: bool,
    },
}

/// A port that the tracker, or something beside it, listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The port, inside and outside.
    pub port: u16,
    /// The host's address it is published on; `None`: all.
    pub bind: Option<IpAddr>,
    /// The name under which it is reached.
    pub domain: Option<String>,
    /// Whether Caddy serves it under its domain.
    pub tls: bool,
    /// Whether the host publishes the port itself.
    pub published: bool,
}

/// Prometheus.
#[derive(Clone, Debug, Serialize)]
pub struct Prometheus {
    /// How often it asks the tracker, in seconds.
    pub scrape_interval: u64,
}

/// Grafana.
#[derive(Clone, Debug, Serialize)]
pub struct Grafana {
    /// Its administrator.
    pub user: String,
    /// Where it is reached.
    pub endpoint: Endpoint,
}

/// Where certificates come from.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// Whom the issuer may write to.
    pub email: Option<String>,
    /// Who issues them.
    pub issuer: Issuer,
}

/// An issuer of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Issuer {
    /// Let's Encrypt.
    Letsencrypt,
    /// Its server for tests, whose certificates nobody trusts.
    LetsencryptStaging,
    /// Caddy itself.
    Internal,
    /// Another ACME server.
    Acme {
        /// URL of its directory.
        url: String,
        /// File with the certificate of its root.
        root: Option<Utf8PathBuf>,
    },
}

/// What the tracker logs, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// Warnings, too.
    Warn,
    /// What happens.
    Info,
    /// More of it.
    Debug,
    /// All of it.
    Trace,
}

/// What Grafana is called in messages.
const GRAFANA: &str = "Grafana";

/// The variable with the API's token.
pub const API_TOKEN: &str = "TRACKER_API_TOKEN";
/// The variable with the password of the tracker's database user.
pub const DATABASE_PASSWORD: &str = "TRACKER_DATABASE_PASSWORD";
/// The variable with the password of root at the stack's own MySQL.
pub const ROOT_PASSWORD: &str = "MYSQL_ROOT_PASSWORD";
/// The variable with the password of Grafana's administrator.
pub const GRAFANA_PASSWORD: &str = "GRAFANA_ADMIN_PASSWORD";

/// The services' roles and the images they have unless the manifest names others.
pub const IMAGES: [(&str, &str); 6] = [
    ("tracker", "torrust/tracker:3.0.0"),
    ("mysql", "mysql:8.4"),
    ("prometheus", "prom/prometheus:v3.11.2"),
    ("grafana", "grafana/grafana:13.0.0"),
    ("caddy", "caddy:2.11.2"),
    ("backup", "alpine/sqlite:3.51.2"),
];

/// A port of the host that the stack takes, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address; `None`: all.
    pub bind: Option<IpAddr>,
    /// What takes it.
    pub by: String,
}

impl Tracker {
    /// Everything that has a name and a port, with what it is.
    pub fn sites(&self) -> impl Iterator<Item = (&'static str, &Endpoint)> {
        let http = self.http.iter().map(|one| ("the HTTP tracker", one));
        let api = self.api.iter().map(|one| ("the API", one));
        let health = std::iter::once(("the health check API", &self.health_api));
        let grafana = self.grafana.iter().map(|one| (GRAFANA, &one.endpoint));
        http.chain(api).chain(health).chain(grafana)
    }

    /// Whether anything is behind TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.sites().any(|(_, site)| site.tls)
    }

    /// Whether the stack has a MySQL server of its own.
    #[must_use]
    pub const fn has_mysql(&self) -> bool {
        matches!(self.database, Database::Mysql { host: None, .. })
    }

    /// The ports that the tracker listens on inside its container.
    #[must_use]
    pub fn listens(&self) -> Vec<Taken> {
        let taken = |protocol, by: &str, port| Taken { port, protocol, bind: None, by: by.to_owned() };
        let udp = self.udp.iter().map(|one| taken(Protocol::Udp, "the UDP tracker", one.port));
        let own = self.sites().filter(|(what, _)| *what != GRAFANA);
        udp.chain(own.map(|(what, site)| taken(Protocol::Tcp, what, site.port))).collect()
    }

    /// The ports of the host that the stack takes.
    #[must_use]
    pub fn ports(&self) -> Vec<Taken> {
        let taken = |protocol, by: &str, port, bind| Taken { port, protocol, bind, by: by.to_owned() };
        let loopback = Some(IpAddr::from([127, 0, 0, 1]));
        let udp = self.udp.iter().map(|one| taken(Protocol::Udp, "the UDP tracker", one.port, one.bind));
        let sites = self.sites().filter(|(_, site)| site.published);
        let tcp = sites.map(|(what, site)| taken(Protocol::Tcp, what, site.port, site.bind));
        let prometheus = self.prometheus.iter().map(|_| taken(Protocol::Tcp, "Prometheus", 9090, loopback));
        let caddy = [(Protocol::Tcp, 80), (Protocol::Tcp, 443), (Protocol::Udp, 443)];
        let caddy = caddy.into_iter().filter(|_| self.has_tls());
        let caddy = caddy.map(|(protocol, port)| taken(protocol, "Caddy", port, None));
        udp.chain(tcp).chain(prometheus).chain(caddy).collect()
    }
}

impl Taken {
    /// Whether two cannot be had at once.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let everywhere = |bind: Option<IpAddr>| bind.is_none_or(|address| address.is_unspecified());
        self.port == other.port
            && self.port != 0
            && self.protocol == other.protocol
            && (everywhere(self.bind) || everywhere(other.bind) || self.bind == other.bind)
    }
}
