//! Forwards a Unix socket of this machine to a port of the host. The socket is in the connection's directory, which no
//! other account can enter: a port of this machine would be open to all of them.

use super::Host;
use crate::model::failure::Failure;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// A forwarded port. It stays open until it is closed or the connection ends. Dropping this value does not close the
/// port.
#[must_use = "it is open until it is closed"]
pub struct Forward<'a> {
    host: &'a Host,
    /// The Unix socket to connect to.
    pub local: PathBuf,
    /// The address as the host sees it.
    pub remote: SocketAddr,
}

impl Host {
    /// Forwards a new Unix socket to an address as the host sees it (`127.0.0.1:9090`). This function does not detect
    /// that nothing listens there or that sshd forbids forwarding (`AllowTcpForwarding`); only a later connection shows
    /// that.
    ///
    /// # Errors
    /// `ConnectionLost` if ssh rejects the request.
    pub async fn forward(&self, remote: SocketAddr) -> Result<Forward<'_>, Failure> {
        let number = self.forwards.fetch_add(1, Ordering::Relaxed);
        let local = self.control.with_file_name(format!("forward{number}"));
        match self.port(&local, remote, true).await {
            Ok(()) => Ok(Forward { host: self, local, remote }),
            Err(error) => Err(self.lost(&error)),
        }
    }
}

impl Forward<'_> {
    /// Stops listening. Open connections stay open.
    pub async fn close(self) {
        // If this fails, the connection is gone, and the port with it.
        let _ = self.host.port(&self.local, self.remote, false).await;
        let _ = tokio::fs::remove_file(&self.local).await;
    }
}
