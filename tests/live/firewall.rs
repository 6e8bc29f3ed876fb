//! The firewall, tested from a second host: wanted ports can be reached, nothing else, and the host is never cut off
//! for good.

use crate::bed::{BedHost, Work};
use crate::scene::{change, entry, several, steps, summary};
use std::time::{Duration, Instant};

/// Sockets of the owner: 9000 and 9001 on every address, even after a reboot.
const STRAY: &str = "printf '[Socket]\\nListenStream=9000\\nListenStream=9001\\nBindIPv6Only=both\\n[Install]\\nWantedBy=sockets.target\\n' \
    >/etc/systemd/system/stray.socket
    printf '[Service]\\nExecStart=sleep infinity\\n' >/etc/systemd/system/stray.service
    systemctl daemon-reload; systemctl enable -q --now stray.socket";

/// Tries to open a TCP connection from `from` (this machine if `None`) to each port, and returns the results over IPv4
/// and over IPv6.
fn reaches<const N: usize>(from: Option<&BedHost>, to: &BedHost, ports: [u16; N]) -> [(bool, bool); N] {
    let tries = ports.iter().flat_map(|port| [&to.ipv4, &to.ipv6].map(|address| (address, port)));
    let one = |(address, port)| {
        format!("timeout 1 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {address}/{port}. &\n")
    };
    let script = tries.map(one).collect::<String>() + "wait";
    let reached = from.map_or_else(
        || {
            let output = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash starts");
            String::from_utf8(output.stdout).expect("text")
        },
        |host| host.shell(&script),
    );
    let holds = |address: &str, port| reached.contains(&format!("{address}/{port}."));
    ports.map(|port| (holds(&to.ipv4, port), holds(&to.ipv6, port)))
}

const OPEN: (bool, bool) = (true, true);
const CLOSED: (bool, bool) = (false, false);

#[track_caller]
fn only_what_is_wanted(peer: &BedHost, host: &BedHost) {
    let found = reaches(Some(peer), host, [22, 8080, 8090, 9000, 9001]);
    assert_eq!(found, [OPEN, OPEN, CLOSED, CLOSED, OPEN]);
    assert_eq!(reaches(None, host, [9001]), [CLOSED], "not everybody is allowed");
}

fn wait_for_page(host: &BedHost) {
    let begun = Instant::now();
    while host.page(8080).is_none() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the page does not come back");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn only_what_is_wanted_can_be_reached_from_a_second_host() {
    let (host, peer) = (BedHost::docker(), BedHost::bare());
    host.shell(STRAY);
    host.shell("nft add table inet owner; nft add chain inet owner input '{ type filter hook input priority 5; }'; nft add rule inet owner input tcp dport 7 drop");
    let owners = host.shell("nft list table inet owner");
    let work = Work::demo(&host);
    let allow = format!(
        "    configure: {{ firewall: {{ allow: [ {{ port: 9001, from: [{}, \"{}\"] }} ] }} }}\n",
        peer.ipv4, peer.ipv6
    );
    work.manifest(&host, &allow);
    assert_eq!(reaches(Some(&peer), &host, [9000]), [OPEN]);
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert_eq!(change(&plan, "rules")["note"], "closes 9000/tcp");
    work.apply().expect(0);
    host.shell("docker run -d --name owners --restart always -p 8090:8080 demo:1");
    assert!(host.holds("timeout 5 bash -c 'until curl -sf http://127.0.0.1:8090/ >/dev/null; do sleep 0.2; done'"));
    only_what_is_wanted(&peer, &host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    host.shell("systemctl restart docker");
    wait_for_page(&host);
    only_what_is_wanted(&peer, &host);
    assert_eq!(host.shell("nft list table inet owner"), owners);

    for by_hand in ["nft delete table inet deployer", "nft insert rule inet deployer input accept"] {
        host.shell(by_hand);
        assert_eq!(reaches(Some(&peer), &host, [9000]), [OPEN]);
        let run = work.apply().expect(0);
        assert_eq!(summary(&run), ["firewall update drifted"]);
        only_what_is_wanted(&peer, &host);
    }

    host.fault("reboot", &[]);
    host.fault("reboot", &["off"]);
    wait_for_page(&host);
    only_what_is_wanted(&peer, &host);
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A new port opens before the new release runs, and the old port closes after it runs.
    work.edit("app/compose.yaml", "8080:8080", "8081:8080");
    work.edit("deployment.yaml", "port: 8080", "port: 8081");
    assert!(summary(&work.apply().expect(0)).contains(&"firewall update follows files".to_owned()));
    assert_eq!(reaches(Some(&peer), &host, [8081, 8080]), [OPEN, CLOSED]);
    assert!(!host.shell("nft list table inet deployer").contains("8080"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    work.edit("deployment.yaml", allow.trim_end(), "");
    let run = work.apply().expect(0);
    assert_eq!(summary(&run), ["firewall remove differs"]);
    assert_eq!(steps(&run)[0]["destructive"], false);
    assert_eq!(reaches(Some(&peer), &host, [9000]), [OPEN]);
    let left = "find /etc/systemd/system /var/lib/deployer -name '*firewall*'; nft list tables | grep deployer || :";
    assert_eq!(host.shell(left), "/var/lib/deployer/firewall.lock\n");
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn two_projects_share_one_firewall_without_blocking_each_other() {
    let host = BedHost::docker();
    host.shell("dpkg --purge --force-depends nftables >/dev/null 2>&1; ! command -v nft");
    host.shell(STRAY);
    let (one, two) = (Work::empty(), Work::empty());
    let on = "    configure: { firewall: true }\n";
    several(&host, &one, &(entry(&host, &one, "blue", 8080, on) + &entry(&host, &one, "green", 8081, on)));
    several(&host, &two, &entry(&host, &two, "red", 8082, on));
    two.edit("deployment.yaml", "project: shop", "project: other");
    let both = || {
        std::thread::scope(|scope| {
            [&one, &two].map(|work| scope.spawn(|| work.apply())).map(|run| run.join().expect("an end"))
        })
    };
    for run in both() {
        assert_eq!(run.expect(0).outcome(), "changed");
    }
    let ports = || reaches(None, &host, [8080, 8081, 8082, 9000]);
    assert_eq!(ports(), [OPEN, OPEN, OPEN, CLOSED]);
    assert_eq!(host.shell("nft list tables | grep -c deployer").trim(), "1");
    host.shell("nft delete table inet deployer");
    for run in both() {
        run.expect(0);
    }
    assert_eq!(ports(), [OPEN, OPEN, OPEN, CLOSED]);
    for run in both() {
        assert_eq!(run.expect(0).outcome(), "converged");
    }
    two.run(&["destroy", "red", "--allow-destroy", "red", "--json"]).expect(0);
    assert_eq!(ports(), [OPEN, OPEN, CLOSED, CLOSED]);
    assert_eq!(one.apply().expect(0).outcome(), "converged");
    for name in ["blue", "green"] {
        one.run(&["destroy", name, "--allow-destroy", name, "--json"]).expect(0);
    }
    assert_eq!(reaches(None, &host, [9000]), [OPEN]);
    assert!(!host.holds("nft list table inet deployer 2>/dev/null"));
}

#[test]
fn rules_that_cut_us_off_are_undone() {
    let host = BedHost::docker();
    // SSH enters by a port other than sshd's.
    host.shell(
        "printf '[Socket]\\nListenStream=2222\\nBindIPv6Only=both\\n[Install]\\nWantedBy=sockets.target\\n' >/etc/systemd/system/door.socket
         printf '[Service]\\nExecStart=/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:22\\n' >/etc/systemd/system/door.service
         systemctl daemon-reload; systemctl enable -q --now door.socket",
    );
    let work = Work::demo(&host);
    work.manifest(&host, "    configure: { firewall: true }\n");
    work.edit("deployment.yaml", "user: deploy,", "user: deploy, port: 2222,");
    let begun = Instant::now();
    let mut apply =
        work.command(&["apply", "--json"]).stdout(std::process::Stdio::piped()).spawn().expect("deployer starts");
    let cut = loop {
        if reaches(None, &host, [2222])[0].0 {
            std::thread::sleep(Duration::from_millis(200));
        } else {
            break Instant::now();
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "the new rules are never loaded");
    };
    while !reaches(None, &host, [2222])[0].0 {
        assert!(cut.elapsed() < Duration::from_mins(1), "the host stays cut off");
    }
    let mut said = String::new();
    std::io::Read::read_to_string(&mut apply.stdout.take().expect("a pipe"), &mut said).expect("text");
    let run = crate::bed::Run {
        code: apply.wait().expect("an end").code().unwrap_or(-1),
        stdout: said,
        stderr: String::new(),
    };
    let run = run.expect(1);
    assert_eq!((run.reasons(), run.outcome()), (vec!["rolled-back".to_owned()], "rolled-back".to_owned()));
    assert!(cut.elapsed() < Duration::from_mins(1));
    assert!(!host.holds("nft list table inet deployer 2>/dev/null"));
    let status = work.run(&["status", "--json"]);
    let failed = &status.of("environment")[0]["failed"];
    assert_eq!((&failed["kind"], &failed["reason"]), (&"firewall".into(), &"rolled-back".into()));

    // A runner that dies before it confirms the rules, on a host that loses power before its watchdog acts: the host
    // starts with the confirmed rules (none), and the next run cleans up the unconfirmed ones.
    let mut apply =
        work.command(&["apply", "--json"]).stdout(std::process::Stdio::null()).spawn().expect("deployer starts");
    while reaches(None, &host, [2222])[0].0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    apply.kill().and_then(|()| apply.wait()).expect("killed");
    work.edit("deployment.yaml", "firewall: true", "firewall: { allow: [ { port: 2222 } ] }");
    host.fault("reboot", &[]);
    host.fault("reboot", &["off"]);
    assert!(host.holds("[ -e /var/lib/deployer/firewall/pending ] && ! nft list table inet deployer 2>/dev/null"));
    work.apply().expect(0);
    assert_eq!(reaches(None, &host, [2222, 8080]), [OPEN, OPEN]);
    assert!(host.holds("[ ! -e /var/lib/deployer/firewall/pending ]"));
    assert_eq!(work.run(&["status", "--json"]).expect(0).of("environment")[0]["failed"], serde_json::Value::Null);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn an_active_ufw_or_firewalld_is_used_and_its_owners_rules_stay() {
    let host = BedHost::docker();
    host.shell(STRAY);
    host.shell(
        "apt-get update -qq && apt-get install -y -qq ufw >/dev/null 2>&1
         ufw allow 22/tcp; ufw allow 9000/tcp comment theirs; ufw --force enable",
    );
    let owners = host.shell("ufw show added");
    let work = Work::demo(&host);
    let on = "    configure: { firewall: { allow: [ { port: 9000 }, { port: 9001, from: [192.0.2.0/24, \"2001:db8::/32\"] } ] } }\n";
    work.manifest(&host, on);
    let plan = work.run(&["plan", "--json"]).expect(0);
    assert_eq!(change(&plan, "through")["note"], "ports that Docker publishes pass by ufw");
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let rules = host.shell("ufw show added");
    for rule in
        ["8080/tcp", "from 192.0.2.0/24 to any port 9001 proto tcp", "from 2001:db8::/32 to any port 9001 proto tcp"]
    {
        assert!(rules.contains(&format!("ufw allow {rule}\n")), "{rules}");
    }
    assert!(!host.holds("nft list table inet deployer 2>/dev/null"));
    host.shell("ufw delete allow 8080/tcp");
    assert_eq!(summary(&work.apply().expect(0)), ["firewall update drifted"]);
    assert!(host.shell("ufw show added").contains("ufw allow 8080/tcp\n"));

    // The owner turns ufw off: deployer's own table replaces it, and deployer's rules in ufw are removed. Then the way
    // back.
    host.shell("ufw --force disable");
    work.apply().expect(0);
    assert_eq!(host.shell("ufw show added"), owners);
    assert_eq!(reaches(None, &host, [9001]), [CLOSED]);
    host.shell("ufw --force enable");
    work.apply().expect(0);
    assert!(!host.holds("nft list table inet deployer 2>/dev/null"));
    assert_eq!(reaches(None, &host, [9000]), [OPEN]);

    work.edit("deployment.yaml", on.trim_end(), "");
    work.apply().expect(0);
    assert_eq!(host.shell("ufw show added"), owners);
    assert!(host.shell("ufw status").starts_with("Status: active"));

    // The same with firewalld instead of ufw.
    host.shell(
        "ufw --force disable; apt-get purge -y -qq ufw >/dev/null 2>&1; apt-get install -y -qq firewalld >/dev/null 2>&1
         systemctl start firewalld; firewall-cmd -q --permanent --add-port=9000/tcp; firewall-cmd -q --add-port=9000/tcp",
    );
    let list = || {
        host.shell("for now in --permanent ''; do firewall-cmd $now --list-ports; firewall-cmd $now --list-rich-rules | sort; done")
    };
    let owners = list();
    work.manifest(&host, on);
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let rules = list();
    assert_eq!(rules.matches("8080/tcp").count(), 2, "{rules}");
    assert_eq!(
        rules.matches(r#"source address="2001:db8::/32" port port="9001" protocol="tcp" accept"#).count(),
        2,
        "{rules}"
    );
    work.edit("deployment.yaml", on.trim_end(), "");
    work.apply().expect(0);
    assert_eq!(list(), owners);
    assert!(host.holds("firewall-cmd --state -q"));
}
