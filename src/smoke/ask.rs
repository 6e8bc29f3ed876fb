//! Runs one check until it passes or its deadline is over.

use super::{Check, Found, Judgement, Note, Probe, Trouble, Verdict};
use super::{dns, grafana, http, http_tracker, metrics, prometheus, swarm, tls, udp_tracker};
use crate::model::secret::Redactor;
use futures::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Number of concurrent checks: a stack has about twenty, and they must not burden a small host.
const AT_ONCE: usize = 16;

/// Runs all checks, several at a time, each with its own deadline. Returns the verdicts in the order of the checks.
pub async fn ask_all(checks: &[Check], deadline: Duration, pause: Duration) -> Vec<Verdict> {
    // Box and collect the futures first: with a closure in the stream, the caller's future would not be `Send`.
    let asked: Vec<_> = checks.iter().map(|check| ask(check, deadline, pause).boxed()).collect();
    futures::stream::iter(asked).buffered(AT_ONCE).collect().await
}

/// Runs one check. Retries after each `pause` if that may help, until the check passes or `deadline` is over.
pub async fn ask(check: &Check, deadline: Duration, pause: Duration) -> Verdict {
    let begun = Instant::now();
    let (judgement, detail) = if out_of_reach(&check.probe).await {
        (Judgement::Skipped, "this machine has no IPv6".to_owned())
    } else {
        match persist(&check.probe, begun + deadline, pause).await {
            Ok(Note { judgement, detail }) => (judgement, detail),
            Err(trouble) => (Judgement::Failed, trouble.detail),
        }
    };
    let detail = one_line(&redactor(&check.probe).redact(&detail));
    Verdict { name: check.name.clone(), vantage: check.vantage, judgement, detail, took: begun.elapsed() }
}

/// Returns true if the address is IPv6 and this machine has no route to it, which is no fault of the stack.
async fn out_of_reach(probe: &Probe) -> bool {
    let address = match probe {
        Probe::Http { site, .. }
        | Probe::HttpTracker { site, .. }
        | Probe::Prometheus { site, .. }
        | Probe::Grafana { site, .. }
        | Probe::Metrics { site, .. } => site.connect,
        Probe::UdpTracker { address, .. } => *address,
        Probe::Tls { connect, .. } => *connect,
        Probe::Dns { .. } => return false,
    };
    address.is_ipv6() && swarm::source(address).await.is_none()
}

async fn persist(probe: &Probe, until: Instant, pause: Duration) -> Found {
    let mut last: Option<Trouble> = None;
    loop {
        match timeout_at(until, attempt(probe, until)).await {
            Err(_) => return Err(last.unwrap_or_else(|| Trouble::passing("no response in time"))),
            Ok(Err(trouble)) if trouble.again && Instant::now() + pause < until => last = Some(trouble),
            Ok(found) => return found,
        }
        sleep(pause).await;
    }
}

async fn attempt(probe: &Probe, until: Instant) -> Found {
    match probe {
        Probe::Http { site, path, status, contains } => {
            http::page(site, path, *status, contains.as_deref(), until).await
        }
        Probe::HttpTracker { site, prefix, key, info_hash } => {
            http_tracker::round_trip(site, prefix, key.as_ref(), *info_hash, until).await
        }
        Probe::UdpTracker { address, key, info_hash } => {
            udp_tracker::round_trip(*address, key.as_ref(), *info_hash, until).await
        }
        Probe::Tls { domain, connect, roots } => tls::certificate(domain, *connect, roots).await,
        Probe::Dns { domain, expected } => dns::addresses(domain, expected).await,
        Probe::Prometheus { site, jobs } => prometheus::targets(site, jobs, until).await,
        Probe::Grafana { site, login } => grafana::health(site, login.as_ref(), until).await,
        Probe::Metrics { site, path, token } => metrics::text(site, path, token, until).await,
    }
}

/// Returns a redactor for the secrets that a server may repeat in its response.
fn redactor(probe: &Probe) -> Redactor {
    match probe {
        Probe::HttpTracker { key: Some(key), .. } | Probe::UdpTracker { key: Some(key), .. } => Redactor::new([key]),
        Probe::Grafana { login: Some(login), .. } => Redactor::new([&login.password]),
        Probe::Metrics { token, .. } => Redactor::new([token]),
        _ => Redactor::default(),
    }
}

/// Makes one short line of a server's text. Call it only after redaction: cutting first could leave half a key.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(one_line("a\n\tb\u{1b}[2J  c\0"), "a b [2J c");
        assert_eq!(one_line(""), "");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), 401);
    }
}
