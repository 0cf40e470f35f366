//! A group's tables.

use rusqlite::{Connection, Row, params};

use crate::backend::sqlite::{found, from_sql, run, to_sql};
use crate::backend::{AccountId, DeviceId};
use crate::backend::{
    Appended, BackendError, Committed, Created, Cursor, Entry, Head, Kinds, NewCommit, NewEntry, NewGroup,
    NewWelcome, OutgoingWelcome, PageLimit, RequestId, Seconds, Snapshot,
};
use crate::wire::EntryKind;

/// Where a group stands, as its row says.
struct State {
    id: i64,
    epoch: u64,
    sequence: u64,
}

pub(super) fn create(connection: &Connection, new: &NewGroup) -> Result<Created, BackendError> {
    let sql = "INSERT OR IGNORE INTO groups (gid, request, epoch, sequence, committed, group_info, used)
        VALUES (?1, ?2, ?3, 0, 0, ?4, ?5)";
    let values = params![new.group, new.request.0, to_sql(new.epoch), new.group_info, to_sql(new.at.0)];
    if run(connection, sql, values)? == 0 {
        let sql = "SELECT request FROM groups WHERE gid = ?1";
        let request: [u8; 32] =
            connection.prepare_cached(sql)?.query_row(params![new.group], |row| row.get(0))?;
        return Ok(if request == new.request.0 { Created::Duplicate } else { Created::Exists });
    }
    let first = Snapshot { epoch: new.epoch, sequence: 0, body: new.snapshot.clone() };
    put_snapshot(connection, &new.group, &first, 1)?;
    Ok(Created::Created)
}

pub(super) fn head(connection: &Connection, group: &[u8]) -> Result<Option<Head>, BackendError> {
    let sql = "SELECT epoch, sequence, committed, group_info FROM groups WHERE gid = ?1";
    let row = connection.prepare_cached(sql)?.query_row(params![group], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
    });
    let Some((epoch, sequence, commit, group_info)) = found(row)? else { return Ok(None) };
    Ok(Some(Head {
        epoch: from_sql(epoch)?,
        sequence: from_sql(sequence)?,
        commit: from_sql(commit)?,
        group_info,
    }))
}

pub(super) fn commit(
    connection: &Connection,
    group: &[u8],
    new: &NewCommit,
) -> Result<Committed, BackendError> {
    let Some(state) = state(connection, group)? else { return Ok(Committed::NoGroup) };
    let made = made(connection, &state, new.request, new.epoch)?;
    if state.epoch != new.epoch || matches!(made, Committed::Duplicate(_)) {
        return Ok(made);
    }
    let sequence = state.sequence.saturating_add(1);
    // The first fence: the head is still where the commit begins.
    let sql = "UPDATE groups SET epoch = epoch + 1, sequence = ?3, committed = ?3, group_info = ?4, used = ?5
        WHERE id = ?1 AND epoch = ?2";
    let values = params![state.id, to_sql(new.epoch), to_sql(sequence), new.group_info, to_sql(new.at.0)];
    if run(connection, sql, values)? != 1 {
        return Err(BackendError::Corrupt("a head that moves within a transaction"));
    }
    // The second is the index on commits by epoch: a row that is there already fails the transaction.
    let entry = LogRow {
        kind: EntryKind::Commit,
        epoch: new.epoch,
        request: new.request,
        body: &new.body,
        at: new.at,
    };
    insert(connection, &state, sequence, &entry)?;
    for welcome in &new.welcomes {
        let sql =
            "INSERT OR IGNORE INTO outgoing (grp, account, device, name, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![state.id, welcome.account.0, welcome.device.0, welcome.id, welcome.body];
        run(connection, sql, values)?;
    }
    Ok(Committed::Accepted(sequence))
}

pub(super) fn outcome(
    connection: &Connection,
    group: &[u8],
    request: RequestId,
    epoch: u64,
) -> Result<Committed, BackendError> {
    match state(connection, group)? {
        Some(state) => made(connection, &state, request, epoch),
        None => Ok(Committed::NoGroup),
    }
}

/// What a request has made, or what there is in its place.
fn made(
    connection: &Connection,
    state: &State,
    request: RequestId,
    epoch: u64,
) -> Result<Committed, BackendError> {
    if let Some(sequence) = sequence_of(connection, state, request)? {
        return Ok(Committed::Duplicate(sequence));
    }
    let sql = "SELECT sequence FROM log WHERE grp = ?1 AND epoch = ?2 AND kind = 0";
    let values = params![state.id, to_sql(epoch)];
    let winner = found(connection.prepare_cached(sql)?.query_row(values, |row| row.get::<_, i64>(0)))?;
    Ok(Committed::Stale { epoch: state.epoch, winner: from_sql(winner.unwrap_or(0))? })
}

pub(super) fn append(
    connection: &Connection,
    group: &[u8],
    new: &NewEntry,
) -> Result<Appended, BackendError> {
    let Some(state) = state(connection, group)? else { return Ok(Appended::NoGroup) };
    if let Some(sequence) = sequence_of(connection, &state, new.request)? {
        return Ok(Appended::Duplicate(sequence));
    }
    let oldest = state.epoch.saturating_sub(new.late);
    if !(oldest..=state.epoch).contains(&new.epoch) {
        return Ok(Appended::Stale { epoch: state.epoch });
    }
    let sequence = state.sequence.saturating_add(1);
    let sql = "UPDATE groups SET sequence = ?2, used = ?3 WHERE id = ?1";
    run(connection, sql, params![state.id, to_sql(sequence), to_sql(new.at.0)])?;
    let entry =
        LogRow { kind: new.kind, epoch: new.epoch, request: new.request, body: &new.body, at: new.at };
    insert(connection, &state, sequence, &entry)?;
    Ok(Appended::Accepted(sequence))
}

pub(super) fn read(
    connection: &Connection,
    group: &[u8],
    kinds: Kinds,
    (after, limit): (u64, PageLimit),
) -> Result<Vec<Entry>, BackendError> {
    let sql = match kinds {
        Kinds::All => {
            "SELECT sequence, kind, epoch, body, at FROM log
            WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND sequence > ?2 ORDER BY sequence LIMIT ?3"
        }
        Kinds::Handshakes => {
            "SELECT sequence, kind, epoch, body, at FROM log
            WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND sequence > ?2 AND kind < 2 ORDER BY sequence LIMIT ?3"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![group, to_sql(after), limit.entries.max(1)])?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes: u64 = 0;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        bytes = bytes.saturating_add(u64::try_from(entry.body.len()).unwrap_or(u64::MAX));
        if !entries.is_empty() && bytes > limit.bytes {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

pub(super) fn snapshot(
    connection: &Connection,
    group: &[u8],
    epoch: u64,
) -> Result<Option<Snapshot>, BackendError> {
    let sql = "SELECT epoch, sequence, body FROM snapshots
        WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND epoch <= ?2 ORDER BY epoch DESC LIMIT 1";
    let row = connection.prepare_cached(sql)?.query_row(params![group, to_sql(epoch)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?))
    });
    let Some((epoch, sequence, body)) = found(row)? else { return Ok(None) };
    Ok(Some(Snapshot { epoch: from_sql(epoch)?, sequence: from_sql(sequence)?, body }))
}

pub(super) fn put_snapshot(
    connection: &Connection,
    group: &[u8],
    snapshot: &Snapshot,
    keep: u32,
) -> Result<(), BackendError> {
    let Some(state) = state(connection, group)? else { return Ok(()) };
    let sql = "INSERT OR IGNORE INTO snapshots (grp, epoch, sequence, body) VALUES (?1, ?2, ?3, ?4)";
    let values = params![state.id, to_sql(snapshot.epoch), to_sql(snapshot.sequence), snapshot.body];
    run(connection, sql, values)?;
    let sql = "DELETE FROM snapshots WHERE grp = ?1 AND epoch NOT IN
        (SELECT epoch FROM snapshots WHERE grp = ?1 ORDER BY epoch DESC LIMIT ?2)";
    run(connection, sql, params![state.id, keep.max(1)])?;
    Ok(())
}

pub(super) fn move_cursor(connection: &Connection, group: &[u8], cursor: Cursor) -> Result<(), BackendError> {
    let sql = "INSERT INTO cursors (grp, slot, sequence, at) SELECT id, ?2, min(?3, sequence), ?4 FROM groups WHERE gid = ?1
        ON CONFLICT (grp, slot) DO UPDATE SET sequence = max(sequence, excluded.sequence), at = excluded.at";
    let values = params![group, cursor.slot.0, to_sql(cursor.sequence), to_sql(cursor.at.0)];
    run(connection, sql, values)?;
    Ok(())
}

pub(super) fn outgoing(connection: &Connection, most: u32) -> Result<Vec<OutgoingWelcome>, BackendError> {
    let sql = "SELECT gid, account, device, name, body FROM outgoing JOIN groups ON groups.id = outgoing.grp
        ORDER BY outgoing.id LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![most], |row| {
        let (account, device) = (AccountId(row.get(1)?), DeviceId(row.get(2)?));
        let welcome = NewWelcome { account, device, id: row.get(3)?, body: row.get(4)? };
        Ok(OutgoingWelcome { group: row.get(0)?, welcome })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn carried(connection: &Connection, group: &[u8], ids: &[[u8; 32]]) -> Result<(), BackendError> {
    let sql = "DELETE FROM outgoing WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND name = ?2";
    ids.iter().try_for_each(|id| run(connection, sql, params![group, id]).map(drop))
}

pub(super) fn trim(connection: &Connection, group: &[u8], before: Seconds) -> Result<u64, BackendError> {
    // What follows the oldest snapshot is needed to go on from it; and the log stays one piece to its end.
    let sql = "DELETE FROM log WHERE grp = (SELECT id FROM groups WHERE gid = ?1)
        AND sequence <= (SELECT min(sequence) FROM snapshots WHERE snapshots.grp = log.grp)
        AND sequence < coalesce(
            (SELECT min(sequence) FROM log AS young WHERE young.grp = log.grp AND young.at >= ?2),
            9223372036854775807)";
    let gone = run(connection, sql, params![group, to_sql(before.0)])?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

pub(super) fn idle(connection: &Connection, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
    let sql = "SELECT gid FROM groups WHERE used < ?1 ORDER BY used LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![to_sql(since.0), most], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn erase(connection: &Connection, group: &[u8]) -> Result<(), BackendError> {
    run(connection, "DELETE FROM groups WHERE gid = ?1", params![group])?;
    Ok(())
}

fn state(connection: &Connection, group: &[u8]) -> Result<Option<State>, BackendError> {
    let sql = "SELECT id, epoch, sequence FROM groups WHERE gid = ?1";
    let row = connection
        .prepare_cached(sql)?
        .query_row(params![group], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
    let Some((id, epoch, sequence)) = found(row)? else { return Ok(None) };
    Ok(Some(State { id, epoch: from_sql(epoch)?, sequence: from_sql(sequence)? }))
}

/// The number of the entry that this request has made.
fn sequence_of(
    connection: &Connection,
    state: &State,
    request: RequestId,
) -> Result<Option<u64>, BackendError> {
    let sql = "SELECT sequence FROM log WHERE grp = ?1 AND request = ?2";
    let values = params![state.id, request.0];
    let sequence = found(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)))?;
    sequence.map(from_sql).transpose()
}

/// An entry to be written.
struct LogRow<'a> {
    kind: EntryKind,
    epoch: u64,
    request: RequestId,
    body: &'a [u8],
    at: Seconds,
}

fn insert(
    connection: &Connection,
    state: &State,
    sequence: u64,
    entry: &LogRow<'_>,
) -> Result<(), BackendError> {
    let sql =
        "INSERT INTO log (grp, sequence, epoch, kind, request, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let kind = match entry.kind {
        EntryKind::Commit => 0,
        EntryKind::Proposal => 1,
        EntryKind::Message => 2,
    };
    let (sequence, epoch, at) = (to_sql(sequence), to_sql(entry.epoch), to_sql(entry.at.0));
    run(connection, sql, params![state.id, sequence, epoch, kind, entry.request.0, entry.body, at])?;
    Ok(())
}

fn entry(row: &Row<'_>) -> Result<Entry, BackendError> {
    let kind = match row.get::<_, i64>(1)? {
        0 => EntryKind::Commit,
        1 => EntryKind::Proposal,
        2 => EntryKind::Message,
        _ => return Err(BackendError::Corrupt("an entry of no kind")),
    };
    let (sequence, epoch, at) = (row.get(0)?, row.get(2)?, row.get(4)?);
    Ok(Entry {
        sequence: from_sql(sequence)?,
        kind,
        epoch: from_sql(epoch)?,
        body: row.get(3)?,
        at: Seconds(from_sql(at)?),
    })
}
