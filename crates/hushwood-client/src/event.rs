//! What has happened, for the application.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::Secret;

use crate::error::Error;
use crate::identity::{Member, MemberRecord};
use crate::invitation::{Invitation, Returning};
use crate::records::{VERSION, corrupt, from_row, to_row};
use crate::room::RoomId;

/// Something that has happened. It is in the store, and is given again after a restart, until it is
/// [acknowledged](crate::Client::acknowledge).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its number: events are numbered as they happen, over all rooms.
    pub number: u64,
    /// Where.
    pub room: RoomId,
    /// What.
    pub kind: EventKind,
}

/// What has happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody else said something.
    Message(Message),
    /// Somebody said something of whom the user has said that they are not who they say ([`distrust`](crate::Core::distrust)). It is
    /// not in the room's history.
    Doubted(Message),
    /// A message of ours has its place.
    Sent {
        /// Its name, as it was given when it was sent.
        id: MessageId,
        /// Its number in the room's log.
        sequence: u64,
    },
    /// Somebody invites us to this room, and it is for the application to say whether we go. Until then nobody in it is believed to be
    /// who they say.
    Invited(Invitation),
    /// Before we come back to a room: who is there now, and may be new to us. It is not done: [`rejoin`](crate::Core::rejoin) it again.
    Returning(Returning),
    /// We are in a room: somebody invited us, or we have come back.
    Joined {
        /// Who invited us; ourselves if we have rejoined.
        by: Member,
    },
    /// Somebody came.
    MemberAdded {
        /// Who.
        member: Member,
        /// Who did it.
        by: Member,
        /// Whether their key was seen for the first time: compare numbers with them.
        first_seen: bool,
    },
    /// Somebody went, or was made to.
    MemberRemoved {
        /// Who.
        member: Member,
        /// Who did it.
        by: Member,
    },
    /// Somebody has a new key or credential, vouched for by the old one.
    MemberChanged {
        /// Who.
        member: Member,
    },
    /// We were removed, or what we asked for when we left was done.
    Removed {
        /// Who did it.
        by: Member,
    },
    /// A device was revoked, says another one of the same person: what it says from now on is [`Doubted`](Self::Doubted), and devices that
    /// it vouches for are asked about. If it is the other way round, [`trust`](crate::Core::trust) the one that was revoked, and
    /// [`distrust`](crate::Core::distrust) the other.
    DeviceRevoked {
        /// The device.
        member: Member,
        /// Who says so.
        by: Member,
    },
    /// The room has another title.
    Title {
        /// The title. It came from outside.
        title: String,
        /// Who named it.
        by: Member,
    },
    /// Messages are missing: they never came, or can't be read.
    Gap {
        /// Whose, if that is known.
        from: Option<Member>,
        /// How many.
        missing: u32,
    },
    /// Others see another history of the room, or we can't follow it: nothing is sent until we have rejoined.
    Fork {
        /// Who sees another one; nobody in particular if it is we who can't follow.
        with: Option<Member>,
        /// The number in the log.
        sequence: u64,
    },
    /// Somebody has changed what the group asks of its members, or who may propose changes from outside.
    GroupChanged {
        /// Who did it.
        by: Member,
        /// How many there are now who are no members and get to know who is in the room, and may propose to add or remove
        /// somebody. Nothing that they propose is done by this client.
        external_senders: u32,
    },
    /// A member's commit is not taken, by us or by anybody who judges as we do: the room stops ([`Fork`](Self::Fork) follows), and
    /// goes on for those who [`rejoin`](crate::Core::rejoin) it, in the epoch that this commit has begun, or for those who make it anew
    /// without that member.
    NotTaken {
        /// Whose it is, by their signature; nobody's who was a member if it came from outside.
        by: Option<Member>,
        /// Why.
        why: NotTaken,
        /// The number in the log.
        sequence: u64,
    },
    /// The room has ended for all: a member has had the group replaced by another one (RFC 9420 §11.2). What was said stays; nothing is sent
    /// any more. Go on in another room, made anew and without whoever should not have done that.
    Ended {
        /// Who did it.
        by: Member,
    },
    /// One member says that they see another history of the room. The service may have shown them one, or they are wrong: the room
    /// goes on, and is a [`Fork`](Self::Fork) when another person says so too, or at once if there is no other.
    OtherHistory {
        /// Who says so.
        with: Member,
        /// The number in the log.
        sequence: u64,
    },
    /// Something waits for a decision of the user.
    NeedsAttention(Attention),
    /// Something that was wanted will not be done: why, for people. Not of what a call has answered with an error
    /// ([`Core::result`](crate::Core::result)).
    NotDone {
        /// The number that it was given.
        intent: u64,
        /// Why.
        why: String,
    },
}

/// What waits for a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Attention {
    /// A key is not the one that was known. Nothing of the room is read on until somebody has decided: by
    /// [`trust`](crate::Core::trust), [`accept_key`](crate::Core::accept_key) or [`distrust`](crate::Core::distrust).
    KeyChanged(Member),
    /// A device that was never seen says that it is of a person of whom others are known, and none of these says so. As with
    /// [`KeyChanged`](Self::KeyChanged), nothing of the room is read on until somebody has decided.
    NewDevice(Member),
    /// A device shows a key of which nobody has said that it is theirs, and only those are believed of which somebody has
    /// ([`Trust::known_only`](crate::Trust::known_only)). It waits as with [`KeyChanged`](Self::KeyChanged).
    UnknownKey(Member),
    /// An invitation can't be followed: why, for people.
    Invitation(String),
}

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Who sent it.
    pub from: Member,
    /// Its name.
    pub id: MessageId,
    /// When, by the sender's clock, in milliseconds.
    pub sent_at: u64,
    /// Its number in the room's log.
    pub sequence: u64,
    /// What it says.
    pub body: Vec<u8>,
}

/// The name of a message: random, the same for all who read it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub [u8; 16]);

/// Why a commit is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotTaken {
    /// The room's rules do not let them do that ([`Core::rules`](crate::Core::rules)). The service should have refused it.
    Rules,
    /// It changes where the group is delivered.
    Delivery,
    /// It brings in a pre-shared key, which no client of ours has (RFC 9420 §8.4). Who comes back needs none.
    PreSharedKey,
}

wire_struct! {
    struct EventRecord {
        version: u8,
        room: Vec<u8>,
        kind: EventKind,
    }
}

impl Event {
    pub(crate) fn to_row(room: &RoomId, kind: &EventKind) -> Result<Secret, Error> {
        let content = match kind {
            EventKind::Message(message) | EventKind::Doubted(message) => message.body.len(),
            _ => 0,
        };
        let record = EventRecord { version: VERSION, room: room.0.clone(), kind: kind.clone() };
        to_row(&record, content)
    }

    pub(crate) fn from_row(number: u64, row: &Secret) -> Result<Self, Error> {
        let record: EventRecord = from_row(row)?;
        match record.version {
            VERSION => Ok(Self { number, room: RoomId(record.room), kind: record.kind }),
            _ => Err(corrupt()),
        }
    }
}

impl Element for EventKind {}

impl Encode for EventKind {
    fn encode(&self, writer: &mut Writer) {
        let flag = |flag: bool| u8::from(flag);
        match self {
            Self::Message(message) => writer.value(&1_u8).value(message),
            Self::Sent { id, sequence } => writer.value(&2_u8).value(&id.0).value(sequence),
            Self::Joined { by } => writer.value(&3_u8).value(by),
            Self::MemberAdded { member, by, first_seen } => {
                writer.value(&4_u8).value(member).value(by).value(&flag(*first_seen))
            }
            Self::MemberRemoved { member, by } => writer.value(&5_u8).value(member).value(by),
            Self::MemberChanged { member } => writer.value(&6_u8).value(member),
            Self::Removed { by } => writer.value(&7_u8).value(by),
            Self::Title { title, by } => writer.value(&8_u8).opaque(title.as_bytes()).value(by),
            Self::Gap { from, missing } => writer.value(&9_u8).value(from).value(missing),
            Self::Fork { with, sequence } => writer.value(&10_u8).value(with).value(sequence),
            Self::NeedsAttention(Attention::KeyChanged(member)) => writer.value(&11_u8).value(member),
            Self::NeedsAttention(Attention::Invitation(why)) => writer.value(&12_u8).opaque(why.as_bytes()),
            Self::NeedsAttention(Attention::NewDevice(member)) => writer.value(&18_u8).value(member),
            Self::NeedsAttention(Attention::UnknownKey(member)) => writer.value(&19_u8).value(member),
            Self::NotDone { intent, why } => writer.value(&13_u8).value(intent).opaque(why.as_bytes()),
            Self::OtherHistory { with, sequence } => writer.value(&14_u8).value(with).value(sequence),
            Self::Invited(invitation) => writer.value(&17_u8).value(invitation),
            Self::Doubted(message) => writer.value(&16_u8).value(message),
            Self::NotTaken { by, why, sequence } => writer.value(&21_u8).value(by).value(why).value(sequence),
            Self::DeviceRevoked { member, by } => writer.value(&24_u8).value(member).value(by),
            Self::Returning(returning) => writer.value(&23_u8).value(returning),
            Self::Ended { by } => writer.value(&22_u8).value(by),
            Self::GroupChanged { by, external_senders } => {
                writer.value(&15_u8).value(by).value(external_senders)
            }
        };
    }
}

impl Decode for EventKind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(reader)? {
            1 => Self::Message(Message::decode(reader)?),
            2 => Self::Sent { id: MessageId(<[u8; 16]>::decode(reader)?), sequence: u64::decode(reader)? },
            3 => Self::Joined { by: Member::decode(reader)? },
            4 => Self::MemberAdded {
                member: Member::decode(reader)?,
                by: Member::decode(reader)?,
                first_seen: u8::decode(reader)? != 0,
            },
            5 => Self::MemberRemoved { member: Member::decode(reader)?, by: Member::decode(reader)? },
            6 => Self::MemberChanged { member: Member::decode(reader)? },
            7 => Self::Removed { by: Member::decode(reader)? },
            8 => Self::Title { title: text(reader)?, by: Member::decode(reader)? },
            9 => Self::Gap { from: Option::decode(reader)?, missing: u32::decode(reader)? },
            10 => Self::Fork { with: Option::decode(reader)?, sequence: u64::decode(reader)? },
            11 => Self::NeedsAttention(Attention::KeyChanged(Member::decode(reader)?)),
            12 => Self::NeedsAttention(Attention::Invitation(text(reader)?)),
            13 => Self::NotDone { intent: u64::decode(reader)?, why: text(reader)? },
            14 => Self::OtherHistory { with: Member::decode(reader)?, sequence: u64::decode(reader)? },
            15 => Self::GroupChanged { by: Member::decode(reader)?, external_senders: u32::decode(reader)? },
            16 => Self::Doubted(Message::decode(reader)?),
            17 => Self::Invited(Invitation::decode(reader)?),
            18 => Self::NeedsAttention(Attention::NewDevice(Member::decode(reader)?)),
            24 => Self::DeviceRevoked { member: Member::decode(reader)?, by: Member::decode(reader)? },
            23 => Self::Returning(Returning::decode(reader)?),
            22 => Self::Ended { by: Member::decode(reader)? },
            21 => Self::NotTaken {
                by: Option::decode(reader)?,
                why: NotTaken::decode(reader)?,
                sequence: u64::decode(reader)?,
            },
            19 => Self::NeedsAttention(Attention::UnknownKey(Member::decode(reader)?)),
            other => return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        })
    }
}

impl Encode for NotTaken {
    fn encode(&self, writer: &mut Writer) {
        let number: u8 = match self {
            Self::Rules => 1,
            Self::Delivery => 2,
            Self::PreSharedKey => 3,
        };
        writer.value(&number);
    }
}

impl Decode for NotTaken {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Rules),
            2 => Ok(Self::Delivery),
            3 => Ok(Self::PreSharedKey),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for Message {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.from)
            .value(&self.id.0)
            .value(&self.sent_at)
            .value(&self.sequence)
            .opaque(&self.body);
    }
}

impl Decode for Message {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            from: Member::decode(reader)?,
            id: MessageId(<[u8; 16]>::decode(reader)?),
            sent_at: u64::decode(reader)?,
            sequence: u64::decode(reader)?,
            body: Vec::decode(reader)?,
        })
    }
}

impl Encode for Member {
    fn encode(&self, writer: &mut Writer) {
        MemberRecord::from(self).encode(writer);
    }
}

impl Decode for Member {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(MemberRecord::decode(reader)?.into())
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(String::from_utf8_lossy(&Vec::<u8>::decode(reader)?).into_owned())
}
