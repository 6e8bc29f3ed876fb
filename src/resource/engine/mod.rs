//! Engine: a Docker engine with Compose v2 that is recent enough, runs, and is started at boot. An engine that is
//! recent enough is kept, whoever installed it.

mod ipv6;

pub use ipv6::remark;

use super::contract::exclusive;
use super::{Command, HostFacts, LONG, Subject, access, firewall};
use crate::manifest::environment::EngineSource;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::engine::ASK_ENGINE;
use crate::model::shell::quote;
use crate::model::state::Facts;

/// Docker's signing key for its apt repositories, fingerprint 9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88.
const DOCKER_KEY: &str = include_str!("../../../templates/docker-apt-key.asc");
/// Limit of the engine's configuration that is read, in bytes.
const CONFIGURATION: usize = 1 << 20;
/// Lowest usable Compose version: the first one that writes the format that we read (`config --format json`).
const COMPOSE_MINIMUM: (u32, u32) = (2, 17);

/// Docker on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// True if a `docker` program exists.
    pub client: bool,
    /// The version of the running engine.
    pub server: Option<String>,
    /// The version of the Compose plugin.
    pub compose: Option<String>,
    /// The systemd unit of an engine that does not run as `docker.service`.
    pub unit: Option<String>,
    /// True if systemd starts the engine at boot.
    pub enabled: bool,
    /// True if Docker's own packages (`docker-ce`) are installed.
    pub docker_ce: bool,
    /// The addresses of IPv6 peers that containers see.
    pub ipv6: ipv6::Seen,
}

/// Returns the shell that reads the state of Docker. The engine's answer to a ping names its version. The shell starts
/// Compose from Docker's plugin directories, because `docker compose` starts Compose twice. On a claimed host it does
/// not start Compose again while the plugin's file is unchanged: `$state/compose` holds the file's identity, and the
/// version that the file printed.
#[must_use]
pub fn probe(subject: &Subject<'_>) -> String {
    let engine = r#"if command -v docker >/dev/null; then
  echo client
  ask_engine server
  compose=$(compose_program)
  file=$(stat -L -c '%n %d %i %s %z' -- "$compose") known='' v=''
  { IFS= read -r known && IFS= read -r v; } <"$state/compose"
  if [ -z "$file" ] || [ "$known" != "$file" ]; then
    v=$(timeout 10 $compose version --short) && [ -n "$file" ] && [ -e "$state/key" ] && (umask 077
      printf '%s\n%s\n' "$file" "$v" >"$state/compose.$$" && mv "$state/compose.$$" "$state/compose" || rm -f "$state/compose.$$")
  fi
  [ -z "$v" ] || printf 'compose %s\n' "$v"
  if [ -e /etc/systemd/system/multi-user.target.wants/docker.service ]; then
    echo 'enabled enabled'
  elif [ -d /run/systemd/system ]; then
    # An engine that runs under another unit, such as that of a snap, stays there.
    unit=docker.service pid=$(pidof dockerd)
    { IFS= read -r group <"/proc/${pid%% *}/cgroup"; } && case $group in *.service) unit=${group##*/} ;; esac
    printf 'unit %s\nenabled %s\n' "$unit" "$(systemctl is-enabled "$unit")"
  fi
  [ ! -e /var/lib/dpkg/info/docker-ce.list ] || echo docker-ce
fi"#;
    ASK_ENGINE.to_owned() + engine + ipv6::probe(subject)
}

/// Reads the probe's lines.
#[must_use]
pub fn parse(output: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for line in String::from_utf8_lossy(output).lines() {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "client" => seen.client = true,
            "server" => seen.server = Some(version(value)),
            "compose" => seen.compose = Some(version(value.trim_start_matches('v'))),
            "unit" => seen.unit = checked::word(value).map(str::to_owned),
            "enabled" => seen.enabled = value == "enabled",
            "docker-ce" => seen.docker_ce = true,
            "daemon" if value.len() <= CONFIGURATION => seen.ipv6.configuration = Some(value.to_owned()),
            "ip6tables" => seen.ipv6.rules = true,
            _ => {}
        }
    }
    seen
}

/// Returns a version as one word. An unreadable version counts as older than all others.
fn version(value: &str) -> String {
    value.split(char::is_whitespace).next().and_then(checked::word).unwrap_or("unreadable").to_owned()
}

/// Returns the desired facts.
#[must_use]
pub fn desired(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let mut facts = Facts::from([
        ("docker".to_owned(), at_least(subject.environment.engine.minimum)),
        ("compose".to_owned(), at_least(COMPOSE_MINIMUM)),
    ]);
    if host.access.systemd {
        facts.insert("boot".to_owned(), "enabled".to_owned());
    }
    ipv6::desired(subject, &mut facts);
    facts
}

/// Returns the observed facts.
#[must_use]
pub fn observed(subject: &Subject<'_>, host: &HostFacts) -> Facts {
    let seen = &host.engine;
    let mut facts = Facts::new();
    if !seen.client {
        return facts;
    }
    let docker =
        seen.server.as_ref().map_or_else(|| "stopped".to_owned(), |v| judged(v, subject.environment.engine.minimum));
    facts.insert("docker".to_owned(), docker);
    if let Some(compose) = &seen.compose {
        facts.insert("compose".to_owned(), judged(compose, COMPOSE_MINIMUM));
    }
    if host.access.systemd {
        facts.insert("boot".to_owned(), if seen.enabled { "enabled" } else { "not enabled" }.to_owned());
    }
    ipv6::observed(subject, host, &mut facts);
    facts
}

fn at_least((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor} or newer")
}

/// Returns the desired value if the version is recent enough, so that equal values mean equal states; otherwise the
/// version.
fn judged(version: &str, minimum: (u32, u32)) -> String {
    if parse_version(version) >= Some(minimum) { at_least(minimum) } else { version.to_owned() }
}

/// Returns the first two numbers of a version and ignores packaging text (`26.1.5+dfsg1` → 26.1).
#[must_use]
pub fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

/// Means of installing the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// The engine is installed and only needs to be started and enabled.
    Start,
    /// Packages of the distribution, by name.
    Distribution(&'static str),
    /// Docker's repository.
    Docker,
}

/// Returns a distribution's engine version and the packages that provide it with Compose v2.
fn packaged(os: &str, version: &str) -> Option<((u32, u32), &'static str)> {
    match (os, version) {
        ("debian", "13") => Some(((26, 1), "docker.io docker-cli docker-compose")),
        ("ubuntu", "22.04" | "24.04") => Some(((27, 5), "docker.io docker-compose-v2")),
        ("ubuntu", "26.04") => Some(((28, 2), "docker.io docker-compose-v2")),
        _ => None,
    }
}

fn means(subject: &Subject<'_>, host: &HostFacts) -> Result<Means, Failure> {
    let wish = &subject.environment.engine;
    let seen = &host.engine;
    let (facts, wanted) = (observed(subject, host), desired(subject, host));
    let good = |fact: &str| facts.get(fact) == wanted.get(fact) || facts.get(fact).is_some_and(|v| v == "stopped");
    if seen.client && good("docker") && good("compose") {
        return Ok(Means::Start);
    }
    if !wish.install {
        let found = seen.server.as_deref().map_or("no running engine".to_owned(), |v| format!("Docker {v}"));
        let compose = seen.compose.as_deref().map_or("no Compose v2".to_owned(), |v| format!("Compose {v}"));
        let message = format!("The host has {found} and {compose}; {} is needed", at_least(wish.minimum));
        return Err(Failure::new(Reason::EngineMissing, message));
    }
    let access = &host.access;
    let known = matches!(
        (access.os.as_str(), access.version.as_str()),
        ("debian", "12" | "13") | ("ubuntu", "22.04" | "24.04" | "26.04")
    );
    if !known {
        let message = format!("The host runs {} {}", access.os, access.version);
        return Err(Failure::new(Reason::UnsupportedHost, message));
    }
    let distribution = packaged(&access.os, &access.version).filter(|(version, _)| *version >= wish.minimum);
    match (wish.source, distribution) {
        _ if seen.docker_ce => Ok(Means::Docker),
        (EngineSource::Docker, _) | (EngineSource::Auto, None) => Ok(Means::Docker),
        (_, Some((_, packages))) => Ok(Means::Distribution(packages)),
        (EngineSource::Distribution, None) => Err(Failure::new(
            Reason::UnsupportedHost,
            format!("{} {} packages no Docker {} with Compose v2", access.os, access.version, at_least(wish.minimum)),
        )
        .hint("Set configure.engine.source to auto or docker")),
    }
}

/// Refuses a host on which the engine cannot be installed or started.
#[must_use]
pub fn preflight(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let means = match means(subject, host) {
        Ok(means) => means,
        Err(failure) => return Some(failure),
    };
    if let Some(refused) = ipv6::preflight(subject, host) {
        return Some(refused);
    }
    let running = host.engine.server.is_some();
    let nothing_to_start = running && means == Means::Start;
    if !host.access.systemd && !nothing_to_start {
        return Some(Failure::new(
            Reason::NoSystemd,
            "The host runs no systemd, which is needed to start the Docker engine",
        ));
    }
    if means == Means::Start {
        return None;
    }
    access::crowded("/var/lib/docker", host.access.room.engine, 1 << 30, "the Docker engine needs")
}

/// Installs and starts the engine.
#[must_use]
pub fn commands(subject: &Subject<'_>, host: &HostFacts) -> Vec<Command> {
    let Ok(means) = means(subject, host) else { return Vec::new() };
    let along = firewall::package(subject, host).map(|package| format!(" {package}")).unwrap_or_default();
    let ipv6 = ipv6::change(subject, host, means != Means::Start && host.engine.server.is_none());
    let install = match means {
        Means::Start => String::new(),
        Means::Distribution(packages) => {
            let apt = exclusive::apt();
            format!("{apt}apt update\napt install -y --no-remove --no-install-recommends {packages}{along}\n")
        }
        Means::Docker => from_docker(subject, host, &along),
    };
    let unit = host.engine.unit.as_deref().unwrap_or("docker.service");
    let title = match means {
        Means::Start if ipv6.is_empty() => "start Docker",
        Means::Start => "configure Docker for IPv6",
        Means::Distribution(_) => "install Docker from the distribution's packages",
        Means::Docker => "install Docker from Docker's repository",
    };
    vec![Command {
        title: title.to_owned(),
        script: subject.preamble() + &ipv6 + &install + &format!("unit={}\n", quote(unit)) + START,
        input: Input::Empty,
        limit: LONG,
        reason: Reason::EngineFailed,
    }]
}

const START: &str = r#"systemctl enable --now "$unit" </dev/null
n=0
until timeout 10 docker version >/dev/null 2>&1; do
  n=$((n + 1))
  [ $n -lt 60 ] || { journalctl -u "$unit" -n 20 --no-pager >&2; exit 1; }
  sleep 1
done
docker compose version >&2
"#;

fn from_docker(subject: &Subject<'_>, host: &HostFacts, along: &str) -> String {
    let repository = subject.environment.engine.repository.as_ref();
    let original = format!("https://download.docker.com/linux/{}", host.access.os);
    let (url, key) = repository.map_or((original.as_str(), DOCKER_KEY), |mirror| (&mirror.url, &mirror.key));
    let source = format!(
        "deb [arch={} signed-by=/etc/apt/keyrings/deployer-docker.asc] {url} {} stable",
        host.access.architecture, host.access.codename
    );
    format!(
        r"{}install -d -m 0755 /etc/apt/keyrings
printf '%s\n' {} > /etc/apt/keyrings/deployer-docker.asc
chmod 0644 /etc/apt/keyrings/deployer-docker.asc
printf '%s\n' {} > /etc/apt/sources.list.d/deployer-docker.list
apt update
apt install -y --no-remove --no-install-recommends docker-ce docker-ce-cli containerd.io docker-compose-plugin{along}
",
        exclusive::apt(),
        quote(key.trim_end()),
        quote(&source)
    )
}
