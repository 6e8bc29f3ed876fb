//! The check of a page over HTTP.

use super::site::{Site, unwanted};
use super::{Found, Note, Trouble};
use tokio::time::Instant;

/// Requests a page and checks its status and that it contains the text.
pub(super) async fn page(site: &Site, path: &str, status: u16, contains: Option<&str>, until: Instant) -> Found {
    let (got, body) = site.get(path, until).await?;
    if got != status {
        return Err(unwanted(got, status, &body));
    }
    match contains {
        Some(text) if !String::from_utf8_lossy(&body).contains(text) => {
            Err(Trouble::passing(format!("status {got}, but the response does not contain {text:?}")))
        }
        _ => Ok(Note::passed(format!("status {got}"))),
    }
}
