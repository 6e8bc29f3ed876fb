//! From the manifest's application section to the files and images of a release. Never contacts a host.

pub mod release;
