//! A check of the running application, as written. Does not run the check.

use super::{Switch, Whole};
use crate::manifest::environment::Vantage;
use crate::manifest::written::Given;
use schemars::JsonSchema;
use serde::Deserialize;

/// A check: exactly one of `http` and `tcp`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "Check", deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"], "oneOf" = [{ "required": ["http"] }, { "required": ["tcp"] }]))]
pub struct CheckSpec {
    /// Name, unique in the environment.
    #[schemars(length(min = 1, max = 60))]
    pub name: Given<String>,
    /// An HTTP request.
    pub http: Given<HttpSpec>,
    /// A TCP port that must accept a connection.
    #[schemars(range(min = 1, max = 65535))]
    pub tcp: Given<Whole>,
    /// Machine that the check runs on: the host, or the machine that runs deployer; default `host`.
    pub from: Given<Vantage>,
    /// True if the stage `running` waits for the check; default true.
    pub gate: Given<Switch>,
}

/// An HTTP request and the expected response.
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
    /// Status that the response must have; default 200.
    #[schemars(range(min = 100, max = 599))]
    pub status: Given<Whole>,
    /// Text that the body must contain.
    pub contains: Given<String>,
    /// True to use TLS; default false.
    pub tls: Given<Switch>,
    /// `Host` header; default: the address.
    #[schemars(length(min = 1))]
    pub host: Given<String>,
}
