//! The SSH session on a real host: users, variants of sudo, lost packets. Deploys nothing.

use super::bed::{BedHost, bed, bed_value};
use camino::Utf8PathBuf;
use deployer::io::ssh::{Host, Output, Way};
use deployer::manifest::environment::{Identity, Ssh};
use deployer::model::failure::{Failure, Reason};
use deployer::model::input::Input;
use secrecy::SecretString;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const PASSWORD: &str = "pass wörd '$x";

/// Users that may log in, with different rights in sudo.
const USERS: &str = r#"
for user in asks plain screen shut; do
    useradd -m -s /bin/bash "$user"; mkdir -p "/home/$user/.ssh"
    cp ~deploy/.ssh/authorized_keys "/home/$user/.ssh/"; chown -R "$user:" "/home/$user/.ssh"; chmod -R go= "/home/$user/.ssh"
done
printf '%s\n' "asks:pass wörd '\$x" "plain:x" | chpasswd
printf '%s\n' 'asks ALL=(ALL) ALL' 'screen ALL=(ALL) NOPASSWD: ALL' 'Defaults:screen requiretty' >/etc/sudoers.d/session
usermod -s /usr/sbin/nologin shut
"#;

fn ssh(user: &str, port: Option<u16>) -> Ssh {
    Ssh {
        port,
        user: Some(user.to_owned()),
        identity: Some(Identity::File(Utf8PathBuf::from_path_buf(bed_value("BED_KEY")).expect("UTF-8"))),
        host_key: Vec::new(),
        jump: None,
        sudo_password: None,
        connect_timeout: Duration::from_secs(5),
        wait: Duration::ZERO,
    }
}

/// Connects, learns the key, and runs one script.
async fn script(
    host: &BedHost,
    user: &str,
    password: Option<&str>,
    script: &str,
    input: Input,
) -> Result<Output, Failure> {
    let ssh = ssh(user, None);
    let sudo_password = password.map(SecretString::from);
    let way = Way { reach: ssh.reach(&host.ipv4), ssh: &ssh, sudo_password, key_text: None, accept_new: true };
    let session = Host::connect(&way, Duration::ZERO, &|_| ()).await?;
    let output = session.run(script, input, SOON).await;
    session.close().await;
    output
}

#[tokio::test]
async fn sudo_in_all_its_moods() {
    let host = BedHost::bare();
    host.shell(USERS);
    let id = |user, password| script(&host, user, password, "id -u; cat", Input::Bytes(b"data".to_vec().into()));

    // Root, a user whose sudo asks for no password, and a password that is not needed.
    for (user, password) in [("root", None), ("deploy", None), ("root", Some("unasked")), ("deploy", Some("unasked"))] {
        let output = id(user, password).await.expect("it runs");
        assert_eq!(
            (output.status, output.stdout.as_slice()),
            (0, b"0\ndata".as_slice()),
            "{user} {password:?}: {output:?}"
        );
    }
    // A user whose sudo asks for a password.
    let output = id("asks", Some(PASSWORD)).await.expect("it runs");
    assert_eq!(output.stdout, b"0\ndata");
    assert_eq!(id("asks", None).await.expect_err("it asks").reason, Reason::SudoPassword);
    let begun = Instant::now();
    let wrong = id("asks", Some("canary")).await.expect_err("it is wrong");
    assert_eq!(wrong.reason, Reason::SudoPassword);
    assert!(wrong.message().contains("rejects the password") && !format!("{wrong:?}").contains("canary"), "{wrong:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "a wrong password is noticed: {:?}", begun.elapsed());
    assert!(!host.shell("journalctl --no-pager; cat /var/log/*.log 2>/dev/null || :").contains("canary"));
    // Large data in both directions with a password.
    let data: Vec<u8> = (0..=255).cycle().take(2 << 20).collect();
    let output =
        script(&host, "asks", Some(PASSWORD), "cat", Input::Bytes(data.clone().into())).await.expect("it runs");
    assert!(output.stdout == data);

    for user in ["plain", "screen"] {
        let failure = id(user, None).await.expect_err("it may not");
        // Sudo asks for a password before it rejects a user who is not a sudoer.
        let expected: &[Reason] =
            if user == "screen" { &[Reason::SudoMissing] } else { &[Reason::SudoPassword, Reason::SudoMissing] };
        assert!(expected.contains(&failure.reason), "{failure:?}");
    }
    assert_eq!(id("plain", Some("x")).await.expect_err("it may not").reason, Reason::SudoMissing);
    let shut = id("shut", None).await.expect_err("no shell");
    assert_eq!(shut.reason, Reason::CommandFailed);
    assert!(shut.message().contains("login shell"), "{shut}");
    host.shell("mv /usr/bin/sudo /usr/bin/sudo.gone");
    for password in [None, Some(PASSWORD)] {
        assert_eq!(id("deploy", password).await.expect_err("no sudo").reason, Reason::SudoMissing);
    }
}

#[tokio::test]
async fn a_host_that_drops_packets_is_a_timeout() {
    let host = BedHost::bare();
    bed(&["fault", &host.name, "drop", "on"]);
    for address in [&host.ipv4, &host.ipv6] {
        let mut ssh = ssh("root", None);
        ssh.connect_timeout = Duration::from_secs(2);
        let way = Way { reach: ssh.reach(address), ssh: &ssh, sudo_password: None, key_text: None, accept_new: true };
        let Err(failure) = Host::connect(&way, Duration::ZERO, &|_| ()).await else { panic!("it is silent") };
        assert_eq!(failure.reason, Reason::ConnectionTimeout, "{failure}");
    }
    bed(&["fault", &host.name, "drop", "off"]);
    for address in [&host.ipv4, &host.ipv6] {
        let ssh = ssh("deploy", Some(22));
        let way = Way { reach: ssh.reach(address), ssh: &ssh, sudo_password: None, key_text: None, accept_new: true };
        let session = Host::connect(&way, SOON, &|_| ()).await.expect("it answers again");
        assert_eq!(session.host_keys().len(), 1);
        session.close().await;
    }
}
