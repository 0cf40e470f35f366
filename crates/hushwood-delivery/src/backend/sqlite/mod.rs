//! One SQLite file: the back end that needs nothing.

mod account;
mod group;
mod invites;
mod readers;
mod schema;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};

use crate::backend::{
    AccountId, Appended, Backend, BackendError, Claim, Claimed, Committed, Created, Cursor, Delivered,
    Delivery, DeviceId, GroupQuota, Head, InboxEntry, Invite, InviteName, NewCommit, NewDevice, NewEntry,
    NewGroup, NewKeyPackage, OutgoingWelcome, Page, PageLimit, Published, Reading, Registered, RequestId,
    Seconds, Snapshot, Stock, TrimLimits, Uncarried,
};
use readers::Readers;
use writer::Writer;

/// How a [`SqliteBackend`] works.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file; made where there is none. Its folder must exist and be on this machine.
    pub path: PathBuf,
    /// The most transactions that share one sync of the disk.
    pub batch: usize,
    /// The most transactions that wait before more are [`BackendError::Busy`].
    pub waiting: usize,
    /// Connections that read.
    pub readers: usize,
    /// How long to wait for another process that writes to the file.
    pub busy: Duration,
}

impl SqliteSettings {
    /// What fits most.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), batch: 64, waiting: 4096, readers: 4, busy: Duration::from_secs(10) }
    }
}

/// Groups and accounts in one SQLite file (WAL, `synchronous=FULL`).
///
/// One thread writes. What waits for it is written in one transaction with one sync of the disk, so that many
/// groups together are fast while each answer is durable. After an error of which nobody knows what it left on
/// the disk, nothing more is written until the process has been started again.
pub struct SqliteBackend {
    writer: Writer,
    readers: Readers,
    path: PathBuf,
}

impl SqliteBackend {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] if it can't be opened or is of another format; [`BackendError::Corrupt`].
    pub fn open(settings: &SqliteSettings) -> Result<Self, BackendError> {
        let connection = schema::connect(&settings.path, settings.busy)?;
        schema::prepare(&connection)?;
        let writer = Writer::start(connection, settings.batch, settings.waiting)?;
        let readers = Readers::new(settings)?;
        Ok(Self { writer, readers, path: settings.path.clone() })
    }
}

impl fmt::Debug for SqliteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBackend").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Each call is a function on a connection; here it is said who runs it.
#[async_trait]
impl Backend for SqliteBackend {
    async fn create_group(&self, new: NewGroup) -> Result<Created, BackendError> {
        self.writer.write(move |connection| group::create(connection, &new)).await
    }

    async fn created(&self, group: &[u8], request: RequestId) -> Result<Option<Created>, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::created(connection, &group, request)).await
    }

    async fn head(&self, group: &[u8]) -> Result<Option<Head>, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::head(connection, &group)).await
    }

    async fn commit(&self, group: &[u8], commit: NewCommit) -> Result<Committed, BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::commit(connection, &group, &commit)).await
    }

    async fn outcome(&self, group: &[u8], request: RequestId, epoch: u64) -> Result<Committed, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::outcome(connection, &group, request, epoch)).await
    }

    async fn append(&self, group: &[u8], entry: NewEntry) -> Result<Appended, BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::append(connection, &group, &entry)).await
    }

    async fn read(
        &self,
        group: &[u8],
        reading: Reading,
        limit: PageLimit,
    ) -> Result<Option<Page>, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::read(connection, &group, reading, limit)).await
    }

    async fn snapshot(&self, group: &[u8], epoch: u64) -> Result<Option<Snapshot>, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::snapshot(connection, &group, epoch)).await
    }

    async fn put_snapshot(&self, group: &[u8], snapshot: Snapshot, keep: u32) -> Result<(), BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::put_snapshot(connection, &group, &snapshot, keep)).await
    }

    async fn move_cursors(&self, group: &[u8], cursors: Vec<Cursor>) -> Result<(), BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::move_cursors(connection, &group, &cursors)).await
    }

    async fn outgoing(&self, now: Seconds, most: u32) -> Result<Vec<OutgoingWelcome>, BackendError> {
        self.readers.read(move |connection| group::outgoing(connection, now, most)).await
    }

    async fn uncarried(&self, group: &[u8]) -> Result<Uncarried, BackendError> {
        let group = group.to_vec();
        self.readers.read(move |connection| group::uncarried(connection, &group)).await
    }

    async fn postpone(&self, group: &[u8], ids: Vec<[u8; 32]>, until: Seconds) -> Result<(), BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::postpone(connection, &group, &ids, until)).await
    }

    async fn carried(&self, group: &[u8], ids: Vec<[u8; 32]>) -> Result<(), BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::carried(connection, &group, &ids)).await
    }

    async fn trim(&self, group: &[u8], limits: TrimLimits) -> Result<u64, BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::trim(connection, &group, limits)).await
    }

    async fn untrimmed(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
        self.readers.read(move |connection| group::untrimmed(connection, since, most)).await
    }

    async fn idle_groups(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError> {
        self.readers.read(move |connection| group::idle(connection, since, most)).await
    }

    async fn erase_group(&self, group: &[u8], since: Seconds) -> Result<(), BackendError> {
        let group = group.to_vec();
        self.writer.write(move |connection| group::erase(connection, &group, since)).await
    }

    async fn register(&self, device: NewDevice) -> Result<Registered, BackendError> {
        self.writer.write(move |connection| account::register(connection, &device)).await
    }

    async fn add_invite(&self, invite: Invite, now: Seconds) -> Result<(), BackendError> {
        self.writer.write(move |connection| invites::add(connection, &invite, now)).await
    }

    async fn invites(&self, now: Seconds) -> Result<Vec<Invite>, BackendError> {
        self.readers.read(move |connection| invites::all(connection, now)).await
    }

    async fn forget_invite(&self, name: InviteName) -> Result<bool, BackendError> {
        self.writer.write(move |connection| invites::forget(connection, name)).await
    }

    async fn account(&self, name: &str) -> Result<Option<AccountId>, BackendError> {
        let name = name.to_owned();
        self.readers.read(move |connection| account::find(connection, &name)).await
    }

    async fn count_group(&self, account: AccountId, quota: GroupQuota) -> Result<bool, BackendError> {
        self.writer.write(move |connection| account::count_group(connection, account, quota)).await
    }

    async fn device_key(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        self.readers.read(move |connection| account::device_key(connection, account, device)).await
    }

    async fn devices(&self, account: AccountId) -> Result<Vec<(DeviceId, Seconds)>, BackendError> {
        self.readers.read(move |connection| account::devices(connection, account)).await
    }

    async fn revoke(&self, account: AccountId, device: DeviceId) -> Result<bool, BackendError> {
        self.writer.write(move |connection| account::revoke(connection, account, device)).await
    }

    async fn publish(
        &self,
        account: AccountId,
        device: DeviceId,
        packages: Vec<NewKeyPackage>,
        limits: (u32, Seconds),
    ) -> Result<Published, BackendError> {
        self.writer
            .write(move |connection| account::publish(connection, (account, device), &packages, limits))
            .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, BackendError> {
        self.writer.write(move |connection| account::claim(connection, &claim)).await
    }

    async fn stock(
        &self,
        account: AccountId,
        device: DeviceId,
        now: Seconds,
    ) -> Result<Vec<Stock>, BackendError> {
        self.readers.read(move |connection| account::stock(connection, account, device, now)).await
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Delivered, BackendError> {
        self.writer.write(move |connection| account::deliver(connection, &delivery)).await
    }

    async fn inbox(
        &self,
        account: AccountId,
        device: DeviceId,
        from: (Option<[u8; 32]>, PageLimit),
    ) -> Result<Vec<InboxEntry>, BackendError> {
        self.readers.read(move |connection| account::inbox(connection, account, device, from)).await
    }

    async fn acknowledge(
        &self,
        account: AccountId,
        device: DeviceId,
        ids: Vec<[u8; 32]>,
    ) -> Result<(), BackendError> {
        self.writer.write(move |connection| account::acknowledge(connection, account, device, &ids)).await
    }

    async fn service_secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], BackendError> {
        self.writer.write(move |connection| schema::service_secret(connection, fresh)).await
    }
}

impl From<rusqlite::Error> for BackendError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt("SQLite says so"),
            Some(_) | None => Self::Unavailable(error.to_string()),
        }
    }
}

/// SQLite's integers are signed; ours are counts.
fn from_sql(integer: i64) -> Result<u64, BackendError> {
    u64::try_from(integer).or(Err(BackendError::Corrupt("a number below zero")))
}

/// What does not fit is beyond all that can be stored.
fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A row that was found, or none.
fn found<T>(row: Result<T, rusqlite::Error>) -> Result<Option<T>, BackendError> {
    match row {
        Ok(row) => Ok(Some(row)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs a statement that is kept ready on its connection.
fn run(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<usize, BackendError> {
    Ok(connection.prepare_cached(sql)?.execute(values)?)
}
