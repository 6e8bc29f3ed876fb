//! The records: what was last observed of each environment. Never saves what was merely meant.

use super::Store;
use crate::model::event::{BackupView, FailedView, Health};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage, State};
use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of a record's JSON. Raise it when an older deployer would misread a record.
const FORMAT: i64 = 1;

/// What was last observed of one environment. Fields added later need `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The facts, by kind.
    pub state: State,
    /// The stage derived from them when they were observed, for lists.
    pub stage: Stage,
    /// How healthy the services were.
    pub health: Health,
    /// The address the host was reached at.
    pub address: String,
    /// When the host was asked.
    pub observed_at: Timestamp,
    /// The host's serial at that time.
    pub serial: u64,
    /// Whether the environment is left alone until resumed.
    pub suspended: bool,
    /// Whether it may not be destroyed.
    #[serde(default)]
    pub protected: bool,
    /// How to reach it and what of it to take off once it left the manifest.
    #[serde(default)]
    pub reach: Option<Reach>,
    /// Who worked on it then, if another did.
    #[serde(default)]
    pub in_progress: Option<String>,
    /// What failed last, if nothing succeeded since.
    pub failed: Option<FailedView>,
    /// The host's keys, each `TYPE BASE64`.
    pub host_keys: Vec<String>,
    /// Published addresses (`http://…`, `tcp://…`).
    pub endpoints: Vec<String>,
    /// Service → its state on the host.
    pub services: BTreeMap<String, String>,
    /// How its backups stood, where it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupView>,
    /// What was asked of each kind when it was last seen as wanted, as a digest.
    #[serde(default)]
    pub met: BTreeMap<Kind, String>,
}

/// How an environment is reached, without secrets, for when its entry is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// SSH port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Path of the private key.
    pub identity_file: Option<String>,
    /// Jump host.
    pub jump: Option<String>,
    /// The name under which it lies on the host, where that is a former one.
    pub renamed_from: Option<String>,
    /// Compose project and directory on the host, where it has an application.
    pub application: Option<(String, String)>,
}

impl Store {
    /// Gives a record to the environment's new name.
    pub async fn rename(&self, project: &str, from: &str, to: &str) -> Result<(), Failure> {
        for table in ["record", "lease"] {
            let statement =
                format!("UPDATE OR IGNORE {table} SET environment = ? WHERE project = ? AND environment = ?");
            self.execute(sqlx::query(sqlx::AssertSqlSafe(statement)).bind(to).bind(project).bind(from)).await?;
        }
        Ok(())
    }

    /// Every record of a project, by environment.
    pub async fn records(&self, project: &str) -> Result<BTreeMap<String, Record>, Failure> {
        let mut connection = self.connection().await?;
        let mut rows = sqlx::query_as::<_, (String, i64, String)>(
            "SELECT environment, format, body FROM record WHERE project = ? ORDER BY environment",
        )
        .bind(project)
        .fetch(&mut *connection);
        let mut records = BTreeMap::new();
        while let Some((environment, format, body)) = rows.try_next().await.map_err(|error| self.unusable(error))? {
            let (environment, record) = self.parse(environment, format, &body)?;
            records.insert(environment, record);
        }
        Ok(records)
    }

    /// Saves an observation in place of the previous one. `token` is the lease it was made under, if one was.
    ///
    /// # Errors
    /// `LeaseLost` where another run had the lease since.
    pub async fn save(
        &self,
        project: &str,
        environment: &str,
        record: &Record,
        token: Option<u64>,
    ) -> Result<(), Failure> {
        let body = serde_json::to_string(record).map_err(|error| self.unusable(sqlx::Error::Encode(error.into())))?;
        let done = sqlx::query(
            "INSERT OR REPLACE INTO record (project, environment, format, stage, serial, observed_at, body) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS \
             (SELECT 1 FROM lease WHERE project = ?1 AND environment = ?2 AND token > ?8)",
        )
        .bind(project)
        .bind(environment)
        .bind(FORMAT)
        .bind(record.stage.name())
        .bind(record.serial.cast_signed())
        .bind(record.observed_at.as_millisecond())
        .bind(body)
        .bind(token.map_or(i64::MAX, u64::cast_signed))
        .execute(&mut *self.connection().await?)
        .await
        .map_err(|error| self.unusable(error))?;
        if done.rows_affected() == 0 {
            return Err(Failure::new(Reason::LeaseLost, "Another run took the environment over").on(environment));
        }
        Ok(())
    }

    /// Removes a record; false where there was none.
    pub async fn forget(&self, project: &str, environment: &str) -> Result<bool, Failure> {
        let done = sqlx::query("DELETE FROM record WHERE project = ? AND environment = ?")
            .bind(project)
            .bind(environment)
            .execute(&mut *self.connection().await?)
            .await
            .map_err(|error| self.unusable(error))?;
        Ok(done.rows_affected() > 0)
    }

    fn parse(&self, environment: String, format: i64, body: &str) -> Result<(String, Record), Failure> {
        if format > FORMAT {
            return Err(Failure::new(
                Reason::StoreNewer,
                format!("The record of {environment} in {} was written by a newer deployer", self.path),
            ));
        }
        match serde_json::from_str(body) {
            Ok(record) => Ok((environment, record)),
            Err(error) => Err(Failure::new(
                Reason::StoreUnusable,
                format!("The record of {environment} in {} cannot be read", self.path),
            )
            .on(environment)
            .details(error.to_string())),
        }
    }
}
