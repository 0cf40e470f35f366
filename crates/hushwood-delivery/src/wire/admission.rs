//! Who asks for something about a group, and why they may.

use std::fmt;

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::wire::account::content;

/// The label under which proofs are signed: `SignWithLabel(key, "DeliveryRequest", content)` (RFC 9420 §5.1.2).
pub const REQUEST_LABEL: &str = "DeliveryRequest";

/// The label under which invitations are signed.
pub const INVITATION_LABEL: &str = "DeliveryInvitation";

/// The type of the extension of group contexts in which clients keep how a group is delivered, its [`GroupKey`] with it. The service
/// refuses what would change it: who joins later would look for the group under another key.
pub const DELIVERY_EXTENSION: u16 = 0xF0D1;

/// The key under which a service keeps what it knows of a group. It stands in the group's context, so members have
/// it, and those who are invited; the service has it while it is asked something.
///
/// It opens what lies on the disk and allows nothing else: who has been removed from the group still knows it. What allows
/// something is an [`Admission`]. It is erased from memory when it is dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GroupKey([u8; 32]);

impl GroupKey {
    /// A key from its bytes, which are random.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey(..)")
    }
}

/// In constant time.
impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for GroupKey {}

impl Encode for GroupKey {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for GroupKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; 32]>::decode(reader).map(Self)
    }
}

/// Why somebody may ask for something about a group. Whatever it is, the request is signed: the group's key is not enough.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// They are a member.
    Member(MemberProof),
    /// A member has invited them to join from outside.
    Invited(InvitedProof),
    /// The group lists them among its external senders (RFC 9420 §12.1.8.1).
    ExternalSender(ExternalSenderProof),
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

wire_struct! {
    /// An invitation, and a signature of whom it is for.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct InvitedProof {
        /// The invitation.
        pub invitation: Invitation,
        /// The sender's clock, in seconds: the service takes what is a few minutes old.
        pub at: u64,
        /// `SignWithLabel(., "DeliveryRequest", content)`, of the request's `signed`, with the key that is invited.
        pub signature: Vec<u8>,
    }
}

wire_struct! {
    /// A signature with the key of an external sender.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ExternalSenderProof {
        /// Its position in the `external_senders` extension of the group's context.
        pub sender_index: u32,
        /// The sender's clock, in seconds: the service takes what is a few minutes old.
        pub at: u64,
        /// `SignWithLabel(., "DeliveryRequest", content)`, of the request's `signed`.
        pub signature: Vec<u8>,
    }
}

wire_struct! {
    /// A member's word that somebody may join a group from outside, by an external commit (RFC 9420 §12.4.3.2).
    ///
    /// It is for one signature key, which is that of the leaf that joins, and good as long as the member who made it is in the
    /// group with the key that signed it. Who has left the group since it was made needs another.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Invitation {
        /// The leaf of the member who invites.
        pub leaf_index: u32,
        /// The epoch in which it was made.
        pub epoch: u64,
        /// The signature key of whom it is for.
        pub signature_key: Vec<u8>,
        /// The service's second after which it is good no more. A service takes those that have a few days left at most.
        pub not_after: u64,
        /// `SignWithLabel(., "DeliveryInvitation", content)`, of [`signed`](Self::signed), with the key of the member's leaf.
        pub signature: Vec<u8>,
    }
}

impl Invitation {
    /// What the member signs who invites: for this service and this group alone.
    #[must_use]
    pub fn signed(&self, service: &str, group_id: &[u8]) -> Vec<u8> {
        let (epoch, not_after) = (self.epoch.to_be_bytes(), self.not_after.to_be_bytes());
        let parts = [service.as_bytes(), group_id, &epoch, &self.signature_key, &not_after];
        content(b"hushwood delivery invitation 1", &parts)
    }
}

impl Admission {
    /// When the request was made, by the clock of who made it.
    #[must_use]
    pub fn at(&self) -> u64 {
        match self {
            Self::Member(proof) => proof.at,
            Self::Invited(proof) => proof.at,
            Self::ExternalSender(proof) => proof.at,
        }
    }

    /// Puts the signature in, over the `signed` of the request that this stands in.
    pub fn set_signature(&mut self, signature: Vec<u8>) {
        match self {
            Self::Member(proof) => proof.signature = signature,
            Self::Invited(proof) => proof.signature = signature,
            Self::ExternalSender(proof) => proof.signature = signature,
        }
    }
}

/// What is asked, of whom, and when.
pub(super) fn request(service: &str, call: &str, group_id: &[u8], at: u64, parts: &[&[u8]]) -> Vec<u8> {
    let at = at.to_be_bytes();
    let head: [&[u8]; 4] = [service.as_bytes(), call.as_bytes(), group_id, &at];
    content(b"hushwood delivery request 1", &[head.as_slice(), parts].concat())
}

const MEMBER: u8 = 1;
const INVITED: u8 = 2;
const EXTERNAL_SENDER: u8 = 3;

impl Element for Admission {}

impl Encode for Admission {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Member(proof) => writer.value(&MEMBER).value(proof),
            Self::Invited(proof) => writer.value(&INVITED).value(proof),
            Self::ExternalSender(proof) => writer.value(&EXTERNAL_SENDER).value(proof),
        };
    }
}

impl Decode for Admission {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("Admission"))? {
            MEMBER => Ok(Self::Member(MemberProof::decode(reader)?)),
            INVITED => Ok(Self::Invited(InvitedProof::decode(reader)?)),
            EXTERNAL_SENDER => Ok(Self::ExternalSender(ExternalSenderProof::decode(reader)?)),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_key_is_not_shown() {
        assert_eq!(format!("{:?}", GroupKey::new([0xab; 32])), "GroupKey(..)");
    }

    #[test]
    fn admissions_come_back() {
        let member = MemberProof { leaf_index: 3, at: 5, signature: b"s".to_vec() };
        let invitation = Invitation {
            leaf_index: 1,
            epoch: 2,
            signature_key: b"key".to_vec(),
            not_after: 7,
            signature: b"t".to_vec(),
        };
        for admission in [
            Admission::Member(member),
            Admission::Invited(InvitedProof { invitation, at: 6, signature: b"u".to_vec() }),
            Admission::ExternalSender(ExternalSenderProof { sender_index: 0, at: 7, signature: Vec::new() }),
        ] {
            let bytes = admission.to_bytes().unwrap();
            assert_eq!(Admission::from_bytes(&bytes), Ok(admission));
        }
        assert!(Admission::from_bytes(&[9]).is_err());
    }

    #[test]
    fn what_is_signed_depends_on_all_of_it() {
        let one = |epoch, key: &[u8]| Invitation {
            leaf_index: 1,
            epoch,
            signature_key: key.to_vec(),
            not_after: 7,
            signature: Vec::new(),
        };
        let signed = one(1, b"k").signed("service", b"group");
        for other in [
            one(2, b"k").signed("service", b"group"),
            one(1, b"l").signed("service", b"group"),
            one(1, b"k").signed("other", b"group"),
            one(1, b"k").signed("service", b"other"),
        ] {
            assert_ne!(other, signed);
        }
    }
}
