//! Checks the keys of a Compose file, and the forms of their values, against the Compose specification. Resolves no
//! variables and compares no values: `docker compose config` does that on the host.

mod keys;
mod variables;

pub use variables::unset;

use super::yaml::{Id, Kind, Node, Tree};
use crate::manifest::{shown, suggest};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The most mistakes that are reported for one application.
pub const MOST: usize = 20;
/// The most keys that a hint lists.
const LISTED: usize = 12;

/// A place where a file differs from the specification.
#[derive(Debug)]
pub struct Mistake {
    /// The key or value.
    pub id: Id,
    /// The part of the value that is wrong; empty if all of it is.
    pub part: String,
    /// The error message, which quotes keys but no values.
    pub message: String,
    /// A sentence that tells the user how to fix the mistake.
    pub hint: String,
}

/// The form of a value. Nothing (`null`) is accepted everywhere, as is text with a variable.
enum Form {
    /// Anything.
    Any,
    /// Text that YAML does not read as a number or as true or false.
    Text,
    /// A number, or text.
    Number,
    /// True or false, or text.
    Flag,
    /// True or false.
    Bool,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static Form),
    /// A mapping with these keys, and any that begin with `x-`.
    Keys(&'static [(&'static str, Form)]),
    /// A mapping whose keys name objects: the noun for one, and its form.
    Named(&'static str, &'static Form),
    /// A mapping with any keys.
    Free(&'static Form),
    /// The first of these forms that fits.
    Either(&'static [Form]),
}

impl Form {
    /// Returns true if a node is of the kind of this form, and a scalar also of its type.
    fn fits(&self, node: &Node) -> bool {
        match (self, &node.kind) {
            (Self::Either(forms), _) => forms.iter().any(|form| form.fits(node)),
            (Self::Any, _)
            | (Self::List(_), Kind::Sequence(_))
            | (Self::Keys(_) | Self::Named(..) | Self::Free(_), Kind::Mapping(_)) => true,
            (_, Kind::Scalar(text, _)) if text.contains('$') || node.tag.is_some() => self.is_scalar(),
            (_, Kind::Scalar(text, plain)) => {
                let (number, bool) = (*plain && is_number(text), *plain && is_bool(text));
                match self {
                    Self::Text => !number && !bool,
                    Self::Number => !bool,
                    Self::Flag => !number,
                    Self::Bool => bool,
                    Self::Word(words) => words.contains(&text.as_str()),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    const fn is_scalar(&self) -> bool {
        matches!(self, Self::Text | Self::Number | Self::Flag | Self::Bool | Self::Word(_))
    }

    /// Returns the form as the end of a sentence.
    fn phrase(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Flag | Self::Bool => "true or false".to_owned(),
            Self::Word([one]) => format!("`{one}`"),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::List(_) => "a list".to_owned(),
            Self::Keys(_) | Self::Named(..) | Self::Free(_) => "a mapping".to_owned(),
            Self::Either(forms) => {
                let mut phrases: Vec<_> = forms.iter().map(Self::phrase).collect();
                phrases.dedup();
                phrases.join(" or ")
            }
        }
    }
}

/// Returns the mistakes in a Compose file, at most [`MOST`], and the texts in it that contain `$`. Extensions (`x-…`)
/// contribute only the parts to which an alias leads.
pub fn check(tree: &Tree) -> (Vec<Mistake>, BTreeSet<Id>) {
    let (seen, texts) = (BTreeSet::new(), BTreeSet::new());
    let mut check = Check { tree, path: Vec::new(), seen, texts, found: Vec::new() };
    tree.documents.iter().for_each(|&root| check.node(root, &keys::FILE));
    let place = |mistake: &Mistake| (tree.node(mistake.id).place.line, tree.node(mistake.id).place.column);
    check.found.sort_by_key(place);
    (check.found, check.texts)
}

struct Check<'a> {
    tree: &'a Tree,
    /// The keys and numbers of items that lead to the current node.
    path: Vec<Step<'a>>,
    /// Nodes that were checked, with the address of the form: an alias leads to a node again.
    seen: BTreeSet<(Id, usize)>,
    /// Texts that contain `$`.
    texts: BTreeSet<Id>,
    found: Vec<Mistake>,
}

enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl<'a> Check<'a> {
    fn node(&mut self, id: Id, form: &'static Form) {
        let tree = self.tree;
        let known = tree.is_null(id) || tree.has_tag(id, "!reset");
        if known || self.found.len() >= MOST || !self.seen.insert((id, std::ptr::from_ref(form).addr())) {
            return;
        }
        let node = tree.node(id);
        if tree.text(id).is_some_and(|text| text.contains('$')) {
            self.texts.insert(id);
        }
        match (form, &node.kind) {
            (Form::Either(forms), _) if form.fits(node) => {
                if let Some(form) = forms.iter().find(|form| form.fits(node)) {
                    self.node(id, form);
                }
            }
            (Form::List(form), Kind::Sequence(_)) => {
                for (number, item) in tree.items(id).into_iter().enumerate() {
                    self.below(Step::Item(number), item, form);
                }
            }
            (Form::Keys(_) | Form::Named(..) | Form::Free(_), Kind::Mapping(entries)) => {
                self.twice(entries);
                for (name, (key, value)) in tree.entries(id) {
                    self.entry(name, key, value, form);
                }
            }
            _ if form.fits(node) => {}
            (form, kind) => {
                let message = format!("{} must be {}", self.place(), form.phrase());
                self.mistake(id, message, advice(form, kind));
            }
        }
    }

    fn below(&mut self, step: Step<'a>, id: Id, form: &'static Form) {
        self.path.push(step);
        self.node(id, form);
        self.path.pop();
    }

    /// Checks one entry of a mapping of this form.
    fn entry(&mut self, name: &'a str, key: Id, value: Id, form: &'static Form) {
        let form = match form {
            Form::Keys(_) if name.starts_with("x-") => return,
            Form::Keys(known) => match known.iter().find(|(known, _)| *known == name) {
                Some((_, form)) => form,
                None => return self.unknown(name, key, known),
            },
            Form::Named(noun, form) => {
                let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if !name.chars().all(is_allowed) {
                    let clean: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
                    let message = format!("`{}` cannot be the name of a {noun}", shown(name));
                    let hint = format!("Use letters, digits, dots, dashes and underscores: {}", shown(&clean));
                    self.mistake(key, message, hint);
                }
                form
            }
            Form::Free(form) => form,
            _ => return,
        };
        self.below(Step::Key(name), value, form);
    }

    fn unknown(&mut self, name: &str, key: Id, known: &[(&str, Form)]) {
        if self.found.len() >= MOST {
            return;
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = match suggest::nearest(name, names.iter().copied()) {
            None if names.len() > LISTED => {
                "Docker Compose has no such key. The names of keys of your own must begin with x-".to_owned()
            }
            _ => suggest::hint(name, &names, "keys"),
        };
        let message = match self.path.as_slice() {
            [] => format!("Unknown key `{}`", shown(name)),
            _ => format!("Unknown key `{}` in {}", shown(name), self.place()),
        };
        self.mistake(key, message, hint);
    }

    /// Reports the keys that a mapping has twice.
    fn twice(&mut self, entries: &[(Id, Id)]) {
        let mut names = BTreeSet::new();
        for &(key, _) in entries {
            if let Some(name) = self.tree.text(key).filter(|name| *name != "<<" && !names.insert(*name)) {
                let message = format!("The key `{}` is given twice", shown(name));
                self.mistake(key, message, "Keep one of the two".to_owned());
            }
        }
    }

    fn mistake(&mut self, id: Id, message: String, hint: String) {
        if self.found.len() < MOST {
            self.found.push(Mistake { id, part: String::new(), message, hint });
        }
    }

    /// Returns the path of the current node, as in `services.web.ports[0]`.
    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            let _ = match step {
                Step::Item(number) => write!(place, "[{number}]"),
                Step::Key(name) if place.is_empty() => write!(place, "{}", shown(name)),
                Step::Key(name) => write!(place, ".{}", shown(name)),
            };
        }
        if place.is_empty() { "A Compose file".to_owned() } else { place }
    }
}

/// Returns what to do about a value of another form.
fn advice(form: &Form, kind: &Kind) -> String {
    let lists = |form: &Form| matches!(form, Form::List(_));
    let takes_list = lists(form) || matches!(form, Form::Either(forms) if forms.iter().any(lists));
    match (form, kind) {
        (Form::Text, Kind::Scalar(..)) => "Put it into quotes",
        (Form::Word(_), Kind::Scalar(..)) => "Write one of them",
        (Form::Number | Form::Flag | Form::Bool, Kind::Scalar(..)) => "Write it without quotes",
        (_, Kind::Mapping(_)) if takes_list => "Write a list: one item a line, each after a dash and a space",
        (_, Kind::Scalar(..)) if lists(form) => "Write a list: one item a line, each after a dash and a space",
        (Form::Keys(_) | Form::Named(..) | Form::Free(_), _) => "Write KEY: VALUE lines, without dashes",
        _ => "See the Compose file reference for the forms of this key",
    }
    .to_owned()
}

/// Returns true if Docker Compose's reader of YAML takes an unquoted text for a number.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, radix: u32| {
        !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix)) && digits.contains(|c| c != '_')
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return all(digits, radix);
        }
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    starts && (all(digits, 10) || digits.parse::<f64>().is_ok())
}

/// Returns true if Docker Compose's reader of YAML takes an unquoted text for true or false.
fn is_bool(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}
