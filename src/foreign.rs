//! Parsers of foreign input that nothing outside their modules calls, for `tests/fuzz`. Not a part of the interface.

use crate::io::ssh::script::Marks;
use crate::io::ssh::settings::Settings;
use crate::io::ssh::trouble;
use crate::reconcile::machine::recipe;
use crate::reconcile::session::look;
use crate::reconcile::stack::inside;
use crate::smoke::{prometheus, tls};
use rustls::pki_types::UnixTime;
use std::collections::BTreeSet;
use std::time::Duration;

/// Parses the output of a host around the output of a script, in pieces of `size` bytes.
pub fn marks(bytes: &[u8], nonce: &str, size: usize) {
    let mut marks = Marks::new(nonce);
    for piece in bytes.chunks(size.max(1)) {
        marks.push(piece);
        let _ = (marks.ready(), marks.begun(), marks.take_lines());
    }
    let _ = (marks.status(), marks.into_held());
}

/// Parses the output of `ssh -G`.
pub fn ssh_settings(text: &str) {
    let _ = Settings::parse(text);
}

/// Parses the error messages of ssh and sudo.
pub fn complaints(text: &str) {
    let _ = (trouble::of_ssh(text), trouble::of_sudo(text));
}

/// Parses the live content of files.
pub fn contents(output: &[u8]) {
    let _ = look::parse_contents(output, &["a/b".into(), "é.conf".into()]);
}

/// Parses the report of a host about a tracker stack.
pub fn stack(output: &str) {
    let _ = inside::parse(output);
}

/// Parses the recipe of a machine from the store.
pub fn recipe(text: &str) {
    let _ = recipe::read(text, None);
}

/// Parses Prometheus' targets.
pub fn prometheus(body: &[u8]) {
    let _ = prometheus::judge(body, &BTreeSet::from(["tracker_metrics".to_owned()]));
}

/// Parses a certificate.
pub fn certificate(der: &[u8]) {
    let seen = tls::Seen { der: der.to_vec(), at: UnixTime::since_unix_epoch(Duration::ZERO) };
    let _ = (seen.read(), seen.life());
}
