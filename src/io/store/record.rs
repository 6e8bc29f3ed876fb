//! The records: the last observation of each environment. Stores only observed state, not desired state.

use super::Store;
use crate::model::event::{BackupView, FailedView, Health};
use crate::model::failure::{Failure, Reason};
use crate::model::state::{Kind, Stage, State};
use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of a record's JSON. Raise it when an older deployer would misread a record.
const FORMAT: i64 = 1;

/// The last observation of one environment. Fields added later need `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Facts by kind.
    pub state: State,
    /// Stage derived from the facts when they were observed, for lists.
    pub stage: Stage,
    /// Health of the services.
    pub health: Health,
    /// Address at which the host was reached.
    pub address: String,
    /// Time of the observation.
    pub observed_at: Timestamp,
    /// Serial of the host at that time.
    pub serial: u64,
    /// True if the environment is left alone until it is resumed.
    pub suspended: bool,
    /// True if the environment must not be destroyed.
    #[serde(default)]
    pub protected: bool,
    /// Data to reach the environment and to remove its parts after its entry was removed from the manifest.
    #[serde(default)]
    pub reach: Option<FormerEntry>,
    /// Another run that worked on the environment at that time.
    #[serde(default)]
    pub in_progress: Option<String>,
    /// Last failure, if nothing succeeded since.
    pub failed: Option<FailedView>,
    /// Host keys, each as `TYPE BASE64`.
    pub host_keys: Vec<String>,
    /// Published addresses (`http://…`, `tcp://…`).
    pub endpoints: Vec<String>,
    /// Service → its state on the host.
    pub services: BTreeMap<String, String>,
    /// State of the backups, if the environment has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupView>,
    /// Digest of the desired facts of each kind when the kind was last seen as converged.
    #[serde(default)]
    pub met: BTreeMap<Kind, String>,
}

/// The data to reach an environment after its entry was removed. Holds no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerEntry {
    /// SSH port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Path of the private key.
    pub identity_file: Option<String>,
    /// Jump host.
    pub jump: Option<String>,
    /// Name that the environment has on the host, if it is a former name.
    pub renamed_from: Option<String>,
    /// Compose project and directory on the host, if there is an application.
    pub application: Option<(String, String)>,
}

impl Store {
    /// Moves a record and its lease to the environment's new name.
    pub async fn rename(&self, project: &str, from: &str, to: &str) -> Result<(), Failure> {
        for table in ["record", "lease"] {
            let statement =
                format!("UPDATE OR IGNORE {table} SET environment = ? WHERE project = ? AND environment = ?");
            self.execute(sqlx::query(sqlx::AssertSqlSafe(statement)).bind(to).bind(project).bind(from)).await?;
        }
        Ok(())
    }

    /// Returns all records of a project, by environment.
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

    /// Replaces the environment's record. `token` is the lease of the observation, if it had one.
    ///
    /// # Errors
    /// `LeaseLost` if another run has taken the lease since.
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
            return Err(Failure::new(Reason::LeaseLost, "Another run took over the environment").on(environment));
        }
        Ok(())
    }

    /// Removes a record. Returns false if there was none.
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
