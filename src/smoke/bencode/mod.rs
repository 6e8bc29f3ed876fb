//! A parser of bencoding (BEP 3), the format of HTTP trackers' responses. Checks every length and depth.
//!
//! Written here because the crates for it, `bendy` and `serde_bencode`, had no release for years.

use std::collections::BTreeMap;

/// Maximum nesting of dictionaries and lists. A tracker's response needs four levels.
const DEEPEST: usize = 16;

/// A bencoded value. Texts are slices of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `i…e`.
    Integer(i64),
    /// `LENGTH:…`.
    Bytes(&'a [u8]),
    /// `l…e`.
    List(Vec<Value<'a>>),
    /// `d…e`. Keys may be in any order, because some trackers do not sort them.
    Dictionary(BTreeMap<&'a [u8], Value<'a>>),
}

/// The error of input that is not valid bencoding. Holds the index of the wrong byte, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub usize);

impl<'a> Value<'a> {
    /// Returns a dictionary's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        if let Self::Dictionary(entries) = self { entries.get(key.as_bytes()) } else { None }
    }

    /// Returns the bytes of a text.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }
}

/// Parses a value, which must be the whole input.
///
/// # Errors
/// If the input is truncated, has trailing bytes, is nested too deeply or is not bencoding.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at == bytes.len() { Ok(value) } else { Err(Malformed(reader.at)) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn bad<T>(&self) -> Result<T, Malformed> {
        Err(Malformed(self.at))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        if depth > DEEPEST {
            return self.bad();
        }
        match self.bytes.get(self.at) {
            Some(b'i') => {
                self.at += 1;
                self.integer(b'e').map(Value::Integer)
            }
            Some(b'l') => {
                self.at += 1;
                let mut values = Vec::new();
                while !self.ended() {
                    values.push(self.value(depth + 1)?);
                }
                Ok(Value::List(values))
            }
            Some(b'd') => {
                self.at += 1;
                let mut entries = BTreeMap::new();
                while !self.ended() {
                    let key = self.text()?;
                    if entries.insert(key, self.value(depth + 1)?).is_some() {
                        return self.bad();
                    }
                }
                Ok(Value::Dictionary(entries))
            }
            Some(b'0'..=b'9') => self.text().map(Value::Bytes),
            _ => self.bad(),
        }
    }

    /// Returns true at the end of a list or dictionary, and skips the end mark.
    fn ended(&mut self) -> bool {
        let ended = self.bytes.get(self.at) == Some(&b'e');
        self.at += usize::from(ended);
        ended
    }

    fn integer(&mut self, end: u8) -> Result<i64, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().take(21).position(|byte| *byte == end) else { return self.bad() };
        let digits = std::str::from_utf8(&rest[..length]).ok().filter(|digits| canonical(digits));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { return self.bad() };
        self.at += length + 1;
        Ok(number)
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let begin = self.at;
        let length = usize::try_from(self.integer(b':')?).map_err(|_| Malformed(begin))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(Malformed(begin))?;
        let text = &self.bytes[self.at..end];
        self.at = end;
        Ok(text)
    }
}

/// Returns true for the only valid form of a number: no plus sign, no leading zeros, no minus zero.
fn canonical(digits: &str) -> bool {
    let plain = digits.strip_prefix('-').unwrap_or(digits);
    plain.bytes().all(|byte| byte.is_ascii_digit()) && (!plain.starts_with('0') || digits == "0")
}

#[cfg(test)]
mod tests;
