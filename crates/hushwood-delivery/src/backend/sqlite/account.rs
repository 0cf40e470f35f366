//! An account's tables.

use rusqlite::{Connection, params};

use crate::backend::sqlite::{found, from_sql, invites, run, to_sql};
use crate::backend::{
    AccountId, BackendError, CLAIMED, Claim, Claimed, Delivered, Delivery, DeviceId, GroupQuota, InboxEntry,
    KeyPackageEntry, NewDevice, NewKeyPackage, PageLimit, Published, REPLACED, Registered, Seconds, Stock,
};

pub(super) fn register(connection: &Connection, new: &NewDevice) -> Result<Registered, BackendError> {
    let name = name(connection, new.account)?;
    if let Some((key, revoked)) = any_device(connection, new.account, new.device)? {
        return Ok(match (key == new.key, revoked, name.as_ref() == Some(&new.name)) {
            (false, _, _) => Registered::Exists,
            (true, true, _) => Registered::Revoked,
            (true, false, false) => Registered::OtherName,
            (true, false, true) => Registered::Registered,
        });
    }
    match (new.first, name) {
        (true, Some(_)) => return Ok(Registered::Exists),
        (true, None) => {
            if let Some(invite) = new.invite
                && !invites::is_good(connection, invite, new.at)?
            {
                return Ok(Registered::NotInvited);
            }
            let sql = "INSERT OR IGNORE INTO accounts (account, name, look) VALUES (?1, ?2, ?3)";
            if run(connection, sql, params![new.account.0, new.name, new.look])? == 0 {
                return Ok(Registered::NameTaken);
            }
            if let Some(invite) = new.invite {
                invites::take(connection, invite)?;
            }
        }
        (false, None) => return Ok(Registered::NoAccount),
        (false, Some(name)) if name != new.name => return Ok(Registered::OtherName),
        (false, Some(_)) => {
            if devices(connection, new.account)?.len() >= usize::try_from(new.most).unwrap_or(usize::MAX) {
                return Ok(Registered::TooMany);
            }
        }
    }
    let sql = "INSERT INTO devices (account, device, key, at, revoked) VALUES (?1, ?2, ?3, ?4, 0)";
    run(connection, sql, params![new.account.0, new.device.0, new.key, to_sql(new.at.0)])?;
    Ok(Registered::Registered)
}

fn name(connection: &Connection, account: AccountId) -> Result<Option<String>, BackendError> {
    let sql = "SELECT name FROM accounts WHERE account = ?1";
    found(connection.prepare_cached(sql)?.query_row(params![account.0], |row| row.get(0)))
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<AccountId>, BackendError> {
    let sql = "SELECT account FROM accounts WHERE name = ?1";
    found(connection.prepare_cached(sql)?.query_row(params![name], |row| Ok(AccountId(row.get(0)?))))
}

pub(super) fn count_group(
    connection: &Connection,
    account: AccountId,
    quota: GroupQuota,
) -> Result<bool, BackendError> {
    let sql =
        "UPDATE accounts SET brought = iif(since < ?2, 1, brought + 1), since = iif(since < ?2, ?3, since)
        WHERE account = ?1 AND (since < ?2 OR brought < ?4)";
    let values = params![account.0, to_sql(quota.since.0), to_sql(quota.at.0), quota.most];
    Ok(run(connection, sql, values)? == 1)
}

pub(super) fn device_key(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<Vec<u8>>, BackendError> {
    let sql = "SELECT key FROM devices WHERE account = ?1 AND device = ?2 AND revoked = 0";
    found(connection.prepare_cached(sql)?.query_row(params![account.0, device.0], |row| row.get(0)))
}

/// A device that is or was there: its key, and whether it was revoked.
fn any_device(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<(Vec<u8>, bool)>, BackendError> {
    let sql = "SELECT key, revoked FROM devices WHERE account = ?1 AND device = ?2";
    let values = params![account.0, device.0];
    found(connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))))
}

pub(super) fn revoke(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<bool, BackendError> {
    // The row stays, so that nobody registers under the same name again.
    let sql = "UPDATE devices SET revoked = 1 WHERE account = ?1 AND device = ?2 AND revoked = 0";
    let revoked = run(connection, sql, params![account.0, device.0])? == 1;
    for sql in [
        "DELETE FROM key_packages WHERE account = ?1 AND device = ?2",
        "DELETE FROM inbox WHERE account = ?1 AND device = ?2",
    ] {
        run(connection, sql, params![account.0, device.0])?;
    }
    Ok(revoked)
}

pub(super) fn publish(
    connection: &Connection,
    (account, device): (AccountId, DeviceId),
    packages: &[NewKeyPackage],
    (most, now): (u32, Seconds),
) -> Result<Published, BackendError> {
    // A claimed one is remembered until nobody could use it any more.
    let sql = "DELETE FROM key_packages WHERE account = ?1 AND device = ?2 AND not_after < ?3";
    run(connection, sql, params![account.0, device.0, to_sql(now.0)])?;
    let there = waiting(connection, account, device)?;
    let mut more: u32 = 0;
    for package in packages.iter().filter(|package| !package.last_resort && !package.reserved) {
        more = more.saturating_add(u32::from(!is_known(connection, account, &package.reference)?));
    }
    if more > 0 && there.saturating_add(more) > most {
        return Ok(Published::TooMany { there });
    }
    for package in packages {
        let sql = "INSERT OR IGNORE INTO key_packages
            (account, device, suite, reference, not_after, last_resort, claimed, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (suite, not_after) = (package.suite, to_sql(package.not_after.0));
        let last_resort = package.last_resort && !package.reserved;
        let body: &[u8] = if package.reserved { &[] } else { &package.body };
        let values = params![
            account.0,
            device.0,
            suite,
            package.reference,
            not_after,
            last_resort,
            package.reserved,
            body
        ];
        if run(connection, sql, values)? == 1 && last_resort {
            // The name of the one before stays: a Welcome for it may be on its way.
            let sql = "UPDATE key_packages SET last_resort = 0, replaced = 1, claimed = 1, body = x''
                WHERE account = ?1 AND device = ?2 AND suite = ?3 AND last_resort = 1 AND reference <> ?4";
            run(connection, sql, params![account.0, device.0, suite, package.reference])?;
            let sql = "DELETE FROM key_packages WHERE id IN (SELECT id FROM key_packages
                WHERE account = ?1 AND device = ?2 AND claimed = 1 AND last_resort = 0 AND replaced = 1 AND suite = ?3
                ORDER BY id DESC LIMIT -1 OFFSET ?4)";
            run(connection, sql, params![account.0, device.0, suite, REPLACED])?;
        }
    }
    let sql = "DELETE FROM key_packages WHERE id IN (SELECT id FROM key_packages
        WHERE account = ?1 AND device = ?2 AND claimed = 1 AND last_resort = 0 ORDER BY id DESC LIMIT -1 OFFSET ?3)";
    run(connection, sql, params![account.0, device.0, CLAIMED])?;
    Ok(Published::Kept)
}

/// KeyPackages that wait to be claimed, those of last resort apart.
fn waiting(connection: &Connection, account: AccountId, device: DeviceId) -> Result<u32, BackendError> {
    let sql = "SELECT count(*) FROM key_packages
        WHERE account = ?1 AND device = ?2 AND claimed = 0 AND last_resort = 0";
    Ok(connection.prepare_cached(sql)?.query_row(params![account.0, device.0], |row| row.get(0))?)
}

fn is_known(connection: &Connection, account: AccountId, reference: &[u8]) -> Result<bool, BackendError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM key_packages WHERE account = ?1 AND reference = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![account.0, reference], |row| row.get(0))?)
}

pub(super) fn claim(connection: &Connection, claim: &Claim) -> Result<Claimed, BackendError> {
    let account = claim.account;
    let devices = match claim.device {
        Some(device) => vec![device],
        None => devices(connection, account)?.into_iter().map(|(device, _)| device).collect(),
    };
    let mut claimed = Claimed::default();
    for device in devices {
        let room = room(connection, account, device, claim.inbox)?;
        if !room.any {
            claimed.full = claimed.full.saturating_add(1);
            continue;
        }
        // The last resort comes after all others, the oldest first among them.
        let sql = "SELECT id, reference, last_resort, body FROM key_packages
            WHERE account = ?1 AND suite = ?2 AND device = ?3 AND (claimed = 0 OR last_resort = 1) AND not_after >= ?4
                AND last_resort >= ?5
            ORDER BY last_resort, id LIMIT 1";
        let values = params![account.0, claim.suite, device.0, to_sql(claim.now.0), claim.last_resort];
        let row = connection.prepare_cached(sql)?.query_row(values, |row| {
            let entry = KeyPackageEntry {
                device,
                reference: row.get(1)?,
                last_resort: row.get(2)?,
                body: row.get(3)?,
            };
            Ok((row.get::<_, i64>(0)?, entry))
        });
        let Some((id, entry)) = found(row)? else { continue };
        if entry.last_resort && !room.last_resort {
            claimed.full = claimed.full.saturating_add(1);
            continue;
        }
        // What nobody will be given again keeps its name and not its body.
        let sql = "UPDATE key_packages SET claimed = 1, body = iif(last_resort, body, x'') WHERE id = ?1";
        run(connection, sql, params![id])?;
        claimed.packages.push(entry);
    }
    Ok(claimed)
}

pub(super) fn stock(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    now: Seconds,
) -> Result<Vec<Stock>, BackendError> {
    let sql = "SELECT suite, sum(last_resort = 0 AND claimed = 0), max(last_resort), max(last_resort AND claimed) FROM key_packages
        WHERE account = ?1 AND device = ?2 AND not_after >= ?3 GROUP BY suite ORDER BY suite";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![account.0, device.0, to_sql(now.0)], |row| {
        let (suite, left) = (row.get(0)?, row.get(1)?);
        Ok(Stock { suite, left, last_resort: row.get(2)?, last_resort_used: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn deliver(connection: &Connection, delivery: &Delivery) -> Result<Delivered, BackendError> {
    let Delivery { welcome, limit, at } = delivery;
    let (account, device) = (welcome.account, welcome.device);
    let sql = "SELECT EXISTS (SELECT 1 FROM inbox WHERE account = ?1 AND device = ?2 AND name = ?3)";
    let values = params![account.0, device.0, welcome.id];
    if connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))? {
        return Ok(Delivered::Known);
    }
    // Who was revoked has no KeyPackages.
    let sql = "SELECT last_resort OR replaced, welcomed FROM key_packages
        WHERE account = ?1 AND device = ?2 AND reference = ?3";
    let values = params![account.0, device.0, welcome.reference];
    let row = connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((last_resort, false)) = found::<(bool, bool)>(row)? else { return Ok(Delivered::Unwanted) };
    let room = room(connection, account, device, *limit)?;
    if !room.any || (last_resort && !room.last_resort) {
        return Ok(Delivered::Full);
    }
    if !last_resort {
        let sql = "UPDATE key_packages SET welcomed = 1, claimed = 1, body = x'' WHERE account = ?1 AND reference = ?2";
        run(connection, sql, params![account.0, welcome.reference])?;
    }
    let sql =
        "INSERT INTO inbox (account, device, name, last_resort, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![account.0, device.0, welcome.id, last_resort, welcome.body, to_sql(at.0)];
    run(connection, sql, values)?;
    Ok(Delivered::New)
}

/// Whether an inbox takes another Welcome.
struct Room {
    any: bool,
    last_resort: bool,
}

fn room(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    limit: PageLimit,
) -> Result<Room, BackendError> {
    let sql = "SELECT last_resort, count(*), coalesce(sum(length(body)), 0) FROM inbox
        WHERE account = ?1 AND device = ?2 GROUP BY last_resort";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![account.0, device.0], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    let (mut all, mut last_resort) = ((0_u64, 0_u64), (0, 0));
    for row in rows {
        let (is_last_resort, entries, bytes) = row?;
        let (entries, bytes) = (from_sql(entries)?, from_sql(bytes)?);
        all = (all.0.saturating_add(entries), all.1.saturating_add(bytes));
        if is_last_resort {
            last_resort = (entries, bytes);
        }
    }
    let fits = |(entries, bytes), most: PageLimit| entries < u64::from(most.entries) && bytes < most.bytes;
    Ok(Room { any: fits(all, limit), last_resort: fits(last_resort, limit.quarter()) })
}

pub(super) fn inbox(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    (after, limit): (Option<[u8; 32]>, PageLimit),
) -> Result<Vec<InboxEntry>, BackendError> {
    let sql = "SELECT name, body, at FROM inbox WHERE account = ?1 AND device = ?2
            AND id > coalesce((SELECT id FROM inbox WHERE account = ?1 AND device = ?2 AND name = ?4), 0)
        ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![account.0, device.0, limit.entries.max(1), after];
    let rows = statement.query_map(values, |row| {
        let at = Seconds(u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default());
        Ok(InboxEntry { id: row.get(0)?, body: row.get(1)?, at })
    })?;
    let mut entries: Vec<InboxEntry> = Vec::new();
    let mut bytes: u64 = 0;
    for entry in rows {
        let entry = entry?;
        bytes = bytes.saturating_add(u64::try_from(entry.body.len()).unwrap_or(u64::MAX));
        if !entries.is_empty() && bytes > limit.bytes {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

pub(super) fn acknowledge(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    ids: &[[u8; 32]],
) -> Result<(), BackendError> {
    let sql = "DELETE FROM inbox WHERE account = ?1 AND device = ?2 AND name = ?3";
    ids.iter().try_for_each(|id| run(connection, sql, params![account.0, device.0, id]).map(drop))
}

pub(super) fn devices(
    connection: &Connection,
    account: AccountId,
) -> Result<Vec<(DeviceId, Seconds)>, BackendError> {
    let sql = "SELECT device, at FROM devices WHERE account = ?1 AND revoked = 0 ORDER BY device";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![account.0], |row| {
        let at = Seconds(u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default());
        Ok((DeviceId(row.get(0)?), at))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
