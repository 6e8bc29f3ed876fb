//! Something that answers over HTTP: what it is called, and where it is. Never asks for anything but what its caller
//! names.

use super::Trouble;
use crate::io::http::{self, Roots, Unread};
use reqwest::{Client, RequestBuilder, Response};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// The longest that one request may take: a second attempt is better than a long wait.
const LONGEST: Duration = Duration::from_secs(10);

/// Something that answers over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Whether it is asked over TLS.
    pub tls: bool,
    /// Its name in `Host` and, over TLS, in its certificate: a domain, or an IP address, in whose place that of
    /// `connect` is used.
    pub name: String,
    /// Where it is connected to; its port is the one in `Host`, too, where it is not the scheme's own.
    pub connect: SocketAddr,
    /// Over TLS: who may have issued its certificate.
    pub roots: Roots,
}

impl Site {
    /// One without TLS and without a name.
    #[must_use]
    pub fn plain(connect: SocketAddr) -> Self {
        Self { tls: false, name: connect.ip().to_string(), connect, roots: Roots::None }
    }

    /// One with TLS.
    #[must_use]
    pub fn secure(name: impl Into<String>, connect: SocketAddr, roots: Roots) -> Self {
        Self { tls: true, name: name.into(), connect, roots }
    }

    /// A client for an attempt that ends at `until`.
    pub(super) fn client(&self, until: Instant) -> Result<Client, Trouble> {
        // A little less than there is, so that what was asked last can still be said.
        let limit = until.saturating_duration_since(Instant::now()).mul_f64(0.95).min(LONGEST);
        let pin = self.name.parse::<IpAddr>().is_err().then_some((self.name.as_str(), self.connect));
        let roots = if self.tls { &self.roots } else { &Roots::None };
        http::client(limit, pin, roots).map_err(|error| Trouble::lasting(http::why(&error)))
    }

    /// The URL of a path, which begins with a slash.
    pub(super) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let port = self.connect.port();
        if self.name.parse::<IpAddr>().is_ok() {
            format!("{scheme}://{}{path}", self.connect)
        } else {
            format!("{scheme}://{}:{port}{path}", self.name)
        }
    }

    /// The answer to a GET: its status and its body.
    pub(super) async fn get(&self, path: &str, until: Instant) -> Result<(u16, Vec<u8>), Trouble> {
        send(self.client(until)?.get(self.url(path))).await
    }
}

/// The answer to a request: its status and its body.
pub(super) async fn send(request: RequestBuilder) -> Result<(u16, Vec<u8>), Trouble> {
    let response: Response = request.send().await.map_err(|error| Trouble::passing(http::why(&error)))?;
    let status = response.status().as_u16();
    match http::body(response).await {
        Ok(body) => Ok((status, body)),
        // Asked again, it would only be as large again.
        Err(unread @ Unread::TooLarge) => Err(Trouble::lasting(unread.to_string())),
        Err(unread @ Unread::BrokenOff(_)) => Err(Trouble::passing(unread.to_string())),
    }
}

/// Why another status than the one wanted was given. A server that is starting says 5xx, its proxy too.
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
