//! Names of records. What each holds is in ARCHITECTURE.md, "Record layout".

use std::fmt;
use std::hash::{Hash, Hasher};

/// One group as it lives in a store, under a random local name.
///
/// Not the group's id: a reinitialised group may keep its id, and a client that rejoins has two states
/// of one group for a while.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstanceId([u8; 16]);

impl InstanceId {
    /// The owner of records that belong to the client and not to a group.
    pub const CLIENT: Self = Self([0; 16]);

    /// The instance with this name.
    #[must_use]
    pub const fn new(name: [u8; 16]) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CLIENT {
            return f.write_str("client");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of a record: whose it is, what kind, and which of its kind.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RecordKey {
    /// The group, or [`InstanceId::CLIENT`].
    pub instance: InstanceId,
    /// The kind.
    pub kind: RecordKind,
    /// Which one; empty where there is one of the kind.
    pub id: Vec<u8>,
}

impl RecordKey {
    /// The name of a record.
    pub fn new(instance: InstanceId, kind: RecordKind, id: impl Into<Vec<u8>>) -> Self {
        Self { instance, kind, id: id.into() }
    }
}

/// In as few pieces as tell one name from another: parts of fixed length around the one that is not. A table of a
/// group's records hashes tens of thousands.
impl Hash for RecordKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.instance.0);
        state.write(&self.id);
        state.write_u8(self.kind.number());
    }
}

macro_rules! record_kinds {
    ($( $(#[$meta:meta])* $kind:ident = $number:literal ),* $(,)?) => {
        /// Kinds of records. Numbers are on disk: they never change and are never used again.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum RecordKind { $( $(#[$meta])* $kind ),* }

        impl RecordKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$( Self::$kind ),*];

            /// The number that stands for it on disk.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $( Self::$kind => $number ),* }
            }
        }
    };
}

record_kinds! {
    /// Of the client, by group id: the instance that is current for the group.
    GroupInstance = 1,
    /// Of the client, by KeyPackageRef: the private keys of a KeyPackage of ours.
    KeyPackage = 2,
    /// Of the client, by psk_id: an external pre-shared key.
    ExternalPsk = 3,
    /// Of the client or a group: rows of the application, in its own format.
    Application = 4,
    /// Of the client, by instance: a state of a group that another one has replaced, and the group's id.
    Superseded = 5,
    /// Of the client, by KeyPackageRef and epoch: what was joined with a KeyPackage of last resort.
    LastResortJoin = 6,
    /// Of a group, one: its suite, own leaf, and what it has come to.
    Group = 16,
    /// Of a group, one: the policy it runs under.
    Policy = 17,
    /// Of a group, one: group context, transcript hash and secrets of the current epoch.
    Epoch = 18,
    /// Of a group, one: size of the tree, counts over the members' capabilities, and the root.
    TreeSummary = 19,
    /// Of a group, by node number: a node of the current tree, its children's hashes, the members below.
    TreeNode = 20,
    /// Of a group, by the key: where a public key stands in the current tree.
    TreeKey = 21,
    /// Of a group, one: the private keys of the own leaf and the nodes above.
    PrivateTree = 22,
    /// Of a group, by epoch and row: a secret of an epoch's secret tree, a ratchet or a skipped key.
    SecretTree = 23,
    /// Of a group, by epoch: what it takes to read late messages of a past epoch.
    PastEpoch = 24,
    /// Of a group, by leaf and last epoch: who stood at a leaf that has been replaced or blanked.
    PastMember = 25,
    /// Of a group, by epoch: its resumption pre-shared key.
    ResumptionPsk = 26,
    /// Of a group, by ProposalRef: a proposal of the current epoch.
    Proposal = 27,
    /// Of a group, by ProposalRef: the key pair of an Update of our own.
    OwnUpdate = 28,
    /// Of a group, by hash of the message: a commit of our own that waits to be accepted.
    StagedCommit = 29,
    /// Of a group, by hash of the message: a handshake message this client sent in the current epoch.
    OwnMessage = 30,
    /// Of a group, by hash of the message: something received and not yet acknowledged by the application.
    Inbox = 31,
    /// Of a group, by hash of the message: something to be sent and not yet acknowledged by the application.
    Outbox = 32,
}
