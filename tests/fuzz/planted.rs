//! Targets with a fault that a run must detect, each behind a piece of input that only a mutated seed contains.

use crate::Target;

pub fn all() -> Vec<Target> {
    let target = |name, run| Target {
        name,
        seeds: vec![b"key=1\nlength=3\n".to_vec(), b"[1, 2, [3]]".to_vec()],
        tokens: ["=", "[", "]"].map(str::to_owned).to_vec(),
        run,
    };
    vec![
        target("planted-panic", |bytes| {
            // An unchecked index from the input.
            let Some(at) = number(bytes) else { return };
            std::hint::black_box(bytes[at]);
        }),
        target("planted-hang", |bytes| {
            // Quadratic work, which is fast for a short input.
            let mut found = 0_u64;
            for at in 0..bytes.len() {
                found += bytes[at..].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            }
            std::hint::black_box(found);
        }),
        target("planted-memory", |bytes| {
            // An unchecked length from the input.
            let Some(length) = number(bytes) else { return };
            std::hint::black_box(vec![1_u8; length.min(1 << 40)]);
        }),
        target("planted-stack", |bytes| {
            std::hint::black_box(deep(bytes));
        }),
        target("planted-crash", |bytes| {
            if bytes.windows(2).any(|two| two == b"[[") {
                std::process::abort();
            }
        }),
    ]
}

fn number(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| line.strip_prefix("length=")?.parse().ok())
}

/// Recurses as deep as the input demands.
fn deep(bytes: &[u8]) -> usize {
    let kept = [bytes.len(); 16];
    std::hint::black_box(&kept);
    bytes.strip_prefix(b"[").map_or(0, |rest| 1 + deep(rest) + kept[0] % 2)
}
