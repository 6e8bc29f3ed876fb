//! The round trip over HTTP against a stand-in. The tests of the response formats are next to the code.

use crate::swarm::{Manner, Swarm, compact};
use crate::{asked, asked_for, asked_in_vain};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deployer::model::verdict::Judgement;
use deployer::smoke::{Probe, Site};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Tracker {
    manner: Manner,
    swarm: Swarm,
    asked: Arc<AtomicUsize>,
}

/// Starts a tracker that requires the key `sesame42`, and returns its address and its swarm.
async fn tracker(address: &str, manner: Manner) -> (SocketAddr, Swarm) {
    let listener = TcpListener::bind(address).await.unwrap();
    let at = listener.local_addr().unwrap();
    let tracker = Tracker { manner, swarm: Swarm::default(), asked: Arc::default() };
    let swarm = tracker.swarm.clone();
    let app = Router::new().fallback(answer).with_state(tracker);
    tokio::spawn(async move {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
    });
    (at, swarm)
}

async fn answer(
    State(tracker): State<Tracker>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let number = tracker.asked.fetch_add(1, Ordering::Relaxed);
    if tracker.manner == Manner::Silent {
        std::future::pending::<()>().await;
    }
    if tracker.manner == Manner::Starts && number < 2 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match request.uri().path() {
        "/t/health_check" => r#"{"status":"Ok"}"#.into_response(),
        "/t/announce/sesame42" => announce(&tracker, from, request.uri().query().unwrap()).into_response(),
        "/t/scrape/sesame42" => scrape(&tracker, request.uri().query().unwrap()).into_response(),
        other => (StatusCode::NOT_FOUND, format!("there is no {other}")).into_response(),
    }
}

fn announce(tracker: &Tracker, from: SocketAddr, query: &str) -> Vec<u8> {
    let words: BTreeMap<&str, &str> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let stopped = words["event"] == "stopped";
    if tracker.manner == Manner::Refuses || (tracker.manner == Manner::Clings && stopped) {
        return b"d14:failure reason21:not with sesame42, noe".to_vec();
    }
    let at = SocketAddr::new(from.ip(), words["port"].parse().unwrap());
    let (id, left) = (unescape(words["peer_id"]), words["left"].parse().unwrap());
    assert_eq!(id.len(), 20);
    let mut peers = tracker.swarm.announce(&id, at, left, stopped);
    if tracker.manner == Manner::Forgets {
        peers.clear();
    }
    let mut body = b"d8:completei1e10:incompletei1e8:intervali120e".to_vec();
    if tracker.manner == Manner::Long {
        body.extend(b"5:peersl");
        for peer in peers {
            let ip = peer.ip().to_string();
            body.extend(format!("d2:ip{}:{ip}4:porti{}ee", ip.len(), peer.port()).bytes());
        }
        body.push(b'e');
    } else {
        let (four, six) = (compact(&peers, false), compact(&peers, true));
        body.extend([format!("5:peers{}:", four.len()).as_bytes(), &four].concat());
        body.extend([format!("6:peers6{}:", six.len()).as_bytes(), &six].concat());
    }
    if tracker.manner != Manner::CutsOff {
        body.push(b'e');
    }
    body
}

fn scrape(tracker: &Tracker, query: &str) -> Vec<u8> {
    let hash = unescape(query.strip_prefix("info_hash=").unwrap());
    assert_eq!(hash.len(), 20);
    let (seeders, leechers) = if tracker.manner == Manner::Miscounts { (0, 0) } else { tracker.swarm.count() };
    let counts = format!("d8:completei{seeders}e10:downloadedi0e10:incompletei{leechers}eeee");
    [b"d5:filesd20:".as_slice(), &hash, counts.as_bytes()].concat()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            out.push(u8::from_str_radix(std::str::from_utf8(&more[..2]).unwrap(), 16).unwrap());
            rest = &more[2..];
        } else {
            out.push(*first);
            rest = more;
        }
    }
    out
}

fn probe(connect: SocketAddr) -> Probe {
    let key = Some(SecretString::from("sesame42"));
    Probe::HttpTracker { site: Site::plain(connect), prefix: "/t/".to_owned(), key, info_hash: None }
}

#[tokio::test]
async fn two_peers_find_each_other_and_leave_again() {
    for (address, said) in [("127.0.0.1:0", "over IPv4 as 127.0.0.1"), ("[::1]:0", "over IPv6 as ::1")] {
        for manner in [Manner::Good, Manner::Long, Manner::Starts] {
            let (at, swarm) = tracker(address, manner).await;
            let verdict = asked(probe(at)).await;
            assert_eq!(verdict.judgement, Judgement::Passed, "{manner:?} {verdict:?}");
            assert_eq!(verdict.detail, format!("seen {said}, 1 seeder, 1 leecher"));
            assert!(swarm.is_empty(), "nothing is left");
        }
    }
}

#[tokio::test]
async fn a_silent_tracker_fails_at_the_deadline() {
    let (at, _) = tracker("127.0.0.1:0", Manner::Silent).await;
    let verdict = asked_for(Duration::from_secs(1), probe(at)).await;
    assert_eq!((verdict.judgement, verdict.detail.as_str()), (Judgement::Failed, "health: no response in time"));
    let free = TcpListener::bind("127.0.0.77:0").await.unwrap().local_addr().unwrap();
    let verdict = asked_in_vain(probe(free)).await;
    assert!(verdict.detail.contains("refused"), "{verdict:?}");
}

#[tokio::test]
async fn faults_are_named_at_once_and_without_the_key() {
    let wrong = [
        (Manner::Forgets, "the second peer must receive the first peer, on port 2"),
        (Manner::Miscounts, "the scrape must count 1 seeder and 1 leecher, but counts 0 and 0"),
        (Manner::Refuses, "the tracker refuses the announce: not with ***, no"),
        (Manner::CutsOff, "announce: the answer is not bencoded at byte"),
    ];
    for (manner, words) in wrong {
        let (at, swarm) = tracker("127.0.0.1:0", manner).await;
        let verdict = asked(probe(at)).await;
        assert_eq!(verdict.judgement, Judgement::Failed, "{manner:?}");
        assert!(verdict.detail.starts_with(words), "{manner:?}: {}", verdict.detail);
        assert!(verdict.took < Duration::from_secs(10), "asking again would not help: {verdict:?}");
        assert!(swarm.is_empty(), "{manner:?} is left clean");
    }
    let (at, _) = tracker("127.0.0.1:0", Manner::Good).await;
    let key = Some(SecretString::from("another-key"));
    let probe = Probe::HttpTracker { site: Site::plain(at), prefix: "/t".to_owned(), key, info_hash: None };
    let verdict = asked(probe).await;
    assert_eq!(verdict.detail, "announce: status 404 instead of 200: there is no /t/announce/***");
}

#[tokio::test]
async fn peers_that_cannot_leave_are_a_warning() {
    let (at, _) = tracker("127.0.0.1:0", Manner::Clings).await;
    let verdict = asked(probe(at)).await;
    assert_eq!(verdict.judgement, Judgement::Warned, "{verdict:?}");
    assert!(verdict.detail.contains("the peers of this test remain for a while"), "{verdict:?}");
}
