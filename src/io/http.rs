//! HTTP from this machine: the one way to a client, and the words for what went wrong. Never follows a redirect, asks
//! a proxy or keeps a connection, and never says a URL, which may hold a secret.

use crate::model::bounded;
use reqwest::{Certificate, Client, Response, redirect};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Which authorities may have issued a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those that this machine trusts.
    #[default]
    System,
    /// These alone, in PEM (Caddy's internal authority, say).
    Pem(String),
    /// None: nothing is to be asked over TLS, so that none need be read.
    None,
}

/// A client whose requests each take `limit` at most. `pin` is a host name and the address it is found at.
///
/// # Errors
/// Where no roots can be had, or those given are not PEM.
pub fn client(limit: Duration, pin: Option<(&str, SocketAddr)>, roots: &Roots) -> reqwest::Result<Client> {
    // A second installation fails harmlessly: the first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder =
        Client::builder().timeout(limit).no_proxy().pool_max_idle_per_host(0).redirect(redirect::Policy::none());
    if let Some((host, address)) = pin {
        builder = builder.resolve(host, address);
    }
    match roots {
        Roots::System => {}
        Roots::Pem(pem) => builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?),
        Roots::None => builder = builder.tls_certs_only([]),
    }
    builder.build()
}

/// Why a body cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It broke off, with the cause in a few words.
    BrokenOff(String),
    /// There is more of it than is read, perhaps without end.
    TooLarge,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenOff(why) => write!(f, "the answer breaks off: {why}"),
            Self::TooLarge => write!(f, "the answer is larger than {} MiB", bounded::HTTP_BODY >> 20),
        }
    }
}

/// The whole body of an answer.
///
/// # Errors
/// Where it breaks off or is larger than [`bounded::HTTP_BODY`]; then the rest is not read.
pub async fn body(mut response: Response) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Unread::BrokenOff(why(&error)))? {
        if body.len() + chunk.len() > bounded::HTTP_BODY {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a request failed, in a few words, from the innermost cause; never its URL.
#[must_use]
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<reqwest::Error>() {
        return "the request cannot be made".to_owned();
    }
    match inner.downcast_ref::<std::io::Error>() {
        Some(error) if error.raw_os_error().is_some() => error.kind().to_string(),
        _ => inner.to_string(),
    }
}
