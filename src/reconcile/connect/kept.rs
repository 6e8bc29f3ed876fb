//! Connections that stay open between two observations of a host: the key exchange of a new connection is most of the
//! cost of an observation. Each connection is limited in age, so that reachability and the host key are checked again.

use super::way;
use crate::io::ssh::Host;
use crate::reconcile::prepare::Prepared;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The maximum age of a connection that is used. A new connection then checks the host's key again.
const OLDEST: Duration = Duration::from_mins(30);
/// The maximum number of kept connections: each is an ssh process.
const MOST: usize = 100;

/// Open connections by environment, each used by one pass at a time.
pub struct Kept {
    pause: Duration,
    hosts: Mutex<BTreeMap<String, Host>>,
}

impl Kept {
    /// Returns an empty set. `pause` is the longest time between two observations of a host.
    #[must_use]
    pub const fn new(pause: Duration) -> Self {
        Self { pause, hosts: Mutex::new(BTreeMap::new()) }
    }

    /// Takes the connection to an environment's host, if the connection is alive and a new one would have the same
    /// settings. Closes a connection that does not fit.
    pub async fn take(&self, prepared: &Prepared) -> Option<Host> {
        let host = self.hosts().remove(prepared.name())?;
        // An unresolvable secret is a failure of the later connect, not of this function.
        let fits = way(&prepared.environment.ssh, prepared.reach.clone(), false).await;
        let fits = fits.is_ok_and(|way| host.serves(&way));
        if fits && host.age() < OLDEST {
            return Some(host);
        }
        host.close().await;
        None
    }

    /// Keeps a connection for the next observation, or closes it if it would be too old by then.
    pub async fn keep(&self, name: &str, host: Host) {
        let young = host.age() + self.pause < OLDEST;
        let refused = {
            let mut hosts = self.hosts();
            if young && hosts.len() < MOST { hosts.insert(name.to_owned(), host) } else { Some(host) }
        };
        if let Some(host) = refused {
            host.close().await;
        }
    }

    /// Drops the connections of environments that no longer exist; their ssh processes end by themselves.
    pub fn retain(&self, known: impl Fn(&str) -> bool) {
        self.hosts().retain(|name, _| known(name));
    }

    /// Closes all connections, and waits until all ssh processes have ended.
    pub async fn close(&self) {
        let hosts = std::mem::take(&mut *self.hosts());
        futures::future::join_all(hosts.into_values().map(Host::close)).await;
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
