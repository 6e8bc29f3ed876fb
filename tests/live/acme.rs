//! Certificates of an ACME server (RFC 8555): the test server `pebble`, which performs real challenges. This machine
//! trusts its issuer, as a user's machine trusts Let's Encrypt.

use crate::bed::{BedHost, Work};
use crate::stack::{command, load_images, stack};
use std::process::Command;

const SECRETS: [&str; 2] = ["token", ""];

/// A Compose override with the ACME server, which reaches Caddy under the names of the certificates.
const BESIDE: &str = "services:
  pebble:
    image: deployer/pebble:1
    networks: [tracker]
    volumes: [\"pebble:/pebble\"]
  caddy:
    networks: { tracker: { aliases: [http.tracker.test, api.tracker.test] } }
    depends_on: { pebble: { condition: service_healthy } }
volumes:
  pebble: { external: true, name: pebble }
";

#[test]
fn a_certificate_of_an_acme_server_is_served_and_test_passes_where_its_issuer_is_trusted() {
    let host = BedHost::docker();
    // `root` names a file with the issuer of the server's own certificate, which the server creates at its first start.
    load_images(&host, &["pebble"]);
    let root = host.shell(
        "docker run -d --name first -v pebble:/pebble deployer/pebble:1 >/dev/null
         for _ in $(seq 50); do docker exec first [ -e /pebble/cert.pem ] && break; sleep 0.2; done
         docker exec first cat /pebble/ca.pem; docker rm -f first >/dev/null",
    );
    let tracker = "        http: [{ port: 7070, domain: http.tracker.test, tls: true }]
        api: { token: { from_env: TRACKER_TOKEN }, domain: api.tracker.test, tls: true }
        tls: { email: admin@tracker.test, issuer: { acme: \"https://pebble:14000/dir\", root: ./root.pem } }\n";
    let work = Work::empty();
    work.write("root.pem", &root);
    // The manifest is read from the directory that contains the root.
    let made = stack(&host, "    configure: { engine: { ipv6: true } }\n", tracker);
    work.write("deployment.yaml", made.read("deployment.yaml"));
    work.write("templates/tracker/compose.override.yaml", BESIDE);
    command_of(&work, &host, &["apply", "--json"], None).expect(0);

    let pebble = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $(docker ps -q --filter label=com.docker.compose.service=pebble)";
    let issuer = host.shell(&format!("curl -sk https://$({pebble}):15000/roots/0"));
    assert!(issuer.starts_with("-----BEGIN CERTIFICATE-----"), "{issuer}");
    work.write("issuer.pem", issuer);

    // No machine trusts the issuer by default.
    let distrusted = command_of(&work, &host, &["test", "--json"], None).expect(1);
    assert!(distrusted.stdout.contains("certificate of http.tracker.test"), "{}", distrusted.stdout);
    let found = command_of(&work, &host, &["test", "--json"], Some("issuer.pem")).expect(0).of("verdict");
    for name in ["certificate of http.tracker.test", "certificate of api.tracker.test"] {
        let verdict = found.iter().find(|verdict| verdict["name"] == name).unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(verdict["outcome"], "passed", "{verdict}");
    }
    let announce =
        |verdict: &&serde_json::Value| verdict["name"].to_string().contains("HTTP tracker http.tracker.test");
    assert!(found.iter().filter(announce).all(|verdict| verdict["outcome"] == "passed"), "{found:?}");
    let shown = Command::new("sh")
        .args(["-c", "openssl s_client -connect \"$1\":443 -servername http.tracker.test </dev/null 2>/dev/null | openssl x509 -noout -issuer", "sh"])
        .arg(&host.ipv4)
        .output()
        .expect("openssl starts");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Pebble Intermediate CA"), "{shown:?}");
    assert_eq!(command_of(&work, &host, &["apply", "--json"], None).expect(0).outcome(), "converged");
}

fn command_of(work: &Work, host: &BedHost, arguments: &[&str], trusted: Option<&str>) -> crate::bed::Run {
    let mut command = command(work, host, arguments, SECRETS);
    if let Some(file) = trusted {
        command.env("SSL_CERT_FILE", work.path(file));
    }
    Work::finish(&mut command)
}
