//! What is wanted, kept until it is done.
//!
//! An intent is stored before anything of it is sent, and what is sent for it is stored with it, in the transaction that
//! has used up the keys. So it survives everything: the same request is sent again until its answer is known.
//!
//! ```text
//! ToPublish -> Published -> done, when the log has it
//!     ^------------'         another commit was faster: it is derived anew from what the group is then
//! ```

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, Reader, Writer};
use hushwood_crypto::Secret;
use hushwood_delivery::rules::Rules;
use hushwood_delivery::wire::{ClaimedKeyPackage, CommitRequest};

use crate::error::Error;
use crate::records::{VERSION, corrupt};
use crate::room::RoomId;

/// Something to be done in a room.
pub(crate) struct Intent {
    pub(crate) room: RoomId,
    pub(crate) action: Action,
    pub(crate) stage: Stage,
    /// How often it has lost.
    pub(crate) attempts: u32,
    /// Not before this time, in milliseconds.
    pub(crate) not_before: u64,
}

/// What is to be done.
#[derive(Clone)]
pub(crate) enum Action {
    /// Add all devices of a person that are not there; their KeyPackages once they were claimed.
    Add { person: Vec<u8>, claimed: Option<Vec<ClaimedKeyPackage>> },
    /// Remove all devices of a person, or one of them.
    Remove { person: Vec<u8>, device: Option<[u8; 16]> },
    /// Remove the member with this key.
    RemoveKey { key: Vec<u8> },
    /// Say something.
    Send { id: [u8; 16], sent_at: u64, kind: u8, body: Vec<u8> },
    /// New keys for our leaf.
    Renew,
    /// Commit the proposals that wait.
    CommitWaiting,
    /// Ask the others to remove us.
    Leave,
    /// Come back by an external commit.
    Rejoin,
    /// Other rules about who may do what.
    SetRules { rules: Rules },
    /// Make the devices of a person admins, if `is` is 1, or no admins.
    Admin { person: Vec<u8>, is: u8 },
}

/// How far it is.
pub(crate) enum Stage {
    ToPublish,
    Published(Published),
}

/// What was made for it.
pub(crate) struct Published {
    /// The beginning of the hash of the message, as the group names it.
    pub(crate) hash: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) request: Outgoing,
}

/// What is sent, until there is an answer.
pub(crate) enum Outgoing {
    Commit(Box<CommitRequest>),
    /// A proposal or a message; its proof is made when it is sent.
    Send {
        request: [u8; 32],
        message: Vec<u8>,
    },
}

impl Intent {
    pub(crate) fn new(room: &RoomId, action: Action) -> Self {
        Self { room: room.clone(), action, stage: Stage::ToPublish, attempts: 0, not_before: 0 }
    }

    /// What was made for it, if there is something.
    pub(crate) fn published(&self) -> Option<&Published> {
        match &self.stage {
            Stage::Published(published) => Some(published),
            Stage::ToPublish => None,
        }
    }

    pub(crate) fn to_row(&self) -> Result<Secret, Error> {
        let mut writer = Writer::with_capacity(self.size());
        writer.value(&VERSION).opaque(&self.room.0).value(&self.action).value(&self.stage);
        writer.value(&self.attempts).value(&self.not_before);
        Ok(Secret::new(writer.finish().map_err(hushwood::error::Error::from)?))
    }

    pub(crate) fn from_row(row: &Secret) -> Result<Self, Error> {
        let limits = DecodeLimits { max_bytes: 1 << 30, ..DecodeLimits::default() };
        let read = || {
            let mut reader = Reader::new(row.expose(), limits)?;
            let version = u8::decode(&mut reader)?;
            let intent = Self {
                room: RoomId(Vec::decode(&mut reader)?),
                action: Action::decode(&mut reader)?,
                stage: Stage::decode(&mut reader)?,
                attempts: u32::decode(&mut reader)?,
                not_before: u64::decode(&mut reader)?,
            };
            Ok::<_, DecodeError>((version, intent))
        };
        match read() {
            Ok((VERSION, intent)) => Ok(intent),
            Ok(_) | Err(_) => Err(corrupt()),
        }
    }

    /// About how long its row is.
    fn size(&self) -> usize {
        let body = match &self.action {
            Action::Send { body, .. } => body.len(),
            _ => 0,
        };
        let sent = match self.published().map(|published| &published.request) {
            Some(Outgoing::Send { message, .. }) => message.len(),
            Some(Outgoing::Commit(_)) | None => 0,
        };
        body.saturating_add(sent).saturating_add(1024)
    }
}

impl Encode for Action {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Add { person, claimed } => writer.value(&1_u8).opaque(person).value(claimed),
            Self::Remove { person, device } => writer.value(&2_u8).opaque(person).value(device),
            Self::Send { id, sent_at, kind, body } => {
                writer.value(&3_u8).value(id).value(sent_at).value(kind).opaque(body)
            }
            Self::Renew => writer.value(&4_u8),
            Self::CommitWaiting => writer.value(&5_u8),
            Self::Leave => writer.value(&6_u8),
            Self::Rejoin => writer.value(&7_u8),
            Self::RemoveKey { key } => writer.value(&8_u8).opaque(key),
            Self::SetRules { rules } => writer.value(&9_u8).value(rules),
            Self::Admin { person, is } => writer.value(&10_u8).opaque(person).value(is),
        };
    }
}

impl Decode for Action {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(reader)? {
            1 => Self::Add { person: Vec::decode(reader)?, claimed: Option::decode(reader)? },
            2 => Self::Remove { person: Vec::decode(reader)?, device: Option::decode(reader)? },
            3 => Self::Send {
                id: <[u8; 16]>::decode(reader)?,
                sent_at: u64::decode(reader)?,
                kind: u8::decode(reader)?,
                body: Vec::decode(reader)?,
            },
            4 => Self::Renew,
            5 => Self::CommitWaiting,
            6 => Self::Leave,
            7 => Self::Rejoin,
            8 => Self::RemoveKey { key: Vec::decode(reader)? },
            9 => Self::SetRules { rules: Rules::decode(reader)? },
            10 => Self::Admin { person: Vec::decode(reader)?, is: u8::decode(reader)? },
            other => return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        })
    }
}

impl Encode for Stage {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::ToPublish => writer.value(&1_u8),
            Self::Published(Published { hash, epoch, request }) => {
                writer.value(&2_u8).value(hash).value(epoch);
                match request {
                    Outgoing::Commit(commit) => writer.value(&1_u8).value(&**commit),
                    Outgoing::Send { request, message } => writer.value(&2_u8).value(request).opaque(message),
                }
            }
        };
    }
}

impl Decode for Stage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |reader: &Reader<'_>, other: u8| {
            Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into())))
        };
        match u8::decode(reader)? {
            1 => return Ok(Self::ToPublish),
            2 => {}
            other => return unknown(reader, other),
        }
        let (hash, epoch) = (<[u8; 16]>::decode(reader)?, u64::decode(reader)?);
        let request = match u8::decode(reader)? {
            1 => Outgoing::Commit(Box::new(CommitRequest::decode(reader)?)),
            2 => Outgoing::Send { request: <[u8; 32]>::decode(reader)?, message: Vec::decode(reader)? },
            other => return unknown(reader, other),
        };
        Ok(Self::Published(Published { hash, epoch, request }))
    }
}
