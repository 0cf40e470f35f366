//! RFC 9420 §8.4: names of pre-shared keys.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_struct};

wire_struct! {
    /// `PreSharedKeyID`: which key, and a nonce that makes this use of it unique.
    #[derive(Clone, Debug, Eq, Hash, PartialEq)]
    pub struct PreSharedKeyId {
        /// Which key.
        pub psk: Psk,
        /// Random, as long as the output of the group's KDF.
        pub psk_nonce: Vec<u8>,
    }
}

/// The part of a `PreSharedKeyID` that names the key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Psk {
    /// A key from the application.
    External {
        /// The application's name for it.
        psk_id: Vec<u8>,
    },
    /// The `resumption_psk` of an epoch of a group.
    Resumption {
        /// What it is used for.
        usage: ResumptionPskUsage,
        /// The group it is from.
        psk_group_id: Vec<u8>,
        /// The epoch it is from.
        psk_epoch: u64,
    },
}

/// `ResumptionPSKUsage`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ResumptionPskUsage {
    /// Any use the application makes of it.
    Application,
    /// The first commit of a group that replaces another (RFC 9420 §11.2).
    Reinit,
    /// The first commit of a group split off from another (RFC 9420 §11.3).
    Branch,
}

impl Encode for Psk {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::External { psk_id } => writer.raw(&[1]).opaque(psk_id),
            Self::Resumption { usage, psk_group_id, psk_epoch } => {
                writer.raw(&[2]).value(usage).opaque(psk_group_id).value(psk_epoch)
            }
        };
    }
}

impl Decode for Psk {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("PreSharedKeyID.psktype"))? {
            1 => Ok(Self::External { psk_id: Vec::decode(reader.field("PreSharedKeyID.psk_id"))? }),
            2 => Ok(Self::Resumption {
                usage: ResumptionPskUsage::decode(reader.field("PreSharedKeyID.usage"))?,
                psk_group_id: Vec::decode(reader.field("PreSharedKeyID.psk_group_id"))?,
                psk_epoch: u64::decode(reader.field("PreSharedKeyID.psk_epoch"))?,
            }),
            // C020: no other type is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for ResumptionPskUsage {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[match self {
            Self::Application => 1,
            Self::Reinit => 2,
            Self::Branch => 3,
        }]);
    }
}

impl Decode for ResumptionPskUsage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Application),
            2 => Ok(Self::Reinit),
            3 => Ok(Self::Branch),
            // C020: no other usage is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Element for Psk {}
