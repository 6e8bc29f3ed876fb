//! One rendering within bounds of size and time: templates may be written by others, and their language has loops.

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tera::{Context, ErrorKind, Tera};

/// The largest result of one template (bytes).
pub const LARGEST: usize = 16 << 20;
/// The largest result of all templates of an application (bytes).
pub const TOTAL: usize = 64 << 20;
/// How long all templates of an application may take; usual ones take milliseconds.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Why a template gave nothing.
pub enum Trouble {
    /// The engine refused it.
    Engine(tera::Error),
    /// It gives too much or takes too long; the text says which, with `it` as its subject.
    Beyond(String),
}

/// Renders a template in a thread, which is left behind where it does not end before `until`.
pub fn render(tera: &Arc<Tera>, name: &str, context: Context, until: Instant) -> Result<String, Trouble> {
    let (send, receive) = mpsc::channel();
    let (tera, name) = (Arc::clone(tera), name.to_owned());
    let work = move || {
        let mut output = Limited(Vec::new());
        let done = tera.render_to(&name, &context, &mut output);
        let _ = send.send(done.map(|()| output.0));
    };
    let started = std::thread::Builder::new().name("template".to_owned()).spawn(work);
    started.map_err(|error| Trouble::Beyond(format!("no thread can be started for it: {error}")))?;
    match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(Ok(bytes)) => String::from_utf8(bytes).map_err(|_| Trouble::Beyond("it gives no text".to_owned())),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Io(_)) => {
            Err(Trouble::Beyond(format!("it gives more than {} MiB", LARGEST >> 20)))
        }
        Ok(Err(error)) => Err(Trouble::Engine(error)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let limit = humantime::format_duration(LIMIT);
            Err(Trouble::Beyond(format!("the templates of its application take more than {limit}")))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Trouble::Beyond("the template engine broke down".to_owned())),
    }
}

/// Output that ends with an error where it becomes too long.
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
