//! A stand-in for the API of Hetzner Cloud, with the requests of its OpenTofu provider 1.57.0 for servers, keys,
//! firewalls, volumes and primary addresses, and with switches for its failures. Its servers are hosts that the test
//! names. Only this machine can reach it.

mod catalogue;
mod change;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A token in the API's format: 64 characters.
pub const TOKEN: &str = "canarytokencanarytokencanarytokencanarytokencanarytokencanarytok";

/// A failure of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A 429 response, with the seconds to wait before the next attempt.
    RateLimited(u64),
    /// A 500 response before anything was done.
    Broken,
    /// A 500 response after the request was carried out.
    BrokenAfterwards,
    /// A response that this type is sold out in that location.
    SoldOut,
    /// A response that the name is in use.
    Taken,
    /// A response that takes this many milliseconds.
    Slow(u64),
}

struct Pending {
    method: Method,
    path: String,
    times: usize,
    fault: Fault,
}

/// The contents of the account.
#[derive(Default)]
pub struct Account {
    /// Collection → id → object, in the API's format.
    pub objects: BTreeMap<&'static str, BTreeMap<u64, Value>>,
    /// Every request: method, path and, if it failed, the error's code.
    pub log: Vec<String>,
    /// IPv4 addresses for the next primary addresses. When they run out, addresses of a documentation range follow.
    pub addresses: VecDeque<String>,
    faults: Vec<Pending>,
    last: u64,
}

/// A running API, which stops when this value is dropped.
pub struct Api {
    /// The value of `HCLOUD_ENDPOINT`.
    pub endpoint: String,
    account: Arc<Mutex<Account>>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

/// An error in the API's format.
pub struct Refused(u16, &'static str, String);

type Answer = Result<(u16, Value), Refused>;

pub fn refused(status: u16, code: &'static str, message: impl Into<String>) -> Refused {
    Refused(status, code, message.into())
}

impl Api {
    /// Starts the API on a separate thread.
    pub fn begin() -> Self {
        let account = Arc::new(Mutex::new(Account { last: 1000, ..Account::default() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&account));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self { endpoint, account, end: Some(end) }
    }

    /// Returns the account, to read it and to change it by hand.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Sets the IPv4 address of the next server or primary address.
    pub fn hand_out(&self, address: &str) {
        self.account().addresses.push_back(address.to_owned());
    }

    /// Makes the next `times` requests with that method and that prefix of the path fail.
    pub fn fault(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let method = method.parse().unwrap();
        self.account().faults.push(Pending { method, path: path.to_owned(), times, fault });
    }

    /// Creates an object by hand.
    pub fn make(&self, collection: &str, body: &Value) {
        assert!(self.account().create(collection, body).is_ok(), "it cannot be made");
    }

    /// Deletes an object by hand, and fails if it cannot be deleted.
    pub fn delete(&self, collection: &str, id: u64) {
        assert!(self.may_delete(collection, id), "it cannot be deleted");
    }

    /// Deletes an object by hand, and returns false if it cannot be deleted.
    pub fn may_delete(&self, collection: &str, id: u64) -> bool {
        self.account().delete(collection, &id.to_string()).is_ok()
    }

    /// Returns all objects of a collection.
    pub fn all(&self, collection: &str) -> Vec<Value> {
        self.account().objects.get(collection).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    /// Returns the number of requests with that method and that prefix of the path.
    pub fn asked(&self, method: &str, path: &str) -> usize {
        let begin = format!("{method} {path}");
        self.account().log.iter().filter(|line| line.starts_with(&begin)).count()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.end.take().map(|end| end.send(()));
    }
}

impl Account {
    /// Returns an unused id.
    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn address(&mut self) -> String {
        let number = self.last % 250;
        self.addresses.pop_front().unwrap_or_else(|| format!("203.0.113.{number}"))
    }

    fn fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let pending = self
            .faults
            .iter_mut()
            .find(|pending| pending.times > 0 && pending.method == *method && path.starts_with(&pending.path))?;
        pending.times -= 1;
        Some(pending.fault)
    }

    /// Answers a request for `path`, which is split at its slashes.
    fn answer(&mut self, method: &Method, path: &[&str], query: &[(String, String)], body: &Value) -> Answer {
        match (method.as_str(), path) {
            ("GET", ["actions"] | [_, "actions"]) => Ok((200, actions(query))),
            ("GET", ["actions", id] | [_, "actions", id]) => {
                let id = id.parse().map_err(|_| refused(404, "not_found", "action not found"))?;
                Ok((200, json!({ "action": change::finished(id) })))
            }
            ("GET", [collection]) => {
                let found: Vec<Value> = match catalogue::all(collection) {
                    Some(found) => found,
                    None => self.collection(collection)?.values().cloned().collect(),
                };
                let found: Vec<Value> = found.into_iter().filter(|object| chosen(object, query)).collect();
                let total = found.len();
                let page = json!({ "page": 1, "per_page": 50, "previous_page": null, "next_page": null,
                    "last_page": 1, "total_entries": total });
                Ok((200, json!({ *collection: found, "meta": { "pagination": page } })))
            }
            ("GET", [collection, id]) => {
                let found = match catalogue::find(collection, &json!(*id)) {
                    Some(found) => found,
                    None => self.object(collection, id)?.clone(),
                };
                Ok((200, json!({ one(collection): found })))
            }
            ("POST", [collection]) => self.create(collection, body),
            ("POST", [collection, id, "actions", action]) => self.act(collection, id, action, body),
            ("PUT", [collection, id]) => {
                let object = self.object(collection, id)?;
                for name in ["name", "labels", "auto_delete"] {
                    if let Some(value) = body.get(name).filter(|value| !value.is_null()) {
                        object[name] = value.clone();
                    }
                }
                Ok((200, json!({ one(collection): object })))
            }
            ("DELETE", [collection, id]) => self.delete(collection, id),
            _ => Err(refused(404, "not_found", "no such path")),
        }
    }

    fn collection(&mut self, name: &str) -> Result<&mut BTreeMap<u64, Value>, Refused> {
        let known = ["servers", "ssh_keys", "firewalls", "volumes", "primary_ips"];
        let name = known.into_iter().find(|known| *known == name);
        name.map(|name| self.objects.entry(name).or_default())
            .ok_or_else(|| refused(404, "not_found", "no such collection"))
    }

    fn object(&mut self, collection: &str, id: &str) -> Result<&mut Value, Refused> {
        let missing = || refused(404, "not_found", format!("{} with ID '{id}' not found", one(collection)));
        let id: u64 = id.parse().map_err(|_| missing())?;
        self.collection(collection)?.get_mut(&id).ok_or_else(missing)
    }
}

/// Returns the requested actions, all of them finished.
fn actions(query: &[(String, String)]) -> Value {
    let ids = query.iter().filter(|(name, _)| name == "id").filter_map(|(_, id)| id.parse().ok());
    json!({ "actions": ids.map(change::finished).collect::<Vec<_>>() })
}

/// Returns the singular name of a collection.
fn one(collection: &str) -> &str {
    collection.strip_suffix('s').unwrap_or(collection)
}

/// Returns true if an object matches the query.
fn chosen(object: &Value, query: &[(String, String)]) -> bool {
    query.iter().all(|(name, value)| match name.as_str() {
        "name" | "architecture" | "status" | "type" | "ip" | "fingerprint" => {
            object.get(name).is_none_or(|found| found == value.as_str())
        }
        "label_selector" => value.split(',').all(|part| {
            let (key, wanted) = part.split_once('=').unwrap_or((part, ""));
            object["labels"].get(key.trim_end_matches('=')).is_some_and(|found| found == wanted.trim_start_matches('='))
        }),
        _ => true,
    })
}

async fn answer(
    State(account): State<Arc<Mutex<Account>>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/v1").to_owned();
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given != format!("Bearer {TOKEN}") {
        return said(401, &json!({ "error": { "code": "unauthorized", "message": "unable to authenticate" } }));
    }
    let fault = account.lock().unwrap().fault(&method, &path);
    if let Some(Fault::Slow(milliseconds)) = fault {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let query: Vec<(String, String)> = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            let text = percent_encoding::percent_decode_str(value).decode_utf8_lossy().replace('+', " ");
            (name.to_owned(), text)
        })
        .collect();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut account = account.lock().unwrap();
    let answered = match fault {
        Some(Fault::RateLimited(_)) => {
            Err(refused(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached"))
        }
        Some(Fault::Broken) => Err(refused(500, "server_error", "error while processing the request")),
        Some(Fault::SoldOut) => Err(refused(412, "resource_unavailable", "error during placement")),
        Some(Fault::Taken) => Err(refused(409, "uniqueness_error", "server name is already used")),
        Some(Fault::BrokenAfterwards) => account.answer(&method, &parts, &query, &body).and(Err(refused(
            500,
            "server_error",
            "error while processing the request",
        ))),
        Some(Fault::Slow(_)) | None => account.answer(&method, &parts, &query, &body),
    };
    let code = answered.as_ref().err().map(|refused| format!(" {}", refused.1)).unwrap_or_default();
    account.log.push(format!("{method} {path}{code}"));
    match answered {
        Ok((204, _)) => StatusCode::NO_CONTENT.into_response(),
        Ok((status, value)) => said(status, &value),
        Err(Refused(status, code, message)) => {
            let mut response = said(status, &json!({ "error": { "code": code, "message": message } }));
            if let Some(Fault::RateLimited(after)) = fault {
                response.headers_mut().insert(header::RETRY_AFTER, after.into());
            }
            response
        }
    }
}

fn said(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
