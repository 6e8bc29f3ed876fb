//! The journal: runs, the intent of each step, and events. Does not read the clock: old entries are pruned by their age
//! relative to the newest entry.

use super::Store;
use crate::model::event::Outcome;
use crate::model::failure::Failure;
use crate::model::state::Kind;
use jiff::Timestamp;

/// Number of events, runs and settled intents to keep.
const KEPT: i64 = 10_000;
/// Age in milliseconds, relative to the newest entry, up to which entries are kept: 90 days.
const KEPT_FOR: i64 = 90 * 24 * 60 * 60 * 1000;

/// One run of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique ID.
    pub id: String,
    /// The command.
    pub command: String,
    /// Name of the project.
    pub project: String,
    /// Start time.
    pub started_at: Timestamp,
    /// The user who started the run, for people.
    pub by: String,
}

/// A step that began and has no recorded end: its runner was killed or is still working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// ID of the intent, which needs to be settled after an observation.
    pub intent: i64,
    /// ID of the run that wrote the intent.
    pub run: String,
    /// Name of the environment.
    pub environment: String,
    /// Kind of the step; `None` if this version has no such kind.
    pub kind: Option<Kind>,
    /// Start time.
    pub at: Timestamp,
}

impl Store {
    /// Records that a run began.
    pub async fn begin(&self, run: &Run) -> Result<(), Failure> {
        self.execute(
            sqlx::query("INSERT INTO run (id, project, command, by, started_at) VALUES (?, ?, ?, ?, ?)")
                .bind(&run.id)
                .bind(&run.project)
                .bind(&run.command)
                .bind(&run.by)
                .bind(run.started_at.as_millisecond()),
        )
        .await?;
        Ok(())
    }

    /// Records how a run ended.
    pub async fn end(&self, run: &str, outcome: Outcome, at: Timestamp) -> Result<(), Failure> {
        self.execute(
            sqlx::query("UPDATE run SET outcome = ?, ended_at = ? WHERE id = ?")
                .bind(outcome.name())
                .bind(at.as_millisecond())
                .bind(run),
        )
        .await?;
        Ok(())
    }

    /// Records the intent of a step. The intent is on the disk when this function returns, before any command runs.
    pub async fn intend(&self, run: &str, environment: &str, kind: Kind, at: Timestamp) -> Result<i64, Failure> {
        let done = self
            .execute(
                sqlx::query("INSERT INTO intent (run, environment, kind, at) VALUES (?, ?, ?, ?)")
                    .bind(run)
                    .bind(environment)
                    .bind(kind.name())
                    .bind(at.as_millisecond()),
            )
            .await?;
        Ok(done.last_insert_rowid())
    }

    /// Records the outcome of an intent (`applied`, `failed`, `observed` by a later run).
    pub async fn settle(&self, intent: i64, outcome: &str, at: Timestamp) -> Result<(), Failure> {
        self.execute(
            sqlx::query("UPDATE intent SET outcome = ?, settled_at = ? WHERE id = ?")
                .bind(outcome)
                .bind(at.as_millisecond())
                .bind(intent),
        )
        .await?;
        Ok(())
    }

    /// Returns the unsettled intents of a project, oldest first.
    pub async fn in_doubt(&self, project: &str) -> Result<Vec<InDoubt>, Failure> {
        let rows: Vec<(i64, String, String, String, i64)> = sqlx::query_as(
            "SELECT intent.id, intent.run, intent.environment, intent.kind, intent.at \
             FROM intent JOIN run ON run.id = intent.run \
             WHERE intent.outcome IS NULL AND run.project = ? ORDER BY intent.id",
        )
        .bind(project)
        .fetch_all(&mut *self.connection().await?)
        .await
        .map_err(|error| self.unusable(error))?;
        let in_doubt = |(intent, run, environment, kind, at): (i64, String, String, String, i64)| InDoubt {
            intent,
            run,
            environment,
            kind: Kind::ALL.into_iter().find(|known| known.name() == kind),
            at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
        };
        Ok(rows.into_iter().map(in_doubt).collect())
    }

    /// Stores an event as its JSON line.
    pub async fn log(&self, run: &str, at: Timestamp, event: &str) -> Result<(), Failure> {
        self.execute(
            sqlx::query("INSERT INTO event (run, at, body) VALUES (?, ?, ?)")
                .bind(run)
                .bind(at.as_millisecond())
                .bind(event),
        )
        .await?;
        Ok(())
    }

    /// Deletes old entries. Keeps unsettled intents and their runs.
    pub(super) async fn prune(&self) -> Result<(), Failure> {
        for statement in [
            "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?1 OR at < (SELECT max(at) FROM event) - ?2",
            "DELETE FROM intent WHERE outcome IS NOT NULL \
             AND (id <= (SELECT max(id) FROM intent) - ?1 OR at < (SELECT max(at) FROM intent) - ?2)",
            "DELETE FROM run WHERE id NOT IN (SELECT run FROM intent WHERE outcome IS NULL) \
             AND (started_at < (SELECT started_at FROM run ORDER BY started_at DESC LIMIT 1 OFFSET ?1) \
             OR started_at < (SELECT max(started_at) FROM run) - ?2)",
        ] {
            self.execute(sqlx::query(statement).bind(KEPT).bind(KEPT_FOR)).await?;
        }
        Ok(())
    }

    pub(super) async fn execute(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<sqlx::sqlite::SqliteQueryResult, Failure> {
        query.execute(&mut *self.connection().await?).await.map_err(|error| self.unusable(error))
    }
}
