//! SSH access to a host, as written. Opens no connection.

use super::{Text, ValueSpec, Whole};
use crate::manifest::written::{Given, Spot, Written};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Settings of the SSH connection to the host. Settings left out come from the user's ssh configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Ssh", deny_unknown_fields, default)]
pub struct SshSpec {
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Login name.
    #[schemars(length(min = 1))]
    pub user: Given<String>,
    /// File of the private key.
    #[schemars(length(min = 1))]
    pub identity_file: Given<String>,
    /// The private key itself instead of `identity_file`, for runners that have the key in a secret.
    pub identity: Given<ValueSpec>,
    /// Pinned host keys, each `TYPE BASE64`.
    pub host_key: Given<HostKeys>,
    /// Jump host, as for `ssh -J`.
    #[schemars(length(min = 1))]
    pub jump: Given<String>,
    /// Password for `sudo`, if the host asks for one.
    pub sudo_password: Given<ValueSpec>,
    /// Limit of one connection attempt; default 10s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub connect_timeout: Given<Text>,
    /// Time during which connections to a host that refuses or does not answer are retried; default 30s.
    #[schemars(regex(pattern = r"^[0-9]"))]
    pub wait: Given<Text>,
}

/// Host keys: a list or a single key.
#[derive(Clone, Debug, Default)]
pub struct HostKeys(pub Vec<Written<String>>);

impl<'de> Deserialize<'de> for HostKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = HostKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of host keys, each `TYPE BASE64`")
    }

    /// Reads a single key. Its position is that of the whole value, which the caller has.
    fn visit_str<E: Error>(self, key: &str) -> Result<HostKeys, E> {
        Ok(HostKeys(vec![Written { value: key.to_owned(), spot: Spot::default() }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, keys: A) -> Result<HostKeys, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(keys)).map(HostKeys)
    }
}

impl JsonSchema for HostKeys {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HostKeys".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}
