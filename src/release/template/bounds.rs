//! Rendering of one template with limits on size and time: templates may come from others, and their language has
//! loops.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tera::{Context, ErrorKind, Tera};

/// The largest result of one template (bytes).
pub const LARGEST: usize = 16 << 20;
/// The largest result of all templates of an application (bytes).
pub const TOTAL: usize = 64 << 20;
/// The time limit for all templates of an application. Ordinary ones take milliseconds.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The stack of a rendering (bytes). Components, of which the engine nests 20, can each render a chain of all
/// templates.
pub const STACK: usize = 256 << 20;

/// The most abandoned renderings of all applications that may still run. At this number, no other rendering begins.
const MOST_LEFT: usize = 3;

/// The renderings that were abandoned and still run.
static LEFT: Left = Left(AtomicUsize::new(0));

/// A count of renderings that still run although nobody waits for them.
struct Left(AtomicUsize);

/// The reason why a template has no result.
pub enum Trouble {
    /// The template engine refused the template.
    Engine(tera::Error),
    /// A limit was exceeded. The text names the limit, with `it` as its subject.
    Beyond(String),
}

/// Renders a template in a thread, and abandons that thread if it does not end before `until`.
pub fn render(tera: &Arc<Tera>, name: &str, context: Context, until: Instant) -> Result<String, Trouble> {
    render_unless(&LEFT, tera, name, context, until)
}

/// Renders a template unless too many renderings were abandoned.
fn render_unless(
    left: &'static Left,
    tera: &Arc<Tera>,
    name: &str,
    context: Context,
    until: Instant,
) -> Result<String, Trouble> {
    if left.0.load(Ordering::Relaxed) >= MOST_LEFT {
        return Err(Trouble::Beyond(format!("{MOST_LEFT} other templates that took too long are still running")));
    }
    let (send, receive) = mpsc::channel();
    let (tera, name) = (Arc::clone(tera), name.to_owned());
    // Set at the end of the rendering and at the end of its time: the second of the two lowers the count of abandoned
    // renderings.
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let work = move || {
        let mut output = Limited(Vec::new());
        let done = tera.render_to(&name, &context, &mut output);
        let _ = send.send(done.map(|()| output.0));
        if ended.swap(true, Ordering::AcqRel) {
            left.0.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let started = std::thread::Builder::new().name("template".to_owned()).stack_size(STACK).spawn(work);
    started.map_err(|error| Trouble::Beyond(format!("no thread can be started for it: {error}")))?;
    match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(Ok(bytes)) => String::from_utf8(bytes).map_err(|_| Trouble::Beyond("it produces no text".to_owned())),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Io(_)) => {
            Err(Trouble::Beyond(format!("it produces more than {} MiB", LARGEST >> 20)))
        }
        Ok(Err(error)) => Err(Trouble::Engine(error)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            left.0.fetch_add(1, Ordering::Relaxed);
            if over.swap(true, Ordering::AcqRel) {
                left.0.fetch_sub(1, Ordering::Relaxed);
            }
            let limit = humantime::format_duration(LIMIT);
            Err(Trouble::Beyond(format!("the templates of its application take more than {limit}")))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Trouble::Beyond("the template engine failed".to_owned())),
    }
}

/// Output that ends with an error if it becomes too long.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OWN: Left = Left(AtomicUsize::new(0));

    #[test]
    fn renderings_that_are_left_behind_are_counted_until_they_end() {
        let text = "{% for i in range(end=100000) %}{% for j in range(end=LAST) %}{% endfor %}{% endfor %}";
        let set = |last: &str| {
            let mut tera = Tera::new();
            tera.add_raw_template("a", &text.replace("LAST", last)).expect("a template");
            Arc::new(tera)
        };
        let render = |last: &str| match render_unless(&OWN, &set(last), "a", Context::new(), Instant::now()) {
            Err(Trouble::Beyond(why)) => why,
            _ => String::new(),
        };
        assert!(render("10").contains("take more than"));
        while OWN.0.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        for _ in 0..MOST_LEFT {
            assert!(render("1000").contains("take more than"));
        }
        assert!(render("1000").contains("are still running"));
    }
}
