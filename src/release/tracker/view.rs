//! The view for the templates of the tracker stack: its section of the manifest and values derived from it. Contains no
//! secret.

use crate::manifest::environment::Application;
use crate::manifest::tracker::{Database, Endpoint, Tracker};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The whole view.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "what the stack has and has not, each by itself")]
pub struct View<'a> {
    #[serde(flatten)]
    tracker: &'a Tracker,
    /// The services by name.
    #[serde(skip)]
    pub services: BTreeSet<&'static str>,
    /// True if the stack has its own MySQL server.
    mysql: bool,
    caddy: bool,
    /// The name of its Compose project.
    project: &'a str,
    /// True if a backup is made and needs `sqlite3`.
    backup_sqlite: bool,
    /// True if HTTP trackers see their peers through Caddy.
    behind_proxy: bool,
    /// The addresses on which the trackers listen in their container.
    listen: Listen,
    /// The published ports of each service, in Compose's syntax.
    ports: BTreeMap<&'static str, Vec<String>>,
    /// The networks between the services.
    networks: Vec<Network>,
    /// The sites that Caddy serves.
    sites: Vec<Site>,
    /// Rendered texts that Compose places into containers, by name.
    pub contents: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Listen {
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
}

#[derive(Serialize)]
struct Network {
    name: &'static str,
    /// Its IPv6 subnet, if it has one.
    subnet: Option<String>,
    internal: bool,
}

#[derive(Serialize)]
struct Site {
    domain: String,
    upstream: String,
}

impl<'a> View<'a> {
    /// Returns the view of a stack.
    pub fn of(tracker: &'a Tracker, application: &'a Application) -> Self {
        let (mysql, caddy, backup) = (tracker.has_mysql(), tracker.has_tls(), application.backup.is_some());
        let sqlite = matches!(tracker.database, Database::Sqlite { .. });
        let optional = [
            ("mysql", mysql),
            ("prometheus", tracker.prometheus.is_some()),
            ("grafana", tracker.grafana.is_some()),
            ("caddy", caddy),
            ("backup", backup),
        ];
        let present = optional.into_iter().filter(|(_, there)| *there).map(|(name, _)| name);
        let services: BTreeSet<&'static str> = present.chain(["tracker"]).collect();
        let grafana = tracker.grafana.iter().map(|grafana| &grafana.endpoint);
        let (udp, http) = (doors(tracker, &tracker.udp), doors(tracker, &tracker.http));
        Self {
            mysql,
            caddy,
            project: &application.project,
            backup_sqlite: backup && (sqlite || tracker.grafana.is_some()),
            behind_proxy: tracker.http.iter().any(|one| one.tls),
            ports: BTreeMap::from([
                ("tracker", published(tracker, &udp, &http)),
                ("grafana", grafana.filter(|one| one.published).map(|one| port(one, 3000)).collect()),
            ]),
            listen: Listen { udp: inside(&udp), http: inside(&http) },
            networks: networks(tracker, &services, &application.project),
            sites: sites(tracker),
            contents: BTreeMap::new(),
            tracker,
            services,
        }
    }
}

/// A way to a tracker: the address on which it listens in its container, and the host's address and port that lead to
/// it.
struct Door {
    inside: SocketAddr,
    outside: Option<SocketAddr>,
}

/// The first port in the container for IPv6 sockets.
const IPV6: u16 = 50_000;

/// Returns the ways to trackers that see their peers directly. A shared socket would see IPv4 peers under IPv6
/// addresses (`::ffff:192.0.2.1`) and pass those on to other peers, so each IP version has its own socket and port in
/// the container.
fn doors(tracker: &Tracker, endpoints: &[Endpoint]) -> Vec<Door> {
    let taken: BTreeSet<u16> = tracker.listens().into_iter().map(|taken| taken.port).collect();
    let mut free = (IPV6..).filter(|port| !taken.contains(port));
    let mut doors = Vec::new();
    for one in endpoints {
        let [four, six]: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        if one.tls {
            doors.push(Door { inside: SocketAddr::new(six, one.port), outside: None });
            continue;
        }
        if one.bind.is_none_or(|bind| bind.is_ipv4()) {
            let outside = SocketAddr::new(one.bind.unwrap_or(four), one.port);
            doors.push(Door { inside: SocketAddr::new(four, one.port), outside: Some(outside) });
        }
        if one.bind.map_or(tracker.ipv6, |bind| bind.is_ipv6()) {
            let outside = SocketAddr::new(one.bind.unwrap_or(six), one.port);
            doors.push(Door { inside: SocketAddr::new(six, free.next().unwrap_or(one.port)), outside: Some(outside) });
        }
    }
    doors
}

fn inside(doors: &[Door]) -> Vec<SocketAddr> {
    doors.iter().map(|door| door.inside).collect()
}

/// Returns the published ports of the tracker.
fn published(tracker: &Tracker, udp: &[Door], http: &[Door]) -> Vec<String> {
    let of = |doors: &[Door], protocol: &str| {
        let published = doors.iter().filter_map(|door| Some((door.outside?, door.inside.port())));
        published.map(|(outside, inside)| format!("{outside}:{inside}{protocol}")).collect::<Vec<_>>()
    };
    let rest = tracker.api.iter().chain([&tracker.health_api]).filter(|one| one.published);
    let rest = rest.map(|one| port(one, one.port)).collect();
    [of(udp, "/udp"), of(http, ""), rest].concat()
}

/// Returns `HOST:CONTAINER`, with the host's address if there is one.
fn port(endpoint: &Endpoint, inside: u16) -> String {
    match endpoint.bind {
        Some(address) => format!("{}:{inside}", SocketAddr::new(address, endpoint.port)),
        None => format!("{}:{inside}", endpoint.port),
    }
}

fn networks(tracker: &Tracker, services: &BTreeSet<&'static str>, project: &str) -> Vec<Network> {
    let needed = [
        // The tracker's own network always exists: a service that joins or leaves it restarts no other service.
        ("tracker", true),
        ("database", services.contains("mysql")),
        ("visualization", services.contains("grafana")),
    ];
    // A unique local prefix (RFC 4193) for each project, so that the subnets of two stacks on a host do not overlap.
    let id = blake3::hash(format!("deployer networks of {project}").as_bytes());
    let hex = id.to_hex();
    let subnet = |at: usize| format!("fd{}:{}:{}:{:x}::/64", &hex[..2], &hex[2..6], &hex[6..10], at + 1);
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
