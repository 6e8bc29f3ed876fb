//! Finds the variables of a Compose file that are not set: Compose would replace them with nothing, or fail on the
//! host.

use super::{MOST, Mistake};
use crate::manifest::{shown, suggest};
use crate::release::interpolation::{DEEPEST, Fault, Values};
use crate::release::yaml::{Id, Tree};
use std::collections::BTreeSet;

const DOUBLE: &str = "Write $$ for a dollar sign";

/// Returns a mistake for each variable in these texts that has neither a value nor a default, and for each `$` that
/// begins no variable, at most [`MOST`]. The message about a secret text names no part of it.
pub fn unset(tree: &Tree, texts: &BTreeSet<Id>, values: &Values, secret: bool) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for &id in texts {
        for fault in tree.text(id).map(|text| values.faults(text)).unwrap_or_default() {
            if seen.insert(if secret { "" } else { fault.part() }) {
                found.push(if secret { unnamed(id) } else { named(id, &fault, values) });
            }
            if found.len() >= MOST {
                return found;
            }
        }
    }
    found
}

fn named(id: Id, fault: &Fault<'_>, values: &Values) -> Mistake {
    let part = fault.part().to_owned();
    let (name, message) = match *fault {
        Fault::Syntax(text) => {
            let message = format!("`{}` is not a variable of Docker Compose", shown(text));
            return Mistake { id, part, message, hint: DOUBLE.to_owned() };
        }
        Fault::Nested(_) => {
            let message = format!("A text has more than {DEEPEST} nested variables");
            return Mistake { id, part, message, hint: "Use fewer defaults within defaults".to_owned() };
        }
        Fault::Unset(name) => (name, format!("The variable {} is not set", shown(name))),
        Fault::Required(name, "") => (name, format!("The variable {} must be set", shown(name))),
        Fault::Required(name, why) => (name, format!("The variable {} must be set: {}", shown(name), shown(why))),
    };
    let hint = match suggest::nearest(name, values.names()) {
        _ if name == "PWD" => "Paths are relative to the application's directory: write . instead".to_owned(),
        Some(near) => format!("Did you mean {near}?"),
        None => {
            let name = shown(name);
            format!(
                "Set {name} in the manifest (application.compose.variables) or in .env, or write ${{{name}:-DEFAULT}}"
            )
        }
    };
    Mistake { id, part, message, hint }
}

fn unnamed(id: Id) -> Mistake {
    let message = "A text contains a variable that is not set, or a dollar sign that begins no variable".to_owned();
    Mistake { id, part: String::new(), message, hint: format!("Set the variable. {DOUBLE}") }
}
