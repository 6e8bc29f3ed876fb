use super::*;
use crate::model::event::line;
use crate::model::hostile::every_event;
use secrecy::SecretString;

/// A renderer that keeps its events.
#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl Front for Kept {
    fn event(&self, event: &Event) {
        self.0.lock().expect("kept").push(event.clone());
    }

    fn can_ask(&self) -> bool {
        true
    }

    fn ask(&self, question: &str) -> Option<String> {
        Some(question.to_owned())
    }
}

impl Render for Kept {
    fn lost(&self) -> bool {
        false
    }
}

fn hiding(secrets: &[(&str, &str)]) -> (Arc<Kept>, Hiding) {
    let kept = Arc::new(Kept::default());
    let hiding = Hiding::new(Arc::clone(&kept) as Arc<dyn Render>);
    for (environment, secret) in secrets {
        hiding.hide(environment, &Arc::new(Redactor::new(&[SecretString::from(*secret)])));
    }
    (kept, hiding)
}

#[test]
fn no_event_says_a_secret() {
    let (kept, hiding) = hiding(&[("a", "s3cret one"), ("b", "s3cret two")]);
    for event in every_event("password=s3cret one, s3cret%20two") {
        hiding.event(&event);
    }
    for event in kept.0.lock().expect("kept").iter() {
        // Names stay unchanged; the texts are searched.
        let line = line(event);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        for field in [
            "message",
            "hint",
            "details",
            "activity",
            "text",
            "found",
            "detail",
            "unreachable",
            "in_progress",
            "rejected",
        ] {
            let said = value[field].as_str().unwrap_or_default();
            assert!(!said.contains("s3cret") && (said.is_empty() || said.contains("password=***, ***")), "{line}");
        }
        for step in value["steps"].as_array().into_iter().flatten() {
            for field in ["from", "to", "diff", "note"] {
                assert!(!step["changes"][0][field].as_str().expect("text").contains("s3cret"), "{line}");
            }
        }
        if let Event::Failure(failure) = event {
            assert!(
                failure.location.as_ref().is_none_or(|at| at.source.is_none()),
                "a file with a secret is not shown"
            );
        }
    }
    assert_eq!(hiding.ask("Is s3cret two right?").as_deref(), Some("Is *** right?"));
}

#[test]
fn a_later_pass_takes_the_place_of_an_earlier_one() {
    let (kept, hiding) = hiding(&[("a", "first value"), ("a", "second value")]);
    hiding.event(&Event::Note("first value, second value".to_owned()));
    let events = kept.0.lock().expect("kept");
    let [Event::Note(note)] = events.as_slice() else { panic!("one note") };
    assert_eq!(note, "first value, ***");
}
