//! The cryptographic provider over aws-lc-rs: all seven cipher suites of RFC 9420, for native builds.
//!
//! [`PROVIDER`] is what an application hands to the protocol, with [`OsRandom`] beside it.
//!
//! Two things come from `hushwood-rustcrypto`: X448 and Ed448, which AWS-LC does not have, and the hashes
//! with HMAC and HKDF, which are as fast there on the short inputs of MLS, without an allocation each.
//!
//! ```
//! use hushwood_aws_lc::{OsRandom, PROVIDER};
//! use hushwood_crypto::{CipherSuiteId, CryptoError, Signer, SoftwareSigner};
//!
//! # fn main() -> Result<(), CryptoError> {
//! let id = CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519;
//! let suite = PROVIDER.suite(id).ok_or(CryptoError::Provider)?;
//! let signer = SoftwareSigner::generate(suite, &mut OsRandom)?;
//! let signature = signer.sign(b"message").map_err(|_| CryptoError::Provider)?;
//! suite.signature().verify(signer.public_key(), b"message", &signature)?;
//! # Ok(())
//! # }
//! ```

mod aead;
mod ecdh;
mod ecdsa;
mod ed25519;

use hushwood_crypto::dhkem::{Dhkem, Group};
use hushwood_crypto::ecdsa::Ecdsa;
use hushwood_crypto::{CryptoProvider, Primitives, Suite};
use hushwood_rustcrypto::{HKDF_SHA256, HKDF_SHA384, HKDF_SHA512};

pub use aead::{AES_128_GCM, AES_256_GCM, Aead, CHACHA20_POLY1305};
pub use ed25519::{ED25519, Ed25519};
pub use hushwood_rustcrypto::OsRandom;

/// DHKEM(X25519, HKDF-SHA256).
pub static DHKEM_X25519: Dhkem = Dhkem::new(Group::X25519, &HKDF_SHA256, &ecdh::X25519);
/// DHKEM(P-256, HKDF-SHA256).
pub static DHKEM_P256: Dhkem = Dhkem::new(Group::P256, &HKDF_SHA256, &ecdh::P256);
/// DHKEM(P-384, HKDF-SHA384).
pub static DHKEM_P384: Dhkem = Dhkem::new(Group::P384, &HKDF_SHA384, &ecdh::P384);
/// DHKEM(P-521, HKDF-SHA512).
pub static DHKEM_P521: Dhkem = Dhkem::new(Group::P521, &HKDF_SHA512, &ecdh::P521);

/// ECDSA over P-256 with SHA-256.
pub static ECDSA_P256: Ecdsa = Ecdsa::new(&DHKEM_P256, &ecdsa::P256_SHA256);
/// ECDSA over P-384 with SHA-384.
pub static ECDSA_P384: Ecdsa = Ecdsa::new(&DHKEM_P384, &ecdsa::P384_SHA384);
/// ECDSA over P-521 with SHA-512.
pub static ECDSA_P521: Ecdsa = Ecdsa::new(&DHKEM_P521, &ecdsa::P521_SHA512);

/// The primitives of this provider.
pub static PRIMITIVES: Primitives = Primitives {
    aes_128_gcm: &AES_128_GCM,
    aes_256_gcm: &AES_256_GCM,
    chacha20_poly1305: &CHACHA20_POLY1305,
    dhkem_x25519: &DHKEM_X25519,
    dhkem_p256: &DHKEM_P256,
    dhkem_p384: &DHKEM_P384,
    dhkem_p521: &DHKEM_P521,
    ed25519: &ED25519,
    ecdsa_p256: &ECDSA_P256,
    ecdsa_p384: &ECDSA_P384,
    ecdsa_p521: &ECDSA_P521,
    // X448, Ed448, hashes, HMAC and HKDF.
    ..hushwood_rustcrypto::PRIMITIVES
};

/// The seven suites of RFC 9420, the mandatory one first.
pub static PROVIDER: CryptoProvider = CryptoProvider {
    name: "aws-lc",
    suites: &[&SUITES[0], &SUITES[1], &SUITES[2], &SUITES[3], &SUITES[4], &SUITES[5], &SUITES[6]],
};

static SUITES: [Suite; 7] = PRIMITIVES.suites();
