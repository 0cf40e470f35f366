//! Invitations that wait for a decision.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};

use crate::core::Known;
use crate::identity::Member;

/// The name of an invitation: a hash of what has come.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InvitationId(pub [u8; 32]);

/// An invitation into a room. Nothing of it counts before it is accepted: no key in it is remembered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Its name, for [`accept_invitation`](crate::Core::accept_invitation) and
    /// [`refuse_invitation`](crate::Core::refuse_invitation).
    pub id: InvitationId,
    /// Who invites, by what they show.
    pub by: Member,
    /// How well their key is known.
    pub by_trust: Known,
    /// Who is in the room, and how well their keys are known, the least known first; not all of them where there are many.
    pub members: Vec<Invitee>,
    /// How many there are.
    pub count: u32,
    /// How many are no members and may propose changes.
    pub external_senders: u32,
}

/// Somebody in a room that we are invited to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitee {
    /// Who, by what they show.
    pub member: Member,
    /// How well their key is known.
    pub trust: Known,
}

/// Who is in a room that we were to come back to. Nothing has happened: [`rejoin`](crate::Core::rejoin) it again if that is right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Returning {
    /// Who is there, and how well their keys are known, the least known first; not all of them where there are many.
    pub members: Vec<Invitee>,
    /// How many there are.
    pub count: u32,
    /// How many are no members and may propose changes.
    pub external_senders: u32,
}

/// So many members are told of.
const MOST_TOLD: usize = 200;

/// Members as they are told: the least known first, and not too many.
pub(crate) fn least_known_first(mut members: Vec<Invitee>) -> Vec<Invitee> {
    members.sort_by_key(|one| match one.trust {
        Known::Doubted => 0,
        Known::Unknown => 1,
        Known::Seen => 2,
        Known::Verified => 3,
        Known::Own => 4,
    });
    members.truncate(MOST_TOLD);
    members
}

/// Which invitations are followed without asking. All others are told as [`Invited`](crate::EventKind::Invited) and wait.
///
/// In no case is one followed that has somebody in it whose key is not the one that was known. The same goes for coming back to a room
/// ([`rejoin`](crate::Core::rejoin)): where somebody is there of whom the application would be asked, it is told first
/// ([`Returning`](crate::EventKind::Returning)).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Invitations {
    /// Those of devices whose keys are known, if nobody in the room is doubted. Where [`Trust`](crate::Trust) is a validator of
    /// the application's, those of all whom it believes.
    #[default]
    FromKnown,
    /// All: anybody who knows our name can bring us into a room, and the keys of those who are in it are remembered as theirs.
    All,
    /// None.
    Ask,
}

wire_struct! {
    /// An invitation as it is stored.
    pub(crate) struct InvitationRecord {
        pub(crate) version: u8,
        /// In which order they came.
        pub(crate) number: u64,
        /// The Welcome.
        pub(crate) message: Vec<u8>,
        /// 1 if the application has accepted it.
        pub(crate) accepted: u8,
        /// What it was told of it, and the room.
        pub(crate) told: Option<Told>,
    }
}

wire_struct! {
    /// What the application knows of an invitation.
    #[derive(Clone)]
    pub(crate) struct Told {
        pub(crate) room: Vec<u8>,
        pub(crate) invitation: Invitation,
    }
}

impl Element for Invitation {}

impl Encode for Invitation {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.id.0).value(&self.by).value(&self.by_trust);
        writer.vector(&self.members).value(&self.count).value(&self.external_senders);
    }
}

impl Decode for Invitation {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: InvitationId(<[u8; 32]>::decode(reader)?),
            by: Member::decode(reader)?,
            by_trust: Known::decode(reader)?,
            members: Vec::decode(reader)?,
            count: u32::decode(reader)?,
            external_senders: u32::decode(reader)?,
        })
    }
}

impl Element for Returning {}

impl Encode for Returning {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(&self.members).value(&self.count).value(&self.external_senders);
    }
}

impl Decode for Returning {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            members: Vec::decode(reader)?,
            count: u32::decode(reader)?,
            external_senders: u32::decode(reader)?,
        })
    }
}

impl Element for Invitee {}

impl Encode for Invitee {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.member).value(&self.trust);
    }
}

impl Decode for Invitee {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { member: Member::decode(reader)?, trust: Known::decode(reader)? })
    }
}

impl Encode for Known {
    fn encode(&self, writer: &mut Writer) {
        let number: u8 = match self {
            Self::Own => 1,
            Self::Verified => 2,
            Self::Seen => 3,
            Self::Unknown => 4,
            Self::Doubted => 5,
        };
        writer.value(&number);
    }
}

impl Decode for Known {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Own),
            2 => Ok(Self::Verified),
            3 => Ok(Self::Seen),
            4 => Ok(Self::Unknown),
            5 => Ok(Self::Doubted),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}
