//! Forwards a local port to a port of the host. Listens only on 127.0.0.1.

use super::Host;
use crate::model::failure::Failure;
use std::net::{Ipv4Addr, SocketAddr};

/// Number of local ports to try: another process may take a port between choosing it and listening on it.
const TRIES: usize = 3;

/// A forwarded port. It stays open until it is closed or the connection ends. Dropping this value does not close the
/// port.
#[must_use = "it is open until it is closed"]
pub struct Forward<'a> {
    host: &'a Host,
    /// Local address to connect to.
    pub local: SocketAddr,
    remote: SocketAddr,
}

impl Host {
    /// Forwards a local port to an address as the host sees it (`127.0.0.1:9090`). This function does not detect that
    /// nothing listens there or that sshd forbids forwarding (`AllowTcpForwarding`); only a later connection shows
    /// that.
    ///
    /// # Errors
    /// `ConnectionLost` if ssh rejects the request.
    pub async fn forward(&self, remote: SocketAddr) -> Result<Forward<'_>, Failure> {
        let mut failure = self.lost("");
        for _ in 0..TRIES {
            let local = match free_port().await {
                Ok(local) => local,
                Err(error) => return Err(self.lost(&error.to_string())),
            };
            match self.port(local, remote, true).await {
                Ok(()) => return Ok(Forward { host: self, local, remote }),
                Err(error) => failure = self.lost(&error),
            }
        }
        Err(failure)
    }
}

impl Forward<'_> {
    /// Stops listening. Open connections stay open.
    pub async fn close(self) {
        // If this fails, the connection is gone, and the port with it.
        let _ = self.host.port(self.local, self.remote, false).await;
    }
}

/// Returns a free local port. ssh cannot choose one itself in this direction.
async fn free_port() -> std::io::Result<SocketAddr> {
    tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}
