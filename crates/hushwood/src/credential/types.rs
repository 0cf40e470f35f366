//! RFC 9420 §5.3: the Credential structures.

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_registry, wire_struct,
};

wire_registry! {
    /// A value of the "MLS Credential Types" registry (RFC 9420 §17.5).
    pub struct CredentialType {
        /// A bare identity.
        BASIC = 1 "basic",
        /// A chain of X.509 certificates.
        X509 = 2 "x509",
    }
}

/// `Credential`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Credential {
    /// A bare assertion of an identity, in a format that the application defines.
    Basic {
        /// The identity.
        identity: Vec<u8>,
    },
    /// A certificate chain, the end entity's first.
    X509 {
        /// One DER-encoded certificate each.
        certificates: Vec<Certificate>,
    },
    /// A type from the private-use range, with `opaque data<V>` (C391).
    Custom {
        /// Its type, 0xF000 to 0xFFFF.
        credential_type: CredentialType,
        /// Its content, in a format that the application defines.
        data: Vec<u8>,
    },
}

wire_struct! {
    /// `Certificate`.
    #[derive(Clone, Debug, Eq, Hash, PartialEq)]
    pub struct Certificate {
        /// A DER-encoded X.509 certificate.
        pub cert_data: Vec<u8>,
    }
}

impl Credential {
    /// A basic credential.
    pub fn basic(identity: impl Into<Vec<u8>>) -> Self {
        Self::Basic { identity: identity.into() }
    }

    /// Its type.
    #[must_use]
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::Basic { .. } => CredentialType::BASIC,
            Self::X509 { .. } => CredentialType::X509,
            Self::Custom { credential_type, .. } => *credential_type,
        }
    }
}

impl Encode for Credential {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.credential_type());
        match self {
            Self::Basic { identity: data } | Self::Custom { data, .. } => writer.opaque(data),
            Self::X509 { certificates } => writer.value(certificates),
        };
    }
}

impl Decode for Credential {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let credential_type = CredentialType::decode(reader)?;
        match credential_type {
            CredentialType::BASIC => {
                reader.field("Credential.identity");
                Ok(Self::Basic { identity: Vec::decode(reader)? })
            }
            CredentialType::X509 => {
                reader.field("Credential.certificates");
                Ok(Self::X509 { certificates: Vec::decode(reader)? })
            }
            CredentialType(PRIVATE_USE_FIRST..) => {
                reader.field("Credential.data");
                Ok(Self::Custom { credential_type, data: Vec::decode(reader)? })
            }
            // C025: an unknown credential has no length, so nothing behind it can be read.
            CredentialType(other) => {
                reader.field("Credential.credential_type");
                Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into())))
            }
        }
    }
}

impl Element for Credential {}

/// The first code point for private use, in every registry (RFC 9420 §17).
pub(crate) const PRIVATE_USE_FIRST: u16 = 0xF000;
