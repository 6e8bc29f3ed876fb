//! Runs a local `ssh` that uses the terminal, or our own standard streams, over the existing connection. Opens no
//! connection itself: the existing one has checked the host key and used the private key already.

use super::script::{Marks, leashed};
use super::{Host, Tail};
use crate::io::process::{self, Data};
use crate::model::failure::{Failure, Reason};
use data_encoding::BASE64;
use std::process::ExitStatus;
use std::time::Duration;

/// Time limit of a command without another limit: one day.
const DAY: Duration = Duration::from_hours(24);

impl Host {
    /// Runs a command of the SSH user, or a shell, with our own standard streams. Returns its exit code. Allocates a
    /// terminal on the host if `terminal` is true.
    pub async fn shell(&self, terminal: bool, command: Option<&str>) -> Result<i32, Failure> {
        let status = process::hand_over(&self.client(if terminal { "-t" } else { "-T" }, command)).await?;
        self.ended_with(status).await
    }

    /// Works as [`Host::shell`] does, but without a terminal. Calls `line` with each line of standard error. Standard
    /// output is inherited, or goes to `data`.
    pub async fn shell_apart(
        &self,
        command: Option<&str>,
        data: Option<Data<'_>>,
        line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<i32, Failure> {
        let status = process::hand_over_apart(&self.client("-T", command), data, line).await?;
        self.ended_with(status).await
    }

    /// Returns the command with which the SSH user runs a script as root.
    #[must_use]
    pub fn as_root(&self, script: &str) -> String {
        as_root(script, if self.sudo_password.is_some() { "sudo" } else { "sudo -n" })
    }

    /// Runs a script as root over our own session, which can answer sudo's password prompt. Standard output goes to
    /// `data` as it arrives. Returns the exit code and the standard error.
    pub async fn pour(&self, script: &str, data: Data<'_>) -> Result<(i32, String), Failure> {
        // Earlier output comes from sudo and the login shell.
        let begin = uuid::Uuid::new_v4().simple().to_string();
        let script = format!("echo {begin} >&2\n{script}");
        let unread = |error: std::io::Error| {
            Failure::new(Reason::CommandFailed, "Cannot write to standard output").because(error)
        };
        let mut each = |marks: &mut Marks| data(&marks.take_bytes()).map_err(unread);
        let (marks, status, stderr) = self.converse(&leashed(&script), Tail::Open, DAY, &mut each).await?;
        data(&marks.into_held()).map_err(unread)?;
        Ok((status, stderr.split_once(&format!("{begin}\n")).map_or(String::new(), |(_, own)| own.to_owned())))
    }

    /// Returns the command line of a local `ssh` over this connection.
    fn client(&self, terminal: &str, command: Option<&str>) -> Vec<String> {
        let mut argv: Vec<String> = ["ssh", "-F", "/dev/null", "-S"].map(str::to_owned).to_vec();
        argv.push(self.session.control_socket().to_string_lossy().into_owned());
        // If our connection were lost, ssh would open a new one. This proxy command prevents that.
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

/// Returns a command line that every login shell reads alike: it holds no character that a shell would expand.
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
                // If the tests run as a user other than root, `env` takes the place of sudo.
                let argv = [shell, "-c", &as_root(&script, "env")].map(str::to_owned);
                let finished = process::run(&argv, b"", Duration::from_secs(20)).await;
                let finished = finished.unwrap_or_else(|failure| panic!("{failure}: this test needs {shell}"));
                assert_eq!(finished.status.code(), Some(7), "{shell}: {finished:?}");
                assert_eq!(String::from_utf8_lossy(&finished.stdout), text, "{shell}");
            }
        }
    }
}
