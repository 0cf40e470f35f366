//! The tables of format 1, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::backend::BackendError;
use crate::backend::sqlite::{found, run};

/// The version of the tables. Others are refused.
const FORMAT: i64 = 1;

/// "HuDs", so that `file` and we know what this is.
const APPLICATION_ID: i64 = 0x4875_4473;

// Logs have a row id and not their key as primary: appends to one place are what SQLite does fastest.
const TABLES: &str = "
    CREATE TABLE service (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE groups (
        id          INTEGER PRIMARY KEY,
        gid         BLOB NOT NULL UNIQUE,
        incarnation BLOB NOT NULL,
        request     BLOB NOT NULL,
        epoch       INTEGER NOT NULL,
        sequence    INTEGER NOT NULL,
        committed   INTEGER NOT NULL,
        bytes       INTEGER NOT NULL DEFAULT 0,
        group_info  BLOB NOT NULL,
        used        INTEGER NOT NULL,
        trimmed     INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX groups_used ON groups (used);
    CREATE INDEX groups_trimmed ON groups (trimmed);
    CREATE TABLE log (
        id       INTEGER PRIMARY KEY,
        grp      INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        epoch    INTEGER NOT NULL,
        kind     INTEGER NOT NULL,
        request  BLOB NOT NULL,
        body     BLOB NOT NULL,
        at       INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX log_sequence ON log (grp, sequence);
    CREATE UNIQUE INDEX log_request ON log (grp, request);
    CREATE UNIQUE INDEX log_commit ON log (grp, epoch) WHERE kind = 0;
    CREATE UNIQUE INDEX log_handshakes ON log (grp, sequence) WHERE kind < 2;
    CREATE TABLE snapshots (
        grp      INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        epoch    INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        body     BLOB NOT NULL,
        PRIMARY KEY (grp, epoch)
    ) STRICT;
    CREATE TABLE cursors (
        grp      INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        slot     BLOB NOT NULL,
        sequence INTEGER NOT NULL,
        at       INTEGER NOT NULL,
        PRIMARY KEY (grp, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE shared (
        grp   INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        body  BLOB NOT NULL,
        PRIMARY KEY (grp, epoch)
    ) STRICT;
    CREATE TABLE outgoing (
        id        INTEGER PRIMARY KEY,
        grp       INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
        epoch     INTEGER NOT NULL,
        account   BLOB NOT NULL,
        device    BLOB NOT NULL,
        name      BLOB NOT NULL,
        reference BLOB NOT NULL,
        body      BLOB NOT NULL,
        at        INTEGER NOT NULL,
        due       INTEGER NOT NULL,
        UNIQUE (grp, name)
    ) STRICT;
    CREATE INDEX outgoing_due ON outgoing (due, id, grp);
    CREATE INDEX outgoing_epoch ON outgoing (grp, epoch);
    CREATE TABLE accounts (
        account BLOB PRIMARY KEY,
        name    TEXT NOT NULL UNIQUE,
        look    TEXT NOT NULL UNIQUE,
        brought INTEGER NOT NULL DEFAULT 0,
        since   INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE invites (
        name      BLOB PRIMARY KEY,
        uses      INTEGER NOT NULL,
        not_after INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE devices (
        account BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
        device  BLOB NOT NULL,
        key     BLOB NOT NULL,
        at      INTEGER NOT NULL,
        revoked INTEGER NOT NULL,
        PRIMARY KEY (account, device)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE key_packages (
        id          INTEGER PRIMARY KEY,
        account     BLOB NOT NULL,
        device      BLOB NOT NULL,
        suite       INTEGER NOT NULL,
        reference   BLOB NOT NULL,
        not_after   INTEGER NOT NULL,
        last_resort INTEGER NOT NULL,
        replaced    INTEGER NOT NULL DEFAULT 0,
        claimed     INTEGER NOT NULL,
        welcomed    INTEGER NOT NULL DEFAULT 0,
        body        BLOB NOT NULL,
        UNIQUE (account, reference),
        FOREIGN KEY (account, device) REFERENCES devices (account, device) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX key_packages_next ON key_packages (account, suite, device, last_resort, id)
        WHERE claimed = 0 OR last_resort = 1;
    CREATE INDEX key_packages_end ON key_packages (account, device, not_after);
    CREATE INDEX key_packages_gone ON key_packages (account, device, id) WHERE claimed = 1 AND last_resort = 0;
    CREATE TABLE inbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        account     BLOB NOT NULL,
        device      BLOB NOT NULL,
        name        BLOB NOT NULL,
        last_resort INTEGER NOT NULL,
        body        BLOB NOT NULL,
        at          INTEGER NOT NULL,
        UNIQUE (account, device, name),
        FOREIGN KEY (account, device) REFERENCES devices (account, device) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX inbox_oldest ON inbox (account, device, id);
";

/// A connection that is durable and erases what it deletes.
pub(super) fn connect(path: &Path, busy: Duration) -> Result<Connection, BackendError> {
    // An absolute path is never taken for a URI or for SQLite's ":memory:".
    let path = std::path::absolute(path).map_err(|error| BackendError::Unavailable(error.to_string()))?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the tables in a file without any; refuses a file of another kind.
pub(super) fn prepare(connection: &Connection) -> Result<(), BackendError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let prepared = make_tables(connection);
    connection.execute_batch(if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    prepared
}

fn make_tables(connection: &Connection) -> Result<(), BackendError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, FORMAT) => Ok(()),
        (APPLICATION_ID, other) => Err(BackendError::Unavailable(format!(
            "the file is of format {other}, this program has {FORMAT}"
        ))),
        (0, 0) if tables == 0 => {
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", FORMAT)?;
            Ok(())
        }
        _ => Err(BackendError::Unavailable("the file belongs to another program".to_owned())),
    }
}

/// The service's secret: the one that is there, or this one from now on.
pub(super) fn service_secret(connection: &Connection, fresh: [u8; 32]) -> Result<[u8; 32], BackendError> {
    run(connection, "INSERT OR IGNORE INTO service (name, value) VALUES ('secret', ?1)", params![fresh])?;
    let sql = "SELECT value FROM service WHERE name = 'secret'";
    let secret = found(connection.query_row(sql, [], |row| row.get(0)))?;
    secret.ok_or(BackendError::Corrupt("the service has no secret"))
}
