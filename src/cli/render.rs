//! `deployer render`: the files of a release, on this machine. Never contacts a host.

use super::pass::{Keep, Pass, refuse};
use super::{Context, Ending};
use crate::application::release::{Content, File};
use crate::event::{Event, Outcome};
use crate::execute::Sessions;
use crate::failure::{Failure, Reason};
use camino::Utf8Path;
use std::os::unix::fs::OpenOptionsExt as _;

/// Write every file that would be sent into a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The directory; made where there is none
    #[arg(short, long, value_name = "DIR")]
    pub output: camino::Utf8PathBuf,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Ending {
    render(context, &args).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn render(context: &Context, args: &Args) -> Result<Ending, Vec<Failure>> {
    let mut pass = Pass::open(context, Keep::IfThere).await?;
    let environments = pass.select(std::slice::from_ref(&args.environment), false)?;
    for prepared in pass.prepare(environments, false).await {
        let files = prepared.release.iter().flat_map(|release| &release.files);
        let mut written = 0;
        for (path, file) in files {
            let target = args.output.join(path);
            if let Err(error) = write(&target, file) {
                pass.fail(Failure::new(Reason::ApplicationInvalid, format!("{target} cannot be written: {error}")));
                break;
            }
            written += 1;
        }
        context.say(Event::Note(format!("{written} files written to {}", args.output)));
    }
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

fn write(target: &Utf8Path, file: &File) -> std::io::Result<()> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A file of another mode that stands there keeps its mode: it is made anew.
    let _ = std::fs::remove_file(target);
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(file.mode).open(target)?;
    match &file.content {
        Content::Bytes(bytes) => std::io::Write::write_all(&mut out, bytes),
        Content::Path(path) => std::io::copy(&mut std::fs::File::open(path)?, &mut out).map(|_| ()),
    }
}
