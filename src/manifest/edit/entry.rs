//! Writes an environment's entry as YAML text, in block or flow style. Quotes every scalar that YAML could read as
//! anything but that text.

use crate::manifest::environment::Name;
use serde_json::{Map, Value};

/// The entry that `create`, `register` and `import` write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Host of the environment: an existing one, or a machine that OpenTofu makes.
    pub place: Place,
    /// Comments for the entry, written in block style only.
    pub remarks: Vec<String>,
    /// SSH port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Private key file, as the user wrote it.
    pub identity_file: Option<String>,
    /// Pinned host keys.
    pub host_key: Vec<String>,
    /// The application's section.
    pub application: Option<Value>,
}

/// Host of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An existing host with this DNS name, IPv4 or IPv6 address.
    Registered(String),
    /// A machine that OpenTofu makes, described by this section.
    Provisioned(Value),
}

impl Default for Place {
    fn default() -> Self {
        Self::Registered(String::new())
    }
}

impl Place {
    /// Returns the section's key and value.
    fn section(&self) -> (&'static str, Value) {
        match self {
            Self::Registered(address) => ("registered", serde_json::json!({ "address": address })),
            Self::Provisioned(section) => ("provisioned", section.clone()),
        }
    }
}

impl Entry {
    /// Returns the entry as a plain value.
    pub fn value(&self) -> Value {
        let mut entry = Map::new();
        let (key, section) = self.place.section();
        entry.insert(key.into(), section);
        let ssh = self.ssh();
        if !ssh.is_empty() {
            entry.insert("ssh".into(), ssh.into_iter().collect::<Map<_, _>>().into());
        }
        entry.extend(self.application.iter().map(|section| ("application".to_owned(), section.clone())));
        entry.into()
    }

    fn ssh(&self) -> Vec<(String, Value)> {
        let text = |value: &Option<String>| value.as_ref().map(|text| serde_json::json!(text));
        let keys = (!self.host_key.is_empty()).then(|| serde_json::json!(self.host_key));
        [
            ("port", self.port.map(|port| serde_json::json!(port))),
            ("user", text(&self.user)),
            ("identity_file", text(&self.identity_file)),
            ("host_key", keys),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }

    /// Returns the entry in block style, with its name indented by `indent` spaces.
    pub fn lines(&self, name: &Name, indent: usize) -> String {
        let margin = " ".repeat(indent);
        let mut text = format!("{margin}{}:\n", key(name));
        let mut line = |depth: usize, line: &str| {
            text.extend([&margin, &*"  ".repeat(depth), line, "\n"]);
        };
        let (key, section) = self.place.section();
        line(1, &format!("{key}: {}", inline(&section)));
        for remark in &self.remarks {
            line(1, &format!("# {remark}"));
        }
        let ssh = self.ssh();
        if !ssh.is_empty() {
            line(1, "ssh:");
        }
        for (key, value) in &ssh {
            line(2, &format!("{key}: {}", inline(value)));
        }
        if let Some(section) = &self.application {
            line(1, "application:");
            // The application, and each of its settings, on a separate line.
            for (key, settings) in section.as_object().into_iter().flatten() {
                line(2, &format!("{key}:"));
                for (key, value) in settings.as_object().into_iter().flatten() {
                    line(3, &format!("{key}: {}", inline(value)));
                }
            }
        }
        text
    }
}

/// Returns a value in flow style on one line.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", scalar(key), inline(value));
            format!("{{ {} }}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns an environment's name as a key, quoted if YAML would read the name as true, false or null.
pub fn key(name: &Name) -> String {
    scalar(name.as_str())
}

/// Returns text as a scalar: bare if that is safe in block and flow style, else quoted as JSON.
pub fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/@-".contains(&b) || b == b'~');
    let first =
        text.starts_with(|c: char| c.is_ascii_alphabetic()) || text.starts_with(['/', '.']) && text.contains('/');
    let home = text.starts_with("~/");
    let ipv4 = text.parse::<std::net::Ipv4Addr>().is_ok();
    if allowed && (first || home || ipv4) && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    json(&Value::from(text))
}

/// Returns a value as JSON that is also YAML: characters that YAML calls unprintable are escaped (YAML 1.2, section
/// 5.1).
pub fn json(value: &Value) -> String {
    let printable =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let escaped = |c: char| if printable(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    value.to_string().chars().map(escaped).collect()
}
