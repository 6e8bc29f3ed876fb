//! A server that is checked over HTTP: its name and its address. Requests only the paths that callers name.

use super::Trouble;
use crate::io::http::{self, Roots, Route, Unread};
use reqwest::{Client, RequestBuilder, Response};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Time limit of one request: a retry is better than a long wait.
const LONGEST: Duration = Duration::from_secs(10);

/// A server that is checked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// True for requests over TLS.
    pub tls: bool,
    /// Name in `Host` and, over TLS, in the certificate: a domain or an IP address. If it is an IP address, requests
    /// use the address in `connect` instead.
    pub name: String,
    /// Address and port of the connection. The port is also in `Host`, unless it is the default of the scheme.
    pub connect: SocketAddr,
    /// The Unix socket that is forwarded to that address, if only the host reaches it.
    pub socket: Option<PathBuf>,
    /// Authorities that may have issued the certificate. Used only over TLS.
    pub roots: Roots,
}

impl Site {
    /// Returns a site without TLS and without a domain.
    #[must_use]
    pub fn plain(connect: SocketAddr) -> Self {
        Self { tls: false, name: connect.ip().to_string(), connect, socket: None, roots: Roots::None }
    }

    /// Returns a site without TLS and without a domain that is reached through a Unix socket.
    #[must_use]
    pub fn through(socket: PathBuf, connect: SocketAddr) -> Self {
        Self { socket: Some(socket), ..Self::plain(connect) }
    }

    /// Returns a site with TLS.
    #[must_use]
    pub fn secure(name: impl Into<String>, connect: SocketAddr, roots: Roots) -> Self {
        Self { tls: true, name: name.into(), connect, socket: None, roots }
    }

    /// Returns a client for an attempt that ends at `until`.
    ///
    /// # Errors
    /// If the roots are not usable.
    pub(crate) fn client(&self, until: Instant) -> Result<Client, Trouble> {
        // Slightly less than the remaining time, so that the last error can still be reported.
        let limit = until.saturating_duration_since(Instant::now()).mul_f64(0.95).min(LONGEST);
        let route = match &self.socket {
            Some(socket) => Route::Socket(socket),
            None if self.name.parse::<IpAddr>().is_ok() => Route::Direct,
            None => Route::Pinned(&self.name, self.connect),
        };
        let roots = if self.tls { &self.roots } else { &Roots::None };
        http::client(limit, route, roots).map_err(|error| Trouble::lasting(http::why(&error)))
    }

    /// Returns the URL of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let port = self.connect.port();
        if self.name.parse::<IpAddr>().is_ok() {
            format!("{scheme}://{}{path}", self.connect)
        } else {
            format!("{scheme}://{}:{port}{path}", self.name)
        }
    }

    /// Sends a GET request. Returns the status and the body.
    pub(super) async fn get(&self, path: &str, until: Instant) -> Result<(u16, Vec<u8>), Trouble> {
        send(self.client(until)?.get(self.url(path))).await
    }
}

/// Sends a request. Returns the status and the body of the response.
pub(super) async fn send(request: RequestBuilder) -> Result<(u16, Vec<u8>), Trouble> {
    let response: Response = request.send().await.map_err(|error| Trouble::passing(http::why(&error)))?;
    let status = response.status().as_u16();
    match http::body(response).await {
        Ok(body) => Ok((status, body)),
        // A retry would get the same large body.
        Err(unread @ Unread::TooLarge) => Err(Trouble::lasting(unread.to_string())),
        Err(unread @ Unread::BrokenOff(_)) => Err(Trouble::passing(unread.to_string())),
    }
}

/// Returns the failure for an unexpected status. Retries on 5xx, which a starting server or its proxy returns, and on
/// 429.
pub(super) fn unwanted(status: u16, wanted: u16, body: &[u8]) -> Trouble {
    let said = String::from_utf8_lossy(&body[..body.len().min(4096)]).trim().to_owned();
    let said = if said.is_empty() || said.starts_with('<') { String::new() } else { format!(": {said}") };
    Trouble { detail: format!("status {status} instead of {wanted}{said}"), again: status >= 500 || status == 429 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_domain_or_the_address() {
        let connect: SocketAddr = "[2001:db8::1]:7070".parse().unwrap();
        assert_eq!(Site::plain(connect).url("/x"), "http://[2001:db8::1]:7070/x");
        assert_eq!(Site::secure("a.example", connect, Roots::System).url("/"), "https://a.example:7070/");
    }

    #[test]
    fn only_a_server_that_may_be_starting_is_asked_again() {
        assert!(unwanted(502, 200, b"<html>").again);
        assert!(!unwanted(404, 200, b"").again);
        assert_eq!(unwanted(500, 200, b"token not valid\n").detail, "status 500 instead of 200: token not valid");
    }
}
