//! Workflow commands of GitHub: annotations at their places, groups, masks. Never lets a value end its line or its
//! property.

use super::{defuse, text};
use crate::model::event::{PlanView, PlannedStep};
use crate::model::failure::{Failure, Location};
use std::collections::BTreeMap;

/// One workflow command. Only this module makes one, with every value in it escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(String);

impl Command {
    fn new(name: &str, properties: &str, message: &str) -> Self {
        let space = if properties.is_empty() { "" } else { " " };
        Self(format!("::{name}{space}{properties}::{}\n", data(message)))
    }

    /// Its line, with the line break.
    pub(super) fn line(&self) -> &str {
        &self.0
    }
}

/// A message's text, as a workflow command carries it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&defuse::whole(text, false)).replace(',', "%2C").replace(':', "%3A")
}

/// The beginning of a fold.
pub(super) fn group(title: &str) -> Command {
    Command::new("group", "", &defuse::whole(&defuse::line(title), false))
}

/// The end of a fold.
pub(super) fn end_of_group() -> Command {
    Command::new("endgroup", "", "")
}

/// A value that the log's keeper is to hide. It reaches nobody else, and so is not rewritten.
pub(super) fn mask(value: &str) -> Command {
    Command::new("add-mask", "", value)
}

/// From here on no command counts, until the token comes.
pub(super) fn stop(token: &str) -> Command {
    Command::new("stop-commands", "", token)
}

/// From here on commands count again.
pub(super) fn resume(token: &str) -> Command {
    Command::new(token, "", "")
}

/// One annotation.
fn annotation(level: &str, title: Option<&str>, place: Option<&Location>, message: &str) -> Command {
    let place = place.map(|at| format!("file={},line={},col={}", property(&at.file), at.line, at.column));
    let title = title.map(|title| format!("title={}", property(&defuse::line(title))));
    let properties = [place, title].into_iter().flatten().collect::<Vec<_>>().join(",");
    Command::new(level, &properties, &defuse::whole(message, false))
}

/// A failure as an annotation.
pub(super) fn failure(failure: &Failure) -> Command {
    let message = format!("{}. {}", failure.message, failure.advice());
    annotation("error", failure.environment.as_deref(), failure.location.as_ref(), &message)
}

/// A warning as an annotation.
pub(super) fn warning(environment: Option<&str>, message: &str) -> Command {
    annotation("warning", environment, None, message)
}

/// A plan as one annotation an environment, those that destroy first and as warnings: GitHub shows ten of each level.
pub(super) fn plan(plan: &PlanView) -> Vec<Command> {
    let mut groups: BTreeMap<(bool, &str), Vec<&PlannedStep>> = BTreeMap::new();
    for step in &plan.steps {
        groups.entry((!step.destructive, &step.environment)).or_default().push(step);
    }
    let mut out = Vec::new();
    for ((harmless, environment), steps) in groups {
        let words: Vec<String> = steps
            .iter()
            .map(|step| format!("{} {} ({})", text::word(step.action), step.kind, defuse::line(&step.reason)))
            .collect();
        let (level, lead) =
            if harmless { ("notice", "would ") } else { ("warning", "would remove what cannot be brought back: ") };
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
    use crate::render::hostile::{every_event, hostile, taken};
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
                // What the runner makes of it, and prints again, is no command either.
                let message = rest.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
                prop_assert!(name == "add-mask" || taken(&message).is_empty(), "{}", line);
            }
        }
    }
}
