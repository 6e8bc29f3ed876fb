//! The engine resource with Docker's own apt repository: a local copy of its layout and signature, made of Debian's
//! packages under Docker's names.

use crate::bed::{BedHost, Work, bed, bed_value};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const RECIPE: &str = include_str!("repository.sh");

/// Returns the repository's directory in the bed's cache, and makes it if it does not exist.
fn repository() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make_repository)
}

fn make_repository() -> PathBuf {
    let directory =
        bed_value("BED_CACHE").join(format!("repository/{}", &blake3::hash(RECIPE.as_bytes()).to_hex()[..16]));
    if !directory.exists() {
        let host = BedHost::docker();
        let made = tempfile::tempdir_in(bed_value("BED_CACHE")).expect("a directory");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/repository.sh");
        let mut packing = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed"))
            .args(["shell", &host.name, "sh", "-s"])
            .stdin(fs::File::open(script).expect("the recipe"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/bed starts");
        let packed: OwnedFd = packing.stdout.take().expect("a pipe").into();
        let unpack = Command::new("tar").arg("-x").current_dir(made.path()).stdin(packed).status().expect("tar starts");
        assert!(packing.wait().expect("an end").success() && unpack.success());
        fs::create_dir_all(directory.parent().expect("a parent")).expect("a directory");
        let _ = fs::rename(made.keep(), &directory);
    }
    directory
}

/// Serves a directory to the hosts of the bed while the tests run, and returns its URL.
fn serve(directory: &Path, host: &BedHost) -> String {
    let (net, _) = host.ipv4.rsplit_once('.').expect("an IPv4 address");
    let listener = TcpListener::bind((format!("{net}.1"), 0)).expect("the bridge's address");
    let address = listener.local_addr().expect("an address");
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let directory = directory.clone();
            std::thread::spawn(move || answer(&connection, &directory));
        }
    });
    format!("http://{address}/linux/debian")
}

fn answer(connection: &TcpStream, directory: &Path) -> Option<()> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let request = lines.next()?;
    while !lines.next()?.is_empty() {}
    let path = request.split(' ').nth(1)?.strip_prefix("/linux/debian/").filter(|path| !path.contains(".."))?;
    let mut out = connection;
    match fs::read(directory.join(path)) {
        Ok(body) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            out.write_all(&[head.as_bytes(), &body].concat()).ok()
        }
        Err(_) => out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok(),
    }
}

fn wish(work: &Work, host: &BedHost, engine: &str) {
    work.manifest(host, &format!("    configure: {{ engine: {{ {engine} }} }}\n"));
}

#[test]
fn dockers_own_repository_is_trusted_by_its_key_alone() {
    let repository = repository();
    let host = BedHost::bare();
    let url = serve(repository, &host);
    let work = Work::demo(&host);
    for key in ["signer.asc", "nobody.asc"] {
        work.write(key, fs::read(repository.join(key)).expect("a key"));
    }
    let from = |key: &str| format!("source: docker, repository: {{ url: \"{url}\", key_file: ./{key} }}");

    wish(&work, &host, &from("nobody.asc"));
    let refused = work.apply().expect(1);
    assert_eq!(refused.reasons(), ["engine-failed"]);
    let details = refused.of("error")[0]["details"].as_str().unwrap_or_default().to_lowercase();
    assert!(details.contains("inrelease") && details.contains("key"), "{details}");
    assert!(!host.holds("command -v docker"));

    wish(&work, &host, &from("signer.asc"));
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert!(host.shell("dpkg-query -W -f '${Version}' docker-ce").starts_with("5:28.0.0"));
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The engine meets the minimum, so it is left unchanged, whichever source is configured.
    let installed = host.shell("wc -l < /var/log/dpkg.log");
    for other in ["source: distribution", "minimum: \"26.0\"", "install: false"] {
        wish(&work, &host, other);
        assert_eq!(work.apply().expect(0).outcome(), "converged", "{other}");
    }
    assert_eq!(host.shell("wc -l < /var/log/dpkg.log"), installed);

    wish(&work, &host, "minimum: \"99.0\", install: false");
    let refused = work.apply().expect(1);
    assert_eq!(refused.reasons(), ["engine-missing"]);
    assert_eq!(host.page(8080).as_deref(), Some("page one\n"));
}

#[test]
fn an_engine_of_the_owner_is_not_removed_for_dockers() {
    let repository = repository();
    let host = BedHost::docker();
    let url = serve(repository, &host);
    let work = Work::demo(&host);
    work.write("signer.asc", fs::read(repository.join("signer.asc")).expect("a key"));
    wish(&work, &host, &format!("minimum: \"27.0\", repository: {{ url: \"{url}\", key_file: ./signer.asc }}"));
    let refused = work.apply().expect(1);
    assert_eq!(refused.reasons(), ["engine-failed"]);
    let details = refused.of("error")[0]["details"].as_str().unwrap_or_default().to_owned();
    assert!(details.contains("remove"), "{details}");
    assert!(host.holds("docker version"));
    assert!(host.shell("dpkg-query -W -f '${Status}' docker.io").contains("ok installed"));

    // On the same host, the installed engine meets a lower minimum.
    wish(&work, &host, "minimum: \"24.0\"");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    assert!(bed(&["hosts"]).contains(&host.name));
}

/// Questions to the engine have the same answers through its socket and, where that is missing, through Docker's
/// commands.
#[test]
fn the_engine_is_asked_through_its_socket_or_through_commands() {
    let host = BedHost::docker();
    let scene = r#"tar -C /bin -c busybox | docker import -c 'CMD ["/busybox", "sleep", "1000"]' - demo:1 >/dev/null
docker tag demo:1 other/demo:2
mkdir -p '/srv/a&b' '/mnt/a "b" <c>'
docker volume create --opt type=none --opt o=bind --opt 'device=/srv/a&b' v1 >/dev/null
docker network create n1 >/dev/null
run() { docker run -d --label com.docker.compose.project=shop "$@" demo:1 >/dev/null; }
run --name one --label 'com.docker.compose.service=we"b' --health-cmd false --health-interval 0.2s --health-retries 1 --restart always -p 8080:80 -v v1:/a -v '/mnt/a "b" <c>:/b:ro' -v /opt:/c -v /anon
run --name two --network n1 && docker pause two >/dev/null
docker create --name three --label com.docker.compose.project=shop demo:1 >/dev/null
docker create --name four demo:1 >/dev/null
for _ in $(seq 50); do [ "$(docker inspect -f '{{.State.Health.Status}}' one)" != unhealthy ] || break; sleep 0.1; done
of=label=com.docker.compose.project=shop
plain() { sed '/^$/d; s/\\u0026/\&/g; s/\\u003c/</g; s/\\u003e/>/g' | sort; }
for question in server names images "ids $of" "ids status=paused $of" "ids status=running health=unhealthy $of" "containers $of" "mounts $of" writable "places v1" "devices v1" "options v1" networks volumes; do
  case $question in
    # Only the socket tells these.
    names | images) part() { grep -v '^publishes \|^<none> '; } ;;
    networks | volumes) part() { tr -d ' ' | grep -o '"Name":"[^"]*"' | grep -v '"one"\|"two"'; } ;;
    *) part() { cat; } ;;
  esac
  one=$(ask_socket "$question" | part | plain) two=$(ask_docker $question | part | plain)
  [ "$one" = "$two" ] && [ -n "$one" ] || printf '%s:\n%s\nbut\n%s\n' "$question" "$one" "$two"
done
! ask_socket 'options none' && ! ask_docker options none 2>/dev/null"#;
    let script = format!(
        "export fields='{}'\ntemplate='{}'\n{}{scene}",
        deployer::resource::compose::container::FIELDS,
        deployer::resource::compose::container::TEMPLATE,
        deployer::model::shell::engine::ASK_ENGINE
    );
    assert_eq!(host.shell(&script).trim(), "");
}
