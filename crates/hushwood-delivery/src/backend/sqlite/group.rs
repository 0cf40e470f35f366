//! A group's tables.

use rusqlite::{Connection, Row, params};

use crate::backend::sqlite::{found, from_sql, run, to_sql};
use crate::backend::{AccountId, DeviceId};
use crate::backend::{
    Appended, BackendError, Committed, Created, Cursor, Entry, Head, IN_TURN, Incarnation, Kinds, NewCommit,
    NewEntry, NewGroup, NewWelcome, OutgoingWelcome, Page, PageLimit, Reading, RequestId, Seconds, SlotId,
    Snapshot, TrimLimits, Uncarried,
};
use crate::wire::EntryKind;

/// Where a group stands, as its row says.
struct State {
    id: i64,
    incarnation: Incarnation,
    epoch: u64,
    sequence: u64,
    bytes: u64,
}

pub(super) fn create(connection: &Connection, new: &NewGroup) -> Result<Created, BackendError> {
    let sql = "INSERT OR IGNORE INTO groups
        (gid, request, epoch, sequence, committed, group_info, used, trimmed, incarnation)
        VALUES (?1, ?2, ?3, 0, 0, ?4, ?5, ?5, ?6)";
    let (epoch, at) = (to_sql(new.epoch), to_sql(new.at.0));
    let values = params![new.group, new.request.0, epoch, new.group_info, at, new.incarnation.0];
    if run(connection, sql, values)? == 0 {
        let there = created(connection, &new.group, new.request)?;
        return there.ok_or(BackendError::Corrupt("a group that is there and is not"));
    }
    let incarnation = new.incarnation;
    let first = Snapshot { incarnation, epoch: new.epoch, sequence: 0, body: new.snapshot.clone() };
    put_snapshot(connection, &new.group, &first, 1)?;
    Ok(Created::Created)
}

pub(super) fn created(
    connection: &Connection,
    group: &[u8],
    request: RequestId,
) -> Result<Option<Created>, BackendError> {
    let sql = "SELECT request FROM groups WHERE gid = ?1";
    let there =
        found::<[u8; 32]>(connection.prepare_cached(sql)?.query_row(params![group], |row| row.get(0)))?;
    Ok(there.map(|there| if there == request.0 { Created::Duplicate } else { Created::Exists }))
}

pub(super) fn head(connection: &Connection, group: &[u8]) -> Result<Option<Head>, BackendError> {
    let sql = "SELECT epoch, sequence, committed, group_info, incarnation FROM groups WHERE gid = ?1";
    let row = connection.prepare_cached(sql)?.query_row(params![group], |row| {
        let numbers = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
        Ok((numbers, row.get(3)?, Incarnation(row.get(4)?)))
    });
    let Some(((epoch, sequence, commit), group_info, incarnation)) = found(row)? else { return Ok(None) };
    Ok(Some(Head {
        incarnation,
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
    let state = state(connection, group)?.filter(|state| state.incarnation == new.incarnation);
    let Some(state) = state else { return Ok(Committed::NoGroup) };
    let made = made(connection, &state, new.request, new.epoch)?;
    if state.epoch != new.epoch || matches!(made, Committed::Duplicate(_)) {
        return Ok(made);
    }
    let sequence = state.sequence.saturating_add(1);
    // The first fence: the head is still where the commit begins.
    let sql =
        "UPDATE groups SET epoch = epoch + 1, sequence = ?3, committed = ?3, group_info = ?4, used = ?5,
        bytes = bytes + length(?6) WHERE id = ?1 AND epoch = ?2";
    let (epoch, at) = (to_sql(new.epoch), to_sql(new.at.0));
    let values = params![state.id, epoch, to_sql(sequence), new.group_info, at, new.body];
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
    send(connection, &state, new)?;
    Ok(Committed::Accepted(sequence))
}

/// The Welcomes of a commit.
fn send(connection: &Connection, state: &State, new: &NewCommit) -> Result<(), BackendError> {
    let (epoch, at) = (to_sql(new.epoch), to_sql(new.at.0));
    if !new.welcomes.is_empty() {
        let sql = "INSERT INTO shared (grp, epoch, body) VALUES (?1, ?2, ?3)";
        run(connection, sql, params![state.id, epoch, new.shared])?;
    }
    for welcome in &new.welcomes {
        let sql =
            "INSERT OR IGNORE INTO outgoing (grp, epoch, account, device, name, reference, body, at, due)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
        let (account, device) = (welcome.account.0, welcome.device.0);
        let values =
            params![state.id, epoch, account, device, welcome.id, welcome.reference, welcome.body, at];
        run(connection, sql, values)?;
    }
    Ok(())
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
    let state = state(connection, group)?.filter(|state| state.incarnation == new.incarnation);
    let Some(state) = state else { return Ok(Appended::NoGroup) };
    if let Some(sequence) = sequence_of(connection, &state, new.request)? {
        return Ok(Appended::Duplicate(sequence));
    }
    let oldest = state.epoch.saturating_sub(new.late);
    if !(oldest..=state.epoch).contains(&new.epoch) {
        return Ok(Appended::Stale { epoch: state.epoch });
    }
    let sequence = state.sequence.saturating_add(1);
    let sql = "UPDATE groups SET sequence = ?2, used = ?3, bytes = bytes + length(?4) WHERE id = ?1";
    run(connection, sql, params![state.id, to_sql(sequence), to_sql(new.at.0), new.body])?;
    let entry =
        LogRow { kind: new.kind, epoch: new.epoch, request: new.request, body: &new.body, at: new.at };
    insert(connection, &state, sequence, &entry)?;
    Ok(Appended::Accepted(sequence))
}

pub(super) fn read(
    connection: &Connection,
    group: &[u8],
    reading: Reading,
    limit: PageLimit,
) -> Result<Option<Page>, BackendError> {
    // One moment for all of it.
    let transaction = connection.unchecked_transaction()?;
    let Some(state) = state(&transaction, group)? else { return Ok(None) };
    let sql = "SELECT min(sequence) FROM log WHERE grp = ?1";
    let first: Option<i64> =
        transaction.prepare_cached(sql)?.query_row(params![state.id], |row| row.get(0))?;
    let first = first.map(from_sql).transpose()?.unwrap_or(state.sequence.saturating_add(1));
    let cursor = match reading.slot {
        Some(slot) => cursor(&transaction, &state, slot)?,
        None => None,
    };
    let entries = entries(&transaction, &state, reading, limit)?;
    let State { incarnation, epoch, sequence: newest, bytes, .. } = state;
    Ok(Some(Page { incarnation, epoch, newest, first, bytes, cursor, entries }))
}

fn cursor(connection: &Connection, state: &State, slot: SlotId) -> Result<Option<Cursor>, BackendError> {
    let sql = "SELECT sequence, at FROM cursors WHERE grp = ?1 AND slot = ?2";
    let row = connection
        .prepare_cached(sql)?
        .query_row(params![state.id, slot.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let Some((sequence, at)) = found(row)? else { return Ok(None) };
    Ok(Some(Cursor { slot, sequence: from_sql(sequence)?, at: Seconds(from_sql(at)?) }))
}

fn entries(
    connection: &Connection,
    state: &State,
    reading: Reading,
    limit: PageLimit,
) -> Result<Vec<Entry>, BackendError> {
    let sql = match reading.kinds {
        Kinds::All => {
            "SELECT sequence, kind, epoch, body, at FROM log
            WHERE grp = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"
        }
        Kinds::Handshakes => {
            "SELECT sequence, kind, epoch, body, at FROM log
            WHERE grp = ?1 AND sequence > ?2 AND kind < 2 ORDER BY sequence LIMIT ?3"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![state.id, to_sql(reading.after), limit.entries.max(1)])?;
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
    let sql = "SELECT snapshots.epoch, snapshots.sequence, body, incarnation
        FROM snapshots JOIN groups ON groups.id = snapshots.grp
        WHERE gid = ?1 AND snapshots.epoch <= ?2 ORDER BY snapshots.epoch DESC LIMIT 1";
    let row = connection.prepare_cached(sql)?.query_row(params![group, to_sql(epoch)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?, Incarnation(row.get(3)?)))
    });
    let Some((epoch, sequence, body, incarnation)) = found(row)? else { return Ok(None) };
    Ok(Some(Snapshot { incarnation, epoch: from_sql(epoch)?, sequence: from_sql(sequence)?, body }))
}

pub(super) fn put_snapshot(
    connection: &Connection,
    group: &[u8],
    snapshot: &Snapshot,
    keep: u32,
) -> Result<(), BackendError> {
    let state = state(connection, group)?.filter(|state| state.incarnation == snapshot.incarnation);
    let Some(state) = state else { return Ok(()) };
    let sql = "INSERT OR IGNORE INTO snapshots (grp, epoch, sequence, body) VALUES (?1, ?2, ?3, ?4)";
    let values = params![state.id, to_sql(snapshot.epoch), to_sql(snapshot.sequence), snapshot.body];
    run(connection, sql, values)?;
    let sql = "DELETE FROM snapshots WHERE grp = ?1 AND epoch NOT IN
        (SELECT epoch FROM snapshots WHERE grp = ?1 ORDER BY epoch DESC LIMIT ?2)";
    run(connection, sql, params![state.id, keep.max(1)])?;
    Ok(())
}

pub(super) fn move_cursors(
    connection: &Connection,
    group: &[u8],
    cursors: &[Cursor],
) -> Result<(), BackendError> {
    let sql = "INSERT INTO cursors (grp, slot, sequence, at) SELECT id, ?2, min(?3, sequence), ?4 FROM groups WHERE gid = ?1
        ON CONFLICT (grp, slot) DO UPDATE SET sequence = max(sequence, excluded.sequence), at = max(at, excluded.at)";
    for cursor in cursors {
        let (sequence, at) = (to_sql(cursor.sequence), to_sql(cursor.at.0));
        run(connection, sql, params![group, cursor.slot.0, sequence, at])?;
    }
    Ok(())
}

pub(super) fn outgoing(
    connection: &Connection,
    now: Seconds,
    most: u32,
) -> Result<Vec<OutgoingWelcome>, BackendError> {
    let sql = "WITH oldest AS (SELECT id, grp, due FROM outgoing WHERE due <= ?1 ORDER BY due, id LIMIT ?3),
            turns AS (SELECT id, due, row_number() OVER (PARTITION BY grp ORDER BY due, id) AS turn FROM oldest),
            next AS (SELECT id, due, turn FROM turns ORDER BY turn, due, id LIMIT ?2)
        SELECT gid, account, device, name, reference, outgoing.body, at, shared.body
        FROM next JOIN outgoing ON outgoing.id = next.id JOIN groups ON groups.id = outgoing.grp
            JOIN shared ON shared.grp = outgoing.grp AND shared.epoch = outgoing.epoch
        ORDER BY next.turn, next.due, next.id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![to_sql(now.0), most, IN_TURN], |row| {
        let (account, device) = (AccountId(row.get(1)?), DeviceId(row.get(2)?));
        let (id, reference) = (row.get(3)?, row.get(4)?);
        let body = [row.get::<_, Vec<u8>>(5)?, row.get(7)?].concat();
        let welcome = NewWelcome { account, device, id, reference, body };
        let at = Seconds(u64::try_from(row.get::<_, i64>(6)?).unwrap_or_default());
        Ok(OutgoingWelcome { group: row.get(0)?, welcome, at })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn uncarried(connection: &Connection, group: &[u8]) -> Result<Uncarried, BackendError> {
    let sql = "SELECT count(*), coalesce(sum(length(body)), 0)
            + (SELECT coalesce(sum(length(body)), 0) FROM shared WHERE grp = (SELECT id FROM groups WHERE gid = ?1))
        FROM outgoing WHERE grp = (SELECT id FROM groups WHERE gid = ?1)";
    let (number, bytes) = connection
        .prepare_cached(sql)?
        .query_row(params![group], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok(Uncarried { number: from_sql(number)?, bytes: from_sql(bytes)? })
}

pub(super) fn postpone(
    connection: &Connection,
    group: &[u8],
    ids: &[[u8; 32]],
    until: Seconds,
) -> Result<(), BackendError> {
    let sql = "UPDATE outgoing SET due = ?3 WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND name = ?2";
    ids.iter().try_for_each(|id| run(connection, sql, params![group, id, to_sql(until.0)]).map(drop))
}

pub(super) fn carried(connection: &Connection, group: &[u8], ids: &[[u8; 32]]) -> Result<(), BackendError> {
    let sql = "DELETE FROM outgoing WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND name = ?2";
    ids.iter().try_for_each(|id| run(connection, sql, params![group, id]).map(drop))?;
    // What nobody waits for any more.
    let sql = "DELETE FROM shared WHERE grp = (SELECT id FROM groups WHERE gid = ?1) AND NOT EXISTS
        (SELECT 1 FROM outgoing WHERE outgoing.grp = shared.grp AND outgoing.epoch = shared.epoch)";
    run(connection, sql, params![group]).map(drop)
}

pub(super) fn trim(connection: &Connection, group: &[u8], limits: TrimLimits) -> Result<u64, BackendError> {
    let Some(state) = state(connection, group)? else { return Ok(0) };
    let one = |sql: &str, time: Seconds| -> Result<Option<u64>, BackendError> {
        let values = params![state.id, to_sql(time.0)];
        let row = connection.prepare_cached(sql)?.query_row(values, |row| row.get::<_, Option<i64>>(0));
        found(row)?.flatten().map(from_sql).transpose()
    };
    run(
        connection,
        "DELETE FROM cursors WHERE grp = ?1 AND at < ?2",
        params![state.id, to_sql(limits.unread_before.0)],
    )?;
    // What is before the first young entry is old, so the log stays one piece to its end.
    let young = "SELECT sequence FROM log WHERE grp = ?1 AND at >= ?2 ORDER BY sequence LIMIT 1";
    let old = |time| one(young, time).map(|first| first.map_or(u64::MAX, |first| first.saturating_sub(1)));
    let read_by_all = one("SELECT min(sequence) FROM cursors WHERE grp = ?1 AND at >= ?2", Seconds(0))?;
    let unneeded = one("SELECT min(sequence) FROM snapshots WHERE grp = ?1 AND epoch >= ?2", Seconds(0))?;
    let Some(first) = one("SELECT min(sequence) FROM log WHERE grp = ?1 AND at >= ?2", Seconds(0))? else {
        return touched(connection, &state, limits.at).map(|()| 0);
    };
    let last = old(limits.before)?
        .min(read_by_all.unwrap_or(u64::MAX).max(old(limits.unread_before)?))
        .min(unneeded.unwrap_or(0))
        .min(first.saturating_add(limits.most).saturating_sub(1));
    let sql = "UPDATE groups SET bytes = max(0, bytes - (SELECT coalesce(sum(length(body)), 0) FROM log
        WHERE grp = ?1 AND sequence <= ?2)) WHERE id = ?1";
    run(connection, sql, params![state.id, to_sql(last)])?;
    let sql = "DELETE FROM log WHERE grp = ?1 AND sequence <= ?2";
    let gone = run(connection, sql, params![state.id, to_sql(last)])?;
    touched(connection, &state, limits.at)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

fn touched(connection: &Connection, state: &State, at: Seconds) -> Result<(), BackendError> {
    run(connection, "UPDATE groups SET trimmed = ?2 WHERE id = ?1", params![state.id, to_sql(at.0)]).map(drop)
}

pub(super) fn untrimmed(
    connection: &Connection,
    since: Seconds,
    most: u32,
) -> Result<Vec<Vec<u8>>, BackendError> {
    let sql = "SELECT gid FROM groups WHERE trimmed < ?1 ORDER BY trimmed LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![to_sql(since.0), most], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn idle(connection: &Connection, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
    let sql = "SELECT gid FROM groups WHERE used < ?1 ORDER BY used LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![to_sql(since.0), most], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn erase(connection: &Connection, group: &[u8], since: Seconds) -> Result<(), BackendError> {
    run(connection, "DELETE FROM groups WHERE gid = ?1 AND used < ?2", params![group, to_sql(since.0)])?;
    Ok(())
}

fn state(connection: &Connection, group: &[u8]) -> Result<Option<State>, BackendError> {
    let sql = "SELECT id, epoch, sequence, incarnation, bytes FROM groups WHERE gid = ?1";
    let row = connection.prepare_cached(sql)?.query_row(params![group], |row| {
        let numbers = (row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(4)?);
        Ok((row.get(0)?, numbers, Incarnation(row.get(3)?)))
    });
    let Some((id, (epoch, sequence, bytes), incarnation)) = found(row)? else { return Ok(None) };
    let (epoch, sequence, bytes) = (from_sql(epoch)?, from_sql(sequence)?, from_sql(bytes)?);
    Ok(Some(State { id, incarnation, epoch, sequence, bytes }))
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
