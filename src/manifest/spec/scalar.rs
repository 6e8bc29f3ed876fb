//! Scalars as YAML read them. The rules report all wrong types at once. Nothing is converted: a quoted "22" is text, a
//! bare 24.0 is a number.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A scalar as YAML read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Decimal,
    /// True or false.
    Switch(bool),
}

/// A scalar that should be text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Scalar);

/// A scalar that should be a whole number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole(pub Scalar);

/// A scalar that should be true or false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch(pub Scalar);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar("a single value"))
    }
}

/// Visitor for any scalar; holds the name of the expected type.
struct AnyScalar(&'static str);

impl Visitor<'_> for AnyScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Scalar, E> {
        Ok(Scalar::Switch(on))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Decimal)
    }
}

macro_rules! meant {
    ($($wrapper:ident $plain:ty, $meant:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $wrapper {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyScalar($meant)).map(Self)
            }
        }

        impl JsonSchema for $wrapper {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                <$plain>::schema_name()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$plain>::json_schema(generator)
            }
        }
    )*};
}
meant! {
    Text String, "text";
    Whole i64, "a whole number";
    Switch bool, "true or false";
}
