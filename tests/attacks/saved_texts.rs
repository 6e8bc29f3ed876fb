//! Between `plan --out` and `apply FILE`, somebody changes the text of a file that the manifest only names. The saved
//! plan is bound to it.

use camino::Utf8Path;
use deployer::manifest;
use deployer::model::event::PlanView;
use deployer::plan::saved::{Bound, SavedPlan};
use deployer::reconcile::prepare::Prepared;
use deployer::resource::contract::record::DigestKey;
use deployer::resource::{HostFacts, Observation};
use std::collections::BTreeMap;

const MANIFEST: &str = r#"
version: 1
project: shop
environments:
  production:
    registered: { address: host }
    configure:
      engine: { source: docker, repository: { url: "https://packages.example/debian", key_file: ./key.asc } }
      scripts: [{ name: swap, check: 'true', file: ./swap.sh }, { name: inline, check: 'true', run: echo }]
"#;

/// Returns what a plan is bound to if the files have these texts.
fn bound(texts: &[(&str, &str)]) -> Bound {
    let text_of = &mut |path: &Utf8Path| {
        let (_, text) = texts.iter().find(|(name, _)| path.file_name() == Some(name))?;
        Some((*text).to_owned())
    };
    let root = Utf8Path::new("/work");
    let manifest = manifest::parse_with(MANIFEST, "deployment.yaml", root, None, text_of).unwrap();
    let environment = manifest.environments.into_values().next().unwrap();
    let entry = manifest::describe(&environment)["production"].take();
    let mut prepared = Prepared::without_release(environment);
    prepared.fallback_key = DigestKey::new([7; 32]);
    let seen = Observation::of(&prepared.subject(), HostFacts::default());
    let plan = SavedPlan {
        made_at: jiff::Timestamp::UNIX_EPOCH,
        by: "ci@runner".to_owned(),
        named: false,
        environments: BTreeMap::new(),
        plan: PlanView::default(),
    };
    plan.bind(&prepared.subject(), &entry, &seen, root)
}

#[test]
fn the_text_of_a_script_and_the_key_of_a_repository_are_bound() {
    const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\none\n-----END PGP PUBLIC KEY BLOCK-----\n";
    let then = bound(&[("swap.sh", "echo good"), ("key.asc", KEY)]);
    assert_eq!(then, bound(&[("swap.sh", "echo good"), ("key.asc", KEY)]));
    for (script, key, changed) in [
        ("echo evil", KEY.to_owned(), "text of the script swap"),
        ("echo good", KEY.replace("one", "two"), "key of the package repository"),
    ] {
        let now = bound(&[("swap.sh", script), ("key.asc", &key)]);
        let differs = |name: &&String| then.inputs[*name] != now.inputs[*name];
        assert_eq!(then.inputs.keys().filter(differs).collect::<Vec<_>>(), [changed]);
    }
}
