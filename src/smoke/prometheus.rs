//! The check of Prometheus' targets. Ignores other jobs. Removes the queries of scraped URLs from messages, because
//! they may hold a token.

use super::site::{Site, unwanted};
use super::{Found, Note, Trouble};
use serde::Deserialize;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Requests the active targets. Each job must have targets, and all of its targets must be up.
pub(super) async fn targets(site: &Site, jobs: &BTreeSet<String>, until: Instant) -> Found {
    let (status, body) = site.get("/api/v1/targets?state=active", until).await?;
    if status != 200 {
        return Err(unwanted(status, 200, &body));
    }
    judge(&body, jobs)
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    labels: Labels,
    health: String,
    #[serde(default)]
    last_error: String,
}

#[derive(Deserialize)]
struct Labels {
    job: String,
    #[serde(default)]
    instance: String,
}

pub(crate) fn judge(body: &[u8], jobs: &BTreeSet<String>) -> Found {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Trouble::lasting("the server is not Prometheus"))?;
    let targets: Vec<Target> =
        answer.data.active_targets.into_iter().filter(|target| jobs.contains(&target.labels.job)).collect();
    let missing: Vec<&str> =
        jobs.iter().filter(|job| targets.iter().all(|target| target.labels.job != **job)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(Trouble::passing(format!("no target for {}", missing.join(", "))));
    }
    if let Some(down) = targets.iter().find(|target| target.health != "up") {
        let Labels { job, instance } = &down.labels;
        let why = if down.last_error.is_empty() { "not scraped yet" } else { &down.last_error };
        return Err(Trouble::passing(format!("{job} on {instance} is {}: {}", down.health, without_queries(why))));
    }
    let up = targets.len();
    Ok(Note::passed(format!("{up} target{} up: {}", if up == 1 { "" } else { "s" }, names(jobs))))
}

fn names(jobs: &BTreeSet<String>) -> String {
    jobs.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the text without the queries of its URLs.
fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hidden = false;
    for c in text.chars() {
        hidden = if hidden { !(c.is_whitespace() || c == '"') } else { c == '?' };
        if hidden && c == '?' {
            out.push_str("?…");
        } else if !hidden {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(targets: &str) -> Found {
        let jobs = ["tracker_metrics", "tracker_stats"].map(str::to_owned).into();
        judge(format!(r#"{{"status":"success","data":{{"activeTargets":[{targets}]}}}}"#).as_bytes(), &jobs)
    }

    fn target(job: &str, health: &str, error: &str) -> String {
        format!(
            r#"{{"labels":{{"job":"{job}","instance":"tracker:1212"}},"scrapeUrl":"x","lastError":{error:?},"health":"{health}"}}"#
        )
    }

    #[test]
    fn all_of_ours_must_be_up() {
        let (metrics, stats) = (target("tracker_metrics", "up", ""), target("tracker_stats", "up", ""));
        let other = target("node", "down", "none of ours");
        let well = judged(&format!("{metrics},{stats},{other}")).unwrap();
        assert_eq!(well.detail, "2 targets up: tracker_metrics, tracker_stats");
        assert_eq!(judged(&metrics).unwrap_err(), Trouble::passing("no target for tracker_stats"));
        let down = target("tracker_stats", "down", r#"Get "http://tracker:1212/api?token=hush&x=y": refused"#);
        assert_eq!(
            judged(&format!("{metrics},{down}")).unwrap_err().detail,
            r#"tracker_stats on tracker:1212 is down: Get "http://tracker:1212/api?…": refused"#
        );
        let early = target("tracker_stats", "unknown", "");
        assert!(judged(&format!("{metrics},{early}")).unwrap_err().again);
        assert_eq!(judge(b"<html>", &BTreeSet::new()).unwrap_err().detail, "the server is not Prometheus");
    }
}
