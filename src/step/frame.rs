//! Framing of a probe's output, so that one broken fragment cannot be taken for another's answer.
//! Never interprets what is inside a frame.

use std::collections::BTreeMap;

const MARK: &str = "@@deployer";

/// A fragment, which may be empty, in its own subshell, between its marks. Its errors do not end the script.
#[must_use]
pub fn wrap(name: &str, fragment: &str) -> String {
    format!("printf '{MARK} begin {name}\\n'\n(\n:\n{fragment}\n) 2>/dev/null\nprintf '\\n{MARK} end {name}\\n'\n")
}

/// The frames of an output by name; a frame without its end is left out.
#[must_use]
pub fn split(output: &[u8]) -> BTreeMap<&str, &[u8]> {
    let mut frames = BTreeMap::new();
    let mut rest = output;
    while let Some((name, after)) = header(rest) {
        let end = format!("\n{MARK} end {name}\n");
        let Some(length) = find(after, end.as_bytes()) else { break };
        frames.insert(name, &after[..length]);
        rest = &after[length + end.len()..];
    }
    frames
}

fn header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let begin = format!("{MARK} begin ");
    let after = &bytes[find(bytes, begin.as_bytes())? + begin.len()..];
    let length = after.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&after[..length]).ok()?, &after[length + 1..]))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_noise_and_a_missing_end() {
        let output =
            b"banner\n@@deployer begin access\nos debian\n\n@@deployer end access\nnoise\n@@deployer begin engine\ncut";
        let frames = split(output);
        assert_eq!(frames.get("access"), Some(&&b"os debian\n"[..]));
        assert!(!frames.contains_key("engine"));
    }
}
