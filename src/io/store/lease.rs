//! The store's mirror of leases: the current holder of each environment, and the token that fences late writes. Issues
//! no tokens: the host does.

use super::Store;
use crate::model::failure::Failure;
use crate::model::holder::Holder;
use crate::model::token::BELIEVED;
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Store {
    /// Records that a host granted a lease under `token`, unless the store has a higher token below [`BELIEVED`].
    pub async fn take(
        &self,
        project: &str,
        environment: &str,
        token: u64,
        holder: &Holder,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let query = sqlx::query(
            "INSERT INTO lease (project, environment, token, holder, since) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (project, environment) DO UPDATE \
             SET token = excluded.token, holder = excluded.holder, since = excluded.since \
             WHERE excluded.token >= lease.token OR lease.token >= ?",
        );
        let query = query.bind(project).bind(environment).bind(token.cast_signed()).bind(holder.line());
        self.execute(query.bind(at.as_millisecond()).bind(BELIEVED.cast_signed())).await?;
        Ok(())
    }

    /// Records that the lease under `token` was given back. The token stays, so that late writes under a lower token
    /// are refused.
    pub async fn give_back(&self, project: &str, environment: &str, token: u64) -> Result<(), Failure> {
        let query = sqlx::query("UPDATE lease SET holder = NULL WHERE project = ? AND environment = ? AND token = ?");
        self.execute(query.bind(project).bind(environment).bind(token.cast_signed())).await?;
        Ok(())
    }

    /// Returns the last token that a host issued, as far as runs of this store know; 0 if there is none.
    pub async fn token(&self, project: &str, environment: &str) -> Result<u64, Failure> {
        let token: Option<i64> = sqlx::query_scalar("SELECT token FROM lease WHERE project = ? AND environment = ?")
            .bind(project)
            .bind(environment)
            .fetch_optional(&mut *self.connection().await?)
            .await
            .map_err(|error| self.unusable(error))?;
        Ok(token.map_or(0, i64::cast_unsigned))
    }

    /// Returns the current lease holders of a project by environment, as far as runs of this store know.
    pub async fn holders(&self, project: &str) -> Result<BTreeMap<String, Holder>, Failure> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT environment, holder FROM lease WHERE project = ? AND holder IS NOT NULL")
                .bind(project)
                .fetch_all(&mut *self.connection().await?)
                .await
                .map_err(|error| self.unusable(error))?;
        let read = |(environment, line): (String, String)| Some((environment, Holder::parse(&line)?));
        Ok(rows.into_iter().filter_map(read).collect())
    }
}
