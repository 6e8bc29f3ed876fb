//! Rules of scalars with a special form: durations, versions, ports, one-line texts, image names. Reports values that
//! YAML read as another type instead of converting them.

use super::shown;
use crate::manifest::faults::Report;
use crate::manifest::spec::{Scalar, Switch, Text, Whole};
use crate::manifest::written::{Given, Written};
use std::time::Duration;

const UNITS: &str = "Write a number with its unit: 500ms, 10s, 3m, 1h";

/// Reads a duration of at most a day.
pub fn duration(given: &Given<Text>, default: Duration, zero: bool, key: &str, report: &mut Report) -> Duration {
    let Some(written) = &given.0 else { return default };
    let Text(Scalar::Text(text)) = &written.value else {
        report.fault(written.spot, format!("`{key}` has no unit"), UNITS);
        return default;
    };
    match humantime::parse_duration(text) {
        Ok(length) if length.is_zero() && !zero => {
            report.fault(written.spot, format!("`{key}` must be greater than zero"), UNITS);
        }
        Ok(length) if length > Duration::from_hours(24) => {
            report.fault(written.spot, format!("`{key}` is longer than a day"), UNITS);
        }
        Ok(length) => return length,
        Err(_) => report.fault(written.spot, format!("`{}` is not a duration", shown(text)), UNITS),
    }
    default
}

/// Reads a version, `MAJOR.MINOR`.
pub fn version(given: &Given<Text>, default: (u32, u32), key: &str, report: &mut Report) -> (u32, u32) {
    let Some(written) = &given.0 else { return default };
    let Text(Scalar::Text(text)) = &written.value else {
        let bare = report.written(written.spot).to_owned();
        let hint = format!("Quote it: \"{bare}\"; YAML reads a bare 24.10 as the number 24.1");
        report.fault(written.spot, format!("`{key}` is a number, not a version"), hint);
        return default;
    };
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    if let (Some(major), Some(minor)) = (digits(major), digits(minor)) {
        return (major, minor);
    }
    let message = format!("`{}` is not a version", shown(text));
    report.fault(written.spot, message, "Write major and minor, quoted: \"24.0\"");
    default
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Reads a TCP port.
pub fn port(written: &Written<Whole>, key: &str, report: &mut Report) -> u16 {
    let Some(number) = whole(written, key, report) else { return 1 };
    match u16::try_from(number) {
        Ok(port) if port > 0 => port,
        _ => {
            report.fault(written.spot, format!("{number} is not a port"), "Ports go from 1 to 65535");
            1
        }
    }
}

/// Reads a whole number; `key` is its name in faults.
pub fn whole(written: &Written<Whole>, key: &str, report: &mut Report) -> Option<i64> {
    let Whole(Scalar::Whole(number)) = written.value else {
        let found = shown(report.written(written.spot));
        let message = format!("`{key}` must be a whole number, not `{found}`");
        report.fault(written.spot, message, "Write digits only, without quotes");
        return None;
    };
    Some(number)
}

/// Reads true or false; `key` is its name in faults.
pub fn switch(given: &Given<Switch>, default: bool, key: &str, report: &mut Report) -> bool {
    let Some(written) = &given.0 else { return default };
    let Switch(Scalar::Switch(on)) = written.value else {
        let found = shown(report.written(written.spot));
        let message = format!("`{key}` must be true or false, not `{found}`");
        report.fault(written.spot, message, "Write true or false, without quotes");
        return default;
    };
    on
}

/// Returns true if the text is on one line and not empty; `key` is its name in faults.
pub fn line(written: &Written<String>, key: &str, report: &mut Report) -> bool {
    let empty = written.value.trim().is_empty();
    if empty {
        report.fault(written.spot, format!("`{key}` is empty"), "Give it a value, or leave the key out");
    } else if written.value.contains(char::is_control) {
        report.fault(written.spot, format!("`{key}` contains a line break or another control character"), "Remove it");
        return false;
    }
    !empty
}

/// Returns true if the text is an image name.
pub fn image_name(image: &Written<String>, report: &mut Report) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let valid = image.value.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.value.chars().all(allowed);
    if !valid {
        let message = format!("`{}` is not an image's name", shown(&image.value));
        report.fault(image.spot, message, "Write it as docker images does: NAME:TAG");
    }
    valid
}
