//! Rules of the `checks` list. Does not run a check.

use super::scalars::{line, port, switch, whole};
use super::shown;
use crate::manifest::environment::{Check, CheckProbe, Vantage};
use crate::manifest::faults::Report;
use crate::manifest::spec::{CheckSpec, HttpSpec, Whole};
use crate::manifest::written::{Given, Spot, Written};
use std::collections::BTreeSet;

/// Reads the list.
pub fn read(given: &Given<Vec<Written<CheckSpec>>>, report: &mut Report) -> Vec<Check> {
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for written in given.value().into_iter().flatten() {
        let name = name(written, report);
        if !name.value.is_empty() && !names.insert(name.value.clone()) {
            let message = format!("Two checks are named `{}`", shown(&name.value));
            report.fault(name.spot, message, "Give each check its own name");
        }
        let spec = &written.value;
        checks.push(Check {
            name: name.value,
            probe: probe(spec, written.spot, report),
            from: spec.from.value().copied().unwrap_or(Vantage::Host),
            gate: switch(&spec.gate, true, "gate", report),
        });
    }
    checks
}

fn name(check: &Written<CheckSpec>, report: &mut Report) -> Written<String> {
    let Some(name) = &check.value.name.0 else {
        report.fault(check.spot, "A check has no name", "Add `name: NAME`");
        return Written { value: String::new(), spot: check.spot };
    };
    line(name, "name", report);
    if name.value.chars().count() > 60 {
        report.fault(name.spot, "A check's name is longer than 60 characters", "Shorten it");
    }
    name.as_ref().clone()
}

fn probe(spec: &CheckSpec, spot: Spot, report: &mut Report) -> CheckProbe {
    match (&spec.http.0, &spec.tcp.0) {
        (Some(request), None) => http(request, report),
        (None, Some(tcp)) => CheckProbe::Tcp(port(tcp, "tcp", report)),
        (Some(_), Some(_)) => {
            report.fault(spot, "A check has both `http` and `tcp`", "Split it into two checks");
            CheckProbe::Tcp(1)
        }
        (None, None) => {
            report.fault(spot, "A check has neither `http` nor `tcp`", "Add `http: { port: PORT }` or `tcp: PORT`");
            CheckProbe::Tcp(1)
        }
    }
}

fn http(request: &Written<HttpSpec>, report: &mut Report) -> CheckProbe {
    let spec = &request.value;
    if spec.port.0.is_none() {
        report.fault(request.spot, "An HTTP check has no port", "Add `port: PORT`");
    }
    if let Some(path) = &spec.path.0 {
        let spaced = path.value.contains(|c: char| c.is_whitespace() || c.is_control());
        if !path.value.starts_with('/') || spaced || path.value.contains('#') {
            let message = format!("`{}` is not the path of a request", shown(&path.value));
            report.fault(path.spot, message, "It begins with `/`; escape spaces as %20");
        }
    }
    if let Some(host) = &spec.host.0 {
        line(host, "host", report);
        if host.value.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | ':')) {
            let message = format!("`{}` is not a Host header", shown(&host.value));
            report.fault(host.spot, message, "Write a host's name; the port is the check's own");
        }
    }
    CheckProbe::Http {
        port: spec.port.0.as_ref().map_or(1, |written| port(written, "port", report)),
        path: spec.path.value().cloned().unwrap_or_else(|| "/".to_owned()),
        status: spec.status.0.as_ref().map_or(200, |written| status(written, report)),
        contains: spec.contains.value().cloned(),
        tls: switch(&spec.tls, false, "tls", report),
        host: spec.host.value().cloned(),
    }
}

fn status(written: &Written<Whole>, report: &mut Report) -> u16 {
    let Some(number) = whole(written, "status", report) else { return 200 };
    let status = u16::try_from(number).ok().filter(|status| (100..=599).contains(status));
    if status.is_none() {
        report.fault(written.spot, format!("{number} is not an HTTP status"), "They go from 100 to 599");
    }
    status.unwrap_or(200)
}
