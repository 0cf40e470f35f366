//! The group plane: a log, and who may read and write it.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};

use crate::wire::account::content;

/// The key under which a service keeps what it knows of a group. It stands in the group's context, so members have
/// it, and those who are invited; the service has it while it is asked something.
pub type GroupKey = [u8; 32];

wire_struct! {
    /// A group that comes to the service.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct CreateRequest {
        /// The name of the request: random.
        pub request: [u8; 32],
        /// The group's key at this service.
        pub key: GroupKey,
        /// A GroupInfo as an MLSMessage, without the tree.
        pub group_info: Vec<u8>,
        /// `optional<Node> ratchet_tree<V>`.
        pub ratchet_tree: Vec<u8>,
    }
}

wire_struct! {
    /// A commit, with all that becomes true with it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct CommitRequest {
        /// The name of the request: random, the same each time it is sent.
        pub request: [u8; 32],
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// The epoch that it ends.
        pub epoch: u64,
        /// The commit: an MLSMessage that is not encrypted.
        pub commit: Vec<u8>,
        /// The GroupInfo of the next epoch as an MLSMessage, without the tree.
        pub group_info: Vec<u8>,
        /// The Welcome as an MLSMessage, if the commit adds somebody.
        pub welcome: Option<Vec<u8>>,
        /// Whose each of its secrets is, in their order.
        pub recipients: Vec<Recipient>,
    }
}

wire_struct! {
    /// An inbox.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Recipient {
        /// The account.
        pub account: [u8; 16],
        /// Its device.
        pub device: [u8; 16],
    }
}

wire_struct! {
    /// A proposal that is not encrypted, or an application message.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct SendRequest {
        /// The name of the request: random, the same each time it is sent.
        pub request: [u8; 32],
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// The MLSMessage.
        pub message: Vec<u8>,
        /// Who sends it is a member.
        pub proof: MemberProof,
    }
}

wire_struct! {
    /// What is there after a number.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ReadRequest {
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// Who reads, under a name of its own for this group.
        pub slot: [u8; 16],
        /// The number of the last entry that it has stored for itself.
        pub after: u64,
        /// The most entries in the answer.
        pub most: u32,
        /// Who reads is a member, or was one.
        pub proof: MemberProof,
    }
}

wire_struct! {
    /// A signature with the key of a leaf.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct MemberProof {
        /// The leaf.
        pub leaf_index: u32,
        /// The sender's clock, in seconds: the service takes what is a few minutes old.
        pub at: u64,
        /// `SignWithLabel(., "DeliveryRequest", content)`, of the request's `signed`.
        pub signature: Vec<u8>,
    }
}

/// What became of a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommitAnswer {
    /// The next epoch has begun: apply it. The number is the commit's in the log.
    Accepted(u64),
    /// Another was faster: read the log up to this number, and commit anew.
    Stale {
        /// The current epoch.
        epoch: u64,
        /// The number of the commit that ended the epoch; 0 if the epoch has not begun or is forgotten.
        winner: u64,
    },
}

/// What became of a proposal or message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendAnswer {
    /// It has this number in the log.
    Accepted(u64),
    /// Its epoch is over: read the log, and send it in the current epoch.
    Stale {
        /// The current epoch.
        epoch: u64,
    },
}

wire_struct! {
    /// What somebody needs to join: by Welcome the tree, from outside the GroupInfo too.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupAnswer {
        /// The epoch.
        pub epoch: u64,
        /// The number of the commit that began it: read on from there.
        pub sequence: u64,
        /// The GroupInfo as an MLSMessage, of the current epoch; empty for others.
        pub group_info: Vec<u8>,
        /// `optional<Node> ratchet_tree<V>`.
        pub ratchet_tree: Vec<u8>,
    }
}

wire_struct! {
    /// An entry of the log.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct LogEntry {
        /// Its number: 1 and on, without gaps.
        pub sequence: u64,
        /// What it is.
        pub kind: EntryKind,
        /// Its epoch; of a commit, the one that it ends.
        pub epoch: u64,
        /// The MLSMessage.
        pub message: Vec<u8>,
    }
}

/// What an entry of the log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// It ends its epoch.
    Commit,
    /// It waits for a commit.
    Proposal,
    /// An application message.
    Message,
}

impl SendRequest {
    /// What the sender's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        signed(service, "send", &self.group_id, self.proof.at, &[&self.request, &self.message])
    }
}

impl ReadRequest {
    /// What the reader's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let (after, most) = (self.after.to_be_bytes(), self.most.to_be_bytes());
        signed(service, "read", &self.group_id, self.proof.at, &[&self.slot, &after, &most])
    }
}

/// What is asked, of whom, and when.
pub(super) fn signed(service: &str, call: &str, group_id: &[u8], at: u64, parts: &[&[u8]]) -> Vec<u8> {
    let at = at.to_be_bytes();
    let head: [&[u8]; 4] = [service.as_bytes(), call.as_bytes(), group_id, &at];
    content(b"hushwood delivery request 1", &[head.as_slice(), parts].concat())
}

impl Element for EntryKind {}

impl Encode for EntryKind {
    fn encode(&self, writer: &mut Writer) {
        let number: u8 = match self {
            Self::Commit => 1,
            Self::Proposal => 2,
            Self::Message => 3,
        };
        writer.value(&number);
    }
}

impl Decode for EntryKind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Commit),
            2 => Ok(Self::Proposal),
            3 => Ok(Self::Message),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}
