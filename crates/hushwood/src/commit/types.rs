//! RFC 9420 §12.4: the Commit structures.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::HashReference;

use crate::proposal::Proposal;
use crate::tree::UpdatePath;

wire_struct! {
    /// `Commit`: begins an epoch.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Commit {
        /// The proposals it covers.
        pub proposals: Vec<ProposalOrRef>,
        /// New keys along the committer's path.
        pub path: Option<UpdatePath>,
    }
}

/// `ProposalOrRef`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProposalOrRef {
    /// A proposal of the committer, here in full.
    Proposal(Proposal),
    /// A proposal sent before, by anybody.
    Reference(HashReference),
}

impl Encode for ProposalOrRef {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Proposal(proposal) => writer.raw(&[1]).value(proposal),
            Self::Reference(reference) => writer.raw(&[2]).value(reference),
        };
    }
}

impl Decode for ProposalOrRef {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("ProposalOrRef.type"))? {
            1 => Proposal::decode(reader).map(Self::Proposal),
            2 => HashReference::decode(reader.field("ProposalOrRef.reference")).map(Self::Reference),
            // C019: no other type is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Element for ProposalOrRef {}
