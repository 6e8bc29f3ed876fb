//! A value, or the source that it is read from: the environment, a file, a command. Does not read the source.

use super::{Scalar, Switch};
use crate::manifest::written::{Given, Written};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A literal or a source.
#[derive(Clone)]
pub enum ValueSpec {
    /// A value written in the manifest.
    Literal(Scalar),
    /// A source that the value is read from.
    Source(Box<SourceSpec>),
}

/// Source that a value is read from when it is needed: exactly one of the three keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Source", deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [
    { "required": ["from_env"] }, { "required": ["from_file"] }, { "required": ["from_command"] }
]))]
pub struct SourceSpec {
    /// Environment variable of the machine that runs deployer.
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub from_env: Given<String>,
    /// File; one trailing newline is dropped.
    #[schemars(length(min = 1))]
    pub from_file: Given<String>,
    /// Command and arguments, started without a shell, with a limit of 30 s; one trailing newline is dropped.
    #[schemars(length(min = 1))]
    pub from_command: Given<Vec<Written<String>>>,
    /// True to keep the value out of every output; default true.
    pub secret: Given<Switch>,
}

impl fmt::Debug for ValueSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(…)"),
            Self::Source(source) => source.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LiteralOrSource)
    }
}

struct LiteralOrSource;

impl<'de> Visitor<'de> for LiteralOrSource {
    type Value = ValueSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or one of { from_env: NAME }, { from_file: path }, { from_command: [program, argument] }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Literal(Scalar::Text(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Literal(Scalar::Switch(on)))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Literal(Scalar::Decimal))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Literal(Scalar::Decimal))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Literal(Scalar::Decimal))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueSpec, A::Error> {
        SourceSpec::deserialize(MapAccessDeserializer::new(map)).map(|source| ValueSpec::Source(Box::new(source)))
    }
}

impl JsonSchema for ValueSpec {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<SourceSpec>();
        json_schema!({ "anyOf": [{ "type": "string" }, source] })
    }
}
