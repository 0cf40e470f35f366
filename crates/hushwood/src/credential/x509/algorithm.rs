//! RFC 5480, RFC 5758, RFC 8410: the signature schemes of our suites, as certificates name them.

use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, SignaturePublicKey};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// A signature scheme: what certificates call it, and which suites have it.
#[derive(Debug)]
pub(super) struct Algorithm {
    pub(super) public_key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    /// Of a public key in RFC 9420's format, in bytes. No two schemes have the same.
    pub(super) key_length: usize,
    suites: &'static [CipherSuiteId],
}

pub(super) static ALGORITHMS: [Algorithm; 5] = [
    Algorithm {
        public_key: alg_id::ED25519,
        signature: alg_id::ED25519,
        key_length: 32,
        suites: &[
            CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519,
            CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519,
        ],
    },
    Algorithm {
        public_key: alg_id::ECDSA_P256,
        signature: alg_id::ECDSA_SHA256,
        key_length: 65,
        suites: &[CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256],
    },
    Algorithm {
        public_key: alg_id::ECDSA_P384,
        signature: alg_id::ECDSA_SHA384,
        key_length: 97,
        suites: &[CipherSuiteId::MLS_256_DHKEMP384_AES256GCM_SHA384_P384],
    },
    Algorithm {
        public_key: alg_id::ECDSA_P521,
        signature: alg_id::ECDSA_SHA512,
        key_length: 133,
        suites: &[CipherSuiteId::MLS_256_DHKEMP521_AES256GCM_SHA512_P521],
    },
    Algorithm {
        public_key: alg_id::ED448,
        signature: alg_id::ED448,
        key_length: 57,
        suites: &[
            CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448,
            CipherSuiteId::MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_ED448,
        ],
    },
];

/// A scheme as a suite of a provider implements it.
#[derive(Debug)]
pub(super) struct SuiteAlgorithm {
    algorithm: &'static Algorithm,
    suite: &'static dyn CipherSuite,
}

impl SuiteAlgorithm {
    /// The schemes that a provider has.
    pub(super) fn of(provider: &CryptoProvider) -> Vec<Self> {
        let find = |algorithm: &'static Algorithm| {
            let suite = algorithm.suites.iter().find_map(|suite| provider.suite(*suite))?;
            Some(Self { algorithm, suite })
        };
        ALGORITHMS.iter().filter_map(find).collect()
    }
}

impl SignatureVerificationAlgorithm for SuiteAlgorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let public_key = SignaturePublicKey(public_key.to_vec());
        match self.suite.signature().verify(&public_key, message, signature) {
            Ok(()) => Ok(()),
            // The interface has one error, for a bad key too.
            Err(_) => Err(InvalidSignature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature
    }
}
