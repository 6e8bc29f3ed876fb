//! What the host's firewall allows beside the usual, as written. Never judges an address.

use super::Whole;
use crate::manifest::environment::Protocol;
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::Deserialize;

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
