//! RFC 9420 §7.2: leaf node contents.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::{CipherSuiteId, HpkePublicKey, SignaturePublicKey};

use crate::credential::{Credential, CredentialType};
use crate::extension::{ExtensionType, Extensions};
use crate::proposal::ProposalType;
use crate::tree::LeafIndex;
use crate::version::ProtocolVersion;

wire_struct! {
    /// `LeafNode`: one client's appearance in a group, signed by that client.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct LeafNode {
        /// The key that path secrets are encrypted to.
        pub encryption_key: HpkePublicKey,
        /// The key that the client's messages verify with.
        pub signature_key: SignaturePublicKey,
        /// Who the client is.
        pub credential: Credential,
        /// What the client supports.
        pub capabilities: Capabilities,
        /// How the leaf came into the tree.
        pub leaf_node_source: LeafNodeSource,
        /// Further information about the client.
        pub extensions: Extensions,
        /// `SignWithLabel(., "LeafNodeTBS", LeafNodeTBS)`.
        pub signature: Vec<u8>,
    }
}

wire_struct! {
    /// `Capabilities`: what a client supports. Unknown values are ignored; default types not listed.
    #[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
    pub struct Capabilities {
        /// Protocol versions.
        pub versions: Vec<ProtocolVersion>,
        /// Cipher suites.
        pub cipher_suites: Vec<CipherSuiteId>,
        /// Extension types, without the default ones.
        pub extensions: Vec<ExtensionType>,
        /// Proposal types, without the default ones.
        pub proposals: Vec<ProposalType>,
        /// Credential types.
        pub credentials: Vec<CredentialType>,
    }
}

wire_struct! {
    /// `Lifetime`: when a leaf from a KeyPackage is valid, in seconds since 1970-01-01T00:00:00Z.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct Lifetime {
        /// First valid second.
        pub not_before: u64,
        /// Last valid second.
        pub not_after: u64,
    }
}

/// `LeafNodeSource` with what depends on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeafNodeSource {
    /// From a KeyPackage, by an Add.
    KeyPackage(Lifetime),
    /// From an Update proposal.
    Update,
    /// From the path of a Commit.
    Commit {
        /// The parent hash of the next non-blank node above (RFC 9420 §7.9).
        parent_hash: Vec<u8>,
    },
}

const KEY_PACKAGE: u8 = 1;
const UPDATE: u8 = 2;
/// The source of a leaf that came with a Commit.
pub(crate) const COMMIT: u8 = 3;

impl Encode for LeafNodeSource {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::KeyPackage(lifetime) => writer.raw(&[KEY_PACKAGE]).value(lifetime),
            Self::Update => writer.raw(&[UPDATE]),
            Self::Commit { parent_hash } => writer.raw(&[COMMIT]).opaque(parent_hash),
        };
    }
}

impl Decode for LeafNodeSource {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            KEY_PACKAGE => Lifetime::decode(reader).map(Self::KeyPackage),
            UPDATE => Ok(Self::Update),
            COMMIT => Ok(Self::Commit { parent_hash: Vec::decode(reader)? }),
            // C017: no other source is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Element for LeafNodeSource {}

impl LeafNode {
    /// The encoded `LeafNodeTBS`: every field but the signature (C113). `place`, the group and leaf, is part of it for leaves made within a
    /// group, those with source update or commit (C112).
    pub(crate) fn encode_tbs(&self, writer: &mut Writer, place: (&[u8], LeafIndex)) {
        writer.value(&self.encryption_key).value(&self.signature_key).value(&self.credential);
        writer.value(&self.capabilities).value(&self.leaf_node_source).value(&self.extensions);
        match self.leaf_node_source {
            LeafNodeSource::KeyPackage(_) => {}
            LeafNodeSource::Update | LeafNodeSource::Commit { .. } => {
                writer.opaque(place.0).value(&place.1);
            }
        }
    }
}
