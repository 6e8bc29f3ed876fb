//! Opens the single connection to a host: options, jump hosts, and retries where they may help. ssh does not ask for a
//! password or a passphrase at a terminal.

use super::Way;
use super::login_log::LoginLog;
use super::settings::{bare, words};
use super::trouble::{self, Trouble};
use crate::io::process::{self, Environment};
use crate::io::scratch::{Directory, SecretFile};
use crate::manifest::environment::Identity;
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use std::fs;
use std::time::{Duration, Instant};

/// Time for authentication, in addition to the connect timeout.
const AUTHENTICATION: Duration = Duration::from_secs(30);

/// A running master: its socket is `master` in `directory`.
pub(super) struct Master {
    pub(super) directory: Directory,
    /// Host keys that were verified or learned, as `TYPE BASE64`.
    pub(super) keys: Vec<String>,
}

/// Connects. Retries refused connections and silent hosts for up to `wait`.
pub(super) async fn start(way: &Way<'_>, wait: Duration, waiting: &(dyn Fn(&str) + Sync)) -> Result<Master, Failure> {
    let call = Call::prepare(way).await?;
    let begun = Instant::now();
    let mut pause = Duration::from_secs(1);
    loop {
        let (failure, passing) = match call.dial().await {
            Ok(keys) => return Ok(call.finish(keys)),
            Err(refused) => refused,
        };
        let left = wait.saturating_sub(begun.elapsed());
        if !passing || left <= pause {
            return Err(failure);
        }
        let what = match failure.reason {
            Reason::ConnectionTimeout => "no answer",
            _ => "connection refused",
        };
        waiting(&format!("{what}, trying again for {} s", left.as_secs()));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// A prepared connection to a host.
pub(super) struct Call<'a> {
    pub(super) way: &'a Way<'a>,
    pub(super) directory: Directory,
    /// The private key, if it comes from a secret. Exists until the login.
    pub(super) key: Option<SecretFile>,
    /// Arguments that every ssh command for this host gets.
    pub(super) options: Vec<String>,
}

impl<'a> Call<'a> {
    async fn prepare(way: &'a Way<'a>) -> Result<Call<'a>, Failure> {
        let directory = Directory::new().map_err(local)?;
        let mut call = Self { way, directory, key: None, options: Vec::new() };
        call.lay_out().map_err(local)?;
        call.learn_host_key().await?;
        call.check_identity().await?;
        Ok(call)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }

    /// Writes the files that ssh reads and collects the options.
    fn lay_out(&mut self) -> std::io::Result<()> {
        let Way { reach, ssh, .. } = self.way;
        let timeout = ssh.connect_timeout.as_secs().max(1);
        // Applies to every hop, including jump hosts. ssh uses the first value of an option.
        let config = format!(
            "BatchMode yes\nStrictHostKeyChecking yes\nNoHostAuthenticationForLocalhost no\nLogLevel INFO\n\
             ConnectTimeout {timeout}\nConnectionAttempts 1\nServerAliveInterval 10\nServerAliveCountMax 3\n\
             ForwardAgent no\nForwardX11 no\nTunnel no\nPermitLocalCommand no\nUpdateHostKeys no\nCheckHostIP no\n\
             AddKeysToAgent no\nRemoteCommand none\nRequestTTY no\n\
             Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"
        );
        fs::write(self.directory.path().join("config"), config)?;
        self.options = ["-F".to_owned(), self.path("config")].to_vec();
        if let Some(port) = reach.port {
            self.options.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &reach.user {
            self.options.extend(["-l".to_owned(), user.clone()]);
        }
        self.option("ClearAllForwardings=yes");
        self.limit_host_keys()?;
        if let Some(jump) = &ssh.jump {
            self.jump(jump);
        }
        self.place_identity()
    }

    pub(super) fn option(&mut self, option: &str) {
        self.options.extend(["-o".to_owned(), option.to_owned()]);
    }

    /// Connects through a jump host, as `-J` does, but keeps the jump host's error messages.
    fn jump(&mut self, jump: &str) {
        let (before, last) = jump.rsplit_once(',').map_or((None, jump), |(before, last)| (Some(before), last));
        let hop = Hop::read(last);
        let mut argv = words(&["ssh", "-F", &self.path("config"), "-E", &self.path("jump"), "-W", "[%h]:%p"]);
        for (option, value) in [("-J", before), ("-l", hop.user), ("-p", hop.port)] {
            // ssh expands percent signs.
            argv.extend(value.into_iter().flat_map(|value| [option.to_owned(), value.replace('%', "%%")]));
        }
        argv.extend(["--".to_owned(), hop.host.replace('%', "%%")]);
        let line: Vec<_> = argv.iter().map(|word| quote(word)).collect();
        self.option(&format!("ProxyCommand={}", line.join(" ")));
    }

    /// Makes one attempt. The flag next to a failure is true if another attempt may succeed.
    async fn dial(&self) -> Result<Vec<String>, (Failure, bool)> {
        let _ = fs::remove_file(self.path("offered"));
        let unmade = |error: std::io::Error| (local(error), false);
        let create = |name| LoginLog::create(&self.directory.path().join(name)).map_err(unmade);
        let (mut log, mut jump) = (create("log")?, create("jump")?);
        // ControlPersist ends a master whose runner was killed: see `Host::held`.
        let argv = [
            words(&["ssh", "-M", "-f", "-N", "-o", "ControlPersist=2", "-S"]),
            vec![self.path("master"), "-E".to_owned(), self.path("log")],
            self.options.clone(),
            vec!["--".to_owned(), bare(&self.way.reach.address).to_owned()],
        ]
        .concat();
        let hops = if self.way.ssh.jump.is_some() { 2 } else { 1 };
        let limit = self.way.ssh.connect_timeout * hops + AUTHENTICATION;
        let finished = tokio::select! {
            finished = process::run_in(Environment::User, &argv, b"", limit) => finished,
            never = log.follow() => match never {},
            never = jump.follow() => match never {},
        };
        let finished = match finished {
            Ok(finished) => finished,
            Err(failure) if matches!(failure.reason, Reason::ToolMissing | Reason::OutputTooLarge) => {
                return Err((failure, false));
            }
            Err(_) => {
                let message = format!("{} does not complete the login", self.whom());
                return Err((Failure::new(Reason::ConnectionTimeout, message), true));
            }
        };
        if finished.status.success() {
            return Ok(self.offered());
        }
        // The log holds only ssh's own messages. The host's banner, which may contain anything, goes to standard error.
        let said = log.into_text();
        let said = if said.is_empty() { String::from_utf8_lossy(&finished.stderr).into_owned() } else { said };
        let said = said.replace(&self.path("identity"), &self.identity_name());
        Err(self.refused(&said, &jump.into_text()).await)
    }

    /// Returns the address and port of the host, for messages.
    pub(super) fn whom(&self) -> String {
        let address = &self.way.reach.address;
        match self.way.reach.port {
            Some(port) => format!("{address} port {port}"),
            None => address.clone(),
        }
    }

    fn identity_name(&self) -> String {
        match &self.way.ssh.identity {
            Some(Identity::File(path)) => path.to_string(),
            _ => "(secret)".to_owned(),
        }
    }

    /// Returns the failure for the messages of ssh and of the ssh to the jump host.
    async fn refused(&self, said: &str, jump: &str) -> (Failure, bool) {
        if !jump.trim().is_empty() {
            let (Trouble { reason, passing }, line) = trouble::of_ssh(jump);
            let name = self.way.ssh.jump.as_deref().unwrap_or_default();
            let failure = Failure::new(reason, format!("Cannot reach {} through {name}: {line}", self.whom()));
            return (failure.hint(format!("Try to connect by hand: ssh {}", quote(name))), passing);
        }
        let (Trouble { reason, passing }, line) = trouble::of_ssh(said);
        let failure = match reason {
            Reason::HostKeyUnknown | Reason::HostKeyChanged => self.distrusted(reason, said).await,
            Reason::ConnectionLost => Failure::new(reason, format!("Cannot connect to {}: {line}", self.whom()))
                .hint(format!("Try to connect by hand: ssh {}", quote(&self.way.reach.address))),
            _ => Failure::new(reason, format!("Cannot connect to {}: {line}", self.whom())),
        };
        (failure, passing)
    }

    /// Returns the running master. Drops the private key.
    fn finish(self, keys: Vec<String>) -> Master {
        Master { directory: self.directory, keys }
    }
}

/// A jump host, written `[ssh://][USER@]HOST[:PORT]`. An IPv6 address is in brackets if a port follows.
struct Hop<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> Hop<'a> {
    fn read(text: &'a str) -> Self {
        let text = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
        let (user, place) = text.rsplit_once('@').map_or((None, text), |(user, place)| (Some(user), place));
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None),
            },
        };
        Self { user, host, port }
    }
}

fn local(error: std::io::Error) -> Failure {
    Failure::new(Reason::CommandFailed, "Cannot prepare a temporary directory for ssh")
        .because(error)
        .hint("Check that /tmp can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_jump_hosts() {
        let cases = [
            ("gate", (None, "gate", None)),
            ("me@gate:2222", (Some("me"), "gate", Some("2222"))),
            ("ssh://me@gate:2222/", (Some("me"), "gate", Some("2222"))),
            ("me@[::1]:2222", (Some("me"), "::1", Some("2222"))),
            ("[::1]", (None, "::1", None)),
            ("fe80::1%eth0", (None, "fe80::1%eth0", None)),
        ];
        for (text, expected) in cases {
            let hop = Hop::read(text);
            assert_eq!((hop.user, hop.host, hop.port), expected, "{text}");
        }
    }
}
