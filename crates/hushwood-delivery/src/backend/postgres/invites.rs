//! Invites: who may make an account.

use deadpool_postgres::Pool;

use crate::backend::postgres::{column, fixed, number, run, select, to_sql};
use crate::backend::{BackendError, Invite, InviteName, Seconds};

/// Uses one up, where it is good.
pub(super) const TAKE: &str =
    "UPDATE invites SET uses = uses - 1 WHERE name = $1 AND uses > 0 AND not_after >= $2";

pub(super) async fn add(pool: &Pool, invite: &Invite, now: Seconds) -> Result<(), BackendError> {
    run(pool, "DELETE FROM invites WHERE uses = 0 OR not_after < $1", &[&to_sql(now.0)]).await?;
    let uses = i32::try_from(invite.left).unwrap_or(i32::MAX);
    let sql = "INSERT INTO invites (name, uses, not_after) VALUES ($1, $2, $3)";
    run(pool, sql, &[&invite.name.0.as_slice(), &uses, &to_sql(invite.not_after.0)]).await.map(drop)
}

pub(super) async fn all(pool: &Pool, now: Seconds) -> Result<Vec<Invite>, BackendError> {
    let sql = "SELECT name, uses, not_after FROM invites WHERE uses > 0 AND not_after >= $1 ORDER BY not_after, name";
    let rows = select(pool, sql, &[&to_sql(now.0)]).await?;
    let invites = rows.iter().map(|row| {
        let left =
            u32::try_from(column::<i32>(row, 1)?).or(Err(BackendError::Corrupt("a number below zero")))?;
        Ok(Invite { name: InviteName(fixed(row, 0)?), left, not_after: Seconds(number(row, 2)?) })
    });
    invites.collect()
}

pub(super) async fn forget(pool: &Pool, name: InviteName) -> Result<bool, BackendError> {
    Ok(run(pool, "DELETE FROM invites WHERE name = $1", &[&name.0.as_slice()]).await? == 1)
}
