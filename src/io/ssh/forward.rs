//! A port of this machine behind which a port of the host is. Never listens anywhere but on 127.0.0.1.

use super::Host;
use crate::model::failure::Failure;
use std::net::{Ipv4Addr, SocketAddr};

/// Ports that are tried: between choosing one and listening on it, somebody else may take it.
const TRIES: usize = 3;

/// A forwarded port. It lasts until it is closed, or else as long as the connection: dropping it closes nothing.
#[must_use = "it is open until it is closed"]
pub struct Forward<'a> {
    host: &'a Host,
    /// Where to connect to on this machine.
    pub local: SocketAddr,
    remote: SocketAddr,
}

impl Host {
    /// Forwards a port of this machine to an address as the host sees it (`127.0.0.1:9090`). Whether anybody answers
    /// there, and whether its sshd allows it (`AllowTcpForwarding`), shows only in what is then connected.
    ///
    /// # Errors
    /// `ConnectionLost` where ssh does not take the request.
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
    /// Stops listening. Connections that are open stay so.
    pub async fn close(self) {
        // Where this fails, the connection is gone, and the port with it.
        let _ = self.host.port(self.local, self.remote, false).await;
    }
}

/// ssh cannot choose one itself for this direction.
async fn free_port() -> std::io::Result<SocketAddr> {
    tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}
