//! The way to a host. Pure.

/// Way to the host of an environment: declared in the manifest, and for a machine that OpenTofu makes, recorded or
/// found in its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// DNS name, IPv4 or IPv6 address, or an alias of the user's ssh configuration; empty while there is no machine.
    pub address: String,
    /// TCP port; `None` leaves it to the user's ssh configuration (22).
    pub port: Option<u16>,
    /// Login name; `None` leaves it to the user's ssh configuration.
    pub user: Option<String>,
    /// Host keys.
    pub keys: HostKeys,
}

/// Host keys that are known before a connection, each `TYPE BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// Keys from the manifest or the outputs of a module, at least one. The user's known hosts do not count.
    Pinned(Vec<String>),
    /// Keys of an earlier contact. They count in addition to the user's known hosts.
    Recorded(Vec<String>),
}

impl Reach {
    /// Replaces the recorded keys. Pinned keys stay.
    #[must_use]
    pub fn recording(mut self, keys: &[String]) -> Self {
        if let HostKeys::Recorded(recorded) = &mut self.keys {
            keys.clone_into(recorded);
        }
        self
    }
}

impl HostKeys {
    /// Returns the keys.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        let (Self::Pinned(keys) | Self::Recorded(keys)) = self;
        keys
    }
}
