//! The tables and indexes of a store: exactly those of our migrations. Anything added by others, such as a view or a
//! trigger, would run with our queries.

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("src/io/store/migrations");

/// A limit above the number of entries of any store.
const MANY: u32 = 1000;

/// A limit in bytes above the length of any of our texts.
const LONGEST: u32 = 1 << 16;

/// Type, name, table and text of each table and index.
type Entries = Vec<(String, String, String, Option<String>)>;

/// Classification of a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// A database without tables.
    None,
    /// A store of the newest format.
    Current,
    /// A store of an older format.
    Outdated,
    /// A store of a newer, unknown format.
    Newer(i64),
    /// A database of another program, or a store that was changed by others.
    Foreign,
}

impl Tables {
    /// Classifies a database without changing it.
    pub async fn of(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let found = entries(connection).await?;
        if found.is_empty() {
            return Ok(Self::None);
        }
        // Check that the list of migrations is a table before reading it.
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

/// Returns the entries that the migrations up to a version create.
async fn made_by(version: i64) -> Result<Entries, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await?;
    MIGRATOR.run_direct(Some(version), &mut connection, false).await?;
    entries(&mut connection).await
}

async fn entries(connection: &mut SqliteConnection) -> Result<Entries, sqlx::Error> {
    // `octet_length` does not read the value.
    let query = "SELECT iif(octet_length(type) > ?1, '', type), iif(octet_length(name) > ?1, '', name), \
                 iif(octet_length(tbl_name) > ?1, '', tbl_name), iif(octet_length(sql) > ?1, '', sql) FROM sqlite_schema LIMIT ?2";
    let query = sqlx::query_as(query).bind(LONGEST).bind(MANY);
    let mut entries: Entries = query.fetch_all(connection).await?;
    entries.sort();
    Ok(entries)
}
