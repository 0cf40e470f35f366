//! RFC 9420 §17.1: the cipher suite registry.

use hushwood_codec::wire_registry;

use crate::{Aead, CipherSuite, Hash, Kdf, Kem, Signature};

wire_registry! {
    /// A value of the "MLS Cipher Suites" registry: `CipherSuite` on the wire.
    ///
    /// The primitives behind a value are a [`CipherSuite`](crate::CipherSuite).
    pub struct CipherSuiteId {
        /// X25519, AES-128-GCM, SHA-256, Ed25519. Mandatory to implement (C030).
        MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519 = 1 "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
        /// P-256, AES-128-GCM, SHA-256, ECDSA P-256.
        MLS_128_DHKEMP256_AES128GCM_SHA256_P256 = 2 "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
        /// X25519, ChaCha20-Poly1305, SHA-256, Ed25519.
        MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519 = 3 "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
        /// X448, AES-256-GCM, SHA-512, Ed448.
        MLS_256_DHKEMX448_AES256GCM_SHA512_ED448 = 4 "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448",
        /// P-521, AES-256-GCM, SHA-512, ECDSA P-521.
        MLS_256_DHKEMP521_AES256GCM_SHA512_P521 = 5 "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
        /// X448, ChaCha20-Poly1305, SHA-512, Ed448.
        MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_ED448 = 6 "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
        /// P-384, AES-256-GCM, SHA-384, ECDSA P-384.
        MLS_256_DHKEMP384_AES256GCM_SHA384_P384 = 7 "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
    }
}

/// A cipher suite as a table of primitives, which may be of different providers.
#[derive(Clone, Copy)]
pub struct Suite {
    /// Its value in the registry.
    pub id: CipherSuiteId,
    /// The hash algorithm.
    pub hash: &'static dyn Hash,
    /// The KDF and MAC.
    pub kdf: &'static dyn Kdf,
    /// The AEAD.
    pub aead: &'static dyn Aead,
    /// The KEM.
    pub kem: &'static dyn Kem,
    /// The signature scheme.
    pub signature: &'static dyn Signature,
}

impl CipherSuite for Suite {
    fn id(&self) -> CipherSuiteId {
        self.id
    }

    fn hash(&self) -> &dyn Hash {
        self.hash
    }

    fn kdf(&self) -> &dyn Kdf {
        self.kdf
    }

    fn aead(&self) -> &dyn Aead {
        self.aead
    }

    fn kem(&self) -> &dyn Kem {
        self.kem
    }

    fn signature(&self) -> &dyn Signature {
        self.signature
    }
}

/// One implementation of each primitive of RFC 9420 §17.1.
#[expect(missing_docs, reason = "the names are the primitives' own")]
#[derive(Clone, Copy)]
pub struct Primitives {
    pub sha256: &'static dyn Hash,
    pub sha384: &'static dyn Hash,
    pub sha512: &'static dyn Hash,
    pub hkdf_sha256: &'static dyn Kdf,
    pub hkdf_sha384: &'static dyn Kdf,
    pub hkdf_sha512: &'static dyn Kdf,
    pub aes_128_gcm: &'static dyn Aead,
    pub aes_256_gcm: &'static dyn Aead,
    pub chacha20_poly1305: &'static dyn Aead,
    pub dhkem_x25519: &'static dyn Kem,
    pub dhkem_x448: &'static dyn Kem,
    pub dhkem_p256: &'static dyn Kem,
    pub dhkem_p384: &'static dyn Kem,
    pub dhkem_p521: &'static dyn Kem,
    pub ed25519: &'static dyn Signature,
    pub ed448: &'static dyn Signature,
    pub ecdsa_p256: &'static dyn Signature,
    pub ecdsa_p384: &'static dyn Signature,
    pub ecdsa_p521: &'static dyn Signature,
}

impl Primitives {
    /// The seven suites of RFC 9420 §17.1, in the registry's order: the mandatory one comes first (C030).
    #[must_use]
    pub const fn suites(self) -> [Suite; 7] {
        let mandatory = Suite {
            id: CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519,
            hash: self.sha256,
            kdf: self.hkdf_sha256,
            aead: self.aes_128_gcm,
            kem: self.dhkem_x25519,
            signature: self.ed25519,
        };
        let x448 = Suite {
            id: CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448,
            hash: self.sha512,
            kdf: self.hkdf_sha512,
            aead: self.aes_256_gcm,
            kem: self.dhkem_x448,
            signature: self.ed448,
        };
        [
            mandatory,
            Suite {
                id: CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
                kem: self.dhkem_p256,
                signature: self.ecdsa_p256,
                ..mandatory
            },
            Suite {
                id: CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519,
                aead: self.chacha20_poly1305,
                ..mandatory
            },
            x448,
            Suite {
                id: CipherSuiteId::MLS_256_DHKEMP521_AES256GCM_SHA512_P521,
                kem: self.dhkem_p521,
                signature: self.ecdsa_p521,
                ..x448
            },
            Suite {
                id: CipherSuiteId::MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_ED448,
                aead: self.chacha20_poly1305,
                ..x448
            },
            Suite {
                id: CipherSuiteId::MLS_256_DHKEMP384_AES256GCM_SHA384_P384,
                hash: self.sha384,
                kdf: self.hkdf_sha384,
                kem: self.dhkem_p384,
                signature: self.ecdsa_p384,
                ..x448
            },
        ]
    }
}
