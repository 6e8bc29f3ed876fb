//! Pages, Prometheus, Grafana, the tracker's metrics and names, against stand-ins with one fixed answer each.

use crate::{DEADLINE, PAUSE, asked, asked_for, asked_in_vain, check};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use deployer::model::verdict::{Judgement, Verdict};
use deployer::smoke::{Login, Probe, Site, ask_all};
use secrecy::SecretString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;

/// Starts a server that answers each path with a status and a text. For other paths, it answers 404 with the requested
/// path.
async fn server(pages: &'static [(&'static str, u16, &'static str)]) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = move |request: Request| async move {
        let asked = request.uri().to_string();
        let page = pages.iter().find(|(path, _, _)| *path == asked);
        page.map_or((StatusCode::NOT_FOUND, asked).into_response(), |(_, status, text)| {
            (StatusCode::from_u16(*status).unwrap(), *text).into_response()
        })
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    Site::plain(at)
}

fn said(verdict: &Verdict) -> (Judgement, &str) {
    (verdict.judgement, &verdict.detail)
}

#[tokio::test]
async fn pages_have_their_status_and_their_text() {
    let site = server(&[("/api/health_check", 200, r#"{"status":"Ok"}"#), ("/gone", 410, "not here")]).await;
    let page = |path: &str, status, contains: Option<&str>| Probe::Http {
        site: site.clone(),
        path: path.to_owned(),
        status,
        contains: contains.map(str::to_owned),
    };
    assert_eq!(said(&asked(page("/api/health_check", 200, Some("Ok"))).await), (Judgement::Passed, "status 200"));
    assert_eq!(said(&asked(page("/gone", 410, None)).await).0, Judgement::Passed);
    let wrong = asked(page("/gone", 200, None)).await;
    assert_eq!(said(&wrong), (Judgement::Failed, "status 410 instead of 200: not here"));
    let wrong = asked_in_vain(page("/gone", 410, Some("Ok"))).await;
    assert_eq!(said(&wrong), (Judgement::Failed, "status 410, but the response does not contain \"Ok\""));
}

#[tokio::test]
async fn prometheus_is_asked_for_its_active_targets() {
    let up = r#"{"status":"success","data":{"activeTargets":[{"labels":{"job":"tracker_stats"},"health":"up","lastError":""}]}}"#;
    let site = server(Box::leak(Box::new([("/api/v1/targets?state=active", 200, up)]))).await;
    let verdict = asked(Probe::Prometheus { site: site.clone(), jobs: ["tracker_stats".to_owned()].into() }).await;
    assert_eq!(said(&verdict), (Judgement::Passed, "1 target up: tracker_stats"));
    let probe = Probe::Prometheus { site, jobs: ["tracker_metrics".to_owned()].into() };
    let verdict = asked_in_vain(probe).await;
    assert_eq!(said(&verdict), (Judgement::Failed, "no target for tracker_metrics"));
}

#[tokio::test]
async fn grafana_is_asked_for_its_datasources_where_there_is_a_login() {
    let health = ("/api/health", 200, r#"{"database":"ok","version":"13.0.0"}"#);
    let sources = ("/api/datasources", 200, r#"[{"name":"Prometheus","uid":"abc-1"}]"#);
    let login = || Some(Login { user: "admin".to_owned(), password: SecretString::from("hush-hush") });
    let site = server(Box::leak(Box::new([health]))).await;
    assert_eq!(said(&asked(Probe::Grafana { site, login: None }).await), (Judgement::Passed, "13.0.0"));
    let well = ("/api/datasources/uid/abc-1/health", 200, r#"{"status":"OK"}"#);
    let site = server(Box::leak(Box::new([health, sources, well]))).await;
    let verdict = asked(Probe::Grafana { site, login: login() }).await;
    assert_eq!(said(&verdict), (Judgement::Passed, "13.0.0, healthy: Prometheus"));
    let ill =
        ("/api/datasources/uid/abc-1/health", 200, r#"{"status":"ERROR","message":"no prometheus for hush-hush"}"#);
    let site = server(Box::leak(Box::new([health, sources, ill]))).await;
    let verdict = asked_in_vain(Probe::Grafana { site, login: login() }).await;
    assert_eq!(verdict.detail, "the datasource Prometheus is not healthy: no prometheus for ***");
    let site = server(Box::leak(Box::new([health, ("/api/datasources", 401, "no")]))).await;
    let verdict = asked(Probe::Grafana { site, login: login() }).await;
    assert_eq!(verdict.detail, "it rejects the user or the password");
}

#[tokio::test]
async fn figures_that_prometheus_cannot_read_are_a_warning() {
    let pages = Box::leak(Box::new([
        ("/text?format=prometheus&token=t%26oken", 200, "# HELP x\nx 1\ny{z=\"a\"} 2\n"),
        ("/json?format=prometheus&token=t%26oken", 200, r#"{"torrents":0}"#),
    ]));
    let site = server(pages).await;
    let figures =
        |path: &str| Probe::Metrics { site: site.clone(), path: path.to_owned(), token: SecretString::from("t&oken") };
    assert_eq!(said(&asked(figures("/text")).await), (Judgement::Passed, "2 samples"));
    assert_eq!(asked(figures("/json")).await.judgement, Judgement::Warned);
    assert_eq!(asked(figures("/none")).await.judgement, Judgement::Warned);
}

#[tokio::test]
async fn a_name_has_its_addresses() {
    let dns = |domain: &str, expected: &[&str]| Probe::Dns {
        domain: domain.to_owned(),
        expected: expected.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect(),
    };
    let verdict = asked(dns("localhost", &["203.0.113.7"])).await;
    assert_eq!(verdict.judgement, Judgement::Failed);
    assert!(verdict.detail.starts_with("missing A 203.0.113.7; unexpected "), "{verdict:?}");
    let verdict = asked_in_vain(dns("nowhere.invalid", &["203.0.113.7"])).await;
    assert_eq!(verdict.judgement, Judgement::Failed, "{verdict:?}");
}

/// The dead endpoints of a whole stack take one deadline in total, not the sum of their deadlines.
#[tokio::test]
async fn checks_are_asked_side_by_side_and_keep_their_order() {
    let free: SocketAddr = TcpListener::bind("127.0.0.77:0").await.unwrap().local_addr().unwrap();
    let page = || Probe::Http { site: Site::plain(free), path: "/".to_owned(), status: 200, contains: None };
    let mut checks: Vec<_> = (0..8).map(|_| check(page())).collect();
    checks.iter_mut().enumerate().for_each(|(number, check)| check.name = number.to_string());
    let begun = std::time::Instant::now();
    let verdicts = ask_all(&checks, Duration::from_secs(3), PAUSE).await;
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(
        verdicts.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["0", "1", "2", "3", "4", "5", "6", "7"]
    );
}

/// A laptop or a CI runner without IPv6 cannot test a stack with IPv6. If this machine has IPv6, nobody answers at an
/// address that is reserved for documentation.
#[tokio::test]
async fn a_machine_without_ipv6_skips_what_needs_it() {
    let address: SocketAddr = "[2001:db8::1]:6969".parse().unwrap();
    let reachable = std::net::UdpSocket::bind("[::]:0").is_ok_and(|socket| socket.connect(address).is_ok());
    let probe = Probe::UdpTracker { address, key: None, info_hash: None };
    let verdict = asked_for(Duration::from_secs(2), probe).await;
    let wanted = if reachable { Judgement::Failed } else { Judgement::Skipped };
    assert_eq!(verdict.judgement, wanted, "{verdict:?}");
}
