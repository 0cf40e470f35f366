//! A group's log: entries, heads, snapshots, cursors.

use crate::backend::{AccountId, DeviceId, Seconds};
use crate::wire::EntryKind;

/// The name of a request, chosen at random by who makes it, so that it can be asked again when the answer was lost.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub [u8; 32]);

/// A reader of one log: random for each device and group, so that it tells nothing of either.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SlotId(pub [u8; 16]);

/// One life of a group: random, made with it. A group that was erased and created anew has another, though its id and epochs
/// may be the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation(pub [u8; 16]);

/// Which entries to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kinds {
    /// All, numbered without gaps.
    All,
    /// Commits and proposals, which change the public state.
    Handshakes,
}

/// A group whose log begins.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its id.
    pub group: Vec<u8>,
    /// What tells this life of it from others.
    pub incarnation: Incarnation,
    /// The name of the request.
    pub request: RequestId,
    /// The epoch in which it comes to this service.
    pub epoch: u64,
    /// Its public state in that epoch.
    pub snapshot: Vec<u8>,
    /// What those who join from outside need to know.
    pub group_info: Vec<u8>,
    /// Now.
    pub at: Seconds,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Created {
    /// The log is empty and waits.
    Created,
    /// This request came before, and it did.
    Duplicate,
    /// Another group has this id.
    Exists,
}

/// Where a group stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Which life of the group it is.
    pub incarnation: Incarnation,
    /// The current epoch.
    pub epoch: u64,
    /// The number of the newest entry; 0 for none.
    pub sequence: u64,
    /// The number of the commit that began the epoch; 0 for the first.
    pub commit: u64,
    /// What those who join from outside need to know.
    pub group_info: Vec<u8>,
}

/// A commit, with all that becomes true with it.
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// The life of the group that it was checked in.
    pub incarnation: Incarnation,
    /// The name of the request.
    pub request: RequestId,
    /// The epoch that it ends.
    pub epoch: u64,
    /// The message.
    pub body: Vec<u8>,
    /// The GroupInfo of the epoch that it begins.
    pub group_info: Vec<u8>,
    /// For those whom it adds, each their own.
    pub welcomes: Vec<NewWelcome>,
    /// What follows in all of them after what is their own: kept once, however many they are.
    pub shared: Vec<u8>,
    /// Now.
    pub at: Seconds,
}

/// A Welcome for one client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewWelcome {
    /// Whose inbox it is for.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Its name: a hash of it.
    pub id: [u8; 32],
    /// The KeyPackageRef of whom it is for (RFC 9420 §12.4.3.1, `new_member`).
    pub reference: Vec<u8>,
    /// The message; in a [`NewCommit`], without what it shares with others.
    pub body: Vec<u8>,
}

/// So many Welcomes that are due are looked at, to find whose turn it is: twice as many as one group may have.
pub const IN_TURN: u32 = 8192;

/// Welcomes of a group that have not been carried.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Uncarried {
    /// How many.
    pub number: u64,
    /// Bytes of them, what several share counted once.
    pub bytes: u64,
}

/// A Welcome on its way from a group to an inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutgoingWelcome {
    /// The group.
    pub group: Vec<u8>,
    /// What to carry, and where.
    pub welcome: NewWelcome,
    /// When its commit was accepted.
    pub at: Seconds,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Committed {
    /// The next epoch has begun; the entry has this number.
    Accepted(u64),
    /// This request came before and was accepted under this number.
    Duplicate(u64),
    /// Another commit ended the epoch, or it has not begun.
    Stale {
        /// The current epoch.
        epoch: u64,
        /// The number of the commit that ended the epoch named; 0 if none is there (it has not begun, or was trimmed).
        winner: u64,
    },
    /// There is no such group, or only in another life.
    NoGroup,
}

/// A proposal or a message.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// The life of the group that it was checked in.
    pub incarnation: Incarnation,
    /// The name of the request.
    pub request: RequestId,
    /// What it is; a commit goes through [`Backend::commit`](crate::backend::Backend::commit).
    pub kind: EntryKind,
    /// Its epoch.
    pub epoch: u64,
    /// How many epochs back it may be from. A proposal is of the current one.
    pub late: u64,
    /// The message.
    pub body: Vec<u8>,
    /// Now.
    pub at: Seconds,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appended {
    /// It has this number.
    Accepted(u64),
    /// This request came before and has this number.
    Duplicate(u64),
    /// Its epoch is over for good, or has not begun.
    Stale {
        /// The current epoch.
        epoch: u64,
    },
    /// There is no such group, or only in another life.
    NoGroup,
}

/// What to read of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Which entries.
    pub kinds: Kinds,
    /// Those after this number.
    pub after: u64,
    /// Whose cursor to look at.
    pub slot: Option<SlotId>,
}

/// A piece of a log, and where the log stood when it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Which life of the group it is.
    pub incarnation: Incarnation,
    /// The current epoch.
    pub epoch: u64,
    /// The number of the newest entry; 0 for none.
    pub newest: u64,
    /// The number of the oldest entry that has not been trimmed; one more than the newest if none is left.
    pub first: u64,
    /// Bytes of bodies in the log.
    pub bytes: u64,
    /// How far the slot had come, as was noted last; none if nothing was, or for no slot.
    pub cursor: Option<Cursor>,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// An entry of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its number: 1 and on, without gaps.
    pub sequence: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Its epoch; of a commit, the one that it ends.
    pub epoch: u64,
    /// The message.
    pub body: Vec<u8>,
    /// When it was accepted.
    pub at: Seconds,
}

/// How much one answer may hold. The first entry is given whatever its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageLimit {
    /// Entries.
    pub entries: u32,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl PageLimit {
    /// A quarter of it, at least one of each.
    pub(super) fn quarter(self) -> Self {
        Self { entries: (self.entries / 4).max(1), bytes: (self.bytes / 4).max(1) }
    }
}

/// A group's public state at the beginning of an epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// The life of the group that it is of.
    pub incarnation: Incarnation,
    /// The epoch.
    pub epoch: u64,
    /// The number of the commit that began it; 0 for the first.
    pub sequence: u64,
    /// The state.
    pub body: Vec<u8>,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    /// Who.
    pub slot: SlotId,
    /// The number of the last entry that it has stored for itself.
    pub sequence: u64,
    /// When it said so.
    pub at: Seconds,
}

/// What may be forgotten of a log. What follows the oldest snapshot stays in any case, and the log stays one piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrimLimits {
    /// Entries from before this time, if every reader has come further: every cursor that was moved since
    /// `unread_before`.
    pub before: Seconds,
    /// Entries from before this time, whoever has not read them; and cursors that were not moved since.
    pub unread_before: Seconds,
    /// At most so many at once.
    pub most: u64,
    /// Now.
    pub at: Seconds,
}
