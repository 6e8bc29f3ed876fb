//! Form in which a script is sent: the constant command line, the header on standard input and the marks in the
//! output. Pure. The command line contains no part of a script and no secret.

use crate::model::bounded;

/// The prompt of sudo. If it appears twice, the password is wrong.
pub(super) const PROMPT: &str = "deployer-sudo-password:";
/// Mark on standard output: the carrier runs as root.
pub(super) const READY: &[u8] = b"deployer-ready\n";

/// Shell code that runs as root, reads the header line and prints the marks. It is in single quotes on a line that
/// bash, dash, zsh, fish and csh must read alike: so no single quote, backslash, exclamation mark or newline. The
/// carrier skips input before the header (a password that sudo did not ask for).
const CARRIER: &str = concat!(
    "export LC_ALL=C PATH=\"$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"; cd /; ",
    "echo deployer-ready; ",
    "while IFS= read -r h; do case $h in \"deployer-run \"*) break;; esac; done; ",
    "set -- \"$1\" $h; ",
    "if command -v timeout >/dev/null 2>&1; then timeout -k 5 \"$4\" sh -c \"$1\" \"$5\" \"$3\"; else sh -c \"$1\" \"$5\" \"$3\"; fi; ",
    "e=$?; echo; echo \"deployer-end $3 $e\"",
);

/// Shell code that reads the script's bytes, prints the begin mark and runs the script. Data for the script is sent
/// only after that mark: some `head` and `dd` (busybox, uutils) read more than they were asked for.
const READER: &str = "s=$(head -c \"$0\"; echo x); echo \"deployer-begin $1\"; set --; eval \"${s%x}\"";

/// Returns the command line for every script on every host.
pub(super) fn command_line(sudo_asks: bool) -> String {
    let sudo = if sudo_asks { format!("sudo -S -p {PROMPT}") } else { "sudo -n".to_owned() };
    format!(
        "exec env LC_ALL=C sh -c 'case $(id -u) in 0) eval \"$0\";; *) exec {sudo} -- sh -c \"$0\" \"$0\" \"$1\";; esac' '{CARRIER}' '{READER}'"
    )
}

/// Returns the header line and the script, as sent to standard input.
pub(super) fn parcel(nonce: &str, limit_seconds: u64, script: &str) -> Vec<u8> {
    // Some shells ignore a last line without a newline.
    let script = format!("{script}\n");
    format!("deployer-run {nonce} {} {}\n{script}", limit_seconds.max(1), script.len()).into_bytes()
}

/// A line of followed output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Text without the newline.
    pub text: String,
    /// Number of bytes left out at the end because the line is longer than [`bounded::LINE`].
    pub left_out: u64,
}

/// Returns a script that ends with the connection: closing its standard input kills it.
pub(super) fn leashed(script: &str) -> String {
    format!("exec 3<&0 </dev/null; {{ cat <&3 >/dev/null 2>&1; kill -TERM 0; }} & exec 3<&-\n{script}")
}

/// Parser that extracts a script's own output from what a host sends.
pub(crate) struct Marks {
    begin: Vec<u8>,
    end: Vec<u8>,
    held: Vec<u8>,
    begun: bool,
    ready: bool,
    /// Index up to which `held` was searched for the end mark.
    searched: usize,
    status: Option<i32>,
    /// Beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes left out of that line.
    left_out: u64,
    /// True if the withheld newline ends a line that was already taken.
    closed: bool,
}

impl Marks {
    pub(crate) fn new(nonce: &str) -> Self {
        Self {
            begin: format!("deployer-begin {nonce}\n").into_bytes(),
            end: format!("\ndeployer-end {nonce} ").into_bytes(),
            held: Vec::new(),
            begun: false,
            ready: false,
            searched: 0,
            status: None,
            line: Vec::new(),
            left_out: 0,
            closed: false,
        }
    }

    /// Adds the next bytes. Drops bytes after the end mark.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.status.is_some() {
            return;
        }
        let old = self.held.len();
        self.held.extend_from_slice(bytes);
        if !self.begun {
            let from = old.saturating_sub(self.begin.len());
            self.ready |= find(&self.held[from..], READY).is_some();
            let Some(at) = find(&self.held[from..], &self.begin) else { return };
            self.held.drain(..from + at + self.begin.len());
            self.begun = true;
        }
        self.find_end();
    }

    fn find_end(&mut self) {
        let newline = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        while let Some(at) = newline(&self.held[self.searched..]) {
            self.searched += at;
            let rest = &self.held[self.searched..];
            if self.end.starts_with(rest) {
                return;
            }
            if let Some(code) = rest.strip_prefix(self.end.as_slice()) {
                // No valid code has more digits.
                let Some(length) = newline(code).or((code.len() > 16).then_some(0)) else { return };
                let code = std::str::from_utf8(&code[..length]).ok().and_then(|code| code.parse().ok());
                self.status = Some(code.unwrap_or(255));
                self.held.truncate(self.searched);
                return;
            }
            self.searched += 1;
        }
        self.searched = self.held.len();
    }

    /// Returns true if the carrier waits for its header.
    pub(crate) fn ready(&self) -> bool {
        self.ready || self.begun
    }

    /// Returns true if the carrier has read the script.
    pub(crate) fn begun(&self) -> bool {
        self.begun
    }

    /// Returns the script's exit code after the script has ended.
    pub(crate) fn status(&self) -> Option<i32> {
        self.status
    }

    /// Returns the name and the limit of output that exceeded its limit.
    pub(super) fn over(&self) -> Option<(&'static str, usize)> {
        if !self.begun && self.held.len() > bounded::REMOTE_NOISE {
            return Some(("The output of the login shell before a command", bounded::REMOTE_NOISE));
        }
        if self.left_out > bounded::LINE_SEEN {
            return Some(("A line of a command's output", bounded::LINE));
        }
        (self.held.len() > bounded::REMOTE_OUTPUT).then_some(("The output of a command", bounded::REMOTE_OUTPUT))
    }

    /// Returns the bytes held: noise before the begin mark, output after it.
    pub(crate) fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Takes the output that is certainly not part of the end mark.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        if !self.begun {
            return Vec::new();
        }
        self.held.drain(..std::mem::take(&mut self.searched)).collect()
    }

    /// Takes the complete lines of output. Does not wait for a possible end mark.
    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        if !self.begun {
            return Vec::new();
        }
        let text: Vec<u8> = self.held.drain(..self.searched).collect();
        self.searched = 0;
        let mut text = text.as_slice();
        if self.closed && !text.is_empty() {
            self.closed = false;
            text = &text[1..];
        }
        let mut lines = Vec::new();
        let mut pieces = text.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = (bounded::LINE - self.line.len()).min(piece.len());
            self.line.extend_from_slice(&piece[..room]);
            self.left_out += (piece.len() - room) as u64;
            if pieces.peek().is_some() {
                lines.push(self.take_line());
            }
        }
        // A withheld newline ends this line, whether it belongs to the script's output or to the end mark.
        self.closed |= !self.line.is_empty() && !self.held.is_empty();
        if !self.line.is_empty() && (self.closed || self.status.is_some()) {
            lines.push(self.take_line());
        }
        lines
    }

    fn take_line(&mut self) -> Line {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        Line { text, left_out: std::mem::take(&mut self.left_out) }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::process;
    use proptest::prelude::*;
    use std::time::Duration;

    const NONCE: &str = "0123456789abcdef";

    fn sent(output: &[u8], code: i32) -> Vec<u8> {
        let begin = format!("Welcome!\nlast login: neverdeployer-ready\ndeployer-begin {NONCE}\n");
        [begin.as_bytes(), output, format!("\ndeployer-end {NONCE} {code}\nbye\n").as_bytes()].concat()
    }

    #[test]
    fn command_line_is_read_alike_by_every_shell() {
        for forbidden in ['\\', '!', '\n'] {
            assert!(!command_line(false).contains(forbidden), "{forbidden:?}");
        }
        assert!(!CARRIER.contains('\'') && !READER.contains('\''));
        assert_eq!(command_line(true).matches("sudo -S -p deployer-sudo-password: --").count(), 1);
    }

    #[tokio::test]
    async fn every_login_shell_runs_it() {
        let shells = ["sh", "bash", "dash", "zsh", "fish", "tcsh", "busybox sh"];
        for shell in shells {
            let mut argv: Vec<String> = shell.split(' ').map(str::to_owned).collect();
            argv.extend(["-c".to_owned(), command_line(false)]);
            let script = "printf '%s|' \"$0\" \"$#\" 'it'\\''s \\ $x !'; cat; exit 7";
            let input = [b"swallowed!\n".to_vec(), parcel(NONCE, 20, script)].concat();
            let finished = process::run(&argv, &input, Duration::from_secs(20)).await;
            let finished = finished.unwrap_or_else(|failure| panic!("{failure}: this test needs the package {shell}"));
            let mut marks = Marks::new(NONCE);
            marks.push(&finished.stdout);
            assert!(marks.ready() && marks.begun(), "{shell}: {finished:?}");
            assert_eq!(marks.status(), Some(7), "{shell}: {finished:?}");
            let output = String::from_utf8(marks.into_held()).unwrap();
            assert!(output.ends_with("|0|it's \\ $x !|"), "{shell}: {output}");
        }
    }

    #[tokio::test]
    async fn data_after_the_script_stays() {
        let argv = ["sh", "-c", &command_line(false)].map(str::to_owned);
        let data: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for padding in [0, 4096, 2 << 20] {
            let script = format!("cat # {}", "x".repeat(padding));
            let input = [parcel(NONCE, 20, &script), data.clone()].concat();
            let finished = process::run(&argv, &input, Duration::from_secs(59)).await.unwrap();
            let mut marks = Marks::new(NONCE);
            marks.push(&finished.stdout);
            assert_eq!(marks.status(), Some(0));
            assert!(marks.into_held() == data);
        }
    }

    #[test]
    fn reads_no_end_without_the_nonce() {
        let mut marks = Marks::new(NONCE);
        marks.push(b"deployer-begin other\n\ndeployer-end other 0\n");
        assert!(!marks.begun());
        marks.push(&sent(b"\ndeployer-end other 0\n", 1)[..]);
        assert_eq!(marks.status(), Some(1));
        assert_eq!(marks.into_held(), b"\ndeployer-end other 0\n");
    }

    #[test]
    fn a_line_does_not_wait_for_the_next() {
        let mut marks = Marks::new(NONCE);
        marks.push(format!("deployer-begin {NONCE}\none\ntwo\n").as_bytes());
        let taken = |marks: &mut Marks| marks.take_lines().into_iter().map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(taken(&mut marks), ["one", "two"]);
        marks.push(b"\n");
        assert!(taken(&mut marks).is_empty());
        marks.push(b"x");
        assert_eq!(taken(&mut marks), [""]);
        marks.push(b"y\n");
        assert_eq!(taken(&mut marks), ["xy"]);
    }

    #[test]
    fn endless_output_is_over() {
        let chunk = vec![b'x'; 64 * 1024];
        let mut noise = Marks::new(NONCE);
        let mut output = Marks::new(NONCE);
        let mut line = Marks::new(NONCE);
        for marks in [&mut output, &mut line] {
            marks.push(format!("deployer-begin {NONCE}\n").as_bytes());
        }
        let mut pushed = [0; 3];
        while noise.over().is_none() {
            noise.push(&chunk);
            pushed[0] += chunk.len();
        }
        while output.over().is_none() {
            output.push(&chunk);
            pushed[1] += chunk.len();
        }
        while line.over().is_none() {
            line.push(&chunk);
            assert!(line.take_lines().is_empty() && line.held.len() + line.line.len() <= 2 * bounded::LINE);
            pushed[2] += chunk.len();
        }
        let most = [bounded::REMOTE_NOISE, bounded::REMOTE_OUTPUT, 80 << 20];
        assert!(pushed.iter().zip(most).all(|(pushed, most)| *pushed <= most + chunk.len()), "{pushed:?}");
        // An end mark with an endless code is still an end mark.
        let mut end = Marks::new(NONCE);
        end.push(format!("deployer-begin {NONCE}\n\ndeployer-end {NONCE} ").as_bytes());
        end.push(&[b'1'; 100]);
        assert_eq!(end.status(), Some(255));
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut marks = Marks::new(NONCE);
        marks.push(format!("deployer-begin {NONCE}\n").as_bytes());
        let mut lines = Vec::new();
        for part in [vec![b'x'; bounded::LINE], vec![b'y'; 7], b"\nnext\n".to_vec(), b"last\n".to_vec()] {
            marks.push(&part);
            lines.extend(marks.take_lines());
        }
        assert_eq!((lines[0].text.len(), lines[0].left_out), (bounded::LINE, 7));
        assert_eq!(lines[1], Line { text: "next".to_owned(), left_out: 0 });
    }

    fn output() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            Just(b"\n".to_vec()),
            Just(b"\ndeployer-end ".to_vec()),
            Just(format!("\ndeployer-end {NONCE}").into_bytes()),
            "[a-z ]{0,9}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cuts_exactly_however_it_arrives(output in output(), sizes in proptest::collection::vec(1usize..9, 1..5)) {
            // Followed by a blank, this end mark would be real.
            prop_assume!(!output.windows(NONCE.len() + 15).any(|part| part == format!("\ndeployer-end {NONCE} ").as_bytes()));
            let (mut whole, mut lines, mut bytes) = (Marks::new(NONCE), Marks::new(NONCE), Marks::new(NONCE));
            let sent = sent(&output, 42);
            let (mut rest, mut taken, mut poured) = (sent.as_slice(), Vec::new(), Vec::new());
            for size in sizes.into_iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at(size.min(rest.len()));
                rest = later;
                whole.push(now);
                lines.push(now);
                taken.extend(lines.take_lines().into_iter().map(|line| line.text));
                bytes.push(now);
                poured.extend(bytes.take_bytes());
            }
            poured.extend(bytes.into_held());
            prop_assert_eq!(&poured, &output);
            prop_assert_eq!((whole.status(), lines.status()), (Some(42), Some(42)));
            prop_assert_eq!(&whole.into_held(), &output);
            let text = String::from_utf8_lossy(&output).into_owned();
            let mut expected: Vec<_> = text.split('\n').collect();
            if expected.last() == Some(&"") { expected.pop(); }
            prop_assert_eq!(taken, expected);
        }
    }
}
