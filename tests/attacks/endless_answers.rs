//! Replays a service that answers without end, and another account of this machine that sends a state without end. Each
//! is one failed check or one refused request. Honest answers are read as before.

use deployer::manifest::environment::{Check, CheckProbe, Vantage};
use deployer::model::failure::Reason;
use deployer::model::verdict::Judgement;
use deployer::reconcile::session::checks;
use deployer::resource::compose::check;
use deployer::smoke::{self, Probe, Site};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(30);

/// Serves HTTP answers with this body, which is repeated without end if `floods`.
async fn server(head: &'static str, body: &'static [u8], floods: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // Reads the whole request: unread data at the close of the stream would cut the answer off.
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {}
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(body).await.is_ok() && floods {}
                let _ = stream.shutdown().await;
            });
        }
    });
    at
}

const OK: &str = "HTTP/1.0 200 OK\r\nServer: flood\r\n\r\n";
const FLOOD: &[u8] = &[b'x'; 64 * 1024];

fn page(port: u16, contains: &str, from: Vantage) -> Check {
    let probe = CheckProbe::Http {
        port,
        path: "/".to_owned(),
        status: 200,
        contains: (!contains.is_empty()).then(|| contains.to_owned()),
        tls: false,
        host: None,
    };
    Check { name: "page".to_owned(), from, probe, gate: true }
}

#[tokio::test]
async fn a_check_from_this_machine_reads_no_more_than_it_must() {
    let (flood, honest) = (server(OK, FLOOD, true).await, server(OK, b"hello there", false).await);
    let begun = Instant::now();
    let found = checks::from_runner(&[page(flood.port(), "hello", Vantage::Runner)], "127.0.0.1").await;
    assert_eq!(found[0].1, "the response is larger than 4 MiB");
    // A check of the status needs no body.
    let found = checks::from_runner(&[page(flood.port(), "", Vantage::Runner)], "127.0.0.1").await;
    assert_eq!(found[0].1, check::PASSES);
    for (text, wanted) in [("hello", check::PASSES), ("goodbye", "the response does not contain the text")] {
        let found = checks::from_runner(&[page(honest.port(), text, Vantage::Runner)], "127.0.0.1").await;
        assert_eq!(found[0].1, wanted);
    }
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn a_check_on_the_host_holds_no_endless_answer() {
    let (flood, honest) = (server(OK, FLOOD, true).await, server(OK, b"hello there", false).await);
    let silent = server("HTTP/1.0 ", b"", false).await;
    let spaceless = server("", FLOOD, true).await;
    let cases = [
        (honest, "hello", check::PASSES),
        (honest, "", check::PASSES),
        (honest, "goodbye", "the response does not contain the text"),
        (honest, "flood", "the response does not contain the text"),
        (flood, "hello", "the response does not contain the text"),
        (flood, "", check::PASSES),
        (silent, "", "no answer"),
        (spaceless, "", "no answer"),
    ];
    // With curl, and on a host without curl. `ulimit` simulates the memory of a small host.
    for without in ["", "command() { [ \"$2\" != curl ]; }\n"] {
        for (server, text, wanted) in cases {
            // The check without curl searches headers and body alike.
            let wanted = if !without.is_empty() && text == "flood" { check::PASSES } else { wanted };
            let begun = Instant::now();
            let probe = check::probe(&[page(server.port(), text, Vantage::Host)]);
            let script = format!("set -eu\nulimit -v 300000\n{without}{probe}");
            let argv = ["sh".to_owned(), "-c".to_owned(), script];
            let finished = deployer::io::process::run(&argv, b"", SOON).await.unwrap();
            let said = String::from_utf8(finished.stdout).unwrap();
            let found = said.lines().find_map(|line| check::parse(line.strip_prefix("check ")?));
            let found = found.map(|(found, _)| found).unwrap_or_default();
            assert_eq!(found, wanted, "{text:?} {without:?}: {:?}", String::from_utf8_lossy(&finished.stderr));
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_tracker_that_floods_is_one_failed_check() {
    let flood = server(OK, FLOOD, true).await;
    let deadline = Duration::from_secs(5);
    let probes = [
        Probe::HttpTracker { site: Site::plain(flood), prefix: String::new(), key: None, info_hash: None },
        Probe::Prometheus { site: Site::plain(flood), jobs: std::iter::once("a".to_owned()).collect() },
        Probe::Grafana { site: Site::plain(flood), login: None },
        Probe::Metrics { site: Site::plain(flood), path: "/m".to_owned(), token: "t".into() },
        Probe::Http { site: Site::plain(flood), path: "/".to_owned(), status: 200, contains: Some("hello".to_owned()) },
    ];
    for probe in probes {
        let check = smoke::Check { name: "it".to_owned(), vantage: deployer::model::verdict::Vantage::Outside, probe };
        let verdict = smoke::ask(&check, deadline, Duration::from_millis(50)).await;
        assert_eq!(verdict.judgement, Judgement::Failed, "{verdict:?}");
        assert!(verdict.detail.contains("larger than 4 MiB"), "{verdict:?}");
        assert!(verdict.detail.len() < 2000 && verdict.took < deadline * 2);
    }
}

#[tokio::test]
async fn a_local_program_that_floods_is_ended() {
    let argv = ["sh", "-c", "yes \"$0\" | tee /dev/stderr", "endless"].map(str::to_owned);
    let begun = Instant::now();
    let failure = deployer::io::process::run(&argv, b"", SOON * 4).await.unwrap_err();
    assert_eq!((failure.reason, failure.reason.code()), (Reason::OutputTooLarge, "output-too-large"));
    assert!(begun.elapsed() < SOON);
    let argv = ["sh", "-c", "echo honest"].map(str::to_owned);
    assert_eq!(deployer::io::process::run(&argv, b"", SOON).await.unwrap().stdout, b"honest\n");
}

/// A control for these tests: the server can be reached and does flood.
#[tokio::test]
async fn the_flood_floods() {
    let mut stream = TcpStream::connect(server(OK, FLOOD, true).await).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let (mut chunk, mut read) = (vec![0; 64 * 1024], 0);
    while read < 16 << 20 {
        read += stream.read(&mut chunk).await.unwrap();
    }
}
