//! Health, metrics and status over HTTP, for machines. Changes nothing.

use super::metrics;
use super::served::Served;
use crate::io::server;
use crate::model::defuse;
use crate::model::event::{self, Event};
use crate::model::failure::{Failure, Reason};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;

/// The board, shared by the loop that writes it and the handlers that read it.
pub type Shared = Arc<Mutex<Served>>;

/// Opens the listening socket.
///
/// # Errors
/// `ListenFailed` with the system's message.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Reason::ListenFailed, format!("Cannot listen on the address {address}")).because(error)
    })
}

/// Serves requests until the future is dropped.
pub async fn serve(listener: TcpListener, board: Shared) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route(
            "/metrics",
            get(|State(board): State<Shared>| async move {
                ([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], metrics::text(&read(&board)))
            }),
        )
        .route(
            "/status",
            get(|State(board): State<Shared>| async move {
                ([(header::CONTENT_TYPE, "application/jsonl; charset=utf-8")], status(&read(&board)))
            }),
        )
        .with_state(board);
    server::serve(listener, router).await;
}

fn read(board: &Shared) -> Served {
    board.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn healthz(State(board): State<Shared>) -> (StatusCode, String) {
    match read(&board).trouble(Instant::now()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, defuse::plain(&why) + "\n"),
    }
}

/// Renders each observed environment as `deployer status --json` prints it.
fn status(board: &Served) -> String {
    let views = board.environments.values().filter_map(|entry| entry.view.clone());
    views.map(|view| event::line(&Event::Environment(Box::new(view))) + "\n").collect()
}
