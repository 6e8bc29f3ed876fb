//! Rules of a Hetzner Cloud server. Does not contact Hetzner.

use super::{Around, needed, one_line, size};
use crate::manifest::environment::{Network, Protocol};
use crate::manifest::faults::Report;
use crate::manifest::provision::{Hetzner, Opening, Volume};
use crate::manifest::rules::scalars::switch;
use crate::manifest::rules::{Reading, shown, values};
use crate::manifest::spec::{HetznerSpec, VolumeSpec};
use crate::manifest::written::Written;
use std::collections::BTreeMap;

/// Reads the section.
pub fn read(written: &Written<HetznerSpec>, around: &Around<'_>, reading: &mut Reading<'_>) -> Hetzner {
    let spec = &written.value;
    let token = spec.token.0.as_ref().map(|token| values::secret("token", token, reading));
    let report = &mut *reading.report;
    let (ipv4, ipv6) = (switch(&spec.ipv4, true, "ipv4", report), switch(&spec.ipv6, true, "ipv6", report));
    if !ipv4 && !ipv6 {
        let spot = spec.ipv4.spot_or(written.spot);
        report.fault(spot, "A server without any address cannot be reached", "Leave `ipv4` or `ipv6` on");
    }
    if let Some(name) = spec.primary_ip.0.as_ref().filter(|_| !ipv4) {
        report.fault(name.spot, "`primary_ip` is an IPv4 address, and `ipv4` is off", "Remove one of them");
    }
    let labels = spec.labels.value().into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| label(key, value, report)).collect();
    let firewall = switch(&spec.firewall, false, "firewall", report).then(|| openings(around));
    Hetzner {
        server_type: needed(&spec.server_type, written.spot, "server_type", "cx23", report),
        location: needed(&spec.location, written.spot, "location", "nbg1", report),
        image: one_line(&spec.image, "image", report).unwrap_or_else(|| "debian-13".to_owned()),
        token,
        ipv4,
        ipv6,
        firewall,
        volume: spec.volume.0.as_ref().and_then(|one| volume(one, report)),
        delete_protection: switch(&spec.delete_protection, false, "delete_protection", report),
        primary_ip: one_line(&spec.primary_ip, "primary_ip", report),
        labels,
    }
}

/// Returns the open ports: SSH and a tracker's ports from everywhere, and the ports that the host's firewall allows.
fn openings(around: &Around<'_>) -> Vec<Opening> {
    let everywhere = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let mut all: BTreeMap<(Protocol, u16), Vec<String>> =
        around.ports.iter().map(|port| (*port, everywhere())).collect();
    for allow in around.firewall.into_iter().flat_map(|wish| &wish.allow) {
        let from: Vec<String> = allow.from.iter().map(Network::with_prefix).collect();
        let from = if from.is_empty() { everywhere() } else { from };
        all.insert((allow.protocol, allow.port), from);
    }
    all.into_iter().map(|((protocol, port), from)| Opening { protocol, port: port.to_string(), from }).collect()
}

fn label(key: &Written<String>, value: &Written<String>, report: &mut Report) -> Option<(String, String)> {
    let word = |text: &str| {
        let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && edge(text.chars().next())
            && edge(text.chars().last())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let bare = key.value.rsplit('/').next().unwrap_or_default();
    if bare.is_empty() || !word(bare) || !word(&value.value) {
        let message = format!("`{}: {}` is not a label", shown(&key.value), shown(&value.value));
        report.fault(key.spot, message, "At most 63 letters, digits, `.`, `_` and `-`, a letter or digit at both ends");
        return None;
    }
    if key.value.starts_with("deployer-") {
        report.fault(
            key.spot,
            format!("The label `{}` is reserved for deployer", shown(&key.value)),
            "Choose another name",
        );
        return None;
    }
    Some((key.value.clone(), value.value.clone()))
}

fn volume(written: &Written<VolumeSpec>, report: &mut Report) -> Option<Volume> {
    let spec = &written.value;
    let gigabytes = size(&spec.size, "size", report).and_then(|text| {
        let number = text.strip_suffix("GiB").or_else(|| text.strip_suffix("GB"));
        number.and_then(|number| number.parse().ok()).filter(|number| (10..=10_240).contains(number))
    });
    let Some(gigabytes) = gigabytes else {
        let spot = spec.size.spot_or(written.spot);
        report.fault(spot, "A volume has a size from 10GiB to 10240GiB", "Write `size: 20GiB`");
        return None;
    };
    let Some(mount) = spec.mount.0.as_ref() else {
        report.fault(written.spot, "A volume has no `mount`", "Add `mount: /opt/data`");
        return None;
    };
    let plain = mount.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if !mount.value.starts_with('/') || mount.value.len() < 2 || !plain || mount.value.contains("..") {
        let message = format!("`{}` is not a directory to mount a volume on", shown(&mount.value));
        report.fault(mount.spot, message, "Write an absolute path like /opt/data");
    }
    Some(Volume { size: gigabytes, mount: mount.value.clone() })
}
