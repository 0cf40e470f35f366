//! RFC 9420 §5.1.1: public keys, and the private keys that belong to them.

use std::fmt;

use hushwood_codec::wire_newtype;

use crate::Secret;

wire_newtype! {
    /// `opaque HPKEPublicKey<V>`, in the format of the suite's KEM (RFC 9180 §4).
    #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub struct HpkePublicKey(pub Vec<u8>);
}

wire_newtype! {
    /// `opaque SignaturePublicKey<V>`: RFC 8032 form for EdDSA, an uncompressed point for ECDSA.
    #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub struct SignaturePublicKey(pub Vec<u8>);
}

macro_rules! public_key {
    ($name:ident) => {
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    };
}

public_key!(HpkePublicKey);
public_key!(SignaturePublicKey);

/// A private key of the suite's KEM, in the serialisation of RFC 9180 §7.1.2.
#[derive(Debug)]
pub struct HpkePrivateKey(pub Secret);

/// A private key of the suite's signature scheme, in the provider's serialisation.
///
/// EdDSA: the 32- or 57-byte seed of RFC 8032. ECDSA: the scalar, big-endian, of full width.
#[derive(Debug)]
pub struct SignaturePrivateKey(pub Secret);
