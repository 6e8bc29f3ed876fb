//! A section that may also be a plain true or false, as written. Does not check the section's settings.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A switch, or settings that imply on.
#[derive(Clone, Debug)]
pub enum Switched<T> {
    /// `true` or `false`.
    Switch(bool),
    /// On, with these settings.
    Settings(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchOrSettings(PhantomData))
    }
}

struct SwitchOrSettings<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SwitchOrSettings<T> {
    type Value = Switched<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a mapping")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
        Ok(Switched::Switch(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Switched::Settings)
    }
}

impl<T: JsonSchema> JsonSchema for Switched<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrSwitch", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, settings] })
    }
}
