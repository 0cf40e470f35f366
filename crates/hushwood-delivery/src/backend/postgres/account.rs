//! An account's tables.

use deadpool_postgres::{Pool, Transaction};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::backend::postgres::connect::connection;
use crate::backend::postgres::error::{reading, writing};
use crate::backend::postgres::{column, fixed, invites, number, run, select, to_sql};
use crate::backend::{
    AccountId, BackendError, CLAIMED, Claim, Claimed, Delivered, Delivery, DeviceId, GroupQuota, InboxEntry,
    KeyPackageEntry, NewDevice, NewKeyPackage, PageLimit, Published, REPLACED, Registered, Seconds, Stock,
};

/// The one transaction of several keys: an account, the name by which it is found, and the invite that it uses up.
pub(super) async fn register(pool: &Pool, new: &NewDevice) -> Result<Registered, BackendError> {
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    let registered = add(&transaction, new).await?;
    if registered == Registered::Registered {
        transaction.commit().await.map_err(|error| writing(&error))?;
    }
    Ok(registered)
}

async fn add(transaction: &Transaction<'_>, new: &NewDevice) -> Result<Registered, BackendError> {
    let (account, device) = (new.account.0.as_slice(), new.device.0.as_slice());
    if new.first {
        // A name waits here for whoever is about to take it or one that looks like it; an account, for whoever makes it.
        let sql = "INSERT INTO accounts (account, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        if change(transaction, sql, &[&account, &new.name]).await? == 1 {
            if let Some(invite) = new.invite
                && change(transaction, invites::TAKE, &[&invite.0.as_slice(), &to_sql(new.at.0)]).await? == 0
            {
                return Ok(Registered::NotInvited);
            }
            let sql = "INSERT INTO names (name, look, account) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            if change(transaction, sql, &[&new.name, &new.look, &account]).await? == 0 {
                return Ok(Registered::NameTaken);
            }
        }
    }
    // From here on the account stands still.
    let sql = "SELECT name FROM accounts WHERE account = $1 FOR NO KEY UPDATE";
    let rows = ask(transaction, sql, &[&account]).await?;
    let Some(account_row) = rows.first() else { return Ok(Registered::NoAccount) };
    let same_name = column::<&str>(account_row, 0)? == new.name;
    let sql = "SELECT device, key, revoked FROM devices WHERE account = $1";
    let devices = ask(transaction, sql, &[&account]).await?;
    for row in &devices {
        if fixed(row, 0)? == new.device.0 {
            let same_key = column::<&[u8]>(row, 1)? == new.key;
            return Ok(match (same_key, column(row, 2)?, same_name) {
                (false, _, _) => Registered::Exists,
                (true, true, _) => Registered::Revoked,
                (true, false, false) => Registered::OtherName,
                (true, false, true) => Registered::Registered,
            });
        }
    }
    if new.first && !devices.is_empty() {
        return Ok(Registered::Exists);
    }
    if !same_name {
        return Ok(if new.first { Registered::Exists } else { Registered::OtherName });
    }
    let revoked: Result<Vec<bool>, _> = devices.iter().map(|row| column(row, 2)).collect();
    let there = revoked?.into_iter().filter(|revoked| !revoked).count();
    if !new.first && there >= usize::try_from(new.most).unwrap_or(usize::MAX) {
        return Ok(Registered::TooMany);
    }
    let sql = "INSERT INTO devices (account, device, key, at, revoked) VALUES ($1, $2, $3, $4, false)";
    change(transaction, sql, &[&account, &device, &new.key, &to_sql(new.at.0)]).await?;
    Ok(Registered::Registered)
}

pub(super) async fn find(pool: &Pool, name: &str) -> Result<Option<AccountId>, BackendError> {
    let rows = select(pool, "SELECT account FROM names WHERE name = $1", &[&name]).await?;
    rows.first().map(|row| fixed(row, 0).map(AccountId)).transpose()
}

pub(super) async fn count_group(
    pool: &Pool,
    account: AccountId,
    quota: GroupQuota,
) -> Result<bool, BackendError> {
    let sql = "UPDATE accounts SET brought = CASE WHEN since < $2 THEN 1 ELSE brought + 1 END,
            since = CASE WHEN since < $2 THEN $3 ELSE since END
        WHERE account = $1 AND (since < $2 OR brought < $4)";
    let most = i32::try_from(quota.most).unwrap_or(i32::MAX);
    let values: [&(dyn ToSql + Sync); 4] =
        [&account.0.as_slice(), &to_sql(quota.since.0), &to_sql(quota.at.0), &most];
    Ok(run(pool, sql, &values).await? == 1)
}

pub(super) async fn device_key(
    pool: &Pool,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<Vec<u8>>, BackendError> {
    let sql = "SELECT key FROM devices WHERE account = $1 AND device = $2 AND NOT revoked";
    let rows = select(pool, sql, &[&account.0.as_slice(), &device.0.as_slice()]).await?;
    rows.first().map(|row| column(row, 0)).transpose()
}

pub(super) async fn devices(
    pool: &Pool,
    account: AccountId,
) -> Result<Vec<(DeviceId, Seconds)>, BackendError> {
    let sql = "SELECT device, at FROM devices WHERE account = $1 AND NOT revoked ORDER BY device";
    let rows = select(pool, sql, &[&account.0.as_slice()]).await?;
    rows.iter().map(|row| Ok((DeviceId(fixed(row, 0)?), Seconds(number(row, 1)?)))).collect()
}

pub(super) async fn revoke(pool: &Pool, account: AccountId, device: DeviceId) -> Result<bool, BackendError> {
    let values: [&(dyn ToSql + Sync); 2] = [&account.0.as_slice(), &device.0.as_slice()];
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    // The row stays, so that nobody registers under the same name again.
    let sql = "UPDATE devices SET revoked = true WHERE account = $1 AND device = $2 AND NOT revoked";
    let revoked = change(&transaction, sql, &values).await? == 1;
    for sql in [
        "DELETE FROM key_packages WHERE account = $1 AND device = $2",
        "DELETE FROM inbox WHERE account = $1 AND device = $2",
    ] {
        change(&transaction, sql, &values).await?;
    }
    transaction.commit().await.map_err(|error| writing(&error))?;
    Ok(revoked)
}

/// Takes a device for this transaction alone; false if it is not there or was revoked.
async fn lock(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: DeviceId,
) -> Result<bool, BackendError> {
    let sql = "SELECT 1 FROM devices WHERE account = $1 AND device = $2 AND NOT revoked FOR NO KEY UPDATE";
    let rows = ask(transaction, sql, &[&account.0.as_slice(), &device.0.as_slice()]).await?;
    Ok(!rows.is_empty())
}

pub(super) async fn publish(
    pool: &Pool,
    (account, device): (AccountId, DeviceId),
    packages: &[NewKeyPackage],
    (most, now): (u32, Seconds),
) -> Result<Published, BackendError> {
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    if !lock(&transaction, account, device).await? {
        return Ok(Published::Kept);
    }
    let of: [&(dyn ToSql + Sync); 2] = [&account.0.as_slice(), &device.0.as_slice()];
    let [of_account, of_device] = of;
    // A claimed one is remembered until nobody could use it any more.
    let sql = "DELETE FROM key_packages WHERE account = $1 AND device = $2 AND not_after < $3";
    change(&transaction, sql, &[of_account, of_device, &to_sql(now.0)]).await?;
    let claimable = packages.iter().filter(|package| !package.last_resort && !package.reserved);
    let claimable: Vec<&[u8]> = claimable.map(|package| package.reference.as_slice()).collect();
    let sql = "SELECT
            (SELECT count(*) FROM key_packages WHERE account = $1 AND device = $2 AND NOT claimed AND NOT last_resort),
            (SELECT count(*) FROM unnest($3::bytea[]) AS new (reference)
                WHERE NOT EXISTS (SELECT 1 FROM key_packages AS old WHERE old.account = $1 AND old.reference = new.reference))";
    let counts = ask(&transaction, sql, &[of_account, of_device, &claimable]).await?;
    let Some(counts) = counts.first() else { return Err(BackendError::Corrupt("a count without a row")) };
    let (there, more) = (number(counts, 0)?, number(counts, 1)?);
    if more > 0 && there.saturating_add(more) > u64::from(most) {
        return Ok(Published::TooMany { there: u32::try_from(there).unwrap_or(u32::MAX) });
    }
    let kept = insert(&transaction, of, packages).await?;
    for package in packages {
        // The name of the one before stays: a Welcome for it may be on its way.
        if package.last_resort && !package.reserved && kept.contains(&package.reference) {
            let sql =
                "UPDATE key_packages SET last_resort = false, replaced = true, claimed = true, body = ''
                WHERE account = $1 AND device = $2 AND suite = $3 AND last_resort AND reference <> $4";
            let suite = i32::from(package.suite);
            change(&transaction, sql, &[of_account, of_device, &suite, &package.reference]).await?;
            let sql = "DELETE FROM key_packages WHERE account = $1 AND reference IN (SELECT reference FROM key_packages
                WHERE account = $1 AND device = $2 AND claimed AND NOT last_resort AND replaced AND suite = $3
                ORDER BY id DESC OFFSET $4)";
            change(&transaction, sql, &[of_account, of_device, &suite, &i64::from(REPLACED)]).await?;
        }
    }
    let sql =
        "DELETE FROM key_packages WHERE account = $1 AND reference IN (SELECT reference FROM key_packages
        WHERE account = $1 AND device = $2 AND claimed AND NOT last_resort ORDER BY id DESC OFFSET $3)";
    change(&transaction, sql, &[of_account, of_device, &i64::from(CLAIMED)]).await?;
    transaction.commit().await.map_err(|error| writing(&error))?;
    Ok(Published::Kept)
}

/// Gives the references of those that were not there.
async fn insert(
    transaction: &Transaction<'_>,
    [account, device]: [&(dyn ToSql + Sync); 2],
    packages: &[NewKeyPackage],
) -> Result<Vec<Vec<u8>>, BackendError> {
    let sql =
        "INSERT INTO key_packages (account, device, reference, suite, not_after, last_resort, claimed, body)
        SELECT $1, $2, reference, suite, not_after, last_resort, reserved, body
        FROM unnest($3::bytea[], $4::integer[], $5::bigint[], $6::boolean[], $7::boolean[], $8::bytea[])
            WITH ORDINALITY AS new (reference, suite, not_after, last_resort, reserved, body, place)
        ORDER BY place ON CONFLICT (account, reference) DO NOTHING RETURNING reference";
    let references: Vec<&[u8]> = packages.iter().map(|package| package.reference.as_slice()).collect();
    let suites: Vec<i32> = packages.iter().map(|package| i32::from(package.suite)).collect();
    let not_after: Vec<i64> = packages.iter().map(|package| to_sql(package.not_after.0)).collect();
    let last_resort: Vec<bool> =
        packages.iter().map(|package| package.last_resort && !package.reserved).collect();
    let reserved: Vec<bool> = packages.iter().map(|package| package.reserved).collect();
    let body = |package: &'_ NewKeyPackage| if package.reserved { Vec::new() } else { package.body.clone() };
    let bodies: Vec<Vec<u8>> = packages.iter().map(body).collect();
    let values: [&(dyn ToSql + Sync); 8] =
        [account, device, &references, &suites, &not_after, &last_resort, &reserved, &bodies];
    let rows = ask(transaction, sql, &values).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// What is being claimed by somebody else at this moment is passed over, so that claimers do not wait for each other.
pub(super) async fn claim(pool: &Pool, claim: &Claim) -> Result<Claimed, BackendError> {
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    let account = claim.account.0.as_slice();
    let only = claim.device.map(|device| device.0.to_vec());
    let sql = "SELECT devices.device, count(name) < $3 AND coalesce(sum(octet_length(body)), 0) < $4,
            count(name) FILTER (WHERE last_resort) < $5
                AND coalesce(sum(octet_length(body)) FILTER (WHERE last_resort), 0) < $6
        FROM devices LEFT JOIN inbox USING (account, device)
        WHERE account = $1 AND NOT revoked AND ($2::bytea IS NULL OR device = $2)
        GROUP BY devices.device ORDER BY devices.device";
    let (room, last) = (in_sql(claim.inbox), in_sql(claim.inbox.quarter()));
    let rows = ask(&transaction, sql, &[&account, &only, &room.0, &room.1, &last.0, &last.1]).await?;
    let mut claimed = Claimed::default();
    for row in &rows {
        if !column::<bool>(row, 1)? {
            claimed.full = claimed.full.saturating_add(1);
            continue;
        }
        let device = DeviceId(fixed(row, 0)?);
        let room_for_last_resort = column::<bool>(row, 2)?;
        // The last resort comes after all others, the oldest first among them.
        let kinds = [(NEXT, false), (LAST_RESORT, true)];
        for (sql, last_resort) in kinds.into_iter().filter(|(_, last)| *last || !claim.last_resort) {
            let values: [&(dyn ToSql + Sync); 4] =
                [&account, &device.0.as_slice(), &i32::from(claim.suite), &to_sql(claim.now.0)];
            if let Some(row) = ask(&transaction, sql, &values).await?.first() {
                if last_resort && !room_for_last_resort {
                    claimed.full = claimed.full.saturating_add(1);
                    break;
                }
                let (reference, body) = (column(row, 0)?, column(row, 1)?);
                claimed.packages.push(KeyPackageEntry { device, reference, last_resort, body });
                break;
            }
        }
    }
    transaction.commit().await.map_err(|error| writing(&error))?;
    Ok(claimed)
}

/// What nobody will be given again keeps its name and not its body.
const NEXT: &str = "WITH next AS (
        SELECT reference, body FROM key_packages
        WHERE account = $1 AND device = $2 AND suite = $3 AND NOT claimed AND NOT last_resort AND not_after >= $4
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE key_packages SET claimed = true, body = '' FROM next
    WHERE key_packages.account = $1 AND key_packages.reference = next.reference
    RETURNING next.reference, next.body";

/// Only the first claim of it changes it.
const LAST_RESORT: &str = "WITH last AS (
        SELECT reference, body, claimed FROM key_packages
        WHERE account = $1 AND device = $2 AND suite = $3 AND last_resort AND not_after >= $4
        ORDER BY id LIMIT 1
    ), marked AS (
        UPDATE key_packages SET claimed = true FROM last
        WHERE key_packages.account = $1 AND key_packages.reference = last.reference AND NOT last.claimed
    )
    SELECT reference, body FROM last";

pub(super) async fn stock(
    pool: &Pool,
    account: AccountId,
    device: DeviceId,
    now: Seconds,
) -> Result<Vec<Stock>, BackendError> {
    let sql = "SELECT suite, count(*) FILTER (WHERE NOT claimed AND NOT last_resort), bool_or(last_resort), bool_or(last_resort AND claimed)
        FROM key_packages WHERE account = $1 AND device = $2 AND not_after >= $3 GROUP BY suite ORDER BY suite";
    let rows = select(pool, sql, &[&account.0.as_slice(), &device.0.as_slice(), &to_sql(now.0)]).await?;
    let stock = rows.iter().map(|row| {
        let suite = u16::try_from(column::<i32>(row, 0)?);
        let suite = suite.map_err(|_| BackendError::Corrupt("a suite that is none"))?;
        let left = u32::try_from(number(row, 1)?).unwrap_or(u32::MAX);
        Ok(Stock { suite, left, last_resort: column(row, 2)?, last_resort_used: column(row, 3)? })
    });
    stock.collect()
}

pub(super) async fn deliver(pool: &Pool, delivery: &Delivery) -> Result<Delivered, BackendError> {
    let Delivery { welcome, limit, at } = delivery;
    let (account, device) = (welcome.account.0.as_slice(), welcome.device.0.as_slice());
    let mut client = connection(pool).await?;
    let transaction = client.transaction().await.map_err(|error| reading(&error))?;
    if !lock(&transaction, welcome.account, welcome.device).await? {
        return Ok(Delivered::Unwanted);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM inbox WHERE account = $1 AND device = $2 AND name = $3),
            (SELECT last_resort OR replaced FROM key_packages
                WHERE account = $1 AND device = $2 AND reference = $4 AND NOT welcomed),
            count(*) < $5 AND coalesce(sum(octet_length(body)), 0) < $6,
            count(*) FILTER (WHERE last_resort) < $7 AND coalesce(sum(octet_length(body)) FILTER (WHERE last_resort), 0) < $8
        FROM inbox WHERE account = $1 AND device = $2";
    let name = welcome.id.as_slice();
    let (room, last) = (in_sql(*limit), in_sql(limit.quarter()));
    let values: [&(dyn ToSql + Sync); 8] =
        [&account, &device, &name, &welcome.reference, &room.0, &room.1, &last.0, &last.1];
    let rows = ask(&transaction, sql, &values).await?;
    let Some(row) = rows.first() else { return Err(BackendError::Corrupt("a question without an answer")) };
    let last_resort = match (column(row, 0)?, column::<Option<bool>>(row, 1)?) {
        (true, _) => return Ok(Delivered::Known),
        (false, None) => return Ok(Delivered::Unwanted),
        (false, Some(last_resort)) => last_resort,
    };
    if !column::<bool>(row, 2)? || (last_resort && !column::<bool>(row, 3)?) {
        return Ok(Delivered::Full);
    }
    if !last_resort {
        let sql = "UPDATE key_packages SET welcomed = true, claimed = true, body = '' WHERE account = $1 AND reference = $2";
        change(&transaction, sql, &[&account, &welcome.reference]).await?;
    }
    let sql =
        "INSERT INTO inbox (account, device, name, last_resort, body, at) VALUES ($1, $2, $3, $4, $5, $6)";
    change(&transaction, sql, &[&account, &device, &name, &last_resort, &welcome.body, &to_sql(at.0)])
        .await?;
    transaction.commit().await.map_err(|error| writing(&error))?;
    Ok(Delivered::New)
}

pub(super) async fn inbox(
    pool: &Pool,
    account: AccountId,
    device: DeviceId,
    (after, limit): (Option<[u8; 32]>, PageLimit),
) -> Result<Vec<InboxEntry>, BackendError> {
    // Only what fits into the answer leaves the server.
    let sql = "SELECT name, body, at FROM (
            SELECT id, name, body, at, sum(octet_length(body)) OVER up_to AS size, row_number() OVER up_to AS place
            FROM (SELECT * FROM inbox WHERE account = $1 AND device = $2
                AND id > coalesce((SELECT id FROM inbox WHERE account = $1 AND device = $2 AND name = $5), 0)
                ORDER BY id LIMIT $3) AS oldest WINDOW up_to AS (ORDER BY id)
        ) AS entry WHERE place = 1 OR size <= $4 ORDER BY id";
    let (entries, bytes) = in_sql(PageLimit { entries: limit.entries.max(1), ..limit });
    let after = after.map(|name| name.to_vec());
    let values: [&(dyn ToSql + Sync); 5] =
        [&account.0.as_slice(), &device.0.as_slice(), &entries, &bytes, &after];
    let rows = select(pool, sql, &values).await?;
    let entry = |row: &Row| {
        Ok(InboxEntry { id: fixed(row, 0)?, body: column(row, 1)?, at: Seconds(number(row, 2)?) })
    };
    rows.iter().map(entry).collect()
}

pub(super) async fn acknowledge(
    pool: &Pool,
    account: AccountId,
    device: DeviceId,
    ids: &[[u8; 32]],
) -> Result<(), BackendError> {
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 32]>::as_slice).collect();
    let sql = "DELETE FROM inbox WHERE account = $1 AND device = $2 AND name = ANY ($3)";
    run(pool, sql, &[&account.0.as_slice(), &device.0.as_slice(), &ids]).await.map(drop)
}

fn in_sql(limit: PageLimit) -> (i64, i64) {
    (i64::from(limit.entries), to_sql(limit.bytes))
}

/// A statement of a transaction that reads; what it locks or writes counts when the transaction ends.
async fn ask(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, BackendError> {
    let rows = async {
        let statement = transaction.prepare_cached(sql).await?;
        transaction.query(&statement, values).await
    };
    rows.await.map_err(|error: Error| reading(&error))
}

/// A statement of a transaction that writes. Gives how many rows.
async fn change(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<u64, BackendError> {
    let rows = async {
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, values).await
    };
    rows.await.map_err(|error: Error| reading(&error))
}
