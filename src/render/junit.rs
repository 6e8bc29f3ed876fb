//! Checks as XML in `JUnit`'s format, for pipelines that show reports: one suite per environment. Failures that do not
//! belong to a check are included.

use crate::model::defuse;
use crate::model::event::{CheckView, VerdictView};
use crate::model::failure::{Failure, Reason};
use crate::model::verdict::{Judgement, Vantage};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One test case.
struct Case {
    class: &'static str,
    name: String,
    seconds: f64,
    end: End,
}

enum End {
    Passed(String),
    Failed(String),
    Skipped(String),
    /// The check could not be made.
    Broken(String),
}

/// Returns the report of all checks, and of all failures that prevented checks.
#[must_use]
pub fn text(checks: &[CheckView], verdicts: &[VerdictView], failures: &[Failure]) -> String {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for view in checks {
        suites.entry(&view.environment).or_default().push(check(view));
    }
    for view in verdicts {
        suites.entry(&view.environment).or_default().push(verdict(view));
    }
    // A failed check is in the report already.
    for failure in failures.iter().filter(|failure| failure.reason != Reason::CheckFailed) {
        suites.entry(failure.environment.as_deref().unwrap_or("deployer")).or_default().push(broken(failure));
    }
    let cases = suites.values().flatten().collect::<Vec<_>>();
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites{}>\n", totals("deployer", &cases));
    for (environment, cases) in &suites {
        let _ = writeln!(out, "  <testsuite{}>", totals(environment, &cases.iter().collect::<Vec<_>>()));
        for case in cases {
            write_case(&mut out, case);
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn check(view: &CheckView) -> Case {
    let end = if view.passed { End::Passed(view.found.clone()) } else { End::Failed(view.found.clone()) };
    Case { class: "check", name: view.check.clone(), seconds: 0.0, end }
}

fn verdict(view: &VerdictView) -> Case {
    let class = match view.vantage {
        Vantage::Outside => "outside",
        Vantage::Inside => "inside",
    };
    let detail = view.detail.clone();
    let end = match view.outcome {
        Judgement::Passed => End::Passed(detail),
        // JUnit has no warnings: the check passes, with the warning in its output.
        Judgement::Warned => End::Passed(format!("warning: {detail}")),
        Judgement::Failed => End::Failed(detail),
        Judgement::Skipped => End::Skipped(detail),
    };
    let seconds = std::time::Duration::from_millis(view.duration_ms).as_secs_f64();
    Case { class, name: view.name.clone(), seconds, end }
}

fn broken(failure: &Failure) -> Case {
    let message = format!("{} ({})", failure.message(), failure.advice());
    Case { class: "deployer", name: failure.reason.code().to_owned(), seconds: 0.0, end: End::Broken(message) }
}

fn totals(name: &str, cases: &[&Case]) -> String {
    let count = |wanted: fn(&End) -> bool| cases.iter().filter(|case| wanted(&case.end)).count();
    format!(
        " name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\"",
        escape(name),
        cases.len(),
        count(|end| matches!(end, End::Failed(_))),
        count(|end| matches!(end, End::Broken(_))),
        count(|end| matches!(end, End::Skipped(_))),
        cases.iter().map(|case| case.seconds).sum::<f64>()
    )
}

fn write_case(out: &mut String, case: &Case) {
    let element = match &case.end {
        End::Passed(said) => format!("<system-out>{}</system-out>", escape(said)),
        End::Failed(why) => format!("<failure message=\"{}\"/>", escape(why)),
        End::Skipped(why) => format!("<skipped message=\"{}\"/>", escape(why)),
        End::Broken(why) => format!("<error message=\"{}\"/>", escape(why)),
    };
    let (class, name) = (case.class, escape(&case.name));
    let _ = writeln!(
        out,
        "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\">{element}</testcase>",
        case.seconds
    );
}

/// Returns a text escaped for elements and attributes of XML 1.0. Characters that XML cannot hold (most control
/// characters) and characters that would act on a reader become U+FFFD.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            // Two `#` may begin a command of a runner that prints the report.
            '#' if out.ends_with('#') => out.push_str("&#35;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if defuse::is_active(c, 'a') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::hostile::{acting, every_event, hostile};
    use proptest::prelude::*;

    #[test]
    fn a_report_has_a_suite_an_environment() {
        let check = CheckView {
            environment: "lab".to_owned(),
            check: "page".to_owned(),
            passed: false,
            found: "status 500 \"<b>&\n\u{1b}[1m".to_owned(),
        };
        let verdict = |outcome, detail: &str| VerdictView {
            environment: "production".to_owned(),
            name: "UDP tracker 6969 over IPv6".to_owned(),
            vantage: Vantage::Outside,
            outcome,
            detail: detail.to_owned(),
            duration_ms: 1250,
        };
        let verdicts = [
            verdict(Judgement::Passed, "seen over IPv6 as 2001:db8::2, 1 seeder"),
            verdict(Judgement::Warned, "valid for 9 days"),
            verdict(Judgement::Failed, "no answer to connect"),
            verdict(Judgement::Skipped, "this machine has no IPv6"),
        ];
        let failures = [
            Failure::new(Reason::CheckFailed, "page: status 500").on("lab"),
            Failure::new(Reason::ConnectionRefused, "b refuses").on("backup").hint("Start it"),
        ];
        insta::assert_snapshot!(text(&[check], &verdicts, &failures));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_of_others_is_more_than_text(foreign in hostile()) {
            let report = report(&foreign);
            prop_assert_eq!(acting(&report), Vec::<char>::new());
            // The report has the same lines and elements as a report of other texts.
            let shape = |text: &str| (text.lines().count(), text.matches('<').count(), text.matches('"').count());
            prop_assert_eq!(shape(&report), shape(&super::tests::report("plain")), "{}", report);
        }
    }

    /// Returns the report of every type of event, with this text in every text field.
    fn report(foreign: &str) -> String {
        let (mut checks, mut verdicts, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for event in every_event(foreign) {
            match event {
                Event::Check(check) => checks.push(check),
                Event::Verdict(verdict) => verdicts.push(verdict),
                Event::Failure(failure) => failures.push(failure),
                _ => {}
            }
        }
        text(&checks, &verdicts, &failures)
    }
}
