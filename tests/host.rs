//! The SSH session against a private sshd on the loopback interface. It does not touch the machine's own sshd, and is
//! never skipped: it needs root and Debian's openssh-server.

#![expect(clippy::disallowed_methods, reason = "the test starts its own sshd and makes its own keys")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use camino::Utf8PathBuf;
use deployer::io::ssh::{Host, Line, Output, Way};
use deployer::manifest::environment::{Identity, Ssh};
use deployer::model::failure::{Failure, Reason};
use deployer::model::input::{Input, Stream};
use deployer::model::reach::Reach;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);

/// A private sshd, with its port, keys, configuration and log in a directory that is removed with it.
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
        // The connection above must not be counted.
        while !self.log().contains("Connection from") {
            assert!(begun.elapsed() < SOON, "sshd does not log: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
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

    /// Returns `TYPE BASE64` of a public key.
    fn key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Returns a connection with the right host key pinned.
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
    Way { reach: ssh.reach("127.0.0.1"), ssh, sudo_password: None, key_text: None, accept_new: false }
}

fn recorded(ssh: &Ssh, keys: &[String]) -> Reach {
    ssh.reach("127.0.0.1").recording(keys)
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

/// Waits until a condition holds, and fails with `what` if it never does.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < SOON, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the processes of this machine whose arguments contain a text.
fn processes_with(text: &str) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter(|id: &u32| *id != std::process::id())
        .filter(|id| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| contains(&line, text)))
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn runs_scripts_with_all_their_bytes() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let output = run(&host, "echo out; echo err >&2; printf end; exit 3").await;
    assert_eq!((output.status, output.stdout.as_slice(), output.stderr.as_str()), (3, b"out\nend".as_slice(), "err\n"));
    for code in [0, 1, 124, 126, 127, 255] {
        assert_eq!(run(&host, &format!("exit {code}")).await.status, code);
    }
    assert_eq!(run(&host, "no-such-program-here").await.status, 127);
    assert_eq!(run(&host, "if").await.status, 2, "a syntax error is the script's own");
    assert_eq!(run(&host, "").await.status, 0);

    let data: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let output = host.run("cat", Input::Bytes(data.clone().into()), SOON).await.unwrap();
    assert!(output.stdout == data && output.status == 0);
    let file = sshd.path("data");
    fs::write(&file, &data).unwrap();
    let large = format!("sha256sum >/dev/null # {}\nprintf done", "x".repeat(2 << 20));
    let output = host.run(&large, Input::File(file), SOON).await.unwrap();
    assert_eq!(output.stdout, b"done");
    // A stream starts again for each attempt, and an error in the stream fails the upload.
    let bytes = data.clone();
    let stream = Stream::new(move |out| out.write_all(&bytes));
    for _ in 0..2 {
        let output = host.run("cat", Input::Stream(stream.clone()), SOON).await.unwrap();
        assert!(output.stdout == data && output.status == 0);
    }
    assert_eq!(host.run("exit 5", Input::Stream(stream), SOON).await.unwrap().status, 5);
    let broken = Stream::new(|out| out.write_all(b"half").and(Err(std::io::Error::other("page changed"))));
    let broken = host.run("cat", Input::Stream(broken), SOON).await.unwrap_err();
    assert_eq!((broken.reason, broken.message().as_str()), (Reason::UploadFailed, "Cannot upload: page changed"));
    // A script that does not read its input causes neither a deadlock nor a failure.
    assert_eq!(host.run("exit 4", Input::Bytes(data.into()), SOON).await.unwrap().status, 4);
    let missing = host.run("cat", Input::File(sshd.path("missing")), SOON).await.unwrap_err();
    assert_eq!(missing.reason, Reason::UploadFailed);
    host.close().await;
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "{}", sshd.log());
}

#[tokio::test]
async fn opens_one_connection_and_one_command_a_run() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    // More parallel scripts than MaxSessions allows.
    let scripts: Vec<_> = (0..14).map(|number| format!("sleep 0.2; echo {number}")).collect();
    let runs = scripts.iter().map(|script| run(&host, script));
    let outputs: Vec<_> = futures::future::join_all(runs).await.into_iter().map(|output| output.stdout).collect();
    for (number, output) in outputs.iter().enumerate() {
        assert_eq!(String::from_utf8_lossy(output), format!("{number}\n"));
    }
    host.close().await;
    let log = sshd.log();
    assert_eq!(
        (log.matches("Connection from").count(), log.matches("Starting session: command").count()),
        (1, 14),
        "{log}"
    );
}

#[tokio::test]
async fn forwards_ports_until_they_are_closed() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let forward = host.forward(listener.local_addr().unwrap()).await.unwrap();
        let local = forward.local.clone();
        // A port of this machine would be open to its other accounts.
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&local) & 0o077, mode(local.parent().unwrap())), (0, 0o700));
        let mut near = tokio::net::UnixStream::connect(&local).await.unwrap();
        let (mut far, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
        far.write_all(b"well").await.unwrap();
        far.shutdown().await.unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "well", "{address}");
        forward.close().await;
        until("the port is closed", || UnixStream::connect(&local).is_err()).await;
    }
    assert_eq!(run(&host, "echo on").await.stdout, b"on\n", "the connection goes on");
    let forward = host.forward("127.0.0.1:9".parse().unwrap()).await.unwrap();
    let local = forward.local;
    host.close().await;
    until("the port goes with the connection", || UnixStream::connect(&local).is_err()).await;
}

#[tokio::test]
async fn leaves_nothing_behind() {
    let sshd = Sshd::start("");
    let mark = format!("-p\0{}\0", sshd.port);
    for drop_it in [false, true] {
        let host = sshd.host().await;
        let directory = directory_of(sshd.port);
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        // A host's messages in ssh's log take no space while the connection lasts.
        let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|entry| entry.file_type().unwrap().is_file()).map(|entry| entry.file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["config", "known", "lock", "offered"]);
        if drop_it {
            drop(host);
        } else {
            host.close().await;
            assert!(!directory.exists());
        }
        until("the master ends", || processes_with(&mark).is_empty()).await;
        until("its directory goes", || !directory.exists()).await;
    }
    // A connection that fails takes no space either.
    let other = sshd.key("other");
    let count =
        || fs::read_dir("/tmp").unwrap().filter(|entry| is_ours(&entry.as_ref().unwrap().path(), &other)).count();
    let bad = Ssh { host_key: vec![sshd.key("other")], ..sshd.ssh() };
    assert_eq!(refusal(&way(&bad)).await.reason, Reason::HostKeyChanged);
    assert_eq!((count(), processes_with(&mark).len()), (0, 0));
}

/// Returns true if this is the directory of a connection that pinned this key.
fn is_ours(path: &Path, key: &str) -> bool {
    let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("deployer-"));
    named && fs::read_to_string(path.join("known")).is_ok_and(|known| known.contains(key))
}

/// Returns the private directory of the only ssh master for this port.
fn directory_of(port: u16) -> Utf8PathBuf {
    let masters = processes_with(&format!("-p\0{port}\0"));
    assert_eq!(masters.len(), 1, "one master");
    let line = fs::read(format!("/proc/{}/cmdline", masters[0])).unwrap();
    let line = String::from_utf8_lossy(&line).into_owned();
    let socket = line.split('\0').find(|word| word.ends_with("/master")).unwrap_or_else(|| panic!("{line}"));
    Utf8PathBuf::from(socket).parent().unwrap().to_owned()
}

#[tokio::test]
async fn the_master_lives_as_long_as_the_runner() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    // Longer than ControlPersist: only the idle socket keeps the master alive.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(run(&host, "echo still").await.stdout, b"still\n");
    host.close().await;

    // A killed runner does not close its session, but its sockets are closed. The runner here is another process of the
    // test program.
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "helper_that_is_killed"])
        .env("DEPLOYER_TEST_SSHD", format!("{}|{}", sshd.port, sshd.path("")))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mark = format!("-p\0{}\0", sshd.port);
    until("the runner is connected", || sshd.log().matches("Starting session").count() == 2).await;
    assert_eq!(processes_with(&mark).len(), 1);
    runner.kill().unwrap();
    runner.wait().unwrap();
    until("the master ends", || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
#[ignore = "started and killed by the_master_lives_as_long_as_the_runner"]
async fn helper_that_is_killed() {
    let Ok(given) = std::env::var("DEPLOYER_TEST_SSHD") else { return };
    let (port, directory) = given.split_once('|').unwrap();
    let directory = Utf8PathBuf::from(directory);
    let key = fs::read_to_string(directory.join("host.pub")).unwrap();
    let ssh = Ssh {
        port: Some(port.parse().unwrap()),
        user: None,
        identity: Some(Identity::File(directory.join("id"))),
        host_key: vec![key.trim().to_owned()],
        jump: None,
        sudo_password: None,
        connect_timeout: SOON,
        wait: Duration::ZERO,
    };
    let host = connect(&ssh).await.unwrap();
    run(&host, "sleep 20").await;
}

#[tokio::test]
async fn nothing_of_a_script_is_in_any_argument() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let look = "c=zaunkoenig; c=$c-script; : zaunkoenig-script; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done";
    let output = host.run(look, Input::Bytes(b"zaunkoenig-input".to_vec().into()), SOON).await.unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(seen.contains("deployer-begin"), "the carrier is seen: {seen}");
    assert!(!seen.contains("zaunkoenig"), "{seen}");
}

#[tokio::test]
async fn hostile_words_arrive_unharmed() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let words = [
        "it's",
        "$(touch /tmp/owned)",
        "`id`",
        "; rm -rf /",
        "-n",
        "%s$$",
        "a\nb",
        "\\",
        "é漢🦀",
        "\"",
        "!",
        "*",
        "\x7f\u{1}",
    ];
    let script = format!("printf '%s\\0' {}", words.map(deployer::model::shell::quote).join(" "));
    let expected = words.join("\0") + "\0";
    assert_eq!(String::from_utf8(run(&host, &script).await.stdout).unwrap(), expected);
}

#[tokio::test]
async fn noise_of_the_login_is_not_output() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("banner"), "Connection refused\nPermission denied (publickey).\n").unwrap();
    // A file that bash reads before a command, like a noisy .bashrc.
    fs::write(path("noise"), "echo Welcome; echo deployer-end; printf 'no newline'; echo oops >&2\n").unwrap();
    let sshd = Sshd::start(&format!("Banner {}\nSetEnv BASH_ENV={}", path("banner"), path("noise")));
    let host = sshd.host().await;
    let output = run(&host, "echo mine; exit 127").await;
    assert_eq!((output.status, output.stdout.as_slice()), (127, b"mine\n".as_slice()));
    let bad = Ssh { identity: Some(Identity::File(sshd.path("other"))), ..sshd.ssh() };
    assert_eq!(refusal(&way(&bad)).await.reason, Reason::AuthenticationRejected);
    fs::write(path("banner"), "REMOTE HOST IDENTIFICATION HAS CHANGED\n").unwrap();
    assert_eq!(refusal(&way(&bad)).await.reason, Reason::AuthenticationRejected);
}

#[tokio::test]
async fn processes_that_a_script_leaves_running_are_not_awaited() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let begun = Instant::now();
    let output = run(&host, "sleep 61 & echo $!").await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    run(&host, &format!("kill {}", String::from_utf8_lossy(&output.stdout))).await;
}

#[tokio::test]
async fn a_script_ends_at_its_limit() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let begun = Instant::now();
    let mark = format!("{}.5", 6000 + u32::from(sshd.port));
    let late =
        host.run(&format!("echo said >&2; sleep {mark}"), Input::Empty, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late.reason, Reason::CommandFailed);
    assert!(late.message().ends_with("did not end within 1s"), "{late}");
    assert!(begun.elapsed() < Duration::from_secs(8));
    until("the script is gone", || processes_with(&mark).is_empty()).await;
    // A script that ignores the first signal.
    let stubborn = format!("trap '' TERM; sleep {mark}; sleep {mark}");
    let late = host.run(&stubborn, Input::Empty, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late.reason, Reason::CommandFailed);
    until("the script is gone", || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
async fn follows_lines_as_they_come() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let lines = Mutex::new(Vec::new());
    let begun = Instant::now();
    let mut line = |line: &Line| {
        lines.lock().unwrap().push((line.text.clone(), begun.elapsed()));
        Ok(())
    };
    let script = "echo one; echo; sleep 1; printf 'two\\nthree'; exit 5";
    assert_eq!(host.follow(script, SOON, &mut line).await.unwrap(), 5);
    let lines = lines.into_inner().unwrap();
    assert_eq!(lines.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["one", "", "two", "three"]);
    assert!(lines[2].1.saturating_sub(lines[0].1) > Duration::from_millis(700), "{lines:?}");

    // When the runner stops following, the script ends on the host, too.
    let mark = format!("{}.5", 6000 + u32::from(sshd.port));
    let script = format!("echo begun; sleep {mark}");
    let mut ignore = |_: &Line| Ok(());
    let given_up = tokio::time::timeout(Duration::from_secs(1), host.follow(&script, SOON, &mut ignore)).await;
    assert!(given_up.is_err());
    until("the followed script ends", || processes_with(&mark).is_empty()).await;
    assert_eq!(run(&host, "echo on").await.stdout, b"on\n");
}

/// Returns the resident memory of this process, in MiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() >> 10
}

#[tokio::test]
async fn endless_output_is_ended_on_the_host_too() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let (before, begun) = (resident(), Instant::now());
    for (number, stream) in ["", " >&2"].into_iter().enumerate() {
        for source in ["cat /dev/zero", "yes 'os debian'"] {
            let mark = format!("flood-{}-{number}", sshd.port);
            let script = format!("exec -a {mark} {source}{stream}");
            let script = format!("exec bash -c {}", deployer::model::shell::quote(&script));
            let failure = host.run(&script, Input::Empty, SOON).await.unwrap_err();
            assert_eq!(failure.reason, Reason::OutputTooLarge, "{source}{stream}: {failure}");
            until("the flood ends on the host", || processes_with(&mark).is_empty()).await;
        }
    }
    // A followed script may run forever, but its lines must end.
    let mut ignore = |_: &Line| Ok(());
    let failure = host.follow("cat /dev/zero", SOON, &mut ignore).await.unwrap_err();
    assert_eq!(failure.reason, Reason::OutputTooLarge, "{failure}");
    let mut seen = 0;
    let mut count = |line: &Line| {
        assert_eq!(line.text, "os debian");
        seen += 1;
        if seen < 1_000_000 { Ok(()) } else { Err(Failure::new(Reason::Interrupted, "enough")) }
    };
    let failure = host.follow("yes 'os debian'", SOON * 3, &mut count).await.unwrap_err();
    assert_eq!((failure.reason, failure.message().as_str()), (Reason::Interrupted, "enough"));
    assert!(resident() < before + 200, "{} MiB after {before} MiB", resident());
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    // The connection still works, and a large output that ends is complete.
    assert_eq!(run(&host, "head -c 16000000 /dev/zero").await.stdout.len(), 16_000_000);
    let output = run(&host, "head -c 9000000 /dev/zero >&2; echo last >&2").await;
    assert!(output.stderr.ends_with("last\n") && output.stderr.len() < 2 << 20);
}

#[tokio::test]
async fn a_login_shell_that_floods_is_ended() {
    for (command, what) in
        [("cat /dev/zero", "login shell"), ("cat /dev/zero >&2", "standard error"), ("yes", "login shell")]
    {
        let sshd = Sshd::start(&format!("ForceCommand {command}"));
        let host = sshd.host().await;
        let begun = Instant::now();
        let failure = host.run("echo never", Input::Empty, SOON).await.unwrap_err();
        assert_eq!(failure.reason, Reason::OutputTooLarge, "{command}: {failure}");
        assert!(failure.message().contains(what), "{failure}");
        assert!(begun.elapsed() < SOON);
        host.close().await;
        let children = format!("/proc/{0}/task/{0}/children", sshd.child.id());
        until("the host's session ends", || fs::read_to_string(&children).unwrap().is_empty()).await;
    }
}

#[tokio::test]
async fn a_command_that_never_begins_is_given_up() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    run(&host, "true").await;
    let [master] = processes_with(&format!("-p\0{}\0", sshd.port))[..] else { panic!("one master") };
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, &master.to_string()]).status().unwrap().success());
    // To the runner, this is a host that answers keepalives and opens no channel.
    signal("-STOP");
    let silent = host.run("true", Input::Empty, Duration::from_secs(1));
    let failure = tokio::time::timeout(Duration::from_mins(1), silent).await.map(|output| output.unwrap_err());
    signal("-CONT");
    assert_eq!(failure.unwrap().reason, Reason::CommandFailed);
    assert_eq!(run(&host, "echo again").await.stdout, b"again\n");
    host.close().await;
}

#[tokio::test]
async fn a_broken_connection_differs_from_a_failed_script() {
    let sshd = Sshd::start("");
    let host = sshd.host().await;
    let killed = async {
        until("the session begins", || sshd.log().contains("Starting session")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let children = format!("/proc/{0}/task/{0}/children", sshd.child.id());
        let children = fs::read_to_string(children).unwrap();
        for child in children.split_whitespace() {
            Command::new("kill").args(["-9", child]).status().unwrap();
        }
    };
    let ssh = sshd.ssh();
    assert!(host.serves(&way(&ssh)));
    assert!(!host.serves(&way(&Ssh { user: Some("other".to_owned()), ..ssh.clone() })));
    let (output, ()) = tokio::join!(host.run("echo begun; sleep 3", Input::Empty, SOON), killed);
    assert_eq!(output.unwrap_err().reason, Reason::ConnectionLost);
    until("the loss is noticed", || !host.serves(&way(&ssh))).await;
    assert_eq!(host.run("true", Input::Empty, SOON).await.unwrap_err().reason, Reason::ConnectionLost);
    host.close().await;
}

#[tokio::test]
async fn host_keys_are_pinned_known_or_learned() {
    let sshd = Sshd::start("");
    let pinned = sshd.ssh();
    let right = vec![sshd.key("host")];
    let wrong = vec![sshd.key("other")];

    let host = connect(&pinned).await.unwrap();
    assert_eq!(host.host_keys(), right);
    host.close().await;
    let free = Ssh { host_key: vec![], ..sshd.ssh() };
    let unknown = refusal(&way(&free)).await;
    assert_eq!(unknown.reason, Reason::HostKeyUnknown);
    assert!(unknown.message().contains("ssh-ed25519 SHA256:"), "{unknown}");
    assert_eq!(unknown.details.as_deref(), Some(right[0].as_str()));

    let known = dial(&Way { reach: recorded(&free, &right), ..way(&free) }).await.unwrap();
    assert_eq!(known.host_keys(), right);
    known.close().await;
    let learned = dial(&Way { accept_new: true, ..way(&free) }).await.unwrap();
    assert_eq!(learned.host_keys(), right);
    learned.close().await;
    let again = refusal(&way(&free)).await;
    assert_eq!(again.reason, Reason::HostKeyUnknown, "a learned key goes to no file of the user");

    // A changed key is fatal, wherever the known key comes from and whatever is accepted. A key of another type is a
    // changed key, too.
    for accept_new in [false, true] {
        let changed = refusal(&Way { reach: recorded(&free, &wrong), accept_new, ..way(&free) }).await;
        assert_eq!(changed.reason, Reason::HostKeyChanged);
        assert!(changed.message().contains("ssh-ed25519 SHA256:"), "{changed}");
        let bad = Ssh { host_key: wrong.clone(), ..sshd.ssh() };
        let changed = refusal(&Way { reach: recorded(&bad, &right), accept_new, ..way(&bad) }).await;
        assert_eq!(changed.reason, Reason::HostKeyChanged);
        assert!(changed.message().contains("pinned in ssh.host_key"), "{changed}");
    }
    let rsa = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/rsa.pub")).unwrap();
    let rsa = vec![rsa.trim().to_owned()];
    assert_eq!(
        refusal(&Way { reach: recorded(&free, &rsa), accept_new: true, ..way(&free) }).await.reason,
        Reason::HostKeyChanged
    );
}

#[tokio::test]
async fn ipv6_and_names_work() {
    let sshd = Sshd::start("");
    let ssh = sshd.ssh();
    for address in ["::1", "[::1]", "localhost"] {
        let host = dial(&Way { reach: ssh.reach(address), ..way(&ssh) }).await.unwrap();
        assert_eq!(run(&host, "echo here").await.stdout, b"here\n");
        host.close().await;
    }
    let failure = refusal(&Way { reach: ssh.reach("no-such-host.invalid"), ..way(&ssh) }).await;
    assert_eq!(failure.reason, Reason::NameResolution, "{failure}");
    let failure = refusal(&Way { reach: ssh.reach("-oProxyCommand=touch /tmp/owned"), ..way(&ssh) }).await;
    assert_eq!(failure.reason, Reason::NameResolution, "{failure}");
}

#[tokio::test]
async fn keys_are_judged_before_anything_connects() {
    let sshd = Sshd::start("");
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(sshd.path(name), text).unwrap();
        fs::set_permissions(sshd.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let private = fs::read_to_string(sshd.path("id")).unwrap();
    write("open", &private, 0o644);
    write("garbage", "no key\n", 0o600);
    write("public", &fs::read_to_string(sshd.path("id.pub")).unwrap(), 0o644);
    let cases = [
        ("locked", Reason::KeyPassphrase, "has a passphrase, but no agent holds it"),
        ("missing", Reason::KeyUnusable, "cannot be read: No such file or directory"),
        ("open", Reason::KeyUnusable, "can be read by others (mode 0644)"),
        ("garbage", Reason::KeyUnusable, "is not a private key"),
        ("public", Reason::KeyUnusable, "is a public key"),
        ("", Reason::KeyUnusable, "is not a file"),
    ];
    for (name, reason, words) in cases {
        let ssh = Ssh { identity: Some(Identity::File(sshd.path(name))), ..sshd.ssh() };
        let failure = refusal(&way(&ssh)).await;
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message().contains(words), "{failure}");
    }
    assert_eq!(sshd.log(), "", "nothing connected");

    let source = deployer::model::secret::SecretSource::Environment { name: "KEY".into(), secret: true };
    let ssh = Ssh { identity: Some(Identity::Secret(source)), ..sshd.ssh() };
    let host = dial(&Way { key_text: Some(private.trim_end().into()), ..way(&ssh) }).await.unwrap();
    let directory = directory_of(sshd.port);
    assert!(
        directory.join("known").exists() && !directory.join("identity").exists(),
        "the key's text stays in {directory}"
    );
    host.close().await;
    let garbage = refusal(&Way { key_text: Some("canary".into()), ..way(&ssh) }).await;
    assert_eq!(garbage.reason, Reason::KeyUnusable);
    assert!(!format!("{garbage:?}").contains("canary"));
}

#[tokio::test]
async fn a_rejected_key_is_not_tried_again() {
    let sshd = Sshd::start("");
    let begun = Instant::now();
    let ssh = Ssh { identity: Some(Identity::File(sshd.path("other"))), wait: Duration::from_mins(1), ..sshd.ssh() };
    let failure = refusal(&way(&ssh)).await;
    assert_eq!(failure.reason, Reason::AuthenticationRejected);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(sshd.log().matches("Connection from").count(), 1, "{}", sshd.log());
}

#[tokio::test]
async fn a_refused_host_is_tried_again_until_it_answers() {
    let mut sshd = Sshd::start("");
    sshd.down();
    let refused = refusal(&way(&sshd.ssh())).await;
    assert_eq!(refused.reason, Reason::ConnectionRefused, "{refused}");
    assert_eq!(refused.message(), format!("Cannot connect to 127.0.0.1 port {}: Connection refused", sshd.port));

    let said = Mutex::new(Vec::new());
    let ssh = sshd.ssh();
    let way = way(&ssh);
    let waiting = |text: &str| said.lock().unwrap().push(text.to_owned());
    let connecting = Host::connect(&way, SOON, &waiting);
    let starting = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        sshd.up();
    };
    let (host, ()) = tokio::join!(connecting, starting);
    assert_eq!(run(&host.unwrap(), "echo up").await.stdout, b"up\n");
    let said = said.into_inner().unwrap();
    assert!(said[0].starts_with("connection refused, trying again for 1"), "{said:?}");
}

#[tokio::test]
async fn a_silent_host_is_a_timeout() {
    let sshd = Sshd::start("");
    let quick = |port| Ssh { port: Some(port), connect_timeout: Duration::from_secs(1), ..sshd.ssh() };
    // A server that accepts and sends nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let failure = refusal(&way(&quick(mute.local_addr().unwrap().port()))).await;
    assert_eq!(failure.reason, Reason::ConnectionTimeout, "{failure}");
    // A server that drops packets: its queue is full, and nobody accepts connections from it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let port = full.local_addr().unwrap().port();
    let visitor =
        || tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(("127.0.0.1", port)));
    let visitors = futures::future::join_all((0..4).map(|_| visitor())).await;
    assert!(visitors.iter().any(Result::is_err), "the queue is not full");
    let failure = refusal(&way(&quick(port))).await;
    assert_eq!(failure.reason, Reason::ConnectionTimeout, "{failure}");
    // A server that does not speak SSH.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut visitor, _)) = other.accept() {
            use std::io::{Read as _, Write as _};
            let _ = visitor.read(&mut [0; 100]);
            let _ = visitor.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let failure = refusal(&way(&quick(port))).await;
    assert_eq!(failure.reason, Reason::ConnectionRefused, "{failure}");
}

#[tokio::test]
async fn an_unhappy_jump_host_is_named() {
    let sshd = Sshd::start("");
    let through = |jump: String| Ssh { jump: Some(jump), ..sshd.ssh() };
    let closed = free_port();
    let failure = refusal(&way(&through(format!("root@127.0.0.1:{closed}")))).await;
    assert_eq!(failure.reason, Reason::ConnectionRefused, "{failure}");
    assert!(failure.message().contains(&format!("through root@127.0.0.1:{closed}: Connection refused")), "{failure}");
    // The jump host's key is checked, too: this one is unknown.
    let failure = refusal(&way(&through(format!("root@[::1]:{}", sshd.port)))).await;
    assert_eq!(failure.reason, Reason::HostKeyUnknown, "{failure}");
}
