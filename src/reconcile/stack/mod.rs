//! Tests a running tracker stack: derives checks from its manifest, and runs them from outside and inside its host.
//! Changes nothing except a temporary key or whitelisted torrent, which it deletes.

mod guest;
pub(crate) mod inside;
mod outside;

use crate::io::http::Roots;
use crate::io::secret;
use crate::io::ssh::{Forward, Host};
use crate::manifest::environment::{Application, Source};
use crate::manifest::tracker::{API_TOKEN, GRAFANA_PASSWORD, Issuer, Tracker};
use crate::model::failure::Failure;
use crate::model::input::Input;
use crate::model::verdict::{Judgement, Vantage, Verdict};
use crate::reconcile::prepare::Prepared;
use crate::reconcile::session::Session;
use crate::resource;
use crate::smoke::{self, Check, InfoHash, Site, facts};
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The time during which a failed check is tried again.
const DEADLINE: Duration = Duration::from_secs(20);
/// The pause before a check is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A stack and the data that its checks need.
struct Stack<'a> {
    tracker: &'a Tracker,
    /// The stack's public addresses.
    addresses: BTreeSet<IpAddr>,
    /// The trusted roots of its certificates.
    roots: Roots,
    token: Option<SecretString>,
    /// The password of Grafana's administrator.
    grafana: Option<SecretString>,
    /// The temporary key of a private tracker.
    key: Option<SecretString>,
    /// A torrent that the tracker serves, if it serves only listed ones.
    info_hash: Option<InfoHash>,
}

/// Runs all checks. Returns `None` if the environment is no tracker stack.
pub async fn examine(session: &Session, now: fn() -> Timestamp) -> Option<Vec<Verdict>> {
    let environment = &session.prepared.environment;
    let application = environment.application.as_ref()?;
    let Source::Tracker(tracker) = &application.source else { return None };
    let answer = ask(session, tracker, application, now).await;
    Some(answer.unwrap_or_else(|failure| {
        let detail = failure.message();
        let (vantage, judgement) = (Vantage::Inside, Judgement::Failed);
        vec![Verdict { name: "host".to_owned(), vantage, judgement, detail, took: Duration::ZERO }]
    }))
}

async fn ask(
    session: &Session,
    tracker: &Tracker,
    application: &Application,
    now: fn() -> Timestamp,
) -> Result<Vec<Verdict>, Failure> {
    let host = session.host()?;
    let subject = facts::Subject {
        projects: BTreeSet::from([application.project.clone()]),
        directory: application.host_directory.to_string(),
    };
    let prepared = session.prepared.subject();
    let containers = resource::services::containers(&prepared, session.facts());
    let script = facts::script(&subject) + &inside::script(tracker, application, containers);
    let sent = now();
    let output = host.run(&script, Input::Empty, resource::SHORT).await?;
    let between = facts::Between { sent, heard: now() };
    let output = String::from_utf8_lossy(&output.stdout);
    let mut verdicts = facts::verdicts(&output, &subject, between);
    let seen = inside::parse(&output);
    let mut stack = Stack {
        tracker,
        addresses: addresses(&session.prepared).await,
        roots: roots(tracker, seen.root),
        token: value(application, API_TOKEN).await?,
        grafana: value(application, GRAFANA_PASSWORD).await?,
        key: None,
        info_hash: None,
    };
    let ports = Ports::open(host, inside::wanted(tracker, &seen.containers)).await?;
    let guest = guest::Guest::welcome(&mut stack, ports.site("api")).await;
    let mut checks: Vec<Check> = Vec::new();
    let mut rest = match &guest {
        Ok(_) => outside::checks(&stack, &mut checks),
        Err(why) => vec![skipped("trackers", Vantage::Outside, why)],
    };
    inside::checks(&stack, &ports, &mut checks);
    let asked = smoke::ask_all(&checks, DEADLINE, PAUSE).await;
    if let Ok(guest) = guest {
        guest.leave().await;
    }
    ports.close().await;
    let mut all = asked;
    all.append(&mut rest);
    all.append(&mut verdicts);
    Ok(all)
}

fn skipped(name: &str, vantage: Vantage, why: &str) -> Verdict {
    let (judgement, detail) = (Judgement::Skipped, why.to_owned());
    Verdict { name: name.to_owned(), vantage, judgement, detail, took: Duration::ZERO }
}

/// Resolves a secret of the application.
async fn value(application: &Application, name: &str) -> Result<Option<SecretString>, Failure> {
    match application.variables.get(name) {
        Some(source) => Ok(Some(secret::resolve(source).await?.text)),
        None => Ok(None),
    }
}

/// Returns the host's own addresses and those that lead to it.
async fn addresses(Prepared { environment, reach, .. }: &Prepared) -> BTreeSet<IpAddr> {
    let own = tokio::net::lookup_host((reach.address.as_str(), 0)).await;
    let own = own.into_iter().flatten().map(|address| address.ip().to_canonical());
    own.chain(environment.public_addresses.iter().copied()).collect()
}

fn roots(tracker: &Tracker, own: Option<String>) -> Roots {
    match (tracker.tls.as_ref().map(|tls| &tls.issuer), own) {
        (Some(Issuer::Internal), Some(pem)) => Roots::Pem(pem),
        _ => Roots::System,
    }
}

/// Ports of services that only the host reaches, forwarded to this machine.
struct Ports<'a>(BTreeMap<&'static str, Forward<'a>>);

impl<'a> Ports<'a> {
    async fn open(host: &'a Host, wanted: BTreeMap<&'static str, SocketAddr>) -> Result<Self, Failure> {
        let mut open = BTreeMap::new();
        for (name, remote) in wanted {
            open.insert(name, host.forward(remote).await?);
        }
        Ok(Self(open))
    }

    fn site(&self, name: &str) -> Option<Site> {
        self.0.get(name).map(|forward| Site::through(forward.local.clone(), forward.remote))
    }

    async fn close(self) {
        for forward in self.0.into_values() {
            forward.close().await;
        }
    }
}
