//! Rules of the `configure.engine` section. Contacts no repository.

use super::scalars::{switch, version};
use super::{Reading, shown};
use crate::manifest::claim::Need;
use crate::manifest::environment::{EngineRepository, EngineSource, EngineWish};
use crate::manifest::spec::{EngineSpec, RepositorySpec};
use crate::manifest::written::Written;

/// Reads the section.
pub fn read(spec: &EngineSpec, reading: &mut Reading<'_>) -> EngineWish {
    let source = spec.source.value().copied().unwrap_or(EngineSource::Auto);
    if let (EngineSource::Distribution, Some(unused)) = (source, &spec.repository.0) {
        let hint = "Remove one of them: with `source: distribution` the repository is not used";
        reading.report.fault(unused.spot, "`repository` and `source: distribution` contradict each other", hint);
    }
    EngineWish {
        minimum: version(&spec.minimum, (24, 0), "minimum", reading.report),
        install: switch(&spec.install, true, "install", reading.report),
        source,
        ipv6: spec.ipv6.0.is_some().then(|| switch(&spec.ipv6, false, "ipv6", reading.report)),
        repository: spec.repository.0.as_ref().and_then(|written| repository(written, reading)),
    }
}

/// Reads the mirror. The key's text is filled in when the manifest is loaded.
fn repository(written: &Written<RepositorySpec>, reading: &mut Reading<'_>) -> Option<EngineRepository> {
    let (Some(url), Some(key_file)) = (&written.value.url.0, &written.value.key_file.0) else {
        let message = "`repository` needs both `url` and `key_file`";
        reading.report.fault(written.spot, message, "Name the mirror and the key that signs it");
        return None;
    };
    let web = url.value.starts_with("https://") || url.value.starts_with("http://");
    let host = url.value.split('/').nth(2).is_some_and(|host| !host.is_empty());
    if !web || !host || url.value.contains(|c: char| c.is_whitespace() || "[]\"'\\".contains(c)) {
        let message = format!("`{}` is not the URL of a package repository", shown(&url.value));
        reading.report.fault(url.spot, message, "Write the part before the suite: https://HOST/linux/debian");
    }
    reading.existing(key_file, Need::Key, "The repository's key");
    Some(EngineRepository { url: url.value.trim_end_matches('/').to_owned(), key: String::new() })
}
