//! The host's firewall, as written: a switch, or what is allowed beside the usual. Never judges an address.

use super::Whole;
use crate::manifest::environment::Protocol;
use crate::manifest::written::{Given, Written};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// On or off, or on with more that is allowed.
#[derive(Clone, Debug)]
pub enum FirewallSpec {
    /// `true` or `false`.
    Switch(bool),
    /// On, with this.
    Rules(RulesSpec),
}

/// What a firewall allows beside SSH and what the application publishes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Firewall", deny_unknown_fields, default)]
pub struct RulesSpec {
    /// Further ports that may be reached.
    pub allow: Given<Vec<Written<AllowSpec>>>,
}

/// One port that may be reached. Of a port that the application publishes, it says who may.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Allow", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct AllowSpec {
    /// The port on the host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Its protocol; default `tcp`.
    pub protocol: Given<Protocol>,
    /// Who may reach it, as addresses or networks (`203.0.113.0/24`, `2001:db8::/32`); default everybody.
    #[schemars(length(min = 1))]
    pub from: Given<Vec<Written<String>>>,
}

impl<'de> Deserialize<'de> for FirewallSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchOrRules)
    }
}

struct SwitchOrRules;

impl<'de> Visitor<'de> for SwitchOrRules {
    type Value = FirewallSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a mapping with `allow`")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<FirewallSpec, E> {
        Ok(FirewallSpec::Switch(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FirewallSpec, A::Error> {
        RulesSpec::deserialize(MapAccessDeserializer::new(map)).map(FirewallSpec::Rules)
    }
}

impl JsonSchema for FirewallSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "FirewallSwitch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<RulesSpec>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, rules] })
    }
}
