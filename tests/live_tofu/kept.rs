//! Parts of a server of Hetzner Cloud that stay when the server is replaced: its volume with the data, an existing
//! address, the protection. Uses the real provider, a stand-in for the API, and a real file system on a host of the
//! bed.

use crate::bed::{BedHost, bed};
use crate::server::{Cloud, boot};
use serde_json::{Value, json};
use std::process::Command;

/// A file system in a file, as a disk of this machine that a host can be given.
struct Disk {
    _file: tempfile::NamedTempFile,
    device: String,
}

impl Disk {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(64 << 20).expect("its size");
        said(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(file.path()));
        let device = said(Command::new("losetup").args(["--find", "--show"]).arg(file.path()));
        Self { _file: file, device }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The loop device disappears when no host uses it any more.
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Applies while the resulting server boots with that user: on a fresh disk, its volume is mounted by the commands of
/// its cloud-init data.
fn apply(cloud: &Cloud, host: &BedHost, disk: &Disk, user: &str, arguments: &[&str]) {
    let known = cloud.servers().first().map_or(Value::Null, |server| server["id"].clone());
    std::thread::scope(|scope| {
        let boots = scope.spawn(|| {
            let commands = boot(&cloud.api, host, &known, user);
            assert_eq!(commands.len(), 2, "a server came");
            let volume = cloud.api.all("volumes")[0]["linux_device"].as_str().expect("a device").to_owned();
            let attach = format!("path={volume}");
            if known.is_null() {
                let source = format!("source={}", disk.device);
                bed(&["lxc", "config", "device", "add", &host.name, "volume", "unix-block", &source, &attach]);
            } else {
                host.script("umount /opt/data; sed -i '/opt.data/d' /etc/fstab; rmdir /opt/data");
            }
            host.script(&commands[1]);
        });
        cloud.run(&[&["apply", "--json"], arguments].concat()).expect(0);
        boots.join().expect("it boots");
    });
}

#[test]
fn a_volume_outlasts_its_server_an_address_is_given_back_and_protection_is_lifted_by_consent_alone() {
    let (cloud, host, disk) = (Cloud::new(), BedHost::bare(), Disk::new());
    let more = "firewall: true, image: debian-13, delete_protection: true, primary_ip: front, volume: { size: 10GiB, mount: /opt/data } }";
    cloud.work.edit("deployment.yaml", "firewall: true }", more);
    // A named address must exist.
    let missing = cloud.run(&["plan", "--json"]).expect(1).of("error").remove(0);
    assert!(missing["message"].as_str().is_some_and(|message| message.contains("Primary IP")), "{missing}");
    cloud.api.hand_out(&host.ipv4);
    let order = json!({ "name": "front", "type": "ipv4", "assignee_type": "server", "datacenter": "fsn1-dc1", "auto_delete": false });
    cloud.api.make("primary_ips", &order);
    let front = cloud.api.all("primary_ips")[0].clone();

    apply(&cloud, &host, &disk, "deploy", &[]);
    assert_eq!(cloud.apply().expect(0).outcome(), "converged");
    let volume = || cloud.api.all("volumes").remove(0);
    let first = cloud.servers().remove(0);
    let number = |object: &Value| object["id"].as_u64().expect("a number");
    assert_eq!((&volume()["server"], &volume()["size"]), (&first["id"], &10.into()));
    assert_eq!(first["public_net"]["ipv4"]["id"], front["id"]);
    assert!(host.shell("findmnt -no FSTYPE,OPTIONS /opt/data").starts_with("ext4 rw"));
    host.shell("echo kept >/opt/data/file");
    for (collection, object) in [("servers", &first), ("volumes", &volume())] {
        assert!(!cloud.api.may_delete(collection, number(object)), "Hetzner keeps {collection} from being deleted");
    }

    // A change that Hetzner would refuse halfway is refused before anything changes, until an apply lifts the
    // protection.
    cloud.work.edit("deployment.yaml", "debian-13", "debian-12");
    assert_eq!(cloud.run(&["apply", "--json", "--allow-destroy", "cloud"]).expect(6).reasons(), ["protected"]);
    let destroy = ["destroy", "cloud", "--json", "--allow-destroy", "cloud"];
    assert_eq!(cloud.run(&destroy).expect(6).reasons(), ["protected"]);
    assert_eq!((&volume()["server"], cloud.servers().len()), (&first["id"], 1));
    cloud.work.edit("deployment.yaml", "debian-12", "debian-13");
    cloud.work.edit("deployment.yaml", "delete_protection: true", "delete_protection: false");
    assert_eq!(cloud.plan()[0], ("infrastructure".to_owned(), "update".to_owned(), false));
    cloud.apply().expect(0);
    assert_eq!(cloud.servers()[0]["protection"]["delete"], false);

    // A volume grows in place. Another image is another server, which has the same data and address.
    cloud.work.edit("deployment.yaml", "10GiB", "20GiB");
    assert_eq!(cloud.plan()[0], ("infrastructure".to_owned(), "update".to_owned(), false));
    cloud.apply().expect(0);
    assert_eq!(volume()["size"], 20);
    let made = volume()["id"].clone();
    cloud.work.edit("deployment.yaml", "debian-13", "debian-12");
    assert_eq!(cloud.plan()[0], ("infrastructure".to_owned(), "replace".to_owned(), true));
    assert_eq!(cloud.apply().expect(6).reasons(), ["consent-missing"]);
    assert_eq!(cloud.servers()[0]["id"], first["id"]);
    // The new server is created with the current user.
    cloud.work.edit("deployment.yaml", "wait: 60s", "wait: 60s, user: root");
    apply(&cloud, &host, &disk, "root", &["--allow-destroy", "cloud"]);
    let second = cloud.servers().remove(0);
    assert_ne!(second["id"], first["id"]);
    assert_eq!((&volume()["id"], &volume()["server"]), (&made, &second["id"]));
    assert_eq!(second["public_net"]["ipv4"]["id"], front["id"]);
    assert_eq!(host.shell("cat /opt/data/file").trim(), "kept");
    assert_eq!(cloud.apply().expect(0).outcome(), "converged");

    // Removing a volume from the manifest would lose its data.
    cloud.work.edit("deployment.yaml", ", volume: { size: 20GiB, mount: /opt/data }", "");
    assert!(cloud.plan()[0].2, "it stands apart");
    assert_eq!(cloud.apply().expect(6).reasons(), ["consent-missing"]);
    assert_eq!(volume()["id"], made);

    // The entry was removed from the manifest: the stored data is enough to destroy everything except the address, if
    // the token is set.
    let entry = cloud.work.read("deployment.yaml");
    let (before, _) = entry.split_once("  cloud:\n").expect("an entry");
    cloud.work.write("deployment.yaml", format!("{before}  other:\n    registered: {{ address: 192.0.2.1 }}\n"));
    let mut without = cloud.command(&destroy);
    let refused = crate::bed::Work::finish(without.env_remove("TOKEN")).expect(1).of("error").remove(0);
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("TOKEN is not set")), "{refused}");
    assert_eq!(cloud.run(&destroy[..3]).expect(6).reasons(), ["consent-missing"]);
    host.script("umount /opt/data");
    cloud.run(&destroy).expect(0);
    for collection in ["servers", "volumes", "firewalls"] {
        assert!(cloud.api.all(collection).is_empty(), "{collection}: {:?}", cloud.api.all(collection));
    }
    let left = cloud.api.all("primary_ips");
    assert_eq!((left.len(), &left[0]["id"], &left[0]["assignee_id"]), (1, &front["id"], &Value::Null));
    let plan = cloud.run(&["plan", "--offline", "--json"]).expect(0);
    assert!(plan.warnings("cloud").is_empty(), "it is forgotten: {}", plan.stdout);
}
