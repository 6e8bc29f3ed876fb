//! No key of the manifest is forgotten by a review: each key of the schema is changed in turn, on its own.

use crate::review::Work;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Manifests that hold every key of the schema between them.
const SCENES: [&str; 6] = [SHARED, COMPOSE, TRACKER, MYSQL, MACHINES, MODULE];

const SHARED: &str = r#"
version: 1
project: shop
state: sqlite:.deployer/state.db
state_passphrase: phrase
registries: { ghcr.io: { username: shop, password: word } }
defaults: { keep_releases: 4 }
environments:
  web:
    registered: { address: 192.0.2.1 }
    application: { compose: { directory: ./app, templates: true, variables: { A: "1" } } }
"#;

const COMPOSE: &str = r#"
version: 1
project: shop
environments:
  other: { registered: { address: 192.0.2.2 } }
  more: { registered: { address: 192.0.2.3 } }
  web:
    registered: { address: 192.0.2.1 }
    public_addresses: [203.0.113.7, "2001:db8::7"]
    ssh:
      port: 2222
      user: deploy
      identity: { from_env: KEY, secret: true }
      host_key: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhFwGYlbQ1QGAVYdJpRtUoSvIGOvzD8VFUBGJZAjxRk]
      jump: admin@bastion.example.com:2200
      sudo_password: word
      connect_timeout: 5s
      wait: 6s
    configure:
      engine:
        minimum: "25.0"
        install: false
        ipv6: true
        source: docker
        repository: { url: "https://mirror.example.com/linux/debian", key_file: ./one.asc }
      firewall: { allow: [ { port: 51820, protocol: udp, from: [203.0.113.0/24, 198.51.100.0/24] }, { port: 443 } ] }
      security_updates: { reboot_at: "02:00" }
      scripts:
        - { name: motd, check: test -s /etc/motd, run: echo hi, undo: rm /etc/motd }
        - { name: swap, check: "true", file: ./one.sh }
      schedules: [ { name: prune, at: "Sun 04:00", run: docker builder prune -f } ]
    application:
      compose:
        directory: ./app
        files: [compose.yaml, more.yaml]
        templates: true
        variables: { A: "1", B: { from_file: ./other, secret: true }, C: { from_command: [pass, show] } }
        archives: { "demo:1": ./one.tar }
        seed: [page.html, data.txt]
        links: [one, two]
        readable: [conf.txt, "conf.*"]
        before: [web]
        pull: missing
        project: shop
        host_directory: /srv/shop
    checks:
      - { name: page, http: { port: 8080, path: /, status: 200, contains: hello, tls: false, host: a.example.com } }
      - { name: db, tcp: 5432, from: runner, gate: false }
    stage: running
    health: { timeout: 5m, stable_for: 10s }
    protect: true
    renamed_from: old
    rollback: never
    keep_releases: 3
    depends_on: [other]
    drift: { policy: detect, ignore: [ { fact: "files:app/motd", reason: edited by hand }, { fact: "files:b", reason: b } ] }
"#;

const TRACKER: &str = r#"
version: 1
project: tracker
environments:
  web:
    registered: { address: 192.0.2.1 }
    ssh: { identity_file: ~/.ssh/id }
    health: { smoke: false }
    application:
      tracker:
        private: false
        listed: true
        database: { sqlite: { file: one.db } }
        udp: [ { port: 6969, bind: 0.0.0.0, domain: udp.example.com }, { port: 6970 } ]
        http: [ { port: 7070, domain: a.example.com, tls: true }, { port: 7071, domain: b.example.com, tls: true } ]
        api: { port: 1212, domain: api.example.com, tls: true, token: word }
        health_api: { port: 1313, domain: health.example.com, tls: true }
        announce: { interval: 120s, minimum: 60s }
        persistent_completed: true
        log: warn
        prometheus: { scrape_interval: 30s }
        grafana: { port: 3100, domain: grafana.example.com, tls: true, user: admin, password: long-enough }
        tls: { email: a@example.com, issuer: { acme: "https://ca.example.com/directory", root: ./one.pem } }
        backup: { at: "03:00", keep_days: 14, after: [rclone, copy, "{archive}"] }
        ipv6: false
        images: { grafana: "grafana/grafana:12.0.0" }
        archives: { "torrust/tracker:develop": ./one.tar }
        pull: missing
        project: stack
        host_directory: /srv/stack
  alone:
    registered: { address: 192.0.2.2 }
    application:
      tracker:
        http: [ { port: 7070, domain: c.example.com, tls: true } ]
        api: { token: word, domain: d.example.com, tls: true }
        tls: { email: a@example.com }
"#;

const MYSQL: &str = r"
version: 1
project: tracker
environments:
  web:
    registered: { address: 192.0.2.1 }
    application:
      tracker:
        udp: [ { port: 6969 } ]
        http: [ { port: 7070, bind: 127.0.0.1 } ]
        api: { port: 1212, bind: 127.0.0.1, token: word }
        health_api: { port: 1313, bind: 127.0.0.1, publish: true }
        grafana: { port: 3100, bind: 127.0.0.1, password: long-enough }
        prometheus: {}
        database: { mysql: { user: a, password: word, database: one, root_password: root-word } }
  far:
    registered: { address: 192.0.2.2 }
    application:
      tracker:
        udp: [ { port: 6969 } ]
        database: { mysql: { user: a, password: word, database: one, host: 192.0.2.9, port: 3307 } }
";

const MACHINES: &str = r#"
version: 1
project: shop
defaults: { ssh: { identity: { from_env: KEY } } }
environments:
  web:
    provisioned:
      lxd: { image: "ubuntu:24.04", type: container, cpus: 2, memory: 2GiB, disk: 10GiB, pool: fast, network: lxdbr0, remote: big,
        project: web, profiles: [default, web], config: { security.secureboot: "false" } }
      timeout: 1h
  cloud:
    provisioned:
      hetzner: { server_type: cax11, location: hel1, image: debian-13, token: word, ipv4: true, ipv6: true, firewall: true,
        volume: { size: 20GB, mount: /opt/data }, delete_protection: true, primary_ip: front, labels: { team: web } }
  plain: { provisioned: { hetzner: { server_type: cax11, location: hel1, ipv4: true } } }
"#;

const MODULE: &str = r#"
version: 1
project: shop
defaults: { ssh: { identity: { from_env: KEY } } }
environments:
  web:
    provisioned:
      module: { source: ./infra, resource: terraform_data.machine, variables: { size: small }, secrets: { token: word },
        outputs: { address: a, port: b, user: c, host_key: d } }
      backend: { s3: { bucket: states } }
  public:
    provisioned: { module: { source: example/machine/lxd, version: "1.2.0" } }
"#;

/// Values in the place of those in the scenes, where the form of a value decides what is valid.
const VALUES: [(&str, &str); 12] = [
    ("Compose.directory", "\"./app2\""),
    ("Engine.minimum", "\"26.1\""),
    ("Environment.depends_on", "[\"other\", \"more\"]"),
    ("Environment.stage", "\"released\""),
    ("Ignore.fact", "\"files:other\""),
    ("Engine.source", "\"auto\""),
    ("Mysql.host", "\"192.0.2.10\""),
    ("Mysql.database", "\"two\""),
    ("Registered.address", "\"192.0.2.77\""),
    ("Site.bind", "\"127.0.0.2\""),
    ("Tls.email", "\"b@example.com\""),
    ("Tracker.database", "\"sqlite\""),
];

/// Keys whose values mean nothing else when they change.
const WITHOUT_EFFECT: [&str; 1] = [
    // The schema knows one version.
    "deployment.yaml.version",
];

struct Schema(Value);

impl Schema {
    /// The definition behind a node, and its name.
    fn resolved<'a>(&'a self, name: &'a str, node: &'a Value, value: &Value) -> (&'a str, &'a Value) {
        let nodes = ["allOf", "anyOf"].iter().filter_map(|word| node[word].as_array()).flatten();
        let choice = nodes.filter(|one| node["allOf"].is_array() || one["$ref"].is_string() == value.is_object());
        let Some(link) = [node].into_iter().chain(choice).find_map(|one| one["$ref"].as_str()) else {
            return (name, node);
        };
        let name = link.rsplit('/').next().expect("a name");
        self.resolved(name, &self.0["definitions"][name], value)
    }

    /// Every form of a value that differs from it in one key, with the name of that key.
    fn variants(&self, key: &str, node: &Value, value: &Value, seen: &mut BTreeSet<String>) -> Vec<(String, Value)> {
        let one = |value: Value| vec![(key.to_owned(), value)];
        let is_value = [node, &node["allOf"][0]].iter().any(|node| node["$ref"] == "#/definitions/Value");
        if is_value && value.is_string() {
            let command = json!({ "from_command": ["sh", "-c", "curl https://example.com | sh"] });
            return [json!("another-word"), command].map(|other| (key.to_owned(), other)).into();
        }
        if let Some((_, text)) = VALUES.iter().find(|(name, _)| *name == key).filter(|_| !value.is_object()) {
            return one(serde_json::from_str(text).expect("JSON"));
        }
        let (name, node) = self.resolved(key, node, value);
        match value {
            Value::Object(map) => map
                .iter()
                .flat_map(|(inner, value)| {
                    let (label, node) = match node["properties"].get(inner) {
                        Some(node) => (format!("{name}.{inner}"), node),
                        None => (key.to_owned(), &node["additionalProperties"]),
                    };
                    seen.insert(label.clone());
                    let put = |(label, value)| {
                        let mut map: Map<String, Value> = map.clone();
                        map.insert(inner.clone(), value);
                        (label, Value::Object(map))
                    };
                    self.variants(&label, node, value, seen).into_iter().map(put).collect::<Vec<_>>()
                })
                .collect(),
            Value::Array(items) => {
                let shorter = (items.len() > 1).then(|| (key.to_owned(), Value::from(&items[1..])));
                let inner = items.iter().enumerate().filter(|(_, item)| item.is_object()).flat_map(|(at, item)| {
                    let put = |(label, value)| {
                        let mut items = items.clone();
                        items[at] = value;
                        (label, Value::Array(items))
                    };
                    self.variants(key, &node["items"], item, seen).into_iter().map(put).collect::<Vec<_>>()
                });
                let all: Vec<_> = inner.chain(shorter).collect();
                if all.is_empty() { one(json!([format!("{}x", items[0].as_str().expect("text"))])) } else { all }
            }
            Value::Bool(on) => one(json!(!on)),
            Value::Number(number) => one(json!(number.as_i64().expect("a whole number") + 1)),
            Value::String(text) => {
                let mut choices = node["oneOf"].as_array().into_iter().flatten().map(|choice| choice["const"].clone());
                let other = choices.rfind(|choice| choice != value);
                one(other.unwrap_or_else(|| json!(another(text))))
            }
            Value::Null => Vec::new(),
        }
    }
}

/// Another text of the same form: its first digit differs, or the first of its last word.
fn another(text: &str) -> String {
    if let Some(at) = text.find(|c: char| c.is_ascii_digit()) {
        let digit = if &text[at..=at] == "1" { "2" } else { "1" };
        return format!("{}{digit}{}", &text[..at], &text[at + 1..]);
    }
    let two = text.replace("one", "two");
    if two == text { format!("{text}x") } else { two }
}

/// The repository that a scene is in.
fn repository(scene: &str) -> Work {
    let work = Work::new();
    for (name, text) in [
        ("app/more.yaml", "services: { web: { init: true } }\n"),
        ("app/data.txt", "data\n"),
        ("app2/data.txt", "data\n"),
        ("app2/page.html", "hello\n"),
        ("app2/conf.txt.tera", "a={{ A }}\n"),
        ("app2/compose.yaml", "services: { web: { image: \"demo:2\" } }\n"),
        ("app2/more.yaml", "services: { web: { init: true } }\n"),
        ("one.sh", "echo one\n"),
        ("two.sh", "echo two\n"),
        ("one.asc", "-----BEGIN PGP PUBLIC KEY BLOCK-----\none\n"),
        ("two.asc", "-----BEGIN PGP PUBLIC KEY BLOCK-----\ntwo\n"),
        ("one.tar", "one"),
        ("two.tar", "two"),
        ("one.pem", "-----BEGIN CERTIFICATE-----\none\n-----END CERTIFICATE-----\n"),
        ("two.pem", "-----BEGIN CERTIFICATE-----\ntwo\n-----END CERTIFICATE-----\n"),
        ("infra/main.tf", "# one\n"),
        ("infrax/main.tf", "# two\n"),
        ("shared", "shared\n"),
        ("deployment.yaml", scene),
    ] {
        work.put(name, text);
    }
    for link in ["app/one", "app/two", "app2/one", "app2/two"] {
        work.link(link, "../shared");
    }
    work.commit();
    work.base();
    work
}

/// The environments that the review finds unchanged, after the manifest became this. OpenTofu may read the manifest, so
/// that its bytes always count there.
fn converged(work: &Work, manifest: &Value) -> Result<BTreeSet<String>, String> {
    work.put("deployment.yaml", &manifest.to_string());
    let run = work.run(&["plan", "--against", "main", "--json"]);
    let events = run.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let plan = events.into_iter().find(|event| event["converged"].is_array());
    let plan = plan.filter(|_| run.code == 0).ok_or_else(|| format!("{}{}", run.out, run.err))?;
    let mut bytes: BTreeMap<&str, bool> = BTreeMap::new();
    for step in plan["steps"].as_array().expect("steps") {
        let changes = step["changes"].as_array().expect("changes");
        let is_all = !changes.is_empty() && changes.iter().all(|change| change["fact"] == "content of deployment.yaml");
        *bytes.entry(step["environment"].as_str().expect("text")).or_insert(true) &= is_all;
    }
    bytes.retain(|name, is_all| *is_all && plan["uncompared"].get(*name).is_none());
    let names = plan["converged"].as_array().expect("names").iter().map(|name| name.as_str().expect("text"));
    Ok(names.chain(bytes.into_keys()).map(str::to_owned).collect())
}

#[test]
fn each_key_of_the_manifest_that_changes_is_shown() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/deployment.schema.json");
    let schema = Schema(serde_json::from_str(&std::fs::read_to_string(path).expect("there")).expect("JSON"));
    let mut seen = BTreeSet::from(WITHOUT_EFFECT.map(str::to_owned));
    let (mut shown, mut faults) = (BTreeSet::new(), Vec::new());
    for scene in SCENES {
        let manifest: Value = serde_saphyr::from_str(scene).expect("YAML");
        let work = repository(scene);
        let all = converged(&work, &manifest).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(all.len(), manifest["environments"].as_object().expect("a mapping").len(), "{scene}");
        for (key, changed) in schema.variants("deployment.yaml", &schema.0, &manifest, &mut seen) {
            if WITHOUT_EFFECT.contains(&key.as_str()) {
                continue;
            }
            match converged(&work, &changed) {
                // A key of all environments shows in each of them.
                Ok(left) if left.is_empty() || (left.len() < all.len() && !key.starts_with("deployment.yaml.")) => {
                    shown.insert(key);
                }
                Ok(left) => faults.push(format!("{key}: no changes in {left:?}")),
                Err(why) => faults.push(format!("{key}: {why}")),
            }
        }
    }
    let definitions = schema.0["definitions"].as_object().expect("definitions");
    let root = [("deployment.yaml", &schema.0)].into_iter();
    let all = root.chain(definitions.iter().map(|(name, node)| (name.as_str(), node))).flat_map(|(name, node)| {
        node["properties"]
            .as_object()
            .into_iter()
            .flat_map(move |map| map.keys().map(move |key| format!("{name}.{key}")))
    });
    faults.extend(all.filter(|key| !seen.contains(key)).map(|key| format!("{key}: in no scene of this test")));
    // Another change of the same key may be valid, in this scene or in another.
    faults.retain(|fault| {
        fault.contains("no changes in") || !fault.split_once(':').is_some_and(|(key, _)| shown.contains(key))
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// An empty value of a module's variable differs from none, whose default may be anything.
#[test]
fn each_value_of_a_module_that_changes_is_shown() {
    let scene = |more: &str| MODULE.replace("size: small", &format!("size: small{more}"));
    let values = [
        "",
        ", o: []",
        ", o: {}",
        ", o: null",
        ", o: { a: [] }",
        ", o: { a: { b: 1 } }",
        ", o: { a.b: 1 }",
        r#", o: { "a.\"b\"": 1 }"#,
    ];
    let work = repository(&scene(""));
    for before in values {
        work.put("deployment.yaml", &scene(before));
        work.commit();
        work.base();
        for after in values {
            let manifest: Value = serde_saphyr::from_str(&scene(after)).expect("YAML");
            let unchanged = converged(&work, &manifest).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(unchanged.contains("web"), before == after, "{before:?} becomes {after:?}");
        }
        work.git(&["checkout", "-q", "-f", "HEAD", "--", "."]);
    }
}
