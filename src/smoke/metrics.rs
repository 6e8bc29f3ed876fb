//! A tracker's metrics in Prometheus' text format. Does not interpret the values.

use super::announce::escape;
use super::site::{Site, unwanted};
use super::{Found, Note, Trouble};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Requests the metrics. Torrust 3.0.0 ignores the requested format and answers in JSON, or does not have the path.
pub(super) async fn text(site: &Site, path: &str, token: &SecretString, until: Instant) -> Found {
    let token = Zeroizing::new(escape(token.expose_secret().as_bytes()));
    let path = Zeroizing::new(format!("{path}?format=prometheus&token={}", *token));
    let (status, body) = site.get(&path, until).await?;
    match status {
        200 if body.trim_ascii_start().starts_with(b"{") => {
            Ok(Note::warned("this tracker responds with JSON only: there is nothing for Prometheus to scrape"))
        }
        200 => {
            let text = String::from_utf8_lossy(&body);
            let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
            if samples == 0 {
                Err(Trouble::passing("it contains no sample"))
            } else {
                Ok(Note::passed(format!("{samples} samples")))
            }
        }
        404 => Ok(Note::warned("this tracker has no metrics: there is nothing for Prometheus to scrape")),
        _ => Err(unwanted(status, 200, &body)),
    }
}
