//! The statements by which a log grows. The tables are in `migrations`.

/// Locks groups in their order, so that two transactions never wait for each other.
pub(super) const LOCK: &str = "SELECT gid, incarnation, epoch, sequence FROM groups
    WHERE gid = ANY ($1::bytea[]) ORDER BY gid FOR NO KEY UPDATE";

/// The same for one, in a form that a distributed database sends to the one machine that has it.
pub(super) const LOCK_ONE: &str =
    "SELECT gid, incarnation, epoch, sequence FROM groups WHERE gid = $1::bytea FOR NO KEY UPDATE";

/// Which requests have made an entry already. Asked after the lock: it sees what the lock's last holder has left.
pub(super) const SEEN: &str = "SELECT log.gid, log.request, log.sequence
    FROM unnest($1::bytea[], $2::bytea[]) AS asked (gid, request)
    JOIN log ON log.gid = asked.gid AND log.request = asked.request";

/// The commits that have ended these epochs.
pub(super) const WINNERS: &str = "SELECT log.gid, log.epoch, log.sequence
    FROM unnest($1::bytea[], $2::bigint[]) AS lost (gid, epoch)
    JOIN log ON log.gid = lost.gid AND log.epoch = lost.epoch AND log.kind = 0";

/// The new heads and everything that comes with them.
///
/// The first fence: a head moves only from where it was seen. What hangs on one that did not move is not written, and then the
/// last line divides by zero, so that nothing of the transaction is. The second fence is the index on commits by epoch.
pub(super) const WRITE: &str = "WITH moved AS (
        UPDATE groups SET epoch = head.epoch, sequence = head.sequence, used = head.used, used_day = head.used / 86400,
            committed = coalesce(head.committed, groups.committed), bytes = groups.bytes + head.bytes
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $28::bigint[])
            AS head (gid, was_epoch, was_sequence, epoch, sequence, committed, used, bytes)
        WHERE groups.gid = head.gid AND groups.epoch = head.was_epoch AND groups.sequence = head.was_sequence
        RETURNING groups.gid
    ), infos AS (
        UPDATE group_infos SET body = info.body
        FROM unnest($8::bytea[], $9::bytea[]) AS info (gid, body) JOIN moved ON moved.gid = info.gid
        WHERE group_infos.gid = info.gid
    ), sent AS (
        INSERT INTO outgoing (gid, name, account, device, reference, body, at, due, epoch)
        SELECT welcome.gid, name, account, device, reference, body, at, at, epoch
        FROM unnest($10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bigint[], $24::bigint[])
            AS welcome (gid, name, account, device, reference, body, at, epoch) JOIN moved ON moved.gid = welcome.gid
        ON CONFLICT (gid, name) DO NOTHING
    ), common AS (
        INSERT INTO shared (gid, epoch, body)
        SELECT common.gid, epoch, body FROM unnest($25::bytea[], $26::bigint[], $27::bytea[]) AS common (gid, epoch, body)
            JOIN moved ON moved.gid = common.gid
    ), written AS (
        INSERT INTO log (gid, sequence, epoch, kind, request, body, at)
        SELECT entry.gid, sequence, epoch, kind, request, body, at
        FROM unnest($17::bytea[], $18::bigint[], $19::bigint[], $20::smallint[], $21::bytea[], $22::bytea[], $23::bigint[])
            AS entry (gid, sequence, epoch, kind, request, body, at) JOIN moved ON moved.gid = entry.gid
        RETURNING 1
    )
    SELECT 1 / (count(*) = cardinality($17))::int FROM written";
