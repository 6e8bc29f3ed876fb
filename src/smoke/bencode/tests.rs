//! Round trips, and invalid input.

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
fn refuses_other_text() {
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
            for value in values {
                encode(value, out);
            }
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
    fn encoded_values_are_read_back_and_their_beginnings_are_refused(value in values()) {
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
