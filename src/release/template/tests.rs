use super::*;

fn rendered(sources: &[(&str, &str)]) -> Result<String, String> {
    let sources = sources.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let value = Variable { value: Some("x".into()), secret: false };
    let all = render(Utf8Path::new("/app"), &sources, &BTreeMap::from([("A".to_owned(), value)]));
    let failed = |failures: Vec<Failure>| failures.first().map(ToString::to_string).unwrap_or_default();
    all.map(|mut all| all.remove("a.tera").and_then(|one| one.text).unwrap_or_default()).map_err(failed)
}

#[test]
fn only_templates_of_the_set_are_included() {
    let parts = ("parts/b.tera", "b {{ A }}");
    assert_eq!(rendered(&[("a.tera", "{% include \"parts/b.tera\" %}"), parts]).as_deref(), Ok("b x"));
    for name in ["/etc/hostname", "../b.tera", "parts/../parts/b.tera", "./parts/b.tera", "b.tera"] {
        for tag in ["include", "extends"] {
            let text = format!("{{% {tag} \"{name}\" %}}");
            assert!(rendered(&[("a.tera", &text), parts]).is_err(), "{text}");
        }
    }
}

#[test]
fn output_has_a_limit() {
    let text = |count: usize| format!("{{% for i in range(end={count}) %}}{}{{% endfor %}}", "x".repeat(1024));
    assert_eq!(rendered(&[("a.tera", &text(1024))]).map(|text| text.len()), Ok(1024 * 1024));
    let refused = rendered(&[("a.tera", &text(17 * 1024))]);
    assert!(
        refused.as_ref().is_err_and(|why| why.contains("/app/a.tera does not render: it produces more than 16 MiB"))
    );
    // The sum of five files of nearly the largest size is too much.
    let names = ["a.tera", "b.tera", "c.tera", "d.tera", "e.tera"];
    let large = text(15 * 1024);
    let all: Vec<(&str, &str)> = names.map(|name| (name, large.as_str())).into();
    assert!(rendered(&all).is_err_and(|why| why.contains("more than 64 MiB")));
}

#[test]
fn findings_about_a_text_of_tags_take_no_time_beyond_its_size() {
    for tag in ["{{ A | unknown }}\n", "{% include \"none\" %}", "{{ <unknown /> }}\n"] {
        let begun = Instant::now();
        let refused = rendered(&[("a.tera", &tag.repeat((1 << 20) / tag.len()))]);
        assert!(refused.is_err_and(|why| why.contains("a.tera has too many tags for its size")), "{tag}");
        assert!(begun.elapsed().as_secs() < 10, "{tag}");
    }
    // A large template with an ordinary number of tags renders.
    let text = "{% if A == \"x\" %}a line of some length that says something{% endif %}\n".repeat(2000);
    assert!(rendered(&[("a.tera", &text)]).is_ok_and(|text| text.starts_with("a line")));
}
