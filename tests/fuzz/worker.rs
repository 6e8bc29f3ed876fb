//! The process that runs the cases of one target, with a memory limit and a watchdog.

use crate::cases::Cases;
use crate::{Target, cases};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::panic;
use std::process::exit;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The first word of the line that reports the process's progress.
pub const PROGRESS: &str = "progress";
/// The exit code of a process whose case did not end.
pub const HUNG: i32 = 3;

/// The memory that a parser may use beyond the process's memory before its first case, in bytes.
const MEMORY: u64 = 256 << 20;
/// The processor time that one case may take. It excludes the load of other processes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wall-clock time that one case may take, because a case may wait forever without using the processor.
const WALL: Duration = Duration::from_mins(1);
/// The stack of a tokio worker, which most parsers run on.
const STACK: usize = 2 << 20;
/// The number of panics that ends the process.
const PANICS: usize = 3;

/// The running case, and its panic message.
#[derive(Default)]
struct State {
    begun: Mutex<Option<Begun>>,
    said: Mutex<String>,
}

struct Begun {
    number: u64,
    clock: Instant,
    /// The processor time of the process when the watchdog first saw the case.
    processor: Option<Duration>,
}

/// Runs cases from `first` on until the time is over. `last` is the file that holds the number of the running case, for
/// the process that reads it after a crash.
pub fn run(target: Target, seed: u64, first: u64, time: Duration, last: &str) {
    let state = Arc::new(State::default());
    quiet(&state);
    let watched = Arc::clone(&state);
    std::thread::spawn(move || watch(&watched));
    let last = File::options().write(true).open(last).unwrap();
    let all = move || {
        // Initialization that happens once is not counted as a part of a case.
        target.seeds.first().inspect(|seed| (target.run)(seed));
        let cases = Cases::new(&target);
        limit_memory();
        let (begin, mut panics, mut slowest) = (Instant::now(), 0, (Duration::ZERO, 0));
        for number in first.. {
            if begin.elapsed() > time || panics == PANICS {
                break;
            }
            let case = cases.case(seed, number);
            last.write_all_at(&number.to_le_bytes(), 0).unwrap();
            let clock = Instant::now();
            *state.begun.lock().unwrap() = Some(Begun { number, clock, processor: None });
            let ended = panic::catch_unwind(|| (target.run)(&case));
            *state.begun.lock().unwrap() = None;
            slowest = slowest.max((clock.elapsed(), number));
            if ended.is_err() {
                println!("panic {number} {}", state.said.lock().unwrap().replace('\n', " "));
                panics += 1;
            }
            if number % 64 == 0 {
                progress(slowest);
            }
        }
        progress(slowest);
        println!("over");
    };
    std::thread::Builder::new().stack_size(STACK).spawn(all).unwrap().join().unwrap();
}

/// Runs one case without catching its panic.
pub fn replay(target: &Target, seed: u64, number: u64) {
    let begin = Instant::now();
    (target.run)(&cases::Cases::new(target).case(seed, number));
    println!("ended well after {} ms", begin.elapsed().as_millis());
}

/// Stores panic messages instead of printing them.
fn quiet(state: &Arc<State>) {
    let state = Arc::clone(state);
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        *state.said.lock().unwrap() = format!("{place}: {}", info.payload_as_str().unwrap_or_default());
    }));
}

/// Ends the process when a case does not end.
fn watch(state: &State) {
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let mut begun = state.begun.lock().unwrap();
        let Some(begun) = &mut *begun else { continue };
        let now = used();
        let spent = now.saturating_sub(*begun.processor.get_or_insert(now));
        let waited = begun.clock.elapsed();
        if spent > PATIENCE || waited > WALL {
            let number = begun.number;
            println!("hang {number} after {} s of the processor, {} s on the clock", spent.as_secs(), waited.as_secs());
            exit(HUNG);
        }
    }
}

/// Returns the processor time that this process used. Linux counts it in hundredths of a second on every machine.
fn used() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn limit_memory() {
    let limit = (status("VmSize") << 10) + MEMORY;
    let limit = rustix::process::Rlimit { current: Some(limit), maximum: Some(limit) };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
}

fn progress((slowest, number): (Duration, u64)) {
    println!("{PROGRESS} {} {number} {}", slowest.as_micros(), status("VmHWM"));
}

/// Returns one of the kernel's values for this process, in KiB.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
