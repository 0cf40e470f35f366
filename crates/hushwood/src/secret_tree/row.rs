//! RFC 9420 §9.2: the secret tree as a store keeps it, so that each secret can be erased.

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, EncodeError, Reader, Writer,
};
use hushwood_crypto::{CipherSuite, Secret};

use crate::error::{Error, StoreReadError};
use crate::framing::types::MessageKey;
use crate::schedule::epoch::stored_secret;
use crate::secret_tree::nodes::NodeSecrets;
use crate::secret_tree::ratchet::{Ratchet, RatchetType};
use crate::tree::{LeafIndex, NodeIndex};

/// The name of a row: which secret of one epoch's secret tree it holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SecretTreeRow {
    /// The secret of a node that no leaf below has been derived from; after that, the secrets of such nodes
    /// that came of it.
    Node(NodeIndex),
    /// A leaf's ratchet: its next generation, and the secret of that.
    Ratchet(LeafIndex, RatchetType),
    /// The key of a generation that was passed over: its message is late, or lost.
    Skipped(LeafIndex, RatchetType, u32),
}

/// What a row holds, or held.
pub(super) enum RowValue {
    Node(NodeIndex, NodeSecrets),
    Ratchet(LeafIndex, RatchetType, Ratchet),
    Skipped(LeafIndex, RatchetType, u32, MessageKey),
}

impl RowValue {
    pub(super) fn row(&self) -> SecretTreeRow {
        match self {
            Self::Node(node, _) => SecretTreeRow::Node(*node),
            Self::Ratchet(leaf, ratchet_type, _) => SecretTreeRow::Ratchet(*leaf, *ratchet_type),
            Self::Skipped(leaf, ratchet_type, generation, _) => {
                SecretTreeRow::Skipped(*leaf, *ratchet_type, *generation)
            }
        }
    }

    /// The value as a store keeps it.
    pub(super) fn to_record(&self) -> Result<Secret, EncodeError> {
        match self {
            Self::Node(_, secrets) => secrets.to_record(),
            Self::Ratchet(_, _, ratchet) => ratchet_record(ratchet),
            Self::Skipped(_, _, _, key) => skipped_record(key),
        }
    }

    /// Reads the value back.
    pub(super) fn from_record(
        suite: &dyn CipherSuite,
        row: SecretTreeRow,
        record: &Secret,
    ) -> Result<Self, Error> {
        Self::decode(suite, row, record.expose()).map_err(|_| StoreReadError::Corrupt.into())
    }

    fn decode(suite: &dyn CipherSuite, row: SecretTreeRow, record: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record, DecodeLimits::default())?;
        let secret_length = suite.kdf().length();
        let value = match row {
            SecretTreeRow::Node(top) => {
                Self::Node(top, NodeSecrets::decode(top, secret_length, &mut reader)?)
            }
            SecretTreeRow::Ratchet(leaf, ratchet_type) => {
                let generation = u32::decode(&mut reader)?;
                let secret = stored_secret(&mut reader, secret_length)?;
                Self::Ratchet(leaf, ratchet_type, Ratchet { generation, secret })
            }
            SecretTreeRow::Skipped(leaf, ratchet_type, generation) => {
                let key = stored_secret(&mut reader, suite.aead().key_length())?;
                let nonce = stored_secret(&mut reader, suite.aead().nonce_length())?;
                Self::Skipped(leaf, ratchet_type, generation, MessageKey { key, nonce })
            }
        };
        reader.finish()?;
        Ok(value)
    }
}

pub(super) fn ratchet_record(ratchet: &Ratchet) -> Result<Secret, EncodeError> {
    record(writer_for(&ratchet.secret).value(&ratchet.generation).value(&ratchet.secret))
}

pub(super) fn skipped_record(key: &MessageKey) -> Result<Secret, EncodeError> {
    record(writer_for(&key.key).value(&key.key).value(&key.nonce))
}

/// A writer with room for everything at once: a growing buffer would leave secrets behind where it was.
/// A row has at most two secrets, the first no shorter than the second, or one and a number.
fn writer_for(first: &Secret) -> Writer {
    Writer::with_capacity(first.len().saturating_mul(2).saturating_add(16))
}

fn record(writer: &mut Writer) -> Result<Secret, EncodeError> {
    Ok(Secret::new(std::mem::take(writer).finish()?))
}

impl Encode for RatchetType {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[match self {
            Self::Handshake => 1,
            Self::Application => 2,
        }]);
    }
}

impl Decode for RatchetType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Handshake),
            2 => Ok(Self::Application),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for SecretTreeRow {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Node(node) => writer.raw(&[1]).value(&node.number()),
            Self::Ratchet(leaf, ratchet_type) => writer.raw(&[2]).value(leaf).value(ratchet_type),
            Self::Skipped(leaf, ratchet_type, generation) => {
                writer.raw(&[3]).value(leaf).value(ratchet_type).value(generation)
            }
        };
    }
}

impl Decode for SecretTreeRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => {
                let number = u32::decode(reader)?;
                let unknown = reader.error(DecodeErrorKind::UnknownDiscriminant(number.into()));
                NodeIndex::new(number).map(Self::Node).ok_or(unknown)
            }
            2 => Ok(Self::Ratchet(LeafIndex::decode(reader)?, RatchetType::decode(reader)?)),
            3 => Ok(Self::Skipped(
                LeafIndex::decode(reader)?,
                RatchetType::decode(reader)?,
                u32::decode(reader)?,
            )),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decode_to_themselves() {
        let leaf = LeafIndex::new(7);
        for row in [
            SecretTreeRow::Node(NodeIndex::new(13).unwrap()),
            SecretTreeRow::Ratchet(leaf, RatchetType::Handshake),
            SecretTreeRow::Ratchet(leaf, RatchetType::Application),
            SecretTreeRow::Skipped(leaf, RatchetType::Application, u32::MAX),
        ] {
            assert_eq!(SecretTreeRow::from_bytes(&row.to_bytes().unwrap()), Ok(row));
        }
    }
}
