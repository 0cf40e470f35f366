//! How a group lies in a store. Formats are described in ARCHITECTURE.md, "Record layout"; each begins
//! with its version and keeps being readable for ever.

use hushwood_codec::{Decode, DecodeError, DecodeLimits, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::{CipherSuiteId, HashReference, Secret, SignaturePublicKey};

use crate::credential::Credential;
use crate::error::{Error, StoreReadError};
use crate::proposal::{CachedProposal, ReInit};
use crate::schedule::GroupContext;
use crate::tree::LeafIndex;

/// The version that all record formats have today.
const VERSION: u8 = 1;

/// Encodes a record, in a buffer that need not grow: a growing one would leave secrets behind.
pub(crate) fn record(capacity: usize, write: impl FnOnce(&mut Writer)) -> Result<Secret, Error> {
    let mut writer = Writer::with_capacity(capacity.saturating_add(16));
    writer.raw(&[VERSION]);
    write(&mut writer);
    Ok(Secret::new(writer.finish()?))
}

/// Encodes a record that holds one value, without secrets.
pub(crate) fn public_record(value: &impl Encode) -> Result<Secret, Error> {
    record(480, |writer| value.encode(writer))
}

/// Reads a record back.
pub(crate) fn read<T>(
    record: &Secret,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    // Our own records may be larger than any message.
    let limits = DecodeLimits { max_bytes: usize::MAX, max_elements: usize::MAX, max_depth: 32 };
    let corrupt = |_: DecodeError| Error::from(StoreReadError::Corrupt);
    let mut reader = Reader::new(record.expose(), limits).map_err(corrupt)?;
    match u8::decode(&mut reader).map_err(corrupt)? {
        VERSION => {}
        0 => return Err(StoreReadError::Corrupt.into()),
        _ => return Err(StoreReadError::Version.into()),
    }
    let value = read(&mut reader).map_err(corrupt)?;
    reader.finish().map_err(corrupt)?;
    Ok(value)
}

/// Reads a record that holds one value.
pub(crate) fn read_value<T: Decode>(record: &Secret) -> Result<T, Error> {
    read(record, T::decode)
}

wire_struct! {
    /// The record `Group`.
    #[derive(Clone, Debug)]
    pub(crate) struct GroupRecord {
        pub(crate) cipher_suite: CipherSuiteId,
        pub(crate) own_leaf: LeafIndex,
        pub(crate) own_signature_key: SignaturePublicKey,
        pub(crate) status: StatusRecord,
    }
}

/// What a group has come to.
#[derive(Clone, Debug)]
pub(crate) enum StatusRecord {
    Active,
    Reinitialised(ReInit),
    Removed,
}

impl Encode for StatusRecord {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Active => writer.raw(&[1]),
            Self::Reinitialised(reinit) => writer.raw(&[2]).value(reinit),
            Self::Removed => writer.raw(&[3]),
        };
    }
}

impl Decode for StatusRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Active),
            2 => ReInit::decode(reader).map(Self::Reinitialised),
            3 => Ok(Self::Removed),
            other => Err(reader.error(hushwood_codec::DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

wire_struct! {
    /// The public part of the record `Epoch`; the secrets follow it.
    #[derive(Clone, Debug)]
    pub(crate) struct EpochRecord {
        pub(crate) context: GroupContext,
        pub(crate) confirmation_tag: Vec<u8>,
        pub(crate) interim_transcript_hash: Vec<u8>,
    }
}

wire_struct! {
    /// The public part of the record `PastEpoch`; the sender data secret follows it.
    #[derive(Clone, Debug)]
    pub(crate) struct PastEpochRecord {
        pub(crate) context: GroupContext,
        /// Leaves of its tree, which is the size of its secret tree.
        pub(crate) leaf_count: u32,
        pub(crate) own_leaf: LeafIndex,
        /// When it ended, in seconds since 1970-01-01T00:00:00Z.
        pub(crate) ended: u64,
    }
}

wire_struct! {
    /// The record `PastMember`: who stood at a leaf, or nobody.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct PastMemberRecord {
        pub(crate) member: Option<PastMember>,
    }
}

wire_struct! {
    /// A member that has left its leaf or changed its key.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct PastMember {
        pub(crate) signature_key: SignaturePublicKey,
        pub(crate) credential: Credential,
    }
}

wire_struct! {
    /// The record `Proposal`: a proposal that was received or sent in the current epoch.
    #[derive(Clone, Debug)]
    pub(crate) struct ProposalRecord {
        /// By this they are sorted into the order in which they came.
        pub(crate) position: u64,
        pub(crate) proposal: CachedProposal,
    }
}

wire_struct! {
    /// The record `OwnMessage`: what a handshake message of ours was.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct OwnMessageRecord {
        /// Of a proposal: its reference. Of a commit: empty.
        pub(crate) reference: HashReference,
        /// Of a commit that welcomes somebody: the confirmation tag of the epoch it leads to, which tells the keys of two
        /// epochs apart. Otherwise empty.
        pub(crate) welcomed: Vec<u8>,
    }
}
