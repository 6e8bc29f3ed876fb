//! HTTP from this machine: the only constructor of a client, and the wording of HTTP errors. Clients follow no
//! redirect, use no proxy and keep no connection open. Errors contain no URL, because a URL may hold a secret.

use crate::model::bounded;
use reqwest::{Certificate, Client, Response, redirect};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The authorities that may have issued a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that this machine trusts.
    #[default]
    System,
    /// Only the given authorities, in PEM (Caddy's internal authority, for example).
    Pem(String),
    /// No authorities. For requests without TLS; skips reading the system's roots.
    None,
}

/// How the connections of a client reach the server of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// To the address that the URL names.
    Direct,
    /// To this address if the URL names this host.
    Pinned(&'a str, SocketAddr),
    /// Through this Unix socket.
    Socket(&'a Path),
}

/// Returns a client whose requests each take at most `limit`.
///
/// # Errors
/// If no roots are available, or the given roots are not PEM.
pub fn client(limit: Duration, route: Route<'_>, roots: &Roots) -> reqwest::Result<Client> {
    // A second installation fails harmlessly: the first provider stays installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder =
        Client::builder().timeout(limit).no_proxy().pool_max_idle_per_host(0).redirect(redirect::Policy::none());
    match route {
        Route::Direct => {}
        Route::Pinned(host, address) => builder = builder.resolve(host, address),
        Route::Socket(path) => builder = builder.unix_socket(path),
    }
    match roots {
        Roots::System => {}
        Roots::Pem(pem) => builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?),
        Roots::None => builder = builder.tls_certs_only([]),
    }
    builder.build()
}

/// The reason why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The body ended early; holds the cause in a few words.
    BrokenOff(String),
    /// The body is longer than the limit, and may be endless.
    TooLarge,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenOff(why) => write!(f, "the response ended early: {why}"),
            Self::TooLarge => write!(f, "the response is larger than {} MiB", bounded::HTTP_BODY >> 20),
        }
    }
}

/// Reads the whole body of a response.
///
/// # Errors
/// If the body ends early or is larger than [`bounded::HTTP_BODY`]. Reading stops at that limit.
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

/// Returns in a few words why a request failed, from the innermost cause, without the URL.
#[must_use]
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no response in time".to_owned();
    }
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<reqwest::Error>() {
        return "the request is not valid".to_owned();
    }
    match inner.downcast_ref::<std::io::Error>() {
        Some(error) if error.raw_os_error().is_some() => error.kind().to_string(),
        _ => inner.to_string(),
    }
}
