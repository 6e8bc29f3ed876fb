//! Serves HTTP to other processes, any of which may be hostile: each connection is for one request, and connections,
//! their headers and their time are limited.

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Limit of the number of connections. One more ends the oldest that has sent no request yet, or else the oldest.
const CONNECTIONS: usize = 64;
/// Limit of the size of a request's headers in bytes.
const HEADERS: usize = 64 << 10;
/// Time limit of a request's headers.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time limit of a connection.
const LIFETIME: Duration = Duration::from_mins(5);

/// A connection that may have ended.
struct Connection {
    task: AbortHandle,
    /// True once the headers of its request are complete.
    asked: Arc<AtomicBool>,
}

/// Serves requests until the future is dropped, which ends all connections.
pub async fn serve(listener: TcpListener, router: Router) {
    let (mut tasks, mut open) = (JoinSet::new(), VecDeque::<Connection>::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The process has no free descriptor.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        open.retain(|connection| !connection.task.is_finished());
        if open.len() >= CONNECTIONS {
            let silent = open.iter().position(|connection| !connection.asked.load(Ordering::Relaxed));
            open.remove(silent.unwrap_or_default()).inspect(|connection| connection.task.abort());
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tasks.spawn(answer(stream, router.clone(), Arc::clone(&asked)));
        open.push_back(Connection { task, asked });
    }
}

async fn answer(stream: TcpStream, router: Router, asked: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that fails concerns its client.
    let _ = tokio::time::timeout(LIFETIME, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn served() -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "well"));
        (address, tokio::spawn(serve(listener, router)))
    }

    async fn said(mut stream: TcpStream, text: &[u8]) -> String {
        let _ = stream.write_all(text).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

    #[tokio::test]
    async fn silent_connections_keep_no_request_from_its_answer() {
        let (address, server) = served().await;
        let mut silent = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            silent.push(stream);
        }
        let begun = Instant::now();
        assert!(said(TcpStream::connect(address).await.unwrap(), QUESTION).await.ends_with("well"));
        assert!(begun.elapsed() < PATIENCE, "it did not wait until the others were too late");
        let mut open = 0;
        for stream in &mut silent {
            let mut byte = [0];
            let ended = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
            open += usize::from(ended.is_err());
        }
        assert!(open <= CONNECTIONS, "{open} connections are open");
        server.abort();
    }

    #[tokio::test]
    async fn headers_have_a_limit_and_a_connection_is_for_one_request() {
        let (address, _server) = served().await;
        let long = [b"GET / HTTP/1.1\r\nX: ", &vec![b'a'; 1 << 20][..], b"\r\n\r\n"].concat();
        assert!(!said(TcpStream::connect(address).await.unwrap(), &long).await.contains("well"));
        let twice = said(TcpStream::connect(address).await.unwrap(), &[QUESTION, QUESTION].concat()).await;
        assert_eq!(twice.matches("well").count(), 1, "{twice}");
    }
}
