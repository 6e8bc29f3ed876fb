//! The lease and deployer's small files as real `sh` keeps them, on disks that are full, lose bytes or fail. A fencing
//! token is never issued twice, and two leases with the same number are different leases.

use camino::{Utf8Path, Utf8PathBuf};
use deployer::io::process::{self, Finished};
use deployer::model::disk;
use deployer::model::failure::Reason;
use deployer::model::holder::{Holder, Owner};
use deployer::model::input::Input;
use deployer::resource::contract::lease::{self, Answer, Key};
use deployer::resource::contract::whole::WRITE_WHOLE;
use deployer::resource::{Command, Lane};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// A state directory of this machine, with its own programs that can fail.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["state", "bin"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.directory.path()).unwrap().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    /// Replaces a program of the system.
    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn whole_programs(&self) {
        fs::remove_dir_all(self.path("bin")).unwrap();
        fs::create_dir(self.path("bin")).unwrap();
    }

    async fn sh(&self, script: &str) -> Finished {
        let script = format!("PATH={}:$PATH state={}\n{script}", self.path("bin"), self.path("state"));
        process::run(&["sh", "-c", &script].map(str::to_owned), b"", Duration::from_secs(30)).await.unwrap()
    }

    async fn acquire(&self, number: u128, over: Option<&Key>, floor: u64) -> Result<Answer, String> {
        let finished = self.sh(&lease::acquire(&holder(number), over, floor)).await;
        let said = String::from_utf8(finished.stdout).unwrap();
        lease::parse(said.as_bytes()).ok_or(said)
    }

    /// Takes the lease over from its current holder.
    async fn take(&self, number: u128) -> Result<Key, String> {
        let look = self.sh(&lease::look()).await;
        let held = match lease::parse(&look.stdout) {
            Some(Answer::Held(held)) => Some(held.key()),
            _ => None,
        };
        match self.acquire(number, held.as_ref(), 0).await? {
            Answer::Ours(token) => Ok(key(token, number)),
            Answer::Held(held) => panic!("held by {held:?}"),
        }
    }

    async fn holds(&self, key: &Key) -> bool {
        self.sh(&lease::guard(key)).await.status.success()
    }
}

fn holder(number: u128) -> Holder {
    Holder::here("it's \"o\" \\ $x@m", "apply", None).as_owner(Owner::new(number))
}

fn key(token: u64, number: u128) -> Key {
    Key { token, owner: Some(Owner::new(number)) }
}

#[tokio::test]
async fn a_lease_is_identified_by_its_number_and_its_owner() {
    let place = Place::new();
    assert_eq!(place.acquire(1, None, 0).await, Ok(Answer::Ours(1)));
    let first = key(1, 1);
    let Ok(Answer::Held(held)) = place.acquire(2, None, 0).await else { panic!("it is held") };
    assert_eq!((held.key(), held.holder), (first.clone(), Some(holder(1))));
    // The same token with another owner, and with no owner.
    for other in [key(1, 2), Key { token: 1, owner: None }, key(2, 1)] {
        assert!(!place.holds(&other).await, "{other:?}");
        for script in [lease::beat(&other), lease::release(&other)] {
            assert_eq!(place.sh(&script).await.status.code(), Some(lease::LOST.0));
        }
        let Ok(Answer::Held(_)) = place.acquire(3, Some(&other), 0).await else { panic!("{other:?} took it") };
    }
    assert!(place.holds(&first).await);
    assert!(place.sh(&lease::beat(&first)).await.status.success() && place.holds(&first).await);
    // After its owner renews it, it is a different lease. After a release, there is no lease.
    assert_eq!(place.acquire(4, Some(&first), 1).await, Ok(Answer::Ours(2)));
    assert!(!place.holds(&first).await && place.holds(&key(2, 4)).await);
    assert!(place.sh(&lease::release(&key(2, 4))).await.status.success());
    assert!(!place.path("state/lease").exists());
    assert_eq!(place.acquire(5, None, 0).await, Ok(Answer::Ours(3)));
}

#[tokio::test]
async fn leases_of_older_deployers_are_read_and_theirs_read_ours() {
    let place = Place::new();
    assert_eq!(place.acquire(1, None, 0).await, Ok(Answer::Ours(1)));
    // Older deployers read it as three words and the holder's JSON, which has an additional field.
    let old = "IFS=' ' read -r token beat boot holder < \"$state/lease\"; printf '%s|%s' \"$token\" \"$holder\"";
    let read = String::from_utf8(place.sh(old).await.stdout).unwrap();
    let (token, json) = read.split_once('|').unwrap();
    assert_eq!(token, "1");
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&value["by"], value["owner"].as_str().unwrap().len()), (&"it's \"o\" \\ $x@m".into(), 32));
    // The format that older deployers wrote.
    let line = place.read("lease").replace(&format!(",{}", Owner::new(1).field()), "");
    assert!(!line.contains("owner"));
    place.write("lease", &line);
    let Ok(Answer::Held(held)) = place.acquire(2, None, 0).await else { panic!("it is held") };
    assert_eq!(held.key(), Key { token: 1, owner: None });
    assert!(place.holds(&held.key()).await && !place.holds(&key(1, 1)).await);
    assert_eq!(place.acquire(2, Some(&held.key()), 0).await, Ok(Answer::Ours(2)));
}

#[tokio::test]
async fn a_token_is_above_every_trace_of_the_last() {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let lease = format!("41 5 {} {{}}", boot.trim());
    let high = lease.replacen("41", "999999999999998", 1);
    for (files, floor, least) in [
        (vec![("token", "7\n")], 0, 8),
        (vec![("token", "7\n")], 11, 12),
        (vec![("token", "7\n"), ("lease", &lease)], 0, 42),
        (vec![("token", "7\n"), ("last", "abc 0 17\n")], 0, 18),
        (vec![("token", "7\n"), ("last.aside", "abc begun 18\n")], 0, 19),
        // The file of an older deployer has no third word.
        (vec![("token", "7\n"), ("last", "abc 0\n")], 0, 8),
        // A lost count continues above every token that can have been issued.
        (vec![("token", "")], 0, 1_700_000_000),
        (vec![("token", "x")], 5, 1_700_000_000),
        (vec![("token", "-7")], 0, 1_700_000_000),
        (vec![("token", "010")], 0, 1_700_000_000),
        (vec![("token", "99999999999999999999")], 0, 1_700_000_000),
        (vec![("marker.json", "{}")], 0, 1_700_000_000),
        // A token that exceeds the last known one by a step or more is ignored.
        (vec![("token", "999999999999998\n")], 5, 1_700_000_000),
        (vec![("token", "1099511627781\n")], 5, 1_700_000_000),
        (vec![("token", "1099511627780\n")], 5, 1_099_511_627_781),
        (vec![("token", "7\n"), ("lease", &high)], 0, 8),
        (vec![("token", "7\n"), ("last", "abc 0 999999999999998\n")], 0, 8),
        // A token in the store that no count can have reached is ignored.
        (vec![], u64::MAX, 1),
        (vec![("token", "7\n")], 999_999_999_999_999, 8),
        (vec![("token", "999999999999999\n")], 999_999_999_999_999, 1_700_000_000),
        (vec![], 0, 1),
    ] {
        let place = Place::new();
        for (name, text) in &files {
            place.write(name, text);
        }
        let Ok(Answer::Ours(token)) = place.acquire(1, None, floor).await else { panic!("{files:?}") };
        let most = if least == 1_700_000_000 { 4_000_000_000 } else { least };
        assert!((least..=most).contains(&token), "{files:?}: {token}");
    }
}

#[tokio::test]
async fn a_host_that_says_the_highest_number_cannot_end_the_count() {
    let place = Place::new();
    place.write("token", "999999999999998\n");
    place.write("last", "abc 0 999999999999998\n");
    let mut floor = 0;
    for number in 0..4 {
        let said = place.sh(&lease::acquire(&holder(number), None, floor)).await.stdout;
        let Some(Answer::Ours(token)) = lease::answer(&said, floor) else { panic!("{said:?}") };
        assert!(floor < token && token < 4_000_000_000, "{token}");
        assert_eq!(lease::damaged(&said), number == 0, "only the first answer reports the damage");
        assert!(place.sh(&lease::release(&key(token, number))).await.status.success());
        floor = token;
    }
    // A token that the script cannot issue is not accepted as an answer, so no store keeps it.
    for (said, floor, believed) in [
        ("lease 999999999999999\n", 5, false),
        ("lease 1099511627782\n", 5, false),
        ("lease 1099511627781\n", 5, true),
        ("lease 6\n", u64::MAX, true),
        ("lease 999999999999999\n", 999_999_999_999_998, false),
    ] {
        assert_eq!(lease::answer(said.as_bytes(), floor).is_some(), believed, "{said} {floor}");
    }
    assert!(matches!(lease::answer(b"held 999999999999999 3 x\n", 0), Some(Answer::Held(_))), "it can be unlocked");
}

#[tokio::test]
async fn a_damaged_lease_has_no_owner_and_its_number_counts() {
    for text in ["", "7", "7 x y z", "x 5 y z", "08 5 b z", "7:8 5 b z", "99999999999999999999 5 b z", "\n\n", "7  5"] {
        let place = Place::new();
        place.write("token", "7\n");
        place.write("lease", text);
        assert_eq!(place.acquire(1, None, 0).await, Ok(Answer::Ours(8)), "{text:?}");
    }
}

/// A failure mode of disk writes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Every write fails.
    Full,
    /// Only the first byte is written, without an error.
    Short,
    /// None of the data is written, without an error.
    Lost,
    /// The sync fails.
    Sync,
    /// Renames fail.
    Rename,
    /// The shell is killed before a rename, as by a power failure.
    Killed,
}

impl Fault {
    fn strike(self, place: &Place) {
        place.whole_programs();
        match self {
            Self::None => {}
            Self::Full => place.program("cat", "[ -n \"$1\" ] && exec /bin/cat \"$@\"; /bin/cat >/dev/full"),
            Self::Short => place.program("cat", "[ -n \"$1\" ] && exec /bin/cat \"$@\"; head -c 1"),
            Self::Lost => place.program("cat", "[ -n \"$1\" ] && exec /bin/cat \"$@\"; exec /bin/cat >/dev/null"),
            Self::Sync => place.program("sync", "echo \"sync: error syncing '$1': Input/output error\" >&2; exit 1"),
            Self::Rename => place.program("mv", "echo \"mv: cannot move: Read-only file system\" >&2; exit 1"),
            Self::Killed => place.program("mv", "kill -9 $PPID"),
        }
    }

    fn reason(self) -> Option<Reason> {
        match self {
            Self::None | Self::Killed => None,
            Self::Full => Some(Reason::DiskFull),
            Self::Short | Self::Lost | Self::Sync => Some(Reason::IoError),
            Self::Rename => Some(Reason::ReadOnly),
        }
    }
}

const FAULTS: [Fault; 7] =
    [Fault::None, Fault::Full, Fault::Short, Fault::Lost, Fault::Sync, Fault::Rename, Fault::Killed];

#[tokio::test]
async fn each_trouble_of_a_disk_has_its_reason_and_leaves_the_lease_as_it_was() {
    for fault in FAULTS {
        let place = Place::new();
        let first = place.take(1).await.unwrap();
        fault.strike(&place);
        let taken = place.take(2).await;
        match &taken {
            Ok(key) => assert!(matches!(fault, Fault::None) && place.holds(key).await),
            Err(said) => {
                assert_eq!(disk::by_words(said), fault.reason(), "{fault:?}: {said}");
                place.whole_programs();
                assert!(place.holds(&first).await, "{fault:?}");
                assert!(matches!(fault, Fault::Killed) || !place.path("state/token.new").exists(), "{fault:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_token_is_issued_once_under_every_disk_fault(faults in proptest::collection::vec(0..FAULTS.len(), 1..7)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (place, mut last) = (Place::new(), None::<Key>);
            for (number, fault) in faults.iter().chain(&[0]).enumerate() {
                FAULTS[*fault].strike(&place);
                let taken = place.take(number as u128).await;
                place.whole_programs();
                let Ok(key) = taken else {
                    if let Some(last) = &last {
                        assert!(place.holds(last).await, "{:?} lost the lease", FAULTS[*fault]);
                    }
                    continue;
                };
                assert!(last.as_ref().is_none_or(|last| last.token < key.token), "{last:?} {key:?}");
                last = Some(key);
            }
            assert!(last.is_some(), "a whole disk gives a lease");
        });
    }
}

/// Runs a script where `$state` is on a separate disk of 256 KiB, which `fill` fills to the last byte.
async fn on_a_small_disk(script: &str) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let state = Utf8Path::from_path(directory.path()).unwrap();
    let script = format!(
        "set -e\nmount -t tmpfs -o size=256k,mode=700 tmpfs {state}\nstate={state}\n\
         fill() {{ head -c 300000 /dev/zero > \"$state/fill\" 2>/dev/null || :; echo >> \"$state/fill\" 2>/dev/null || :; }}\n{script}"
    );
    let argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script].map(str::to_owned);
    process::run(&argv, b"", Duration::from_secs(30)).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_takes_small_files_of_ours_out_of_the_reserve() {
    let (first, second) = (key(1, 1), key(2, 2));
    let acquire = |number, over: Option<&Key>| format!("({})\n", lease::acquire(&holder(number), over, 0));
    let script = [
        &acquire(1, None),
        "echo key > \"$state/key\"\n",
        &format!("({})\n", lease::release(&first)),
        "[ \"$(stat -c %s \"$state/reserve\")\" = 65536 ]\nfill\n",
        "! { echo no > \"$state/no\"; } 2>/dev/null\n",
        &acquire(2, None),
        "[ ! -e \"$state/reserve\" ]\n",
        &format!("({})\n({})\n({})\n", lease::beat(&second), lease::guard(&second), lease::release(&second)),
        // Files written into the reserve fit into the remaining space. A disk with free space gets a whole reserve
        // again.
        "rm \"$state/fill\"\n",
        &acquire(3, None),
        &format!("({})\n[ \"$(stat -c %s \"$state/reserve\")\" = 65536 ]\n", lease::release(&key(3, 3))),
        // A host that is no longer claimed keeps no reserve.
        "rm \"$state/key\"\n",
        &acquire(4, None),
        &format!("({})\n[ ! -e \"$state/reserve\" ]\n", lease::release(&key(4, 4))),
    ]
    .concat();
    let finished = on_a_small_disk(&script).await;
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "lease 1\nlease 2\nlease 3\nlease 4\n");
}

#[tokio::test]
async fn a_full_disk_without_a_reserve_is_reported_and_existing_files_are_kept() {
    let script = format!(
        "{WRITE_WHOLE}write_whole \"$state/token\" '%s\\n' 7\nfill\n({}) && exit 9\n\
         [ \"$(cat \"$state/token\")\" = 7 ]\n[ ! -e \"$state/token.new\" ] && [ ! -e \"$state/lease\" ]",
        lease::acquire(&holder(1), None, 0)
    );
    let finished = on_a_small_disk(&script).await;
    assert!(finished.status.success(), "{finished:?}");
    let said = String::from_utf8(finished.stdout).unwrap();
    assert_eq!((lease::parse(said.as_bytes()), disk::by_words(&said)), (None, Some(Reason::DiskFull)), "{said}");
}

#[tokio::test]
async fn write_whole_writes_the_text_exactly() {
    let place = Place::new();
    for (format, text, written) in [
        ("%s\\n", "a", "a\n"),
        ("%s", "", ""),
        ("%s", "two\nlines\n\n", "two\nlines\n\n"),
        ("%s\\n", "-n %s \\n $(x) `x` 'q' \"", "-n %s \\n $(x) `x` 'q' \"\n"),
    ] {
        let quoted = deployer::model::shell::quote(text);
        let script = format!("set -eu\n{WRITE_WHOLE}write_whole \"$state/a file\" '{format}' {quoted} 0640\n");
        let finished = place.sh(&script).await;
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(place.read("a file"), written);
        let mode = fs::metadata(place.path("state/a file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }
}

/// Returns a command as it is sent, in a directory of this machine.
fn sent(place: &Place, lane: Lane, script: &str, key: &Key) -> String {
    sent_with(place, lane, script, key, Input::Empty)
}

fn sent_with(place: &Place, lane: Lane, script: &str, key: &Key, input: Input) -> String {
    let given = crate::given::given(&crate::given::root().join("converged.txt")).unwrap();
    let subject = given.subject();
    let limit = Duration::from_secs(9);
    let command =
        Command { title: String::new(), script: script.to_owned(), input, limit, reason: Reason::UploadFailed };
    lane.script(&subject, &command, key, "id").replace(&subject.state_directory(), place.path("state").as_str())
}

/// The runner of the first command hangs in the midst of its input, and another run takes the lease.
#[tokio::test]
async fn a_command_whose_input_stops_ends_with_its_lease() {
    let place = Place::new();
    let key = place.take(1).await.unwrap();
    let script = sent_with(&place, Lane::Main, "cat >\"$state/got\"", &key, Input::Bytes(b"x".to_vec().into()));
    // A pipe that this process can also write to never ends.
    let hanging = format!("cd {}\nmkfifo input\nexec timeout 60 sh -c \"$0\" 0<>input", place.path("state"));
    let argv = ["sh", "-c", &hanging, &script.replace("$state", place.path("state").as_str())].map(str::to_owned);
    let hanging = tokio::spawn(async move { process::run(&argv, b"", Duration::from_mins(1)).await.unwrap() });
    while !place.path("state/got").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let next = place.take(2).await.unwrap();
    // Waits for the first command's lock.
    let finished = place.sh(&sent(&place, Lane::Main, ":", &next)).await;
    assert!(finished.status.success(), "{finished:?}");
    let ended = hanging.await.unwrap();
    assert_eq!(ended.status.code(), Some(lease::LOST.0));
    assert!(String::from_utf8_lossy(&ended.stderr).contains(lease::LOST.1));
    assert_eq!(place.read("last"), "id 0 2\n");
    // A command that keeps its lease leaves nothing behind.
    let kept = sent_with(&place, Lane::Main, "cat; echo \"$watch\"", &next, Input::Bytes(b"x".to_vec().into()));
    let watch = String::from_utf8(place.sh(&kept).await.stdout).unwrap();
    assert!(!std::path::Path::new("/proc").join(watch.trim()).exists());
}

#[tokio::test]
async fn a_command_notes_its_end_under_its_lease_and_counts() {
    let place = Place::new();
    let key = place.take(1).await.unwrap();
    place.write("serial", "4\n");
    let run = async |script: &str| place.sh(&sent(&place, Lane::Main, script, &key)).await.status.code();
    assert_eq!(run("write_whole \"$state/x\" %s y").await, Some(0));
    assert_eq!(
        ["x", "last", "serial"].map(|name| place.read(name)),
        ["y".to_owned(), "id 0 1\n".to_owned(), "5\n".to_owned()]
    );
    assert_eq!(run("exit 3").await, Some(3));
    assert_eq!(["last", "serial"].map(|name| place.read(name)), ["id 3 1\n".to_owned(), "5\n".to_owned()]);
    let last = Lane::Main.last(
        &crate::given::given(&crate::given::root().join("converged.txt")).unwrap().subject(),
        Duration::from_secs(1),
    );
    assert!(last.contains("cut -d ' ' -f 1,2"));
    // A truncated serial does not restart from zero.
    for damaged in ["", "x", "007"] {
        place.write("serial", damaged);
        assert_eq!(run(":").await, Some(0));
        assert!(place.read("serial").trim().parse::<u64>().unwrap() > 1_700_000_000, "{damaged:?}");
    }
    // On a full disk, the command does not begin, and the record of the last command stays.
    Fault::Full.strike(&place);
    let finished = place.sh(&sent(&place, Lane::Main, ": > \"$state/began\"", &key)).await;
    assert!(!finished.status.success() && !place.path("state/began").exists());
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(disk::by_words(&said), Some(Reason::DiskFull), "{said}");
    assert_eq!(place.read("last"), "id 0 1\n");
}
