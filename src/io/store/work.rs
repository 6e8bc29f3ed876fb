//! A limit on the work of a query. No query of ours comes near the limit, even on a hostile store.

use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Instructions of the database between two checks of the limit.
const STEP: i32 = 10_000;
/// Number of such steps that a query may take: some seconds.
const MOST: u32 = 50_000;

/// The work of a connection since the last renewal.
#[derive(Clone, Debug, Default)]
pub(super) struct Work(Arc<AtomicU32>);

impl Work {
    /// Interrupts every later query of this connection that exceeds the limit.
    pub async fn limit(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        Self::limit_to(MOST, connection).await
    }

    async fn limit_to(most: u32, connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let work = Self::default();
        let done = Arc::clone(&work.0);
        let goes_on = move || done.fetch_add(1, Ordering::Relaxed) < most;
        connection.lock_handle().await?.set_progress_handler(STEP, goes_on);
        Ok(work)
    }

    /// Resets the work before the next query.
    pub fn renew(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::store::fault::explain;
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    #[tokio::test]
    async fn a_query_without_end_is_interrupted_and_the_next_one_is_not() {
        const ENDLESS: &str = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";
        let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        let work = Work::limit_to(5, &mut connection).await.unwrap();
        for _ in 0..2 {
            let error = sqlx::query(ENDLESS).execute(&mut connection).await.unwrap_err();
            let failure = explain("state.db".into(), error);
            assert!(failure.message().contains("more work"), "{failure}");
            work.renew();
            sqlx::query("SELECT 1").execute(&mut connection).await.unwrap();
        }
    }
}
