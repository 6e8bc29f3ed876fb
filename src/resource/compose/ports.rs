//! Ports that a Compose file publishes on the host. Does not look at the host.

use crate::resource::contract::record::PublishedPort;
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Port {
    pub(super) host_ip: String,
    pub(super) published: Published,
    pub(super) protocol: String,
}

/// Published port. Compose writes it as a string, some versions as a number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Published {
    Text(String),
    Number(u16),
    #[default]
    None,
}

/// Returns the host ports of one entry. If the entry names none, Docker chooses the port and the range is empty.
pub(super) fn range(port: &Port) -> std::ops::Range<u32> {
    let range = match &port.published {
        Published::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            first.parse::<u16>().ok().zip(last.parse::<u16>().ok())
        }
        Published::Number(number) => Some((*number, *number)),
        Published::None => None,
    };
    range.map_or(0..0, |(first, last)| u32::from(first)..u32::from(last) + 1)
}

/// Returns every host port of one entry.
pub(super) fn ports(port: &Port) -> Vec<PublishedPort> {
    let one = |number| PublishedPort {
        address: port.host_ip.clone(),
        port: number,
        protocol: if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() },
    };
    range(port).filter_map(|number| u16::try_from(number).ok()).filter(|number| *number != 0).map(one).collect()
}
