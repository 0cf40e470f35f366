//! What the service stores, as one interface with several engines behind it.
//!
//! No rule of MLS is known here: bodies are bytes. What a back end guarantees is order and durability. An answer
//! means that what it says has reached the disk.
//!
//! Each call is one transaction of one group or of one account.

mod account;
mod group;
#[cfg(feature = "postgres")]
mod postgres;
mod self_check;
mod sqlite;

use async_trait::async_trait;

pub use account::{
    AccountId, CLAIMED, Claim, Claimed, Delivered, Delivery, DeviceId, GroupQuota, InboxEntry, Invite,
    InviteName, KeyPackageEntry, NewDevice, NewKeyPackage, Published, REPLACED, Registered, Stock,
};
pub use group::{
    Appended, Committed, Created, Cursor, Entry, Head, IN_TURN, Incarnation, Kinds, NewCommit, NewEntry,
    NewGroup, NewWelcome, OutgoingWelcome, Page, PageLimit, Reading, RequestId, SlotId, Snapshot, TrimLimits,
    Uncarried,
};
#[cfg(feature = "postgres")]
pub use postgres::{Hint, Hints, PostgresBackend, PostgresSettings};
pub use self_check::{SelfCheckError, self_check};
pub use sqlite::{SqliteBackend, SqliteSettings};

/// Seconds since 1970-01-01, as the service's clock says. The order of a log does not depend on it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Seconds(pub u64);

/// A place where groups and accounts are kept.
///
/// Whether it keeps what it promises, [`self_check()`] tries: for each start of a service.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Begins the log of a group.
    ///
    /// # Errors
    /// [`BackendError`]. That the group exists is an answer.
    async fn create_group(&self, group: NewGroup) -> Result<Created, BackendError>;

    /// What [`create_group`](Self::create_group) would answer, without writing anything; `None` if it would begin the log.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn created(&self, group: &[u8], request: RequestId) -> Result<Option<Created>, BackendError>;

    /// Where a group stands; `None` if there is none.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn head(&self, group: &[u8]) -> Result<Option<Head>, BackendError>;

    /// The only way in which an epoch ends (RFC 9750 §5.2): the commit, what belongs to it and the new head, all
    /// or nothing.
    ///
    /// # Errors
    /// [`BackendError`]. That another commit was faster is an answer.
    async fn commit(&self, group: &[u8], commit: NewCommit) -> Result<Committed, BackendError>;

    /// What became of a request for an epoch that is not the current one, without writing anything:
    /// [`Committed::Duplicate`] if it was accepted, whatever it was, otherwise [`Committed::Stale`].
    ///
    /// # Errors
    /// [`BackendError`].
    async fn outcome(&self, group: &[u8], request: RequestId, epoch: u64) -> Result<Committed, BackendError>;

    /// Appends a proposal or a message.
    ///
    /// # Errors
    /// [`BackendError`]. That its epoch has gone by is an answer.
    async fn append(&self, group: &[u8], entry: NewEntry) -> Result<Appended, BackendError>;

    /// Entries after a number, in order, and where the log stands at the same moment; `None` if there is no such group.
    /// Those that were trimmed are not given: [`Page::first`] says so.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn read(
        &self,
        group: &[u8],
        reading: Reading,
        limit: PageLimit,
    ) -> Result<Option<Page>, BackendError>;

    /// The newest snapshot of an epoch that is not after the given one.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn snapshot(&self, group: &[u8], epoch: u64) -> Result<Option<Snapshot>, BackendError>;

    /// Keeps a snapshot, and forgets all but so many of those before it. One of another life of the group is not kept.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn put_snapshot(&self, group: &[u8], snapshot: Snapshot, keep: u32) -> Result<(), BackendError>;

    /// Notes how far readers of a group have come. A cursor never goes back, and never beyond the newest entry.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn move_cursors(&self, group: &[u8], cursors: Vec<Cursor>) -> Result<(), BackendError>;

    /// Welcomes of accepted commits that have not been carried to their inboxes and are not postponed beyond now. Of the
    /// [`IN_TURN`] that have been due for longest each group has its first one given, then each its second, and so on: those of
    /// one group stand in nobody's way.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn outgoing(&self, now: Seconds, most: u32) -> Result<Vec<OutgoingWelcome>, BackendError>;

    /// How much of one group waits to be carried, due or not.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn uncarried(&self, group: &[u8]) -> Result<Uncarried, BackendError>;

    /// Welcomes of one group that could not be carried: they are not due before that.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn postpone(&self, group: &[u8], ids: Vec<[u8; 32]>, until: Seconds) -> Result<(), BackendError>;

    /// Welcomes of one group that have been carried, or never will be.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn carried(&self, group: &[u8], ids: Vec<[u8; 32]>) -> Result<(), BackendError>;

    /// Forgets entries of a group, the oldest first, and gives how many. If that is as many as were allowed, there may be
    /// more.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn trim(&self, group: &[u8], limits: TrimLimits) -> Result<u64, BackendError>;

    /// Groups that were not trimmed since then, at most so many, those that have waited longest first.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn untrimmed(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError>;

    /// Groups in which nothing was written since then, at most so many.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn idle_groups(&self, since: Seconds, most: u32) -> Result<Vec<Vec<u8>>, BackendError>;

    /// Forgets a group and all that belongs to it, if nothing was written in it since then.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn erase_group(&self, group: &[u8], since: Seconds) -> Result<(), BackendError>;

    /// Adds a device, the first of a new account or another of an old one. What is there already is not changed. A new account
    /// uses up its invite in the same transaction; what is refused uses up nothing.
    ///
    /// # Errors
    /// [`BackendError`]. That the name or the device is taken, and the like, is an answer.
    async fn register(&self, device: NewDevice) -> Result<Registered, BackendError>;

    /// Remembers an invite, and forgets those that are over or used up.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn add_invite(&self, invite: Invite, now: Seconds) -> Result<(), BackendError>;

    /// Invites that are good now, those first that end first.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn invites(&self, now: Seconds) -> Result<Vec<Invite>, BackendError>;

    /// Forgets an invite; false if it is not there. Accounts that were made with it stay.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn forget_invite(&self, name: InviteName) -> Result<bool, BackendError>;

    /// The account of a name.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn account(&self, name: &str) -> Result<Option<AccountId>, BackendError>;

    /// Counts a group that an account brings, not which; false, and nothing is counted, if it has brought as many as it may.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn count_group(&self, account: AccountId, quota: GroupQuota) -> Result<bool, BackendError>;

    /// The key by which a device shows that it is itself; `None` if there is no such device or it was revoked.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn device_key(&self, account: AccountId, device: DeviceId)
    -> Result<Option<Vec<u8>>, BackendError>;

    /// The devices of an account, but for those that were revoked, and when each was added.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn devices(&self, account: AccountId) -> Result<Vec<(DeviceId, Seconds)>, BackendError>;

    /// Takes a device out of its account for good, with its KeyPackages and what waits for it.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn revoke(&self, account: AccountId, device: DeviceId) -> Result<bool, BackendError>;

    /// Keeps KeyPackages of a device, so that not more than `most` wait to be claimed, those of last resort apart. One whose
    /// reference is or was there is not kept again, so that nobody is given one that was claimed; a last-resort one takes
    /// the place of the one before it (RFC 9420 §16.8), whose reference is remembered. Of what is only remembered, the
    /// newest [`REPLACED`] and [`CLAIMED`] stay.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn publish(
        &self,
        account: AccountId,
        device: DeviceId,
        packages: Vec<NewKeyPackage>,
        (most, now): (u32, Seconds),
    ) -> Result<Published, BackendError>;

    /// Gives one KeyPackage for each device of an account, and none of them again (RFC 9750 §5.1); the last-resort one only
    /// where no other is left, never one that has expired, and none of a device whose inbox is full.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn claim(&self, claim: Claim) -> Result<Claimed, BackendError>;

    /// What a device has left for others to claim.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn stock(
        &self,
        account: AccountId,
        device: DeviceId,
        now: Seconds,
    ) -> Result<Vec<Stock>, BackendError>;

    /// Puts a Welcome into a device's inbox, if the device has published the KeyPackage that it is for: nobody fills the
    /// inbox of somebody who was not asked. A KeyPackage that is not of last resort takes one; those for last-resort ones
    /// may take a quarter of an inbox.
    ///
    /// # Errors
    /// [`BackendError`]. That it is not wanted, or that there is no room, is an answer.
    async fn deliver(&self, delivery: Delivery) -> Result<Delivered, BackendError>;

    /// What waits for a device, the oldest first: after one of this name, if it is there, otherwise from the beginning.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn inbox(
        &self,
        account: AccountId,
        device: DeviceId,
        from: (Option<[u8; 32]>, PageLimit),
    ) -> Result<Vec<InboxEntry>, BackendError>;

    /// Takes something out of the inbox that the device has stored for itself.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn acknowledge(
        &self,
        account: AccountId,
        device: DeviceId,
        ids: Vec<[u8; 32]>,
    ) -> Result<(), BackendError>;

    /// A secret of the whole service, made at the first call: all nodes get the same.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn service_secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], BackendError>;
}

/// Why a back end gave no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Too much waits already. Nothing was written.
    #[error("the database is busy: try again")]
    Busy,
    /// What is stored is not what was written.
    #[error("the database is damaged: restore it from a backup ({0})")]
    Corrupt(&'static str),
    /// No space is left. Nothing was written.
    #[error("no space is left for the database: make room")]
    Full,
    /// The database can't be reached or refuses. Nothing was written.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// An error in the middle of writing: it happened or not. Ask again with the same request id.
    #[error("the database failed while writing: {0}")]
    Unknown(String),
}
