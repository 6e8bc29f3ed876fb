//! A local `ssh` that takes the terminal, or our own standard streams, over the connection that stands. Never opens a
//! connection of its own: the host's key is checked, and the key is given, already.

use super::Host;
use crate::failure::{Failure, Reason};
use crate::process;
use data_encoding::BASE64;

impl Host {
    /// Runs a script as root, with our own standard input, output and error; its exit code. At a terminal, with one.
    pub async fn ssh(&self, terminal: bool, script: &str) -> Result<i32, Failure> {
        let sudo = if self.sudo_password.is_some() { "sudo" } else { "sudo -n" };
        self.shell(terminal, Some(&as_root(script, sudo))).await
    }

    /// The same for a shell of the SSH user, or a command in it.
    pub async fn shell(&self, terminal: bool, command: Option<&str>) -> Result<i32, Failure> {
        let mut argv: Vec<String> = ["ssh", "-F", "/dev/null", "-S"].map(str::to_owned).to_vec();
        argv.push(self.session.control_socket().to_string_lossy().into_owned());
        // Were our connection lost, ssh would make one of its own.
        argv.extend(["-o", "ProxyCommand=false", "-o", "LogLevel=ERROR"].map(str::to_owned));
        argv.push(if terminal { "-t" } else { "-T" }.to_owned());
        argv.extend(["--".to_owned(), self.address.trim_matches(['[', ']']).to_owned()]);
        argv.extend(command.map(str::to_owned));
        let status = process::hand_over(&argv).await?;
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
    use std::time::Duration;

    #[tokio::test]
    async fn every_login_shell_runs_it() {
        for shell in ["sh", "bash", "dash", "zsh", "fish", "tcsh"] {
            for text in ["", "a", "it's \\ $x !", "two\nlines", "é🦀"] {
                let script = format!("printf %s {}; exit 7", crate::shell::quote(text));
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
