//! What a client is told to do, and what it says it has come to: lines of JSON between two processes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes, written as hex.
#[derive(Clone, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Bytes(#[serde(with = "hex")] pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..8) {
            Some(first) if self.0.len() > 16 => write!(f, "{}.. ({})", hex::encode(first), self.0.len()),
            _ => f.write_str(&hex::encode(&self.0)),
        }
    }
}

impl<B: AsRef<[u8]>> From<B> for Bytes {
    fn from(bytes: B) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

/// What a client is told to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Command {
    /// Written with whatever the command writes: so it is known afterwards which commands were done.
    pub number: u64,
    /// How often it was tried before.
    pub attempt: u64,
    /// What the client's randomness depends on.
    pub random: u64,
    /// The time, in seconds.
    pub now: u64,
    /// What to do.
    pub what: What,
}

/// What to do. A group is named by its instance.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum What {
    /// Nothing: say what is on disk and in memory.
    View,
    /// Open store and groups again.
    Reopen,
    /// Create a group.
    Create(Settings),
    /// Make a KeyPackage and keep its keys.
    KeyPackage {
        /// Of last resort.
        last_resort: bool,
        /// For the suite with this number.
        suite: u16,
    },
    /// Erase a KeyPackage.
    ForgetKeyPackage(Bytes),
    /// Keep an external pre-shared key.
    KeepPsk(Bytes, Bytes),
    /// Erase one.
    ForgetPsk(Bytes),
    /// Join by a Welcome.
    Join {
        /// The Welcome.
        welcome: Bytes,
        /// The tree, if it is not in it.
        tree: Option<Bytes>,
        /// The group that this one has grown out of.
        parent: Option<Bytes>,
        /// The policy.
        settings: Settings,
    },
    /// Join by an external commit.
    ExternalJoin {
        /// The GroupInfo.
        info: Bytes,
        /// The tree, if it is not in it.
        tree: Option<Bytes>,
        /// The own leaf to replace.
        resync: Option<u32>,
        /// An external pre-shared key to inject.
        psk: Option<Bytes>,
        /// The policy.
        settings: Settings,
    },
    /// Propose.
    Propose(Bytes, Proposing),
    /// Commit.
    Commit(Bytes, Plan),
    /// Apply a commit of our own.
    Apply(Bytes, Bytes),
    /// Discard one.
    Discard(Bytes, Bytes),
    /// Receive a message, and accept what it brings.
    Receive(Bytes, Bytes),
    /// Receive several in one write.
    Batch(Bytes, Vec<Bytes>),
    /// Encrypt a message.
    Say(Bytes, Bytes),
    /// Acknowledge a message that was sent or read.
    Acknowledge(Bytes, Bytes),
    /// Change the policy of a group.
    Policy(Bytes, Settings),
    /// Erase a state of a group.
    Forget(Bytes),
    /// Branch a group off.
    Branch(Bytes, Vec<Bytes>),
    /// Make the group that replaces one.
    Reinit(Bytes, Vec<Bytes>),
    /// Empty the store's log.
    Checkpoint,
    /// Another key for the store: 0 or 1.
    ChangeUnlock(u8),
}

impl What {
    /// Whether it is written down with what it does that it was done.
    #[must_use]
    pub fn is_step(&self) -> bool {
        !matches!(self, Self::View | Self::Reopen | Self::Checkpoint | Self::ChangeUnlock(_))
    }
}

/// How a group is created or joined.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// Handshakes are encrypted.
    pub encrypt_handshakes: bool,
    /// The tree is in Welcomes.
    pub tree_inside: bool,
    /// Past epochs that are kept.
    pub past_epochs: usize,
    /// How long they are kept, in seconds.
    pub past_age: u64,
    /// Extensions: the version of the application's own, and whether there is an external sender.
    pub extensions: Option<(u32, bool)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encrypt_handshakes: true,
            tree_inside: true,
            past_epochs: 5,
            past_age: 14 * 24 * 60 * 60,
            extensions: None,
        }
    }
}

/// What is proposed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Proposing {
    /// Add whose KeyPackage this is.
    Add(Bytes),
    /// Update our own leaf, with another signature key perhaps.
    Update {
        /// The signature key's number.
        signer: usize,
    },
    /// Remove the member at this leaf.
    Remove(u32),
    /// Inject an external pre-shared key.
    Psk(Bytes),
    /// Inject the resumption pre-shared key of an epoch of the same group.
    Resumption(u64),
    /// Replace the group: its new id, and the number of its suite.
    ReInit(Bytes, u16),
    /// Replace the extensions.
    Extensions(u32, bool),
    /// A proposal of the application's own.
    Custom(Bytes),
}

/// What is committed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// By value.
    pub proposals: Vec<Proposing>,
    /// Cover none of those that wait.
    pub cover_none: bool,
    /// Without a path, where that can be.
    pub omit_path: bool,
    /// One Welcome for each.
    pub welcome_per_joiner: bool,
    /// Another signature key.
    pub signer: usize,
    /// Authenticated with it.
    pub data: Bytes,
}

/// What comes of a command.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    /// It is done.
    Done(Box<View>),
    /// The library refuses it.
    Refused(String),
    /// Store or disk failed.
    Failed(Trouble),
    /// Something is wrong that the client has seen itself: its memory is not what is on disk.
    Wrong(String),
}

/// How a store fails.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Trouble {
    /// Nothing was written: somebody else writes.
    Busy,
    /// Nothing was written: the disk is full.
    Full,
    /// Nothing was written.
    NotWritten,
    /// Nothing was written: somebody else has.
    Stale,
    /// Nobody knows.
    Unknown,
    /// It can't be read.
    Read,
    /// It can't be opened.
    NotOpened(String),
}

/// What a client has on its disk.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct View {
    /// The last command that was done.
    pub progress: u64,
    /// Which key opens the store.
    pub unlock: u8,
    /// A hash of all records, and how many there are.
    pub records: (Bytes, u64),
    /// How many write sets the store has taken.
    pub generation: u64,
    /// The current states of groups.
    pub groups: Vec<GroupView>,
    /// States that others have replaced.
    pub superseded: Vec<GroupView>,
    /// KeyPackages: reference and message.
    pub key_packages: Vec<(Bytes, Bytes)>,
}

impl View {
    /// A group, by its instance.
    #[must_use]
    pub fn group(&self, instance: &Bytes) -> Option<&GroupView> {
        self.all_groups().find(|group| group.instance == *instance)
    }

    /// All states of groups.
    pub fn all_groups(&self) -> impl Iterator<Item = &GroupView> {
        self.groups.iter().chain(&self.superseded)
    }
}

/// A group as its member sees it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupView {
    /// Its local name.
    pub instance: Bytes,
    /// Its id.
    pub group_id: Bytes,
    /// The epoch.
    pub epoch: u64,
    /// What it has come to.
    pub status: String,
    /// The own leaf.
    pub own_leaf: u32,
    /// Epoch authenticator; empty for who was removed.
    pub authenticator: Bytes,
    /// An exported secret; empty for who was removed.
    pub exported: Bytes,
    /// The confirmed transcript hash.
    pub transcript: Bytes,
    /// A hash of the whole tree.
    pub tree: Bytes,
    /// Proposals that wait.
    pub pending: Vec<Bytes>,
    /// Commits of our own that wait.
    pub staged: Vec<Bytes>,
    /// Messages to be sent, by id.
    pub outbox: Vec<(Bytes, Bytes)>,
    /// Messages that were read.
    pub inbox: Vec<Text>,
}

/// A message that was read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Text {
    /// Its id.
    pub id: Bytes,
    /// Who it is from.
    pub from: Bytes,
    /// The epoch it is from.
    pub epoch: u64,
    /// What it says.
    pub text: Bytes,
}

impl Command {
    /// Says what is there.
    #[must_use]
    pub fn view() -> Self {
        Self { number: 0, attempt: 0, random: 0, now: 0, what: What::View }
    }

    /// Stands for this attempt in the notes of what was encrypted.
    #[must_use]
    pub fn tag(&self) -> u64 {
        self.number << 16 | self.attempt
    }
}
