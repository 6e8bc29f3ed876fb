//! Bencoding (BEP 3), read only: what HTTP trackers answer in. Never trusts a length or a depth it reads.
//!
//! The crates for it are not kept up: `bendy` and `serde_bencode` had no release for years.

use std::collections::BTreeMap;

/// Dictionaries and lists may stand in one another this deep; an answer of a tracker needs four.
const DEEPEST: usize = 16;

/// One value; texts are bytes of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `i…e`.
    Integer(i64),
    /// `LENGTH:…`.
    Bytes(&'a [u8]),
    /// `l…e`.
    List(Vec<Value<'a>>),
    /// `d…e`; keys in any order, since some trackers do not sort them.
    Dictionary(BTreeMap<&'a [u8], Value<'a>>),
}

/// It is not bencoded; with the byte where that shows, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub usize);

impl<'a> Value<'a> {
    /// A dictionary's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        if let Self::Dictionary(entries) = self { entries.get(key.as_bytes()) } else { None }
    }

    /// The bytes of a text.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }
}

/// Reads one value, which must be all there is.
///
/// # Errors
/// Where it is cut off, followed by something, too deep, or no bencoding at all.
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

    /// Whether a list or dictionary ends here.
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

/// Each number has one way to be written: no sign but a minus, no leading zeros, no minus zero.
fn canonical(digits: &str) -> bool {
    let plain = digits.strip_prefix('-').unwrap_or(digits);
    plain.bytes().all(|byte| byte.is_ascii_digit()) && (!plain.starts_with('0') || digits == "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_an_answer() {
        let value = parse(b"d8:completei1e5:peers6:\x7f\x00\x00\x01\x1a\xe15:ratiol1:ai-7eee").unwrap();
        assert_eq!(value.get("complete").and_then(Value::integer), Some(1));
        assert_eq!(value.get("peers").and_then(Value::bytes), Some(b"\x7f\x00\x00\x01\x1a\xe1".as_slice()));
        assert_eq!(value.get("ratio"), Some(&Value::List(vec![Value::Bytes(b"a"), Value::Integer(-7)])));
    }

    #[test]
    fn refuses_what_is_none() {
        let deep = [b"l".repeat(100_000), b"e".repeat(100_000)].concat();
        let bad: [&[u8]; 14] = [
            b"",
            b"i1",
            b"i01e",
            b"i-0e",
            b"i+1e",
            b"ie",
            b"i9223372036854775808e",
            b"5:abc",
            b"-1:a",
            b"99999999999999999999:a",
            b"d1:ai1e1:ai2ee",
            b"di1ei2ee",
            b"i1ei2e",
            &deep,
        ];
        for bytes in bad {
            assert!(parse(bytes).is_err(), "{:?}", &bytes[..bytes.len().min(30)]);
        }
    }

    fn encode(value: &Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Integer(number) => out.extend(format!("i{number}e").bytes()),
            Value::Bytes(bytes) => {
                out.extend(format!("{}:", bytes.len()).bytes());
                out.extend_from_slice(bytes);
            }
            Value::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| encode(value, out));
                out.push(b'e');
            }
            Value::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode(&Value::Bytes(key), out);
                    encode(value, out);
                }
                out.push(b'e');
            }
        }
    }

    fn values() -> impl Strategy<Value = Value<'static>> {
        let word = prop::sample::select(vec![b"".as_slice(), b"a", b"peers", b"\xff\x00", b"i1e"]);
        let leaf = prop_oneof![any::<i64>().prop_map(Value::Integer), word.clone().prop_map(Value::Bytes)];
        leaf.prop_recursive(4, 20, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map(word.clone(), inner, 0..4).prop_map(Value::Dictionary),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_its_beginnings_are_refused(value in values()) {
            let mut bytes = Vec::new();
            encode(&value, &mut bytes);
            prop_assert_eq!(parse(&bytes).unwrap(), value);
            for end in 0..bytes.len() {
                prop_assert!(parse(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(prop::sample::select(b"ilde0123456789:-a\xff".to_vec()), 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
