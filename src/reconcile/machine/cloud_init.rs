//! The cloud-init user data for the first boot of a new machine: the user, its authorized keys, the host key that
//! deployer made, the SSH port, a volume. Pure. JSON is a subset of YAML, so the user data is built as JSON.
//!
//! Source: cloud-init's module reference (users and groups, SSH, write files, runcmd).

use super::keys::Keys;
use crate::manifest::provision::{Machine, Provision};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// Returns the user data, including its first line.
#[must_use]
pub fn text(provision: &Provision, authorized: &str, keys: &Keys) -> SecretString {
    let user = provision.login.user.as_deref().unwrap_or("root");
    let authorized: Vec<&str> = authorized.lines().collect();
    let account = if user == "root" {
        json!({ "name": "root", "ssh_authorized_keys": authorized })
    } else {
        json!({ "name": user, "ssh_authorized_keys": authorized, "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "shell": "/bin/bash", "lock_passwd": true })
    };
    let mut config = json!({
        "users": [account],
        "disable_root": user != "root",
        "ssh_pwauth": false,
        "ssh_deletekeys": true,
        "ssh_genkeytypes": [],
        "ssh_keys": { "ed25519_private": keys.private.expose_secret(), "ed25519_public": keys.public },
        "write_files": [sshd(provision.login.port, user)],
        "runcmd": commands(provision),
    });
    if let Some(map) = config.as_object_mut() {
        map.retain(|key, value| key == "ssh_genkeytypes" || !value.as_array().is_some_and(Vec::is_empty));
    }
    format!("#cloud-config\n{config}\n").into()
}

/// Returns the file of sshd settings that takes precedence over all others.
fn sshd(port: Option<u16>, user: &str) -> Value {
    let root = if user == "root" { "prohibit-password" } else { "no" };
    let port = port.filter(|port| *port != 22).map(|port| format!("Port {port}\n"));
    let content = format!("PermitRootLogin {root}\nPasswordAuthentication no\n{}", port.unwrap_or_default());
    json!({ "path": "/etc/ssh/sshd_config.d/01-deployer.conf", "content": content })
}

/// Returns the commands that run last: they restart sshd with its settings, even if a systemd socket listens for it,
/// and mount the volume.
fn commands(provision: &Provision) -> Vec<Value> {
    let sshd = "systemctl daemon-reload; \
                if systemctl is-active --quiet ssh.socket; then systemctl restart ssh.socket; fi; \
                systemctl try-restart ssh.service sshd.service || true";
    let mut commands = vec![json!(["sh", "-c", sshd])];
    if let Machine::Hetzner(hetzner) = &provision.machine
        && let Some(volume) = &hetzner.volume
    {
        // The volume is attached once the server runs, which may be after this command started.
        let mount = format!(
            "mkdir -p {0} && for i in $(seq 300); do [ ! -e @VOLUME@ ] || break; sleep 1; done; \
             echo '@VOLUME@ {0} ext4 discard,nofail,defaults 0 0' >> /etc/fstab && mount {0}",
            volume.mount
        );
        commands.push(json!(["sh", "-c", mount]));
    }
    commands
}
