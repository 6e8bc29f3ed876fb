//! Parses YAML text into nodes with their byte positions, for inserting into the text. Does not resolve aliases and
//! merges: only text at a position can be edited there.

use serde_saphyr::granit_parser::{Event, Parser, Span, StructureStyle};

/// A node and its position in the text.
#[derive(Debug)]
pub struct Node {
    /// Kind and content of the node.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Byte after the node's content; comments and blank lines that follow are not part of the node.
    pub end: usize,
    /// Column of the first character, counted from 0.
    pub column: usize,
    /// Line of the first character, counted from 1.
    pub line: usize,
}

/// Kind and content of a node.
#[derive(Debug)]
pub enum Kind {
    Scalar(String),
    Alias,
    Sequence,
    /// A mapping.
    Mapping {
        /// Keys and values in the file's order.
        entries: Vec<(Node, Node)>,
        /// True if the mapping is in flow style.
        braces: bool,
    },
}

impl Node {
    /// Returns the entry with this key, if the node is a mapping that has it.
    pub fn entry(&self, wanted: &str) -> Option<&(Node, Node)> {
        let Kind::Mapping { entries, .. } = &self.kind else { return None };
        entries.iter().find(|(key, _)| matches!(&key.kind, Kind::Scalar(text) if text == wanted))
    }

    /// Returns true if the value is empty.
    pub fn is_nothing(&self) -> bool {
        self.start == self.end && matches!(self.kind, Kind::Scalar(_))
    }
}

/// Returns the root of a text that holds one document; `None` if the text cannot be read.
pub fn read(text: &str) -> Option<Node> {
    let mut events =
        Parser::new_from_str(text).filter(|it| !matches!(it, Ok((Event::Anchor(..) | Event::Comment(..), _))));
    loop {
        match events.next()?.ok()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (event, span) => return node(event, span, &mut events, 0),
        }
    }
}

type Read<'a> = Result<(Event<'a>, Span), serde_saphyr::granit_parser::ScanError>;

fn node<'a>(event: Event<'a>, span: Span, events: &mut impl Iterator<Item = Read<'a>>, depth: usize) -> Option<Node> {
    let start = span.start.byte_offset()?;
    let mut end = span.end.byte_offset()?;
    let kind = match event {
        Event::Scalar(text, ..) => Kind::Scalar(text.into_owned()),
        Event::Alias(..) | Event::UnresolvedAlias(..) => Kind::Alias,
        _ if depth > 64 => return None,
        Event::SequenceStart(style, ..) => {
            loop {
                match events.next()?.ok()? {
                    (Event::SequenceEnd, closing) => {
                        end = closed(style, end, &closing)?;
                        break;
                    }
                    (event, span) => end = end.max(node(event, span, events, depth + 1)?.end),
                }
            }
            Kind::Sequence
        }
        Event::MappingStart(style, ..) => {
            let mut entries = Vec::new();
            loop {
                match events.next()?.ok()? {
                    (Event::MappingEnd, closing) => {
                        end = closed(style, end, &closing)?;
                        break;
                    }
                    (event, span) => {
                        let key = node(event, span, events, depth + 1)?;
                        let (event, span) = events.next()?.ok()?;
                        let value = node(event, span, events, depth + 1)?;
                        end = end.max(key.end).max(value.end);
                        entries.push((key, value));
                    }
                }
            }
            Kind::Mapping { entries, braces: style == StructureStyle::Flow }
        }
        _ => return None,
    };
    Some(Node { kind, start, end, column: span.start.col(), line: span.start.line() })
}

/// Returns the end of a collection: the end of its bracket if it has one, else the end of its last content.
fn closed(style: StructureStyle, end: usize, closing: &Span) -> Option<usize> {
    if style == StructureStyle::Flow { closing.end.byte_offset() } else { Some(end) }
}
