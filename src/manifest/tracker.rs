//! The desired Torrust tracker stack: every default filled in, every rule checked. It is the input of the templates,
//! which define how services run. Holds no value of a secret.

use super::network::{self, Protocol};
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The stack.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the tracker's own, each by itself")]
pub struct Tracker {
    /// True if announces need a key.
    pub private: bool,
    /// True if only torrents of the whitelist are tracked.
    pub listed: bool,
    /// Database for torrents and keys.
    pub database: Database,
    /// UDP trackers.
    pub udp: Vec<Endpoint>,
    /// HTTP trackers; either all or none behind TLS.
    pub http: Vec<Endpoint>,
    /// The API.
    pub api: Option<Endpoint>,
    /// The health check API.
    pub health_api: Endpoint,
    /// Seconds that clients are asked to wait between announces.
    pub announce_interval: u64,
    /// Shortest wait that clients are given, in seconds.
    pub announce_minimum: u64,
    /// True if the number of completed downloads survives a restart.
    pub persistent_completed: bool,
    /// Log level of the tracker.
    pub log: LogLevel,
    /// Prometheus, which scrapes the tracker.
    pub prometheus: Option<Prometheus>,
    /// Grafana, which shows the data of Prometheus.
    pub grafana: Option<Grafana>,
    /// Source of certificates; set if anything is behind TLS.
    pub tls: Option<Tls>,
    /// True if the services' networks have IPv6.
    pub ipv6: bool,
    /// Image of each service, by role.
    pub images: BTreeMap<String, String>,
    /// Directory of the user's own templates, searched first, absolute.
    #[serde(skip)]
    pub templates: Utf8PathBuf,
}

/// Database for the tracker's torrents.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Database {
    /// A file on the host.
    Sqlite {
        /// File name.
        file: String,
    },
    /// A MySQL server.
    Mysql {
        /// The tracker's user at the server.
        user: String,
        /// Name of the database.
        database: String,
        /// Address of an external server; `None` for the server of the stack.
        host: Option<String>,
        /// Port of the server.
        port: u16,
        /// True if the manifest has the root password.
        root_password: bool,
    },
}

/// A port that the tracker, or another service of the stack, listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Port, the same inside and outside of the container.
    pub port: u16,
    /// Host address that the port is published on; `None` for all.
    pub bind: Option<IpAddr>,
    /// Domain name of the endpoint.
    pub domain: Option<String>,
    /// True if Caddy serves the endpoint at its domain.
    pub tls: bool,
    /// True if the host publishes the port itself.
    pub published: bool,
}

/// Prometheus.
#[derive(Clone, Debug, Serialize)]
pub struct Prometheus {
    /// Interval of scrapes, in seconds.
    pub scrape_interval: u64,
}

/// Grafana.
#[derive(Clone, Debug, Serialize)]
pub struct Grafana {
    /// Name of the administrator.
    pub user: String,
    /// Port, address and domain of Grafana.
    pub endpoint: Endpoint,
}

/// Source of certificates.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// Contact address for the issuer.
    pub email: Option<String>,
    /// Issuer of the certificates.
    pub issuer: Issuer,
}

/// An issuer of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Issuer {
    /// Let's Encrypt.
    Letsencrypt,
    /// Let's Encrypt's staging server, whose certificates are not trusted.
    LetsencryptStaging,
    /// Caddy's internal CA.
    Internal,
    /// Another ACME server.
    Acme {
        /// URL of the server's directory.
        url: String,
        /// File with the server's root certificate.
        root: Option<Utf8PathBuf>,
    },
}

/// Log level of the tracker, quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// Errors and warnings.
    Warn,
    /// Also normal events.
    Info,
    /// Also details for debugging.
    Debug,
    /// Everything.
    Trace,
}

/// Name of Grafana in messages.
const GRAFANA: &str = "Grafana";

/// Variable with the API's token.
pub const API_TOKEN: &str = "TRACKER_API_TOKEN";
/// Variable with the password of the tracker's database user.
pub const DATABASE_PASSWORD: &str = "TRACKER_DATABASE_PASSWORD";
/// Variable with the root password of the stack's MySQL server.
pub const ROOT_PASSWORD: &str = "MYSQL_ROOT_PASSWORD";
/// Variable with the password of Grafana's administrator.
pub const GRAFANA_PASSWORD: &str = "GRAFANA_ADMIN_PASSWORD";

/// Roles of the services, and their default images.
pub const IMAGES: [(&str, &str); 6] = [
    ("tracker", "torrust/tracker:3.0.0"),
    ("mysql", "mysql:8.4"),
    ("prometheus", "prom/prometheus:v3.11.2"),
    ("grafana", "grafana/grafana:13.0.0"),
    ("caddy", "caddy:2.11.2"),
    ("backup", "alpine/sqlite:3.51.2"),
];

/// A host port that the stack uses, and its purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// Host address; `None` for all.
    pub bind: Option<IpAddr>,
    /// Service that uses the port.
    pub by: String,
}

impl Tracker {
    /// Returns every endpoint that may have a domain, with its name for messages.
    pub fn sites(&self) -> impl Iterator<Item = (&'static str, &Endpoint)> {
        let http = self.http.iter().map(|one| ("the HTTP tracker", one));
        let api = self.api.iter().map(|one| ("the API", one));
        let health = std::iter::once(("the health check API", &self.health_api));
        let grafana = self.grafana.iter().map(|one| (GRAFANA, &one.endpoint));
        http.chain(api).chain(health).chain(grafana)
    }

    /// Returns true if any endpoint is behind TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.sites().any(|(_, site)| site.tls)
    }

    /// Returns true if the stack runs a MySQL server.
    #[must_use]
    pub const fn has_mysql(&self) -> bool {
        matches!(self.database, Database::Mysql { host: None, .. })
    }

    /// Returns the ports that the tracker listens on inside its container.
    #[must_use]
    pub fn listens(&self) -> Vec<Taken> {
        let taken = |protocol, by: &str, port| Taken { port, protocol, bind: None, by: by.to_owned() };
        let udp = self.udp.iter().map(|one| taken(Protocol::Udp, "the UDP tracker", one.port));
        let own = self.sites().filter(|(what, _)| *what != GRAFANA);
        udp.chain(own.map(|(what, site)| taken(Protocol::Tcp, what, site.port))).collect()
    }

    /// Returns the host ports that the stack uses.
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
    /// Returns true if the two ports cannot be used at the same time.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        self.port == other.port
            && self.port != 0
            && self.protocol == other.protocol
            && network::overlap(self.bind, other.bind)
    }
}
