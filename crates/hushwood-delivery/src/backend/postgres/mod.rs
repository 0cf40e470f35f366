//! PostgreSQL: the back end for many nodes.

mod account;
mod batch;
mod connect;
mod error;
mod group;
mod hints;
mod invites;
mod plan;
mod schema;
mod settings;
mod sql;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use hushwood_aws_lc::OsRandom;
use hushwood_crypto::Random;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use crate::backend::{
    AccountId, Appended, Backend, BackendError, Claim, Claimed, Committed, Created, Cursor, Delivered,
    Delivery, DeviceId, GroupQuota, Head, InboxEntry, Invite, InviteName, NewCommit, NewDevice, NewEntry,
    NewGroup, NewKeyPackage, OutgoingWelcome, Page, PageLimit, Published, Reading, Registered, RequestId,
    Seconds, Snapshot, Stock, TrimLimits, Uncarried,
};
use batch::Writer;
use plan::{Answered, Job, Write};

pub use hints::{Hint, Hints};
pub use settings::PostgresSettings;

/// Groups and accounts in a PostgreSQL database (13 or newer, `fsync=on`), for any number of nodes.
///
/// A node's commits and messages go through a few tasks, each with its groups: what waits is written together, in one transaction
/// that locks the rows of its groups. Everything that is answered was written with `synchronous_commit=on`; with a synchronous standby it is there, too.
/// If a connection is lost while a transaction ends, the answer is [`BackendError::Unknown`]; the same request again finds out.
pub struct PostgresBackend {
    writers: Vec<Writer>,
    pool: Pool,
    patience: Duration,
    hints: Hints,
}

impl PostgresBackend {
    /// Connects, and makes or changes the tables where they are not the newest.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] if the database does not answer, is too old, runs with `fsync=off`, is a standby, or has
    /// tables of a newer version.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, BackendError> {
        let tls = connect::tls(settings)?;
        let pool = connect::pool(settings, tls.clone(), settings.connections)?;
        schema::migrate(&pool).await?;
        let mut node = [0; 16];
        OsRandom.fill(&mut node).map_err(|_| BackendError::Unavailable("no randomness".to_owned()))?;
        let writer = || Ok(Writer::start(connect::pool(settings, tls.clone(), 1)?, settings));
        let writers: Result<Vec<_>, BackendError> =
            std::iter::repeat_with(writer).take(settings.lanes.max(1)).collect();
        let hints = Hints::start(settings, tls.clone(), node);
        Ok(Self { writers: writers?, pool, patience: settings.patience, hints })
    }

    /// Wake-ups between nodes.
    #[must_use]
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Waits for what reads.
    async fn read_by<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let late = |_| Err(BackendError::Unavailable(LATE.to_owned()));
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(late)
    }

    /// Waits for what writes. If it takes too long, it may happen yet.
    async fn write_by<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let late = |_| Err(BackendError::Unknown(LATE.to_owned()));
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(late)
    }

    /// Through the task that has the group.
    async fn write(&self, group: &[u8], write: Write) -> Result<Answered, BackendError> {
        let mut hasher = DefaultHasher::new();
        group.hash(&mut hasher);
        let lanes = u64::try_from(self.writers.len()).unwrap_or(1);
        let lane = hasher.finish().checked_rem(lanes).and_then(|lane| usize::try_from(lane).ok());
        let writer = self.writers.get(lane.unwrap_or(0));
        let writer = writer.ok_or_else(|| BackendError::Unavailable("it has no writer".to_owned()))?;
        writer.write(Job { group: group.to_vec(), write }).await
    }
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").field("lanes", &self.writers.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn create_group(&self, new: NewGroup) -> Result<Created, BackendError> {
        self.write_by(group::create(&self.pool, &new)).await
    }

    async fn created(&self, group: &[u8], request: RequestId) -> Result<Option<Created>, BackendError> {
        self.read_by(group::created(&self.pool, group, request)).await
    }

    async fn head(&self, group: &[u8]) -> Result<Option<Head>, BackendError> {
        self.read_by(group::head(&self.pool, group)).await
    }

    async fn commit(&self, group: &[u8], commit: NewCommit) -> Result<Committed, BackendError> {
        match self.write(group, Write::Commit(commit)).await? {
            Answered::Commit(committed) => Ok(committed),
            Answered::Append(_) => Err(BackendError::Corrupt("an answer to another question")),
        }
    }

    async fn outcome(&self, group: &[u8], request: RequestId, epoch: u64) -> Result<Committed, BackendError> {
        self.read_by(group::outcome(&self.pool, group, request, epoch)).await
    }

    async fn append(&self, group: &[u8], entry: NewEntry) -> Result<Appended, BackendError> {
        match self.write(group, Write::Append(entry)).await? {
            Answered::Append(appended) => Ok(appended),
            Answered::Commit(_) => Err(BackendError::Corrupt("an answer to another question")),
        }
    }

    async fn read(
        &self,
        group: &[u8],
        reading: Reading,
        limit: PageLimit,
    ) -> Result<Option<Page>, BackendError> {
        self.read_by(group::read(&self.pool, group, reading, limit)).await
    }

    async fn snapshot(&self, group: &[u8], epoch: u64) -> Result<Option<Snapshot>, BackendError> {
        self.read_by(group::snapshot(&self.pool, group, epoch)).await
    }

    async fn put_snapshot(&self, group: &[u8], snapshot: Snapshot, keep: u32) -> Result<(), BackendError> {
        self.write_by(group::put_snapshot(&self.pool, group, &snapshot, keep)).await
    }

    async fn move_cursors(&self, group: &[u8], cursors: Vec<Cursor>) -> Result<(), BackendError> {
        self.write_by(group::move_cursors(&self.pool, group, &cursors)).await
    }

    async fn outgoing(&self, now: Seconds, most: u32) -> Result<Vec<OutgoingWelcome>, BackendError> {
        self.read_by(group::outgoing(&self.pool, now, most)).await
    }

    async fn uncarried(&self, group: &[u8]) -> Result<Uncarried, BackendError> {
        self.read_by(group::uncarried(&self.pool, group)).await
    }

    async fn postpone(&self, group: &[u8], ids: Vec<[u8; 32]>, until: Seconds) -> Result<(), BackendError> {
        self.write_by(group::postpone(&self.pool, group, &ids, until)).await
    }

    async fn carried(&self, group: &[u8], ids: Vec<[u8; 32]>) -> Result<(), BackendError> {
        self.write_by(group::carried(&self.pool, group, &ids)).await
    }

    async fn trim(&self, group: &[u8], limits: TrimLimits) -> Result<u64, BackendError> {
        self.write_by(group::trim(&self.pool, group, limits)).await
    }

    async fn untrimmed(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
        self.read_by(group::untrimmed(&self.pool, since, most)).await
    }

    async fn idle_groups(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
        self.read_by(group::idle(&self.pool, since, most)).await
    }

    async fn erase_group(&self, group: &[u8], since: Seconds) -> Result<(), BackendError> {
        self.write_by(group::erase(&self.pool, group, since)).await
    }

    async fn register(&self, device: NewDevice) -> Result<Registered, BackendError> {
        self.write_by(account::register(&self.pool, &device)).await
    }

    async fn add_invite(&self, invite: Invite, now: Seconds) -> Result<(), BackendError> {
        self.write_by(invites::add(&self.pool, &invite, now)).await
    }

    async fn invites(&self, now: Seconds) -> Result<Vec<Invite>, BackendError> {
        self.read_by(invites::all(&self.pool, now)).await
    }

    async fn forget_invite(&self, name: InviteName) -> Result<bool, BackendError> {
        self.write_by(invites::forget(&self.pool, name)).await
    }

    async fn account(&self, name: &str) -> Result<Option<AccountId>, BackendError> {
        self.read_by(account::find(&self.pool, name)).await
    }

    async fn count_group(&self, account: AccountId, quota: GroupQuota) -> Result<bool, BackendError> {
        self.write_by(account::count_group(&self.pool, account, quota)).await
    }

    async fn device_key(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        self.read_by(account::device_key(&self.pool, account, device)).await
    }

    async fn devices(&self, account: AccountId) -> Result<Vec<(DeviceId, Seconds)>, BackendError> {
        self.read_by(account::devices(&self.pool, account)).await
    }

    async fn revoke(&self, account: AccountId, device: DeviceId) -> Result<bool, BackendError> {
        self.write_by(account::revoke(&self.pool, account, device)).await
    }

    async fn publish(
        &self,
        account: AccountId,
        device: DeviceId,
        packages: Vec<NewKeyPackage>,
        limits: (u32, Seconds),
    ) -> Result<Published, BackendError> {
        self.write_by(account::publish(&self.pool, (account, device), &packages, limits)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, BackendError> {
        self.write_by(account::claim(&self.pool, &claim)).await
    }

    async fn stock(
        &self,
        account: AccountId,
        device: DeviceId,
        now: Seconds,
    ) -> Result<Vec<Stock>, BackendError> {
        self.read_by(account::stock(&self.pool, account, device, now)).await
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Delivered, BackendError> {
        self.write_by(account::deliver(&self.pool, &delivery)).await
    }

    async fn inbox(
        &self,
        account: AccountId,
        device: DeviceId,
        from: (Option<[u8; 32]>, PageLimit),
    ) -> Result<Vec<InboxEntry>, BackendError> {
        self.read_by(account::inbox(&self.pool, account, device, from)).await
    }

    async fn acknowledge(
        &self,
        account: AccountId,
        device: DeviceId,
        ids: Vec<[u8; 32]>,
    ) -> Result<(), BackendError> {
        self.write_by(account::acknowledge(&self.pool, account, device, &ids)).await
    }

    async fn service_secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], BackendError> {
        let sql = "INSERT INTO service (name, value) VALUES ('secret', $1) ON CONFLICT (name) DO NOTHING";
        run(&self.pool, sql, &[&fresh.as_slice()]).await?;
        let rows = select(&self.pool, "SELECT value FROM service WHERE name = 'secret'", &[]).await?;
        let row = rows.first().ok_or(BackendError::Corrupt("the service has no secret"))?;
        fixed(row, 0)
    }
}

const LATE: &str = "no answer in time";

/// A statement that reads.
async fn select(pool: &Pool, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, BackendError> {
    let client = connect::connection(pool).await?;
    let rows = async {
        let statement = client.prepare_cached(sql).await?;
        client.query(&statement, values).await
    };
    rows.await.map_err(|error| error::reading(&error))
}

/// A statement that writes, and is a transaction. Gives how many rows.
async fn run(pool: &Pool, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, BackendError> {
    let client = connect::connection(pool).await?;
    let statement = client.prepare_cached(sql).await.map_err(|error| error::reading(&error))?;
    client.execute(&statement, values).await.map_err(|error| error::writing(&error))
}

/// PostgreSQL's integers are signed; ours are counts.
fn from_sql(integer: i64) -> Result<u64, BackendError> {
    u64::try_from(integer).or(Err(BackendError::Corrupt("a number below zero")))
}

/// What does not fit is beyond all that can be stored.
fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value of a row.
fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, BackendError> {
    row.try_get(index).map_err(|error| BackendError::Unavailable(error::text(&error)))
}

/// A count.
fn number(row: &Row, index: usize) -> Result<u64, BackendError> {
    from_sql(column(row, index)?)
}

/// A name of a length that never changes.
fn fixed<const N: usize>(row: &Row, index: usize) -> Result<[u8; N], BackendError> {
    let bytes: &[u8] = column(row, index)?;
    bytes.try_into().or(Err(BackendError::Corrupt("a name of another length")))
}
