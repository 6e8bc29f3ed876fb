//! The services whose containers a host has: an unknown name gets an answer that names the nearest one.

use crate::io::ssh::Host;
use crate::manifest;
use crate::model::checked;
use crate::model::failure::{Failure, Reason};
use crate::model::input::Input;
use crate::model::shell::quote;
use crate::reconcile::connect::no_release;
use crate::reconcile::prepare::Prepared;
use crate::resource::SHORT;

/// Number of names that a hint lists.
const LISTED: usize = 20;

/// Fails unless the application has a container of this service, running or not. `None` means any service.
///
/// # Errors
/// `ReleaseUnknown` if the host has no release and no container, `CommandFailed` if it has a release without
/// containers, `Usage` if it has containers of other services only.
pub async fn known(host: &Host, prepared: &Prepared, service: Option<&str>) -> Result<(), Failure> {
    let project = prepared.environment.application.as_ref().map(|application| application.project.as_str());
    let script = format!(
        "{}released=no\nfor name in current swapping; do [ ! -e \"$state/$name.json\" ] || released=yes; done\n\
         echo \"$released\"\ncommand -v docker >/dev/null || exit 0\n\
         docker ps -a --filter label=com.docker.compose.project={} --format '{{{{.Label \"com.docker.compose.service\"}}}}' </dev/null\n",
        prepared.subject().preamble(),
        quote(project.unwrap_or_default())
    );
    let output = host.run(&script, Input::Empty, SHORT).await?;
    if output.status != 0 {
        return Err(Failure::new(Reason::CommandFailed, "Docker does not report its containers").details(output.stderr));
    }
    judge(&String::from_utf8_lossy(&output.stdout), prepared.name(), service)
}

/// Judges the host's answer: `yes` or `no` for a release, then the service of each container.
fn judge(said: &str, environment: &str, service: Option<&str>) -> Result<(), Failure> {
    let (released, containers) = said.split_once('\n').unwrap_or((said, ""));
    let mut names: Vec<String> = containers.lines().map(checked::said).collect();
    names.sort();
    names.dedup();
    match service {
        _ if names.is_empty() && released == "yes" => {
            Err(Failure::new(Reason::CommandFailed, format!("The release of {environment} has no containers"))
                .hint(format!("Run deployer apply {environment} to start its services")))
        }
        _ if names.is_empty() => Err(no_release(environment)),
        Some(service) if !names.iter().any(|name| name == service) => Err(unknown(service, &names)),
        _ => Ok(()),
    }
}

/// Returns the failure for a service that is none of these.
pub fn unknown(service: &str, names: &[String]) -> Failure {
    let known = || format!("Known names: {}", names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", "));
    let near = manifest::nearest(service, names.iter().map(String::as_str));
    let hint = near.map_or_else(known, |near| format!("Did you mean `{near}`?"));
    Failure::new(Reason::Usage, format!("There is no service `{service}`")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_containers_says_what_to_run() {
        let failure = |said, service| judge(said, "production", service).expect_err("a failure");
        for (said, service) in [("no\n", None), ("no\n", Some("web")), ("", Some("web"))] {
            let failure = failure(said, service);
            assert_eq!(failure.message(), "production has no release on its host");
            assert_eq!(failure.advice(), "Run deployer apply production first");
        }
        let stopped = failure("yes\n", None);
        assert_eq!(stopped.message(), "The release of production has no containers");
        assert_eq!(stopped.advice(), "Run deployer apply production to start its services");
    }

    #[test]
    fn containers_without_a_release_are_known_too() {
        assert!(judge("no\nweb\nweb\ndb\n", "production", Some("db")).is_ok());
        assert!(judge("no\nweb\n", "production", None).is_ok());
        assert_eq!(judge("yes\nweb\n", "production", Some("wep")).expect_err("a failure").reason, Reason::Usage);
    }
}
