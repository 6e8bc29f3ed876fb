//! Words to avoid in everything that a person reads: comments, strings and scripts of `src/`, templates, examples,
//! documents, and names of tests. Does not judge grammar.

use std::path::Path;

/// Phrases that read like translated English, with phrases to use instead. The only list.
const AVOID: [(&str, &str); 45] = [
    ("all the same", "anyway"),
    ("anew", "again"),
    ("are said", "are printed"),
    ("are to be", "must be"),
    ("as it lies", "as it is"),
    ("at work", "running"),
    ("beside", "next to"),
    ("broke off", "was interrupted"),
    ("gave way", "was replaced"),
    ("give way", "are replaced"),
    ("gives way", "is replaced"),
    ("goes by", "uses"),
    ("heed", "use"),
    ("heeded", "used"),
    ("heeds", "uses"),
    ("is no reason", "is not a reason"),
    ("is said", "is printed"),
    ("is to be", "must be"),
    ("is told", "receives"),
    ("lets go", "releases"),
    ("let the host go", "remove the host's marker"),
    ("lies", "is"),
    ("lost sight of", "no longer managed"),
    ("makes it so", "applies it"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("nobody works", "is not locked"),
    ("of before", "previous"),
    ("of its own", "its own"),
    ("of one's own", "your own"),
    ("of their own", "their own"),
    ("once said", "once printed"),
    ("put right", "corrected"),
    ("seldom", "rarely"),
    ("stand for", "represent"),
    ("stands", "is"),
    ("take up", "resume"),
    ("takes down", "destroys"),
    ("takes it down", "destroys it"),
    ("takes up", "resumes"),
    ("turned down", "rejected"),
    ("was told", "received"),
    ("whatever", "any"),
    ("works on it", "has locked it"),
];

#[test]
fn texts_avoid_words_that_read_like_translated_english() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in readable(&path, &text) {
            let line = line.to_lowercase();
            for (phrase, better) in AVOID.into_iter().filter(|(phrase, _)| contains(&line, phrase)) {
                found.push(format!("{path}:{number}: \"{phrase}\"; better: \"{better}\""));
            }
        }
    }
    assert!(found.is_empty(), "{} lines:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_kind_of_text_is_read() {
    let seen = |path: &str, text: &str| {
        let found = readable(path, text).into_iter().filter(|(_, line)| contains(&line.to_lowercase(), "anew"));
        found.map(|(number, _)| number).collect::<Vec<_>>()
    };
    assert_eq!(seen("src/a.rs", "let anew = 1;\n// Anew.\nlet a = \"made anew\";\nlet b = r#\"\nanew \"#;"), [2, 3, 5]);
    assert_eq!(seen("src/a.rs", "fn made_anew() {}\n#[test]\nfn a_host_is_made_anew() {}"), [3]);
    assert_eq!(seen("tests/a.rs", "// anew\n#[tokio::test]\nasync fn made_anew() {}"), [3]);
    assert_eq!(seen("README.md", "one\nmade\nanew"), [3]);
    assert_eq!(seen("README.md", "renewed, anewed"), [0; 0]);
}

/// Returns the names and contents of the files with texts for people.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for top in ["src", "tests", "templates", "examples", "README.md", "SECURITY.md", "CHANGELOG.md"] {
        for entry in walkdir::WalkDir::new(root.join(top)).sort_by_file_name() {
            let path = entry.expect("an entry").into_path();
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            let other = name.starts_with("tests/") || is(&name, "snap") || is(&name, "json");
            if path.is_file() && name != "tests/words.rs" && (is(&name, "rs") || !other) {
                texts.extend(std::fs::read_to_string(&path).ok().map(|text| (name, text)));
            }
        }
    }
    assert!(texts.len() > 500, "the texts were found");
    texts
}

/// Returns the lines of a text that a person reads, with their numbers: of a source its comments, its strings and the
/// names of its tests, of a test's source those names, of other files everything.
fn readable(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is(path, "rs") {
        return text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())).collect();
    }
    let mut lines = tests(text);
    if path.starts_with("src/") {
        lines.extend(comments_and_strings(text));
    }
    lines
}

/// Returns the names of tests as words.
fn tests(source: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let is_test = |line: &&str| line.trim().starts_with("#[test]") || line.trim().starts_with("#[tokio::test");
    let named = lines.iter().enumerate().filter(|(_, line)| is_test(line)).filter_map(|(at, _)| {
        let (after, line) = lines[at..].iter().enumerate().find(|(_, line)| line.contains("fn "))?;
        Some((at + after + 1, line.split_once("fn ")?.1.split('(').next()?.replace('_', " ")))
    });
    named.collect()
}

/// Returns the lines of a source's comments and strings.
fn comments_and_strings(source: &str) -> Vec<(usize, String)> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw_string(rest),
            '"' => quoted(rest, '"'),
            // A lifetime has no closing quote so near.
            '\'' => Some(quoted(rest, '\'')).filter(|length| *length <= 12).unwrap_or(0),
            _ => 0,
        };
        if length > 0 {
            let line = source[..at].matches('\n').count() + 1;
            parts.extend(rest[..length].lines().enumerate().map(|(below, text)| (line + below, text.to_owned())));
        }
        at += length.max(first.len_utf8());
    }
    parts
}

/// Returns the length of a raw string, or 0 if none begins here.
fn raw_string(rest: &str) -> usize {
    let marks = rest[1..].chars().take_while(|c| *c == '#').count();
    let (begin, end) = (marks + 2, format!("\"{}", "#".repeat(marks)));
    let quoted = rest[marks + 1..].starts_with('"');
    quoted.then(|| rest[begin..].find(&end).map(|length| begin + length + end.len())).flatten().unwrap_or(0)
}

/// Returns the length up to the closing quote, or 0 without one.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    0
}

fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Returns true if a line contains the phrase as whole words.
fn contains(line: &str, phrase: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    line.match_indices(phrase).any(|(at, _)| {
        !part_of_word(line[..at].chars().next_back()) && !part_of_word(line[at + phrase.len()..].chars().next())
    })
}
