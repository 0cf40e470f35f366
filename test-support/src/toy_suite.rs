//! A suite for tests that is fast, deterministic and not secure in the least: signatures are hashes
//! over the public key, private keys are public keys. Rules are tested with it, cryptography is not. Nothing that is
//! published depends on it.

use hushwood_crypto::{
    Aead, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Digest, Hash, HpkePrivateKey,
    HpkePublicKey, Kdf, Kem, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey,
    SoftwareSigner,
};

/// The suite, under the number of the RFC's mandatory one.
pub static SUITE: &dyn CipherSuite = &ToySuite;

/// A provider that has nothing else.
pub static PROVIDER: CryptoProvider = CryptoProvider { name: "toy", suites: &[SUITE] };

/// Keys are as long as this.
pub const KEY_LENGTH: usize = 32;

/// The suite. Whoever knows a public key can sign with it and decrypt what was sent to it.
#[derive(Clone, Copy, Debug)]
pub struct ToySuite;

/// Counts, so that nothing repeats.
#[derive(Clone, Copy, Debug)]
pub struct ToyRandom(pub u64);

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
#[derive(Clone, Copy, Debug)]
pub struct NoRandom;

impl Random for NoRandom {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError::Random)
    }
}

/// A source that always gives the same.
#[derive(Clone, Copy, Debug)]
pub struct StuckRandom;

impl Random for StuckRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(1);
        Ok(())
    }
}

/// A fresh key.
pub fn signer(random: &mut ToyRandom) -> SoftwareSigner {
    SoftwareSigner::generate(SUITE, random).unwrap()
}

/// A public key that the suite's checks accept.
pub fn hpke_key(number: u8) -> HpkePublicKey {
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
