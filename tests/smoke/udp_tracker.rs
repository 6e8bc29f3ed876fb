//! The round trip over UDP against a stand-in. The tests of the packets' layout are next to the code.

use crate::swarm::{Manner, Swarm, compact};
use crate::{asked, asked_for, asked_in_vain};
use deployer::model::verdict::Judgement;
use deployer::smoke::Probe;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;

const CONNECTION: u64 = 0x1122_3344_5566_7788;

/// Starts a tracker, and returns its address, its swarm, and the paths that it received (BEP 41).
async fn tracker(address: &str, manner: Manner) -> (SocketAddr, Swarm, Arc<Mutex<Vec<u8>>>) {
    let socket = UdpSocket::bind(address).await.unwrap();
    let at = socket.local_addr().unwrap();
    let (swarm, paths) = (Swarm::default(), Arc::<Mutex<Vec<u8>>>::default());
    let (own, said) = (swarm.clone(), Arc::clone(&paths));
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        for number in 0.. {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            if manner == Manner::Silent || (manner == Manner::Lossy && number < 3) {
                continue;
            }
            let packet = &buffer[..length];
            said.lock().unwrap().extend_from_slice(packet.get(98..).unwrap_or_default());
            let mut answer = answer(manner, &own, packet, from);
            if manner == Manner::Babbles {
                let mut other = answer.clone();
                other[4] ^= 1;
                socket.send_to(&other, from).await.unwrap();
                socket.send_to(b"hello", from).await.unwrap();
            }
            if manner == Manner::CutsOff && packet[11] == 1 {
                answer.truncate(13);
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (at, swarm, paths)
}

fn answer(manner: Manner, swarm: &Swarm, packet: &[u8], from: SocketAddr) -> Vec<u8> {
    let (action, transaction) = (packet[11], &packet[12..16]);
    let head = |action: u32| [&action.to_be_bytes()[..], transaction].concat();
    if action != 0 {
        assert_eq!(packet[..8], CONNECTION.to_be_bytes());
    }
    match action {
        0 => [head(0), CONNECTION.to_be_bytes().to_vec()].concat(),
        1 => {
            let left = u64::from_be_bytes(packet[64..72].try_into().unwrap());
            let stopped = packet[83] == 3;
            if manner == Manner::Refuses || (manner == Manner::Clings && stopped) {
                let key = String::from_utf8_lossy(packet.get(100..).unwrap_or_default()).into_owned();
                return [head(3), format!("not with {key}\nat all").into_bytes()].concat();
            }
            let port = u16::from_be_bytes(packet[96..98].try_into().unwrap());
            let peers = swarm.announce(&packet[36..56], SocketAddr::new(from.ip(), port), left, stopped);
            let peers = match (manner, from) {
                (Manner::Forgets, _) => Vec::new(),
                (Manner::Maps, SocketAddr::V4(_)) => {
                    let mapped = |peer: &SocketAddr| {
                        let SocketAddr::V4(v4) = peer else { panic!("{peer}") };
                        [&v4.ip().to_ipv6_mapped().octets()[..], &v4.port().to_be_bytes()].concat()
                    };
                    peers.iter().flat_map(mapped).collect()
                }
                _ => compact(&peers, from.is_ipv6()),
            };
            [head(1), vec![0; 12], peers].concat()
        }
        _ => {
            let (seeders, leechers) = if manner == Manner::Miscounts { (0, 0) } else { swarm.count() };
            [head(2), seeders.to_be_bytes().to_vec(), vec![0; 4], leechers.to_be_bytes().to_vec()].concat()
        }
    }
}

fn probe(address: SocketAddr) -> Probe {
    Probe::UdpTracker { address, key: None, info_hash: None }
}

#[tokio::test]
async fn two_peers_find_each_other_and_leave_again() {
    for (address, said) in [("127.0.0.1:0", "over IPv4 as 127.0.0.1"), ("[::1]:0", "over IPv6 as ::1")] {
        for manner in [Manner::Good, Manner::Babbles] {
            let (at, swarm, paths) = tracker(address, manner).await;
            let verdict = asked(probe(at)).await;
            assert_eq!(verdict.judgement, Judgement::Passed, "{verdict:?}");
            assert_eq!(verdict.detail, format!("seen {said}, 1 seeder, 1 leecher"));
            assert!(swarm.is_empty(), "nothing is left");
            assert!(paths.lock().unwrap().is_empty(), "nothing but BEP 15 without a key");
        }
    }
}

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let (at, swarm, _) = tracker("127.0.0.1:0", Manner::Lossy).await;
    let verdict = asked_for(Duration::from_secs(6), probe(at)).await;
    assert_eq!(verdict.judgement, Judgement::Passed, "{verdict:?}");
    assert!(swarm.is_empty());
}

#[tokio::test]
async fn a_silent_tracker_fails_at_the_deadline() {
    let (at, _, _) = tracker("[::1]:0", Manner::Silent).await;
    let verdict = asked_for(Duration::from_secs(1), probe(at)).await;
    assert_eq!(verdict.judgement, Judgement::Failed);
    assert_eq!(verdict.detail, format!("no answer to connect from {at}"));
    assert!(verdict.took >= Duration::from_millis(900), "{verdict:?}");
}

#[tokio::test]
async fn a_port_without_a_listener_differs_from_silence() {
    // A free port of an address that no other test uses.
    let free = UdpSocket::bind("127.0.0.77:0").await.unwrap().local_addr().unwrap();
    let verdict = asked_in_vain(probe(free)).await;
    assert_eq!(verdict.detail, "nothing listens there (port unreachable)");
}

#[tokio::test]
async fn faults_are_named_at_once() {
    let wrong = [
        (Manner::Forgets, "the second peer must receive the first peer, on port 2"),
        (Manner::Miscounts, "the scrape must count 1 seeder and 1 leecher, but counts 0 and 0"),
        (Manner::Refuses, "the tracker refuses the announce: not with at all"),
        (Manner::Maps, "the answer to the announce has IPv6 addresses (::ffff:…) in answer to IPv4"),
        (Manner::CutsOff, "the answer to announce is cut off"),
    ];
    for (manner, words) in wrong {
        let (at, swarm, _) = tracker("127.0.0.1:0", manner).await;
        let verdict = asked(probe(at)).await;
        assert_eq!(verdict.judgement, Judgement::Failed, "{manner:?}");
        assert!(verdict.detail.starts_with(words), "{manner:?}: {}", verdict.detail);
        assert!(verdict.took < Duration::from_secs(10), "asking again would not help: {verdict:?}");
        assert!(manner == Manner::CutsOff || swarm.is_empty(), "{manner:?} is left clean");
    }
}

#[tokio::test]
async fn peers_that_cannot_leave_are_a_warning() {
    let (at, _, _) = tracker("127.0.0.1:0", Manner::Clings).await;
    let verdict = asked(probe(at)).await;
    assert_eq!(verdict.judgement, Judgement::Warned, "{verdict:?}");
    assert!(verdict.detail.contains("the peers of this test remain for a while"), "{verdict:?}");
}

#[tokio::test]
async fn a_key_goes_into_the_path_and_never_into_a_verdict() {
    let keyed = |address| Probe::UdpTracker { address, key: Some(SecretString::from("sesame42")), info_hash: None };
    let (at, _, paths) = tracker("127.0.0.1:0", Manner::Good).await;
    assert_eq!(asked(keyed(at)).await.judgement, Judgement::Passed);
    assert!(paths.lock().unwrap().starts_with(b"\x02\x12/announce/sesame42"));
    let (at, _, _) = tracker("127.0.0.1:0", Manner::Refuses).await;
    let verdict = asked(keyed(at)).await;
    assert_eq!(verdict.judgement, Judgement::Warned, "Torrust refuses while it is private");
    assert!(verdict.detail.ends_with("not with /announce/*** at all"), "{verdict:?}");
}
