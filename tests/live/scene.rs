//! Helpers of the live tests: the containers, connections and files of a host, and an application of two services. Does
//! not change a host.

use crate::bed::{BedHost, Work, bed_value, image};
use serde_json::Value;
use std::collections::BTreeMap;

/// The directory of the usual application on its host.
pub const APP: &str = "/opt/deployer/shop--production";
/// The state directory of the usual application on its host.
pub const STATE: &str = "/var/lib/deployer/shop--production";

/// Two services, each with its own page: `web` on 8080, `side` on 8081.
pub const DUO: &str = "services:
  web:
    image: demo:1
    ports: [\"8080:8080\"]
    volumes: [\"./html:/www:ro\"]
  side:
    image: demo:1
    command: [httpd, -f, -p, \"8081\", -h, /www]
    ports: [\"8081:8081\"]
    volumes: [\"./side:/www:ro\"]
";

/// Makes the application [`DUO`] on a host with the usual manifest.
pub fn duo(host: &BedHost) -> Work {
    let work = Work::demo(host);
    work.write("app/compose.yaml", DUO);
    work.write("app/side/index.html", "side one\n");
    work
}

/// Writes a manifest of project `shop` whose environments, indented by four, are all on one host.
pub fn several(host: &BedHost, work: &Work, environments: &str) {
    work.link("demo.tar", &image("demo-1.tar"));
    let text = format!(
        "version: 1\nproject: shop\ndefaults:\n  ssh: {{ user: deploy, identity_file: {}, host_key: [\"{}\"], wait: 0s }}\n  \
         health: {{ timeout: 20s, stable_for: 1s }}\nenvironments:\n{environments}",
        bed_value("BED_KEY").display(),
        host.host_key(),
    );
    work.write("deployment.yaml", text);
}

/// Returns an environment for [`several`]: the usual application with its own directory, published on `port`.
pub fn entry(host: &BedHost, work: &Work, name: &str, port: u16, more: &str) -> String {
    let compose = crate::bed::DEMO.replace("8080:8080", &format!("{port}:8080"));
    work.write(&format!("{name}/compose.yaml"), compose);
    work.write(&format!("{name}/html/index.html"), format!("{name}\n"));
    format!(
        "  {name}:\n    registered: {{ address: {} }}\n    application: {{ compose: {{ directory: ./{name}, archives: {{ \
         \"demo:1\": ./demo.tar }} }} }}\n{more}",
        host.ipv4
    )
}

/// Returns the id and start of each running container, by service.
pub fn containers(host: &BedHost) -> BTreeMap<String, String> {
    let format = r#"{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.StartedAt}}"#;
    let lines = host.shell(&format!("docker ps -q | xargs -r docker inspect -f '{format}'"));
    lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

/// Returns everything of deployer on a host: files with their contents, times and modes, containers with their starts.
pub fn everything(host: &BedHost) -> String {
    host.shell(
        "for directory in /opt /var/lib/deployer; do
           [ ! -d $directory ] || find $directory -printf '%p %y %m %U %T@ %s\\n' | sort
         done
         command -v docker >/dev/null || exit 0
         docker ps -aq | xargs -r docker inspect -f '{{.Id}} {{.State.Status}} {{.State.StartedAt}}' | sort
         docker images --no-trunc -q | sort; docker volume ls -q; docker network ls -q --no-trunc | sort",
    )
}

/// Returns the numbers of connections that sshd accepted and of remote commands that it started while `run` ran.
pub fn traffic(host: &BedHost, run: impl FnOnce()) -> (usize, usize) {
    host.shell("grep -qx 'LogLevel VERBOSE' /etc/ssh/sshd_config || { sed -i '1i LogLevel VERBOSE' /etc/ssh/sshd_config; systemctl reload ssh; }");
    let cursor = host.shell("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'");
    run();
    let log = host.shell(&format!("journalctl --sync; journalctl -o cat --after-cursor '{}'", cursor.trim()));
    (log.matches("Accepted publickey").count(), log.matches("Starting session").count())
}

/// Returns the steps of the only plan of a run.
pub fn steps(run: &crate::bed::Run) -> Vec<Value> {
    run.of("plan")[0]["steps"].as_array().expect("steps").clone()
}

/// Returns `KIND ACTION REASON` of every step of the plan.
pub fn summary(run: &crate::bed::Run) -> Vec<String> {
    let word = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    steps(run).iter().map(|step| ["kind", "action", "reason"].map(|key| word(step, key)).join(" ")).collect()
}

/// Returns the change of the plan with this fact's name.
pub fn change(run: &crate::bed::Run, fact: &str) -> Value {
    let changes = steps(run).into_iter().flat_map(|step| step["changes"].as_array().cloned().unwrap_or_default());
    changes.into_iter().find(|change| change["fact"] == fact).unwrap_or_else(|| panic!("no change of {fact}"))
}
