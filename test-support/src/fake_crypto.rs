//! A provider that is fast, deterministic and not secure in the least: private keys are public keys, signatures are
//! hashes, ciphertexts hide nothing from whoever looks twice. Rules of the protocol are tested with it, cryptography is not:
//! in unit tests, in fuzz targets, in the simulated world.

use hushwood_crypto::{
    Aead, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Digest, Hash, HpkePrivateKey,
    HpkePublicKey, Kdf, Kem, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey,
};

/// Two suites, under the numbers of suites 1 and 3, so that a group can be reinitialised into another suite.
pub static PROVIDER: CryptoProvider = CryptoProvider { name: "fake", suites: &[&FIRST, &SECOND] };

/// The first of them: suite 1, which all clients have.
pub static SUITE: &dyn CipherSuite = &FIRST;

static FIRST: FakeSuite = FakeSuite {
    id: CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519,
    aead: (1, 16),
    salt: 0x9E37_79B9_7F4A_7C15,
};
static SECOND: FakeSuite = FakeSuite {
    id: CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519,
    aead: (3, 32),
    salt: 0xC2B2_AE3D_27D4_EB4F,
};

/// A suite without cryptography.
struct FakeSuite {
    id: CipherSuiteId,
    /// The AEAD's identifier, and the length of its keys.
    aead: (u16, usize),
    /// Makes hashes of the two suites differ.
    salt: u64,
}

/// Keys, hashes and signatures are as long as this.
pub const LENGTH: usize = 32;
const TAG: usize = 16;

/// A hash of 256 bits, of which nothing is claimed but that different inputs hardly ever agree.
struct Mixer {
    state: [u64; 2],
    block: [u8; 16],
    filled: usize,
    length: u64,
}

/// The product of both, folded.
fn fold(one: u64, other: u64) -> u64 {
    let [low, high] = halves((u128::from(one) * u128::from(other)).to_le_bytes());
    low ^ high
}

fn halves(block: [u8; 16]) -> [u64; 2] {
    let (low, high) = block.split_at(8);
    [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")))
}

impl Mixer {
    fn new(salt: u64) -> Self {
        Self { state: [salt, !salt], block: [0; 16], filled: 0, length: 0 }
    }

    fn absorb(&mut self) {
        let [low, high] = halves(self.block);
        let [one, other] = self.state;
        self.state = [
            fold(one ^ low, 0xA076_1D64_78BD_642F ^ high).wrapping_add(other),
            fold(other ^ high.rotate_left(29), 0xE703_7ED1_A0B4_28DB ^ low).wrapping_add(one.rotate_left(17)),
        ];
        self.filled = 0;
    }

    fn add(&mut self, mut bytes: &[u8]) {
        self.length += u64::try_from(bytes.len()).expect("a length");
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(16 - self.filled));
            self.block[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            if self.filled == 16 {
                self.absorb();
            }
            bytes = later;
        }
    }

    fn finish(mut self) -> [u8; LENGTH] {
        self.block[self.filled..].fill(0);
        self.absorb();
        self.block[..8].copy_from_slice(&self.length.to_le_bytes());
        self.block[8..].fill(0xA5);
        self.absorb();
        let mut output = [0; LENGTH];
        for (word, number) in output.chunks_exact_mut(8).zip(1_u64..) {
            let [one, other] = self.state;
            let constant = number.wrapping_mul(0x8EBC_6AF0_9C88_C6E3);
            word.copy_from_slice(&fold(one ^ constant, other.rotate_left(23) ^ !constant).to_le_bytes());
            self.state = [other ^ constant, one.wrapping_add(constant)];
        }
        output
    }
}

impl FakeSuite {
    fn digest<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; LENGTH] {
        let mut mixer = Mixer::new(self.salt);
        parts.into_iter().for_each(|part| mixer.add(part));
        mixer.finish()
    }

    fn keyed(&self, key: &[u8], parts: &[&[u8]]) -> [u8; LENGTH] {
        let length = u64::try_from(key.len()).expect("a length").to_le_bytes();
        self.digest([&length[..], key].into_iter().chain(parts.iter().copied()))
    }

    /// The signature scheme is the same for both suites, as it is for the real ones of these numbers.
    fn signed(key: &[u8], message: &[u8]) -> [u8; LENGTH] {
        FIRST.keyed(key, &[b"signature", message])
    }

    /// Hides a plaintext, or shows it: the protocol takes it that ciphertexts differ when keys do.
    fn mask(&self, key: &[u8], nonce: &[u8], text: &[u8]) -> Vec<u8> {
        let start = self.keyed(key, &[b"mask", nonce]);
        let [mut state, _] = halves(start[..16].try_into().expect("16 bytes"));
        let mut masked = text.to_vec();
        for word in masked.chunks_mut(8) {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let stream = fold(state, state ^ 0xE703_7ED1_A0B4_28DB).to_le_bytes();
            word.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
        }
        masked
    }

    fn tag(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> [u8; LENGTH] {
        let lengths = [nonce.len(), aad.len()].map(|length| u64::try_from(length).expect("a length"));
        let lengths = lengths.map(u64::to_le_bytes).concat();
        self.keyed(key, &[&lengths, nonce, aad, plaintext])
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(bytes).expect("no longer than a digest may be")
}

impl CipherSuite for FakeSuite {
    fn id(&self) -> CipherSuiteId {
        self.id
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

impl Hash for FakeSuite {
    fn length(&self) -> usize {
        LENGTH
    }
    fn hash(&self, parts: &[&[u8]]) -> Digest {
        digest(&self.digest(parts.iter().copied()))
    }
}

impl Kdf for FakeSuite {
    fn id(&self) -> u16 {
        1
    }
    fn length(&self) -> usize {
        LENGTH
    }
    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        Secret::copy_of(&self.keyed(salt, ikm))
    }
    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        let mut output = Vec::with_capacity(length.next_multiple_of(LENGTH));
        for counter in 0..length.div_ceil(LENGTH) {
            let counter = [u8::try_from(counter).ok().filter(|c| *c < 255).ok_or(CryptoError::Length)?];
            output.extend(self.keyed(prk, &[info, &[&counter[..]]].concat()));
        }
        output.truncate(length);
        Ok(Secret::new(output))
    }
    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        digest(&self.keyed(key, data))
    }
}

impl Aead for FakeSuite {
    fn id(&self) -> u16 {
        self.aead.0
    }
    fn key_length(&self) -> usize {
        self.aead.1
    }
    fn nonce_length(&self) -> usize {
        12
    }
    fn tag_length(&self) -> usize {
        TAG
    }
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let tag = self.tag(key, nonce, aad, plaintext);
        Ok([&self.mask(key, nonce, plaintext), &tag[..TAG]].concat())
    }
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let length = ciphertext.len().checked_sub(TAG).ok_or(CryptoError::Open)?;
        let (masked, tag) = ciphertext.split_at(length);
        let plaintext = self.mask(key, nonce, masked);
        match self.tag(key, nonce, aad, &plaintext)[..TAG] == *tag {
            true => Ok(Secret::new(plaintext)),
            false => Err(CryptoError::Open),
        }
    }
}

impl Kem for FakeSuite {
    fn id(&self) -> u16 {
        0x20
    }
    fn secret_length(&self) -> usize {
        LENGTH
    }
    fn encapsulation_length(&self) -> usize {
        LENGTH
    }
    fn public_key_length(&self) -> usize {
        LENGTH
    }
    fn private_key_length(&self) -> usize {
        LENGTH
    }
    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        let key = self.keyed(ikm, &[b"key pair"]).to_vec();
        Ok((HpkePrivateKey(Secret::copy_of(&key)), HpkePublicKey(key)))
    }
    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        Kem::check_public_key(self, key)?;
        let encapsulation = random.bytes(LENGTH)?;
        Ok((self.extract(&key.0, &[&encapsulation]), encapsulation))
    }
    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        match encapsulation.len() {
            LENGTH => Ok(self.extract(key.0.expose(), &[encapsulation])),
            _ => Err(CryptoError::Open),
        }
    }
    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        Ok(HpkePublicKey(key.0.expose().to_vec()))
    }
    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        if key.0.len() == LENGTH { Ok(()) } else { Err(CryptoError::PublicKey) }
    }
}

impl Signature for FakeSuite {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        let key = random.bytes(LENGTH)?;
        Ok((SignaturePrivateKey(Secret::copy_of(&key)), SignaturePublicKey(key)))
    }
    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        Ok(SignaturePublicKey(key.0.expose().to_vec()))
    }
    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(Self::signed(key.0.expose(), message).to_vec())
    }
    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        Signature::check_public_key(self, key)?;
        match Self::signed(&key.0, message) == *signature {
            true => Ok(()),
            false => Err(CryptoError::Signature),
        }
    }
    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        if key.0.len() == LENGTH { Ok(()) } else { Err(CryptoError::PublicKey) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    static ONE: &dyn CipherSuite = &FIRST;
    static OTHER: &dyn CipherSuite = &SECOND;

    #[test]
    fn a_hash_does_not_depend_on_how_its_input_is_cut() {
        let bytes = SeededRandom::new(1).bytes(100);
        let whole = ONE.hash().hash(&[&bytes]);
        for cut in 0..100 {
            assert_eq!(ONE.hash().hash(&[&bytes[..cut], &bytes[cut..]]), whole);
        }
        assert_ne!(OTHER.hash().hash(&[&bytes]), whole);
        assert_ne!(ONE.hash().hash(&[&bytes[..99]]), whole);
    }

    #[test]
    fn what_was_changed_does_not_open_and_does_not_verify() {
        let mut random = SeededRandom::new(2);
        let (private, public) = ONE.signature().generate(&mut random).unwrap();
        let signature = ONE.signature().sign(&private, b"tea").unwrap();
        assert_eq!(ONE.signature().verify(&public, b"tea", &signature), Ok(()));
        assert_eq!(ONE.signature().verify(&public, b"tee", &signature), Err(CryptoError::Signature));
        let sealed = ONE.aead().seal(&[1; 16], &[2; 12], b"aad", b"tea").unwrap();
        assert!(ONE.aead().open(&[1; 16], &[2; 12], b"aad", &sealed).is_ok());
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(ONE.aead().open(&[1; 16], &[2; 12], b"aad", &altered).is_err());
        }
        assert!(ONE.aead().open(&[1; 16], &[2; 12], b"a", &sealed).is_err());
    }
}
