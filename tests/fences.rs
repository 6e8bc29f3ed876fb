//! Each effect has one home in `src/`, and folders import only folders below them. Does not judge style, which clippy
//! checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names in the sources, and the only places that may use them.
const FENCES: [(&str, &str); 37] = [
    ("openssh::", "io/ssh/mod.rs"),
    ("process::Command", "io/process/"),
    // Everything that is printed passes through `render/stream.rs`. Only `render/mod.rs` opens the streams for it.
    ("io::stdout()", "render/mod.rs"),
    ("io::stderr()", "render/mod.rs"),
    ("io::stdout;", "nowhere"),
    ("io::stderr;", "nowhere"),
    ("/dev/std", "nowhere"),
    ("/dev/fd/", "manifest/read.rs render/mod.rs"),
    ("set_hook", "render/mod.rs"),
    ("\"add-mask\"", "render/github.rs"),
    ("aho_corasick::", "model/secret/"),
    ("sqlx::", "io/store/"),
    ("indicatif::", "render/"),
    // Two servers: for the monitoring of a watch, and for OpenTofu's state.
    ("axum::", "io/server.rs reconcile/watch/http.rs io/opentofu/backend.rs"),
    ("hyper::", "io/server.rs"),
    // Signals to processes, files below a directory's handle, secrets in memory, and the named pipe of ssh's log.
    ("rustix::", "io/process/ io/scratch/ io/directory.rs manifest/below.rs model/holder.rs io/ssh/login_log.rs"),
    // Temporary directories and files, and a new manifest, which has the mode of any file.
    ("tempfile::Builder", "io/scratch/ manifest/edit/"),
    ("chacha20poly1305::", "io/opentofu/"),
    ("argon2::", "io/opentofu/"),
    ("notify::", "reconcile/watch/files.rs"),
    ("prometheus_client::", "reconcile/watch/metrics.rs"),
    // Bodies of HTTP responses have one reader, which has a limit.
    (".chunk().await", "io/http.rs"),
    (".text().await", "io/http.rs"),
    (".bytes().await", "io/http.rs"),
    ("reqwest::", "io/http.rs smoke/site.rs reconcile/stack/guest.rs"),
    ("tokio::net", "io/ smoke/ reconcile/session/checks.rs reconcile/stack/mod.rs reconcile/watch/http.rs"),
    // Files of this machine: those that a manifest names, that a user passes, and that a CI job wants written.
    (
        "std::fs",
        "io/ manifest/ release/ cli/invocation.rs reconcile/compare/ reconcile/entry/ reconcile/execute/restore.rs reconcile/saved.rs reconcile/watch/ render/actions.rs render/mod.rs model/bounded.rs model/holder.rs",
    ),
    ("tokio::fs", "io/"),
    // A path that a user or a manifest names may be a pipe or endless: `below` reads it. These read files of our own.
    ("fs::read(", "io/opentofu/ reconcile/compare/git_commands.rs"),
    ("fs::read_to_string(", "cli/invocation.rs io/opentofu/ model/holder.rs"),
    ("File::open(", "io/ manifest/read.rs model/bounded.rs"),
    ("axum::serve", "nowhere"),
    // The time of day, randomness and the process's environment are arguments everywhere else.
    ("Timestamp::now", "cli/invocation.rs"),
    ("SystemTime::now", "nowhere"),
    ("getrandom::", "io/opentofu/key.rs reconcile/machine/keys.rs reconcile/session/lease.rs"),
    ("env::var", "cli/invocation.rs io/process/environment.rs io/secret.rs"),
    ("env::current_dir", "cli/invocation.rs"),
];

/// Each folder at the top of `src/`, and the folders that it may import.
const IMPORTS: [(&str, &str); 10] = [
    ("cli", "render reconcile model"),
    ("render", "model"),
    ("reconcile", "plan resource release manifest smoke io model"),
    ("plan", "resource model"),
    ("resource", "release manifest model"),
    ("release", "manifest model"),
    ("smoke", "io model"),
    ("io", "manifest model"),
    ("manifest", "model"),
    ("model", ""),
];

#[test]
fn each_effect_has_one_home() {
    for (path, text) in sources() {
        for line in code(&text) {
            for (what, home) in FENCES {
                assert!(
                    !line.contains(what) || home.split(' ').any(|home| path.starts_with(home)),
                    "src/{path} names {what}, whose home is src/{home}: {line}"
                );
            }
        }
    }
}

#[test]
fn folders_import_only_what_is_below_them() {
    let mut against = Vec::new();
    let mut seen = 0;
    for (path, text) in sources() {
        let folder = path.split('/').next().expect("a folder").to_owned();
        let Some((_, allowed)) = IMPORTS.iter().find(|(from, _)| *from == folder) else {
            assert!(!path.contains('/'), "src/{path}: the folder is in no row of the table");
            continue;
        };
        for line in code(&text) {
            assert!(!line.contains("crate::{"), "src/{path}: one import a line, so that this test reads it: {line}");
            for (at, found) in line.match_indices("crate::") {
                let name: String =
                    line[at + found.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                seen += 1;
                if name != folder && !allowed.split(' ').any(|allowed| allowed == name) {
                    against.push(format!("src/{path}: {}", line.trim()));
                }
            }
        }
    }
    assert!(seen > 500, "the imports were found");
    assert!(against.is_empty(), "imports against the order of the folders: {against:#?}");
}

/// A module with others in it is `x/mod.rs`, not `x.rs` next to `x/` or `x/x.rs`.
#[test]
fn modules_have_one_layout() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, _) in sources() {
        let module = Path::new(path.trim_end_matches(".rs"));
        assert!(!top.join(module).is_dir(), "src/{path} is src/{}/mod.rs", module.display());
        let folder = module.parent().and_then(Path::file_name);
        assert!(folder.is_none() || folder != module.file_name(), "src/{path} has the name of its folder");
    }
}

/// Does not count imports from a `mod.rs` further up, which holds what the files of its folder share.
#[test]
fn files_do_not_import_each_other() {
    let sources = sources();
    let module = |path: &str| path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let files: BTreeMap<String, &str> = sources.iter().map(|(path, _)| (module(path), path.as_str())).collect();
    let shared = |file: &str, by: &str| file.strip_suffix("mod.rs").is_some_and(|folder| by.starts_with(folder));
    let mut imports = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (path, text) in &sources {
        let named = paths(text).into_iter().filter_map(|named| file_of(&module(path), &named, &files));
        imports.insert(path, named.filter(|file| !shared(file, path)).collect());
    }
    assert!(imports["resource/files/mod.rs"].contains("resource/release_identity.rs"), "{imports:#?}");
    // A file that imports none of the others is in no circle.
    let mut before = usize::MAX;
    while imports.len() < before {
        before = imports.len();
        let left: BTreeSet<&str> = imports.keys().copied().collect();
        imports.retain(|_, files| {
            files.retain(|file| left.contains(file));
            !files.is_empty()
        });
    }
    assert!(imports.is_empty(), "files that import each other, or lead to such files: {imports:#?}");
}

/// Returns the paths that a source names, such as `super::guard::PIN`.
fn paths(text: &str) -> Vec<String> {
    let code = code(text).collect::<Vec<_>>().join("\n");
    let is_use = |statement: &str| statement.split("::").next().is_some_and(|start| start.contains("use "));
    let statements = code.split(';').flat_map(|one| if is_use(one) { each_path(one) } else { vec![one.to_owned()] });
    let words = statements.flat_map(|statement| {
        let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').map(str::to_owned);
        words.filter(|word| word.contains("::")).collect::<Vec<_>>()
    });
    words.collect()
}

/// Returns each path of `use a::{b, c::{d, e}}`.
fn each_path(tree: &str) -> Vec<String> {
    let Some((before, inner)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let (mut depth, mut part, mut paths) = (0, String::new(), Vec::new());
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth < 0 || (depth == 0 && c == ',') {
            paths.extend(
                each_path(part.trim()).iter().filter(|path| !path.is_empty()).map(|path| format!("{before}{path}")),
            );
            part.clear();
        } else {
            part.push(c);
        }
    }
    paths
}

/// Returns the file of the module that a path in `module` names.
fn file_of<'a>(module: &str, path: &str, files: &BTreeMap<String, &'a str>) -> Option<&'a str> {
    let mut at: Vec<&str> = module.split("::").collect();
    for word in path.split("::") {
        match word {
            "crate" => at.clear(),
            "super" => _ = at.pop(),
            "self" => {}
            word => at.push(word),
        }
    }
    let file = (1..=at.len()).rev().find_map(|length| files.get(&at[..length].join("::")).copied());
    file.filter(|file| files.get(module) != Some(file))
}

#[test]
fn the_architecture_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let architecture = std::fs::read_to_string(path).expect("docs/architecture.md");
    for (folder, allowed) in IMPORTS {
        let imports = if allowed.is_empty() { "nothing".to_owned() } else { allowed.replace(' ', ", ") };
        let row = format!("| `src/{folder}` | {imports} |");
        assert!(architecture.contains(&row), "docs/architecture.md lacks the row {row}");
    }
}

/// Returns the path below `src/` and the text of each source, without the tests of modules, which may use more.
fn sources() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&top).into_iter().map(|entry| entry.expect("a source").into_path());
    let is_source = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
    };
    let sources = files.filter(is_source);
    let read = |path: std::path::PathBuf| {
        let name = path.strip_prefix(&top).expect("below src").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("UTF-8"))
    };
    let sources: Vec<_> = sources.map(read).collect();
    assert!(sources.len() > 100, "the sources were found");
    sources
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    let module = text.lines().take_while(|line| *line != "#[cfg(test)]");
    module.filter(|line| !line.trim_start().starts_with("//"))
}

/// A script can contain all of these functions: a name that is defined twice would replace the first.
#[test]
fn each_shell_function_has_a_unique_name() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut defined = BTreeMap::<String, Vec<String>>::new();
    for folder in ["model/shell", "resource/contract", "resource/files"] {
        for file in walkdir::WalkDir::new(top.join(folder)) {
            let path = file.expect("a file").into_path();
            let is_shell = |path: &Path| path.extension().is_some_and(|end| end == "sh" || end == "rs");
            let text = if is_shell(&path) { std::fs::read_to_string(&path).expect("UTF-8") } else { String::new() };
            for line in text.lines() {
                let line = line.trim_start_matches("r#\"").trim_start_matches("r\"");
                let name = line.split_once("() {").map_or("", |(name, _)| name);
                let name = name.rsplit(['"', '}']).next().unwrap_or_default();
                if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                    defined.entry(name.to_owned()).or_default().push(path.display().to_string());
                }
            }
        }
    }
    assert!(
        defined.len() > 60 && ["note", "held", "pin"].iter().all(|name| defined.contains_key(*name)),
        "{defined:?}"
    );
    defined.retain(|_, places| places.len() > 1);
    assert!(defined.is_empty(), "{defined:#?}");
}
