//! The health of Grafana and of its datasources. Changes nothing there.

use super::site::{Site, send, unwanted};
use super::{Found, Login, Note, Trouble};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;

/// Checks Grafana's health. With a login, also checks each datasource.
pub(super) async fn health(site: &Site, login: Option<&Login>, until: Instant) -> Found {
    let health = json(site, "/api/health", None, until).await?;
    match text(&health, "database") {
        Some("ok") => {}
        Some(other) => return Err(Trouble::passing(format!("its database is {other:?}"))),
        None => return Err(Trouble::lasting("the server is not Grafana")),
    }
    let version = text(&health, "version").unwrap_or("of unknown version").to_owned();
    let Some(login) = login else { return Ok(Note::passed(version)) };
    let sources = json(site, "/api/datasources", Some(login), until).await?;
    let sources = sources.as_array().filter(|sources| !sources.is_empty());
    let sources = sources.ok_or_else(|| Trouble::passing("it has no datasource"))?;
    let mut said = Vec::new();
    for source in sources {
        let name = text(source, "name").unwrap_or("without a name");
        let uid =
            text(source, "uid").filter(|uid| uid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        let uid = uid.ok_or_else(|| Trouble::lasting(format!("the datasource {name} has no usable uid")))?;
        let answer = json(site, &format!("/api/datasources/uid/{uid}/health"), Some(login), until).await;
        let answer = answer.map_err(|trouble| Trouble { detail: format!("{name}: {}", trouble.detail), ..trouble })?;
        if text(&answer, "status") != Some("OK") {
            let why = text(&answer, "message").unwrap_or("it gives no reason");
            return Err(Trouble::passing(format!("the datasource {name} is not healthy: {why}")));
        }
        said.push(name);
    }
    Ok(Note::passed(format!("{version}, healthy: {}", said.join(", "))))
}

async fn json(site: &Site, path: &str, login: Option<&Login>, until: Instant) -> Result<Value, Trouble> {
    let mut request = site.client(until)?.get(site.url(path));
    if let Some(Login { user, password }) = login {
        request = request.basic_auth(user, Some(password.expose_secret()));
    }
    match send(request).await? {
        (200, body) => serde_json::from_slice(&body).map_err(|_| Trouble::lasting("the server is not Grafana")),
        (401 | 403, _) if login.is_some() => Err(Trouble::lasting("it rejects the user or the password")),
        (status, body) => Err(unwanted(status, 200, &body)),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}
