//! A provider that counts what is asked of it and passes it on.
//!
//! A counter counts either every call, which is what an operation costs; or what is asked for again on the same input
//! only once, which is what it must cost at least: whoever keeps the answer need not ask. Hashes that only name rows of a
//! store count for neither.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hushwood_crypto::{
    Aead, BatchItem, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Digest, Hash, HpkePrivateKey,
    HpkePublicKey, Kdf, Kem, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey,
};

/// What can be counted and priced.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A KEM's encapsulation; HKDF within it included.
    Encap,
    /// A KEM's decapsulation.
    Decap,
    /// A KEM's key pair from a seed.
    DeriveKeyPair,
    /// A KEM's public key of a private one.
    KemPublicKey,
    /// A check of a KEM's public key.
    KemCheck,
    /// A signature key pair.
    SignatureKey,
    /// A signature.
    Sign,
    /// A verification, alone or in a batch.
    Verify,
    /// A check of a signature public key.
    SignatureCheck,
    /// A hash.
    Hash,
    /// An HMAC; Extract is one, Expand one for each block.
    Hmac,
    /// AEAD encryption.
    Seal,
    /// AEAD decryption.
    Open,
}

impl Kind {
    /// Every kind, with its name.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Encap, "encap"),
        (Self::Decap, "decap"),
        (Self::DeriveKeyPair, "derive_key_pair"),
        (Self::KemPublicKey, "kem_public_key"),
        (Self::KemCheck, "kem_check"),
        (Self::SignatureKey, "signature_key"),
        (Self::Sign, "sign"),
        (Self::Verify, "verify"),
        (Self::SignatureCheck, "signature_check"),
        (Self::Hash, "hash"),
        (Self::Hmac, "hmac"),
        (Self::Seal, "seal"),
        (Self::Open, "open"),
    ];

    fn place(self) -> usize {
        Self::ALL.iter().position(|(kind, _)| *kind == self).expect("all kinds are listed")
    }
}

/// How often each kind was asked for, and on how many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts([Count; 13]);

/// How often, and on how many bytes in all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// How often.
    pub calls: u64,
    /// On how many bytes in all.
    pub bytes: u64,
}

impl Counts {
    const NONE: Self = Self([Count { calls: 0, bytes: 0 }; 13]);

    /// The count of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Count {
        self.0[kind.place()]
    }

    /// Operations with a private or public key: what is dear. Checks of a key's form are apart ([`Kind::KemCheck`]).
    #[must_use]
    pub fn public_key_operations(&self) -> u64 {
        let dear = [
            Kind::Encap,
            Kind::Decap,
            Kind::DeriveKeyPair,
            Kind::KemPublicKey,
            Kind::SignatureKey,
            Kind::Sign,
            Kind::Verify,
        ];
        dear.into_iter().map(|kind| self.of(kind).calls).sum()
    }

    /// In words: what is not zero.
    #[must_use]
    pub fn words(&self) -> String {
        let named = Kind::ALL.iter().map(|(kind, name)| (self.of(*kind), name));
        let words = named.filter(|(count, _)| count.calls > 0).map(|(count, name)| match count.bytes {
            0 => format!("{} {name}", count.calls),
            bytes => format!("{} {name} ({bytes} B)", count.calls),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Where one or more providers count.
#[derive(Debug)]
pub struct Counter {
    counted: Mutex<Counted>,
    repeats: bool,
}

#[derive(Debug)]
struct Counted {
    counts: Counts,
    /// What was asked for: which kind, and a hash of the input.
    asked: Option<HashSet<(Kind, u64)>>,
}

impl Counter {
    /// Counts every call.
    #[must_use]
    pub const fn of_calls() -> Self {
        Self { counted: Mutex::new(Counted { counts: Counts::NONE, asked: None }), repeats: true }
    }

    /// Counts what is asked for on the same input once.
    #[must_use]
    pub const fn of_different_calls() -> Self {
        Self { counted: Mutex::new(Counted { counts: Counts::NONE, asked: None }), repeats: false }
    }

    /// What was counted since the last call, of all threads.
    pub fn take(&self) -> Counts {
        let mut counted = self.counted();
        counted.asked = None;
        std::mem::take(&mut counted.counts)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts calls of a kind on so many bytes, unless the same was asked for before and that is to count once.
    fn count(&self, kind: Kind, calls: u64, bytes: usize, input: &[&[u8]]) {
        if self.repeats {
            return self.counted().add(kind, calls, bytes);
        }
        let mut hasher = DefaultHasher::new();
        for part in input {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let mut counted = self.counted();
        if counted.asked.get_or_insert_default().insert((kind, hasher.finish())) {
            counted.add(kind, calls, bytes);
        }
    }

    /// Counts a call whose answer is another each time.
    fn count_fresh(&self, kind: Kind) {
        self.counted().add(kind, 1, 0);
    }
}

impl Counted {
    fn add(&mut self, kind: Kind, calls: u64, bytes: usize) {
        let entry = &mut self.counts.0[kind.place()];
        entry.calls += calls;
        entry.bytes += u64::try_from(bytes).expect("a length");
    }
}

/// All parts as one, as a hash takes them: where one ends and the next begins makes no difference.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn length(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The provider, counted. It lives as long as the process.
#[must_use]
pub fn provider(inner: &CryptoProvider, counter: &'static Counter) -> CryptoProvider {
    let suites = inner
        .suites
        .iter()
        .map(|suite| -> &'static dyn CipherSuite { Box::leak(Box::new(Counting(*suite, counter))) });
    CryptoProvider { name: "counting", suites: Box::leak(suites.collect()) }
}

struct Counting(&'static dyn CipherSuite, &'static Counter);

impl CipherSuite for Counting {
    fn id(&self) -> CipherSuiteId {
        self.0.id()
    }

    fn hash(&self) -> &dyn Hash {
        self
    }

    fn kdf(&self) -> &dyn Kdf {
        self
    }

    fn aead(&self) -> &dyn Aead {
        self
    }

    fn kem(&self) -> &dyn Kem {
        self
    }

    fn signature(&self) -> &dyn Signature {
        self
    }
}

impl Hash for Counting {
    fn length(&self) -> usize {
        self.0.hash().length()
    }

    fn hash(&self, parts: &[&[u8]]) -> Digest {
        // Rows of an index of keys are named by hashes of a kind and a key: that is storing, and not MLS.
        let names_a_row = matches!(parts, [kind, _key] if kind.len() == 1);
        if !names_a_row {
            self.1.count(Kind::Hash, 1, length(parts), &[&joined(parts)]);
        }
        self.0.hash().hash(parts)
    }
}

impl Kdf for Counting {
    fn id(&self) -> u16 {
        self.0.kdf().id()
    }

    fn length(&self) -> usize {
        self.0.kdf().length()
    }

    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        self.1.count(Kind::Hmac, 1, length(ikm), &[b"extract", salt, &joined(ikm)]);
        self.0.kdf().extract(salt, ikm)
    }

    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        let blocks = length.div_ceil(self.0.kdf().length());
        let bytes = blocks * self::length(info);
        self.1.count(
            Kind::Hmac,
            u64::try_from(blocks).expect("a length"),
            bytes,
            &[b"expand", prk, &joined(info), &length.to_be_bytes()],
        );
        self.0.kdf().expand(prk, info, length)
    }

    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        self.1.count(Kind::Hmac, 1, length(data), &[b"mac", key, &joined(data)]);
        self.0.kdf().mac(key, data)
    }
}

impl Aead for Counting {
    fn id(&self) -> u16 {
        self.0.aead().id()
    }

    fn key_length(&self) -> usize {
        self.0.aead().key_length()
    }

    fn nonce_length(&self) -> usize {
        self.0.aead().nonce_length()
    }

    fn tag_length(&self) -> usize {
        self.0.aead().tag_length()
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.1.count(Kind::Seal, 1, aad.len() + plaintext.len(), &[key, nonce, aad, plaintext]);
        self.0.aead().seal(key, nonce, aad, plaintext)
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        self.1.count(Kind::Open, 1, aad.len() + ciphertext.len(), &[key, nonce, aad, ciphertext]);
        self.0.aead().open(key, nonce, aad, ciphertext)
    }
}

impl Kem for Counting {
    fn id(&self) -> u16 {
        self.0.kem().id()
    }

    fn secret_length(&self) -> usize {
        self.0.kem().secret_length()
    }

    fn encapsulation_length(&self) -> usize {
        self.0.kem().encapsulation_length()
    }

    fn public_key_length(&self) -> usize {
        self.0.kem().public_key_length()
    }

    fn private_key_length(&self) -> usize {
        self.0.kem().private_key_length()
    }

    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        self.1.count(Kind::DeriveKeyPair, 1, 0, &[ikm]);
        self.0.kem().derive_key_pair(ikm)
    }

    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        self.1.count_fresh(Kind::Encap);
        self.0.kem().encap(key, random)
    }

    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        self.1.count(Kind::Decap, 1, 0, &[encapsulation, key.0.expose()]);
        self.0.kem().decap(encapsulation, key)
    }

    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        self.1.count(Kind::KemPublicKey, 1, 0, &[key.0.expose()]);
        self.0.kem().public_key(key)
    }

    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        self.1.count(Kind::KemCheck, 1, 0, &[&key.0]);
        self.0.kem().check_public_key(key)
    }
}

impl Signature for Counting {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        self.1.count_fresh(Kind::SignatureKey);
        self.0.signature().generate(random)
    }

    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        self.1.count(Kind::SignatureKey, 1, 0, &[key.0.expose()]);
        self.0.signature().public_key(key)
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.1.count(Kind::Sign, 1, message.len(), &[key.0.expose(), message]);
        self.0.signature().sign(key, message)
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.1.count(Kind::Verify, 1, message.len(), &[&key.0, message, signature]);
        self.0.signature().verify(key, message, signature)
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
        for item in items {
            self.1.count(Kind::Verify, 1, item.message.len(), &[&item.key.0, item.message, item.signature]);
        }
        self.0.signature().verify_batch(items, random)
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        self.1.count(Kind::SignatureCheck, 1, 0, &[&key.0]);
        self.0.signature().check_public_key(key)
    }
}
