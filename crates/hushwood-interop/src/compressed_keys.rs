//! ECDSA keys as compressed points, which RFC 9420 §5.1.1 does not have and ts-mls sends.
//!
//! Hushwood refuses them: a key has one encoding, so that keys that are equal look equal (§7.3). mls-rs and mlspp take them.
//! For tests with such clients a provider is put around another here that takes them where signatures are verified, and
//! nowhere else: what it makes itself are uncompressed points.

use hushwood::crypto::{
    Aead, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Hash, Kdf, Kem, Random, Signature,
    SignaturePrivateKey, SignaturePublicKey, SigningKey,
};

/// A provider that also takes compressed points as public keys of signatures. Call it once: it stays for the life of the
/// process.
#[must_use]
pub fn with_compressed_keys(provider: CryptoProvider) -> CryptoProvider {
    let suites = provider.suites.iter().map(|suite| -> &'static dyn CipherSuite {
        match Curve::of(suite.id()) {
            Some(curve) => Box::leak(Box::new(Lenient { strict: *suite, curve })),
            None => *suite,
        }
    });
    CryptoProvider { name: provider.name, suites: Vec::leak(suites.collect()) }
}

/// The curves of the suites with ECDSA.
#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn of(suite: CipherSuiteId) -> Option<Self> {
        match suite.0 {
            2 => Some(Self::P256),
            5 => Some(Self::P521),
            7 => Some(Self::P384),
            _ => None,
        }
    }

    /// The key as an uncompressed point, if it is a compressed one.
    fn uncompressed(self, key: &SignaturePublicKey) -> Option<SignaturePublicKey> {
        if !matches!(key.0.first(), Some(2 | 3)) {
            return None;
        }
        use p256::elliptic_curve::sec1::ToSec1Point;

        let point = match self {
            Self::P256 => p256::PublicKey::from_sec1_bytes(&key.0).ok()?.to_sec1_point(false).to_bytes(),
            Self::P384 => p384::PublicKey::from_sec1_bytes(&key.0).ok()?.to_sec1_point(false).to_bytes(),
            Self::P521 => p521::PublicKey::from_sec1_bytes(&key.0).ok()?.to_sec1_point(false).to_bytes(),
        };
        Some(SignaturePublicKey(point.to_vec()))
    }
}

struct Lenient {
    strict: &'static dyn CipherSuite,
    curve: Curve,
}

impl CipherSuite for Lenient {
    fn id(&self) -> CipherSuiteId {
        self.strict.id()
    }
    fn hash(&self) -> &dyn Hash {
        self.strict.hash()
    }
    fn kdf(&self) -> &dyn Kdf {
        self.strict.kdf()
    }
    fn aead(&self) -> &dyn Aead {
        self.strict.aead()
    }
    fn kem(&self) -> &dyn Kem {
        self.strict.kem()
    }
    fn signature(&self) -> &dyn Signature {
        self
    }
}

impl Signature for Lenient {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        self.strict.signature().generate(random)
    }

    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        self.strict.signature().public_key(key)
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.strict.signature().sign(key, message)
    }

    fn prepare(&self, key: &SignaturePrivateKey) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        self.strict.signature().prepare(key)
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let uncompressed = self.curve.uncompressed(key);
        self.strict.signature().verify(uncompressed.as_ref().unwrap_or(key), message, signature)
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        let uncompressed = self.curve.uncompressed(key);
        self.strict.signature().check_public_key(uncompressed.as_ref().unwrap_or(key))
    }
}

#[cfg(test)]
mod tests {
    use hushwood::credential::Credential;
    use hushwood::crypto::{Signer, SignerError, SoftwareSigner};
    use hushwood::error::{Error, Violation};
    use hushwood::extension::Extensions;
    use hushwood::key_package::{KeyPackageBuilder, validate};
    use hushwood::policy::{Policy, Timestamp};
    use hushwood::tree::{LeafContent, Supported};
    use hushwood::unverified::Unverified;
    use hushwood_rustcrypto::{OsRandom, PROVIDER};

    use super::*;

    /// Signs as another does, and says that its key is the compressed point.
    struct Compressing(SoftwareSigner, SignaturePublicKey);

    impl Compressing {
        fn new(signer: SoftwareSigner) -> Self {
            let point = &signer.public_key().0;
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            let first = 2 + (y[y.len() - 1] & 1);
            let key = [&[first], x].concat();
            Self(signer, SignaturePublicKey(key))
        }
    }

    impl Signer for Compressing {
        fn public_key(&self) -> &SignaturePublicKey {
            &self.1
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
            self.0.sign(message)
        }
    }

    #[test]
    fn a_compressed_key_is_taken_where_it_is_allowed_and_refused_elsewhere() {
        let (policy, now) = (Policy::default(), Timestamp(1_800_000_000));
        let lenient = with_compressed_keys(PROVIDER);
        for number in [2, 5, 7] {
            let suite = lenient.suite(CipherSuiteId(number)).unwrap();
            let signer = Compressing::new(SoftwareSigner::generate(suite, &mut OsRandom).unwrap());
            let content = LeafContent {
                credential: Credential::basic(b"ts-mls"),
                supported: Supported::new(&lenient),
                extensions: Extensions::new(),
            };
            let new = KeyPackageBuilder::new(suite, content).build(&signer, &policy, now, &mut OsRandom);
            let key_package = new.unwrap().key_package;
            let judge = |suite| validate(Unverified::new(key_package.clone()), suite, &policy, now).map(drop);
            assert_eq!(judge(suite), Ok(()), "suite {number}");
            let strict = PROVIDER.suite(CipherSuiteId(number)).unwrap();
            assert!(
                matches!(judge(strict), Err(Error::Violation(Violation::SignaturePublicKey))),
                "suite {number}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_point_are_no_key_either_way() {
        let lenient = with_compressed_keys(PROVIDER);
        let suite = lenient.suite(CipherSuiteId(2)).unwrap();
        for key in [vec![], vec![2], [vec![2], vec![0xFF; 32]].concat(), [vec![5], vec![1; 32]].concat()] {
            let key = SignaturePublicKey(key);
            assert_eq!(suite.signature().check_public_key(&key), Err(CryptoError::PublicKey));
        }
    }
}
