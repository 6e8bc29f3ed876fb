//! Other encodings of a text: escaped for JSON, shells, YAML and HTML, percent-encoded, hexadecimal and base64. Pure.

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Minimum length of a value for which parts of its base64 and its hexadecimal form are searched. Shorter values are
/// searched as a whole only in base64, because their parts are too short to distinguish from other text.
const SHORTEST: usize = 8;

/// Characters besides letters and digits that URL encoders leave unchanged, and whether a space becomes `+`.
///
/// In this order: RFC 3986 and Go's queries; Rust's `NON_ALPHANUMERIC`; JavaScript's `encodeURIComponent` and
/// `encodeURI`; Python's `quote`; Go's paths and user names; WHATWG's user names, paths and queries; forms of browsers
/// and of Python.
const PERCENT: [(&str, bool); 12] = [
    ("-._~", false),
    ("", false),
    ("-._~!'()*", false),
    ("-._~!'()*;,/?:@&=+$#", false),
    ("-._~/", false),
    ("-._~$&+=:@", false),
    ("-._~$&+,;=", false),
    ("-._~!$%&'()*+,", false),
    ("-._~!$%&'()*+,;=:@/[]|\\^", false),
    ("-._~!$%&()*+,;=:@/[]|\\^?`{}", false),
    ("-._*", true),
    ("-._~", true),
];

/// Returns every other form of a text.
pub(super) fn of(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let json = json(text);
    forms.extend(json.iter().flat_map(|form| [dollars(form), json_of(form)]));
    forms.extend(json);
    for (kept, plus) in PERCENT {
        for upper in [true, false] {
            let form = percent(text, kept, plus, upper);
            forms.insert(percent(&form, PERCENT[0].0, false, upper));
            forms.insert(form);
        }
    }
    let quoted = quoted(text);
    forms.extend(html(text));
    for form in [text].into_iter().chain(quoted.iter().map(String::as_str)).chain([json_of(text).as_str()]) {
        let encoded = base64(form);
        forms.extend(encoded.iter().flat_map(|form| [percent(form, "-._~", false, true), form.replace('/', "\\/")]));
        forms.extend(encoded);
    }
    forms.extend(quoted);
    if text.len() >= SHORTEST {
        forms.extend([HEXLOWER.encode(text.as_bytes()), HEXUPPER.encode(text.as_bytes())]);
    }
    forms.remove(text);
    forms
}

/// Returns the text as `serde_json` writes it, without the quotes.
fn json_of(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns the forms of JSON writers: all escape what JSON requires, some also `/`, HTML's special characters, or all
/// non-ASCII characters.
fn json(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for (escaped, ascii) in ["", "/", "<>&", "<>&'", "/<>&'\""].iter().flat_map(|it| [(it, false), (it, true)]) {
        for upper in [false, true] {
            let form = json_of(text).chars().fold(String::new(), |mut out, c| {
                match c {
                    '/' if escaped.contains(c) => out.push_str("\\/"),
                    _ if escaped.contains(c) && c != '"' || ascii && !c.is_ascii() => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            let _ = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                        }
                    }
                    _ => out.push(c),
                }
                out
            });
            forms.extend(escaped.contains('"').then(|| form.replace("\\\"", "\\u0022")));
            forms.insert(form);
        }
    }
    forms
}

/// Doubles each `$`, as Compose does for text that it must not interpolate.
fn dollars(text: &str) -> String {
    text.replace('$', "$$")
}

/// Returns the forms of shells, YAML, SQL, Compose's `.env` and debuggers, without the enclosing quotes.
fn quoted(text: &str) -> BTreeSet<String> {
    let before = |escaped: &dyn Fn(char) -> bool, mark: char| {
        text.chars().fold(String::new(), |mut out, c| {
            out.extend(escaped(c).then_some(mark));
            out.push(c);
            out
        })
    };
    let debug = format!("{text:?}");
    BTreeSet::from([
        text.replace('\'', r"'\''"),
        text.replace('\'', "'\"'\"'"),
        text.replace('\'', "''"),
        text.replace('"', "\"\""),
        dollars(text),
        before(&|c| "\"\\".contains(c), '\\'),
        before(&|c| "\"\\$".contains(c), '\\'),
        before(&|c| "\"\\$`".contains(c), '\\'),
        before(&|c| "'\\".contains(c), '\\'),
        before(&|c| !(c.is_alphanumeric() || "_@%+=:,./-".contains(c)), '\\'),
        before(&|c| "\"\\$".contains(c), '\\').replace('\n', "\\n").replace('\r', "\\r"),
        debug[1..debug.len() - 1].to_owned(),
    ])
}

fn percent(text: &str, kept: &str, plus: bool, upper: bool) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 3), |mut out, byte| {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || byte.is_ascii() && kept.contains(c) {
            out.push(c);
        } else if plus && c == ' ' {
            out.push('+');
        } else {
            let _ = if upper { write!(out, "%{byte:02X}") } else { write!(out, "%{byte:02x}") };
        }
        out
    })
}

fn html(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for double in ["\"", "&quot;", "&#34;"] {
        for single in ["'", "&#39;", "&#x27;", "&#039;", "&apos;"] {
            forms.insert(text.replace('"', double).replace('\'', single));
        }
    }
    forms
}

/// Returns the base64 form of the whole text, and the base64 characters that depend on the text alone if other bytes
/// precede and follow the text.
fn base64(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for encoding in [BASE64, BASE64URL] {
        for before in 0..3 {
            let bytes: Vec<u8> = [&[0; 2][..before], text.as_bytes()].concat();
            let whole = encoding.encode(&bytes);
            // A base64 character encodes six bits. Characters that share bits with a preceding or following byte depend
            // on that byte, too.
            let (start, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            let last = whole.trim_end_matches('=');
            if text.len() >= SHORTEST {
                forms.extend([&whole[start..end], &last[start..], &whole[start..]].map(str::to_owned));
            } else if before == 0 {
                forms.insert(whole);
            }
        }
    }
    forms
}
