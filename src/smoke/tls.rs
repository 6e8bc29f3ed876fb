//! A server's certificate as clients see it. rustls verifies chain and name; expiry and issuer are read from the
//! certificate even if the verification fails. Sends no application data over the connection.

use super::{Found, Note, Trouble};
use crate::io::http::Roots;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// Days before expiry at which to warn: renewal should have happened 30 days before.
const SOON: i64 = 14;
const DAY: i64 = 24 * 60 * 60;

/// Checks the certificate that a server presents for a name.
pub(super) async fn certificate(domain: &str, connect: SocketAddr, roots: &Roots) -> Found {
    let provider = Arc::new(ring::default_provider());
    let judge = judge(roots, &provider).map_err(Trouble::lasting)?;
    let witness = Arc::new(Witness { judge, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Trouble::lasting(error.to_string()))?
        .dangerous() // the witness asks a verifier of rustls
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(domain.to_owned())
        .map_err(|_| Trouble::lasting(format!("{domain} is not a name that a certificate can have")))?;
    let stream = TcpStream::connect(connect).await;
    let stream = stream.map_err(|error| Trouble::passing(format!("{connect}: {}", error.kind())))?;
    let shaken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (shaken, seen) {
        (Ok(_), Some(seen)) => Ok(good(&seen)),
        (Ok(_), None) => Err(Trouble::lasting("the server sent no certificate")),
        (Err(error), seen) => Err(bad(domain, &error, seen.as_ref())),
    }
}

/// Returns the verifier for these roots. For the system's roots it is the same verifier as for HTTP requests.
fn judge(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let Roots::Pem(pem) = roots else {
        let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
        return Ok(Arc::new(
            verifier.map_err(|error| format!("this machine trusts no certificate authority: {error}"))?,
        ));
    };
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let root = root.map_err(|error| format!("the root certificate is not PEM: {error}"))?;
        store.add(root).map_err(|error| format!("the root certificate cannot be used: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| format!("the root certificate cannot be used: {error}"))?)
}

/// A presented certificate and the time of the handshake.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) der: Vec<u8>,
    pub(crate) at: UnixTime,
}

impl Seen {
    /// Returns the issuer and the seconds until expiry, negative after expiry.
    pub(crate) fn read(&self) -> Option<(String, i64)> {
        let certificate = Certificate::from_der(&self.der).ok()?;
        let end = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        let left = i64::try_from(end).ok()? - i64::try_from(self.at.as_secs()).ok()?;
        Some((certificate.tbs_certificate().issuer().to_string(), left))
    }

    /// Returns the total validity in seconds.
    pub(crate) fn life(&self) -> Option<i64> {
        let certificate = Certificate::from_der(&self.der).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let [begin, end] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        i64::try_from(end.checked_sub(begin)?).ok()
    }
}

fn good(seen: &Seen) -> Note {
    let Some((issuer, left)) = seen.read() else { return Note::warned("trusted, but its end cannot be read") };
    let detail = format!("valid for {}, issued by {issuer}", span(left));
    // Certificates that are valid for hours or days are renewed when a third of that time is left.
    let soon = seen.life().map_or(SOON * DAY, |life| (life / 4).min(SOON * DAY));
    if left < soon { Note::warned(detail) } else { Note::passed(detail) }
}

fn bad(domain: &str, error: &std::io::Error, seen: Option<&Seen>) -> Trouble {
    let read = seen.and_then(Seen::read);
    let issuer = read.as_ref().map(|(issuer, _)| format!(", issued by {issuer}")).unwrap_or_default();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(why)) = inner else {
        // A server without a certificate for the name aborts the handshake.
        return Trouble::passing(format!("no handshake: {error}"));
    };
    let what = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let since = read.as_ref().map(|(_, left)| format!(" {} ago", span(-left))).unwrap_or_default();
            format!("expired{since}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet".to_owned(),
        CertificateError::NotValidForName => format!("not for {domain}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("not for {domain} but for {}", presented.join(", "))
        }
        CertificateError::UnknownIssuer => "not issued by a trusted authority".to_owned(),
        other => other.to_string(),
    };
    Trouble::lasting(format!("the certificate is {what}{issuer}"))
}

fn span(seconds: i64) -> String {
    match (seconds / DAY, seconds / 3600) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// A verifier that records the certificate and delegates every decision to `judge`.
#[derive(Debug)]
struct Witness {
    judge: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Seen>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen = Seen { der: end_entity.to_vec(), at: now };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
