//! The tables, made and changed by numbered migrations.

use deadpool_postgres::{Object, Pool};

use crate::backend::BackendError;
use crate::backend::postgres::connect::{connection, said};
use crate::backend::postgres::error::{reading, writing};

/// What has been done to the tables since the first, in order. A file that was released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_tables.sql")];

/// The lock under which tables are changed: "HuDs", as the SQLite file has it.
const LOCK: i64 = 0x4875_4473;

/// Brings the tables to the newest version; several nodes may do it at the same time. One that finds them newer than it knows
/// refuses to work with them.
pub(super) async fn migrate(pool: &Pool) -> Result<(), BackendError> {
    let mut client = connection(pool).await?;
    let newest = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if current(&client).await? == newest {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(|error| reading(&error))?;
    let versions = "CREATE TABLE IF NOT EXISTS hushwood_migrations (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(versions).await.map_err(|error| said(&error))?;
    let sql = "SELECT coalesce(max(version), 0) FROM hushwood_migrations";
    let row = transaction.query_one(sql, &[]).await.map_err(|error| reading(&error))?;
    let current: i32 = row.try_get(0).map_err(|error| reading(&error))?;
    if current > newest {
        return Err(BackendError::Unavailable(format!(
            "its tables are of version {current}, this program has {newest}: use a newer one"
        )));
    }
    for (number, migration) in (1_i32..).zip(MIGRATIONS).filter(|(number, _)| *number > current) {
        transaction.batch_execute(migration).await.map_err(|error| said(&error))?;
        let sql = "INSERT INTO hushwood_migrations (version) VALUES ($1)";
        transaction.execute(sql, &[&number]).await.map_err(|error| reading(&error))?;
    }
    transaction.commit().await.map_err(|error| writing(&error))
}

/// The version of the tables; 0 where there are none. To ask needs no right to make tables.
async fn current(client: &Object) -> Result<i32, BackendError> {
    let sql = "SELECT to_regclass('hushwood_migrations') IS NOT NULL";
    let row = client.query_one(sql, &[]).await.map_err(|error| reading(&error))?;
    if !row.try_get::<_, bool>(0).map_err(|error| reading(&error))? {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM hushwood_migrations";
    let row = client.query_one(sql, &[]).await.map_err(|error| reading(&error))?;
    row.try_get(0).map_err(|error| reading(&error))
}
