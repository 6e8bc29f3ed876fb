//! Workflow commands of GitHub: annotations with locations, groups, masks. Values are escaped, so that they cannot end
//! their line or their property.

use super::text;
use crate::model::defuse;
use crate::model::event::{PlanView, PlannedStep};
use crate::model::failure::{Failure, Location};
use std::collections::BTreeMap;

/// One workflow command. Only this module creates commands, with every value escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(String);

impl Command {
    fn new(name: &str, properties: &str, message: &str) -> Self {
        let space = if properties.is_empty() { "" } else { " " };
        Self(format!("::{name}{space}{properties}::{}\n", data(message)))
    }

    /// Returns the command's line, with the line break.
    pub(super) fn line(&self) -> &str {
        &self.0
    }
}

/// Returns a text escaped for the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&defuse::whole(text, false)).replace(',', "%2C").replace(':', "%3A")
}

/// Returns the command that starts a collapsible group.
pub(super) fn group(title: &str) -> Command {
    Command::new("group", "", &defuse::whole(&defuse::line(title), false))
}

/// Returns the command that ends a group.
pub(super) fn end_of_group() -> Command {
    Command::new("endgroup", "", "")
}

/// Returns the command that hides a value in the log. The value is not rewritten, because only the runner reads it.
pub(super) fn mask(value: &str) -> Command {
    Command::new("add-mask", "", value)
}

/// Returns the command that stops the handling of commands until the token follows.
pub(super) fn stop(token: &str) -> Command {
    Command::new("stop-commands", "", token)
}

/// Returns the command that resumes the handling of commands.
pub(super) fn resume(token: &str) -> Command {
    Command::new(token, "", "")
}

/// Returns one annotation.
fn annotation(level: &str, title: Option<&str>, place: Option<&Location>, message: &str) -> Command {
    let place = place.map(|at| format!("file={},line={},col={}", property(&at.file), at.line, at.column));
    let title = title.map(|title| format!("title={}", property(&defuse::line(title))));
    let properties = [place, title].into_iter().flatten().collect::<Vec<_>>().join(",");
    Command::new(level, &properties, &defuse::whole(message, false))
}

/// Returns a failure as an annotation.
pub(super) fn failure(failure: &Failure) -> Command {
    let message = format!("{}. {}", failure.message(), failure.advice());
    annotation("error", failure.environment.as_deref(), failure.location.as_ref(), &message)
}

/// Returns a warning as an annotation.
pub(super) fn warning(environment: Option<&str>, message: &str) -> Command {
    annotation("warning", environment, None, message)
}

/// Returns a plan as one annotation per environment. Environments with destructive steps come first and as warnings,
/// because GitHub shows only ten annotations of each level.
pub(super) fn plan(plan: &PlanView) -> Vec<Command> {
    let mut groups: BTreeMap<(bool, &str), Vec<&PlannedStep>> = BTreeMap::new();
    for step in &plan.steps {
        groups.entry((!step.destructive, &step.environment)).or_default().push(step);
    }
    let mut out = Vec::new();
    for ((harmless, environment), steps) in groups {
        let words: Vec<String> =
            steps.iter().map(|step| format!("{} {} ({})", text::word(step.action), step.kind, step.reason)).collect();
        let (level, lead) =
            if harmless { ("notice", "would ") } else { ("warning", "would make changes that cannot be undone: ") };
        let message = lead.to_owned() + &words.join(", ");
        out.push(annotation(level, Some(environment), plan.places.get(environment), &message));
    }
    for (environment, files) in &plan.uncompared {
        let message = format!("Not compared, {}: {}", text::UNCOMPARED, files.join(", "));
        out.push(annotation("warning", Some(environment), plan.places.get(environment), &defuse::line(&message)));
    }
    if plan.steps.is_empty() && !plan.is_incomplete() {
        out.push(annotation("notice", None, None, "No changes"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::failure::Reason;
    use crate::model::hostile::{every_event, hostile, taken};
    use proptest::prelude::*;

    #[test]
    fn nothing_ends_a_property_or_a_line() {
        let place = Location { file: "a,b:c\n%.yaml".into(), line: 3, column: 5, span: None, source: None };
        let bad = Failure::new(Reason::Usage, "x\r\n::warning::y 100%").hint("z").at(place).on("e::f,g");
        assert_eq!(
            failure(&bad).line(),
            "::error file=a%2Cb%3Ac%0A%25.yaml,line=3,col=5,title=e%3A%3Af%2Cg::x%0A\\::warning::y 100%25. z\n"
        );
        assert_eq!(warning(None, "old").line(), "::warning::old\n");
        assert_eq!(plan(&PlanView::default())[0].line(), "::notice::No changes\n");
        assert!(plan(&PlanView { unplanned: vec!["a".into()], ..PlanView::default() }).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_annotation_is_one_command_of_ours(foreign in hostile()) {
            let mut commands = vec![group(&foreign), mask(&foreign), warning(Some(&foreign), &foreign)];
            for event in every_event(&foreign) {
                match event {
                    Event::Plan(view) => commands.extend(plan(&view)),
                    Event::Failure(one) => commands.push(failure(&one)),
                    _ => {}
                }
            }
            for command in commands {
                let line = command.line().strip_suffix('\n').expect("a line");
                prop_assert!(!line.contains(['\n', '\r']), "{}", line);
                let (name, rest) = line.strip_prefix("::").and_then(|rest| rest.split_once("::")).expect("a command");
                let (name, properties) = name.split_once(' ').unwrap_or((name, ""));
                prop_assert!(["group", "add-mask", "warning", "error", "notice"].contains(&name), "{}", line);
                let keys = properties.split(',').filter_map(|property| property.split_once('=')).map(|(key, _)| key);
                prop_assert!(keys.clone().all(|key| ["file", "line", "col", "title"].contains(&key)), "{}", line);
                // The runner decodes the message and prints it again: the result is not a command either.
                let message = rest.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
                prop_assert!(name == "add-mask" || taken(&message).is_empty(), "{}", line);
            }
        }
    }
}
