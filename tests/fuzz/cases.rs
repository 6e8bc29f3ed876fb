//! Makes the cases: each is a pure function of its target, a seed and a number.

use crate::Target;
use fastrand::Rng;

/// The size of inputs that reveal work or memory that grows faster than the input, in bytes.
const LARGE: usize = 1 << 20;
/// The largest size of a mutated input, in bytes.
const LARGEST: usize = 256 << 10;

/// Pieces of text that are special in some format.
const TOKENS: [&str; 44] = [
    "[",
    "]",
    "{",
    "}",
    "[[",
    "{\"a\":",
    "\"",
    "\\",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "'",
    ",",
    ":",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\0",
    "=",
    "/",
    "..",
    "../",
    "/dev/zero",
    "$",
    "${",
    "{{",
    "{%",
    "%s",
    "-",
    "--",
    "#",
    "&a ",
    "*a",
    "<<: *a\n",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[31m",
    "::error::",
    "é",
    "😀",
    "sha256:",
    "null",
];
/// Numbers at the limits of types.
const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "-1",
    "1",
    "00",
    "127",
    "255",
    "256",
    "32767",
    "65535",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
];

/// The cases of a target.
pub struct Cases<'a> {
    target: &'a Target,
}

impl<'a> Cases<'a> {
    pub const fn new(target: &'a Target) -> Self {
        Self { target }
    }

    /// Returns the case with this number: first the unchanged seeds, then large inputs and mutated seeds in turn.
    pub fn case(&self, seed: u64, number: u64) -> Vec<u8> {
        let seeds = &self.target.seeds;
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(found) = seeds.get(at) {
            return found.clone();
        }
        let at = at - seeds.len();
        if at.is_multiple_of(4)
            && let Some(large) = self.large(at / 4)
        {
            return large;
        }
        self.mutated(&mut Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number))
    }

    /// Returns a large input: a repeated token, a repeated token within a seed, a repeated line of a seed, or a
    /// repeated seed.
    fn large(&self, at: usize) -> Option<Vec<u8>> {
        let tokens: Vec<&str> = self.target.tokens.iter().map(String::as_str).chain(TOKENS).collect();
        let kinds = tokens.len();
        let repeated = |text: &[u8]| text.repeat((LARGE / text.len().max(1)).max(1));
        if let Some(token) = tokens.get(at) {
            return Some(repeated(token.as_bytes()));
        }
        // The inputs from here on use seeds: two for each token, so that the list is finite.
        let at = at - kinds;
        let seeds = &self.target.seeds;
        if at < 2 * kinds {
            let mut random = Rng::with_seed(at as u64);
            let (mut text, token) = (random.choice(seeds)?.clone(), tokens[at / 2]);
            let place = random.usize(..=text.len());
            let deep = repeated(token.as_bytes());
            text.splice(place..place, deep);
            return Some(text);
        }
        let at = at - 2 * kinds;
        let mut lines: Vec<&[u8]> = Vec::new();
        for seed in seeds {
            lines.extend(seed.split_inclusive(|byte| *byte == b'\n').take(40));
            lines.push(seed);
        }
        lines.sort_unstable();
        lines.dedup();
        lines.get(at).map(|line| repeated(line))
    }

    fn mutated(&self, random: &mut Rng) -> Vec<u8> {
        let seeds = &self.target.seeds;
        let mut text = random.choice(seeds).cloned().unwrap_or_default();
        for _ in 0..=random.usize(..6) {
            self.mutate(&mut text, random);
            text.truncate(LARGEST);
        }
        text
    }

    fn mutate(&self, text: &mut Vec<u8>, random: &mut Rng) {
        let place = random.usize(..=text.len());
        match random.u8(..15) {
            0 => text.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << random.u8(..8)),
            1 => text.insert(place, random.u8(..)),
            2 => drop(text.drain(range(text, random))),
            3 => text.truncate(place),
            4 => {
                let piece = text[range(text, random)].to_vec();
                let most = [2, 10, 1000][random.usize(..3)];
                let times = random.usize(..=most);
                let times = times.min(LARGEST / piece.len().max(1));
                text.splice(place..place, piece.repeat(times));
            }
            5 => {
                let other = random.choice(&self.target.seeds).cloned().unwrap_or_default();
                text.splice(place.., other[random.usize(..=other.len())..].iter().copied());
            }
            6 | 7 => drop(text.splice(place..place, self.token(random).bytes())),
            8 => {
                let token = self.token(random).repeat(random.usize(..2000));
                text.splice(place..place, token.into_bytes());
            }
            9 | 10 => {
                let number = NUMBERS[random.usize(..NUMBERS.len())];
                replace(text, random, u8::is_ascii_digit, number);
            }
            11 => {
                let token = self.token(random);
                replace(text, random, u8::is_ascii_alphabetic, token);
            }
            12 => lines(text, random),
            13 => {
                let (from, to) = (range(text, random), place);
                let piece: Vec<u8> = text.drain(from).collect();
                let to = to.min(text.len());
                text.splice(to..to, piece);
            }
            _ => {
                let token = self.token(random);
                replace(text, random, |byte| !b"\"'\n :,".contains(byte), token);
            }
        }
    }

    fn token(&self, random: &mut Rng) -> &str {
        let own = &self.target.tokens;
        let at = random.usize(..TOKENS.len() + 2 * own.len());
        TOKENS.get(at).copied().unwrap_or_else(|| &own[(at - TOKENS.len()) / 2])
    }
}

/// Returns a random range of a text, usually a short one.
fn range(text: &[u8], random: &mut Rng) -> std::ops::Range<usize> {
    let from = random.usize(..=text.len());
    let most = [8, 100, usize::MAX][random.usize(..3)];
    let longest = (text.len() - from).min(most);
    from..from + random.usize(..=longest)
}

/// Replaces one run of matching bytes.
fn replace(text: &mut Vec<u8>, random: &mut Rng, is: impl Fn(&u8) -> bool, with: &str) {
    let begin = random.usize(..=text.len());
    let Some(from) = text[begin..].iter().position(&is).map(|offset| begin + offset) else { return };
    let to = text[from..].iter().position(|byte| !is(byte)).map_or(text.len(), |offset| from + offset);
    text.splice(from..to, with.bytes());
}

/// Swaps, copies or removes a line.
fn lines(text: &mut Vec<u8>, random: &mut Rng) {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (random.usize(..lines.len()), random.usize(..lines.len()));
    match random.u8(..3) {
        0 => lines.swap(one, other),
        1 => lines.insert(one, lines[other].clone()),
        _ => drop(lines.remove(one)),
    }
    *text = lines.concat();
}
