//! Certificates that the tests make, on a server on the loopback interface. None of them is from a real authority.

use crate::{asked, asked_for, asked_in_vain};
use deployer::io::http::Roots;
use deployer::model::verdict::{Judgement, Verdict};
use deployer::smoke::{Probe, Site};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DAY: Duration = Duration::from_hours(24);

/// Returns an authority like Caddy's own.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Starts a server with a certificate for `name` that expires in `days` (expired if negative). It answers HTTP requests
/// with their Host header.
async fn server(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, days: i32) -> SocketAddr {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let span = DAY * days.unsigned_abs();
    let end = if days < 0 { SystemTime::now() - span } else { SystemTime::now() + span };
    params.not_before = (SystemTime::now() - 100 * DAY).into();
    params.not_after = (end + Duration::from_mins(1)).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or_default();
            let host = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    at
}

fn roots(issuer: &CertifiedIssuer<'static, KeyPair>) -> Roots {
    Roots::Pem(issuer.pem())
}

async fn shown(connect: SocketAddr, domain: &str, roots: Roots) -> Verdict {
    asked(Probe::Tls { domain: domain.to_owned(), connect, roots }).await
}

#[tokio::test]
async fn a_good_certificate_passes_and_an_old_one_is_warned_of() {
    let issuer = authority("Lab Authority");
    let at = server(&issuer, "a.example", 63).await;
    let verdict = shown(at, "a.example", roots(&issuer)).await;
    assert_eq!(verdict.judgement, Judgement::Passed, "{verdict:?}");
    assert!(verdict.detail.starts_with("valid for 63 days, issued by CN=Lab Authority"), "{verdict:?}");
    let at = server(&issuer, "a.example", 13).await;
    let verdict = shown(at, "a.example", roots(&issuer)).await;
    assert_eq!(verdict.judgement, Judgement::Warned, "{verdict:?}");
    assert!(verdict.detail.starts_with("valid for 13 days"), "{verdict:?}");
}

#[tokio::test]
async fn faults_of_a_certificate_are_named() {
    let (issuer, other) = (authority("Lab Authority"), authority("Another"));
    let expired = server(&issuer, "a.example", -4).await;
    let verdict = shown(expired, "a.example", roots(&issuer)).await;
    assert_eq!(verdict.judgement, Judgement::Failed);
    assert!(verdict.detail.starts_with("the certificate is expired 3 days ago, issued by CN=Lab"), "{verdict:?}");
    let at = server(&issuer, "a.example", 63).await;
    let verdict = shown(at, "b.example", roots(&issuer)).await;
    assert!(verdict.detail.starts_with("the certificate is not for b.example but for"), "{verdict:?}");
    assert!(verdict.detail.contains("a.example"), "{verdict:?}");
    for roots in [roots(&other), Roots::System] {
        let verdict = shown(at, "a.example", roots).await;
        assert_eq!(verdict.judgement, Judgement::Failed);
        assert!(verdict.detail.contains("not issued by a trusted authority"), "{verdict:?}");
        assert!(verdict.took < Duration::from_secs(10), "asking again would not help: {verdict:?}");
    }
    let verdict = shown(at, "a.example", Roots::Pem("no certificate".to_owned())).await;
    assert!(verdict.detail.starts_with("the root certificate"), "{verdict:?}");
}

#[tokio::test]
async fn a_silent_server_or_one_without_tls_fails_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = listener.local_addr().unwrap();
    let probe = Probe::Tls { domain: "a.example".to_owned(), connect, roots: Roots::System };
    let verdict = asked_for(Duration::from_secs(1), probe.clone()).await;
    assert_eq!(verdict.detail, "no response in time");
    drop(listener);
    let verdict = asked_in_vain(probe).await;
    assert!(verdict.detail.ends_with("connection refused"), "{verdict:?}");
}

#[tokio::test]
async fn a_site_is_asked_by_its_name_wherever_it_is_and_judged_by_its_roots() {
    let issuer = authority("Lab Authority");
    let at = server(&issuer, "a.example", 63).await;
    let page = |roots| Probe::Http {
        site: Site::secure("a.example", at, roots),
        path: "/".to_owned(),
        status: 200,
        contains: Some(format!("a.example:{}", at.port())),
    };
    let verdict = asked(page(roots(&issuer))).await;
    assert_eq!(verdict.judgement, Judgement::Passed, "{verdict:?}");
    let verdict = asked_in_vain(page(Roots::System)).await;
    assert_eq!(verdict.judgement, Judgement::Failed);
    assert!(verdict.detail.contains("certificate"), "{verdict:?}");
}
