//! RFC 9420 §5: cryptographic objects.
//!
//! What a cipher suite is ([`CipherSuite`], a table of object-safe primitives), the types of keys and
//! secrets, the labelled constructions that MLS builds from the primitives, and HPKE (RFC 9180).
//!
//! Apart from the rule for Ed25519 signatures, which has to be one for all ([`ed25519`]), no primitive is
//! implemented here. A provider (`hushwood-aws-lc`, `hushwood-rustcrypto`, or your own)
//! offers a [`CryptoProvider`]: plain data that can be passed around, stored in a `static` and mixed, so
//! that no type of the protocol has a generic parameter for it.
//!
//! Randomness is an argument ([`Random`]) and may fail; nothing here reads a clock or a file.

pub mod dhkem;
pub mod ecdsa;
pub mod ed25519;
mod error;
pub mod hpke;
mod key;
mod label;
mod provider;
mod random;
mod reference;
mod secret;
mod suite;

pub use error::{CryptoError, SignerError};
pub use key::{HpkePrivateKey, HpkePublicKey, SignaturePrivateKey, SignaturePublicKey};
pub use label::{
    decrypt_with_label, derive_secret, expand_with_label, expand_with_labels, sign_content, sign_content_of,
    sign_with_label, verify_with_label,
};
pub use provider::{
    Aead, BatchItem, CipherSuite, CryptoProvider, Hash, Kdf, Kem, Signature, Signer, SigningKey,
    SoftwareSigner,
};
pub use random::Random;
pub use reference::{HashReference, ref_hash};
pub use secret::{Digest, Secret, ct_eq};
pub use suite::{CipherSuiteId, Primitives, Suite};
