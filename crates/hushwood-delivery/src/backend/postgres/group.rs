//! A group's tables, apart from how its log grows.

use deadpool_postgres::Pool;
use tokio_postgres::Row;

use crate::backend::postgres::connect::connection;
use crate::backend::postgres::error::{reading, writing};
use crate::backend::postgres::{column, fixed, from_sql, number, run, select, to_sql};
use crate::backend::{
    AccountId, BackendError, Committed, Created, Cursor, DeviceId, Entry, Head, IN_TURN, Incarnation, Kinds,
    NewGroup, NewWelcome, OutgoingWelcome, Page, PageLimit, Reading, RequestId, Seconds, SlotId, Snapshot,
    TrimLimits, Uncarried,
};
use crate::wire::EntryKind;

pub(super) async fn create(pool: &Pool, new: &NewGroup) -> Result<Created, BackendError> {
    let sql = "WITH made AS (
            INSERT INTO groups (gid, incarnation, request, epoch, sequence, committed, used, used_day, trimmed)
            VALUES ($1, $2, $3, $4, 0, 0, $5::bigint, $5 / 86400, $5) ON CONFLICT (gid) DO NOTHING RETURNING gid
        ), info AS (
            INSERT INTO group_infos (gid, body) SELECT gid, $6 FROM made
        )
        INSERT INTO snapshots (gid, epoch, sequence, body) SELECT gid, $4, 0, $7 FROM made";
    let (epoch, at) = (to_sql(new.epoch), to_sql(new.at.0));
    let (incarnation, request) = (new.incarnation.0.as_slice(), new.request.0.as_slice());
    if run(pool, sql, &[&new.group, &incarnation, &request, &epoch, &at, &new.group_info, &new.snapshot])
        .await?
        > 0
    {
        return Ok(Created::Created);
    }
    // It may have been erased at this moment.
    created(pool, &new.group, new.request).await?.ok_or(BackendError::Busy)
}

pub(super) async fn created(
    pool: &Pool,
    group: &[u8],
    request: RequestId,
) -> Result<Option<Created>, BackendError> {
    let rows = select(pool, "SELECT request FROM groups WHERE gid = $1", &[&group]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(if fixed(row, 0)? == request.0 { Created::Duplicate } else { Created::Exists }))
}

pub(super) async fn head(pool: &Pool, group: &[u8]) -> Result<Option<Head>, BackendError> {
    let sql = "SELECT incarnation, epoch, sequence, committed, body FROM groups JOIN group_infos USING (gid) WHERE gid = $1";
    let rows = select(pool, sql, &[&group]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Head {
        incarnation: Incarnation(fixed(row, 0)?),
        epoch: number(row, 1)?,
        sequence: number(row, 2)?,
        commit: number(row, 3)?,
        group_info: column(row, 4)?,
    }))
}

pub(super) async fn outcome(
    pool: &Pool,
    group: &[u8],
    request: RequestId,
    epoch: u64,
) -> Result<Committed, BackendError> {
    let sql = "SELECT epoch, (SELECT sequence FROM log WHERE log.gid = groups.gid AND request = $2),
            (SELECT sequence FROM log WHERE log.gid = groups.gid AND log.epoch = $3 AND kind = 0)
        FROM groups WHERE gid = $1";
    let rows = select(pool, sql, &[&group, &request.0.as_slice(), &to_sql(epoch)]).await?;
    let Some(row) = rows.first() else { return Ok(Committed::NoGroup) };
    if let Some(sequence) = column::<Option<i64>>(row, 1)? {
        return Ok(Committed::Duplicate(from_sql(sequence)?));
    }
    let winner = column::<Option<i64>>(row, 2)?.unwrap_or(0);
    Ok(Committed::Stale { epoch: number(row, 0)?, winner: from_sql(winner)? })
}

/// One statement, so that it is of one moment. Only what fits into the answer leaves the server.
macro_rules! page_of {
    ($kinds:literal) => {
        concat!(
            "SELECT incarnation, groups.epoch, groups.sequence,
                coalesce((SELECT min(sequence) FROM log WHERE log.gid = groups.gid), groups.sequence + 1),
                cursors.sequence, cursors.at, entry.sequence, entry.kind, entry.epoch, entry.body, entry.at, groups.bytes
            FROM groups LEFT JOIN cursors ON cursors.gid = groups.gid AND cursors.slot = $3
            LEFT JOIN LATERAL (
                SELECT sequence, kind, epoch, body, at, sum(octet_length(body)) OVER up_to AS size, row_number() OVER up_to AS place
                FROM (SELECT * FROM log WHERE log.gid = groups.gid AND sequence > $2",
            $kinds,
            " ORDER BY sequence LIMIT $4) AS following WINDOW up_to AS (ORDER BY sequence)
            ) AS entry ON place = 1 OR size <= $5
            WHERE groups.gid = $1 ORDER BY entry.sequence"
        )
    };
}

pub(super) async fn read(
    pool: &Pool,
    group: &[u8],
    reading: Reading,
    limit: PageLimit,
) -> Result<Option<Page>, BackendError> {
    let sql = match reading.kinds {
        Kinds::All => page_of!(""),
        Kinds::Handshakes => page_of!(" AND kind < 2"),
    };
    let slot = reading.slot.map(|slot| slot.0.to_vec());
    let (entries, bytes) = (i64::from(limit.entries.max(1)), to_sql(limit.bytes));
    let rows = select(pool, sql, &[&group, &to_sql(reading.after), &slot, &entries, &bytes]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut page = Page {
        incarnation: Incarnation(fixed(first, 0)?),
        epoch: number(first, 1)?,
        newest: number(first, 2)?,
        first: number(first, 3)?,
        bytes: number(first, 11)?,
        cursor: cursor(first, reading.slot)?,
        entries: Vec::new(),
    };
    for row in &rows {
        if let Some(sequence) = column::<Option<i64>>(row, 6)? {
            page.entries.push(entry(row, from_sql(sequence)?)?);
        }
    }
    Ok(Some(page))
}

fn cursor(row: &Row, slot: Option<SlotId>) -> Result<Option<Cursor>, BackendError> {
    match (slot, column::<Option<i64>>(row, 4)?) {
        (Some(slot), Some(sequence)) => {
            Ok(Some(Cursor { slot, sequence: from_sql(sequence)?, at: Seconds(number(row, 5)?) }))
        }
        _ => Ok(None),
    }
}

fn entry(row: &Row, sequence: u64) -> Result<Entry, BackendError> {
    let kind = match column::<i16>(row, 7)? {
        0 => EntryKind::Commit,
        1 => EntryKind::Proposal,
        2 => EntryKind::Message,
        _ => return Err(BackendError::Corrupt("an entry of no kind")),
    };
    let (epoch, at) = (number(row, 8)?, Seconds(number(row, 10)?));
    Ok(Entry { sequence, kind, epoch, body: column(row, 9)?, at })
}

pub(super) async fn snapshot(
    pool: &Pool,
    group: &[u8],
    epoch: u64,
) -> Result<Option<Snapshot>, BackendError> {
    let sql =
        "SELECT incarnation, snapshots.epoch, snapshots.sequence, body FROM snapshots JOIN groups USING (gid)
        WHERE snapshots.gid = $1 AND snapshots.epoch <= $2 ORDER BY snapshots.epoch DESC LIMIT 1";
    let rows = select(pool, sql, &[&group, &to_sql(epoch)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Snapshot {
        incarnation: Incarnation(fixed(row, 0)?),
        epoch: number(row, 1)?,
        sequence: number(row, 2)?,
        body: column(row, 3)?,
    }))
}

pub(super) async fn put_snapshot(
    pool: &Pool,
    group: &[u8],
    snapshot: &Snapshot,
    keep: u32,
) -> Result<(), BackendError> {
    let sql = "INSERT INTO snapshots (gid, epoch, sequence, body) SELECT gid, $3, $4, $5
        FROM groups WHERE gid = $1 AND incarnation = $2 FOR KEY SHARE ON CONFLICT (gid, epoch) DO NOTHING";
    let (epoch, sequence) = (to_sql(snapshot.epoch), to_sql(snapshot.sequence));
    let incarnation = snapshot.incarnation.0.as_slice();
    run(pool, sql, &[&group, &incarnation, &epoch, &sequence, &snapshot.body]).await?;
    // If this does not happen, the next one does it.
    let sql = "DELETE FROM snapshots WHERE gid = $1 AND epoch < (
            SELECT min(epoch) FROM (SELECT epoch FROM snapshots WHERE gid = $1 ORDER BY epoch DESC LIMIT $2) AS kept)
        AND EXISTS (SELECT 1 FROM groups WHERE gid = $1 AND incarnation = $3)";
    run(pool, sql, &[&group, &i64::from(keep.max(1)), &incarnation]).await?;
    Ok(())
}

pub(super) async fn move_cursors(pool: &Pool, group: &[u8], cursors: &[Cursor]) -> Result<(), BackendError> {
    // What does not move is not written. A row is named once: two values for one slot are one.
    let sql = "INSERT INTO cursors (gid, slot, sequence, at)
        SELECT groups.gid, moved.slot, least(moved.sequence, groups.sequence), moved.at
        FROM (SELECT slot, max(sequence) AS sequence, max(at) AS at FROM unnest($2::bytea[], $3::bigint[], $4::bigint[])
                AS one (slot, sequence, at) GROUP BY slot) AS moved
            JOIN groups ON groups.gid = $1
            LEFT JOIN cursors ON cursors.gid = groups.gid AND cursors.slot = moved.slot
        WHERE cursors.gid IS NULL OR cursors.sequence < least(moved.sequence, groups.sequence) OR cursors.at < moved.at
        ORDER BY moved.slot
        ON CONFLICT (gid, slot) DO UPDATE SET sequence = greatest(cursors.sequence, excluded.sequence),
            at = greatest(cursors.at, excluded.at)";
    let slots: Vec<&[u8]> = cursors.iter().map(|cursor| cursor.slot.0.as_slice()).collect();
    let sequences: Vec<i64> = cursors.iter().map(|cursor| to_sql(cursor.sequence)).collect();
    let at: Vec<i64> = cursors.iter().map(|cursor| to_sql(cursor.at.0)).collect();
    run(pool, sql, &[&group, &slots, &sequences, &at]).await?;
    Ok(())
}

pub(super) async fn outgoing(
    pool: &Pool,
    now: Seconds,
    most: u32,
) -> Result<Vec<OutgoingWelcome>, BackendError> {
    let sql = "WITH oldest AS (SELECT id, gid, due, name FROM outgoing WHERE due <= $1 ORDER BY due, id LIMIT $3),
            turns AS (SELECT id, gid, due, name, row_number() OVER (PARTITION BY gid ORDER BY due, id) AS turn FROM oldest),
            next AS (SELECT id, gid, due, name, turn FROM turns ORDER BY turn, due, id LIMIT $2)
        SELECT gid, account, device, name, reference, outgoing.body, at, shared.body
        FROM next JOIN outgoing USING (gid, name) JOIN shared USING (gid, epoch)
        ORDER BY next.turn, next.due, next.id";
    let rows = select(pool, sql, &[&to_sql(now.0), &i64::from(most), &i64::from(IN_TURN)]).await?;
    let outgoing = rows.iter().map(|row| {
        let (account, device) = (AccountId(fixed(row, 1)?), DeviceId(fixed(row, 2)?));
        let (id, reference) = (fixed(row, 3)?, column(row, 4)?);
        let body = [column::<&[u8]>(row, 5)?, column(row, 7)?].concat();
        let welcome = NewWelcome { account, device, id, reference, body };
        Ok(OutgoingWelcome { group: column(row, 0)?, welcome, at: Seconds(number(row, 6)?) })
    });
    outgoing.collect()
}

pub(super) async fn uncarried(pool: &Pool, group: &[u8]) -> Result<Uncarried, BackendError> {
    let sql = "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint
            + (SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM shared WHERE gid = $1)
        FROM outgoing WHERE gid = $1";
    let rows = select(pool, sql, &[&group]).await?;
    let Some(row) = rows.first() else { return Ok(Uncarried::default()) };
    Ok(Uncarried { number: number(row, 0)?, bytes: number(row, 1)? })
}

pub(super) async fn postpone(
    pool: &Pool,
    group: &[u8],
    ids: &[[u8; 32]],
    until: Seconds,
) -> Result<(), BackendError> {
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 32]>::as_slice).collect();
    let sql = "UPDATE outgoing SET due = $3 WHERE gid = $1 AND name = ANY ($2)";
    run(pool, sql, &[&group, &ids, &to_sql(until.0)]).await.map(drop)
}

pub(super) async fn carried(pool: &Pool, group: &[u8], ids: &[[u8; 32]]) -> Result<(), BackendError> {
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 32]>::as_slice).collect();
    run(pool, "DELETE FROM outgoing WHERE gid = $1 AND name = ANY ($2)", &[&group, &ids]).await?;
    // What nobody waits for any more. If this does not happen, the next one does it.
    let sql = "DELETE FROM shared WHERE gid = $1 AND NOT EXISTS
        (SELECT 1 FROM outgoing WHERE outgoing.gid = $1 AND outgoing.epoch = shared.epoch)";
    run(pool, sql, &[&group]).await.map(drop)
}

pub(super) async fn trim(pool: &Pool, group: &[u8], limits: TrimLimits) -> Result<u64, BackendError> {
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    // A log is written under its group's lock alone.
    let lock = transaction.prepare_cached("SELECT 1 FROM groups WHERE gid = $1 FOR NO KEY UPDATE").await;
    let lock = lock.map_err(|error| reading(&error))?;
    if transaction.query_opt(&lock, &[&group]).await.map_err(|error| reading(&error))?.is_none() {
        return Ok(0);
    }
    let forget = transaction.prepare_cached("DELETE FROM cursors WHERE gid = $1 AND at < $2").await;
    let forget = forget.map_err(|error| reading(&error))?;
    let (before, unread_before) = (to_sql(limits.before.0), to_sql(limits.unread_before.0));
    transaction.execute(&forget, &[&group, &unread_before]).await.map_err(|error| reading(&error))?;
    // What is before the first young entry is old, so the log stays one piece to its end.
    let sql = "WITH bounds AS (
            SELECT (SELECT sequence - 1 FROM log WHERE gid = $1 AND at >= $2 ORDER BY sequence LIMIT 1) AS old,
                (SELECT sequence - 1 FROM log WHERE gid = $1 AND at >= $3 ORDER BY sequence LIMIT 1) AS very_old,
                (SELECT min(sequence) FROM cursors WHERE gid = $1) AS read_by_all,
                (SELECT min(sequence) FROM snapshots WHERE gid = $1) AS unneeded,
                (SELECT min(sequence) FROM log WHERE gid = $1) AS first,
                9223372036854775807 AS unbounded
        ), last AS (
            SELECT least(
                coalesce(old, unbounded),
                greatest(coalesce(read_by_all, unbounded), coalesce(very_old, unbounded)),
                coalesce(unneeded, 0),
                first - 1 + least($4, unbounded / 2)
            ) AS sequence FROM bounds
        ), gone AS (
            DELETE FROM log USING last WHERE log.gid = $1 AND log.sequence <= last.sequence
            RETURNING octet_length(body) AS size
        )
        SELECT count(*), coalesce(sum(size), 0)::bigint FROM gone";
    let delete = transaction.prepare_cached(sql).await.map_err(|error| reading(&error))?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&group, &before, &unread_before, &to_sql(limits.most)];
    let gone = transaction.query_one(&delete, &values).await.map_err(|error| reading(&error))?;
    let (gone, bytes) = (number(&gone, 0)?, number(&gone, 1)?);
    let touch = "UPDATE groups SET trimmed = $2, bytes = greatest(0, bytes - $3) WHERE gid = $1";
    let touch = transaction.prepare_cached(touch).await.map_err(|error| reading(&error))?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&group, &to_sql(limits.at.0), &to_sql(bytes)];
    transaction.execute(&touch, &values).await.map_err(|error| reading(&error))?;
    transaction.commit().await.map_err(|error| writing(&error))?;
    Ok(gone)
}

pub(super) async fn untrimmed(pool: &Pool, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
    let sql = "SELECT gid FROM groups WHERE trimmed < $1 ORDER BY trimmed LIMIT $2";
    let rows = select(pool, sql, &[&to_sql(since.0), &i64::from(most)]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

pub(super) async fn idle(pool: &Pool, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
    // The index knows days.
    let sql = "SELECT gid FROM groups WHERE used_day <= $1::bigint / 86400 AND used < $1 ORDER BY used_day, used LIMIT $2";
    let rows = select(pool, sql, &[&to_sql(since.0), &i64::from(most)]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

pub(super) async fn erase(pool: &Pool, group: &[u8], since: Seconds) -> Result<(), BackendError> {
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    let lock = "SELECT 1 FROM groups WHERE gid = $1 AND used < $2 FOR UPDATE";
    let lock = transaction.prepare_cached(lock).await.map_err(|error| reading(&error))?;
    let there = transaction.query_opt(&lock, &[&group, &to_sql(since.0)]).await;
    if there.map_err(|error| reading(&error))?.is_none() {
        return Ok(());
    }
    for sql in [
        "DELETE FROM log WHERE gid = $1",
        "DELETE FROM outgoing WHERE gid = $1",
        "DELETE FROM shared WHERE gid = $1",
        // The others go with it.
        "DELETE FROM groups WHERE gid = $1",
    ] {
        let statement = transaction.prepare_cached(sql).await.map_err(|error| reading(&error))?;
        transaction.execute(&statement, &[&group]).await.map_err(|error| reading(&error))?;
    }
    transaction.commit().await.map_err(|error| writing(&error))
}
