//! Any front runs a pass: the engine needs a context and a receiver of events, and neither a command line nor a
//! renderer.

use camino::Utf8PathBuf;
use deployer::manifest::scope::Extent;
use deployer::model::event::{Event, Outcome};
use deployer::model::front::{self, Front};
use deployer::reconcile::context::Context;
use deployer::reconcile::machine::Tools;
use deployer::reconcile::{check, look};
use jiff::Timestamp;
use std::sync::{Arc, Mutex};

/// A front that keeps its events and answers no question.
#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl Front for Kept {
    fn event(&self, event: &Event) {
        self.0.lock().expect("no poison").push(event.clone());
    }

    fn can_ask(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Option<String> {
        None
    }
}

fn context(kept: &Arc<Kept>, directory: Utf8PathBuf) -> Context {
    let front = Arc::clone(kept) as Arc<dyn Front>;
    Context {
        command: "test",
        sink: front::sink(&front),
        front,
        file: directory.join("deployment.yaml"),
        state: None,
        extent: Extent::Anywhere,
        directory,
        home: None,
        accept_new_host_keys: false,
        verbose: false,
        only_looks: true,
        by: "front@test".to_owned(),
        ci: None,
        tools: Tools { program: None, plugins: "/nowhere".into(), settings: None, fleeting: false },
        stores: deployer::reconcile::stores::Stores::default(),
        now: || Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_front_that_is_no_command_line_gets_the_events_and_the_end_of_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
    let manifest = "version: 1\nproject: shop\nenvironments:\n  web: { registered: { address: web.example } }\n";
    std::fs::write(root.join("deployment.yaml"), manifest).unwrap();
    let kept = Arc::new(Kept::default());
    let context = context(&kept, root);

    let ending = check::run(&context, &[], false).await;
    assert_eq!((ending.outcome, ending.exit_code), (Outcome::Ok, 0));
    let (view, ending) = look::recorded(&context, &["web".to_owned()]).await.unwrap();
    assert_eq!((view.project.as_str(), ending.exit_code), ("shop", 0));
    assert!(view.steps.iter().all(|step| step.environment == "web") && !view.steps.is_empty());

    let ending = check::run(&context, &["nowhere".to_owned()], false).await;
    assert_eq!(ending.exit_code, 64);
    let events = kept.0.lock().unwrap();
    let failed = events.iter().filter(|event| matches!(event, Event::Failure(_))).count();
    assert!(failed == 1 && matches!(events[0], Event::Note(_)), "{events:?}");
}
