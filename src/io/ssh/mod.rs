//! An SSH session: runs scripts, sends data, follows output, forwards ports. The only file that names `openssh`. Knows
//! nothing about the content of the scripts.

mod blocks;
mod forward;
mod hand_over;
mod host_keys;
mod identity;
mod key_format;
mod login_log;
mod master;
pub(crate) mod script;
pub(crate) mod settings;
pub(crate) mod trouble;
mod way;

pub use forward::Forward;
pub use key_format::public;
pub use script::Line;
pub use way::Way;

use crate::io::process;
use crate::io::scratch::Claim;
use crate::model::bounded::{self, Ends};
use crate::model::failure::{Failure, Reason};
use crate::model::input::{Input, Stream};
use camino::Utf8Path;
use openssh::{Child, ForwardType, Session, Socket, Stdio};
use script::Marks;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

/// Returns the failure of every connection if the program `ssh` cannot be started.
pub async fn missing() -> Option<Failure> {
    process::run(&["ssh", "-V"].map(str::to_owned), b"", Duration::from_secs(10)).await.err()
}

/// Number of scripts that run at the same time on one host. The default `MaxSessions` of sshd is 10; other clients may
/// use the rest.
const CHANNELS: usize = 6;
/// Time beyond a script's limit: the host ends the script, and `timeout -k 5` adds five seconds.
const GRACE: Duration = Duration::from_secs(10);
/// Time for a host to start a command.
const OPENING: Duration = Duration::from_secs(30);
/// Time for sudo to check a password.
const SUDO: Duration = Duration::from_secs(30);

/// Result of a script.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code of the script.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, lossily decoded, including noise from sudo and the login banner. The middle of a long text is
    /// left out.
    pub stderr: String,
}

/// A connection to one host. Scripts run there as root.
pub struct Host {
    session: Session,
    /// The claim on the session's directory.
    _claim: Claim,
    /// An idle connection to the master's socket. The master ends two seconds after its last client disconnects, so the
    /// master lives as long as this process, even if this process is killed.
    held: UnixStream,
    /// The path of the master's socket.
    control: PathBuf,
    address: String,
    command: String,
    sudo_password: Option<SecretString>,
    keys: Vec<String>,
    channels: Semaphore,
    /// Number of ports forwarded so far.
    forwards: AtomicUsize,
    /// Digest of the `Way` that this connection was made with.
    print: blake3::Hash,
    made: Instant,
}

impl Host {
    /// Connects. Retries refused connections and silent hosts for up to `wait`; calls `waiting` with the reason for
    /// each retry.
    ///
    /// # Errors
    /// One reason for each way in which a connection can fail. The message of `HostKeyUnknown` names the fingerprint.
    /// The details hold the key as `TYPE BASE64`, to pass as `known` after a user has confirmed it.
    pub async fn connect(way: &Way<'_>, wait: Duration, waiting: &(dyn Fn(&str) + Sync)) -> Result<Self, Failure> {
        let master = master::start(way, wait, waiting).await?;
        let control = master.directory.path().join("master");
        let held = UnixStream::connect(&control).await;
        let (directory, claim) = master.directory.into_parts();
        let session = Session::new_native_mux(directory);
        let held = held.map_err(|error| {
            let what = format!("The connection to {} broke at once", way.reach.address);
            Failure::new(Reason::ConnectionLost, what).because(error)
        })?;
        Ok(Self {
            session,
            _claim: claim,
            held,
            control,
            address: way.reach.address.clone(),
            command: script::command_line(way.sudo_password.is_some()),
            sudo_password: way.sudo_password.clone(),
            keys: master.keys,
            channels: Semaphore::new(CHANNELS),
            forwards: AtomicUsize::new(0),
            print: way.print(),
            made: Instant::now(),
        })
    }

    /// Returns the time since the host's key was checked.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// Returns true if this connection is not known to be lost and a new connection would be made in the same way.
    #[must_use]
    pub fn serves(&self, way: &Way<'_>) -> bool {
        self.print == way.print() && !self.ended()
    }

    /// Returns true if ssh is known to have ended.
    fn ended(&self) -> bool {
        loop {
            match self.held.try_read(&mut [0; 64]) {
                Ok(1..) => {}
                Ok(0) => return true,
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Returns the host keys that this connection verified or learned, as `TYPE BASE64`.
    pub fn host_keys(&self) -> &[String] {
        &self.keys
    }

    /// Runs a script as root, with `input` as its standard input. The script continues if the connection is lost or
    /// this future is dropped; it ends by itself or at its limit.
    ///
    /// # Errors
    /// The script's own exit code is not an error. `CommandFailed` if the script exceeds its limit, `ConnectionLost` if
    /// its end is unknown, `OutputTooLarge` if more output arrives than [`bounded`] allows; then the channel is closed.
    pub async fn run(&self, script: &str, input: Input, limit: Duration) -> Result<Output, Failure> {
        let tail = match input {
            Input::Empty => Tail::None,
            Input::Bytes(bytes) => Tail::Bytes(bytes),
            Input::File(path) => {
                let file = tokio::fs::File::open(&path).await.map_err(|error| unread(&path, error));
                Tail::File(file.map_err(|failure| failure.hint("Check that it exists and can be read"))?, path)
            }
            Input::Stream(stream) => Tail::Stream(stream),
        };
        let (marks, status, stderr) = self.converse(script, tail, limit, &mut |_| Ok(())).await?;
        Ok(Output { status, stdout: marks.into_held(), stderr })
    }

    /// Runs a script as root and calls `line` with each line of standard output. The script has no standard input. It
    /// ends with the connection, when this future is dropped, or when `line` returns an error.
    ///
    /// # Errors
    /// As [`Host::run`], and the errors of `line`.
    pub async fn follow(
        &self,
        script: &str,
        limit: Duration,
        line: &mut (dyn FnMut(&Line) -> Result<(), Failure> + Send),
    ) -> Result<i32, Failure> {
        let mut each = |marks: &mut Marks| marks.take_lines().iter().try_for_each(&mut *line);
        let (_, status, _) = self.converse(&script::leashed(script), Tail::Open, limit, &mut each).await?;
        Ok(status)
    }

    /// Returns true if the connection is lost, or is lost within a second: when a host goes down, some commands fail
    /// before the connection does.
    pub async fn gone(&self) -> bool {
        let ended = async { while self.held.readable().await.is_ok() && !self.ended() {} };
        tokio::time::timeout(Duration::from_secs(1), ended).await.is_ok()
    }

    /// Closes the connection and waits up to five seconds until ssh has ended.
    pub async fn close(self) {
        let Self { session, mut held, control, .. } = self;
        let ended = async {
            // A master that only stops listening would wait for the channels of scripts that were given up.
            let control = control.to_string_lossy();
            let exit = ["ssh", "-F", "/dev/null", "-S", &control, "-O", "exit", "host"].map(str::to_owned);
            let _ = process::run(&exit, b"", Duration::from_secs(5)).await;
            let _ = held.shutdown().await;
            let _ = held.read_to_end(&mut Vec::new()).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
        drop(session);
    }

    /// Opens or closes a forwarded port. The error holds ssh's own words.
    async fn port(&self, local: &Path, remote: SocketAddr, open: bool) -> Result<(), String> {
        let local = Socket::UnixSocket { path: local.into() };
        // The crate's own conversion puts brackets around IPv6 addresses, which sshd does not resolve.
        let remote = Socket::TcpSocket { host: remote.ip().to_string().into(), port: remote.port() };
        let done = if open {
            self.session.request_port_forward(ForwardType::Local, local, remote).await
        } else {
            self.session.close_port_forward(ForwardType::Local, local, remote).await
        };
        done.map_err(|error| error.to_string())
    }

    /// Starts a command as soon as fewer than [`CHANNELS`] run. A host that cannot start a command counts as lost.
    async fn open(&self) -> Result<(SemaphorePermit<'_>, Child<&Session>), Failure> {
        let channel = self.channels.acquire().await.map_err(|_| self.lost(""))?;
        let mut command = self.session.raw_command(&self.command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match tokio::time::timeout(OPENING, command.spawn()).await {
            Ok(child) => Ok((channel, child.map_err(|error| self.lost(&error.to_string()))?)),
            Err(_) => Err(self.lost("It does not start a command")),
        }
    }

    /// Runs one remote command: sends the script, extracts its output from the noise and detects its end.
    async fn converse(
        &self,
        script: &str,
        tail: Tail,
        limit: Duration,
        arrived: &mut (dyn FnMut(&mut Marks) -> Result<(), Failure> + Send),
    ) -> Result<(Marks, i32, String), Failure> {
        let opened = tokio::time::timeout(limit + GRACE, self.open()).await;
        let (_channel, mut child) = opened.unwrap_or_else(|_| Err(self.late(limit, "")))?;
        let nonce = uuid::Uuid::now_v7().simple().to_string();
        let (Some(stdin), Some(mut stdout), Some(stderr)) =
            (child.stdin().take(), child.stdout().take(), child.stderr().take())
        else {
            return Err(self.lost(""));
        };

        let mut marks = Marks::new(&nonce);
        let turn = Turn::default();
        let errors = Mutex::new(Ends::default());
        let parcel = Zeroizing::new(script::parcel(&nonce, limit.as_secs(), script));
        let begun = Instant::now();
        let hear = async {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stdout.read(&mut chunk).await {
                marks.push(&chunk[..length]);
                turn.tell(&marks);
                arrived(&mut marks)?;
                if let Some((what, most)) = marks.over() {
                    return Err(self.too_large(what, most));
                }
                if marks.status().is_some() {
                    break;
                }
            }
            Ok(())
        };
        let listen = async {
            if listen(stderr, &errors, &turn).await {
                Ok(())
            } else {
                Err(self.too_large("The standard error of a command", bounded::ERRORS))
            }
        };
        let exchange = exchange(hear, self.talk(stdin, &parcel, tail, &turn), listen);
        let ended = tokio::time::timeout(limit + GRACE, exchange).await;
        let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stderr = String::from_utf8_lossy(&errors.into_bytes()).into_owned();
        if let Ok(Err(failure)) = ended {
            return Err(failure);
        }
        match marks.status() {
            Some(124 | 137 | 143) if begun.elapsed() >= limit => Err(self.late(limit, &stderr)),
            Some(status) => Ok((marks, status, stderr)),
            None if ended.is_err() => Err(self.late(limit, &stderr)),
            None if marks.begun() => Err(self.lost("")),
            None if self.gone().await => Err(self.lost(&stderr)),
            None => {
                let code = tokio::time::timeout(Duration::from_secs(2), child.wait()).await;
                let noise = String::from_utf8_lossy(&marks.into_held()).into_owned();
                Err(self.unbegun(matches!(code, Ok(Ok(_) | Err(openssh::Error::Remote(_)))), &noise, &stderr))
            }
        }
    }

    /// Writes the password for sudo, the script, and the data for the script. Waits for a mark between them, because
    /// some programs read more of standard input than their own part.
    async fn talk(
        &self,
        mut stdin: openssh::ChildStdin,
        parcel: &[u8],
        tail: Tail,
        turn: &Turn,
    ) -> Result<(), Failure> {
        if let Some(password) = &self.sudo_password {
            let line = Zeroizing::new(format!("{}\n", password.expose_secret()));
            let _ = stdin.write_all(line.as_bytes()).await;
            let ready = tokio::time::timeout(SUDO, async {
                tokio::select! { () = turn.ready.notified() => true, () = turn.rejected.notified() => false }
            });
            if !ready.await.unwrap_or(false) {
                return Ok(());
            }
        }
        // Writing fails if the script ends before it has read everything. The exit code tells why.
        if stdin.write_all(parcel).await.is_err() {
            return Ok(());
        }
        if !matches!(tail, Tail::None) {
            turn.begun.notified().await;
        }
        match tail {
            Tail::None => {}
            Tail::Bytes(bytes) => {
                let _ = stdin.write_all(bytes.expose_secret()).await;
            }
            Tail::File(mut file, path) => {
                let mut chunk = vec![0; 256 * 1024];
                loop {
                    let length = file.read(&mut chunk).await.map_err(|error| unread(&path, error))?;
                    if length == 0 || stdin.write_all(&chunk[..length]).await.is_err() {
                        break;
                    }
                }
            }
            Tail::Stream(stream) => {
                let (mut blocks, producer) = blocks::start(&stream);
                while let Some(block) = blocks.recv().await {
                    // The script ended early. Its exit code tells why.
                    if stdin.write_all(&block).await.is_err() {
                        return Ok(());
                    }
                }
                let ended = producer.await.map_err(std::io::Error::other).flatten();
                ended.map_err(|error| Failure::new(Reason::UploadFailed, "Cannot upload").because(error))?;
            }
            Tail::Open => {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    fn lost(&self, why: &str) -> Failure {
        Failure::new(Reason::ConnectionLost, format!("The connection to {} broke while a command ran", self.address))
            .details(why)
    }

    fn too_large(&self, what: &str, most: usize) -> Failure {
        Failure::too_large(&format!("{what} on {}", self.address), most)
    }

    fn late(&self, limit: Duration, stderr: &str) -> Failure {
        let limit = humantime::format_duration(limit);
        Failure::new(Reason::CommandFailed, format!("A command on {} did not end within {limit}", self.address))
            .details(stderr)
    }

    /// Returns the reason why the script did not begin.
    fn unbegun(&self, ended: bool, noise: &str, stderr: &str) -> Failure {
        if stderr.matches(script::PROMPT).count() > 1 {
            let message = format!("sudo on {} rejects the password", self.address);
            return Failure::new(Reason::SudoPassword, message).hint("Check ssh.sudo_password");
        }
        if let Some((reason, line)) = trouble::of_sudo(stderr) {
            return Failure::new(reason, format!("Cannot become root on {}: {line}", self.address));
        }
        if !ended {
            return self.lost(stderr);
        }
        let message = format!("The login shell on {} does not run commands", self.address);
        Failure::new(Reason::CommandFailed, message)
            .hint("Give the user a shell such as /bin/sh")
            .details(format!("{noise}{stderr}"))
    }
}

fn unread(path: &Utf8Path, error: std::io::Error) -> Failure {
    Failure::new(Reason::UploadFailed, format!("The file {path} cannot be read")).because(error)
}

/// The data that follows a script on its standard input.
enum Tail {
    None,
    Bytes(SecretSlice<u8>),
    File(tokio::fs::File, camino::Utf8PathBuf),
    Stream(Stream),
    /// No data, but standard input stays open until the output ends.
    Open,
}

/// Signals for the writer: sudo is done, the password is rejected, the script has begun.
#[derive(Default)]
struct Turn {
    ready: Notify,
    rejected: Notify,
    begun: Notify,
}

impl Turn {
    fn tell(&self, marks: &Marks) {
        if marks.ready() {
            self.ready.notify_one();
        }
        if marks.begun() {
            self.begun.notify_one();
        }
    }
}

/// Writes and reads concurrently, until the output has ended or one of the three futures fails.
async fn exchange(
    hear: impl Future<Output = Result<(), Failure>>,
    talk: impl Future<Output = Result<(), Failure>>,
    listen: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::pin!(hear, talk, listen);
    let (mut talked, mut listened) = (false, false);
    loop {
        tokio::select! {
            result = &mut hear => {
                result?;
                break;
            }
            result = &mut listen, if !listened => {
                result?;
                listened = true;
            }
            result = &mut talk, if !talked => {
                result?;
                talked = true;
            }
        }
    }
    if !listened {
        // A process that the script left behind may hold standard error open for long.
        let _ = tokio::time::timeout(Duration::from_secs(1), listen).await;
    }
    Ok(())
}

/// Collects standard error to its end. Returns `false` if more arrives than any script prints. A second prompt of sudo
/// means that the password is wrong.
async fn listen(mut stderr: openssh::ChildStderr, into: &Mutex<Ends>, turn: &Turn) -> bool {
    let mut chunk = vec![0; 16 * 1024];
    let mut asked = false;
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        let mut said = into.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(&chunk[..length]);
        let prompt = script::PROMPT.as_bytes();
        let beginning = &said.head()[..said.head().len().min(64 * 1024)];
        if !asked && beginning.windows(prompt.len()).filter(|window| *window == prompt).count() > 1 {
            asked = true;
            turn.rejected.notify_one();
        }
        if said.is_over() {
            return false;
        }
    }
    true
}
