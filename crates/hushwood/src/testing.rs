//! A suite for unit tests that is fast, deterministic and not secure in the least: signatures are hashes
//! over the public key, private keys are public keys. Rules are tested with it, cryptography is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushwood_crypto::{
    Aead, CipherSuite, CipherSuiteId, CryptoError, Digest, Hash, HpkePrivateKey, HpkePublicKey, Kdf, Kem,
    Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey, SoftwareSigner,
};

use crate::error::StoreReadError;
use crate::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};

/// The suite, under the number of the RFC's mandatory one.
pub(crate) static SUITE: &dyn CipherSuite = &ToySuite;

/// Keys are as long as this.
pub(crate) const KEY_LENGTH: usize = 32;

pub(crate) struct ToySuite;

/// Counts, so that nothing repeats.
pub(crate) struct ToyRandom(pub(crate) u64);

impl Random for ToyRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            let digest = SUITE.hash().hash(&[&self.0.to_be_bytes()]);
            chunk.copy_from_slice(&digest.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A source that never gives anything.
pub(crate) struct NoRandom;

impl Random for NoRandom {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError::Random)
    }
}

/// A source that always gives the same.
pub(crate) struct StuckRandom;

impl Random for StuckRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(1);
        Ok(())
    }
}

/// Records in memory, whoever asks for whatever version.
#[derive(Clone, Default)]
pub(crate) struct ToyStore(pub(crate) BTreeMap<RecordKey, Vec<u8>>);

impl Records for ToyStore {
    fn version(&self, _: InstanceId) -> Result<u64, StoreReadError> {
        Ok(0)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        Ok(self.0.get(key).map(|value| Secret::copy_of(value)))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let there = self.0.iter().filter(|(key, _)| key.instance == instance && key.kind == kind);
        Ok(there.map(|(key, value)| (key.id.clone(), Secret::copy_of(value))).collect())
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Persist for ToyStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        for (key, write) in writes.writes() {
            match write {
                Write::Put(value) => self.0.insert(key.clone(), value.expose().to_vec()),
                Write::Erase => self.0.remove(key),
            };
        }
        Ok(())
    }
}

pub(crate) fn signer(random: &mut ToyRandom) -> SoftwareSigner {
    SoftwareSigner::generate(SUITE, random).unwrap()
}

/// A public key that the suite's checks accept.
pub(crate) fn hpke_key(number: u8) -> HpkePublicKey {
    HpkePublicKey(vec![number; KEY_LENGTH])
}

impl CipherSuite for ToySuite {
    fn id(&self) -> CipherSuiteId {
        CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519
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

impl Hash for ToySuite {
    fn length(&self) -> usize {
        32
    }
    fn hash(&self, parts: &[&[u8]]) -> Digest {
        let mut lanes = [1_u64, 2, 3, 4].map(|seed| seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for byte in parts.iter().flat_map(|part| part.iter()) {
            for lane in &mut lanes {
                *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
            }
        }
        Digest::new(&lanes.map(u64::to_be_bytes).concat()).unwrap()
    }
}

impl Kdf for ToySuite {
    fn id(&self) -> u16 {
        1
    }
    fn length(&self) -> usize {
        32
    }
    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        Secret::copy_of(self.mac(salt, ikm).as_bytes())
    }
    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        let mut output = Vec::new();
        while output.len() < length {
            let counter = [u8::try_from(output.len() / 32).map_err(|_| CryptoError::Length)?];
            let mut parts = info.to_vec();
            parts.push(&counter);
            output.extend_from_slice(self.mac(prk, &parts).as_bytes());
        }
        output.truncate(length);
        Ok(Secret::new(output))
    }
    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        let mut parts = vec![key];
        parts.extend(data);
        Hash::hash(self, &parts)
    }
}

impl Aead for ToySuite {
    fn id(&self) -> u16 {
        1
    }
    fn key_length(&self) -> usize {
        16
    }
    fn nonce_length(&self) -> usize {
        12
    }
    fn tag_length(&self) -> usize {
        32
    }
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok([plaintext, self.mac(key, &[nonce, aad, plaintext]).as_bytes()].concat())
    }
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let length = ciphertext.len().checked_sub(32).ok_or(CryptoError::Open)?;
        let (plaintext, tag) = ciphertext.split_at(length);
        match self.mac(key, &[nonce, aad, plaintext]).as_bytes() == tag {
            true => Ok(Secret::copy_of(plaintext)),
            false => Err(CryptoError::Open),
        }
    }
}

impl Kem for ToySuite {
    fn id(&self) -> u16 {
        0x20
    }
    fn secret_length(&self) -> usize {
        32
    }
    fn encapsulation_length(&self) -> usize {
        KEY_LENGTH
    }
    fn public_key_length(&self) -> usize {
        KEY_LENGTH
    }
    fn private_key_length(&self) -> usize {
        KEY_LENGTH
    }
    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        let key = Hash::hash(self, &[b"key pair", ikm]).as_bytes().to_vec();
        Ok((HpkePrivateKey(Secret::copy_of(&key)), HpkePublicKey(key)))
    }
    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        let encapsulation = random.bytes(KEY_LENGTH)?;
        Ok((self.extract(&key.0, &[&encapsulation]), encapsulation))
    }
    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        Ok(self.extract(key.0.expose(), &[encapsulation]))
    }
    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        Ok(HpkePublicKey(key.0.expose().to_vec()))
    }
    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        if key.0.len() == KEY_LENGTH { Ok(()) } else { Err(CryptoError::PublicKey) }
    }
}

impl Signature for ToySuite {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        let key = random.bytes(KEY_LENGTH)?;
        Ok((SignaturePrivateKey(Secret::copy_of(&key)), SignaturePublicKey(key)))
    }
    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        Ok(SignaturePublicKey(key.0.expose().to_vec()))
    }
    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.mac(key.0.expose(), &[message]).as_bytes().to_vec())
    }
    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        Signature::check_public_key(self, key)?;
        match self.mac(&key.0, &[message]).as_bytes() == signature {
            true => Ok(()),
            false => Err(CryptoError::Signature),
        }
    }
    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        if key.0.len() == KEY_LENGTH { Ok(()) } else { Err(CryptoError::PublicKey) }
    }
}
