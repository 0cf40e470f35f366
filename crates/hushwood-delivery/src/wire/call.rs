//! All requests that the service takes, each with its place, its limits, and what is answered.
//!
//! One list for the server and for clients. A request is the body of a `POST` to its path; what it is about is in the
//! body alone, so that no log of paths says which groups somebody asks for. A request or answer is the encoding of its
//! structure and nothing else.

use std::fmt;

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, EncodeError, Reader, Writer, wire_newtype,
    wire_struct,
};

use crate::wire::{
    Challenge, ClaimRequest, ClaimedKeyPackage, CommitAnswer, CommitRequest, CreateRequest, DeviceEntry,
    GroupInfoAnswer, GroupInfoRequest, HeadRequest, Login, ProposeRequest, PublishedKeyPackage, ReadAnswer,
    ReadRequest, Registration, SendAnswer, SendRequest, StockEntry, Token, TreeAnswer, TreeRequest,
    WelcomeEntry,
};

/// The media type of requests, answers and refusals.
pub const MEDIA_TYPE: &str = "application/hushwood-delivery";

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Nothing to say, or nothing to add to yes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Nothing;

wire_struct! {
    /// A device that shall belong to its account no longer.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct RevokeRequest {
        /// The device.
        pub device: [u8; 16],
    }
}

wire_struct! {
    /// Which devices belong to the account.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct DevicesAnswer {
        /// Those that were not revoked.
        pub devices: Vec<DeviceEntry>,
    }
}

wire_struct! {
    /// KeyPackages for others to claim.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct PublishRequest {
        /// All of them are kept, or none.
        pub packages: Vec<PublishedKeyPackage>,
    }
}

wire_struct! {
    /// What others can still claim, a line for each suite.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct StockAnswer {
        /// Suites of which there has been one.
        pub entries: Vec<StockEntry>,
    }
}

wire_struct! {
    /// What was claimed.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ClaimAnswer {
        /// One for each device of the account that had one.
        pub packages: Vec<ClaimedKeyPackage>,
    }
}

wire_struct! {
    /// What waits for a device.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct InboxAnswer {
        /// The oldest first. There may be more behind them.
        pub welcomes: Vec<WelcomeEntry>,
    }
}

wire_newtype! {
    /// The name of a Welcome in an inbox.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub struct WelcomeId(pub [u8; 32]);
}

wire_struct! {
    /// Which Welcomes a device wants to see.
    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    pub struct InboxRequest {
        /// Those behind this one, which it has seen and not taken out: what it can't deal with stands in nobody's way. If it is not
        /// there, or for none, the oldest.
        pub after: Option<WelcomeId>,
    }
}

wire_struct! {
    /// What a device has stored for itself.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct AcknowledgeRequest {
        /// Their names.
        pub ids: Vec<WelcomeId>,
    }
}

wire_struct! {
    /// Where a group stands.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct HeadAnswer {
        /// The current epoch.
        pub epoch: u64,
        /// The number of the newest entry; 0 for none.
        pub sequence: u64,
        /// The number of the commit that began the epoch; 0 for the first.
        pub commit: u64,
    }
}

/// Declares the list, and what follows from it.
macro_rules! calls {
    ($(
        $(#[$meta:meta])*
        $name:ident($request:ty) -> $answer:ty, $path:literal, $access:ident, body $body:expr, answer $most:expr;
    )*) => {
        /// The requests, without what is in them.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum CallKind { $( $(#[$meta])* $name ),* }

        /// A request. `Debug` shows its kind and nothing of what is in it.
        #[derive(Clone, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Call { $( $(#[$meta])* $name($request) ),* }

        /// The answer to a request that was not refused, under the request's name. `Debug` shows its kind and
        /// nothing of what is in it.
        #[derive(Clone, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Answer { $( #[doc = concat!("To [`Call::", stringify!($name), "`].")] $name($answer) ),* }

        impl CallKind {
            /// All of them.
            pub const ALL: &[Self] = &[ $( Self::$name ),* ];

            /// Its path, below the address of the service.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $( Self::$name => $path ),* }
            }

            /// The kind at a path.
            #[must_use]
            pub fn of_path(path: &str) -> Option<Self> {
                match path { $( $path => Some(Self::$name), )* _ => None }
            }

            /// Whether a device's token is asked for.
            #[must_use]
            pub const fn access(self) -> Access {
                match self { $( Self::$name => Access::$access ),* }
            }

            /// The largest body of a request that is read, whatever the service's settings are.
            #[must_use]
            pub const fn max_body(self) -> usize {
                match self { $( Self::$name => $body ),* }
            }

            /// The largest body of an answer that a client should take.
            #[must_use]
            pub const fn max_answer(self) -> usize {
                match self { $( Self::$name => $most ),* }
            }

            /// A name for logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name) ),* }
            }
        }

        impl Call {
            /// What it is.
            #[must_use]
            pub const fn kind(&self) -> CallKind {
                match self { $( Self::$name(_) => CallKind::$name ),* }
            }

            /// Its body.
            ///
            /// # Errors
            /// [`EncodeError`] for a vector that is too long to be encoded.
            pub fn to_body(&self) -> Result<Vec<u8>, EncodeError> {
                match self { $( Self::$name(request) => request.to_bytes() ),* }
            }

            /// A request from its body.
            ///
            /// # Errors
            /// [`DecodeError`] if the body is not the canonical encoding of such a request, or too large.
            pub fn from_body(kind: CallKind, body: &[u8]) -> Result<Self, DecodeError> {
                let limits = limits(kind.max_body());
                match kind { $(
                    CallKind::$name => Decode::from_bytes_with(body, limits).map(Self::$name),
                )* }
            }
        }

        impl Answer {
            /// Which request it is the answer to.
            #[must_use]
            pub const fn kind(&self) -> CallKind {
                match self { $( Self::$name(_) => CallKind::$name ),* }
            }

            /// Its body.
            ///
            /// # Errors
            /// [`EncodeError`] for a vector that is too long to be encoded.
            pub fn to_body(&self) -> Result<Vec<u8>, EncodeError> {
                match self { $( Self::$name(answer) => answer.to_bytes() ),* }
            }

            /// An answer from its body.
            ///
            /// # Errors
            /// [`DecodeError`] if the body is not the canonical encoding of such an answer, or too large.
            pub fn from_body(kind: CallKind, body: &[u8]) -> Result<Self, DecodeError> {
                let limits = limits(kind.max_answer());
                match kind { $(
                    CallKind::$name => Decode::from_bytes_with(body, limits).map(Self::$name),
                )* }
            }
        }
    };
}

/// What a request shows beside its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Nothing: what it needs is in the body.
    Open,
    /// A device's token: `Authorization: Bearer` and the token in base64 (URL alphabet, without padding).
    Device,
}

calls! {
    /// Something for a device to sign.
    Challenge(Nothing) -> Challenge, "/v1/challenge", Open, body 0, answer KIB;
    /// A device for an account, or an account with its first device.
    Register(Registration) -> Nothing, "/v1/register", Open, body 8 * KIB, answer 0;
    /// A token for a device.
    Login(Login) -> Token, "/v1/login", Open, body 8 * KIB, answer KIB;
    /// Which devices belong to the account.
    Devices(Nothing) -> DevicesAnswer, "/v1/devices/list", Device, body 0, answer 64 * KIB;
    /// Takes a device out of the account.
    Revoke(RevokeRequest) -> Nothing, "/v1/devices/revoke", Device, body KIB, answer 0;
    /// KeyPackages for others to claim.
    Publish(PublishRequest) -> Nothing, "/v1/key-packages/publish", Device, body 4 * MIB, answer 0;
    /// What others can still claim of the device.
    Stock(Nothing) -> StockAnswer, "/v1/key-packages/stock", Device, body 0, answer 64 * KIB;
    /// One KeyPackage of each device of an account.
    Claim(ClaimRequest) -> ClaimAnswer, "/v1/key-packages/claim", Device, body KIB, answer 16 * MIB;
    /// Welcomes that wait for the device.
    Inbox(InboxRequest) -> InboxAnswer, "/v1/inbox/read", Device, body 64, answer 32 * MIB;
    /// Welcomes that the device has stored for itself.
    Acknowledge(AcknowledgeRequest) -> Nothing, "/v1/inbox/acknowledge", Device, body 64 * KIB, answer 0;
    /// A group that comes to the service.
    CreateGroup(CreateRequest) -> Nothing, "/v1/groups/create", Device, body 66 * MIB, answer 0;
    /// A commit, with all that becomes true with it.
    Commit(CommitRequest) -> CommitAnswer, "/v1/groups/commit", Open, body 5 * MIB, answer KIB;
    /// A proposal or an application message.
    Send(SendRequest) -> SendAnswer, "/v1/groups/send", Open, body MIB + 64 * KIB, answer KIB;
    /// A proposal from outside a group.
    Propose(ProposeRequest) -> SendAnswer, "/v1/groups/propose", Device, body MIB + 64 * KIB, answer KIB;
    /// What is in a group's log after a number.
    Read(ReadRequest) -> ReadAnswer, "/v1/groups/read", Open, body 64 * KIB, answer 32 * MIB;
    /// Where a group stands.
    Head(HeadRequest) -> HeadAnswer, "/v1/groups/head", Open, body 64 * KIB, answer KIB;
    /// What somebody needs who joins a group from outside.
    GroupInfo(GroupInfoRequest) -> GroupInfoAnswer, "/v1/groups/group-info", Open, body 64 * KIB, answer 256 * MIB;
    /// The tree of an epoch, for somebody who has a Welcome for it.
    Tree(TreeRequest) -> TreeAnswer, "/v1/groups/tree", Open, body 64 * KIB, answer 256 * MIB;
}

impl Encode for Nothing {
    fn encode(&self, _: &mut Writer) {}
}

impl Decode for Nothing {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

const ACCEPTED: u8 = 1;
const STALE: u8 = 2;

impl Encode for CommitAnswer {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Accepted(sequence) => writer.value(&ACCEPTED).value(sequence),
            Self::Stale { epoch, winner } => writer.value(&STALE).value(epoch).value(winner),
        };
    }
}

impl Decode for CommitAnswer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("CommitAnswer"))? {
            ACCEPTED => Ok(Self::Accepted(u64::decode(reader)?)),
            STALE => Ok(Self::Stale { epoch: u64::decode(reader)?, winner: u64::decode(reader)? }),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for SendAnswer {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Accepted(sequence) => writer.value(&ACCEPTED).value(sequence),
            Self::Stale { epoch } => writer.value(&STALE).value(epoch),
        };
    }
}

impl Decode for SendAnswer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("SendAnswer"))? {
            ACCEPTED => Ok(Self::Accepted(u64::decode(reader)?)),
            STALE => Ok(Self::Stale { epoch: u64::decode(reader)? }),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call::{}(..)", self.kind().name())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer::{}(..)", self.kind().name())
    }
}

fn limits(max_bytes: usize) -> DecodeLimits {
    DecodeLimits { max_bytes, ..DecodeLimits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::GroupKey;

    #[test]
    fn each_kind_has_a_path_of_its_own() {
        for kind in CallKind::ALL {
            assert_eq!(CallKind::of_path(kind.path()), Some(*kind));
            assert!(kind.path().starts_with("/v1/"));
        }
        assert_eq!(CallKind::of_path("/v1/nothing"), None);
    }

    #[test]
    fn requests_and_answers_come_back_from_their_bodies() {
        let (group_id, tree_hash) = (b"group".to_vec(), b"hash".to_vec());
        let call = Call::Tree(TreeRequest { group_id, key: GroupKey::new([3; 32]), epoch: 7, tree_hash });
        assert_eq!(Call::from_body(CallKind::Tree, &call.to_body().unwrap()), Ok(call));
        let trimmed = Answer::Read(ReadAnswer::Trimmed { first: 9, newest: 12, epoch: 3 });
        assert_eq!(Answer::from_body(CallKind::Read, &trimmed.to_body().unwrap()), Ok(trimmed));
        let stale = Answer::Commit(CommitAnswer::Stale { epoch: 9, winner: 12 });
        assert_eq!(Answer::from_body(CallKind::Commit, &stale.to_body().unwrap()), Ok(stale));
        let sent = Answer::Send(SendAnswer::Accepted(3));
        assert_eq!(Answer::from_body(CallKind::Send, &sent.to_body().unwrap()), Ok(sent));
        assert_eq!(Call::from_body(CallKind::Stock, &[]), Ok(Call::Stock(Nothing)));
        assert!(Call::from_body(CallKind::Stock, &[0]).is_err(), "nothing is nothing");
        let inbox = Call::Inbox(InboxRequest { after: Some(WelcomeId([7; 32])) });
        assert_eq!(Call::from_body(CallKind::Inbox, &inbox.to_body().unwrap()), Ok(inbox));
    }

    #[test]
    fn a_key_is_not_shown() {
        let (group_id, tree_hash) = (b"group".to_vec(), b"hash".to_vec());
        let call = Call::Tree(TreeRequest { group_id, key: GroupKey::new([0xab; 32]), epoch: 7, tree_hash });
        assert_eq!(format!("{call:?}"), "Call::Tree(..)");
    }
}
