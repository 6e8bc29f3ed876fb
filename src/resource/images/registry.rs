//! Registries' current digests for the tags of a release, for `pull: always`. The host's engine asks the registries
//! once per run. Nothing on the host is changed. Images that name their digest, are built or are shipped are not
//! compared.

use super::origin::{always, followed};
use crate::model::checked::{self, ImageId};
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::release::image_name::registry;
use crate::resource::release_identity::digest;
use crate::resource::services::records;
use crate::resource::{Command, HostFacts, SHORT, Subject};
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};

/// Registry's answer about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The digest that the tag refers to.
    Digest(String),
    /// The reason why there is no digest.
    None(String),
}

impl Answer {
    /// Returns the digest, if there is one.
    pub(super) fn digest(&self) -> Option<&str> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::None(_) => None,
        }
    }
}

/// Shell that asks registries through the engine.
const ASK: &str = include_str!("ask.sh");

/// Returns the images that were not asked about yet in this run: those of the services, and those of rejected releases
/// with the wanted inputs.
#[must_use]
pub fn unasked(subject: &Subject<'_>, host: &HostFacts) -> BTreeSet<String> {
    if host.engine.server.is_none() {
        return BTreeSet::new();
    }
    let mut images = followed(subject, &records::of(subject, host));
    if let Some(wanted) = digest(subject, host).filter(|_| always(subject)) {
        let rejected = host.files.rejected.iter().filter(|rejected| rejected.digest == wanted);
        images.extend(rejected.flat_map(|rejected| rejected.pulled.keys().cloned()));
    }
    images.retain(|image| !host.outside.registry.contains_key(image));
    images
}

/// Returns the command that asks registries about `images`. [`parse`] reads its output.
#[must_use]
pub fn ask(subject: &Subject<'_>, images: &BTreeSet<String>) -> Command {
    let login = |image: &String| {
        let host = registry(image);
        let login = subject.release.and_then(|release| release.logins.get(host));
        // Source: the Docker Engine API, "Authentication".
        let login = login.map_or_else(
            || serde_json::json!({}),
            |login| {
                let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
                let password = login.password.expose_secret();
                serde_json::json!({ "username": login.username, "password": password, "serveraddress": server })
            },
        );
        login.to_string()
    };
    let lines = images.iter().fold(String::new(), |text, image| text + image + " " + &login(image) + "\n");
    Command {
        title: "query the registries".to_owned(),
        script: ASK.to_owned(),
        input: Input::Bytes(lines.into_bytes().into()),
        limit: SHORT,
        reason: Reason::ImageNotCompared,
    }
}

/// Reads the output of [`ask`] about `images`. An image without an answer gets the reason `why`.
#[must_use]
pub fn parse(output: &str, images: &BTreeSet<String>, why: &str) -> BTreeMap<String, Answer> {
    let lines: BTreeMap<&str, &str> = output.lines().filter_map(|line| line.split_once(' ')).collect();
    let said = |image: &String| lines.get(image.as_str()).copied().unwrap_or(why).trim();
    images.iter().map(|image| (image.clone(), answer(said(image)))).collect()
}

fn answer(said: &str) -> Answer {
    let json: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let digest = text(&json["Descriptor"]["digest"]).filter(|digest| ImageId::parse(digest).is_some());
    digest.map_or_else(
        || Answer::None(checked::said(&text(&json["message"]).unwrap_or_else(|| said.to_owned()))),
        Answer::Digest,
    )
}

/// Returns a failure that lists the images that could not be compared with their registry, and the reasons.
#[must_use]
pub fn uncompared(subject: &Subject<'_>, host: &HostFacts) -> Option<Failure> {
    let images = followed(subject, &records::of(subject, host));
    let silent = |image: &String| match host.outside.registry.get(image)? {
        Answer::None(why) => Some((image.clone(), why.clone())),
        Answer::Digest(_) => None,
    };
    let silent: Vec<(String, String)> = images.iter().filter_map(silent).collect();
    let names = silent.iter().map(|(image, _)| image.as_str()).collect::<Vec<_>>().join(", ");
    let why = silent.iter().map(|(image, why)| format!("{image}: {why}")).collect::<Vec<_>>().join("\n");
    let message = format!("Not compared with its registry: {names}");
    (!silent.is_empty()).then(|| Failure::new(Reason::ImageNotCompared, message).details(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_digest_or_a_reason() {
        let images = ["a/b:1", "c:2", "d:3", "e:4"].map(str::to_owned).into();
        let digest = format!("sha256:{}", "0f".repeat(32));
        let output = format!(
            "a/b:1 {{\"Descriptor\":{{\"digest\":\"{digest}\",\"size\":1}},\"Platforms\":[]}}\n\
             c:2 {{\"message\":\"unauthorized: authentication\\nrequired\"}} \nd:3 curl: (28) timed out\n"
        );
        let answers = parse(&output, &images, "nothing was said");
        let none = |why: &str| Answer::None(why.to_owned());
        let expected = [
            Answer::Digest(digest),
            none("unauthorized: authentication required"),
            none("curl: (28) timed out"),
            none("nothing was said"),
        ];
        assert_eq!(answers.into_values().collect::<Vec<_>>(), expected);
    }
}
