//! Ports that the host's firewall allows in addition, as written. Does not check addresses.

use super::Whole;
use crate::manifest::environment::Protocol;
use crate::manifest::written::{Given, Written};
use schemars::JsonSchema;
use serde::Deserialize;

/// Ports that a firewall allows in addition to SSH and the application's published ports.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Firewall", deny_unknown_fields, default)]
pub struct RulesSpec {
    /// Further ports that may be reached.
    pub allow: Given<Vec<Written<AllowSpec>>>,
}

/// A port that may be reached. For a port that the application publishes, the entry limits who may reach the port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Allow", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct AllowSpec {
    /// The port on the host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Protocol of the port; default `tcp`.
    pub protocol: Given<Protocol>,
    /// Addresses or networks that may reach the port (`203.0.113.0/24`, `2001:db8::/32`); default: everybody.
    #[schemars(length(min = 1))]
    pub from: Given<Vec<Written<String>>>,
}
