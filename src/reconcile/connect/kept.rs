//! Connections kept open between two looks at a host: most of what a look costs is the key exchange of a new one. Never
//! keeps one for long: now and then it is shown that the host can be reached and has the key that is expected.

use super::way;
use crate::io::ssh::Host;
use crate::reconcile::prepare::Prepared;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The oldest a connection may be when it is used: then its host's key is checked anew.
const OLDEST: Duration = Duration::from_mins(30);
/// How many are kept at most: each is an ssh process.
const MOST: usize = 100;

/// Connections by environment, each used by one pass at a time.
pub struct Kept {
    pause: Duration,
    hosts: Mutex<BTreeMap<String, Host>>,
}

impl Kept {
    /// None yet; a host is looked at again after at most this pause.
    #[must_use]
    pub const fn new(pause: Duration) -> Self {
        Self { pause, hosts: Mutex::new(BTreeMap::new()) }
    }

    /// Takes out the connection to an environment's host, if it lives and one made now would be made the same way;
    /// `known` are host keys of an earlier contact. Another one is closed.
    pub async fn take(&self, prepared: &Prepared, known: &[String]) -> Option<Host> {
        let host = self.hosts().remove(prepared.name())?;
        // A secret that cannot be had is a failure for whoever connects.
        let fits = way(&prepared.environment, known, false).await.is_ok_and(|way| host.serves(&way));
        if fits && host.age() < OLDEST {
            return Some(host);
        }
        host.close().await;
        None
    }

    /// Keeps a connection for the next look, or closes it where it would be too old then.
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

    /// Drops the connections of environments that are no more; their ssh ends by itself.
    pub fn retain(&self, known: impl Fn(&str) -> bool) {
        self.hosts().retain(|name, _| known(name));
    }

    /// Closes all, and waits until every ssh has gone.
    pub async fn close(&self) {
        let hosts = std::mem::take(&mut *self.hosts());
        futures::future::join_all(hosts.into_values().map(Host::close)).await;
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
