//! Answers of trackers and sites, and their certificates.

use super::{bytes, target};
use crate::Target;
use deployer::foreign;
use deployer::smoke::udp::{Action, Answer, peers};
use deployer::smoke::{announce, bencode, udp};

const HASH: [u8; 20] = *b"aaaaaaaaaaaaaaaaaaaa";

pub fn all() -> Vec<Target> {
    vec![
        target(
            "bencode",
            answers(),
            &["i0e", "l", "d", "e", "1:a", "d1:a", "i-1e", "99999999999999999999:"],
            |bytes| {
                let _ = bencode::parse(bytes);
            },
        ),
        target(
            "http-tracker",
            answers(),
            &["5:peers", "6:peers6", "8:intervali", "5:filesd20:", "14:failure reason", "2:ip"],
            |bytes| {
                let _ = (announce::announced(bytes), announce::scraped(bytes, &HASH));
            },
        ),
        target("udp-tracker", packets(), &["\0\0\0\u{1}", "\0\0\0\u{3}", "\0\0\0\u{7}"], |bytes| {
            for action in [Action::Connect, Action::Announce, Action::Scrape] {
                if let Some(Answer::Announced(found)) = udp::answer(bytes, action, 7) {
                    let _ = (peers(&found, false), peers(&found, true));
                }
            }
        }),
        target(
            "prometheus",
            bytes(&[PROMETHEUS]),
            &["{\"labels\":{\"job\":\"tracker_metrics\"},\"health\":\"up\"},", "?"],
            |bytes| {
                foreign::prometheus(bytes);
            },
        ),
        target("certificate", certificates(), &["\u{30}\u{82}", "\u{30}\u{80}", "\u{a0}\u{3}"], foreign::certificate),
    ]
}

const PROMETHEUS: &str = r#"{"status":"success","data":{"activeTargets":[{"labels":{"job":"tracker_metrics","instance":"tracker:1212"},"lastError":"Get \"http://tracker:1212/api?token=x\": refused","health":"down"}]}}"#;

fn answers() -> Vec<Vec<u8>> {
    bytes(&[
        "d8:intervali120e5:peers6:\x01\x02\x03\x04\x10\x106:peers618:aaaaaaaaaaaaaaaaaae",
        "d8:intervali120e5:peersld2:ip9:127.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti4000eeee",
        "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi0e10:incompletei2eeee",
        "d14:failure reason8:not heree",
    ])
}

fn packets() -> Vec<Vec<u8>> {
    let packet = |action: u32, rest: &[u8]| [&action.to_be_bytes()[..], &7_u32.to_be_bytes(), rest].concat();
    vec![packet(0, &[1; 8]), packet(1, &[2; 12 + 18]), packet(2, &[3; 12]), packet(3, b"no\0")]
}

fn certificates() -> Vec<Vec<u8>> {
    let made =
        rcgen::generate_simple_self_signed(["example.org".to_owned(), "tracker.example.org".to_owned()]).unwrap();
    vec![made.cert.der().to_vec()]
}
