//! OpenTofu's data about each environment's infrastructure: its encrypted state and related texts. Has access neither
//! to the decrypted state nor to its key.

use super::Store;
use crate::model::failure::Failure;
use camino::Utf8PathBuf;

/// A text about one environment's infrastructure. Secret texts are encrypted before they come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// The chosen providers: `.terraform.lock.hcl`.
    LockFile,
    /// The private host key that the machine gets, encrypted.
    HostKey,
    /// The private host key of a machine that is planned and not made yet, encrypted.
    PlannedKey,
    /// The recipe of the machine, encrypted.
    Recipe,
    /// The OpenTofu backend that has the state.
    Backend,
    /// The random digits at the end of the name of OpenTofu's working directory.
    Directory,
}

impl Plain {
    const fn column(self) -> &'static str {
        match self {
            Self::LockFile => "lock_file",
            Self::HostKey => "host_key",
            Self::PlannedKey => "planned_key",
            Self::Recipe => "recipe",
            Self::Backend => "backend",
            Self::Directory => "directory",
        }
    }
}

/// An encrypted state and the salt of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The encrypted state; `None` if there is none.
    pub state: Option<Vec<u8>>,
    /// The salt; `None` if none was drawn yet.
    pub salt: Option<Vec<u8>>,
}

impl Store {
    /// Returns the path for a file next to this store. The file is not part of the store.
    #[must_use]
    pub fn beside(&self, name: &str) -> Utf8PathBuf {
        self.path.with_file_name(name)
    }

    /// Returns the encrypted state of an environment.
    pub async fn sealed(&self, project: &str, environment: &str) -> Result<Sealed, Failure> {
        type Row = (Option<Vec<u8>>, Option<Vec<u8>>);
        let row: Option<Row> =
            sqlx::query_as("SELECT sealed, salt FROM infrastructure WHERE project = ? AND environment = ?")
                .bind(project)
                .bind(environment)
                .fetch_optional(&mut *self.connection().await?)
                .await
                .map_err(|error| self.unusable(error))?;
        Ok(row.map_or_else(Sealed::default, |(state, salt)| Sealed { state, salt }))
    }

    /// Replaces the encrypted state; `None` removes it. The change is on the disk when this function returns. `lock` is
    /// the lock that the writer holds, if any. Returns false if another run has taken that lock since.
    pub async fn seal(
        &self,
        project: &str,
        environment: &str,
        state: Option<&[u8]>,
        lock: Option<&str>,
    ) -> Result<bool, Failure> {
        let done = self
            .execute(
                sqlx::query(
                    "INSERT INTO infrastructure (project, environment, sealed) SELECT ?1, ?2, ?3 WHERE ?4 IS NULL \
                     OR EXISTS (SELECT 1 FROM infrastructure WHERE project = ?1 AND environment = ?2 AND lock = ?4) \
                     ON CONFLICT (project, environment) DO UPDATE SET sealed = excluded.sealed",
                )
                .bind(project)
                .bind(environment)
                .bind(state)
                .bind(lock),
            )
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Returns the salt of an environment's key. Stores `fresh` if there was no salt.
    pub async fn salt(&self, project: &str, environment: &str, fresh: &[u8]) -> Result<Vec<u8>, Failure> {
        self.first(project, environment, "salt", fresh).await
    }

    /// Returns the digits at the end of the name of OpenTofu's working directory. Stores `fresh` if there were none.
    pub async fn directory_digits(&self, project: &str, environment: &str, fresh: &str) -> Result<String, Failure> {
        self.first(project, environment, Plain::Directory.column(), fresh).await
    }

    /// Returns the value of a column that is set once. Stores `fresh` if it was not set.
    async fn first<'q, F, T>(&self, project: &str, environment: &str, column: &str, fresh: F) -> Result<T, Failure>
    where
        F: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'q,
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        let statement = format!(
            "INSERT INTO infrastructure (project, environment, {column}) VALUES (?, ?, ?) \
             ON CONFLICT (project, environment) DO UPDATE SET {column} = coalesce({column}, excluded.{column}) \
             RETURNING {column}"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(project.to_owned())
            .bind(environment.to_owned())
            .bind(fresh)
            .fetch_one(&mut *self.connection().await?)
            .await
            .map_err(|error| self.unusable(error))
    }

    /// Takes the lock on an environment's state if the lock is free or is `instead`. Returns the current lock:
    /// `lock` or that of another run.
    pub async fn lock_state(
        &self,
        project: &str,
        environment: &str,
        lock: &str,
        instead: Option<&str>,
    ) -> Result<String, Failure> {
        sqlx::query_scalar(
            "INSERT INTO infrastructure (project, environment, lock) VALUES (?1, ?2, ?3) \
             ON CONFLICT (project, environment) DO UPDATE \
             SET lock = CASE WHEN lock IS NULL OR lock = ?4 THEN excluded.lock ELSE lock END RETURNING lock",
        )
        .bind(project)
        .bind(environment)
        .bind(lock)
        .bind(instead)
        .fetch_one(&mut *self.connection().await?)
        .await
        .map_err(|error| self.unusable(error))
    }

    /// Returns the lock on an environment's state.
    pub async fn state_lock(&self, project: &str, environment: &str) -> Result<Option<String>, Failure> {
        let lock: Option<Option<String>> =
            sqlx::query_scalar("SELECT lock FROM infrastructure WHERE project = ? AND environment = ?")
                .bind(project)
                .bind(environment)
                .fetch_optional(&mut *self.connection().await?)
                .await
                .map_err(|error| self.unusable(error))?;
        Ok(lock.flatten())
    }

    /// Releases exactly this lock. Returns false if another run has the lock.
    pub async fn unlock_state(&self, project: &str, environment: &str, lock: &str) -> Result<bool, Failure> {
        let query =
            sqlx::query("UPDATE infrastructure SET lock = NULL WHERE project = ? AND environment = ? AND lock = ?");
        Ok(self.execute(query.bind(project).bind(environment).bind(lock)).await?.rows_affected() > 0)
    }

    /// Stores a text about an environment's infrastructure.
    pub async fn keep_plain(&self, project: &str, environment: &str, which: Plain, text: &str) -> Result<(), Failure> {
        let column = which.column();
        let statement = format!(
            "INSERT INTO infrastructure (project, environment, {column}) VALUES (?, ?, ?) \
             ON CONFLICT (project, environment) DO UPDATE SET {column} = excluded.{column}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement));
        self.execute(query.bind(project).bind(environment).bind(text)).await?;
        Ok(())
    }

    /// Reads a text about an environment's infrastructure.
    pub async fn plain(&self, project: &str, environment: &str, which: Plain) -> Result<Option<String>, Failure> {
        let statement = format!("SELECT {} FROM infrastructure WHERE project = ? AND environment = ?", which.column());
        let text: Option<Option<String>> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(project)
            .bind(environment)
            .fetch_optional(&mut *self.connection().await?)
            .await
            .map_err(|error| self.unusable(error))?;
        Ok(text.flatten())
    }

    /// Returns true if an environment's infrastructure has a state, here or in a backend of OpenTofu.
    pub async fn has_infrastructure(&self, project: &str, environment: &str) -> Result<bool, Failure> {
        Ok(self.with_infrastructure(project).await?.iter().any(|name| name == environment))
    }

    /// Returns the environments of a project that have infrastructure.
    pub async fn with_infrastructure(&self, project: &str) -> Result<Vec<String>, Failure> {
        sqlx::query_scalar(
            "SELECT environment FROM infrastructure WHERE project = ? AND (sealed IS NOT NULL OR backend IS NOT NULL)",
        )
        .bind(project)
        .fetch_all(&mut *self.connection().await?)
        .await
        .map_err(|error| self.unusable(error))
    }

    /// Removes the data about an environment's infrastructure. Returns false if there was none.
    pub async fn forget_infrastructure(&self, project: &str, environment: &str) -> Result<bool, Failure> {
        let query = sqlx::query("DELETE FROM infrastructure WHERE project = ? AND environment = ?");
        Ok(self.execute(query.bind(project).bind(environment)).await?.rows_affected() > 0)
    }

    /// Moves the data about an environment's infrastructure to its new name. `state` is the state encrypted for that
    /// name.
    pub async fn rename_infrastructure(
        &self,
        project: &str,
        from: &str,
        to: &str,
        state: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let query = sqlx::query(
            "UPDATE OR IGNORE infrastructure SET environment = ?3, sealed = ?4 WHERE project = ?1 AND environment = ?2",
        );
        self.execute(query.bind(project).bind(from).bind(to).bind(state)).await?;
        Ok(())
    }
}
