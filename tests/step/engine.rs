//! Questions to the Docker engine, as `sh` and Perl ask them. A stand-in for the engine answers on a socket of its own.

use deployer::io::process::{self, Finished};
use deployer::model::shell::engine::ASK_ENGINE;
use deployer::resource::compose::container;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

/// A machine with an engine that gives these answers.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// Request → answer. The engine answers every other request with 404, and closes the connection instead of an answer
    /// that is empty.
    fn new(answers: &[(&str, &str)]) -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        let engine = UnixListener::bind(machine.socket()).unwrap();
        let answers: BTreeMap<_, _> =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), (*answer).to_owned())).collect();
        std::thread::spawn(move || {
            for mut asked in engine.incoming().flatten() {
                let mut request = [0; 4096];
                let length = asked.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let head = "Server: Docker/26.1.5+dfsg1 (linux)\r\nContent-Type: application/json\r\n\r\n";
                let answer = match answers.get(path).map(String::as_str) {
                    Some("") => continue,
                    Some(answer) => format!("HTTP/1.0 200 OK\r\n{head}{answer}"),
                    None => format!("HTTP/1.0 404 Not Found\r\n{head}{{\"message\":\"none\"}}"),
                };
                let _ = asked.write_all(answer.as_bytes());
            }
        });
        machine
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Gives the machine a command `docker` that runs this shell.
    fn with_command(self, shell: &str) -> Self {
        let program = self.directory.path().join("docker");
        fs::write(&program, format!("#!/bin/sh\n{shell}\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    async fn finished(&self, script: &str) -> Finished {
        let ask = ASK_ENGINE.replace("/run/docker.sock", self.socket().to_str().unwrap());
        let path = self.directory.path().display();
        let script = format!("PATH={path}:$PATH\n{ask}{script}");
        process::run(&["sh", "-c", &script].map(str::to_owned), b"", Duration::from_secs(30)).await.unwrap()
    }

    /// Returns what these questions print, or an empty text if they fail.
    async fn ask(&self, questions: &str) -> String {
        let finished = self.finished(&format!("ask_engine {questions}")).await;
        let said = String::from_utf8(finished.stdout).unwrap();
        assert!(finished.status.success() || said.is_empty(), "a failure prints no part of an answer: {said}");
        said
    }
}

const ALL: &str = "/containers/json?all=1&filters=%7B%7D";

/// Filters of a list, as the engine expects them.
fn filtered(filters: &str) -> String {
    let mut path = String::from("/containers/json?all=1&filters=");
    for byte in filters.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[tokio::test]
async fn containers_are_named_with_the_ports_that_they_publish() {
    let hostile = r#"echo \"Names\":[\"/x\"],\"PrivatePort\":1,\"PublicPort\":2,\"Type\":\"tcp\"}]"#;
    let list = format!(
        r#"[{{"Id":"1","Names":["/shop-web-1","/other/web"],"Image":"demo:1","Command":"{hostile}","Created":1,"Ports":[{{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}},{{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}},{{"PrivatePort":81,"Type":"tcp"}}],"Labels":{{"a":"{hostile}"}}}},{{"Id":"2","Names":["/dns"],"Ports":[{{"PrivatePort":53,"PublicPort":53,"Type":"udp"}}]}},{{"Id":"3","Names":["/idle"],"Ports":[]}}]"#
    );
    let machine = Machine::new(&[(ALL, &list), ("/_ping", "OK")]);
    let wanted = "name shop-web-1\npublishes 0.0.0.0 8080 tcp shop-web-1\npublishes :: 8080 tcp shop-web-1\n\
                  name dns\npublishes - 53 udp dns\nname idle\n";
    assert_eq!(machine.ask("names").await, wanted);
    assert_eq!(machine.ask("server names").await, format!("server 26.1.5+dfsg1\n{wanted}"));
}

/// A label or a command can contain text that looks like a mount or like the end of a list.
#[tokio::test]
async fn paths_that_containers_can_write_to_are_those_of_their_mounts() {
    let hostile = r#"\"}],\"Mounts\":[{\"Source\":\"/forged\",\"RW\":true}"#;
    let list = format!(
        r#"[{{"Id":"a1","Command":"{hostile}","Labels":{{"{hostile}":"{hostile}"}},"Mounts":[{{"Type":"bind","Source":"/srv/a \"b\"\\","Destination":"/x","Mode":"ro","RW":true}},{{"Source":"/etc/read","RW":false}},{{"Source":"/unclear"}}]}},{{"Id":"b2","Mounts":[{{"Type":"volume","Name":"v","Source":"","RW":true}},{{"Source":"/old","RW":true}}]}},{{"Id":"c3","Mounts":[{{"Type":"volume","Source":"","RW":true}}]}},{{"Id":"d4","Mounts":[]}},{{"Id":"e5"}}]"#
    );
    let one = r#"{"Id":"b2","Mounts":[{"Source":"/plugin/v","RW":true},{"Source":"/old","RW":true}]}"#;
    let volumes = r#"{"Volumes":[{"Name":"v","Mountpoint":"/volumes/v","Options":{"device":"/srv","o":"bind","type":"none"}},{"Name":"w","Mountpoint":"/volumes/w","Options":null}],"Warnings":null}"#;
    let machine = Machine::new(&[(ALL, &list), ("/containers/b2/json", one), ("/volumes", volumes)]);
    let wanted = "\"/srv/a \\\"b\\\"\\\\\"\n\"/unclear\"\n\"/plugin/v\"\n\"/old\"\n\
                  \"/volumes/v\"\n\"/srv\"\no \"bind\"\n\"/volumes/w\"\n";
    assert_eq!(machine.ask("writable").await, wanted);
    // Without one part of the answer there is none: root would trust a path that a service can write to.
    for cut in [&list[..list.len() - 1], &list[..400], "", "null }", r#"{"message":"no"}x"#] {
        let machine = Machine::new(&[(ALL, cut), ("/containers/b2/json", one), ("/volumes", volumes)]);
        assert_eq!(machine.with_command("exit 1").ask("writable").await, "", "{cut}");
    }
    assert_eq!(Machine::new(&[(ALL, &list)]).with_command("exit 1").ask("writable").await, "");
}

#[tokio::test]
async fn containers_have_the_fields_of_the_command_of_docker() {
    let one = r#"{"Id":"ID","Name":"/shop-web-1","Image":"sha256:IMAGE","RestartCount":2,"State":{"Status":"running","ExitCode":0,"StartedAt":"2026-01-02T03:04:05.678Z","Health":{"Status":"healthy","Log":[{"Output":"}{"}]}},"HostConfig":{"RestartPolicy":{"Name":"always"},"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}},"Config":{"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web","com.docker.compose.project.working_dir":"/opt/shop","com.docker.compose.oneoff":"False","com.docker.compose.config-hash":"HASH"}}}"#;
    let (id, image, hash) = ("ab".repeat(32), "cd".repeat(32), "ef".repeat(32));
    let one = one.replace("ID\"", &format!("{id}\"")).replace("IMAGE", &image).replace("HASH", &hash);
    let list = format!(r#"[{{"Id":"{id}"}},{{"Id":"{}"}}]"#, "0".repeat(64));
    let path = filtered(r#"{"label":["com.docker.compose.project=shop"]}"#);
    let machine = Machine::new(&[(&path, &list), (&format!("/containers/{id}/json"), &one)]);
    let script =
        format!("export fields='{}'\nask_engine 'containers label=com.docker.compose.project=shop'", container::FIELDS);
    let said = String::from_utf8(machine.finished(&script).await.stdout).unwrap();
    // The other container ended meanwhile.
    assert_eq!(said.lines().count(), 1, "{said}");
    let found = container::parse(said.trim_end()).unwrap();
    assert_eq!(
        (found.said(), found.project.as_str(), found.service.as_str()),
        ("shop-web-1".to_owned(), "shop", "web")
    );
    assert_eq!(found.ports().collect::<Vec<_>>(), [(8080, "tcp")]);
    assert_eq!((found.image, found.hash), (format!("sha256:{image}"), hash));
    // Both ways read the same fields.
    let fields = container::FIELDS.split_whitespace().map(|field| field.split_once('=').unwrap().0);
    let named: Vec<String> = fields.map(|field| format!("\"{field}\":")).collect();
    assert_eq!(container::TEMPLATE.matches("\":{{").count(), named.len());
    assert!(named.iter().all(|field| container::TEMPLATE.contains(field)), "{named:?}");
}

#[tokio::test]
async fn images_volumes_and_mounts_are_read() {
    let images = r#"[{"Id":"sha256:1","RepoTags":["demo:1","host:5000/a/b:2"],"RepoDigests":["demo@sha256:9"]},{"Id":"sha256:2","RepoTags":null,"RepoDigests":[]}]"#;
    let volume = r#"{"Name":"v","Mountpoint":"/volumes/v","Options":{"o":"bind","device":"/srv"}}"#;
    let one = r#"{"Id":"a1","State":{"Pid":7},"Config":{"Labels":null},"Mounts":[{"Type":"volume","Name":"v","Source":"/volumes/v","Destination":"/d\t"}]}"#;
    let machine = Machine::new(&[
        ("/images/json?digests=1", images),
        ("/volumes/v", volume),
        ("/networks", "[ {\"Name\" : \"n\\u0026\", \"Internal\": false},\n{}]"),
        (&filtered(r#"{"label":["x=y"],"status":["paused"]}"#), r#"[{"Id":"a1"}]"#),
        ("/containers/a1/json", one),
    ]);
    let wanted = "demo 1 <none> sha256:1\nhost:5000/a/b 2 <none> sha256:1\ndemo <none> sha256:9 sha256:1\n\
                  <none> <none> <none> sha256:1\n<none> <none> <none> sha256:2\n";
    assert_eq!(machine.ask("images").await, wanted);
    let other = Machine::new(&[("/images/json?digests=1", "{}")]).with_command("exit 1");
    assert!(!other.finished("ask_engine images").await.status.success(), "this is not an empty list");
    assert_eq!(machine.ask("'places v'").await, "\"/volumes/v\"\n\"/srv\"\no \"bind\"\n");
    assert_eq!(machine.ask("'options v'").await, "{\"device\":\"/srv\",\"o\":\"bind\"}\n");
    assert_eq!(machine.ask("'devices v'").await, "v\t\"/srv\"\n");
    assert_eq!(machine.ask("networks").await, "networks [{\"Internal\":false,\"Name\":\"n\\u0026\"},{}]\n");
    assert_eq!(machine.ask("'ids status=paused label=x=y'").await, "a1\n");
    assert_eq!(
        machine.ask("'mounts label=x=y status=paused'").await,
        "7\ta1\tnull\tvolume\tv\t\"/volumes/v\"\t\"/d\\t\"\n"
    );
}

/// A missing volume does not cause a second query. If the engine's socket is not at its usual path, `docker` answers.
#[tokio::test]
async fn commands_of_docker_answer_where_the_socket_does_not() {
    let commands = r#"case "$*" in 'ps -aq --no-trunc --filter status=paused --filter label=x=y') echo a1 ;; 'volume inspect'*) echo '{}' ;; *) exit 1 ;; esac"#;
    let machine = Machine::new(&[]).with_command(commands);
    assert_eq!(machine.ask("'options v'").await, "");
    fs::remove_file(machine.socket()).unwrap();
    assert_eq!(machine.ask("'options v'").await, "{}\n");
    assert_eq!(machine.ask("'ids status=paused label=x=y'").await, "a1\n");
    assert_eq!(machine.ask("images").await, "");
}
