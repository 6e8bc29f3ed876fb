//! The Torrust tracker stack, as written. Does not check how its parts fit together.

use super::{Switch, Text, ValueSpec, Whole};
use crate::manifest::environment::Pull;
use crate::manifest::tracker::LogLevel;
use crate::manifest::written::{Given, Written};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The Torrust BitTorrent tracker with its supporting services.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Tracker", deny_unknown_fields, default)]
pub struct TrackerSpec {
    /// True if announces need a key; default false.
    pub private: Given<Switch>,
    /// True to track only torrents of the whitelist; default false.
    pub listed: Given<Switch>,
    /// Database for torrents and keys; default `sqlite`.
    pub database: Given<DatabaseSpec>,
    /// UDP trackers.
    pub udp: Given<Vec<Written<ListenerSpec>>>,
    /// HTTP trackers.
    pub http: Given<Vec<Written<SiteSpec>>>,
    /// API of the tracker; default: none.
    pub api: Given<ApiSpec>,
    /// The health check API, which always exists; default port 1313, not published.
    pub health_api: Given<HealthApiSpec>,
    /// Interval of clients' announces.
    pub announce: Given<AnnounceSpec>,
    /// True if the number of completed downloads must survive a restart; default false.
    pub persistent_completed: Given<Switch>,
    /// Log level of the tracker; default `info`.
    pub log: Given<LogLevel>,
    /// Prometheus, which scrapes the tracker.
    pub prometheus: Given<PrometheusSpec>,
    /// Grafana, which shows the data of Prometheus.
    pub grafana: Given<GrafanaSpec>,
    /// Certificates for every endpoint with `tls: true`.
    pub tls: Given<TlsSpec>,
    /// Archives of the stack's data, made on the host at certain times.
    pub backup: Given<BackupSpec>,
    /// True if peers reach the tracker over IPv6 too; default true. Set it to false for hosts without IPv6.
    pub ipv6: Given<Switch>,
    /// Image of each service, by role: tracker, mysql, prometheus, grafana, caddy, backup.
    pub images: Given<BTreeMap<Written<String>, Written<String>>>,
    /// Image name to archive made by `docker save`, for hosts without a registry.
    pub archives: Given<BTreeMap<Written<String>, Written<String>>>,
    /// Condition for pulling images: the host lacks the image (`missing`, the default), or also the registry has
    /// another image with the same tag (`always`).
    pub pull: Given<Pull>,
    /// Compose project name on the host; default `PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]*$"))]
    pub project: Given<String>,
    /// Directory on the host; default `/opt/deployer/PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^/"))]
    pub host_directory: Given<String>,
}

/// Database for the tracker's torrents: `sqlite`, or a mapping with `sqlite` or `mysql`.
#[derive(Clone, Debug)]
pub enum DatabaseSpec {
    /// A name without settings.
    Named(String),
    /// A mapping with settings.
    Settings(DatabaseSettingsSpec),
}

/// A database with its settings: exactly one of `sqlite` and `mysql`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Database", deny_unknown_fields, default)]
pub struct DatabaseSettingsSpec {
    /// A file on the host.
    pub sqlite: Given<SqliteSpec>,
    /// A MySQL server.
    pub mysql: Given<MysqlSpec>,
}

/// A database file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Sqlite", deny_unknown_fields, default)]
pub struct SqliteSpec {
    /// File name; default `tracker.db`.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub file: Given<String>,
}

/// A MySQL server: part of the stack, unless `host` names an external server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Mysql", deny_unknown_fields, default)]
#[schemars(extend("required" = ["password"]))]
pub struct MysqlSpec {
    /// The tracker's user at the server, not root; default `tracker`.
    pub user: Given<String>,
    /// Password of the user.
    pub password: Given<ValueSpec>,
    /// Name of the database; default `torrust`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_]+$"))]
    pub database: Given<String>,
    /// Address of an external server; default: the stack runs a server.
    pub host: Given<String>,
    /// Port of the external server; default 3306.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Root password of the stack's server; default: generated on the host and kept there.
    pub root_password: Given<ValueSpec>,
}

/// A UDP tracker.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Listener", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct ListenerSpec {
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Host address that the port is published on; default: all.
    pub bind: Given<String>,
    /// Domain name that the tracker is announced under.
    pub domain: Given<String>,
}

/// An HTTP endpoint, published on its port or behind TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Site", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct SiteSpec {
    /// Port; published only without TLS.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Host address that the port is published on; default: all.
    pub bind: Given<String>,
    /// Domain name of the endpoint.
    pub domain: Given<String>,
    /// True if Caddy serves the endpoint at its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// The tracker's API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Api", deny_unknown_fields, default)]
#[schemars(extend("required" = ["token"]))]
pub struct ApiSpec {
    /// Port, default 1212; published only without TLS.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Token of the API's administrator.
    pub token: Given<ValueSpec>,
    /// Host address that the port is published on; default: all.
    pub bind: Given<String>,
    /// Domain name of the endpoint.
    pub domain: Given<String>,
    /// True if Caddy serves the endpoint at its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// The tracker's health check API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "HealthApi", deny_unknown_fields, default)]
pub struct HealthApiSpec {
    /// Port, default 1313.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// True to publish the port on the host; default false.
    pub publish: Given<Switch>,
    /// Host address that the port is published on; default: all.
    pub bind: Given<String>,
    /// Domain name of the endpoint.
    pub domain: Given<String>,
    /// True if Caddy serves the endpoint at its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// Interval of clients' announces.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Announce", deny_unknown_fields, default)]
pub struct AnnounceSpec {
    /// Time that clients are asked to wait between announces; default 120s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub interval: Given<Text>,
    /// Shortest time that clients are given; default: 120s, or `interval` if that is shorter.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub minimum: Given<Text>,
}

/// Prometheus, reachable only on the host's loopback interface, at port 9090.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Prometheus", deny_unknown_fields, default)]
pub struct PrometheusSpec {
    /// Interval of scrapes of the tracker; default 15s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub scrape_interval: Given<Text>,
}

/// Grafana, with a data source and two dashboards.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Grafana", deny_unknown_fields, default)]
#[schemars(extend("required" = ["password"]))]
pub struct GrafanaSpec {
    /// Name of the administrator; default `admin`.
    pub user: Given<String>,
    /// Password of the administrator.
    pub password: Given<ValueSpec>,
    /// Port, default 3000; published only without TLS.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Host address that the port is published on; default: all.
    pub bind: Given<String>,
    /// Domain name of the endpoint.
    pub domain: Given<String>,
    /// True if Caddy serves the endpoint at its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// Archives of the stack's data, verified and made without stopping the stack.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Backup", deny_unknown_fields, default)]
#[schemars(extend("required" = ["at"]))]
pub struct BackupSpec {
    /// Time by the host's clock: `03:00` for each day, or `Sun 03:00` for some days.
    #[schemars(regex(pattern = r"^([A-Za-z,.]+ )?[0-9]{1,2}:[0-9]{2}$"))]
    pub at: Given<String>,
    /// Number of days that archives are kept on the host; the newest archive is always kept. Default 7.
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: Given<Whole>,
    /// Program and arguments, run on the host after each new archive; `{archive}` is replaced by the archive's path.
    #[schemars(length(min = 1))]
    pub after: Given<Vec<Written<String>>>,
}

/// Source of certificates.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Tls", deny_unknown_fields, default)]
pub struct TlsSpec {
    /// Contact address for the issuer.
    pub email: Given<String>,
    /// Issuer of the certificates; default `letsencrypt`.
    pub issuer: Given<IssuerSpec>,
}

/// An issuer of certificates: `letsencrypt`, `letsencrypt-staging`, `internal`, or a mapping with `acme`.
#[derive(Clone, Debug)]
pub enum IssuerSpec {
    /// A name without settings.
    Named(String),
    /// An ACME server.
    Acme(AcmeSpec),
}

/// An ACME server (RFC 8555).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Acme", deny_unknown_fields, default)]
#[schemars(extend("required" = ["acme"]))]
pub struct AcmeSpec {
    /// URL of the server's directory.
    pub acme: Given<String>,
    /// File with the server's root certificate, if systems do not trust it.
    pub root: Given<String>,
}

macro_rules! word_or_mapping {
    ($type:ident { $word:ident, $mapping:ident($settings:ty) } expects $expects:literal, words $words:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl<'de> Visitor<'de> for Either {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expects)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        Ok($type::$word(text.to_owned()))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$settings>::deserialize(MapAccessDeserializer::new(map)).map($type::$mapping)
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let settings = generator.subschema_for::<$settings>();
                json_schema!({ "anyOf": [{ "enum": $words }, settings] })
            }
        }
    };
}

word_or_mapping!(DatabaseSpec { Named, Settings(DatabaseSettingsSpec) }
    expects "`sqlite`, or a mapping with `sqlite` or `mysql`", words ["sqlite"]);
word_or_mapping!(IssuerSpec { Named, Acme(AcmeSpec) }
    expects "`letsencrypt`, `letsencrypt-staging`, `internal` or a mapping with `acme`",
    words ["letsencrypt", "letsencrypt-staging", "internal"]);
