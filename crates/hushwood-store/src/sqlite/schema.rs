//! The tables of format 1, the header, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::sqlite::OpenError;
use crate::sqlite::key::WrappedKey;

/// The version of everything in the file: tables, names, sealing. Other versions are migrated or refused.
pub(super) const FORMAT: u16 = 1;

/// "HuSh", so that `file` and we know what this is.
const APPLICATION_ID: i64 = 0x4875_5368;

const TABLES: &str = "
    CREATE TABLE store (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        format     INTEGER NOT NULL,
        id         BLOB NOT NULL,
        unlock     INTEGER NOT NULL,
        memory_kib INTEGER NOT NULL,
        iterations INTEGER NOT NULL,
        lanes      INTEGER NOT NULL,
        salt       BLOB NOT NULL,
        sealed     BLOB NOT NULL,
        steps      INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE heads (
        name    BLOB PRIMARY KEY,
        version INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE records (
        bucket BLOB,
        name   BLOB,
        slot   INTEGER,
        value  BLOB NOT NULL,
        PRIMARY KEY (bucket, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE salts (
        slot INTEGER PRIMARY KEY,
        salt BLOB NOT NULL,
        free INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX free_salts ON salts (slot) WHERE free = 1;
";

/// What a store says of itself to who can't open it.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) id: [u8; 16],
    pub(super) key: WrappedKey,
}

/// Connects to a file that exists.
pub(super) fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    // An absolute path is never taken for a URI or for SQLite's ":memory:".
    let path = std::path::absolute(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    // All that there are stay prepared.
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}

/// Sets what durability and erasing rest on. The file is a store, or about to become one.
pub(super) fn configure(connection: &Connection) -> Result<(), OpenError> {
    // Plain SQLite would let the last commits go with a loss of power (synchronous=NORMAL), and keeps what
    // is deleted until the space is used again.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON;",
    )?;
    let on: i64 = connection.query_row("PRAGMA secure_delete = ON", [], |row| row.get(0))?;
    // SQLite gives the answer before it writes: an error comes after it. With the journal that there would be instead, a loss
    // of power can undo the last commit.
    let mut set = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = set.query([])?;
    let mut mode = String::new();
    while let Some(row) = answers.next()? {
        mode = row.get(0)?;
    }
    if on != 1 || mode != "wal" {
        return Err(OpenError::Refused);
    }
    Ok(())
}

/// True for a database in which nobody has made anything.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, OpenError> {
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(objects == 0 && application_id(connection)? == 0)
}

/// Makes the tables and the header, in the transaction that the caller has begun.
pub(super) fn create(connection: &Connection, header: &Header) -> Result<(), OpenError> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let Header { id, key } = header;
    connection.execute(
        "INSERT INTO store VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
        params![FORMAT, id, key.unlock, key.memory_kib, key.iterations, key.lanes, key.salt, key.sealed],
    )?;
    Ok(())
}

/// Reads the header, of a file that may be anything.
pub(super) fn read_header(connection: &Connection) -> Result<Header, OpenError> {
    if application_id(connection)? != APPLICATION_ID {
        return Err(OpenError::NotAStore);
    }
    let format: Option<i64> =
        connection.query_row("SELECT format FROM store", [], |row| row.get(0)).optional()?;
    match format {
        Some(format) if format == i64::from(FORMAT) => {}
        Some(format) if format > i64::from(FORMAT) => return Err(OpenError::Version),
        _ => return Err(OpenError::Corrupt),
    }
    let columns = "SELECT id, unlock, memory_kib, iterations, lanes, salt, sealed FROM store";
    Ok(connection.query_row(columns, [], |row| {
        Ok(Header {
            id: row.get(0)?,
            key: WrappedKey {
                unlock: row.get(1)?,
                memory_kib: row.get(2)?,
                iterations: row.get(3)?,
                lanes: row.get(4)?,
                salt: row.get(5)?,
                sealed: row.get(6)?,
            },
        })
    })?)
}

/// Replaces the wrapping of the store key.
pub(super) fn update_key(connection: &Connection, key: &WrappedKey) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE store SET unlock = ?1, memory_kib = ?2, iterations = ?3, lanes = ?4, salt = ?5, sealed = ?6",
        params![key.unlock, key.memory_kib, key.iterations, key.lanes, key.salt, key.sealed],
    )?;
    Ok(())
}

fn application_id(connection: &Connection) -> Result<i64, OpenError> {
    Ok(connection.query_row("PRAGMA application_id", [], |row| row.get(0))?)
}
