//! What the templates of the tracker stack see: its section, and what follows from it. Never holds a secret.

use crate::manifest::environment::Application;
use crate::manifest::tracker::{Endpoint, Tracker};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The whole view.
#[derive(Serialize)]
pub struct View<'a> {
    #[serde(flatten)]
    tracker: &'a Tracker,
    /// The services by name.
    #[serde(skip)]
    pub services: BTreeSet<&'static str>,
    /// Whether the stack has a MySQL server of its own.
    mysql: bool,
    /// Whether it has Caddy.
    caddy: bool,
    /// Whether HTTP trackers see their peers through Caddy.
    behind_proxy: bool,
    /// What each service publishes, as Compose writes it.
    ports: BTreeMap<&'static str, Vec<String>>,
    /// The networks between the services.
    networks: Vec<Network>,
    /// What Caddy serves.
    sites: Vec<Site>,
    /// Rendered texts that Compose places into containers, by their names.
    pub contents: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Network {
    name: &'static str,
    /// Its IPv6 addresses, where it has some.
    subnet: Option<String>,
    internal: bool,
}

#[derive(Serialize)]
struct Site {
    domain: String,
    upstream: String,
}

impl<'a> View<'a> {
    /// The view of a stack.
    pub fn of(tracker: &'a Tracker, application: &Application) -> Self {
        let (mysql, caddy) = (tracker.has_mysql(), tracker.has_tls());
        let optional = [
            ("mysql", mysql),
            ("prometheus", tracker.prometheus.is_some()),
            ("grafana", tracker.grafana.is_some()),
            ("caddy", caddy),
        ];
        let present = optional.into_iter().filter(|(_, there)| *there).map(|(name, _)| name);
        let services: BTreeSet<&'static str> = present.chain(["tracker"]).collect();
        let grafana = tracker.grafana.iter().map(|grafana| &grafana.endpoint);
        Self {
            mysql,
            caddy,
            behind_proxy: tracker.http.iter().any(|one| one.tls),
            ports: BTreeMap::from([
                ("tracker", published(tracker)),
                ("grafana", grafana.filter(|one| one.published).map(|one| port(one, 3000, "")).collect()),
            ]),
            networks: networks(tracker, &services, &application.project),
            sites: sites(tracker),
            contents: BTreeMap::new(),
            tracker,
            services,
        }
    }
}

/// What the tracker publishes.
fn published(tracker: &Tracker) -> Vec<String> {
    let udp = tracker.udp.iter().map(|one| port(one, one.port, "/udp"));
    let tcp = tracker.http.iter().chain(&tracker.api).chain([&tracker.health_api]).filter(|one| one.published);
    udp.chain(tcp.map(|one| port(one, one.port, ""))).collect()
}

/// `HOST:CONTAINER`, with the host's address where there is one.
fn port(endpoint: &Endpoint, inside: u16, protocol: &str) -> String {
    let bind = match endpoint.bind {
        Some(IpAddr::V6(address)) => format!("[{address}]:"),
        Some(IpAddr::V4(address)) => format!("{address}:"),
        None => String::new(),
    };
    format!("{bind}{}:{inside}{protocol}", endpoint.port)
}

fn networks(tracker: &Tracker, services: &BTreeSet<&'static str>, project: &str) -> Vec<Network> {
    let needed = [
        ("peers", true),
        ("metrics", services.contains("prometheus")),
        ("database", services.contains("mysql")),
        ("proxy", services.contains("caddy")),
        ("visualization", services.contains("grafana")),
    ];
    // A unique local prefix (RFC 4193) of the project's own, so that two stacks on a host do not meet.
    let id = blake3::hash(format!("deployer networks of {project}").as_bytes());
    let [a, b, c, d, e, ..] = *id.as_bytes();
    let subnet = |at: usize| format!("fd{a:02x}:{b:02x}{c:02x}:{d:02x}{e:02x}:{:x}::/64", at + 1);
    let network = |(at, (name, _)): (usize, (&'static str, bool))| {
        let internal = name == "database";
        Network { name, subnet: (tracker.ipv6 && !internal).then(|| subnet(at)), internal }
    };
    needed.into_iter().enumerate().filter(|(_, (_, there))| *there).map(network).collect()
}

fn sites(tracker: &Tracker) -> Vec<Site> {
    let grafana = tracker.grafana.iter().map(|grafana| (&grafana.endpoint, "grafana:3000".to_owned()));
    let own = tracker.http.iter().chain(&tracker.api).chain([&tracker.health_api]);
    let all = own.map(|one| (one, format!("tracker:{}", one.port))).chain(grafana);
    let site = |(one, upstream): (&Endpoint, String)| Some(Site { domain: one.domain.clone()?, upstream });
    all.filter(|(one, _)| one.tls).filter_map(site).collect()
}
