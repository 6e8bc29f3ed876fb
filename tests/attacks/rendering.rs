//! Templates of an attacker: endless loops and texts.

use crate::review::Work;
use std::time::{Duration, Instant};

/// Asserts that a template of the application fails in review and in check with an error that names it, within the time
/// limit. When the template is removed, the application renders again.
fn refused(template: &str, words: &str) {
    let work = Work::new();
    work.put("app/bomb.txt.tera", template);
    work.commit();
    for command in [&["plan", "--against", "main"][..], &["check"]] {
        let begun = Instant::now();
        let run = work.run(command);
        assert!(begun.elapsed() < Duration::from_mins(1), "{command:?} took {:?}", begun.elapsed());
        assert!(
            run.code == 64 && run.err.contains("bomb.txt.tera") && run.err.contains(words),
            "{}: {}",
            run.code,
            run.err
        );
    }
    work.honest();
    assert_eq!(work.run(&["check"]).code, 0);
}

#[test]
fn a_range_without_end_is_refused() {
    refused("{% for i in range(end=1000000000) %}x{% endfor %}", "exceeds the limit");
}

#[test]
fn output_without_end_is_refused() {
    refused(
        "{% for i in range(end=100000) %}{% for j in range(end=100000) %}xxxxxxxxxx{% endfor %}{% endfor %}",
        "16 MiB",
    );
}

#[test]
fn a_loop_without_output_is_refused() {
    let deep = "{% for i in range(end=100000) %}{% for j in range(end=100000) %}{% endfor %}{% endfor %}";
    refused(deep, "take more than");
}

#[test]
fn templates_that_include_each_other_are_refused() {
    refused("{% include \"bomb.txt.tera\" %}", "");
}

/// The engine renders templates in templates on one stack. Each component renders the whole chain, whose end renders
/// the component again.
#[test]
fn chains_of_templates_do_not_exceed_the_stack() {
    for (count, end, told) in
        [(100, "end", ""), (98, "{{<again />}}", "recursion depth"), (2000, "end", "More than 100")]
    {
        let work = Work::new();
        let name = |at: usize| format!("t{at:04}.txt.tera");
        for at in 0..count {
            work.put(&format!("app/{}", name(at)), &format!("{{% include \"{}\" %}}", name(at + 1)));
        }
        work.put(&format!("app/{}", name(count)), end);
        if end != "end" {
            let text = "{% component again() %}{% include \"t0000.txt.tera\" %}{% endcomponent again %}";
            work.put("app/again.txt.tera", text);
        }
        work.commit();
        let run = work.run(&["check"]);
        assert!(
            run.code == if told.is_empty() { 0 } else { 64 } && run.err.contains(told),
            "{}: {}",
            run.code,
            run.err
        );
    }
}

#[test]
fn memory_has_a_limit_in_a_review() {
    let work = Work::new();
    let mut text = format!("{{% set a = \"{}\" %}}\n", "x".repeat(1024));
    for _ in 0..40 {
        text += "{% set a = a ~ a ~ a ~ a %}\n";
    }
    work.put("app/bomb.txt.tera", &(text + "{{ a | length }}"));
    work.commit();
    let begun = Instant::now();
    let run = work.run(&["plan", "--against", "main"]);
    assert!(begun.elapsed() < Duration::from_mins(1) && run.code != 0, "{}: {}", run.code, run.err);
    work.honest();
}
