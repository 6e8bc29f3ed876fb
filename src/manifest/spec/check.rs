//! A check of the running application, as written. Never runs it.

use super::{Switch, Whole};
use crate::manifest::environment::Vantage;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// One check: exactly one of `http` and `tcp`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Check", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"], "oneOf" = [{ "required": ["http"] }, { "required": ["tcp"] }]))]
pub struct CheckSpec {
    /// Its name, unique in the environment.
    #[schemars(length(min = 1, max = 60))]
    pub name: Given<String>,
    /// An HTTP request.
    pub http: Given<HttpSpec>,
    /// A TCP port that must accept a connection.
    #[schemars(range(min = 1, max = 65535))]
    pub tcp: Given<Whole>,
    /// From the host itself, or from the machine that runs deployer; default `host`.
    pub from: Given<Vantage>,
    /// Whether `running` waits for it; default true.
    pub gate: Given<Switch>,
}

/// An HTTP request and what must come back.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Http", deny_unknown_fields, default)]
#[schemars(extend("required" = ["port"]))]
pub struct HttpSpec {
    /// TCP port on the host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Given<Whole>,
    /// Path with query; default `/`.
    #[schemars(regex(pattern = "^/"))]
    pub path: Given<String>,
    /// The status that passes; default 200.
    #[schemars(range(min = 100, max = 599))]
    pub status: Given<Whole>,
    /// Text the body must hold.
    pub contains: Given<String>,
    /// Whether to speak TLS; default false.
    pub tls: Given<Switch>,
    /// `Host` header; default the address.
    #[schemars(length(min = 1))]
    pub host: Given<String>,
}
