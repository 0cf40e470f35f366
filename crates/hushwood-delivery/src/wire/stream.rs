//! What goes over a connection that stays open: news of groups and inboxes.
//!
//! Each frame is one binary message of a WebSocket at [`STREAM_PATH`]. The client says how much it takes: the server sends
//! an entry of a log only where there is credit for it, and otherwise one hint for each group, the newest. Whoever comes
//! back after a break loses nothing: the log is there, and a subscription begins after a number.

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, Reader, Writer, wire_struct,
};

use crate::wire::admission::request;
use crate::wire::{GroupKey, LogEntry, MemberProof, Refused};

/// Where the WebSocket is.
pub const STREAM_PATH: &str = "/v1/stream";

/// The first octet of [`ServerFrame::Entry`].
#[cfg(feature = "server")]
pub(crate) const ENTRY_FRAME: u8 = 2;

/// The largest frame of a client.
pub const MAX_CLIENT_FRAME: usize = 64 << 10;

/// The largest frame of the server: one entry of a log.
pub const MAX_SERVER_FRAME: usize = 2 << 20;

wire_struct! {
    /// A group to be told of. The proof is looked at when it comes; who is no longer a member is told what was there up to
    /// that, and [`ServerFrame::Refused`] after it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Subscribe {
        /// The client's number for it on this connection.
        pub number: u32,
        /// The group.
        pub group_id: Vec<u8>,
        /// Its key.
        pub key: GroupKey,
        /// The number of the last entry that it has stored for itself.
        pub after: u64,
        /// Who reads is a member, or was one: over [`signed`](Self::signed).
        pub proof: MemberProof,
    }
}

impl Subscribe {
    /// What the reader's proof signs.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let after = self.after.to_be_bytes();
        request(service, "subscribe", &self.group_id, self.proof.at, &[&after])
    }
}

/// What a client says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientFrame {
    /// Tell me of a group.
    Subscribe(Subscribe),
    /// No longer.
    Unsubscribe {
        /// The subscription.
        number: u32,
    },
    /// So many entries more may come, of whichever group. A connection begins with none.
    Credit {
        /// How many.
        entries: u32,
    },
    /// I have stored everything up to this for myself. Written when there is time: what is lost by that is sent again.
    Ack {
        /// The subscription.
        number: u32,
        /// The number of an entry.
        sequence: u64,
    },
    /// Are you there? Comes back as [`ServerFrame::Pong`].
    Ping {
        /// Whatever the client likes.
        payload: [u8; 8],
    },
    /// Tell me of this device's inbox, until the token expires; then log in and say it again.
    Device {
        /// Its token.
        token: Vec<u8>,
    },
}

/// What the server says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerFrame {
    /// The subscription is there.
    Subscribed {
        /// Which.
        number: u32,
        /// The number of the newest entry in the log.
        head: u64,
    },
    /// The next entry. It has taken one credit.
    Entry {
        /// The subscription.
        number: u32,
        /// The entry.
        entry: LogEntry,
    },
    /// There is more in the log than there is credit for: up to this number at least.
    Hint {
        /// The subscription.
        number: u32,
        /// The number of an entry.
        head: u64,
    },
    /// Something waits in the device's inbox.
    Inbox,
    /// To [`ClientFrame::Ping`].
    Pong {
        /// What came.
        payload: [u8; 8],
    },
    /// A subscription is not there, or there no more; or what concerns the connection.
    Refused {
        /// The subscription, if it is about one.
        number: Option<u32>,
        /// Why.
        refused: Refused,
    },
}

impl ClientFrame {
    /// From a message that came.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_message(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes_with(bytes, limits(MAX_CLIENT_FRAME))
    }
}

impl ServerFrame {
    /// From a message that came.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_message(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes_with(bytes, limits(MAX_SERVER_FRAME))
    }
}

fn limits(max_bytes: usize) -> DecodeLimits {
    DecodeLimits { max_bytes, ..DecodeLimits::default() }
}

impl Encode for ClientFrame {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Subscribe(subscribe) => writer.value(&1u8).value(subscribe),
            Self::Unsubscribe { number } => writer.value(&2u8).value(number),
            Self::Credit { entries } => writer.value(&3u8).value(entries),
            Self::Ack { number, sequence } => writer.value(&4u8).value(number).value(sequence),
            Self::Ping { payload } => writer.value(&5u8).value(payload),
            Self::Device { token } => writer.value(&6u8).value(token),
        };
    }
}

impl Decode for ClientFrame {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(reader.field("ClientFrame"))? {
            1 => Self::Subscribe(Subscribe::decode(reader)?),
            2 => Self::Unsubscribe { number: u32::decode(reader)? },
            3 => Self::Credit { entries: u32::decode(reader)? },
            4 => Self::Ack { number: u32::decode(reader)?, sequence: u64::decode(reader)? },
            5 => Self::Ping { payload: Decode::decode(reader)? },
            6 => Self::Device { token: Vec::decode(reader)? },
            other => return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        })
    }
}

impl Encode for ServerFrame {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Subscribed { number, head } => writer.value(&1u8).value(number).value(head),
            Self::Entry { number, entry } => writer.value(&2u8).value(number).value(entry),
            Self::Hint { number, head } => writer.value(&3u8).value(number).value(head),
            Self::Inbox => writer.value(&4u8),
            Self::Pong { payload } => writer.value(&5u8).value(payload),
            Self::Refused { number, refused } => writer.value(&6u8).value(number).value(refused),
        };
    }
}

impl Decode for ServerFrame {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(reader.field("ServerFrame"))? {
            1 => Self::Subscribed { number: u32::decode(reader)?, head: u64::decode(reader)? },
            2 => Self::Entry { number: u32::decode(reader)?, entry: LogEntry::decode(reader)? },
            3 => Self::Hint { number: u32::decode(reader)?, head: u64::decode(reader)? },
            4 => Self::Inbox,
            5 => Self::Pong { payload: Decode::decode(reader)? },
            6 => Self::Refused { number: Option::decode(reader)?, refused: Refused::decode(reader)? },
            other => return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EntryKind, RefusalCode};

    #[test]
    fn frames_come_back_from_their_messages() {
        let proof = MemberProof { leaf_index: 1, at: 2, signature: vec![3] };
        let subscribe =
            Subscribe { number: 1, group_id: vec![2], key: GroupKey::new([3; 32]), after: 5, proof };
        for frame in [
            ClientFrame::Subscribe(subscribe),
            ClientFrame::Unsubscribe { number: 1 },
            ClientFrame::Credit { entries: 9 },
            ClientFrame::Ack { number: 1, sequence: 7 },
            ClientFrame::Ping { payload: [1; 8] },
            ClientFrame::Device { token: vec![1, 2] },
        ] {
            assert_eq!(ClientFrame::from_message(&frame.to_bytes().unwrap()), Ok(frame));
        }
        let entry = LogEntry { sequence: 1, kind: EntryKind::Message, epoch: 2, message: vec![3] };
        for frame in [
            ServerFrame::Subscribed { number: 1, head: 2 },
            ServerFrame::Entry { number: 1, entry },
            ServerFrame::Hint { number: 1, head: 3 },
            ServerFrame::Inbox,
            ServerFrame::Pong { payload: [1; 8] },
            ServerFrame::Refused { number: Some(1), refused: Refused::new(RefusalCode::FORBIDDEN, "no") },
        ] {
            assert_eq!(ServerFrame::from_message(&frame.to_bytes().unwrap()), Ok(frame));
        }
        assert!(ClientFrame::from_message(&[77]).is_err());
        assert!(ServerFrame::from_message(&[]).is_err());
    }
}
