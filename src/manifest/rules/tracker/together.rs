//! Rules about several parts of one tracker stack. Does not look at other environments.

use crate::manifest::environment::Protocol;
use crate::manifest::faults::Report;
use crate::manifest::rules::capitalised;
use crate::manifest::spec::TrackerSpec;
use crate::manifest::tracker::Tracker;
use crate::manifest::written::Spot;

/// Checks all parts together.
pub fn check(spec: &TrackerSpec, tracker: &Tracker, section: Spot, report: &mut Report) {
    if tracker.udp.is_empty() && tracker.http.is_empty() {
        let hint = "Add `udp: [ { port: 6969 } ]` or `http: [ { port: 7070 } ]`";
        report.fault(section, "The tracker has neither `udp` nor `http`", hint);
    }
    proxied(spec, tracker, report);
    if let (true, Some(udp)) = (tracker.private, spec.udp.0.as_ref().filter(|udp| !udp.value.is_empty())) {
        report.warn(udp.spot, "A private tracker does not start its UDP trackers: keys work over HTTP only");
    }
    if let (Some(grafana), None) = (&spec.grafana.0, &spec.prometheus.0) {
        report.fault(grafana.spot, "Grafana has nothing to show without Prometheus", "Add `prometheus: {}`");
    }
    if let (Some(prometheus), None) = (&spec.prometheus.0, &spec.api.0) {
        let hint = "Add `api: { token: { from_env: NAME } }`";
        report.fault(prometheus.spot, "Prometheus needs the tracker's API, which is missing", hint);
    }
    match (&spec.tls.0, tracker.has_tls()) {
        (None, true) => {
            let hint = "Add `tls: { email: YOU@DOMAIN }`, or `tls: { issuer: internal }`";
            report.fault(section, "`tls` is missing: it sets the issuer of certificates", hint);
        }
        (Some(written), false) => {
            let hint = "Add `tls: true` and `domain` to the API or a tracker, or remove `tls`";
            report.fault(written.spot, "No part of the stack uses `tls`", hint);
        }
        _ => {}
    }
    domains(tracker, section, report);
    ports(tracker, section, report);
}

/// Refuses HTTP trackers of which only some are behind TLS: the tracker trusts a proxy's peer addresses for all its
/// HTTP trackers or for none.
fn proxied(spec: &TrackerSpec, tracker: &Tracker, report: &mut Report) {
    let behind = tracker.http.iter().filter(|one| one.tls).count();
    if behind == 0 || behind == tracker.http.len() {
        return;
    }
    let direct = tracker.http.iter().position(|one| !one.tls).unwrap_or_default();
    if let Some(written) = spec.http.value().and_then(|all| all.get(direct)) {
        let message =
            "Some HTTP trackers are behind TLS but this one is not: the tracker would record wrong addresses of peers";
        report.fault(written.spot, message, "Put all of them behind TLS, or none");
    }
}

/// Refuses two sites with one domain: Caddy distinguishes sites by domain.
fn domains(tracker: &Tracker, section: Spot, report: &mut Report) {
    let sites: Vec<_> = tracker.sites().filter(|(_, site)| site.tls && site.domain.is_some()).collect();
    for (at, (what, site)) in sites.iter().enumerate() {
        if let Some((other, _)) = sites[..at].iter().find(|(_, before)| before.domain == site.domain) {
            let name = site.domain.as_deref().unwrap_or_default();
            let message = format!("{} and {what} use the same domain, `{name}`", capitalised(other));
            report.fault(section, message, "Give each its own name");
        }
    }
}

/// Refuses collisions of ports on the host, and of ports inside the tracker's container, where unpublished ports listen
/// too.
fn ports(tracker: &Tracker, section: Spot, report: &mut Report) {
    let mut told: Vec<(u16, Protocol)> = Vec::new();
    for taken in [tracker.ports(), tracker.listens()] {
        for (at, one) in taken.iter().enumerate() {
            let Some(other) = taken[..at].iter().find(|other| other.collides(one)) else { continue };
            if told.contains(&(one.port, one.protocol)) {
                continue;
            }
            told.push((one.port, one.protocol));
            let (port, protocol) = (one.port, one.protocol.name());
            let message = format!("{} and {} use the same port, {port}/{protocol}", capitalised(&other.by), one.by);
            report.fault(section, message, "Give each its own port");
        }
    }
}
