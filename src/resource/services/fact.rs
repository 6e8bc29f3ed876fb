//! Names of the facts about services. A Compose service can have any name, even that of another fact, and the label of
//! a container that somebody else started can have any text.

use std::fmt;

/// One fact about services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The digest of the release.
    Release,
    /// The result of a check.
    Check(&'a str),
    /// A network of the application, by its name at the engine.
    Network(&'a str),
    /// A volume of the application, by its name at the engine.
    Volume(&'a str),
    /// Data of the host that services mount, by its path.
    Data(&'a str),
    /// The volumes of another Compose project.
    Volumes(&'a str),
    /// The state of a service in another Compose project, as `PROJECT/SERVICE`.
    Former(&'a str),
    /// The state of a service.
    Service(&'a str),
}

/// Name of [`Fact::Release`], and the beginnings of the names of other facts.
const RELEASE: &str = "release";
const CHECK: &str = "check ";
const VOLUMES: &str = "volumes of ";
const NETWORK: &str = "network ";
const VOLUME: &str = "volume ";
const DATA: &str = "data ";
/// Beginning of the names of those services whose own names would be another fact's.
const SERVICE: &str = "service ";

impl<'a> Fact<'a> {
    /// Parses the name of a fact.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        let after = |beginning| name.strip_prefix(beginning);
        if name == RELEASE {
            Self::Release
        } else if let Some(check) = after(CHECK) {
            Self::Check(check)
        } else if let Some(project) = after(VOLUMES) {
            Self::Volumes(project)
        } else if let Some(network) = after(NETWORK) {
            Self::Network(network)
        } else if let Some(volume) = after(VOLUME) {
            Self::Volume(volume)
        } else if let Some(path) = after(DATA) {
            Self::Data(path)
        } else if let Some(service) = after(SERVICE) {
            Self::Service(service)
        } else if name.contains('/') {
            Self::Former(name)
        } else {
            Self::Service(name)
        }
    }

    /// Returns the service's name, if this fact is the state of a service.
    #[must_use]
    pub fn service(self) -> Option<&'a str> {
        match self {
            Self::Service(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Fact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release => f.write_str(RELEASE),
            Self::Check(name) => write!(f, "{CHECK}{name}"),
            Self::Volumes(project) => write!(f, "{VOLUMES}{project}"),
            Self::Network(name) => write!(f, "{NETWORK}{name}"),
            Self::Volume(name) => write!(f, "{VOLUME}{name}"),
            Self::Data(path) => write!(f, "{DATA}{path}"),
            Self::Service(name) if Fact::of(name) != *self => write!(f, "{SERVICE}{name}"),
            Self::Former(name) | Self::Service(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_service_has_its_own_fact(name in "(service |check |volumes of |network |volume |data |release|[a-z/ ]){0,4}") {
            let fact = Fact::Service(&name).to_string();
            prop_assert_eq!(Fact::of(&fact), Fact::Service(&name));
        }
    }

    #[test]
    fn facts_keep_the_names_that_saved_plans_and_stores_have() {
        let names = ["release", "check page", "volumes of shop", "shop--old/web", "web"];
        for name in names {
            assert_eq!(Fact::of(name).to_string(), name);
        }
        assert_eq!(Fact::Service("release").to_string(), "service release");
    }
}
