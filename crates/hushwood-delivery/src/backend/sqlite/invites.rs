//! Invites: who may make an account.

use rusqlite::{Connection, params};

use crate::backend::sqlite::{from_sql, run, to_sql};
use crate::backend::{BackendError, Invite, InviteName, Seconds};

pub(super) fn add(connection: &Connection, invite: &Invite, now: Seconds) -> Result<(), BackendError> {
    let sql = "DELETE FROM invites WHERE uses = 0 OR not_after < ?1";
    run(connection, sql, params![to_sql(now.0)])?;
    let sql = "INSERT INTO invites (name, uses, not_after) VALUES (?1, ?2, ?3)";
    run(connection, sql, params![invite.name.0, invite.left, to_sql(invite.not_after.0)]).map(drop)
}

pub(super) fn all(connection: &Connection, now: Seconds) -> Result<Vec<Invite>, BackendError> {
    let sql = "SELECT name, uses, not_after FROM invites WHERE uses > 0 AND not_after >= ?1 ORDER BY not_after, name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![to_sql(now.0)], |row| {
        Ok((InviteName(row.get(0)?), row.get(1)?, row.get::<_, i64>(2)?))
    })?;
    let invites = rows.map(|row| {
        let (name, left, not_after) = row?;
        Ok(Invite { name, left, not_after: Seconds(from_sql(not_after)?) })
    });
    invites.collect()
}

pub(super) fn forget(connection: &Connection, name: InviteName) -> Result<bool, BackendError> {
    Ok(run(connection, "DELETE FROM invites WHERE name = ?1", params![name.0])? == 1)
}

/// Whether somebody may make an account with it. Nobody else writes before that is done.
pub(super) fn is_good(connection: &Connection, name: InviteName, now: Seconds) -> Result<bool, BackendError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM invites WHERE name = ?1 AND uses > 0 AND not_after >= ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![name.0, to_sql(now.0)], |row| row.get(0))?)
}

/// Somebody has.
pub(super) fn take(connection: &Connection, name: InviteName) -> Result<(), BackendError> {
    run(connection, "UPDATE invites SET uses = uses - 1 WHERE name = ?1", params![name.0]).map(drop)
}
