//! Values with their positions in the manifest, so that every later rule can point at them. Does not check values.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A position in the manifest's text; line 0 means nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// First byte, counted from 0.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

/// A value and its position. Compares by the value alone, so that it can be a map's key.
#[derive(Clone, Debug, Default)]
pub struct Written<T> {
    pub value: T,
    /// Position of the value.
    pub spot: Spot,
}

/// A key that may be left out but must not be null. Boxed, because most keys of most sections are left out.
#[derive(Clone, Debug)]
pub struct Given<T>(pub Option<Box<Written<T>>>);

impl<T> Given<T> {
    /// Returns the value, if the key was written.
    pub fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|written| &written.value)
    }

    /// Returns the position of the value, or else `other`.
    pub fn spot_or(&self, other: Spot) -> Spot {
        self.0.as_ref().map_or(other, |written| written.spot)
    }
}

impl<T: Default + Clone> Given<T> {
    /// Returns the value, or the type's default.
    pub fn or_default(&self) -> T {
        self.value().cloned().unwrap_or_default()
    }
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl From<serde_saphyr::Location> for Spot {
    fn from(location: serde_saphyr::Location) -> Self {
        let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
        Self {
            start: narrow(location.span().byte_offset().unwrap_or(0)),
            length: narrow(location.span().byte_len().unwrap_or(0)),
            line: narrow(location.line()),
            column: narrow(location.column()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, spot: spanned.defined.into() })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer).map(|written| Self(Some(Box::new(written))))
    }
}

macro_rules! transparent_schema {
    ($($wrapper:ident)*) => {$(
        impl<T: JsonSchema> JsonSchema for $wrapper<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }
            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }
            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    )*};
}
transparent_schema!(Written Given);

impl<T: PartialEq> PartialEq for Written<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Written<T> {}

impl<T: PartialOrd> PartialOrd for Written<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Written<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}
