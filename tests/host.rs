//! The SSH session against a private sshd on the loopback interface. Never touches the machine's own sshd, and never
//! skips: it needs root and Debian's openssh-server.

#![expect(clippy::disallowed_methods, reason = "the test starts its own sshd and makes its own keys")]

use camino::Utf8PathBuf;
use deployer::failure::{Failure, Reason};
use deployer::host::{Host, Input, Output, Way};
use deployer::manifest::environment::{Identity, Ssh};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// An sshd of its own: port, keys, configuration and log in a directory that goes with it.
struct Sshd {
    directory: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    fn start(extra: &str) -> Self {
        assert!(Path::new("/usr/sbin/sshd").exists(), "this test needs /usr/sbin/sshd: install openssh-server");
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(owner(directory.path()), 0, "this test needs root: it starts an sshd");
        fs::create_dir_all("/run/sshd").unwrap();
        for (name, passphrase) in [("host", ""), ("id", ""), ("other", ""), ("locked", "secret words")] {
            keygen(directory.path(), name, passphrase);
        }
        let keys = ["id.pub", "locked.pub"].map(|name| fs::read_to_string(directory.path().join(name)).unwrap());
        fs::write(directory.path().join("authorized"), keys.concat()).unwrap();
        let port = free_port();
        let mut sshd = Self { child: Command::new("true").spawn().unwrap(), directory, port };
        sshd.configure(extra);
        sshd.up();
        sshd
    }

    fn configure(&self, extra: &str) {
        let path = |name| self.path(name);
        let config = format!(
            "{extra}\nPort {}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nPidFile none\nLogLevel VERBOSE\nMaxStartups 100\n",
            self.port,
            path("host"),
            path("authorized")
        );
        fs::write(path("config"), config).unwrap();
    }

    fn up(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        self.child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", self.path("config").as_str()])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < SOON, "sshd does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        // The knock above must not be counted.
        std::thread::sleep(Duration::from_millis(50));
        fs::write(self.path("log"), "").unwrap();
    }

    fn down(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().join(name)).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `TYPE BASE64` of a public key.
    fn key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Pinned, with the right key.
    fn ssh(&self) -> Ssh {
        Ssh {
            port: Some(self.port),
            user: Some("root".into()),
            identity: Some(Identity::File(self.path("id"))),
            host_key: vec![self.key("host")],
            jump: None,
            sudo_password: None,
            connect_timeout: Duration::from_secs(5),
            wait: Duration::ZERO,
        }
    }

    async fn host(&self) -> Host {
        connect(&self.ssh()).await.unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.down();
    }
}

fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap())
}

fn keygen(directory: &Path, name: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", name, "-N", passphrase, "-f"])
        .arg(directory.join(name))
        .status();
    assert!(made.unwrap().success());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn way(ssh: &Ssh) -> Way<'_> {
    Way { address: "127.0.0.1", ssh, sudo_password: None, key_text: None, known: &[], accept_new: false }
}

async fn dial(way: &Way<'_>) -> Result<Host, Failure> {
    Host::connect(way, way.ssh.wait, &|_| ()).await
}

async fn connect(ssh: &Ssh) -> Result<Host, Failure> {
    dial(&way(ssh)).await
}

async fn refusal(way: &Way<'_>) -> Failure {
    match dial(way).await {
        Ok(_) => panic!("this connection must fail"),
        Err(failure) => failure,
    }
}

async fn run(host: &Host, script: &str) -> Output {
    host.run(script, Input::Empty, SOON).await.unwrap()
}

#[tokio::test]
async fn runs_scripts_with_all_their_bytes() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let output = run(&host, "echo out; echo err >&2; printf end; exit 3").await;
    assert_eq!((output.status, output.stdout.as_slice(), output.stderr.as_str()), (3, b"out\nend".as_slice(), "err\n"));
    for code in [0, 1, 126, 127, 255] {
        assert_eq!(run(&host, &format!("exit {code}")).await.status, code);
    }
    let data: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let output = host.run("cat", Input::Bytes(data.clone()), SOON).await.unwrap();
    assert!(output.stdout == data && output.status == 0);
    host.close().await;
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "{}", sshd.log());
}
