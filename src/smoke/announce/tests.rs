//! Valid, invalid and hostile responses of trackers.

use super::*;
use proptest::prelude::*;

const HASH: InfoHash = *b"\x00%&/aaaaaaaaaaaaaaaa";

fn addresses(answer: &Announced) -> Vec<String> {
    answer.peers.iter().map(ToString::to_string).collect()
}

#[test]
fn a_query_is_escaped() {
    let peer = Peer { id: *b"-DY0100-abcdefghijk\xff", port: 20_001 };
    assert_eq!(
        query(&HASH, &peer, Standing::Leeches),
        "info_hash=%00%25%26%2Faaaaaaaaaaaaaaaa&peer_id=-DY0100-abcdefghijk%FF&port=20001&uploaded=0&downloaded=0\
         &left=1&event=started&compact=1&numwant=50"
    );
}

#[test]
fn every_form_of_peers_is_read() {
    let compact = b"d8:intervali120e5:peers6:\x0a\x00\x00\x01\x1a\xe16:peers60:e";
    assert_eq!(addresses(&announced(compact).unwrap()), ["10.0.0.1:6881"]);
    let six =
        [b"d8:intervali120e6:peers618:\x20\x01\x0d\xb8".as_slice(), b"\0\0\0\0\0\0\0\0\0\0\0\x02\x1a\xe1e"].concat();
    assert_eq!(addresses(&announced(&six).unwrap()), ["[2001:db8::2]:6881"]);
    let long = b"d8:intervali120e5:peersld2:ip11:2001:db8::27:peer id1:x4:porti6881eeee";
    assert_eq!(addresses(&announced(long).unwrap()), ["[2001:db8::2]:6881"]);
}

#[test]
fn a_refusal_has_the_trackers_words() {
    assert_eq!(announced(b"d14:failure reason9:not todaye"), Err(Refusal::Refused("not today".to_owned())));
    assert_eq!(scraped(b"d14:failure reason2:noe", &HASH), Err(Refusal::Refused("no".to_owned())));
}

#[test]
fn a_wrong_answer_is_named() {
    let wrong: [(&[u8], &str); 7] = [
        (b"<html>", "is not bencoded"),
        (b"de", "no interval"),
        (b"d8:intervali-1e5:peers0:e", "no interval"),
        (b"d8:intervali1ee", "no peers"),
        (b"d8:intervali1e5:peers5:abcdee", "wrong length"),
        (b"d8:intervali1e5:peersi1ee", "neither"),
        (b"d8:intervali1e5:peersld2:ip1:x4:porti1eeee", "without ip"),
    ];
    for (body, words) in wrong {
        let Err(Refusal::Malformed(said)) = announced(body) else { panic!("{body:?} is accepted") };
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_scrape_counts() {
    let body = [b"d5:filesd20:".as_slice(), &HASH, b"d8:completei1e10:downloadedi0e10:incompletei2eeee"].concat();
    assert_eq!(scraped(&body, &HASH), Ok(Count { seeders: 1, leechers: 2 }));
    assert_eq!(scraped(b"d5:filesdee", &HASH), Ok(Count { seeders: 0, leechers: 0 }));
    assert!(scraped(b"de", &HASH).is_err());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), width in 0_usize..20) {
        let _ = (announced(&bytes), scraped(&bytes, &HASH), compact(&bytes, width));
    }

    #[test]
    fn compact_peers_come_out_even_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(compact(&bytes, 4).map(|peers| peers.len() * 6), (bytes.len() % 6 == 0).then_some(bytes.len()));
        prop_assert_eq!(compact(&bytes, 16).map(|peers| peers.len() * 18), (bytes.len() % 18 == 0).then_some(bytes.len()));
    }
}
