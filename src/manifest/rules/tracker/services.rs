//! Rules of the services next to the tracker: Prometheus, Grafana, certificates. Does not compare sections.

use super::endpoint::Parts;
use super::{Secrets, secret};
use crate::manifest::claim::Need;
use crate::manifest::faults::Report;
use crate::manifest::rules::scalars::{duration, line, port};
use crate::manifest::rules::{Reading, shown};
use crate::manifest::spec::{AcmeSpec, GrafanaSpec, IssuerSpec, PrometheusSpec, TlsSpec};
use crate::manifest::suggest;
use crate::manifest::tracker::{GRAFANA_PASSWORD, Grafana, Issuer, Prometheus, Tls};
use crate::manifest::written::{Given, Written};
use std::time::Duration;

/// Reads the settings of Prometheus.
pub fn prometheus(spec: &PrometheusSpec, report: &mut Report) -> Prometheus {
    let interval = duration(&spec.scrape_interval, Duration::from_secs(15), false, "scrape_interval", report);
    if let Some(written) = spec.scrape_interval.0.as_ref().filter(|_| interval < Duration::from_secs(1)) {
        report.fault(written.spot, "`scrape_interval` is shorter than a second", "Write it in seconds: 15s");
    }
    Prometheus { scrape_interval: interval.as_secs() }
}

/// Reads the settings of Grafana.
pub fn grafana(written: &Written<GrafanaSpec>, secrets: &mut Secrets, reading: &mut Reading<'_>) -> Grafana {
    let spec = &written.value;
    secret("grafana.password", GRAFANA_PASSWORD, &spec.password, written, secrets, reading);
    let user = match &spec.user.0 {
        Some(user) if line(user, "user", reading.report) => user.value.clone(),
        _ => "admin".to_owned(),
    };
    let number = spec.port.0.as_ref().map_or(3000, |written| port(written, "port", reading.report));
    let parts = Parts { bind: &spec.bind, domain: &spec.domain, tls: &spec.tls };
    Grafana { user, endpoint: parts.read(number, true, written.spot, reading.report) }
}

/// Reads the source of certificates.
pub fn tls(spec: &TlsSpec, reading: &mut Reading<'_>) -> Tls {
    let email = spec.email.0.as_ref().filter(|written| email(written, reading.report));
    Tls { email: email.map(|written| written.value.clone()), issuer: issuer(&spec.issuer, reading) }
}

fn email(written: &Written<String>, report: &mut Report) -> bool {
    let plausible = |text: &str| {
        let (user, host) = text.split_once('@')?;
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "{}\"'`\\".contains(c));
        Some(plain && !user.is_empty() && host.contains('.') && !host.contains('@'))
    };
    let valid = plausible(&written.value) == Some(true);
    if !valid {
        let message = format!("`{}` is not an e-mail address", shown(&written.value));
        report.fault(written.spot, message, "Write NAME@DOMAIN: the address that is warned of expiring certificates");
    }
    valid
}

const NAMES: [&str; 3] = ["letsencrypt", "letsencrypt-staging", "internal"];

fn issuer(given: &Given<IssuerSpec>, reading: &mut Reading<'_>) -> Issuer {
    let Some(written) = &given.0 else { return Issuer::Letsencrypt };
    match &written.value {
        IssuerSpec::Named(name) if name == NAMES[0] => {}
        IssuerSpec::Named(name) if name == NAMES[1] => return Issuer::LetsencryptStaging,
        IssuerSpec::Named(name) if name == NAMES[2] => return Issuer::Internal,
        IssuerSpec::Named(name) => {
            let message = format!("`{}` is not an issuer of certificates", shown(name));
            let hint = suggest::hint(name, &NAMES, "issuers");
            reading.report.fault(written.spot, message, hint);
        }
        IssuerSpec::Acme(spec) => return acme(spec, written, reading),
    }
    Issuer::Letsencrypt
}

fn acme(spec: &AcmeSpec, section: &Written<IssuerSpec>, reading: &mut Reading<'_>) -> Issuer {
    let root = spec.root.0.as_ref().map(|file| reading.existing(file, Need::File, "The certificate of the root"));
    let url = match &spec.acme.0 {
        None => {
            reading.report.fault(section.spot, "The issuer has no ACME server", "Add `acme: URL`");
            String::new()
        }
        Some(url) => {
            let rest = url.value.strip_prefix("https://").unwrap_or_default();
            if rest.is_empty() || url.value.contains(|c: char| c.is_whitespace() || "{}\"'`\\".contains(c)) {
                let message = format!("`{}` is not the URL of an ACME server", shown(&url.value));
                reading.report.fault(url.spot, message, "Write the URL of its directory: https://HOST/PATH");
            }
            url.value.clone()
        }
    };
    Issuer::Acme { url, root }
}
