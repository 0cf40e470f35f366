//! An account's tables.

use rusqlite::{Connection, params};

use crate::backend::sqlite::{found, run, to_sql};
use crate::backend::{
    AccountId, BackendError, Claim, DeviceId, InboxEntry, KeyPackageEntry, NewDevice, NewKeyPackage,
    PageLimit, Registered, Seconds, Stock,
};

pub(super) fn register(connection: &Connection, new: &NewDevice) -> Result<Registered, BackendError> {
    if let Some(key) = any_device_key(connection, new.account, new.device)? {
        return Ok(if key == new.key { Registered::Registered } else { Registered::Exists });
    }
    let owner = find(connection, &new.name)?;
    match (new.first, owner) {
        (true, Some(owner)) if owner != new.account => return Ok(Registered::NameTaken),
        (true, Some(_)) => return Ok(Registered::Exists),
        (true, None) => {
            let sql = "INSERT OR IGNORE INTO accounts (account, name) VALUES (?1, ?2)";
            if run(connection, sql, params![new.account.0, new.name])? == 0 {
                return Ok(Registered::Exists);
            }
        }
        (false, owner) if owner != Some(new.account) => return Ok(Registered::NoAccount),
        (false, _) => {}
    }
    let sql = "INSERT INTO devices (account, device, key, at, revoked) VALUES (?1, ?2, ?3, ?4, 0)";
    run(connection, sql, params![new.account.0, new.device.0, new.key, to_sql(new.at.0)])?;
    Ok(Registered::Registered)
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<AccountId>, BackendError> {
    let sql = "SELECT account FROM accounts WHERE name = ?1";
    found(connection.prepare_cached(sql)?.query_row(params![name], |row| Ok(AccountId(row.get(0)?))))
}

pub(super) fn device_key(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<Vec<u8>>, BackendError> {
    let sql = "SELECT key FROM devices WHERE account = ?1 AND device = ?2 AND revoked = 0";
    found(connection.prepare_cached(sql)?.query_row(params![account.0, device.0], |row| row.get(0)))
}

fn any_device_key(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<Vec<u8>>, BackendError> {
    let sql = "SELECT key FROM devices WHERE account = ?1 AND device = ?2";
    found(connection.prepare_cached(sql)?.query_row(params![account.0, device.0], |row| row.get(0)))
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
    account: AccountId,
    device: DeviceId,
    packages: &[NewKeyPackage],
    now: Seconds,
) -> Result<(), BackendError> {
    // A claimed one is remembered until nobody could use it any more.
    let sql = "DELETE FROM key_packages WHERE account = ?1 AND device = ?2 AND not_after < ?3";
    run(connection, sql, params![account.0, device.0, to_sql(now.0)])?;
    for package in packages {
        let sql = "INSERT OR IGNORE INTO key_packages
            (account, device, suite, reference, not_after, last_resort, claimed, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)";
        let (suite, not_after) = (package.suite, to_sql(package.not_after.0));
        let values = params![
            account.0,
            device.0,
            suite,
            package.reference,
            not_after,
            package.last_resort,
            package.body
        ];
        if run(connection, sql, values)? == 1 && package.last_resort {
            let sql = "DELETE FROM key_packages
                WHERE account = ?1 AND device = ?2 AND suite = ?3 AND last_resort = 1 AND reference <> ?4";
            run(connection, sql, params![account.0, device.0, suite, package.reference])?;
        }
    }
    Ok(())
}

pub(super) fn claim(connection: &Connection, claim: &Claim) -> Result<Vec<KeyPackageEntry>, BackendError> {
    let account = claim.account;
    let devices = match claim.device {
        Some(device) => vec![device],
        None => devices(connection, account)?,
    };
    let mut claimed = Vec::new();
    for device in devices {
        // The last resort comes after all others, the oldest first among them.
        let sql = "SELECT id, reference, last_resort, body FROM key_packages
            WHERE account = ?1 AND suite = ?2 AND device = ?3 AND (claimed = 0 OR last_resort = 1) AND not_after >= ?4
            ORDER BY last_resort, id LIMIT 1";
        let values = params![account.0, claim.suite, device.0, to_sql(claim.now.0)];
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
        // What nobody will be given again keeps its name and not its body.
        let sql = "UPDATE key_packages SET claimed = 1, body = iif(last_resort, body, x'') WHERE id = ?1";
        run(connection, sql, params![id])?;
        claimed.push(entry);
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

pub(super) fn deliver(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    welcome: &InboxEntry,
) -> Result<bool, BackendError> {
    let sql =
        "INSERT OR IGNORE INTO inbox (account, device, name, body, at) SELECT account, device, ?3, ?4, ?5
        FROM devices WHERE account = ?1 AND device = ?2 AND revoked = 0";
    let values = params![account.0, device.0, welcome.id, welcome.body, to_sql(welcome.at.0)];
    Ok(run(connection, sql, values)? == 1)
}

pub(super) fn inbox(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    limit: PageLimit,
) -> Result<Vec<InboxEntry>, BackendError> {
    let sql = "SELECT name, body, at FROM inbox WHERE account = ?1 AND device = ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![account.0, device.0, limit.entries.max(1)];
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

fn devices(connection: &Connection, account: AccountId) -> Result<Vec<DeviceId>, BackendError> {
    let sql = "SELECT device FROM devices WHERE account = ?1 AND revoked = 0 ORDER BY device";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![account.0], |row| Ok(DeviceId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
