//! Checks of services that only the host reaches: the health check API, Prometheus, Grafana, an API that is not
//! published. The runner reaches them only through forwarded ports.

use super::{Ports, Stack};
use crate::manifest::environment::Application;
use crate::manifest::tracker::{Issuer, Tracker};
use crate::model::shell::quote;
use crate::model::verdict::Vantage;
use crate::resource::compose::container::Container;
use crate::resource::contract::guard;
use crate::smoke::{Check, Login, Probe};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The certificate of Caddy's own CA, in a directory that Caddy can write.
const ROOT: &str = "storage/caddy/data/caddy/pki/authorities/local/root.crt";

/// The host's facts about the stack.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// One address of each service's container.
    pub containers: BTreeMap<String, IpAddr>,
    /// The root certificate of Caddy's own CA.
    pub root: Option<String>,
}

/// Returns a script that prints the input of [`parse`] for the observed containers.
pub fn script<'a>(
    tracker: &Tracker,
    application: &Application,
    containers: impl Iterator<Item = &'a Container>,
) -> String {
    let asked = containers.filter(|container| ["tracker", "grafana"].contains(&container.service.as_str()));
    let addresses = asked.fold(String::new(), |text, container| {
        let format = format!(
            "address {} {{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}} {{{{end}}}}",
            container.service
        );
        text + &format!("timeout -k 1 20 docker inspect -f {} {} || true\n", quote(&format), quote(&container.id))
    });
    let internal = tracker.tls.as_ref().is_some_and(|tls| tls.issuer == Issuer::Internal);
    let root = format!(
        "app={}\n{}pin \"$app\" && echo {ROOT} | show_files || true\n",
        quote(application.host_directory.as_str()),
        guard::FUNCTIONS
    );
    addresses + if internal { &root } else { "" }
}

/// Parses the script's output. Skips unknown lines.
pub fn parse(output: &str) -> Seen {
    let mut seen = Seen::default();
    for line in output.lines() {
        if let ["address", service, first, ..] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(address) = first.parse()
        {
            seen.containers.insert(service.to_owned(), address);
        }
    }
    seen.root = output.find("-----BEGIN CERTIFICATE-----").map(|at| output[at..].to_owned());
    seen
}

/// Returns the addresses inside the host's network that the checks need.
pub fn wanted(tracker: &Tracker, containers: &BTreeMap<String, IpAddr>) -> BTreeMap<&'static str, SocketAddr> {
    let mut wanted = BTreeMap::new();
    if let Some(address) = containers.get("tracker") {
        wanted.insert("health", SocketAddr::new(*address, tracker.health_api.port));
        wanted.extend(tracker.api.as_ref().map(|api| ("api", SocketAddr::new(*address, api.port))));
    }
    if tracker.prometheus.is_some() {
        wanted.insert("prometheus", SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9090));
    }
    if let (Some(_), Some(address)) = (&tracker.grafana, containers.get("grafana")) {
        wanted.insert("grafana", SocketAddr::new(*address, 3000));
    }
    wanted
}

/// Adds the checks.
pub(super) fn checks(stack: &Stack<'_>, ports: &Ports<'_>, checks: &mut Vec<Check>) {
    let mut add = |name: &str, probe| checks.push(Check { name: name.to_owned(), vantage: Vantage::Inside, probe });
    let page = |site, path: &str| Probe::Http { site, path: path.to_owned(), status: 200, contains: None };
    if let Some(site) = ports.site("health") {
        add("health check API", page(site, "/health_check"));
    }
    if let Some(site) = ports.site("api") {
        add("API", page(site.clone(), "/api/health_check"));
        if let (Some(token), true) = (&stack.token, stack.tracker.prometheus.is_some()) {
            let (path, token) = ("/api/v1/metrics".to_owned(), token.clone());
            add("metrics for Prometheus", Probe::Metrics { site, path, token });
        }
    }
    if let Some(site) = ports.site("prometheus") {
        let jobs = ["tracker_stats", "tracker_metrics"].into_iter().map(str::to_owned).collect();
        add("Prometheus", Probe::Prometheus { site, jobs });
    }
    if let (Some(site), Some(grafana)) = (ports.site("grafana"), &stack.tracker.grafana) {
        let login = |password: &secrecy::SecretString| Login { user: grafana.user.clone(), password: password.clone() };
        add("Grafana", Probe::Grafana { site, login: stack.grafana.as_ref().map(login) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_says_where_its_containers_are() {
        let output = "sudo: unable to resolve host\naddress tracker 172.18.0.3 172.19.0.2 \naddress grafana \n\
                      -----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        let seen = parse(output);
        assert_eq!(seen.containers, BTreeMap::from([("tracker".to_owned(), IpAddr::from([172, 18, 0, 3]))]));
        assert_eq!(seen.root.as_deref(), Some("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"));
        assert_eq!(parse(""), Seen::default());
    }
}
