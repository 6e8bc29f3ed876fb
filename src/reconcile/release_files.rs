//! Writes the files of a release into a directory of the runner, for `deployer render`. Contacts no host.

use crate::manifest::below::{self, Draft};
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::prepare::{Prepared, Resolve};
use crate::reconcile::session::Sessions;
use crate::release::sent::{Content, File};
use camino::Utf8Path;
use std::io;

/// The subdirectory of the output with OpenTofu's inputs.
const TOFU: &str = "opentofu";

/// Writes the files. With `offline`, leaves out those that need a value that the manifest does not hold. Failures are
/// already printed.
pub async fn run(context: &Context, environment: &str, output: &Utf8Path, offline: bool) -> Ending {
    render(context, environment, output, offline).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn render(
    context: &Context,
    environment: &str,
    output: &Utf8Path,
    offline: bool,
) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::Read).await?;
    let environments = pass.select(&[environment.to_owned()], false)?;
    context.admit_output(output).map_err(|failure| vec![failure])?;
    let resolve = if offline { Resolve::Literals } else { Resolve::Everything };
    for mut prepared in pass.prepare(environments, resolve).await {
        let left_out = unresolved(&mut prepared);
        if !left_out.is_empty() {
            let message = format!("Left out because it needs a value that was not read: {}", left_out.join(", "));
            context.say(Event::Warning { environment: Some(prepared.name().to_owned()), message });
        }
        match all(&pass, &prepared, output, resolve).await {
            Ok(1) => context.say(Event::Note(format!("Wrote 1 file to {output}"))),
            Ok(written) => context.say(Event::Note(format!("Wrote {written} files to {output}"))),
            Err(failure) => pass.fail(failure.on(prepared.name())),
        }
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

/// Removes the files that need a value which was not read. Returns their names.
fn unresolved(prepared: &mut Prepared) -> Vec<String> {
    let files = prepared.release.iter_mut().map(|release| &mut release.files);
    let gone = files.flat_map(|files| files.extract_if(.., |_, file| file.sha256.is_none()));
    gone.map(|(path, _)| path.into_string()).collect()
}

/// Writes all files and returns their number. Existing files are replaced only after all new ones are written.
async fn all(pass: &Pass, prepared: &Prepared, output: &Utf8Path, resolve: Resolve) -> Result<usize, Failure> {
    let cannot = |path: &Utf8Path, error: io::Error| {
        let target = output.join(path);
        let failure = Failure::new(Reason::ApplicationInvalid, format!("{target} cannot be written"));
        failure.because(error).or_disk(target)
    };
    let given = pass.shown_to_tofu(&prepared.environment, resolve).await?;
    let mut drafts = Vec::new();
    for (path, file) in prepared.release.iter().flat_map(|release| &release.files) {
        if path.starts_with(TOFU) && !given.is_empty() {
            let message = format!("The application's {path} conflicts with the directory for OpenTofu's files");
            return Err(Failure::new(Reason::ApplicationInvalid, message));
        }
        drafts.push((path.clone(), draft(output, path, file).map_err(|error| cannot(path, error))?));
    }
    for (name, text) in given {
        let path = Utf8Path::new(TOFU).join(name);
        let made = below::draft(output, &path, 0o644, &mut text.as_bytes()).map_err(|error| cannot(&path, error))?;
        drafts.push((path, made));
    }
    let written = drafts.len();
    for (path, draft) in drafts {
        draft.keep().map_err(|error| cannot(&path, error))?;
    }
    Ok(written)
}

/// Writes one file. A secret file is readable only by its owner, unless the manifest lists it as readable.
fn draft(output: &Utf8Path, path: &Utf8Path, file: &File) -> io::Result<Draft> {
    let mode = match &file.content {
        Content::Path(_) if file.secret => file.mode & 0o700,
        _ => file.mode,
    };
    // A file that needs an unresolved value is written empty.
    if file.sha256.is_none() {
        return below::draft(output, path, mode, &mut io::empty());
    }
    below::draft(output, path, mode, &mut file.checked(path)?)
}
