//! The board in Prometheus format. Keeps no counters.

use super::served::{Entry, Served};
use crate::model::event::Health;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of one value, escaped by [`label`].
type Labels = Vec<(&'static str, String)>;
type Sum = fn(&Entry) -> u64;
type Real = Gauge<f64, AtomicU64>;

/// Renders all metrics as text.
#[must_use]
pub fn text(board: &Served) -> String {
    let mut registry = Registry::with_prefix("deployer");
    let valid = Gauge::<i64>::default();
    valid.set(i64::from(board.invalid.is_none()));
    registry.register(
        "manifest_valid",
        "1 if the current manifest is valid and in use, 0 if an earlier one is in use",
        valid,
    );
    let of = |name: &str| vec![("environment", label(name))];
    let seen = || board.environments.iter().filter_map(|(name, entry)| Some((name, entry.view.as_ref()?)));

    let standing =
        seen().map(|(_, view)| vec![("stage", view.stage.to_string()), ("health", word(view.health).to_owned())]);
    counted(&mut registry, "environments", "Environments by stage and health", standing);
    let unreachable = seen().filter(|(_, view)| view.unreachable.is_some()).map(|(name, _)| of(name));
    counted(&mut registry, "unreachable", "Environments whose host did not answer last time", unreachable);
    let suspended = seen().filter(|(_, view)| view.suspended).map(|(name, _)| of(name));
    counted(&mut registry, "suspended", "Environments that are suspended", suspended);
    let drifted = seen().flat_map(|(name, view)| {
        view.drifted.iter().map(move |kind| vec![("environment", label(name)), ("kind", kind.to_string())])
    });
    counted(&mut registry, "drifted", "Resources that differ from the manifest", drifted);
    let quarantined = board.environments.iter().flat_map(|(name, entry)| {
        entry.quarantined().map(move |fact| vec![("environment", label(name)), ("fact", label(&fact))])
    });
    counted(
        &mut registry,
        "quarantined",
        "Facts that were corrected too often and are no longer corrected",
        quarantined,
    );

    let overdue = seen().filter(|(_, view)| view.backup.as_ref().is_some_and(|backup| backup.overdue));
    let overdue = overdue.map(|(name, _)| of(name));
    counted(&mut registry, "backup_overdue", "Environments whose last verified backup is too old", overdue);

    let measured = |value: fn(&Entry) -> Option<f64>| {
        board.environments.iter().filter_map(move |(name, entry)| Some((of(name), value(entry)?)))
    };
    let at = measured(|entry| entry.at.map(|at| at.as_duration().as_secs_f64()));
    gauges(&mut registry, "last_reconcile_timestamp_seconds", "Time at which the last pass ended", at);
    let made = measured(|entry| Some(entry.view.as_ref()?.backup.as_ref()?.last?.as_duration().as_secs_f64()));
    gauges(&mut registry, "last_backup_timestamp_seconds", "Time at which the last verified backup was made", made);
    let took = measured(|entry| entry.at.map(|_| entry.took.as_secs_f64()));
    gauges(&mut registry, "last_reconcile_duration_seconds", "Duration of the last pass", took);
    let sums: [(&str, &str, Sum); 3] = [
        ("reconciles", "Passes that ended", |entry| entry.passes),
        ("reconcile_failures", "Passes that failed", |entry| entry.failures),
        ("corrections", "Drifted facts that were corrected", |entry| entry.corrections),
    ];
    for (name, help, value) in sums {
        let family = Family::<Labels, Counter>::default();
        for (environment, entry) in &board.environments {
            family.get_or_create(&of(environment)).inc_by(value(entry));
        }
        registry.register(name, help, family);
    }
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

/// Escapes a text for use as the value of a label: the library does not escape it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Starting => "starting",
        Health::Unhealthy => "unhealthy",
        Health::None => "none",
    }
}

fn counted(registry: &mut Registry, name: &str, help: &str, labels: impl Iterator<Item = Labels>) {
    let family = Family::<Labels, Gauge>::default();
    labels.for_each(|labels| _ = family.get_or_create(&labels).inc());
    registry.register(name, help, family);
}

fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl Iterator<Item = (Labels, f64)>) {
    let family = Family::<Labels, Real>::default();
    values.for_each(|(labels, value)| _ = family.get_or_create(&labels).set(value));
    registry.register(name, help, family);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn no_name_ends_its_label() {
        let mut board = Served::new(Instant::now());
        let name = "a\"} 1\nforged{x=\"\\";
        board.renew([name].into_iter());
        let text = text(&board);
        assert!(text.contains(r#"deployer_reconciles_total{environment="a\"} 1\nforged{x=\"\\"} 0"#), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }

    #[test]
    fn metrics_are_counted_by_environment() {
        let mut board = Served::new(Instant::now());
        board.renew(["lab", "production"].into_iter());
        board.invalid = Some("no".to_owned());
        let entry = board.environments.get_mut("lab").expect("it is there");
        (entry.passes, entry.failures, entry.took) = (3, 1, std::time::Duration::from_millis(1500));
        entry.at = Some(jiff::Timestamp::from_second(1_700_000_000).expect("a time"));
        let text = text(&board);
        for line in [
            "deployer_manifest_valid 0",
            r#"deployer_reconciles_total{environment="lab"} 3"#,
            r#"deployer_reconciles_total{environment="production"} 0"#,
            r#"deployer_reconcile_failures_total{environment="lab"} 1"#,
            r#"deployer_last_reconcile_duration_seconds{environment="lab"} 1.5"#,
            r#"deployer_last_reconcile_timestamp_seconds{environment="lab"} 1700000000.0"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("# HELP deployer_reconciles ").count(), 1);
    }
}
