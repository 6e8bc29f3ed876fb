//! The directory of an application: files that a pull request or an accident puts there do not carry the runner's files
//! to a host, a plan or a comment.

use assert_cmd::Command;
use camino::{Utf8Path, Utf8PathBuf};
use deployer::manifest;
use deployer::model::failure::Failure;
use deployer::release::sent::Release;
use deployer::release::{self, Tarball};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// A text that must never be shown or sent.
const CANARY: &str = "hunter2-canary";

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2-canary\n-----END OPENSSH PRIVATE KEY-----\n";

const COMPOSE: &str = "services: { web: { image: \"demo:1\" } }\n";

/// A project whose application is in its subdirectory `directory`, with extra lines in the Compose section.
struct Project {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
    directory: String,
}

impl Project {
    fn new(directory: &str, more: &str) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        let project = Self { _guard: guard, root, directory: directory.to_owned() };
        project.write(
            "deployment.yaml",
            &format!(
                "version: 1\nproject: shop\nenvironments:\n  prod:\n    registered: {{ address: 192.0.2.1 }}\n    \
             ssh: {{ user: deploy, identity_file: ./deploy_key }}\n    application:\n      compose:\n        \
             directory: {directory}\n{more}  other:\n    registered: {{ address: 192.0.2.2 }}\n    \
             ssh: {{ identity_file: ./other_key, sudo_password: {{ from_file: ./sudo.txt }} }}\n"
            ),
        );
        for (path, text) in [("deploy_key", KEY), ("other_key", KEY), ("sudo.txt", CANARY)] {
            project.write(path, text);
            project.mode(path, 0o600);
        }
        project.write(&project.path("compose.yaml"), COMPOSE);
        project
    }

    /// Returns a path of the application as a path of the project.
    fn path(&self, path: &str) -> String {
        Utf8Path::new(&self.directory).join(path).into_string()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn load(&self) -> Result<Release, Vec<Failure>> {
        let manifest = manifest::load(self.root.join("deployment.yaml").as_str(), None)?;
        let application = manifest.environments["prod"].application.clone().unwrap();
        release::load(&application, &BTreeMap::new(), &deployer::model::secret::Redactor::default())
    }

    /// Returns the files that are sent, after a check of every byte for the canary.
    fn sent(&self) -> BTreeSet<String> {
        let release = self.load().unwrap_or_else(|failures| panic!("{failures:?}"));
        let mut bytes = Vec::new();
        Tarball::of(&release).write(&mut bytes).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "the canary is sent");
        release.files.keys().map(ToString::to_string).collect()
    }

    fn refused(&self) -> String {
        let failures = self.load().err().unwrap_or_default();
        let text =
            failures.iter().flat_map(|one| [one.message(), one.advice().to_string()]).collect::<Vec<_>>().join("\n");
        assert!(!text.is_empty() && !text.contains(CANARY), "it is refused by name alone: {text}");
        text
    }

    fn deployer(&self, arguments: &[&str]) -> (String, i32) {
        let mut command = Command::cargo_bin("deployer").unwrap();
        let ended = command.args(arguments).current_dir(&self.root).env("NO_COLOR", "1").output().unwrap();
        let text = [ended.stdout, ended.stderr].concat();
        (String::from_utf8(text).unwrap(), ended.status.code().unwrap())
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_link_that_leads_outside_is_refused_by_name_however_it_gets_there() {
    let project = Project::new("./app", "");
    project.write("secret.txt", CANARY);
    project.write("outside/deep/secret.txt", CANARY);
    let absolute = project.root.join("secret.txt").into_string();
    for (link, target) in [
        ("conf.txt", "../secret.txt"),
        ("absolute", &absolute),
        ("sub/deep/up", "../../../secret.txt"),
        ("directory", "../outside"),
        ("whole", "/"),
        ("proc", "/proc/self/environ"),
        (".env", "../secret.txt"),
        ("page.html.tera", "../secret.txt"),
        ("compose.override.yaml", "../secret.txt"),
        (".deployerignore", "../secret.txt"),
    ] {
        project.link(target, &project.path(link));
        let told = project.refused();
        assert!(told.contains(link), "{link}: {told}");
        fs::remove_file(project.root.join(project.path(link))).unwrap();
    }
    // A chain of links, and a directory of the application with a link that leads out of it.
    project.link("../app/second", "app/first");
    project.link("../outside/deep/secret.txt", "app/second");
    let told = project.refused();
    assert!(told.contains("app/first is a link to ../app/second") && told.contains("app/second"), "{told}");
    for link in ["app/first", "app/second"] {
        fs::remove_file(project.root.join(link)).unwrap();
    }
    assert_eq!(project.sent(), set(&["compose.yaml"]), "honest use goes on");
}

#[test]
fn links_inside_are_copied_and_listed_ones_may_lead_outside() {
    let links = "        links: [shared, cert.pem]\n";
    let project = Project::new("./app", links);
    project.write("app/site/index.html", "hello");
    project.write("shared/a/page", "shared");
    project.write("cert.pem", "public");
    project.link("site/index.html", "app/one");
    project.link("site", "app/two");
    project.link(project.root.join("app/site").as_str(), "app/three");
    project.link("../app/site/index.html", "app/four");
    project.link("../shared", "app/shared");
    project.link("a/page", "shared/again");
    project.link("../cert.pem", "app/cert.pem");
    let expected = [
        "cert.pem",
        "compose.yaml",
        "four",
        "one",
        "shared/a/page",
        "shared/again",
        "site/index.html",
        "three/index.html",
        "two/index.html",
    ];
    assert_eq!(project.sent(), set(&expected));
    // Listing a link permits that link alone, and no other link behind it.
    project.link("/etc/passwd", "shared/out");
    assert!(project.refused().contains("app/shared/out is a link to /etc/passwd"));
}

#[test]
fn a_link_does_not_make_secret_files_of_the_directory_public_under_another_name() {
    let project = Project::new(".", "        links: [also]\n");
    project.write(".deployerignore", "private/\n");
    project.write(".git/config", CANARY);
    project.write("private/notes", CANARY);
    project.write("conf/deep/.env.local", CANARY);
    for (link, target) in [
        ("a", ".git/config"),
        ("b", ".git"),
        ("c", "deploy_key"),
        ("d", "private/notes"),
        ("e", "deployment.yaml"),
        ("f", "conf/deep/.env.local"),
        ("also", "sudo.txt"),
    ] {
        project.link(target, link);
        let told = project.refused();
        assert!(told.contains(&format!("{link} is a link to ")), "{told}");
        fs::remove_file(project.root.join(link)).unwrap();
    }
    project.link("conf", "copy");
    assert_eq!(project.sent(), set(&["compose.yaml"]), "what a linked directory holds is left out there, too");
    project.write("copy/deep/page", "x");
    assert_eq!(project.sent(), set(&["compose.yaml", "conf/deep/page", "copy/deep/page"]));
}

#[test]
fn keys_manifest_state_and_sources_of_secrets_are_never_sent() {
    let more = "        variables: { T: { from_file: ./token.txt } }\n        seed: [\"*\"]\n";
    let project = Project::new(".", more);
    for path in [
        "token.txt",
        ".git/config",
        ".deployer/state.db",
        "sub/.git/config",
        "terraform.tfstate",
        "infra/terraform.tfstate.backup",
        ".env.local",
        "sub/.env.production.local",
    ] {
        project.write(path, CANARY);
    }
    project.write("data.txt", "x");
    project.write(".deployerignore", "# nothing\n!token.txt\n!deploy_key\n!.git\n!deployment.yaml\n");
    let manifest = fs::read_to_string(project.root.join("deployment.yaml")).unwrap();
    project.write("deployment.yaml", &manifest.replace("        seed: [\"*\"]\n", "        seed: [data.txt]\n"));
    assert_eq!(project.sent(), set(&["compose.yaml", "data.txt"]));

    // A store in another place, with its key.
    project.write("deployment.yaml", &(manifest.replace("        seed: [\"*\"]\n", "") + "state: sqlite:here.db\n"));
    for path in ["here.db", "here.db-wal", "state.key"] {
        project.write(path, CANARY);
    }
    assert_eq!(project.sent(), set(&["compose.yaml", "data.txt"]));

    // A store that the command line names.
    for path in ["there.db-wal", "there.db-shm"] {
        project.write(path, CANARY);
    }
    let mut render = std::process::Command::new(env!("CARGO_BIN_EXE_deployer"));
    render.args(["render", "prod", "-o", "out", "--state", "sqlite:there.db"]).current_dir(&project.root);
    let rendered = render.output().unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    assert!(project.root.join("out/data.txt").exists());
    for path in ["there.db-wal", "there.db-shm", "state.key"] {
        assert!(!project.root.join("out").join(path).exists(), "{path}");
    }
}

#[test]
fn other_private_keys_are_refused_unless_somebody_asks_for_them() {
    let project = Project::new(".", "");
    project.write("id_ed25519", KEY);
    let told = project.refused();
    assert!(told.contains("id_ed25519 is a private key") && told.contains("!id_ed25519"), "{told}");
    project.write(".deployerignore", "id_*\n");
    assert_eq!(project.sent(), set(&["compose.yaml"]));

    // A server's key, which Compose names in one of these ways or which the user permits.
    for (path, compose) in [
        ("certs/tls.key", "services: { web: { image: a, volumes: [\"./certs:/certs:ro\"] } }"),
        ("tls.key", "services: { web: { image: a, volumes: [{ type: bind, source: tls.key, target: /k }] } }"),
        ("tls.key", "services: { web: { image: a, secrets: [k] } }\nsecrets: { k: { file: ./tls.key } }"),
    ] {
        project.write("compose.yaml", compose);
        project.write(path, KEY);
        let release = project.load().unwrap();
        assert!(release.files[Utf8Path::new(path)].secret, "{path}");
        fs::remove_file(project.root.join(path)).unwrap();
    }
    project.write("compose.yaml", "services: { web: { image: a, volumes: [\".:/app\"] } }");
    project.write("tls.key", KEY);
    assert!(project.refused().contains("tls.key"), "the whole directory names nothing");
    project.write(".deployerignore", "id_*\n!tls.key\n");
    assert!(project.load().is_ok());
}

#[test]
fn files_that_compose_names_are_not_left_out_silently() {
    let project = Project::new("./app", "");
    project.write("app/.deployerignore", "*.env\ndata/\nconf/*\n!conf/sent\n");
    for path in ["app/web.env", "app/data/start", "app/conf/file", "app/conf/sent", "app/.env.local"] {
        project.write(path, "A=b\n");
    }
    for (section, named) in [
        ("env_file: web.env", "web.env"),
        ("env_file: [{ path: ./web.env }]", "web.env"),
        ("env_file: .env.local", ".env.local"),
        ("volumes: [\"./conf/file:/file\"]", "conf/file"),
        ("volumes: [\"./data/start:/start\"]", "data/start"),
    ] {
        project.write("app/compose.yaml", &format!("services: {{ web: {{ image: a, {section} }} }}\n"));
        let told = project.refused();
        assert!(told.contains(named) && told.contains(&format!("!{named}")), "{section}: {told}");
    }
    // A directory that belongs to the host, and files that are optional.
    let good = "services: { web: { image: a, volumes: [\"./data:/data\", \"./conf/sent:/x\"], \
                env_file: [{ path: .env.local, required: false }] } }\n";
    project.write("app/compose.yaml", good);
    assert_eq!(project.sent(), set(&["compose.yaml", "conf/sent"]));
    project.write("app/.deployerignore", "compose.yaml\n");
    assert!(project.refused().contains("The Compose file compose.yaml is not sent"));
    project.write("app/.deployerignore", "a{b\n");
    assert!(project.refused().contains("`a{b` is not a pattern"));
}

#[test]
fn secret_files_are_told_from_others_however_compose_names_them() {
    let variables = "        variables: { STAGE: prod }\n";
    let project = Project::new("./app", variables);
    project.write(
        "app/compose.yaml",
        "include: [{ path: more/inner.yaml, env_file: more/vars }]\n\
        services:\n  web: { image: a, env_file: [./web.vars, { path: \"${STAGE}.vars\" }], secrets: [db] }\n  \
        two: { extends: { file: more/base.yaml, service: base } }\n\
        secrets: { db: { file: ./secrets/db.txt }, abs: { file: /opt/deployer/shop--prod/abs.txt },\n  \
        any: { file: \"./${UNKNOWN}/any.txt\" } }\n",
    );
    // Its value depends on another variable, so that any name is possible.
    project.write("app/.env", "UNKNOWN=$STAGE\n");
    project.write("app/more/inner.yaml", "secrets: { inner: { file: inner.txt } }\n");
    project.write("app/more/base.yaml", "services: { base: { image: a, env_file: base.vars } }\n");
    let secret = [
        "web.vars",
        "prod.vars",
        "secrets/db.txt",
        "abs.txt",
        "some/any.txt",
        "more/inner.txt",
        "more/vars",
        "more/base.vars",
        "acme.json",
        "closed/open.txt",
    ];
    for path in secret.iter().chain(&["page", "base.vars", "more/any.text"]) {
        project.write(&format!("app/{path}"), "A=b\n");
    }
    project.mode("app/acme.json", 0o600);
    project.mode("app/closed", 0o700);
    let manifest = manifest::load(project.root.join("deployment.yaml").as_str(), None).unwrap();
    let application = manifest.environments["prod"].application.clone().unwrap();
    let values = BTreeMap::from([(
        "STAGE".to_owned(),
        deployer::model::secret::Variable { value: Some("prod".to_owned().into()), secret: false },
    )]);
    let release = release::load(&application, &values, &deployer::model::secret::Redactor::default())
        .unwrap_or_else(|failures| panic!("{failures:?}"));
    let found: BTreeSet<String> =
        release.files.iter().filter(|(_, file)| file.secret).map(|(path, _)| path.to_string()).collect();
    let mut expected = set(&secret);
    expected.insert(".env".to_owned());
    assert_eq!(found, expected);
}

#[test]
fn owner_only_modes_survive_and_others_are_as_ever() {
    let project = Project::new("./app", "");
    let modes = [
        (0o600, 0o600),
        (0o400, 0o400),
        (0o700, 0o700),
        (0o500, 0o500),
        (0o640, 0o644),
        (0o664, 0o644),
        (0o755, 0o755),
        (0o654, 0o755),
        (0o777, 0o755),
    ];
    for (mode, _) in modes {
        project.write(&format!("app/{mode:o}"), "x");
        project.mode(&format!("app/{mode:o}"), mode);
    }
    let release = project.load().unwrap();
    for (here, there) in modes {
        let file = &release.files[Utf8Path::new(&format!("{here:o}"))];
        assert_eq!((file.mode, file.secret), (there, there & 0o055 == 0), "{here:o}");
    }
}

#[test]
fn render_writes_through_no_link_and_secrets_only_for_the_owner() {
    let more = "        templates: true\n        readable: [open.conf]\n        variables: { T: { from_file: ./token.txt } }\n";
    let project = Project::new("./app", more);
    project.write("token.txt", "s3cret-token");
    for path in ["app/conf/page.tera", "app/open.conf.tera"] {
        project.write(path, "{{ T }}");
    }
    project.write("app/vars", "A=b");
    project.write("app/compose.yaml", "services: { web: { image: a, env_file: vars } }\n");
    project.write("victim/page", "untouched");
    project.write("out/vars", "old");
    project.mode("out/vars", 0o666);
    project.link("../victim/page", "out/.env");
    project.link("../victim", "out/conf");
    let (told, code) = project.deployer(&["render", "prod", "-o", "out"]);
    assert!(code != 0 && told.contains("out/conf/page") && told.contains("link"), "{code} {told}");
    assert_eq!(fs::read_to_string(project.root.join("victim/page")).unwrap(), "untouched");

    fs::remove_file(project.root.join("out/conf")).unwrap();
    let (told, code) = project.deployer(&["render", "prod", "-o", "out"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(fs::read_to_string(project.root.join("victim/page")).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(project.root.join("out/conf/page")).unwrap(), "s3cret-token");
    let bits =
        |path: &str| fs::symlink_metadata(project.root.join("out").join(path)).unwrap().permissions().mode() & 0o7777;
    let modes = [".env", "conf/page", "vars", "open.conf", "compose.yaml"].map(bits);
    assert_eq!(modes, [0o600, 0o600, 0o600, 0o644, 0o644]);
}

#[test]
fn a_tracker_templates_directory_does_not_lead_outside_either() {
    let project = Project::new("./app", "");
    project.write(
        "deployment.yaml",
        "version: 1\nproject: shop\nenvironments:\n  prod:\n    \
        registered: { address: 192.0.2.1 }\n    application: { tracker: { udp: [{ port: 6969 }] } }\n",
    );
    project.write("secret.txt", CANARY);
    project.link("../../../../secret.txt", "templates/tracker/tracker/etc/extra.txt");
    let told = project.refused();
    assert!(told.contains("extra.txt is a link to"), "{told}");
    fs::remove_file(project.root.join("templates/tracker/tracker/etc/extra.txt")).unwrap();
    assert!(project.load().is_ok());
}

#[test]
fn links_between_directories_do_not_multiply_without_end() {
    let project = Project::new("./app", "");
    project.write("app/d0/file", "x");
    for level in 1..40 {
        for name in ["a", "b"] {
            project.link(&format!("../d{}", level - 1), &format!("app/d{level}/{name}"));
        }
    }
    let begun = std::time::Instant::now();
    let told = project.refused();
    assert!(told.contains("files are reached through links"), "{told}");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

/// A seed belongs to the host, where services may change it. A file that Compose parses decides what root starts.
#[test]
fn a_seed_that_compose_parses_is_refused_at_its_place_in_the_manifest() {
    let project = Project::new("./app", "        seed: [other/*, \"data/**\"]\n");
    project.write("app/other/file", "x\n");
    project.write("app/data/file", "x\n");
    project.write("app/data/extra.yaml", COMPOSE);
    project.sent();
    project.write("app/compose.yaml", &format!("include: [data/extra.yaml]\n{}", COMPOSE.replace("web", "two")));
    let failures = project.load().unwrap_err();
    let failure = &failures[0];
    assert!(failures.len() == 1 && failure.message().contains("data/extra.yaml"), "{failures:?}");
    let place = failure.location.as_ref().unwrap();
    let marked = place.source.as_ref().unwrap().get(place.span.clone().unwrap());
    assert_eq!((place.line, marked), (10, Some("\"data/**\"")));
}
