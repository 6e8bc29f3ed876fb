//! Each effect has one home in `src/`. Never a judgement of style: clippy has the rest.

use std::path::Path;

/// What is named in the sources, and the only places that may name it.
const FENCES: [(&str, &str); 23] = [
    ("openssh::", "io/ssh/mod.rs"),
    ("process::Command", "io/process/"),
    // Whatever is printed passes through `render/stream.rs`; these two open the streams for it.
    ("io::stdout()", "render/mod.rs"),
    ("io::stderr()", "render/mod.rs"),
    ("io::stdout;", "nowhere"),
    ("io::stderr;", "nowhere"),
    ("/dev/std", "nowhere"),
    ("/dev/fd/", "render/mod.rs"),
    ("set_hook", "render/mod.rs"),
    ("\"add-mask\"", "render/github.rs"),
    ("aho_corasick::", "io/secret/"),
    ("sqlx::", "io/store/"),
    ("indicatif::", "render/"),
    // Two servers: for those who watch us, and for OpenTofu's state.
    ("axum::", "reconcile/watch/http.rs io/opentofu/backend.rs"),
    // Signals to processes, files below a directory's handle, secrets in memory, and the named pipe of ssh's log.
    ("rustix::", "io/process/ io/scratch/ io/below.rs io/directory.rs io/ssh/login_log.rs"),
    // Directories and files that nothing outlives, and a new manifest, which has the mode of any file.
    ("tempfile::Builder", "io/scratch/ manifest/edit/"),
    ("chacha20poly1305::", "io/opentofu/"),
    ("argon2::", "io/opentofu/"),
    ("notify::", "reconcile/watch/files.rs"),
    ("prometheus_client::", "reconcile/watch/metrics.rs"),
    // Bodies of answers have one reader, which has a limit.
    (".chunk().await", "io/http.rs"),
    (".text().await", "io/http.rs"),
    (".bytes().await", "io/http.rs"),
];

#[test]
fn each_effect_has_one_home() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for entry in walkdir::WalkDir::new(&sources) {
        let entry = entry.expect("a source");
        let path = entry.path().strip_prefix(&sources).expect("below src").to_string_lossy().into_owned();
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(entry.path()).expect("UTF-8");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for (what, home) in FENCES {
                assert!(
                    !line.contains(what) || home.split(' ').any(|home| path.starts_with(home)),
                    "src/{path} names {what}, whose home is src/{home}: {line}"
                );
            }
        }
    }
    assert!(seen > 20, "the sources were found");
}
