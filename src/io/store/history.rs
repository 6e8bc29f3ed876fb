//! The history: past runs, from the journal. Does not change the store.

use super::{Run, Store};
use crate::model::failure::Failure;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A past run, or one in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The run.
    pub run: Run,
    /// Outcome; `None` if the run is in progress or was killed.
    pub outcome: Option<String>,
    /// End time.
    pub ended_at: Option<Timestamp>,
    /// Steps, in the order in which they began.
    pub steps: Vec<PastStep>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastStep {
    /// Name of the environment.
    pub environment: String,
    /// Name of the kind. Other versions may have other kinds.
    pub kind: String,
    /// Outcome; `None` if the step is in progress or in doubt.
    pub outcome: Option<String>,
}

impl Store {
    /// Returns the newest runs of a project, newest first. If an environment is named, returns only runs that worked on
    /// it.
    pub async fn history(&self, project: &str, environment: Option<&str>, most: u32) -> Result<Vec<Past>, Failure> {
        type Row = (String, String, String, i64, Option<String>, Option<i64>);
        let mut connection = self.connection().await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, command, by, started_at, outcome, ended_at FROM run WHERE project = ?1 \
             AND (?2 IS NULL OR id IN (SELECT run FROM intent WHERE environment = ?2)) \
             ORDER BY started_at DESC, id DESC LIMIT ?3",
        )
        .bind(project)
        .bind(environment)
        .bind(most)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| self.unusable(error))?;
        let steps: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
            "SELECT run, environment, kind, outcome FROM intent WHERE run IN (SELECT id FROM run WHERE project = ?1 \
             AND (?2 IS NULL OR id IN (SELECT run FROM intent WHERE environment = ?2)) \
             ORDER BY started_at DESC, id DESC LIMIT ?3) ORDER BY id",
        )
        .bind(project)
        .bind(environment)
        .bind(most)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| self.unusable(error))?;
        drop(connection);
        let mut by_run: BTreeMap<String, Vec<PastStep>> = BTreeMap::new();
        for (run, environment, kind, outcome) in steps {
            by_run.entry(run).or_default().push(PastStep { environment, kind, outcome });
        }
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::UNIX_EPOCH);
        let past = |(id, command, by, started_at, outcome, ended_at): Row| Past {
            steps: by_run.remove(&id).unwrap_or_default(),
            run: Run { id, command, project: project.to_owned(), started_at: at(started_at), by },
            outcome,
            ended_at: ended_at.map(at),
        };
        Ok(rows.into_iter().map(past).collect())
    }
}
