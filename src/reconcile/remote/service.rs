//! The services whose containers a host has: an unknown name gets an answer that names the nearest one.

use crate::io::ssh::Host;
use crate::manifest;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::resource::SHORT;

/// Number of names that a hint lists.
const LISTED: usize = 20;

/// Fails unless the project has a container of this service, running or not.
///
/// # Errors
/// `Usage` if it has none, but others; `CommandFailed` if it has no containers at all.
pub async fn known(host: &Host, project: &str, service: &str) -> Result<(), Failure> {
    let script = format!(
        "docker ps -a --filter label=com.docker.compose.project={} --format '{{{{.Label \"com.docker.compose.service\"}}}}' </dev/null\n",
        quote(project)
    );
    let output = host.run(&script, Input::Empty, SHORT).await?;
    if output.status != 0 {
        return Err(Failure::new(Reason::CommandFailed, "Docker does not report its containers").details(output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<String> = text.lines().map(checked::said).collect();
    names.sort();
    names.dedup();
    match names.iter().any(|name| name == service) {
        true => Ok(()),
        false if names.is_empty() => Err(Failure::new(Reason::CommandFailed, "The application has no containers")),
        false => Err(unknown(service, &names)),
    }
}

/// Returns the failure for a service that is none of these.
pub fn unknown(service: &str, names: &[String]) -> Failure {
    let known = || format!("Known names: {}", names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", "));
    let near = manifest::nearest(service, names.iter().map(String::as_str));
    let hint = near.map_or_else(known, |near| format!("Did you mean `{near}`?"));
    Failure::new(Reason::Usage, format!("There is no service `{service}`")).hint(hint)
}
