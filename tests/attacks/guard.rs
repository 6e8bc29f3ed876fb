//! Tests the shell functions that root uses below a directory that others can change, while others change it.

use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::process;
use deployer::resource::contract::guard;
use deployer::resource::contract::whole::WRITE_WHOLE;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A tree that root owns, an application's directory, and a directory that nothing may touch.
struct Scene {
    _folder: tempfile::TempDir,
    /// Directory of the command `docker`.
    programs: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        for (path, text) in [
            ("tree/a/file", "new\n"),
            ("tree/top", "top\n"),
            ("app/a/file", "old\n"),
            ("app/a/other", "theirs\n"),
            ("victim/file", "precious\n"),
            ("state/one/key", "0\n"),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let docker = format!(
            "#!/bin/sh\ncase \"$1 $2\" in 'ps -aq') echo one ;; 'inspect --format') cat {root}/told 2>/dev/null || : ;; esac\n"
        );
        let programs = tempfile::tempdir().unwrap();
        fs::write(programs.path().join("docker"), docker).unwrap();
        fs::set_permissions(programs.path().join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { _folder: folder, programs, root }
    }

    fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path)
    }

    /// Returns a script that defines the functions, enters the directory and then runs `script`.
    fn script(&self, script: &str) -> String {
        let functions = guard::FUNCTIONS
            .replace("/run/deployer.", &format!("{}/copies.", self.root))
            .replace("/run/docker.sock", "/none");
        let id = fs::metadata(&self.root).unwrap();
        format!(
            "set -eu\numask 077\nPATH={programs}:$PATH\napp={root}/app state={root}/state/one\n{WRITE_WHOLE}{functions}\npin \"$app\" || cannot_enter\ntree={root}/tree owner={}:{} largest=1000000 seconds=20\n{script}",
            id.uid(),
            id.gid(),
            programs = self.programs.path().display(),
            root = self.root,
        )
    }

    /// Runs that script, and returns its exit code and its output.
    async fn run(&self, script: &str) -> (Option<i32>, String) {
        let argv = ["sh", "-c", &self.script(script)].map(str::to_owned);
        let finished = process::run(&argv, b"", Duration::from_mins(1)).await.unwrap();
        (finished.status.code(), String::from_utf8_lossy(&finished.stdout).replace('\0', "\n"))
    }

    /// Returns the saved copy of a name in a directory.
    #[track_caller]
    fn saved(&self, directory: &str, name: &str) -> Utf8PathBuf {
        let start = format!("{name}.deployer-saved-");
        let saved = |path: &Utf8PathBuf| path.file_name().is_some_and(|name| name.starts_with(&start));
        let paths = self.path(directory).read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
        paths.filter(saved).find(|path| !fs::read(path).is_ok_and(|text| text == b"theirs\n")).unwrap()
    }

    #[track_caller]
    fn victim_is_untouched(&self) {
        let names: Vec<_> =
            self.path("victim").read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
        assert_eq!(names, ["file"]);
        assert_eq!(fs::read_to_string(self.path("victim/file")).unwrap(), "precious\n");
    }
}

fn remove(path: &Utf8Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

#[tokio::test]
async fn obstacles_of_a_file_are_moved_and_no_content_is_lost() {
    let scene = Scene::new();
    for what in ["link", "dangling", "loop", "pipe", "empty", "full", "above", "above-file", "temporary"] {
        remove(&scene.path("app/a"));
        fs::create_dir(scene.path("app/a")).unwrap();
        let (file, victim) = (scene.path("app/a/file"), scene.path("victim"));
        match what {
            "link" => symlink(victim.join("file"), &file).unwrap(),
            "dangling" => symlink(victim.join("new"), &file).unwrap(),
            "loop" => symlink("file", &file).unwrap(),
            "pipe" => drop(std::process::Command::new("mkfifo").arg(&file).status().unwrap()),
            "empty" => fs::create_dir(&file).unwrap(),
            "full" => fs::create_dir_all(file.join("kept")).unwrap(),
            "above" => {
                remove(&scene.path("app/a"));
                symlink(&victim, scene.path("app/a")).unwrap();
            }
            "above-file" => {
                remove(&scene.path("app/a"));
                fs::write(scene.path("app/a"), "kept\n").unwrap();
            }
            _ => {
                symlink(victim.join("file"), scene.path("app/a/file.deployer-new")).unwrap();
                symlink(victim.join("file"), scene.path("app/a/.deployer-new.0")).unwrap();
            }
        }
        assert_eq!(scene.run("put a/file").await.0, Some(0), "{what}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n", "{what}");
        assert!(!file.is_symlink(), "{what}");
        scene.victim_is_untouched();
        match what {
            "full" => assert!(scene.saved("app/a", "file").join("kept").is_dir()),
            "above-file" => assert_eq!(fs::read_to_string(scene.saved("app", "a")).unwrap(), "kept\n"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn only_regular_files_in_their_own_directory_are_opened() {
    let scene = Scene::new();
    let app = scene.path("app");
    symlink(scene.path("victim/file"), app.join("link")).unwrap();
    symlink(scene.path("victim"), app.join("through")).unwrap();
    fs::File::create(app.join("endless")).unwrap().set_len(1 << 40).unwrap();
    fs::write(app.join("large"), vec![b'x'; 70_000]).unwrap();
    std::process::Command::new("mkfifo").arg(app.join("pipe")).status().unwrap();
    fs::write(app.join("wide"), "").unwrap();
    fs::set_permissions(app.join("wide"), fs::Permissions::from_mode(0o4755)).unwrap();
    let (code, text) = scene
        .run("printf 'any %s\\n' a a/file a/missing endless large link missing/x pipe through/file wide/below wide | describe")
        .await;
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = text.lines().collect();
    let digest = |text: &[u8]| data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(text));
    for expected in [
        "in 1 .".to_owned(),
        "in 2 a".to_owned(),
        format!("{}  ./2/file", digest(b"old\n")),
        format!("{}  ./3/large", digest(&vec![b'x'; 70_000])),
        "4755 ./wide".to_owned(),
        "other a1ff ./link".to_owned(),
        "through a1ff through/file".to_owned(),
        "through 89ed wide/below".to_owned(),
    ] {
        assert!(lines.contains(&expected.as_str()), "{expected}\n{text}");
    }
    assert!(lines.iter().any(|line| line.starts_with("other 1") && line.ends_with("./pipe")), "{text}");
    assert!(lines.contains(&"600 ./endless") || lines.contains(&"644 ./endless"), "{text}");
    assert_eq!(
        lines.iter().filter(|line| line.ends_with("  ./endless") || line.contains("missing")).count(),
        0,
        "{text}"
    );
    assert!(!text.contains(&digest(b"precious\n")), "{text}");

    let (_, shown) = scene.run("printf '%s\\n' a/file large link pipe through/file | show_files").await;
    assert_eq!(shown, "4 a/file\nold\n\n");
}

/// A probe that `timeout` ends leaves no copies of files behind.
#[tokio::test]
async fn a_look_that_is_ended_leaves_nothing() {
    let scene = Scene::new();
    let seen = scene.path("seen");
    let slow = format!("slow() {{ echo \"$copies\" >{seen}; sleep 50; }}\nfind() {{ slow; }}\nregular() {{ slow; }}\n");
    for (look, path) in [("describe", "any a/file"), ("show_files", "a/file")] {
        fs::write(scene.path("script"), scene.script(&format!("{slow}echo {path} | {look}"))).unwrap();
        let argv = ["timeout", "-k", "20", "2", "sh", scene.path("script").as_str()].map(str::to_owned);
        let finished = process::run(&argv, b"", Duration::from_secs(40)).await.unwrap();
        assert_eq!(finished.status.code(), Some(124), "{look}");
        let copies = fs::read_to_string(&seen).unwrap();
        assert!(copies.starts_with(scene.root.as_str()) && !fs::exists(copies.trim()).unwrap(), "{look}: {copies}");
        fs::remove_file(&seen).unwrap();
    }
}

/// Ends the thread that swaps files, even if the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The contents that a plan shows of many files stay below the output limit of a command, and a reader that closes
/// early leaves no copies behind.
#[tokio::test]
async fn the_contents_that_are_shown_have_a_limit_together() {
    let scene = Scene::new();
    fs::create_dir(scene.path("app/b")).unwrap();
    for number in 0..140 {
        fs::write(scene.path(&format!("app/b/{number}")), vec![b'x'; 65536]).unwrap();
    }
    let list = "n=0; while [ $n -lt 140 ]; do echo b/$n; n=$((n + 1)); done";
    let (code, shown) = scene.run(&format!("({list}) | show_files")).await;
    assert_eq!(code, Some(0));
    assert_eq!(shown.lines().filter(|line| line.starts_with("65536 b/")).count(), 128);
    let (code, _) =
        scene.run(&format!("({list}) | (show_files) | head -c 100000; ls -d '{}'/copies.*", scene.root)).await;
    assert_eq!(code, Some(2));
}

/// Returns the shell's list of paths that a probe describes, each with the accepted sizes of its file.
fn describe(paths: &[(&str, &str)]) -> String {
    let list = paths.iter().fold(String::new(), |list, (sizes, path)| list + sizes + " " + path + "\n");
    format!("describe <<'/.'\n{list}/.\n")
}

fn digest(text: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(text))
}

#[tokio::test]
async fn only_files_of_a_size_that_a_release_gave_them_are_read() {
    let scene = Scene::new();
    let sparse: Vec<String> = (0..200).map(|number| format!("b/{number:03}")).collect();
    fs::create_dir(scene.path("app/b")).unwrap();
    for name in &sparse {
        fs::File::create(scene.path("app").join(name)).unwrap().set_len(1 << 40).unwrap();
    }
    fs::write(scene.path("app/large"), vec![b'x'; 70_000]).unwrap();
    let mut paths = vec![(",9,4,", "a/file"), (",4,", "a/other")];
    paths.extend(sparse.iter().map(|name| (",4,", name.as_str())));
    paths.extend([(",70000,", "large"), (",-,", "top")]);
    let (code, text) = scene.run(&format!("largest=9223372036854775807\n{}", describe(&paths))).await;
    assert_eq!(code, Some(0));
    let (sizes, others): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with("size "));
    assert_eq!(sizes.len(), 201);
    assert_eq!((sizes[0], sizes[200]), ("size ./other", "size ./199"));
    let permissions = |path: &str| format!("{:o}", fs::metadata(scene.path(path)).unwrap().mode() & 0o7777);
    let expected = [
        "in 1 a".to_owned(),
        format!("{} ./file", permissions("app/a/file")),
        "in 2 b".to_owned(),
        "in 3 .".to_owned(),
        format!("{} ./large", permissions("app/large")),
        format!("{}  ./3/large", digest(&vec![b'x'; 70_000])),
        format!("{}  ./1/file", digest(b"old\n")),
    ];
    assert_eq!(others, expected);
}

#[tokio::test]
async fn a_look_without_time_says_what_it_did_not_read() {
    let scene = Scene::new();
    let paths = [("any", "a/%s"), ("any", "a/file"), (",4,", "a/other"), (",4,", "missing/x"), (",9,", "top")];
    let (code, text) = scene.run(&format!("seconds=0\n{}", describe(&paths))).await;
    assert_eq!(code, Some(0));
    assert_eq!(text, "late a/%s\nlate a/file\nlate a/other\nlate missing/x\nlate top\n");
    // The time limit ends after some names were entered.
    let over =
        "in_time() { left=5; [ -z \"$number$late\" ] || { [ \"$number\" = 0 ] || late=yes; }; [ -z \"$late\" ]; }\n";
    let (code, text) = scene.run(&format!("{over}{}", describe(&paths))).await;
    assert_eq!(code, Some(0));
    assert_eq!(text, "in 1 a\nlate a/%s\nlate a/file\nlate a/other\nlate missing/x\nlate top\n");
}

/// Exchanges files with pipes, links and sparse files as fast as possible, while root reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_sometimes_something_else_delays_nothing() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let scene = Scene::new();
    let mut names: Vec<(Utf8PathBuf, Utf8PathBuf)> = Vec::new();
    for number in 0..30 {
        let (name, other) = (scene.path(&format!("app/a/{number:02}")), scene.path(&format!("app/a/other{number}")));
        fs::write(&name, "old\n").unwrap();
        match number % 3 {
            0 => symlink(scene.path("victim/file"), &other).unwrap(),
            1 => fs::File::create(&other).unwrap().set_len(1 << 40).unwrap(),
            _ => drop(std::process::Command::new("mkfifo").arg(&other).status().unwrap()),
        }
        names.push((name, other));
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let ends = Ends(&done);
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for (name, other) in &names {
                    renameat_with(CWD, name.as_std_path(), CWD, other.as_std_path(), RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        let script = "list=$(n=0; while [ $n -lt 30 ]; do printf 'a/%02d\n' $n; n=$((n + 1)); done)\n\
             n=0; while [ $n -lt 30 ]; do n=$((n + 1)); printf '%s\n' \"$list\" | sed 's/^/any /' | (describe)\n\
             printf '%s\n' \"$list\" | head -n 6 | (show_files); done; echo ended";
        let text = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(scene.run(script))).1;
        drop(ends);
        assert!(text.ends_with("ended\n"));
        assert!(
            text.contains(&digest(b"old\n")) && !text.contains(&digest(b"precious\n")) && !text.contains("precious")
        );
    });
}

#[tokio::test]
async fn names_that_a_service_took_before_do_not_keep_a_file_from_its_place() {
    let scene = Scene::new();
    let long = "n".repeat(240);
    fs::write(scene.path("tree").join(&long), "new\n").unwrap();
    for name in ["a/file", &long] {
        remove(&scene.path("app").join(name));
        fs::create_dir_all(scene.path("app").join(name).join("kept")).unwrap();
    }
    for number in 1..=9 {
        fs::write(scene.path(&format!("app/a/file.deployer-saved-{number}")), "theirs\n").unwrap();
    }
    let (code, text) = scene.run(&format!("(put a/file && put {long}) 2>&1")).await;
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(scene.path("app/a/file")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(scene.path("app").join(&long)).unwrap(), "new\n");
    assert!(scene.saved("app/a", "file").join("kept").is_dir());
    assert!(scene.saved("app", &long[..198]).join("kept").is_dir());
}

#[tokio::test]
async fn a_file_that_cannot_be_placed_is_named_with_the_reason() {
    let scene = Scene::new();
    remove(&scene.path("app/a/file"));
    fs::create_dir_all(scene.path("app/a/file/kept")).unwrap();
    let no = "mv() { echo \"mv: no room\" >&2; return 1; }\n";
    let (code, text) = scene.run(&format!("{no}(put a/file) 2>&1")).await;
    assert_eq!((code, text.as_str()), (Some(1), "Cannot place a/file: mv: no room\n"));
    let (code, text) = scene.run("owner=no:body\n(put top) 2>&1").await;
    assert!(code == Some(1) && text.starts_with("Cannot place top: chown: invalid user"), "{code:?} {text}");
    let gone = "chown() { return 1; }\n";
    let (code, text) = scene.run(&format!("{gone}(make_directory 0:0 new) 2>&1")).await;
    assert!(code == Some(1) && text.starts_with("Cannot create new: "), "{code:?} {text}");
}

/// The files of a user in a directory that a release comes to.
#[tokio::test]
async fn a_file_that_no_release_placed_is_kept_before_it_is_replaced() {
    let scene = Scene::new();
    fs::write(scene.path("app/top"), "mine\n").unwrap();
    fs::set_permissions(scene.path("app/top"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, text) = scene
        .run("mark=MARK\n(set_aside a/file && set_aside top && set_aside a/none) 2>&1\nput a/file && put top")
        .await;
    assert_eq!(code, Some(0), "{text}");
    for (directory, name, content) in [("app/a", "file", "old\n"), ("app", "top", "mine\n")] {
        let saved = scene.saved(directory, name);
        assert_eq!(fs::read_to_string(&saved).unwrap(), content);
        let below = saved.strip_prefix(scene.path("app")).unwrap();
        let path = scene.path(directory).join(name);
        assert!(
            text.contains(&format!("MARK kept {} as {below}\n", path.strip_prefix(scene.path("app")).unwrap())),
            "{text}"
        );
        assert_ne!(fs::read_to_string(path).unwrap(), content);
    }
    assert_eq!(fs::metadata(scene.saved("app", "top")).unwrap().mode() & 0o7777, 0o600);
    // What is the same already, or no regular file, is not kept.
    remove(&scene.path("app/a"));
    fs::create_dir(scene.path("app/a")).unwrap();
    symlink(scene.path("victim/file"), scene.path("app/a/file")).unwrap();
    fs::set_permissions(scene.path("app/top"), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, text) = scene.run("mark=MARK\n(set_aside a/file && set_aside top) 2>&1").await;
    assert_eq!((code, text.as_str()), (Some(0), ""));
    scene.victim_is_untouched();
}

#[tokio::test]
async fn removal_stays_below_the_directory() {
    let scene = Scene::new();
    symlink(scene.path("victim"), scene.path("app/b")).unwrap();
    symlink(scene.path("victim/file"), scene.path("app/c")).unwrap();
    let (code, _) =
        scene.run("for path in b/file c ../victim/file /a/missing a/file a/other; do discard \"$path\"; done").await;
    assert_eq!(code, Some(0));
    scene.victim_is_untouched();
    assert!(!scene.path("app/c").is_symlink() && scene.path("app/b").is_symlink() && !scene.path("app/a").exists());
}

#[tokio::test]
async fn the_directory_itself_is_reached_over_links_of_roots_alone() {
    let scene = Scene::new();
    fs::rename(scene.path("app"), scene.path("real")).unwrap();
    symlink("real", scene.path("app")).unwrap();
    // If this user is not root, no link is owned by root.
    let expected = if fs::metadata(&scene.root).unwrap().uid() == 0 { Some(0) } else { Some(1) };
    assert_eq!(scene.run("enter a && [ -e ./other ]").await.0, expected);
    fs::set_permissions(&scene.root, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(scene.run("put top").await.0, Some(1));
    assert!(!scene.path("real/top").exists());
}

#[tokio::test]
async fn a_directory_that_was_claimed_is_entered_where_it_was_then_over_no_link() {
    let scene = Scene::new();
    let claim = |path: &str, real: &str| {
        fs::create_dir_all(scene.path("state/one")).unwrap();
        let line = format!("directory {0}/{path}\nreal {0}/{path}/{0}/{real}\n", scene.root);
        fs::write(scene.path("state/one/claims"), line).unwrap();
    };
    let id = fs::metadata(&scene.root).unwrap();
    let pin = |path: &str| {
        let (root, user, group) = (&scene.root, id.uid(), id.gid());
        format!("app={root}/{path}\n(pin \"$app\" {user}:{group} || cannot_enter; pwd) 2>&1")
    };
    // A link of root's that was there at the claim goes on working, whoever can write there, and so does a directory
    // that is created again.
    claim("opt/app", "data/app");
    symlink("data", scene.path("opt")).unwrap();
    for _ in 0..2 {
        let (code, text) = scene.run(&pin("opt/app")).await;
        assert_eq!((code, text), (Some(0), format!("{}/data/app\n", scene.root)));
        fs::remove_dir(scene.path("data/app")).unwrap();
    }
    fs::remove_file(scene.path("opt")).unwrap();
    symlink("victim", scene.path("opt")).unwrap();
    let (code, text) = scene.run(&pin("opt/app")).await;
    assert!(code == Some(1) && text.contains(&format!("{}/data/app when it was claimed", scene.root)), "{text}");
    scene.victim_is_untouched();
    // A service puts a link in the place of the directory, in a directory that only root of the host and of the service
    // can write to.
    claim("srv/app", "srv/app");
    fs::create_dir(scene.path("srv")).unwrap();
    symlink(scene.path("victim"), scene.path("srv/app")).unwrap();
    let (code, text) = scene.run(&pin("srv/app")).await;
    assert!(code == Some(1) && text.starts_with("Cannot enter "), "{text}");
}

/// Nothing of a former version tells where the directory was: a link counts as root's only where no service writes.
#[tokio::test]
async fn a_link_where_services_write_is_not_roots() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("srv/real")).unwrap();
    fs::create_dir_all(scene.path("state/two")).unwrap();
    symlink("real", scene.path("srv/app")).unwrap();
    let root = fs::metadata(&scene.root).unwrap().uid() == 0;
    let enters = async || scene.run(&format!("pin {}/srv/app", scene.root)).await.0 == Some(0);
    assert_eq!(enters().await, root);
    for (list, text, followed) in [
        ("told", "\"ROOT/srv\"\n", false),
        ("told", "\"ROOT\"\n", false),
        ("told", "\"ROOT/srv/n\\nl\"\n", false),
        ("told", "\"ROOT/srv/real\"\n\"/\"\n", root),
        ("state/two/mounted", "ROOT/srv\n", false),
        ("state/two/mounted", "ROOT/other\n", root),
    ] {
        fs::write(scene.path(list), text.replace("ROOT", scene.root.as_str())).unwrap();
        assert_eq!(enters().await, followed, "{text}");
        fs::write(scene.path(list), "").unwrap();
    }
}

/// Another environment's command, or a service, creates each directory just before this command does.
#[tokio::test]
async fn directories_that_appear_at_the_same_moment_are_entered_like_others() {
    let scene = Scene::new();
    let first = r#"mkdir() {
  for last; do :; done
  case $last in ${late:-none}) command mkdir "$last" ;; esac
  command mkdir "$@"
}
"#;
    let id = fs::metadata(&scene.root).unwrap();
    let owner = format!("{}:{}", id.uid(), id.gid());
    for (late, work, made) in [
        ("./opt", format!("pin {}/opt/deployer/shop {owner}", scene.root), "opt/deployer/shop"),
        ("./new", "enter new/sub make".to_owned(), "app/new/sub"),
        ("./data", format!("make_directory {owner} data"), "app/data"),
    ] {
        let (code, _) = scene.run(&format!("{first}late={late}\n{work}")).await;
        assert_eq!(code, Some(0), "{work}");
        assert!(scene.path(made).is_dir(), "{made}");
    }
    // The directory that is given to its owner must be new.
    let taken = format!("{first}late=./shop\npin {}/opt/other/shop {owner}", scene.root);
    assert_eq!(scene.run(&taken).await.0, Some(1));
}

/// Replaces a directory of the application by a link and back as fast as possible, while root works there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_swapped_for_a_link_all_the_time_leads_nowhere() {
    let scene = Scene::new();
    let (done, root) = (AtomicBool::new(false), scene.root.clone());
    let (app, aside) = (root.join("app/a"), root.join("app/aside"));
    std::thread::scope(|threads| {
        let ends = Ends(&done);
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&app, &aside);
                let _ = symlink(root.join("victim"), &app);
                let _ = fs::remove_file(&app);
                let _ = fs::rename(&aside, &app);
            }
        });
        let script = "n=0; while [ $n -lt 150 ]; do n=$((n + 1)); echo $n >\"$tree/a/file\"; (put a/file) 2>/dev/null || :; \
                      echo any a/file | (describe) 2>/dev/null || :; (discard a/file) || :; done";
        let text = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(scene.run(script))).1;
        drop(ends);
        let secret = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(b"precious\n"));
        assert!(!text.contains(&secret));
    });
    scene.victim_is_untouched();
}

/// A program that parses files sees root's files in place of everything that services can write, whatever was put
/// there. Root's state stays.
#[tokio::test]
async fn a_program_that_parses_files_sees_no_byte_of_a_service() {
    let scene = Scene::new();
    for (path, text) in [
        ("state/one/mounted", "a\nROOT/shared\nROOT/single\nROOT/gone\nROOT/state\nROOT/socket\n/\n"),
        ("state/two/mounted", "data\nROOT/others\n"),
        ("state/two/current.json", "{\"directory\":\"ROOT/second\",\"project\":\"two\"}"),
        ("second/data/file", "theirs\n"),
        ("second/file", "own\n"),
        ("shared/sub/file", "theirs\n"),
        ("others/file", "theirs\n"),
        ("single", "theirs\n"),
        ("own/file", "own\n"),
        ("kept/file", "theirs\n"),
        ("running/file", "theirs\n"),
        ("told", "\"ROOT/running\"\n"),
        ("state/two/releases/R1/release.json", "{\"directory\":\"ROOT/second\",\"project\":\"two\"}"),
        (
            "state/two/releases/R1/model.json",
            "{\n  \"volumes\": [\n    {\n      \"source\": \"ROOT/kept\"\n    },\n    {\n      \"source\": \"named\",\n      \"read_only\": true\n    },\n    {\n      \"read_only\": true,\n      \"source\": \"ROOT/own\",\n      \"bind\": {}\n    }\n  ]\n}\n",
        ),
    ] {
        fs::create_dir_all(scene.path(path).parent().unwrap()).unwrap();
        fs::write(scene.path(path), text.replace("ROOT", scene.root.as_str())).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("socket")).unwrap();
    fs::write(scene.path("app/extra"), "theirs\n").unwrap();
    let look = "pwd; cat a/file top; for f in kept/file running/file app/extra app/a/other shared/sub/file others/file single own/file second/data/file second/file; do echo \"$f: $(cat \"$1/$f\" 2>&1)\"; done";
    let script =
        format!("cd {root}/tree; in_release sh -c '{look}' sh {root} 2>../said; cat ../said", root = scene.root);
    let text = in_a_separate_view(&scene.script(&script)).await;
    let expected = "ROOT/tree\nnew\ntop\nkept/file: cat: ROOT/kept/file: No such file or directory\n\
        running/file: cat: ROOT/running/file: No such file or directory\napp/extra: cat: ROOT/app/extra: No such file or directory\n\
        app/a/other: cat: ROOT/app/a/other: No such file or directory\n\
        shared/sub/file: cat: ROOT/shared/sub/file: No such file or directory\n\
        others/file: cat: ROOT/others/file: No such file or directory\nsingle: \nown/file: own\n\
        second/data/file: cat: ROOT/second/data/file: No such file or directory\nsecond/file: own\n\
        Docker Compose reads nothing in ROOT/kept: services can write to ROOT/kept, or once could\n\
        Docker Compose reads nothing in ROOT/others: services of two can write to ROOT/others, or once could\n\
        Docker Compose reads nothing in ROOT/running: services can write to ROOT/running, or once could\n\
        Docker Compose reads nothing in ROOT/second/data: services can write to ROOT/second/data, or once could\n\
        Docker Compose reads nothing in ROOT/shared: services of one can write to ROOT/shared, or once could\n\
        Docker Compose reads nothing in ROOT/single: services of one can write to ROOT/single, or once could\n";
    assert_eq!(text.replace(scene.root.as_str(), "ROOT"), expected);
    assert_eq!(fs::read_to_string(scene.path("shared/sub/file")).unwrap(), "theirs\n");
    assert_eq!(fs::read_to_string(scene.path("app/extra")).unwrap(), "theirs\n");

    // A directory above the application's directory: nobody can replace it.
    fs::write(scene.path("state/one/mounted"), format!("{}\n", scene.root)).unwrap();
    let moved = scene.root.with_extension("state");
    fs::create_dir_all(moved.join("one")).unwrap();
    fs::rename(scene.path("state/one/mounted"), moved.join("one/mounted")).unwrap();
    fs::write(scene.path("told"), "").unwrap();
    fs::rename(scene.path("tree"), moved.join("tree")).unwrap();
    let script = format!(
        "state={moved}/one tree={moved}/tree; enter .; in_release sh -c 'pwd; cat a/file; ls \"$1\" \"$1/app\"' sh {root} 2>&1",
        root = scene.root
    );
    let text = in_a_separate_view(&scene.script(&script)).await;
    fs::remove_dir_all(&moved).unwrap();
    let (said, text) = text.split_once('\n').unwrap();
    assert!(said.starts_with("Docker Compose reads nothing in"), "{said}");
    assert_eq!(text.replace(scene.root.as_str(), "ROOT"), "ROOT/app\nnew\nROOT:\napp\n\nROOT/app:\na\ntop\n");
}

#[tokio::test]
async fn without_the_right_to_mount_nothing_is_parsed() {
    let scene = Scene::new();
    let script = "unshare() { false; }\n(in_release cat top || echo refused) 2>&1";
    let (_, text) = scene.run(script).await;
    assert!(text.contains("root cannot mount") && text.ends_with("refused\n"), "{text}");
}

/// Runs a script as root, or as root of a user namespace, and returns its output.
async fn in_a_separate_view(script: &str) -> String {
    let root: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["unshare", "-r"] };
    let argv: Vec<String> = root.iter().chain(&["sh", "-c", script]).map(|word| (*word).to_owned()).collect();
    let finished = process::run(&argv, b"", Duration::from_mins(1)).await.unwrap();
    assert!(finished.status.success(), "{finished:?}");
    String::from_utf8_lossy(&finished.stdout).into_owned()
}
