//! A YAML file of any content as a tree with source positions. Checks no content: unknown tags, duplicate keys and
//! several documents are all kept. An alias is a second way to one node, and each mapping is indexed once. Reading
//! nodes takes steps from a budget; after the budget is spent, lookups find nothing.

use super::budget::Budget;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A node's number in its tree.
pub type Id = usize;

/// The documents of one file.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    budget: Rc<Budget>,
    /// The root of each document.
    pub documents: Vec<Id>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// The kind and content of the node.
    pub kind: Kind,
    /// Its tag as written (`!reset`), if it has a local one.
    pub tag: Option<String>,
    /// The position of the node.
    pub place: Place,
    /// Its keys and values by name, with merges done. Filled at the first use.
    entries: OnceCell<Vec<(Id, Id)>>,
}

/// The position of a node and its byte range.
#[derive(Clone, Debug)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Byte range.
    pub span: Option<std::ops::Range<usize>>,
}

/// The kind of a node.
#[derive(Debug)]
pub enum Kind {
    /// A text, and true if it is written without quotes.
    Scalar(String, bool),
    /// A list.
    Sequence(Vec<Id>),
    /// Keys and values in the order of the file, with merges (`<<`) not yet done.
    Mapping(Vec<(Id, Id)>),
}

/// The deepest nesting of collections, far more than any real file of Compose has.
const DEPTH: usize = 2000;

/// Parses a file. Reading the tree takes steps from the budget.
///
/// # Errors
/// The first error of the YAML syntax.
pub fn parse(text: &str, budget: &Rc<Budget>) -> Result<Tree, ScanError> {
    let options = granit_parser::options! {
        emit_comments: false, flow_nesting_limit: DEPTH, block_nesting_limit: DEPTH,
        bom_inside_document_as_content: true,
    };
    let mut tree = Tree { budget: Rc::clone(budget), ..Tree::default() };
    let mut anchors = BTreeMap::new();
    // The open collections; for a mapping also the key that waits for its value.
    let mut open: Vec<(Id, Option<Id>)> = Vec::new();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        if !budget.take(1) {
            break;
        }
        let (id, opens) = match event {
            Event::Alias(anchor) => (anchors.get(&anchor).copied().unwrap_or_default(), false),
            Event::Scalar(text, style, anchor, tag) => {
                let kind = Kind::Scalar(text.into_owned(), matches!(style, ScalarStyle::Plain));
                (tree.add(kind, tag, &span, anchor, &mut anchors), false)
            }
            Event::SequenceStart(_, anchor, tag) => {
                (tree.add(Kind::Sequence(Vec::new()), tag, &span, anchor, &mut anchors), true)
            }
            Event::MappingStart(_, anchor, tag) => {
                (tree.add(Kind::Mapping(Vec::new()), tag, &span, anchor, &mut anchors), true)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                continue;
            }
            _ => continue,
        };
        match open.last_mut() {
            None => tree.documents.push(id),
            Some((parent, key)) => match (&mut tree.nodes[*parent].kind, key.take()) {
                (Kind::Mapping(entries), Some(key)) => entries.push((key, id)),
                (Kind::Sequence(items), _) => items.push(id),
                (_, None) => *key = Some(id),
                (Kind::Scalar(..), _) => {}
            },
        }
        if opens {
            open.push((id, None));
        }
    }
    Ok(tree)
}

impl Tree {
    fn add(
        &mut self,
        kind: Kind,
        tag: Option<Cow<'_, Tag>>,
        span: &Span,
        anchor: usize,
        anchors: &mut BTreeMap<usize, Id>,
    ) -> Id {
        let tag = tag.map(|tag| tag.original());
        let place = Place { line: span.start.line(), column: span.start.col() + 1, span: span.byte_range() };
        self.nodes.push(Node { kind, tag, place, entries: OnceCell::new() });
        let id = self.nodes.len() - 1;
        if anchor != 0 {
            anchors.insert(anchor, id);
        }
        id
    }

    /// Returns a node by its number.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Returns a scalar's text.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.nodes[id].kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Returns true if a node is null by Compose's rules.
    pub fn is_null(&self, id: Id) -> bool {
        matches!(&self.nodes[id].kind, Kind::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns true if a node carries that tag.
    pub fn has_tag(&self, id: Id, tag: &str) -> bool {
        self.nodes[id].tag.as_deref() == Some(tag)
    }

    /// Returns a list's nodes, or the node itself if it is not a list.
    pub fn items(&self, id: Id) -> Vec<Id> {
        match &self.nodes[id].kind {
            Kind::Sequence(items) if self.budget.take(1 + items.len()) => items.clone(),
            Kind::Sequence(_) => Vec::new(),
            _ => vec![id],
        }
    }

    /// Returns a mapping's keys and values in the order of their names, with merges done: a key's own value has
    /// precedence over a merged one, and an earlier merge over a later one. Empty for any other node.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, (Id, Id))> {
        let entries = self.index(id);
        let entries = if self.budget.take(1 + entries.len()) { entries } else { &[] };
        entries.iter().filter_map(|&(key, value)| Some((self.text(key)?, (key, value))))
    }

    /// Returns the key and value of one entry.
    pub fn get(&self, id: Id, name: &str) -> Option<(Id, Id)> {
        let entries = self.index(id);
        let at = entries.binary_search_by(|&(key, _)| self.text(key).cmp(&Some(name))).ok()?;
        self.budget.take(1).then_some(entries[at])
    }

    /// Returns the entries of a mapping, sorted by name.
    fn index(&self, id: Id) -> &[(Id, Id)] {
        self.nodes[id].entries.get_or_init(|| self.merged(id).into_values().collect())
    }

    fn merged(&self, id: Id) -> BTreeMap<&str, (Id, Id)> {
        let mut found = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![id];
        while let Some(next) = waiting.pop() {
            let Kind::Mapping(entries) = &self.nodes[next].kind else { continue };
            if !seen.insert(next) {
                continue;
            }
            if !self.budget.take(1 + entries.len()) {
                break;
            }
            let mut merged = Vec::new();
            for &(key, value) in entries {
                match self.text(key) {
                    Some("<<") => merged.extend(self.items(value)),
                    Some(name) => _ = found.entry(name).or_insert((key, value)),
                    None => {}
                }
            }
            waiting.extend(merged.into_iter().rev());
        }
        found
    }
}
