//! A running installation of the predecessor is taken over in place: its data stays, and its containers become
//! deployer's. Then root's password at its database is changed.

use crate::backup::{list, serves};
use crate::bed::{BedHost, Work, bed_value};
use crate::scene::containers;
use crate::stack::{load_images, run};

const SECRETS: [&str; 2] = ["token", "p@ss"];

/// The predecessor's Compose file.
const COMPOSE: &str = r#"services:
  tracker:
    image: torrust/tracker:develop
    restart: unless-stopped
    environment:
      - USER_ID=1000
      - TORRUST_TRACKER_CONFIG_TOML_PATH=/etc/torrust/tracker/tracker.toml
      - TORRUST_TRACKER_CONFIG_OVERRIDE_CORE__DATABASE__DRIVER=mysql
      - TORRUST_TRACKER_CONFIG_OVERRIDE_CORE__DATABASE__PATH=${DATABASE_URL}
      - TORRUST_TRACKER_CONFIG_OVERRIDE_HTTP_API__ACCESS_TOKENS__ADMIN=${TOKEN}
    networks: [database]
    ports: ["6969:6969/udp", "7070:7070", "1212:1212"]
    volumes:
      - ./storage/tracker/lib:/var/lib/torrust/tracker:Z
      - ./storage/tracker/log:/var/log/torrust/tracker:Z
      - ./storage/tracker/etc:/etc/torrust/tracker:Z
    logging: { options: { max-size: "10m", max-file: "10" } }
    depends_on: { mysql: { condition: service_healthy } }
  mysql:
    image: mysql:mariadb
    restart: unless-stopped
    environment:
      - MYSQL_ROOT_PASSWORD=${MYSQL_ROOT_PASSWORD}
      - MYSQL_DATABASE=torrust
      - MYSQL_USER=tracker_user
      - MYSQL_PASSWORD=${MYSQL_PASSWORD}
    networks: [database]
    volumes: ["./storage/mysql/data:/var/lib/mysql"]
    healthcheck: { test: ["CMD", "mysqladmin", "ping", "-h", "127.0.0.1", "--silent"], interval: 3s, timeout: 5s, retries: 5, start_period: 30s }
networks:
  database: { driver: bridge }
"#;
const ENV: &str = "TOKEN=token\nDATABASE_URL=mysql://tracker_user:p%40ss@mysql:3306/torrust\nMYSQL_ROOT_PASSWORD=old-root\nMYSQL_PASSWORD=p@ss\n";
const TOML: &str = "[metadata]\napp = \"torrust-tracker\"\npurpose = \"configuration\"\nschema_version = \"2.0.0\"\n[logging]\nthreshold = \"info\"\n\
[core]\nlisted = true\nprivate = false\n[core.database]\ndriver = \"mysql\"\npath = \"\"\n[[udp_trackers]]\nbind_address = \"0.0.0.0:6969\"\n\
[[http_trackers]]\nbind_address = \"0.0.0.0:7070\"\n[http_api]\nbind_address = \"0.0.0.0:1212\"\n[http_api.access_tokens]\nadmin = \"token\"\n\
[health_check_api]\nbind_address = \"127.0.0.1:1313\"\n";
const OLD: &str = r#"{
  "environment": { "name": "production" },
  "ssh_credentials": { "private_key_path": "KEY", "public_key_path": "KEY.pub", "username": "deploy", "port": 22 },
  "provider": { "provider": "lxd", "profile_name": "torrust" },
  "tracker": {
    "core": { "private": false, "listed": true,
      "database": { "driver": "mysql", "host": "mysql", "port": 3306, "database_name": "torrust", "username": "tracker_user", "password": "p@ss" } },
    "udp_trackers": [ { "bind_address": "0.0.0.0:6969" } ],
    "http_trackers": [ { "bind_address": "0.0.0.0:7070" } ],
    "http_api": { "bind_address": "0.0.0.0:1212", "admin_token": "token" },
    "health_check_api": { "bind_address": "127.0.0.1:1313" }
  }
}"#;

/// Installs and starts the predecessor's stack, with a torrent on its list.
fn installed(host: &BedHost) {
    load_images(host, &["tracker", "mysql"]);
    host.shell("docker tag torrust/tracker:3.0.0 torrust/tracker:develop");
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("written");
    };
    write("docker-compose.yml", COMPOSE);
    write(".env", ENV);
    write("storage/tracker/etc/tracker.toml", TOML);
    host.send(folder.path(), "/opt/torrust");
    host.shell("cd /opt/torrust && mkdir -p storage/tracker/lib/database storage/tracker/log && chown -R 1000:1000 . && docker compose up -d --wait 2>&1");
    list(host, "POST");
    assert!(serves(host));
}

#[test]
fn a_running_installation_of_the_predecessor_is_taken_over_with_its_data() {
    let host = BedHost::docker();
    installed(&host);
    let work = Work::empty();
    work.write("old.json", OLD.replace("KEY", &bed_value("BED_KEY").display().to_string()));
    work.write("deployment.yaml", "version: 1\nproject: torrent\nenvironments:\n");
    let import = ["import", "--from", "old.json", "--host", &host.ipv4];
    let told = run(&work, &host, &import, SECRETS).expect(0);
    assert!(told.stdout.contains("MYSQL_ROOT_PASSWORD"), "{told:?}");
    work.edit("deployment.yaml", "images: { ", "images: { mysql: \"mysql:mariadb\", ");

    let deployer = |arguments: &[&str], root: &str| {
        let mut command = crate::stack::command(&work, &host, arguments, SECRETS);
        command.env("TRACKER_API_TOKEN", SECRETS[0]).env("TRACKER_DATABASE_PASSWORD", SECRETS[1]);
        Work::finish(command.env("MYSQL_ROOT_PASSWORD", root))
    };
    deployer(&["apply", "--json", "--accept-new-host-keys"], "old-root").expect(0);
    assert!(serves(&host), "its data is ours");
    let names: Vec<String> = containers(&host).into_keys().collect();
    assert_eq!(names, ["mysql", "tracker"]);
    let labels =
        "docker ps -q | xargs docker inspect -f '{{index .Config.Labels \"com.docker.compose.project\"}}' | sort -u";
    assert_eq!(host.shell(labels).trim(), "torrust", "in place");
    let again = deployer(&["apply", "--json"], "old-root").expect(0);
    assert_eq!(again.outcome(), "converged", "{}", again.stdout);
    deployer(&["test", "--json"], "old-root").expect(0);

    // Root gets another password, and the tracker continues to run.
    deployer(&["apply", "--json"], "new 'root\"\\").expect(0);
    assert!(serves(&host));
    let ask = |password: &str| {
        let ask = format!(
            "printf '[client]\\nuser=root\\npassword=\"%s\"\\n' {} >/tmp/c; mysql --defaults-extra-file=/tmp/c -e 'SELECT 1' >/dev/null 2>&1 && echo in; rm /tmp/c",
            quoted(password)
        );
        let id = "$(docker ps -q --filter label=com.docker.compose.service=mysql)";
        host.script(&format!("docker exec -i {id} bash -s <<'END' || :\n{ask}\nEND\n")).contains("in")
    };
    assert!(ask("new 'root\\\"\\\\"), "the new one is in force");
    assert!(!ask("old-root"), "the old one is not");
    assert_eq!(deployer(&["apply", "--json"], "new 'root\"\\").expect(0).outcome(), "converged");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
