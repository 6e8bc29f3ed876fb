//! Serves the state in the store to OpenTofu's standard `http` backend, on the loopback interface, for one run. Answers
//! only requests with the run's token, and confirms a write only after the state is on the disk.

use super::key::random;
use super::lock::{self, Lock};
use super::state;
use super::vault::Vault;
use crate::io::server;
use crate::model::bounded;
use crate::model::failure::{Failure, Reason};
use crate::model::holder::Holder;
use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, HEXLOWER};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// User name that OpenTofu sends with the token.
const USER: &str = "deployer";

/// The state server of one run.
pub(super) struct Served {
    /// Environment variables with which OpenTofu finds the server.
    pub variables: BTreeMap<String, SecretString>,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

struct Inner {
    vault: Arc<Vault>,
    holder: Holder,
    /// The complete `Authorization` header that requests must have.
    token: Zeroizing<String>,
    /// The first failure in this server.
    trouble: Mutex<Option<Failure>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Starts to serve the vault's state.
    pub async fn begin(vault: &Arc<Vault>, holder: &Holder) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(Reason::ListenFailed, "The state cannot be served to OpenTofu on 127.0.0.1").because(error)
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
        let address = format!("http://{}/", listener.local_addr().map_err(cannot)?);
        let token = Zeroizing::new(HEXLOWER.encode(&random::<32>()?));
        let variables = [
            ("TF_HTTP_ADDRESS", address.as_str()),
            ("TF_HTTP_LOCK_ADDRESS", &address),
            ("TF_HTTP_UNLOCK_ADDRESS", &address),
            ("TF_HTTP_UPDATE_METHOD", "POST"),
            ("TF_HTTP_LOCK_METHOD", "LOCK"),
            ("TF_HTTP_UNLOCK_METHOD", "UNLOCK"),
            ("TF_HTTP_USERNAME", USER),
            ("TF_HTTP_PASSWORD", &token),
            // Our answers are final: if the server is gone, OpenTofu must write its state to a file soon.
            ("TF_HTTP_RETRY_MAX", "1"),
            ("TF_HTTP_RETRY_WAIT_MIN", "1"),
            ("TF_HTTP_RETRY_WAIT_MAX", "1"),
        ];
        let inner = Arc::new(Inner {
            vault: Arc::clone(vault),
            holder: holder.clone(),
            token: Zeroizing::new(basic(USER, &token)),
            trouble: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let task = tokio::spawn(server::serve(listener, router));
        Ok(Self { variables: variables.map(|(name, value)| (name.to_owned(), value.into())).into(), inner, task })
    }

    /// Takes the first failure between OpenTofu and the store, which explains OpenTofu's own error.
    pub fn trouble(&self) -> Option<Failure> {
        self.inner.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Returns the header of HTTP basic authentication (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
}

/// Answers one request. Checks the token before reading the body.
async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let given = head.headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    if blake3::hash(given) != blake3::hash(inner.token.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(Query(query)) = Query::<BTreeMap<String, String>>::try_from_uri(&head.uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // Refuse a body that is too large by its announced length before it is sent.
    let body = if body.size_hint().lower() > bounded::STATE as u64 {
        None
    } else {
        axum::body::to_bytes(body, bounded::STATE).await.ok()
    };
    let Some(body) = body else {
        let failure = Failure::too_large("The infrastructure's state", bounded::STATE);
        return inner.failed(StatusCode::PAYLOAD_TOO_LARGE, failure);
    };
    let answered = match head.method.as_str() {
        "GET" => inner.get().await,
        "POST" => inner.post(query.get("ID").map(String::as_str), &body).await,
        "DELETE" => inner.delete().await,
        "LOCK" => inner.lock(&body).await,
        "UNLOCK" => inner.unlock(&body).await,
        _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    };
    answered.unwrap_or_else(|failure| inner.failed(StatusCode::INTERNAL_SERVER_ERROR, failure))
}

impl Inner {
    /// Records the first failure and returns it as the response.
    fn failed(&self, status: StatusCode, failure: Failure) -> Response {
        let text = failure.message();
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        (status, text).into_response()
    }

    async fn get(&self) -> Result<Response, Failure> {
        Ok(match self.vault.read().await? {
            Some(state) => ([(header::CONTENT_TYPE, "application/json")], state.to_vec()).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        })
    }

    // OpenTofu sends a digest to detect changes on the network. Loopback needs no such check. A body that is not a
    // state is refused.
    async fn post(&self, id: Option<&str>, body: &[u8]) -> Result<Response, Failure> {
        if let Err(error) = state::read(body) {
            return Ok((StatusCode::BAD_REQUEST, error).into_response());
        }
        let mut lock = None;
        if let Some(id) = id {
            lock = self.vault.locked().await?;
            if lock.as_deref().and_then(Lock::parse).is_none_or(|lock| lock.id != id) {
                return Err(self.lost());
            }
        }
        if !self.vault.write(body, lock.as_deref()).await? {
            return Err(self.lost());
        }
        Ok(StatusCode::OK.into_response())
    }

    async fn delete(&self) -> Result<Response, Failure> {
        self.vault.remove(None).await?;
        Ok(StatusCode::OK.into_response())
    }

    async fn lock(&self, body: &[u8]) -> Result<Response, Failure> {
        let Ok(info) = serde_json::from_slice::<Value>(body) else {
            return Ok(StatusCode::BAD_REQUEST.into_response());
        };
        let id = info.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned();
        let line = serde_json::to_string(&Lock { id, holder: self.holder.clone(), info }).unwrap_or_default();
        let has = self.vault.lock(&line, None).await?;
        if has == line {
            return Ok(StatusCode::OK.into_response());
        }
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| lock::refused(&has));
        let info = Lock::parse(&has).map(|lock| lock.info).unwrap_or_default();
        Ok((StatusCode::LOCKED, info.to_string()).into_response())
    }

    async fn unlock(&self, body: &[u8]) -> Result<Response, Failure> {
        let id = serde_json::from_slice::<Value>(body).ok().and_then(|info| Some(info.get("ID")?.as_str()?.to_owned()));
        let Some(line) = self.vault.locked().await? else { return Ok(StatusCode::OK.into_response()) };
        if Lock::parse(&line).map(|lock| lock.id) != id {
            return Ok(StatusCode::CONFLICT.into_response());
        }
        self.vault.unlock(&line).await?;
        Ok(StatusCode::OK.into_response())
    }

    fn lost(&self) -> Failure {
        Failure::new(Reason::StateLocked, "Another run took over the lock on the infrastructure's state")
            .on(self.vault.environment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::store::Store;
    use camino::Utf8Path;
    use secrecy::ExposeSecret as _;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    async fn served(directory: &Utf8Path) -> Served {
        let store = Store::open("sqlite:state.db", directory).await.unwrap();
        let vault = Arc::new(Vault::open(Arc::new(store), "shop", "prod", Some("words")));
        Served::begin(&vault, &Holder::here("tester@here", "plan", None)).await.unwrap()
    }

    /// Sends a request and its body; without a body, sends bytes without end. Returns the first line of the response.
    async fn ask(served: &Served, head: &str, body: Option<&[u8]>) -> String {
        let address = served.variables["TF_HTTP_ADDRESS"]
            .expose_secret()
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
        to.write_all(head.as_bytes()).await.unwrap();
        let body = body.map(<[u8]>::to_vec);
        let flood = tokio::spawn(async move {
            let chunk = vec![b'1'; 1 << 20];
            match body {
                Some(body) => _ = to.write_all(&body).await,
                None => while to.write_all(&chunk).await.is_ok() {},
            }
            to
        });
        let mut answer = Vec::new();
        while !answer.contains(&b'\r') && from.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
        flood.abort();
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    }

    fn authorized(served: &Served) -> String {
        format!("Authorization: {}\r\n", basic(USER, served.variables["TF_HTTP_PASSWORD"].expose_secret()))
    }

    #[tokio::test]
    async fn nothing_of_a_strangers_body_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let served = served(Utf8Path::from_path(directory.path()).unwrap()).await;
        let begun = Instant::now();
        for token in ["", "Authorization: Basic ZGVwbG95ZXI6bm8=\r\n"] {
            for body in ["Content-Length: 1099511627776", "Transfer-Encoding: chunked"] {
                let head = format!("POST /?ID=%ff HTTP/1.1\r\nHost: h\r\n{token}{body}\r\n\r\n");
                // `ask` reads the answer although the announced body was not sent.
                assert!(ask(&served, &head, Some(b"")).await.contains(" 401 "), "{head}");
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        let state = br#"{"version":4,"lineage":"l","serial":1,"outputs":{},"resources":[]}"#;
        let length = state.len();
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{}Content-Length: {length}\r\n\r\n", authorized(&served));
        assert!(ask(&served, &head, Some(state)).await.contains(" 200 "));
    }

    #[tokio::test]
    async fn a_state_without_end_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let served = served(Utf8Path::from_path(directory.path()).unwrap()).await;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{}Transfer-Encoding: chunked\r\n\r\n10000001\r\n",
            authorized(&served)
        );
        assert!(ask(&served, &head, None).await.contains(" 413 "));
        let head =
            format!("POST / HTTP/1.1\r\nHost: h\r\n{}Content-Length: 1099511627776\r\n\r\n", authorized(&served));
        assert!(ask(&served, &head, Some(b"")).await.contains(" 413 "));
        assert_eq!(served.trouble().map(|failure| failure.reason), Some(Reason::OutputTooLarge));
    }
}
