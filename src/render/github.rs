//! Workflow commands of GitHub: annotations at their places. Never lets a value end its line or its property.

use super::text;
use crate::event::{Event, PlanView, PlannedStep};
use crate::failure::{Failure, Location};
use std::collections::BTreeMap;

/// A message's text, as a workflow command carries it.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(',', "%2C").replace(':', "%3A")
}

/// One annotation, with its line break.
fn annotation(level: &str, title: Option<&str>, place: Option<&Location>, message: &str) -> String {
    let place = place.map(|at| format!("file={},line={},col={}", property(&at.file), at.line, at.column));
    let title = title.map(|title| format!("title={}", property(&text::clean_line(title))));
    let properties = [place, title].into_iter().flatten().collect::<Vec<_>>().join(",");
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{level}{space}{properties}::{}\n", data(&text::clean(message)))
}

/// A failure as an annotation.
pub(super) fn failure(failure: &Failure) -> String {
    let message = format!("{}. {}", failure.message, failure.advice());
    annotation("error", failure.environment.as_deref(), failure.location.as_ref(), &message)
}

/// A warning as an annotation.
pub(super) fn warning(environment: Option<&str>, message: &str) -> String {
    annotation("warning", environment, None, message)
}

/// A plan as one annotation an environment, those that destroy first and as warnings: GitHub shows ten of each level.
pub(super) fn plan(plan: &PlanView) -> String {
    let mut groups: BTreeMap<(bool, &str), Vec<&PlannedStep>> = BTreeMap::new();
    for step in &plan.steps {
        groups.entry((!step.destructive, &step.environment)).or_default().push(step);
    }
    let mut out = String::new();
    for ((harmless, environment), steps) in groups {
        let words: Vec<String> = steps
            .iter()
            .map(|step| format!("{} {} ({})", text::word(step.action), step.kind, text::clean_line(&step.reason)))
            .collect();
        let (level, lead) =
            if harmless { ("notice", "would ") } else { ("warning", "would remove what cannot be brought back: ") };
        out +=
            &annotation(level, Some(environment), plan.places.get(environment), &(lead.to_owned() + &words.join(", ")));
    }
    if plan.steps.is_empty() && plan.unplanned.is_empty() {
        out += &annotation("notice", None, None, "No changes");
    }
    out
}

/// The event with nothing in it that a workflow's log would take for a command: what hosts, containers and diffs say.
pub(super) fn defused(event: &Event) -> Event {
    let mut event = event.clone();
    let mend = |text: &mut String| {
        if text.contains("::") || text.contains("##[") {
            *text = plain(text);
        }
    };
    match &mut event {
        Event::Plan(plan) => {
            let changes = plan.steps.iter_mut().flat_map(|step| &mut step.changes);
            changes.filter_map(|change| change.diff.as_mut()).for_each(mend);
        }
        Event::Failure(failure) => {
            mend(&mut failure.message);
            failure.details.iter_mut().for_each(mend);
        }
        Event::Verdict(verdict) => mend(&mut verdict.detail),
        Event::Check(check) => mend(&mut check.found),
        Event::Warning { message: text, .. } | Event::Note(text) | Event::Output(text) => mend(text),
        _ => {}
    }
    event
}

/// A command begins a line, blanks aside; one of the old form may stand anywhere in it.
fn plain(text: &str) -> String {
    let line = |line: &str| {
        let begin = line.trim_start();
        let blanks = &line[..line.len() - begin.len()];
        let mark = if begin.starts_with("::") { "\\" } else { "" };
        format!("{blanks}{mark}{}", begin.replace("##[", "##\\["))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_no_command() {
        let text = "a::b\n  ::add-mask::x\n+ ::y\n##[error]z\n".to_owned();
        let Event::Output(mended) = defused(&Event::Output(text)) else { panic!("another event") };
        assert_eq!(mended, "a::b\n  \\::add-mask::x\n+ ::y\n##\\[error]z\n");
    }
    use crate::failure::Reason;

    #[test]
    fn nothing_ends_a_property_or_a_line() {
        let place = Location { file: "a,b:c\n%.yaml".into(), line: 3, column: 5, span: None, source: None };
        let bad = Failure::new(Reason::Usage, "x\r\n::warning::y 100%").hint("z").at(place).on("e::f,g");
        assert_eq!(
            failure(&bad),
            "::error file=a%2Cb%3Ac%0A%25.yaml,line=3,col=5,title=e%3A%3Af%2Cg::x\\r%0A::warning::y 100%25. z\n"
        );
        assert_eq!(warning(None, "old"), "::warning::old\n");
        assert_eq!(plan(&PlanView::default()), "::notice::No changes\n");
        assert_eq!(plan(&PlanView { unplanned: vec!["a".into()], ..PlanView::default() }), "");
    }
}
