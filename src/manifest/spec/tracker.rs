//! The Torrust tracker stack, as written. Never says what goes with what.

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

/// The Torrust BitTorrent tracker with what belongs to it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Tracker", deny_unknown_fields, default)]
pub struct TrackerSpec {
    /// Whether announces need a key; default false.
    pub private: Given<Switch>,
    /// Whether only torrents of the whitelist are tracked; default false.
    pub listed: Given<Switch>,
    /// Where torrents and keys are kept; default `sqlite`.
    pub database: Given<DatabaseSpec>,
    /// UDP trackers.
    pub udp: Given<Vec<Written<ListenerSpec>>>,
    /// HTTP trackers.
    pub http: Given<Vec<Written<SiteSpec>>>,
    /// The API; without it there is none.
    pub api: Given<ApiSpec>,
    /// The health check API, which is there always; default port 1313, not published.
    pub health_api: Given<HealthApiSpec>,
    /// How often clients are to announce.
    pub announce: Given<AnnounceSpec>,
    /// Whether the number of completed downloads outlives a restart; default false.
    pub persistent_completed: Given<Switch>,
    /// What the tracker logs; default `info`.
    pub log: Given<LogLevel>,
    /// Prometheus, which scrapes the tracker.
    pub prometheus: Given<PrometheusSpec>,
    /// Grafana, which shows what Prometheus knows.
    pub grafana: Given<GrafanaSpec>,
    /// Certificates for everything that says `tls: true`.
    pub tls: Given<TlsSpec>,
    /// Archives of its data, made on the host at certain times.
    pub backup: Given<BackupSpec>,
    /// Whether peers reach it over IPv6 too; default true. False for hosts without IPv6.
    pub ipv6: Given<Switch>,
    /// Image of each service, by its role: tracker, mysql, prometheus, grafana, caddy, backup.
    pub images: Given<BTreeMap<Written<String>, Written<String>>>,
    /// Image name to archive made by `docker save`: for hosts without a registry.
    pub archives: Given<BTreeMap<Written<String>, Written<String>>>,
    /// When images are pulled: where the host lacks them (`missing`, the default), or also where their registry has
    /// another one under the same tag (`always`).
    pub pull: Given<Pull>,
    /// Compose project name on the host; default `PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]*$"))]
    pub project: Given<String>,
    /// The directory on the host; default `/opt/deployer/PROJECT--ENVIRONMENT`.
    #[schemars(regex(pattern = "^/"))]
    pub host_directory: Given<String>,
}

/// Where the tracker keeps its torrents: `sqlite`, or a mapping with `sqlite` or `mysql`.
#[derive(Clone, Debug)]
pub enum DatabaseSpec {
    /// One word.
    Named(String),
    /// With settings.
    Settings(DatabaseSettingsSpec),
}

/// A database with its settings; one of the two.
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
    /// Its name, default `tracker.db`.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub file: Given<String>,
}

/// A MySQL server: one of the stack's own, unless `host` names another.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Mysql", deny_unknown_fields, default)]
#[schemars(extend("required" = ["password"]))]
pub struct MysqlSpec {
    /// The tracker's user; default `tracker`. Never root.
    pub user: Given<String>,
    /// The user's password.
    pub password: Given<ValueSpec>,
    /// Name of the database; default `torrust`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_]+$"))]
    pub database: Given<String>,
    /// Another server's address; without it the stack has its own.
    pub host: Given<String>,
    /// That server's port; default 3306.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Password of root at the stack's own server; without it one is made on the host and kept there.
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
    /// Address of the host it is published on; default all.
    pub bind: Given<String>,
    /// The name under which it is announced.
    pub domain: Given<String>,
}

/// Something that speaks HTTP, on a port of its own or behind TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Site", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct SiteSpec {
    /// Port; published only without TLS.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Address of the host it is published on; default all.
    pub bind: Given<String>,
    /// The name under which it is reached.
    pub domain: Given<String>,
    /// Whether Caddy serves it under its domain, with a certificate; default false.
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
    /// The token of its administrator.
    pub token: Given<ValueSpec>,
    /// Address of the host it is published on; default all.
    pub bind: Given<String>,
    /// The name under which it is reached.
    pub domain: Given<String>,
    /// Whether Caddy serves it under its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// The tracker's health check API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "HealthApi", deny_unknown_fields, default)]
pub struct HealthApiSpec {
    /// Port, default 1313.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Whether it is published on the host; default false.
    pub publish: Given<Switch>,
    /// Address of the host it is published on; default all.
    pub bind: Given<String>,
    /// The name under which it is reached.
    pub domain: Given<String>,
    /// Whether Caddy serves it under its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// How often clients are to announce.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Announce", deny_unknown_fields, default)]
pub struct AnnounceSpec {
    /// What clients are told; default 120s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub interval: Given<Text>,
    /// The least they are told; default the same.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub minimum: Given<Text>,
}

/// Prometheus; reached on the host's loopback interface only, at port 9090.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Prometheus", deny_unknown_fields, default)]
pub struct PrometheusSpec {
    /// How often it asks the tracker; default 15s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub scrape_interval: Given<Text>,
}

/// Grafana, with a data source and two dashboards.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Grafana", deny_unknown_fields, default)]
#[schemars(extend("required" = ["password"]))]
pub struct GrafanaSpec {
    /// Its administrator; default `admin`.
    pub user: Given<String>,
    /// The administrator's password.
    pub password: Given<ValueSpec>,
    /// Port, default 3000; published only without TLS.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Address of the host it is published on; default all.
    pub bind: Given<String>,
    /// The name under which it is reached.
    pub domain: Given<String>,
    /// Whether Caddy serves it under its domain, with a certificate; default false.
    pub tls: Given<Switch>,
}

/// Archives of the stack's data, made without stopping it and verified.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Backup", deny_unknown_fields, default)]
#[schemars(extend("required" = ["at"]))]
pub struct BackupSpec {
    /// When, by the host's clock: `03:00` each day, or `Sun 03:00` on some.
    #[schemars(regex(pattern = r"^([A-Za-z,.]+ )?[0-9]{1,2}:[0-9]{2}$"))]
    pub at: Given<String>,
    /// How many days archives stay on the host; the newest one always does. Default 7.
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: Given<Whole>,
    /// A program with its arguments, run on the host for each new archive; `{archive}` stands for its path.
    #[schemars(length(min = 1))]
    pub after: Given<Vec<Written<String>>>,
}

/// Where certificates come from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Tls", deny_unknown_fields, default)]
pub struct TlsSpec {
    /// Whom the issuer may write to.
    pub email: Given<String>,
    /// Who issues them; default `letsencrypt`.
    pub issuer: Given<IssuerSpec>,
}

/// An issuer of certificates: `letsencrypt`, `letsencrypt-staging`, `internal`, or a mapping with `acme`.
#[derive(Clone, Debug)]
pub enum IssuerSpec {
    /// One word.
    Named(String),
    /// An ACME server.
    Acme(AcmeSpec),
}

/// An ACME server (RFC 8555).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Acme", deny_unknown_fields, default)]
#[schemars(extend("required" = ["acme"]))]
pub struct AcmeSpec {
    /// URL of its directory.
    pub acme: Given<String>,
    /// File with the certificate of its root, where systems do not know it.
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
