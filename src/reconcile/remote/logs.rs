//! Prints the logs of services. Records none of them.

use super::service;
use crate::io::ssh::Line;
use crate::model::bounded;
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::model::secret::Redactor;
use crate::model::shell::quote;
use crate::reconcile::connect;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::Resolve;
use crate::reconcile::session::Sessions;
use std::time::Duration;

/// The logs that are printed.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The environment.
    pub environment: String,
    /// The service; `None` means all.
    pub service: Option<String>,
    /// True if new lines are printed as they come.
    pub follow: bool,
    /// The number of last lines of each service; `None` means all.
    pub tail: Option<u32>,
}

/// The time limit of following.
const DAY: Duration = Duration::from_hours(24);

/// The longest part of a line that is shown (bytes).
const LONGEST: usize = 64 << 10;

/// The prefix that some versions of Compose put before each line, even with `--ansi never`.
const CLEAR: &str = "\u{1b}[2K";

/// Prints the logs. Failures are already printed.
pub async fn run(context: &Context, args: &Logs) -> Ending {
    logs(context, args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn logs(context: &Context, args: &Logs) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    for prepared in pass.prepare(environments, Resolve::Connection).await {
        let result = async {
            let Some(application) = &prepared.environment.application else {
                return Err(Failure::new(Reason::CommandFailed, "The environment has no application"));
            };
            let host = connect::open(
                &prepared,
                context.accept_new_host_keys,
                Duration::ZERO,
                &context.sink,
                &connect::trust_none,
            )
            .await?;
            let tail = args.tail.map_or("all".to_owned(), |lines| lines.to_string());
            let script = format!(
                "cd /\ndocker compose --env-file /dev/null --ansi never -p {} logs --no-color --tail {tail}{} {} 2>&1 </dev/null\n",
                quote(&application.project),
                if args.follow { " --follow" } else { "" },
                args.service.as_deref().map_or(String::new(), quote),
            );
            let mut line = |line: &Line| {
                context.say(Event::Said { text: shown(line, &prepared.redactor) + "\n", error: false });
                Ok(())
            };
            let followed = async {
                service::known(&host, &prepared, args.service.as_deref()).await?;
                host.follow(&script, DAY, &mut line).await
            };
            let status = followed.await;
            host.close().await;
            match status? {
                0 => Ok(()),
                status => Err(Failure::new(Reason::CommandFailed, format!("docker compose logs ended with {status}"))),
            }
        };
        if let Err(failure) = result.await {
            pass.fail(failure.on(prepared.name()));
        }
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

/// Returns a line in the form that is shown: with its secrets redacted, and cut off if it is long. The cut comes after
/// the redaction, and far from where the host cut its own line: half of a secret would not be redacted.
fn shown(line: &Line, redactor: &Redactor) -> String {
    let text = redactor.redact(line.text.trim_start_matches(CLEAR));
    if text.len() <= LONGEST {
        return text;
    }
    let kept = bounded::prefix(&text, LONGEST);
    let left_out = (text.len() - kept.len()) as u64 + line.left_out;
    format!("{kept}… [{left_out} bytes of this line are left out]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_with_a_note() {
        let redactor = Redactor::new(&["hush-hush-hush".into()]);
        let text = format!("{CLEAR}web | hush-hush-hush {}", "x".repeat(bounded::LINE));
        let line = shown(&Line { text, left_out: 5 }, &redactor);
        assert!(line.starts_with("web | ") && !line.contains("hush"), "{}", &line[..80]);
        assert!(line.len() < LONGEST + 100 && line.ends_with("bytes of this line are left out]"));
        assert_eq!(shown(&Line { text: "web | well".to_owned(), left_out: 0 }, &redactor), "web | well");
    }
}
