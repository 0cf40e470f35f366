//! RFC 9420 §5.1: what a cipher suite consists of.

use std::fmt;

use crate::{
    CipherSuiteId, CryptoError, Digest, HpkePrivateKey, HpkePublicKey, Random, Secret, SignaturePrivateKey,
    SignaturePublicKey, SignerError,
};

/// A set of cipher suites from one implementation.
#[derive(Clone, Copy)]
pub struct CryptoProvider {
    /// Short name for logs and tables, such as `aws-lc`.
    pub name: &'static str,
    /// The suites, in order of preference.
    pub suites: &'static [&'static dyn CipherSuite],
}

impl CryptoProvider {
    /// The suite with this identifier, if this provider has it.
    #[must_use]
    pub fn suite(&self, id: CipherSuiteId) -> Option<&'static dyn CipherSuite> {
        self.suites.iter().copied().find(|suite| suite.id() == id)
    }
}

impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoProvider").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One cipher suite (RFC 9420 §5.1): its primitives, used everywhere in a group (C031).
pub trait CipherSuite: Send + Sync {
    /// Its value in the registry.
    fn id(&self) -> CipherSuiteId;
    /// The hash algorithm.
    fn hash(&self) -> &dyn Hash;
    /// The KDF, which is also the MAC: HKDF and HMAC over the suite's hash.
    fn kdf(&self) -> &dyn Kdf;
    /// The AEAD.
    fn aead(&self) -> &dyn Aead;
    /// The KEM.
    fn kem(&self) -> &dyn Kem;
    /// The signature scheme.
    fn signature(&self) -> &dyn Signature;
}

impl fmt::Debug for dyn CipherSuite + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id(), f)
    }
}

/// A hash function.
pub trait Hash: Send + Sync {
    /// Output length in bytes.
    fn length(&self) -> usize;
    /// The hash of the parts in a row.
    fn hash(&self, parts: &[&[u8]]) -> Digest;
}

/// A key derivation function and the MAC under it (RFC 5869, RFC 2104).
pub trait Kdf: Send + Sync {
    /// Its identifier in the HPKE registry (RFC 9180 §7.2).
    fn id(&self) -> u16;
    /// `Nh`: output length of [`extract`](Self::extract), in bytes.
    fn length(&self) -> usize;
    /// `KDF.Extract(salt, ikm)`, with the input keying material given in parts.
    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret;
    /// `KDF.Expand(prk, info, length)`, with the info given in parts.
    ///
    /// # Errors
    /// [`CryptoError::Length`] if `length` exceeds 255 times [`length`](Self::length) (C160).
    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError>;
    /// [`expand`](Self::expand) of one key for several infos and lengths, for those who can prepare the key once.
    ///
    /// # Errors
    /// As there.
    fn expand_all(&self, prk: &[u8], outputs: &[(&[u8], usize)]) -> Result<Vec<Secret>, CryptoError> {
        outputs.iter().map(|(info, length)| self.expand(prk, &[info], *length)).collect()
    }
    /// `HMAC(key, data)`.
    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest;
}

/// Authenticated encryption with associated data (RFC 5116); the tag is at the ciphertext's end.
pub trait Aead: Send + Sync {
    /// Its identifier in the HPKE registry (RFC 9180 §7.3).
    fn id(&self) -> u16;
    /// `Nk`: key length in bytes.
    fn key_length(&self) -> usize;
    /// `Nn`: nonce length in bytes.
    fn nonce_length(&self) -> usize;
    /// `Nt`: by how much a ciphertext is longer than its plaintext, in bytes.
    fn tag_length(&self) -> usize;
    /// Encrypts.
    ///
    /// # Errors
    /// [`CryptoError::InputTooLong`] beyond the primitive's limit; [`CryptoError::Provider`] for a key
    /// or nonce of wrong length.
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError>;
    /// Decrypts. The plaintext is a [`Secret`] so that it is erased wherever it is dropped.
    ///
    /// # Errors
    /// [`CryptoError::Open`] for whatever does not authenticate; no plaintext is left behind.
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError>;
}

/// A key encapsulation mechanism (RFC 9180 §4). Not a Diffie-Hellman: ML-KEM must fit.
pub trait Kem: Send + Sync {
    /// Its identifier in the HPKE registry (RFC 9180 §7.1).
    fn id(&self) -> u16;
    /// `Nsecret`: length of the shared secret, in bytes.
    fn secret_length(&self) -> usize;
    /// `Nenc`: length of an encapsulation, in bytes.
    fn encapsulation_length(&self) -> usize;
    /// `Npk`: length of a public key, in bytes.
    fn public_key_length(&self) -> usize;
    /// `Nsk`: length of a private key, and of the best input to
    /// [`derive_key_pair`](Self::derive_key_pair), in bytes.
    fn private_key_length(&self) -> usize;
    /// `DeriveKeyPair(ikm)` (RFC 9180 §7.1.3).
    ///
    /// # Errors
    /// [`CryptoError::Provider`] in the case, of probability below 2^-128, that no key comes out.
    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError>;
    /// `Encap(pkR)`: a shared secret and its encapsulation.
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`] for a key that is not allowed (RFC 9180 §7.1.4; C033, C034);
    /// [`CryptoError::Random`].
    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError>;
    /// `Decap(enc, skR)`.
    ///
    /// # Errors
    /// [`CryptoError::Open`] for an encapsulation that is not allowed: the same as for a ciphertext that
    /// does not open (C034, C169).
    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError>;
    /// The public key of a private key, recomputed (used when keys are read back from a store).
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`].
    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError>;
    /// Refuses public keys that are malformed or not allowed, wherever they enter (C032, C033).
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`].
    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError>;
}

/// A signature scheme (RFC 9420 §5.1.2): ECDSA signatures are DER, EdDSA ones `R || S`.
pub trait Signature: Send + Sync {
    /// Generates a key pair.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError>;
    /// The public key of a private key, recomputed: signing never trusts a public key from outside.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`].
    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError>;
    /// Signs `message`.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`]; [`CryptoError::Random`] for randomised schemes.
    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
    /// The key made ready for many signatures, where something can be made ready: a scheme may need the public
    /// key for each of them, and compute it each time it is given the private key alone.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`].
    fn prepare(&self, key: &SignaturePrivateKey) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        let _ = key;
        Ok(None)
    }
    /// Verifies a signature.
    ///
    /// # Errors
    /// [`CryptoError::Signature`]; [`CryptoError::PublicKey`] for a key that is not allowed.
    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError>;
    /// Verifies many signatures and returns the index of the first bad one. Accepts exactly what
    /// [`verify`](Self::verify) accepts, one by one; schemes that can do better together override it.
    ///
    /// # Errors
    /// The index of the first item whose signature does not verify. If the randomness fails, the
    /// items are verified one by one.
    fn verify_batch(&self, items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
        let _ = random;
        let bad = items.iter().position(|item| self.verify(item.key, item.message, item.signature).is_err());
        bad.map_or(Ok(()), Err)
    }
    /// Refuses public keys that are malformed or not allowed, wherever they enter (C035).
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`].
    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError>;
}

/// A private key as its provider likes it best ([`Signature::prepare`]). Erased when it is dropped.
pub trait SigningKey: Send + Sync {
    /// Signs as [`Signature::sign`] does with this key.
    ///
    /// # Errors
    /// [`CryptoError::Random`] for randomised schemes; [`CryptoError::Provider`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// One signature to verify among others.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    /// The signer's key.
    pub key: &'a SignaturePublicKey,
    /// What was signed, label included.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Something that signs with a key it keeps to itself: software, a smart card, a remote service.
pub trait Signer: Send + Sync {
    /// The public key that signatures verify with: `LeafNode.signature_key` of this client.
    fn public_key(&self) -> &SignaturePublicKey;
    /// Signs `message`, the encoded `SignContent`, with the suite's signature scheme.
    ///
    /// # Errors
    /// [`SignerError`] if the key is not at hand or its holder refuses.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

/// A [`Signer`] with its key in memory.
pub struct SoftwareSigner {
    suite: &'static dyn CipherSuite,
    private: SignaturePrivateKey,
    public: SignaturePublicKey,
    prepared: Option<Box<dyn SigningKey>>,
}

impl SoftwareSigner {
    /// A signer with a fresh key.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn generate(suite: &'static dyn CipherSuite, random: &mut dyn Random) -> Result<Self, CryptoError> {
        let (private, public) = suite.signature().generate(random)?;
        let prepared = suite.signature().prepare(&private)?;
        Ok(Self { suite, private, public, prepared })
    }

    /// A signer with a key made before. The public key is recomputed.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`].
    pub fn new(suite: &'static dyn CipherSuite, private: SignaturePrivateKey) -> Result<Self, CryptoError> {
        let public = suite.signature().public_key(&private)?;
        let prepared = suite.signature().prepare(&private)?;
        Ok(Self { suite, private, public, prepared })
    }

    /// The private key, to be stored.
    #[must_use]
    pub fn private_key(&self) -> &SignaturePrivateKey {
        &self.private
    }
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> &SignaturePublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signature = match &self.prepared {
            Some(key) => key.sign(message),
            None => self.suite.signature().sign(&self.private, message),
        };
        signature.map_err(|_| SignerError)
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner").field("public", &self.public).finish_non_exhaustive()
    }
}
