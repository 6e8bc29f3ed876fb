//! Grafana's dashboards of the tracker stack: Prometheus answers every query of them. Does not start Grafana.

use crate::bed::BedHost;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const DASHBOARDS: [(&str, &str); 2] = [
    ("stats.json", include_str!("../../templates/tracker/grafana/dashboards/stats.json")),
    ("metrics.json", include_str!("../../templates/tracker/grafana/dashboards/metrics.json")),
];

/// An `expr` and its place.
struct Query {
    dashboard: &'static str,
    panel: String,
    expr: String,
}

/// Sends every query of both dashboards to the host's Prometheus, for up to 60 seconds: rates need two scrapes.
pub fn every_query_returns_data(host: &BedHost) {
    let until = Instant::now() + Duration::from_mins(1);
    let mut open = queries();
    loop {
        let answers = ask(host, &open);
        open = open.into_iter().zip(answers).filter(|(_, answered)| !answered).map(|(query, _)| query).collect();
        if open.is_empty() {
            return;
        }
        if Instant::now() >= until {
            break;
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    let lines: Vec<String> =
        open.iter().map(|query| format!("{}, panel {:?}: {}", query.dashboard, query.panel, query.expr)).collect();
    panic!("queries without data:\n{}", lines.join("\n"));
}

/// Returns every query of both dashboards.
fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (dashboard, text) in DASHBOARDS {
        let json: Value = serde_json::from_str(text).expect("a JSON file");
        let before = queries.len();
        for panel in json["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let panel = panel["title"].as_str().expect("a title").to_owned();
                let expr = target["expr"].as_str().expect("an expr").to_owned();
                queries.push(Query { dashboard, panel, expr });
            }
        }
        assert!(queries.len() > before, "{dashboard} asks nothing");
    }
    queries
}

/// Metrics that do not exist at first: counters begin with their first event, and the stand-in has no times.
const RARE: [&str; 6] =
    ["_errors_total", "_aborted_total", "_banned_total", "_downloads_total", "_processing_time_ns", "result=\"error\""];

/// Returns the query as it is sent: with a range, and without its fallback, which would hide a name that does not
/// exist.
fn asked(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "1m");
    if RARE.iter().any(|rare| expr.contains(rare)) { expr } else { expr.replace(" or vector(0)", "") }
}

/// Sends all queries in one session, and returns true for each query with at least one sample.
fn ask(host: &BedHost, queries: &[Query]) -> Vec<bool> {
    let mut script = String::new();
    for Query { expr, .. } in queries {
        assert!(!expr.contains('\''), "it stands between single quotes: {expr}");
        let expr = asked(expr);
        let curl = "curl -s -m 5 -G http://127.0.0.1:9090/api/v1/query";
        writeln!(script, "{curl} --data-urlencode 'query={expr}' || true\necho").expect("written");
    }
    let output = host.script(&script);
    let answered = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap_or_default();
        answer["data"]["result"].as_array().is_some_and(|samples| !samples.is_empty())
    };
    // A query without an answer leaves an empty line, and then all queries are sent again.
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.len() == queries.len() { lines.into_iter().map(answered).collect() } else { vec![false; queries.len()] }
}
