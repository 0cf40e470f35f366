//! What has happened, as those who were there have it: no processes, no bytes that have to be parsed.

use std::collections::BTreeMap;

/// A room, in hexadecimal.
pub type Room = String;
/// The name of a message, in hexadecimal.
pub type MessageName = String;
/// The hash of some bytes.
pub type Digest = [u8; 32];
/// Who is in a room, and the epoch in which each came: who goes and comes back is not who was there before.
pub type Members = BTreeMap<String, u64>;

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The logs as they are in the service's database in the end.
    pub rooms: BTreeMap<Room, Log>,
    /// What each bot was asked and told.
    pub bots: BTreeMap<String, Told>,
    /// Answers of the service that say that something is in a log, whether or not they arrived.
    pub accepted: Vec<Accepted>,
    /// Pieces of logs that the service has given out.
    pub pages: Vec<Page>,
    /// KeyPackages that the service has given out.
    pub claims: Vec<Claim>,
    /// Commits that were sent to the service, whatever became of them.
    pub offered: Vec<Offered>,
    /// Welcomes that were in inboxes.
    pub welcomes: Vec<Welcomed>,
    /// What has ended by itself, hung or failed beside all that.
    pub accidents: Vec<String>,
}

/// A room's log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The epoch in which it came to the service.
    pub epoch: u64,
    /// Who was there then.
    pub members: Members,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It ends an epoch.
    Commit,
    /// It waits for a commit.
    Proposal,
    /// Somebody has said something.
    Message,
}

/// An entry of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// What it is.
    pub kind: Kind,
    /// Its epoch; of a commit, the one that it ends.
    pub epoch: u64,
    /// The hash of the message, if it is known.
    pub digest: Option<Digest>,
    /// Of a commit: who is there after it.
    pub members: Option<Members>,
}

/// What a bot was asked and told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What it was to say.
    pub said: Vec<Said>,
    /// What else it was to do.
    pub changes: Vec<Change>,
    /// What it has told, in the order in which it came; after a restart some of it again.
    pub events: Vec<Event>,
    /// How it sees its rooms in the end.
    pub end: BTreeMap<Room, End>,
}

/// What became of something that a bot was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It is done, under this number; none if there was nothing to do.
    Done(Option<u64>),
    /// It is kept, and will be done.
    Kept,
    /// It won't be done.
    Refused(String),
    /// The bot was killed before it answered.
    Unknown,
}

/// Something to be said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Where.
    pub room: Room,
    /// Under which name.
    pub message: MessageName,
    /// What.
    pub text: String,
    /// What became of it.
    pub answer: Answer,
}

/// Something else to be done.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub room: Room,
    /// What: `invite`, `remove`, `leave`, `renew`.
    pub what: &'static str,
    /// What became of it.
    pub answer: Answer,
}

/// What a bot has told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its number.
    pub cursor: u64,
    /// The room; empty for none.
    pub room: Room,
    /// What.
    pub what: What,
}

/// What a bot has told, as far as it is checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// Somebody else has said something.
    Message {
        /// Who.
        from: String,
        /// Under which name.
        message: MessageName,
        /// Where in the log.
        sequence: u64,
        /// What.
        text: String,
    },
    /// A message of its own has its place.
    Sent {
        /// Its name.
        message: MessageName,
        /// Where in the log.
        sequence: u64,
    },
    /// It is in the room.
    Joined,
    /// It is no longer in the room.
    Removed,
    /// Something that was kept won't be done.
    NotDone(String),
    /// What nobody here has done: a gap, a fork, a key that changed, an invitation that failed.
    Trouble(String),
    /// Anything else.
    Other,
}

/// How a bot sees a room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct End {
    /// `active`, `removed` and so on.
    pub standing: String,
    /// The epoch, if it is in one.
    pub epoch: Option<u64>,
    /// What is the same for all members of an epoch and nobody else.
    pub authenticator: String,
    /// Who is there.
    pub members: Vec<String>,
}

/// An answer of the service: this is in the log, under this number.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The room.
    pub room: Room,
    /// The number.
    pub sequence: u64,
    /// The hash of the message.
    pub digest: Digest,
}

/// A piece of a log that was given to a bot.
#[derive(Clone, Debug)]
pub struct Page {
    /// To whom.
    pub to: String,
    /// The room.
    pub room: Room,
    /// After which number.
    pub after: u64,
    /// The newest number that the service told of.
    pub newest: u64,
    /// The entries: number, kind, epoch, hash.
    pub entries: Vec<(u64, Kind, u64, Digest)>,
}

/// A KeyPackage that was given out.
#[derive(Clone, Debug)]
pub struct Claim {
    /// To whom.
    pub by: String,
    /// Its hash.
    pub package: Digest,
    /// Whether it may be given out again.
    pub last_resort: bool,
}

/// A commit that was sent to the service.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The room.
    pub room: Room,
    /// Its hash.
    pub digest: Digest,
    /// What its Welcomes, if it has some, have in common.
    pub welcome: Option<Digest>,
}

/// A Welcome in an inbox.
#[derive(Clone, Debug)]
pub struct Welcomed {
    /// Whose.
    pub to: String,
    /// What it has in common with the others of its commit.
    pub welcome: Digest,
}
