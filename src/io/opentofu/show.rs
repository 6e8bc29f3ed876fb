//! Reads the output of `show -json` for a saved plan. Drops values that are marked as sensitive.

use super::model::Outputs;
use super::state;
use crate::model::infrastructure::{Action, AttributeChange, Planned, ResourceChange};
use crate::model::secret::Redactor;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Content of a saved plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// Changes that the plan would make.
    pub changes: Vec<ResourceChange>,
    /// Changes that were made outside OpenTofu.
    pub drift: Vec<ResourceChange>,
    /// Outputs before the plan.
    pub outputs: Outputs,
    /// Outputs that the plan would change.
    pub output_changes: Vec<AttributeChange>,
    /// True if the state holds a managed resource.
    pub exists: bool,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    resource_changes: Vec<Resource>,
    #[serde(default)]
    resource_drift: Vec<Resource>,
    #[serde(default)]
    output_changes: BTreeMap<String, Change>,
    #[serde(default)]
    prior_state: Value,
}

#[derive(Deserialize)]
struct Resource {
    address: String,
    mode: String,
    r#type: String,
    name: String,
    change: Change,
    #[serde(default)]
    action_reason: String,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    #[serde(default)]
    replace_paths: Vec<Vec<Value>>,
    #[serde(default)]
    importing: Value,
}

/// Reads a plan. Redacts values that `redactor` knows.
///
/// # Errors
/// The error text, if the input is not in OpenTofu's format.
pub fn read(json: &[u8], redactor: &Redactor) -> Result<Shown, String> {
    let plan: Plan = serde_json::from_slice(object(json)).map_err(|error| error.to_string())?;
    let values = plan.prior_state.get("values").unwrap_or(&Value::Null);
    let marked = Redactor::new(&marked(&plan));
    let redact = |text: &str| marked.redact(&redactor.redact(text));
    let redactor: Redact<'_> = &redact;
    Ok(Shown {
        changes: plan.resource_changes.iter().filter_map(|resource| changed(resource, redactor)).collect(),
        drift: plan.resource_drift.iter().filter_map(|resource| changed(resource, redactor)).collect(),
        outputs: state::outputs(values.get("outputs").unwrap_or(&Value::Null)),
        output_changes: plan
            .output_changes
            .iter()
            .filter_map(|(name, change)| output(name, change, redactor))
            .collect(),
        exists: values.get("root_module").is_some_and(holds_managed),
    })
}

/// Returns the output of a command without the warnings that precede the JSON object, such as those about the file of
/// `TF_CLI_CONFIG_FILE`.
pub(super) fn object(output: &[u8]) -> &[u8] {
    let begins = |at: &usize| output[*at] == b'{' && (*at == 0 || output[*at - 1] == b'\n');
    (0..output.len()).find(begins).map_or(output, |at| &output[at..])
}

/// Redaction of a text.
type Redact<'a> = &'a dyn Fn(&str) -> String;

/// Returns all texts that are marked as sensitive anywhere: providers copy them to places without the mark.
fn marked(plan: &Plan) -> Vec<SecretString> {
    let resources = plan.resource_changes.iter().chain(&plan.resource_drift).map(|resource| &resource.change);
    let mut texts = Vec::new();
    for change in resources.chain(plan.output_changes.values()) {
        take_marked(&change.before, &change.before_sensitive, &mut texts);
        take_marked(&change.after, &change.after_sensitive, &mut texts);
    }
    texts
}

fn take_marked(value: &Value, mark: &Value, into: &mut Vec<SecretString>) {
    match (value, mark) {
        (Value::String(text), Value::Bool(true)) => into.push(text.as_str().into()),
        (Value::Array(parts), Value::Bool(true)) => parts.iter().for_each(|part| take_marked(part, mark, into)),
        (Value::Object(parts), Value::Bool(true)) => parts.values().for_each(|part| take_marked(part, mark, into)),
        (Value::Array(parts), Value::Array(marks)) => {
            parts.iter().zip(marks).for_each(|(part, mark)| take_marked(part, mark, into));
        }
        (Value::Object(parts), Value::Object(marks)) => {
            for (name, mark) in marks {
                take_marked(parts.get(name).unwrap_or(&NONE), mark, into);
            }
        }
        _ => {}
    }
}

fn holds_managed(module: &Value) -> bool {
    let list = |key: &str| module.get(key).and_then(Value::as_array).into_iter().flatten();
    list("resources").any(|resource| resource.get("mode").is_some_and(|mode| mode == "managed"))
        || list("child_modules").any(holds_managed)
}

fn changed(resource: &Resource, redactor: Redact<'_>) -> Option<ResourceChange> {
    let actions: Vec<&str> = resource.change.actions.iter().map(String::as_str).collect();
    let imported = !resource.change.importing.is_null();
    let action = match actions.as_slice() {
        [_, _] => Action::Replace,
        ["no-op" | "update"] if imported => Action::Import,
        ["create"] => Action::Create,
        ["update"] => Action::Update,
        ["delete"] => Action::Delete,
        ["forget"] => Action::Forget,
        _ => return None,
    };
    if resource.mode != "managed" {
        return None;
    }
    let mut attributes = Vec::new();
    if !matches!(action, Action::Delete | Action::Forget) {
        differences(&resource.change, "", redactor, &mut attributes);
    }
    Some(ResourceChange {
        address: resource.address.clone(),
        r#type: resource.r#type.clone(),
        name: resource.name.clone(),
        action,
        attributes,
        because: because(resource),
    })
}

fn because(resource: &Resource) -> Vec<String> {
    let mut because: Vec<String> = resource.change.replace_paths.iter().map(|steps| path(steps)).collect();
    because.extend(
        match resource.action_reason.as_str() {
            "replace_because_tainted" => Some("tainted"),
            "replace_by_request" => Some("requested"),
            "replace_by_triggers" => Some("triggered"),
            _ => None,
        }
        .map(str::to_owned),
    );
    because
}

/// Returns a path in the usual notation.
fn path(steps: &[Value]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Value::String(name) => below(&path, name),
        other => format!("{path}[{other}]"),
    })
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn output(name: &str, change: &Change, redactor: Redact<'_>) -> Option<AttributeChange> {
    let unchanged = change.actions.iter().all(|action| action == "no-op");
    (!unchanged).then(|| attribute(name.to_owned(), View::of(change), redactor))
}

/// One place in the value before and after, with its marks.
#[derive(Clone, Copy)]
struct View<'a> {
    before: &'a Value,
    after: &'a Value,
    unknown: &'a Value,
    hidden_before: &'a Value,
    hidden_after: &'a Value,
}

impl<'a> View<'a> {
    fn of(change: &'a Change) -> Self {
        Self {
            before: &change.before,
            after: &change.after,
            unknown: &change.after_unknown,
            hidden_before: &change.before_sensitive,
            hidden_after: &change.after_sensitive,
        }
    }

    fn each(self) -> [&'a Value; 5] {
        [self.before, self.after, self.unknown, self.hidden_before, self.hidden_after]
    }

    fn map(self, at: impl Fn(&'a Value) -> &'a Value) -> Self {
        let [before, after, unknown, hidden_before, hidden_after] = self.each().map(at);
        Self { before, after, unknown, hidden_before, hidden_after }
    }

    fn sensitive(self) -> bool {
        let hidden = |value: &Value| value == &Value::Bool(true);
        hidden(self.hidden_before) || hidden(self.hidden_after)
    }
}

const NONE: Value = Value::Null;

fn differences(change: &Change, at: &str, redactor: Redact<'_>, into: &mut Vec<AttributeChange>) {
    descend(at.to_owned(), View::of(change), redactor, into);
}

/// Descends as long as both sides have parts of the same kind, so that each difference gets its own path.
fn descend(at: String, view: View<'_>, redactor: Redact<'_>, into: &mut Vec<AttributeChange>) {
    let whole = view.unknown == &Value::Bool(true) || view.sensitive();
    if !whole && (view.before.is_object() || view.before.is_null()) && view.after.is_object() {
        let mut names: Vec<&String> =
            view.each().iter().filter_map(|value| value.as_object()).flat_map(serde_json::Map::keys).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let part = view.map(|value| value.get(name).unwrap_or(&NONE));
            descend(below(&at, name), part, redactor, into);
        }
        return;
    }
    if let (false, Some(before), Some(after)) = (whole, view.before.as_array(), view.after.as_array())
        && before.len() == after.len()
    {
        for index in 0..before.len() {
            let part = view.map(|value| value.get(index).unwrap_or(&NONE));
            descend(format!("{at}[{index}]"), part, redactor, into);
        }
        return;
    }
    let unknown = holds_true(view.unknown);
    let nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let new_and_empty = view.before.is_null() && nothing(view.after);
    if !at.is_empty() && (unknown || (view.before != view.after && !new_and_empty)) {
        into.push(attribute(at, view, redactor));
    }
}

fn holds_true(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::Array(parts) => parts.iter().any(holds_true),
        Value::Object(parts) => parts.values().any(holds_true),
        _ => false,
    }
}

fn attribute(path: String, view: View<'_>, redactor: Redact<'_>) -> AttributeChange {
    // If a value is shown as a whole, one sensitive part hides all of it.
    let sensitive = holds_true(view.hidden_before) || holds_true(view.hidden_after);
    let text = |value: &Value| match value {
        Value::String(text) => redactor(text),
        other => redactor(&other.to_string()),
    };
    let to = match view.after {
        _ if holds_true(view.unknown) => Planned::Unknown,
        Value::Null => Planned::Absent,
        _ if sensitive => Planned::Known(String::new()),
        value => Planned::Known(text(value)),
    };
    let from = (!view.before.is_null() && !sensitive).then(|| text(view.before));
    AttributeChange { path, from, to, sensitive }
}
