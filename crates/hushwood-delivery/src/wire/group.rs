//! The group plane: a log, and who may read and write it.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};

use crate::wire::admission::request;
use crate::wire::{Admission, GroupKey, MemberProof};

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
        /// Who creates it is the member that has signed the GroupInfo.
        pub proof: MemberProof,
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
        /// Who sends it: of a member's commit, that member, by the leaf that it has before the commit. Of an external commit,
        /// the member whose leaf it replaces, or somebody who was invited and whose leaf it adds.
        pub admission: Admission,
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
        /// Who sends it: an application message, a member; a proposal of somebody outside, they themselves, too, who are
        /// invited or listed.
        pub admission: Admission,
    }
}

wire_struct! {
    /// A proposal from outside the group (RFC 9420 §12.1.8), sent by an account.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ProposeRequest {
        /// The name of the request: random, the same each time it is sent.
        pub request: [u8; 32],
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// The MLSMessage. If it proposes to add its sender, the KeyPackage in it is remembered as the device's, so that
        /// the Welcome finds its inbox.
        pub message: Vec<u8>,
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
        /// The number of the last entry that it has stored for itself.
        pub after: u64,
        /// The most entries in the answer.
        pub most: u32,
        /// Who reads is a member, or was one.
        pub proof: MemberProof,
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
        /// The current epoch; 0 for an account that has brought a proposal from outside, which is not told.
        epoch: u64,
    },
}

wire_struct! {
    /// Where a group stands.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct HeadRequest {
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// Who asks.
        pub admission: Admission,
    }
}

wire_struct! {
    /// What somebody needs who joins from outside.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupInfoRequest {
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// Who asks.
        pub admission: Admission,
    }
}

wire_struct! {
    /// The tree of an epoch, for somebody who has a Welcome for it.
    ///
    /// That they have one, they show by the hash: it stands in the GroupInfo in the Welcome, and nobody can guess it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct TreeRequest {
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// The epoch.
        pub epoch: u64,
        /// The `tree_hash` in the group's context of that epoch (RFC 9420 §8.1).
        pub tree_hash: Vec<u8>,
    }
}

wire_struct! {
    /// A piece of a log.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct LogPage {
        /// The current epoch; for somebody who is no longer a member, the last one that they were.
        pub epoch: u64,
        /// The number of the newest entry that they may read. If the entries end before it, read on.
        pub newest: u64,
        /// The highest number up to which this member said that it had stored everything, as far as the service remembers:
        /// if it is higher than what the member knows of, its state is an old copy, and must not be used to send
        /// (RFC 9750 §8.6).
        pub cursor: u64,
        /// The entries, in order.
        pub entries: Vec<LogEntry>,
    }
}

/// What is there after a number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadAnswer {
    /// The entries, or the first of them.
    Page(LogPage),
    /// What comes next was there and has been forgotten. Who has not read it can't follow the group from there: rejoin by an
    /// external commit.
    Trimmed {
        /// The number of the oldest entry that is there.
        first: u64,
        /// The number of the newest.
        newest: u64,
        /// The current epoch.
        epoch: u64,
    },
}

wire_struct! {
    /// A tree.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct TreeAnswer {
        /// The epoch.
        pub epoch: u64,
        /// The number of the commit that began it: read on from there.
        pub sequence: u64,
        /// `optional<Node> ratchet_tree<V>`.
        pub ratchet_tree: Vec<u8>,
    }
}

wire_struct! {
    /// What somebody needs who joins from outside.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupInfoAnswer {
        /// The epoch.
        pub epoch: u64,
        /// The number of the commit that began it: read on from there.
        pub sequence: u64,
        /// The GroupInfo as an MLSMessage, without the tree.
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

impl CreateRequest {
    /// What the creator's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let parts: [&[u8]; 4] = [&self.request, self.key.expose(), &self.group_info, &self.ratchet_tree];
        request(service, "create", &[], self.proof.at, &parts)
    }
}

impl CommitRequest {
    /// What the sender's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let epoch = self.epoch.to_be_bytes();
        let has_welcome = [u8::from(self.welcome.is_some())];
        let welcome = self.welcome.as_deref().unwrap_or_default();
        let head: [&[u8]; 6] = [&self.request, &epoch, &self.commit, &self.group_info, &has_welcome, welcome];
        let recipients = self.recipients.iter().flat_map(|to| [to.account.as_slice(), to.device.as_slice()]);
        let parts: Vec<&[u8]> = head.into_iter().chain(recipients).collect();
        request(service, "commit", &self.group_id, self.admission.at(), &parts)
    }
}

impl SendRequest {
    /// What the sender's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        request(service, "send", &self.group_id, self.admission.at(), &[&self.request, &self.message])
    }
}

impl ReadRequest {
    /// What the reader's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let (after, most) = (self.after.to_be_bytes(), self.most.to_be_bytes());
        request(service, "read", &self.group_id, self.proof.at, &[&after, &most])
    }
}

impl HeadRequest {
    /// What the proof signs of who asks.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        request(service, "head", &self.group_id, self.admission.at(), &[])
    }
}

impl GroupInfoRequest {
    /// What the proof signs of who asks.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        request(service, "group info", &self.group_id, self.admission.at(), &[])
    }
}

const PAGE: u8 = 1;
const TRIMMED: u8 = 2;

impl Encode for ReadAnswer {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Page(page) => writer.value(&PAGE).value(page),
            Self::Trimmed { first, newest, epoch } => {
                writer.value(&TRIMMED).value(first).value(newest).value(epoch)
            }
        };
    }
}

impl Decode for ReadAnswer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("ReadAnswer"))? {
            PAGE => Ok(Self::Page(LogPage::decode(reader)?)),
            TRIMMED => {
                let (first, newest) = (u64::decode(reader)?, u64::decode(reader)?);
                Ok(Self::Trimmed { first, newest, epoch: u64::decode(reader)? })
            }
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
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
