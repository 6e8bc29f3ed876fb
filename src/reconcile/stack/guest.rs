//! Temporary access to a private or listed tracker for the time of the test: a key and a whitelisted torrent. Does not
//! show the token or the key.

use super::Stack;
use crate::io::http;
use crate::smoke::Site;
use crate::smoke::announce::escape;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(10);
/// The lifetime of a key that could not be deleted (seconds).
const LIFE: u64 = 300;

/// The key and the torrent that were made for the test.
#[derive(Default)]
pub struct Guest {
    api: Option<Api>,
    /// The paths of the API to delete after the test.
    made: Vec<SecretString>,
}

struct Api {
    site: Site,
    token: SecretString,
}

impl Guest {
    /// Makes the key and the torrent that the stack requires.
    ///
    /// # Errors
    /// A message for people with the reason why no access is possible.
    pub async fn welcome(stack: &mut Stack<'_>, api: Option<Site>) -> Result<Self, String> {
        let (private, listed) = (stack.tracker.private, stack.tracker.listed);
        if !private && !listed {
            return Ok(Self::default());
        }
        let (Some(site), Some(token)) = (api, stack.token.clone()) else {
            return Err("the tracker is private or listed, and has no API to ask for a key".to_owned());
        };
        let mut guest = Self { api: Some(Api { site, token }), made: Vec::new() };
        if private {
            stack.key = Some(guest.key().await?);
        }
        if listed {
            let random = blake3::hash(uuid::Uuid::new_v4().as_bytes());
            let mut hash = [0; 20];
            hash.copy_from_slice(&random.as_bytes()[..20]);
            let text = &random.to_hex()[..40];
            guest.ask(Method::POST, &format!("whitelist/{text}"), None).await?;
            guest.made.push(format!("whitelist/{text}").into());
            stack.info_hash = Some(hash);
        }
        Ok(guest)
    }

    async fn key(&mut self) -> Result<SecretString, String> {
        let answer = self.ask(Method::POST, "keys", Some(json!({ "key": null, "seconds_valid": LIFE }))).await?;
        let key = answer.get("key").and_then(Value::as_str).ok_or("the API returned no key")?;
        self.made.push(format!("key/{key}").into());
        Ok(key.to_owned().into())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let Some(api) = &self.api else { return Ok(Value::Null) };
        let token = escape(api.token.expose_secret().as_bytes());
        let client = api.site.client(Instant::now() + LIMIT).map_err(|trouble| trouble.detail)?;
        let mut request = client.request(method, api.site.url(&format!("/api/v1/{path}?token={token}")));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| format!("the API: {}", http::why(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(|unread| unread.to_string())?;
        if !status.is_success() {
            return Err(format!("the API answers with status {}", status.as_u16()));
        }
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Deletes the key and the torrent. A key that could not be deleted expires.
    pub async fn leave(self) {
        for path in &self.made {
            let _ = self.ask(Method::DELETE, path.expose_secret(), None).await;
        }
    }
}
