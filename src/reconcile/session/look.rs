//! Reads facts from a session's host: everything in one round trip, and some details separately. Does not change a
//! host.

use super::{Session, checks};
use crate::model::checked::Sha256Hex;
use crate::model::failure::{Failure, Reason};
use crate::model::state::Kind;
use crate::resource::compose::health_check;
use crate::resource::contract::record::DigestKey;
use crate::resource::images::registry::{self, Answer};
use crate::resource::{self, HostFacts, Kinds, Lane, Observation, Outside};
use camino::Utf8PathBuf;
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Session {
    async fn look(&self, before: &str, kinds: Kinds) -> Result<HostFacts, Failure> {
        let script = before.to_owned() + &resource::probe_of(&self.prepared.subject(), kinds);
        let output = self.script(&script, resource::LOOK).await?;
        match resource::parse_of(&self.prepared.subject().marks(), &output.stdout, kinds, self.facts()) {
            // A host that shuts down may fail parts of the probe before the connection breaks.
            Err(_) if self.gone().await => {
                Err(Failure::new(Reason::ConnectionLost, "The connection broke while the host was observed"))
            }
            facts => facts.map_err(|failure| failure.details(self.prepared.redactor.redact(&output.stderr))),
        }
    }

    /// Reads everything in one round trip.
    pub async fn observe(&mut self) -> Result<(), Failure> {
        self.observe_kinds("", resource::changed_by(None)).await
    }

    /// Runs a script that changes nothing on the host, then reads these kinds. All other kinds keep their facts.
    pub(crate) async fn observe_kinds(&mut self, script: &str, kinds: Kinds) -> Result<(), Failure> {
        let facts = match self.look(script, kinds).await {
            // After a change started, a broken connection is opened again.
            Err(lost) if lost.reason == Reason::ConnectionLost && self.lease.is_some() => {
                let again = self.reconnect().await;
                again.map_err(|failure| if failure.reason == Reason::LeaseLost { failure } else { lost })?;
                self.look(script, kinds).await?
            }
            facts => facts?,
        };
        self.take_in(facts).await
    }

    /// Takes over the facts of an observation, then asks registries and runs the checks of the runner.
    pub(crate) async fn take_in(&mut self, facts: HostFacts) -> Result<(), Failure> {
        let mut facts = Box::new(facts);
        facts.outside = Outside { checks: BTreeMap::new(), ..self.facts().outside.clone() };
        let asked = self.ask_registries(&facts).await.map(|answers| facts.outside.registry.extend(answers));
        if asked.is_ok() {
            facts
                .outside
                .checks
                .extend(checks::from_runner(&self.prepared.environment.checks, &self.prepared.reach.address).await);
        }
        *self.seen = Observation::of(&self.prepared.subject(), *facts);
        asked
    }

    /// Asks registries about the images that follow them, once per session and image. Returns the new answers.
    async fn ask_registries(&self, facts: &HostFacts) -> Result<BTreeMap<String, Answer>, Failure> {
        let subject = self.prepared.subject();
        let images = registry::unasked(&subject, facts);
        if images.is_empty() || !self.asks {
            return Ok(BTreeMap::new());
        }
        let question = registry::ask(&subject, &images);
        let output = self.host()?.run(&question.script, question.input, question.limit).await?;
        let redactor = &self.prepared.redactor;
        let said = redactor.redact(&String::from_utf8_lossy(&output.stdout));
        Ok(registry::parse(&said, &images, &redactor.redact(&output.stderr)))
    }

    /// Waits until the commands of an interrupted run on the host have ended, and observes again.
    pub async fn outlast(&mut self) -> Result<(), Failure> {
        if self.connection.is_none() {
            return Ok(());
        }
        let script = Lane::Alone.wait(&self.prepared.subject());
        self.script(&script, resource::PATIENCE + resource::SHORT).await?;
        self.observe().await
    }

    /// Gives this session a digest key if the host has none yet. Every runner with access derives the same key, from
    /// data that only root on the host can read. For plans that a later run compares.
    pub async fn derive_key(&mut self) -> Result<(), Failure> {
        if self.facts().access.key.is_some() {
            return Ok(());
        }
        if let (None, Some(machine)) = (&self.connection, &self.machine) {
            machine.keep_planned_key().await?;
            let secret = machine.secret();
            let secret = secret.expose_secret().as_bytes();
            self.replace_key(blake3::derive_key("deployer saved plan of a new machine v1", secret));
            return Ok(());
        }
        let script = "cat /etc/machine-id /etc/ssh/ssh_host_*_key 2>/dev/null | sha256sum | cut -d ' ' -f 1\n";
        let output = self.script(script, resource::SHORT).await?;
        let digest = Sha256Hex::parse(String::from_utf8_lossy(&output.stdout).trim());
        // The digest of empty input is not secret.
        let Some(digest) = digest.filter(|digest| !digest.starts_with("e3b0c44298fc1c14")) else {
            let message =
                "The host has neither a machine id nor host keys, from which the digests of a saved plan are made";
            return Err(Failure::new(Reason::CommandFailed, message).hint("Apply once without a saved plan"));
        };
        self.replace_key(blake3::derive_key("deployer saved plan v1", digest.as_bytes()));
        Ok(())
    }

    fn replace_key(&mut self, key: [u8; 32]) {
        self.prepared.fallback_key = DigestKey::new(key);
        self.compare_again();
    }

    /// Reads the live content of those text files that are small (64 KiB) and valid UTF-8.
    pub async fn contents(&self, paths: &[Utf8PathBuf]) -> Result<BTreeMap<Utf8PathBuf, String>, Failure> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = resource::files::lines(paths);
        let script = self.prepared.subject().preamble()
            + resource::contract::guard::FUNCTIONS
            + "pin \"$app\" || exit 0\nshow_files <<'/.'\n"
            + &list
            + "/.\n";
        let output = self.script(&script, resource::SHORT).await?;
        Ok(parse_contents(&output.stdout, paths))
    }

    /// Returns the last health check and the last log lines of unhealthy containers, service by service.
    pub async fn last_words(&self) -> String {
        let subject = self.prepared.subject();
        let (states, _) = self.seen.both(Kind::Services);
        let state = |service: &str| states.get(&resource::services::Fact::Service(service).to_string());
        let bad = |service: &str| state(service).is_some_and(|found| !resource::compose::container::good(found));
        let mut text = String::new();
        let containers = resource::services::containers(&subject, self.facts());
        for container in containers.filter(|container| bad(&container.service)).take(3) {
            let mut said = |what: &str, lines: &str| {
                let found = state(&container.service).map_or("", String::as_str);
                let _ = writeln!(text, "{} is {found}; {what}:", container.service);
                // Color codes are removed: they are meant for a terminal.
                let plain = anstream::adapter::strip_str(lines).to_string();
                text += self.prepared.redactor.redact(&plain).trim_end();
                text.push('\n');
            };
            let checked = self.script(&health_check::last(&container.id), resource::SHORT).await;
            let checked = checked.ok().and_then(|output| health_check::parse(&output.stdout));
            let failed = checked.filter(|check| check.code != 0);
            if let Some(check) = &failed {
                said(&format!("its last health check ended with {}", check.code), check.output());
            }
            let script = format!(
                "timeout -k 1 20 docker logs --tail 20 {} 2>&1 </dev/null | head -c {LAST_WORDS}",
                crate::model::shell::quote(&container.id)
            );
            if let Ok(output) = self.script(&script, resource::SHORT).await {
                let lines = whole_lines(&output.stdout);
                if !lines.trim().is_empty() {
                    said("its last lines", &lines);
                } else if failed.is_none() {
                    said("it printed nothing", "");
                }
            }
        }
        text
    }
}

/// The maximum size of a container's last lines (bytes).
const LAST_WORDS: usize = 64 << 10;

/// Returns the lines of an output without a line that was cut off: half of a secret would not be redacted.
fn whole_lines(output: &[u8]) -> String {
    let end = output.iter().rposition(|byte| *byte == b'\n').filter(|_| output.len() >= LAST_WORDS);
    String::from_utf8_lossy(&output[..end.unwrap_or(output.len())]).into_owned()
}

/// Parses the output of [`Session::contents`] for the requested files: each as `SIZE PATH`, its bytes, and a newline.
/// Stops at the first malformed entry.
pub(crate) fn parse_contents(output: &[u8], paths: &[Utf8PathBuf]) -> BTreeMap<Utf8PathBuf, String> {
    let (mut rest, mut contents) = (output, BTreeMap::new());
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (header, after) = rest.split_at(end);
        let header = String::from_utf8_lossy(header);
        let Some((size, path)) = header.split_once(' ') else { break };
        let size = size.parse().ok().filter(|size: &usize| *size <= 65536);
        let Some(body) = size.and_then(|size| after[1..].get(..size)) else { break };
        let asked = paths.iter().find(|asked| asked.as_str() == path);
        contents.extend(asked.cloned().zip(std::str::from_utf8(body).ok().map(str::to_owned)));
        rest = after.get(body.len() + 2..).unwrap_or_default();
    }
    contents
}
