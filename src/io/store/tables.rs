//! The tables and indexes of a store: those of our migrations, as each of them wrote them, and nothing else. What anybody
//! may add, such as a view or a trigger, would be run with our queries.

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("src/io/store/migrations");

/// More entries than any store has.
const MANY: u32 = 1000;

/// Longer texts (bytes) than any of ours.
const LONGEST: u32 = 1 << 16;

/// Type, name, table and text of each table and index.
type Entries = Vec<(String, String, String, Option<String>)>;

/// What a database is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// A database without any table.
    None,
    /// A store of the newest format.
    Current,
    /// A store of an older format.
    Outdated,
    /// A store of a format that is not known yet.
    Newer(i64),
    /// A database of another program, or a store that somebody changed.
    Foreign,
}

impl Tables {
    /// Reads which store the database is, without changing anything.
    pub async fn of(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let found = entries(connection).await?;
        if found.is_empty() {
            return Ok(Self::None);
        }
        // The list of migrations comes first: once it is a table, it can be read.
        if !made_by(0).await?.iter().all(|entry| found.contains(entry)) {
            return Ok(Self::Foreign);
        }
        let seen = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
        let seen: i64 = sqlx::query_scalar(seen).fetch_one(&mut *connection).await?;
        let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
        if seen > newest {
            return Ok(Self::Newer(seen));
        }
        Ok(match made_by(seen).await? == found {
            true if seen == newest => Self::Current,
            true => Self::Outdated,
            false => Self::Foreign,
        })
    }
}

/// Returns what the migrations up to a version make.
async fn made_by(version: i64) -> Result<Entries, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await?;
    MIGRATOR.run_direct(Some(version), &mut connection, false).await?;
    entries(&mut connection).await
}

async fn entries(connection: &mut SqliteConnection) -> Result<Entries, sqlx::Error> {
    // The length of a value is told without reading it.
    let query = "SELECT iif(octet_length(type) > ?1, '', type), iif(octet_length(name) > ?1, '', name), \
                 iif(octet_length(tbl_name) > ?1, '', tbl_name), iif(octet_length(sql) > ?1, '', sql) FROM sqlite_schema LIMIT ?2";
    let query = sqlx::query_as(query).bind(LONGEST).bind(MANY);
    let mut entries: Entries = query.fetch_all(connection).await?;
    entries.sort();
    Ok(entries)
}
