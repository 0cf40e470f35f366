//! The cryptographic provider in pure Rust: all seven cipher suites of RFC 9420, on every target that
//! Rust compiles to, the browser included.
//!
//! [`PROVIDER`] is what an application hands to the protocol. The primitives are public too, since a
//! provider is plain data: another one may fill its gaps with them, as `hushwood-aws-lc` does.
//!
//! ```
//! use hushwood_crypto::{CipherSuiteId, Random};
//! use hushwood_rustcrypto::{OsRandom, PROVIDER};
//!
//! # fn main() -> Result<(), hushwood_crypto::CryptoError> {
//! let suite = PROVIDER
//!     .suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519)
//!     .ok_or(hushwood_crypto::CryptoError::Provider)?;
//! let random: &mut dyn Random = &mut OsRandom;
//! let ikm = random.secret(suite.kem().private_key_length())?;
//! let (private_key, public_key) = suite.kem().derive_key_pair(ikm.expose())?;
//! let (secret, encapsulation) = suite.kem().encap(&public_key, random)?;
//! assert!(suite.kem().decap(&encapsulation, &private_key)?.ct_eq(&secret));
//! # Ok(())
//! # }
//! ```

mod aead;
mod ed25519;
mod ed448;
mod hash;
mod kdf;
mod nist;
#[cfg(feature = "os-random")]
mod random;
mod stack;
mod x25519;
mod x448;

use hushwood_crypto::dhkem::{Dhkem, Group};
use hushwood_crypto::ecdsa::Ecdsa;
use hushwood_crypto::{CryptoProvider, Primitives, Suite};

pub use aead::{AES_128_GCM, AES_256_GCM, Aead, CHACHA20_POLY1305};
pub use ed448::{ED448, Ed448};
pub use ed25519::{ED25519, Ed25519};
pub use hash::{SHA256, SHA384, SHA512, Sha2};
pub use kdf::{HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, Hkdf};
#[cfg(feature = "os-random")]
pub use random::OsRandom;

/// DHKEM(X25519, HKDF-SHA256).
pub static DHKEM_X25519: Dhkem = Dhkem::new(Group::X25519, &HKDF_SHA256, &x25519::X25519);
/// DHKEM(X448, HKDF-SHA512).
pub static DHKEM_X448: Dhkem = Dhkem::new(Group::X448, &HKDF_SHA512, &x448::X448);
/// DHKEM(P-256, HKDF-SHA256).
pub static DHKEM_P256: Dhkem = Dhkem::new(Group::P256, &HKDF_SHA256, &nist::P256);
/// DHKEM(P-384, HKDF-SHA384).
pub static DHKEM_P384: Dhkem = Dhkem::new(Group::P384, &HKDF_SHA384, &nist::P384);
/// DHKEM(P-521, HKDF-SHA512).
pub static DHKEM_P521: Dhkem = Dhkem::new(Group::P521, &HKDF_SHA512, &nist::P521);

/// ECDSA over P-256 with SHA-256.
pub static ECDSA_P256: Ecdsa = Ecdsa::new(&DHKEM_P256, &nist::P256);
/// ECDSA over P-384 with SHA-384.
pub static ECDSA_P384: Ecdsa = Ecdsa::new(&DHKEM_P384, &nist::P384);
/// ECDSA over P-521 with SHA-512.
pub static ECDSA_P521: Ecdsa = Ecdsa::new(&DHKEM_P521, &nist::P521);

/// The primitives of this provider.
pub static PRIMITIVES: Primitives = Primitives {
    sha256: &SHA256,
    sha384: &SHA384,
    sha512: &SHA512,
    hkdf_sha256: &HKDF_SHA256,
    hkdf_sha384: &HKDF_SHA384,
    hkdf_sha512: &HKDF_SHA512,
    aes_128_gcm: &AES_128_GCM,
    aes_256_gcm: &AES_256_GCM,
    chacha20_poly1305: &CHACHA20_POLY1305,
    dhkem_x25519: &DHKEM_X25519,
    dhkem_x448: &DHKEM_X448,
    dhkem_p256: &DHKEM_P256,
    dhkem_p384: &DHKEM_P384,
    dhkem_p521: &DHKEM_P521,
    ed25519: &ED25519,
    ed448: &ED448,
    ecdsa_p256: &ECDSA_P256,
    ecdsa_p384: &ECDSA_P384,
    ecdsa_p521: &ECDSA_P521,
};

/// The seven suites of RFC 9420, the mandatory one first.
pub static PROVIDER: CryptoProvider = CryptoProvider {
    name: "rustcrypto",
    suites: &[&SUITES[0], &SUITES[1], &SUITES[2], &SUITES[3], &SUITES[4], &SUITES[5], &SUITES[6]],
};

static SUITES: [Suite; 7] = PRIMITIVES.suites();
