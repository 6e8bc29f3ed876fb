//! Checks of what every client of the stack needs, run like a client. Does not ask for services that only the host
//! reaches.

use super::{Stack, skipped};
use crate::manifest::tracker::{Endpoint, Issuer};
use crate::model::verdict::{Vantage, Verdict};
use crate::smoke::{Check, Probe, Site};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

const UNTRUSTED: &str = "certificates of the staging server are not trusted";

/// Adds the checks. Returns those that cannot run as skipped.
pub fn checks(stack: &Stack<'_>, checks: &mut Vec<Check>) -> Vec<Verdict> {
    let mut skips = Vec::new();
    let tracker = stack.tracker;
    for one in &tracker.udp {
        let name = format!("UDP tracker {}", one.port);
        if tracker.private {
            skips.push(skipped(&name, Vantage::Outside, "a private tracker does not start it"));
            continue;
        }
        let (key, info_hash) = (stack.key.clone(), stack.info_hash);
        let probe = |address| Probe::UdpTracker { address, key: key.clone(), info_hash };
        spread(stack, &name, one, &probe, checks, &mut skips);
    }
    for one in &tracker.http {
        let (key, info_hash) = (stack.key.clone(), stack.info_hash);
        let probe =
            |at| Probe::HttpTracker { site: site(stack, one, at), prefix: String::new(), key: key.clone(), info_hash };
        let name = one.domain.as_ref().filter(|_| one.tls).map_or(one.port.to_string(), Clone::clone);
        spread(stack, &format!("HTTP tracker {name}"), one, &probe, checks, &mut skips);
    }
    let pages = [
        ("API", tracker.api.as_ref(), "/api/health_check"),
        ("health check API", Some(&tracker.health_api), "/health_check"),
    ];
    for (name, endpoint, path) in pages {
        let Some(one) = endpoint.filter(|one| one.published || one.tls) else { continue };
        let probe = |at| Probe::Http { site: site(stack, one, at), path: path.to_owned(), status: 200, contains: None };
        spread(stack, name, one, &probe, checks, &mut skips);
    }
    if let Some(grafana) = tracker.grafana.as_ref().map(|grafana| &grafana.endpoint) {
        let probe = |at| Probe::Grafana { site: site(stack, grafana, at), login: None };
        spread(stack, "Grafana", grafana, &probe, checks, &mut skips);
    }
    names(stack, checks, &mut skips);
    skips
}

/// Returns the site of an endpoint at an address.
fn site(stack: &Stack<'_>, endpoint: &Endpoint, at: SocketAddr) -> Site {
    match &endpoint.domain {
        Some(domain) if endpoint.tls => Site::secure(domain, at, stack.roots.clone()),
        _ => Site::plain(at),
    }
}

/// Adds one check for each address of an endpoint.
fn spread(
    stack: &Stack<'_>,
    name: &str,
    endpoint: &Endpoint,
    probe: &dyn Fn(SocketAddr) -> Probe,
    checks: &mut Vec<Check>,
    skips: &mut Vec<Verdict>,
) {
    if endpoint.tls && untrusted(stack) {
        skips.push(skipped(name, Vantage::Outside, UNTRUSTED));
        return;
    }
    let bound: BTreeSet<IpAddr> = endpoint.bind.into_iter().collect();
    if bound.iter().any(IpAddr::is_loopback) {
        skips.push(skipped(name, Vantage::Outside, "it is published on the host's loopback interface only"));
        return;
    }
    let addresses = if bound.is_empty() { &stack.addresses } else { &bound };
    let port = if endpoint.tls { 443 } else { endpoint.port };
    for address in addresses {
        let name = format!("{name} at {address}");
        checks.push(Check { name, vantage: Vantage::Outside, probe: probe(SocketAddr::new(*address, port)) });
    }
}

fn untrusted(stack: &Stack<'_>) -> bool {
    stack.tracker.tls.as_ref().is_some_and(|tls| tls.issuer == Issuer::LetsencryptStaging)
}

/// Adds checks of certificates and of DNS.
fn names(stack: &Stack<'_>, checks: &mut Vec<Check>, skips: &mut Vec<Verdict>) {
    let mut add = |name: String, probe| checks.push(Check { name, vantage: Vantage::Outside, probe });
    let sites: Vec<_> = stack.tracker.sites().map(|(_, site)| site).chain(&stack.tracker.udp).collect();
    let domains: BTreeSet<&String> = sites.iter().filter_map(|site| site.domain.as_ref()).collect();
    for domain in domains {
        let expected = stack.addresses.clone();
        add(format!("DNS of {domain}"), Probe::Dns { domain: domain.clone(), expected });
        let secure = sites.iter().any(|site| site.tls && site.domain.as_ref() == Some(domain));
        let Some(address) = stack.addresses.first().filter(|_| secure) else { continue };
        let name = format!("certificate of {domain}");
        if untrusted(stack) {
            skips.push(skipped(&name, Vantage::Outside, UNTRUSTED));
            continue;
        }
        let connect = SocketAddr::new(*address, 443);
        add(name, Probe::Tls { domain: domain.clone(), connect, roots: stack.roots.clone() });
    }
}
