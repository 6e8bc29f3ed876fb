//! Packets compared byte for byte, and hostile packets.

use super::*;
use proptest::prelude::*;

const PEER: Peer = Peer { id: *b"-DY0100-abcdefghijkl", port: 20_001 };

fn packet(action: u32, transaction: u32, body: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes()[..], &transaction.to_be_bytes(), body].concat()
}

#[test]
fn requests_are_as_the_bep_lays_them_out() {
    assert_eq!(connect(7), [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(scrape(1, 2, &[9; 20])[..16], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2]);
    assert_eq!(scrape(1, 2, &[9; 20]).len(), 36);
    let plain = announce(1, 2, &[9; 20], &PEER, Standing::Leeches, "");
    assert_eq!(plain.len(), 98);
    assert_eq!(plain[64..72], 1_u64.to_be_bytes(), "left");
    assert_eq!(plain[80..84], 2_u32.to_be_bytes(), "started");
    assert_eq!(plain[96..98], 20_001_u16.to_be_bytes(), "port");
    assert_eq!(announce(1, 2, &[9; 20], &PEER, Standing::Stops, "")[80..84], 3_u32.to_be_bytes(), "stopped");
}

#[test]
fn a_path_goes_into_options() {
    let keyed = announce(1, 2, &[9; 20], &PEER, Standing::Seeds, "/announce/k");
    assert_eq!(keyed[98..], *b"\x02\x0b/announce/k");
    let long = announce(1, 2, &[9; 20], &PEER, Standing::Seeds, &"x".repeat(300));
    assert_eq!((long[98], long[99], long[355], long[356]), (2, 255, 2, 45));
}

#[test]
fn answers_are_read() {
    assert_eq!(answer(&packet(0, 7, &5_u64.to_be_bytes()), Action::Connect, 7), Some(Answer::Connected(5)));
    let body = [[0, 0, 0, 1], [0, 0, 0, 9], [0, 0, 0, 2]].concat();
    assert_eq!(
        answer(&packet(2, 7, &body), Action::Scrape, 7),
        Some(Answer::Scraped(Count { seeders: 1, leechers: 2 }))
    );
    let body = [&[0; 12][..], &[10, 0, 0, 1, 0x1a, 0xe1]].concat();
    let Some(Answer::Announced(bytes)) = answer(&packet(1, 7, &body), Action::Announce, 7) else { panic!("none") };
    assert_eq!(peers(&bytes, false), Ok(vec!["10.0.0.1:6881".parse().unwrap()]));
    assert_eq!(answer(&packet(3, 7, b"no\0"), Action::Announce, 7), Some(Answer::Refused("no".to_owned())));
}

#[test]
fn foreign_packets_are_ignored_and_malformed_ones_are_named() {
    assert_eq!(answer(&packet(0, 8, &[0; 8]), Action::Connect, 7), None);
    assert_eq!(answer(b"\0\0\0\0\0\0\0", Action::Connect, 7), None);
    assert_eq!(answer(&packet(0, 7, &[0; 7]), Action::Connect, 7), Some(Answer::Malformed("is cut off")));
    assert_eq!(answer(&packet(1, 7, &[0; 11]), Action::Announce, 7), Some(Answer::Malformed("is cut off")));
    let other = Some(Answer::Malformed("is of another kind than the request"));
    assert_eq!(answer(&packet(1, 7, &[0; 12]), Action::Scrape, 7), other);
    assert_eq!(peers(&[0; 7], false), Err("has peers of a wrong length"));
    assert_eq!(peers(&[0; 6], true), Err("has peers of a wrong length"));
}

#[test]
fn addresses_of_the_wrong_family_are_told_from_missing_peers() {
    let mapped = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 1, 0x1a, 0xe1]].concat();
    assert!(peers(&mapped, false).unwrap_err().contains("misread"));
    assert_eq!(peers(&mapped, true), Ok(vec!["[::ffff:10.0.0.1]:6881".parse().unwrap()]));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_others_are_ignored(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        transaction in any::<u32>(),
        action in prop::sample::select(vec![Action::Connect, Action::Announce, Action::Scrape]),
        over_ipv6 in any::<bool>(),
    ) {
        let read = answer(&bytes, action, transaction);
        prop_assert_eq!(read.is_some(), bytes.len() >= 8 && bytes[4..8] == transaction.to_be_bytes());
        let _ = peers(&bytes, over_ipv6);
    }

    #[test]
    fn a_cut_off_answer_is_never_a_whole_one(end in 8_usize..20) {
        let whole = packet(1, 7, &[0; 12]);
        prop_assert_eq!(answer(&whole[..end], Action::Announce, 7), Some(Answer::Malformed("is cut off")));
    }
}
