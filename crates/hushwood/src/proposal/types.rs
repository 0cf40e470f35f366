//! RFC 9420 §12.1: the Proposal structures.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::CipherSuiteId;

use crate::credential::PRIVATE_USE_FIRST;
use crate::extension::Extensions;
use crate::key_package::KeyPackage;
use crate::proposal::ProposalType;
use crate::schedule::PreSharedKeyId;
use crate::tree::{LeafIndex, LeafNode};
use crate::version::ProtocolVersion;

/// `Proposal`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Proposal {
    /// Add a client (§12.1.1).
    Add(Box<Add>),
    /// Replace the sender's leaf (§12.1.2).
    Update(Box<Update>),
    /// Remove a member (§12.1.3).
    Remove(Remove),
    /// Inject a pre-shared key (§12.1.4).
    Psk(Box<PreSharedKey>),
    /// Replace the group by another one (§12.1.5).
    ReInit(Box<ReInit>),
    /// Join by external commit (§12.1.6).
    ExternalInit(ExternalInit),
    /// Replace the group's extensions (§12.1.7).
    GroupContextExtensions(GroupContextExtensions),
    /// A type from the private-use range, with `opaque data<V>` (C391).
    Custom {
        /// Its type, 0xF000 to 0xFFFF.
        proposal_type: ProposalType,
        /// Its content, in a format that the application defines.
        data: Vec<u8>,
    },
}

wire_struct! {
    /// `Add`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Add {
        /// The client's KeyPackage.
        pub key_package: KeyPackage,
    }
}

wire_struct! {
    /// `Update`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Update {
        /// The sender's new leaf.
        pub leaf_node: LeafNode,
    }
}

wire_struct! {
    /// `Remove`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Remove {
        /// The member to remove.
        pub removed: LeafIndex,
    }
}

wire_struct! {
    /// `PreSharedKey`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct PreSharedKey {
        /// Which key.
        pub psk: PreSharedKeyId,
    }
}

wire_struct! {
    /// `ReInit`: the parameters of the group that replaces this one.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ReInit {
        /// Its identifier; may be the old one.
        pub group_id: Vec<u8>,
        /// Its protocol version.
        pub version: ProtocolVersion,
        /// Its suite.
        pub cipher_suite: CipherSuiteId,
        /// Its extensions.
        pub extensions: Extensions,
    }
}

wire_struct! {
    /// `ExternalInit`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ExternalInit {
        /// The KEM output that the new init secret is exported from (RFC 9420 §8.3).
        pub kem_output: Vec<u8>,
    }
}

wire_struct! {
    /// `GroupContextExtensions`.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupContextExtensions {
        /// All extensions of the group from now on.
        pub extensions: Extensions,
    }
}

impl Proposal {
    /// Its type.
    #[must_use]
    pub fn proposal_type(&self) -> ProposalType {
        match self {
            Self::Add(_) => ProposalType::ADD,
            Self::Update(_) => ProposalType::UPDATE,
            Self::Remove(_) => ProposalType::REMOVE,
            Self::Psk(_) => ProposalType::PSK,
            Self::ReInit(_) => ProposalType::REINIT,
            Self::ExternalInit(_) => ProposalType::EXTERNAL_INIT,
            Self::GroupContextExtensions(_) => ProposalType::GROUP_CONTEXT_EXTENSIONS,
            Self::Custom { proposal_type, .. } => *proposal_type,
        }
    }
}

impl Encode for Proposal {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.proposal_type());
        match self {
            Self::Add(add) => writer.value(add),
            Self::Update(update) => writer.value(update),
            Self::Remove(remove) => writer.value(remove),
            Self::Psk(psk) => writer.value(psk),
            Self::ReInit(reinit) => writer.value(reinit),
            Self::ExternalInit(external_init) => writer.value(external_init),
            Self::GroupContextExtensions(extensions) => writer.value(extensions),
            Self::Custom { data, .. } => writer.opaque(data),
        };
    }
}

impl Decode for Proposal {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let proposal_type = ProposalType::decode(reader.field("Proposal.proposal_type"))?;
        Ok(match proposal_type {
            ProposalType::ADD => Self::Add(Box::decode(reader)?),
            ProposalType::UPDATE => Self::Update(Box::decode(reader)?),
            ProposalType::REMOVE => Self::Remove(Remove::decode(reader)?),
            ProposalType::PSK => Self::Psk(Box::decode(reader)?),
            ProposalType::REINIT => Self::ReInit(Box::decode(reader)?),
            ProposalType::EXTERNAL_INIT => Self::ExternalInit(ExternalInit::decode(reader)?),
            ProposalType::GROUP_CONTEXT_EXTENSIONS => {
                Self::GroupContextExtensions(GroupContextExtensions::decode(reader)?)
            }
            ProposalType(PRIVATE_USE_FIRST..) => {
                Self::Custom { proposal_type, data: Vec::decode(reader.field("Proposal.data"))? }
            }
            // C024: an unknown proposal has no length, so nothing behind it can be read.
            ProposalType(other) => {
                return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into())));
            }
        })
    }
}

impl Element for Proposal {}
