//! A local `ssh` that takes the terminal, or our own standard streams, over the connection that stands. Never opens a
//! connection of its own: the host's key is checked, and the key is given, already.

use super::script::{Marks, leashed};
use super::{Host, Tail};
use crate::io::process::{self, Data};
use crate::model::failure::{Failure, Reason};
use data_encoding::BASE64;
use std::process::ExitStatus;
use std::time::Duration;

/// How long a command may take that nobody watches.
const DAY: Duration = Duration::from_hours(24);

impl Host {
    /// Runs a command of the SSH user, or a shell, with our own standard streams; its exit code. At a terminal, with one.
    pub async fn shell(&self, terminal: bool, command: Option<&str>) -> Result<i32, Failure> {
        let status = process::hand_over(&self.client(if terminal { "-t" } else { "-T" }, command)).await?;
        self.ended_with(status).await
    }

    /// Does the same without a terminal, and gives each line of standard error to `line`. Standard output is ours, or
    /// goes to `data`.
    pub async fn shell_apart(
        &self,
        command: Option<&str>,
        data: Option<Data<'_>>,
        line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<i32, Failure> {
        let status = process::hand_over_apart(&self.client("-T", command), data, line).await?;
        self.ended_with(status).await
    }

    /// The command by which the SSH user runs a script as root.
    #[must_use]
    pub fn as_root(&self, script: &str) -> String {
        as_root(script, if self.sudo_password.is_some() { "sudo" } else { "sudo -n" })
    }

    /// Runs a script as root over our own session, which can answer a sudo that asks. Its standard output goes to `data`
    /// as it comes; returns its exit code and its standard error.
    pub async fn pour(&self, script: &str, data: Data<'_>) -> Result<(i32, String), Failure> {
        // What comes before is of sudo and the login shell.
        let begin = uuid::Uuid::new_v4().simple().to_string();
        let script = format!("echo {begin} >&2\n{script}");
        let unread = |error: std::io::Error| {
            Failure::new(Reason::CommandFailed, format!("Cannot write to standard output: {error}"))
        };
        let mut each = |marks: &mut Marks| data(&marks.take_bytes()).map_err(unread);
        let (marks, status, stderr) = self.converse(&leashed(&script), Tail::Open, DAY, &mut each).await?;
        data(&marks.into_held()).map_err(unread)?;
        Ok((status, stderr.split_once(&format!("{begin}\n")).map_or(String::new(), |(_, own)| own.to_owned())))
    }

    /// The command line of a local `ssh` over this connection.
    fn client(&self, terminal: &str, command: Option<&str>) -> Vec<String> {
        let mut argv: Vec<String> = ["ssh", "-F", "/dev/null", "-S"].map(str::to_owned).to_vec();
        argv.push(self.session.control_socket().to_string_lossy().into_owned());
        // Were our connection lost, ssh would make one of its own.
        argv.extend(["-o", "ProxyCommand=false", "-o", "LogLevel=ERROR", terminal, "--"].map(str::to_owned));
        argv.push(self.address.trim_matches(['[', ']']).to_owned());
        argv.extend(command.map(str::to_owned));
        argv
    }

    async fn ended_with(&self, status: ExitStatus) -> Result<i32, Failure> {
        match status.code() {
            Some(255) if self.gone().await => {
                Err(Failure::new(Reason::ConnectionLost, format!("The connection to {} broke", self.address)))
            }
            code => Ok(code.unwrap_or(1)),
        }
    }
}

/// A command line that every login shell reads alike: it holds no character that one of them would expand.
fn as_root(script: &str, sudo: &str) -> String {
    let script = BASE64.encode(script.as_bytes());
    format!(
        "exec sh -c 'script=$(echo {script} | base64 -d); case $(id -u) in 0) exec sh -c \"$script\";; *) exec {sudo} -- sh -c \"$script\";; esac'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_login_shell_runs_it() {
        for shell in ["sh", "bash", "dash", "zsh", "fish", "tcsh"] {
            for text in ["", "a", "it's \\ $x !", "two\nlines", "é🦀"] {
                let script = format!("printf %s {}; exit 7", crate::model::shell::quote(text));
                // In tests as another user, a sudo that is none.
                let argv = [shell, "-c", &as_root(&script, "env")].map(str::to_owned);
                let finished = process::run(&argv, b"", Duration::from_secs(20)).await;
                let finished = finished.unwrap_or_else(|failure| panic!("{failure}: this test needs {shell}"));
                assert_eq!(finished.status.code(), Some(7), "{shell}: {finished:?}");
                assert_eq!(String::from_utf8_lossy(&finished.stdout), text, "{shell}");
            }
        }
    }
}
