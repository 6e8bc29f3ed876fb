//! Rules of the ports that the stack listens on, and of their domains. Does not compare endpoints.

use crate::manifest::faults::Report;
use crate::manifest::rules::scalars::{port, switch};
use crate::manifest::rules::shown;
use crate::manifest::spec::{ApiSpec, HealthApiSpec, ListenerSpec, SiteSpec, Switch, Whole};
use crate::manifest::tracker::Endpoint;
use crate::manifest::written::{Given, Spot, Written};
use std::net::IpAddr;

/// Reads the UDP trackers.
pub fn udp(given: &Given<Vec<Written<ListenerSpec>>>, report: &mut Report) -> Vec<Endpoint> {
    let read = |written: &Written<ListenerSpec>, report: &mut Report| {
        let spec = &written.value;
        let parts = Parts { bind: &spec.bind, domain: &spec.domain, tls: &Given(None) };
        parts.read(needed(&spec.port, written.spot, "A UDP tracker", report), true, written.spot, report)
    };
    given.value().into_iter().flatten().map(|written| read(written, report)).collect()
}

/// Reads the HTTP trackers.
pub fn http(given: &Given<Vec<Written<SiteSpec>>>, report: &mut Report) -> Vec<Endpoint> {
    let read = |written: &Written<SiteSpec>, report: &mut Report| {
        let spec = &written.value;
        let parts = Parts { bind: &spec.bind, domain: &spec.domain, tls: &spec.tls };
        parts.read(needed(&spec.port, written.spot, "An HTTP tracker", report), true, written.spot, report)
    };
    given.value().into_iter().flatten().map(|written| read(written, report)).collect()
}

/// Reads the API.
pub fn api(spec: &ApiSpec, spot: Spot, report: &mut Report) -> Endpoint {
    let number = spec.port.0.as_ref().map_or(1212, |written| port(written, "port", report));
    Parts { bind: &spec.bind, domain: &spec.domain, tls: &spec.tls }.read(number, true, spot, report)
}

/// Reads the health check API, which only containers reach unless the manifest publishes it.
pub fn health_api(given: &Given<HealthApiSpec>, section: Spot, report: &mut Report) -> Endpoint {
    let spec = given.or_default();
    let number = spec.port.0.as_ref().map_or(1313, |written| port(written, "port", report));
    let publish = switch(&spec.publish, false, "publish", report);
    let parts = Parts { bind: &spec.bind, domain: &spec.domain, tls: &spec.tls };
    parts.read(number, publish, given.spot_or(section), report)
}

/// Settings that every endpoint has.
pub(super) struct Parts<'a> {
    pub bind: &'a Given<String>,
    pub domain: &'a Given<String>,
    pub tls: &'a Given<Switch>,
}

impl Parts<'_> {
    /// Reads an endpoint with this port. The host does not publish the port of an endpoint behind TLS.
    pub fn read(&self, port: u16, publish: bool, spot: Spot, report: &mut Report) -> Endpoint {
        let tls = switch(self.tls, false, "tls", report);
        let domain = self.domain.0.as_ref().map(|written| domain(written, report));
        if tls && domain.is_none() {
            let hint = "Add `domain: NAME`, or remove `tls`";
            report.fault(self.tls.spot_or(spot), "A certificate is issued for a name, but `domain` is missing", hint);
        }
        if let (true, Some(bind)) = (tls, &self.bind.0) {
            let hint = "Remove `bind`: Caddy listens on ports 80 and 443 of all addresses";
            report.fault(bind.spot, "An endpoint behind TLS is not published on an address of its host", hint);
        }
        if let (true, Some(written), Some(name)) = (tls, &self.domain.0, &domain)
            && (name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok())
        {
            let message = format!("No issuer gives a certificate for `{name}`");
            report.fault(written.spot, message, "Use a name in public DNS, or remove `tls`");
        }
        let bind = self.bind.0.as_ref().and_then(|written| listen(written, report));
        Endpoint { port, bind, domain, tls, published: publish && !tls }
    }
}

/// Placeholder for an invalid port. It collides with no port.
const NONE: u16 = 0;

fn needed(given: &Given<Whole>, spot: Spot, what: &str, report: &mut Report) -> u16 {
    let Some(written) = &given.0 else {
        report.fault(spot, format!("{what} has no port"), "Add `port: PORT`");
        return NONE;
    };
    let faults = report.count();
    let port = port(written, "port", report);
    if report.count() == faults { port } else { NONE }
}

fn domain(written: &Written<String>, report: &mut Report) -> String {
    let name = written.value.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    // Source: RFC 1035, section 2.3.4.
    if name.len() > 253 || !name.split('.').all(label) {
        let message = format!("`{}` is not a domain name", shown(&written.value));
        report.fault(written.spot, message, "Write it as DNS does, without https:// and without a port");
    }
    name
}

/// Returns the host address that a port is published on; `None` for all.
fn listen(written: &Written<String>, report: &mut Report) -> Option<IpAddr> {
    let text = written.value.trim_start_matches('[').trim_end_matches(']');
    let parsed: Option<IpAddr> = text.parse().ok();
    if parsed.is_none() {
        let message = format!("`{}` is not an address of the host", shown(&written.value));
        report.fault(written.spot, message, "Write an IPv4 or IPv6 address, or leave out `bind` to use all addresses");
    }
    parsed.filter(|address| !address.is_unspecified()).map(|address| address.to_canonical())
}
