//! RFC 5116, RFC 8439: AES-GCM and ChaCha20-Poly1305.

use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hushwood_crypto::{CryptoError, Secret};

/// An AEAD of AWS-LC.
pub struct Aead {
    id: u16,
    algorithm: &'static Algorithm,
}

/// AES-128-GCM.
pub static AES_128_GCM: Aead = Aead { id: 0x0001, algorithm: &aws_lc_rs::aead::AES_128_GCM };
/// AES-256-GCM.
pub static AES_256_GCM: Aead = Aead { id: 0x0002, algorithm: &aws_lc_rs::aead::AES_256_GCM };
/// ChaCha20-Poly1305.
pub static CHACHA20_POLY1305: Aead = Aead { id: 0x0003, algorithm: &aws_lc_rs::aead::CHACHA20_POLY1305 };

impl hushwood_crypto::Aead for Aead {
    fn id(&self) -> u16 {
        self.id
    }

    fn key_length(&self) -> usize {
        self.algorithm.key_len()
    }

    fn nonce_length(&self) -> usize {
        NONCE_LEN
    }

    fn tag_length(&self) -> usize {
        self.algorithm.tag_len()
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (key, nonce) = self.prepare(key, nonce)?;
        // Of full size at once, so that no plaintext is left behind where the vector was before.
        let mut buffer = Vec::with_capacity(plaintext.len() + self.tag_length());
        buffer.extend_from_slice(plaintext);
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut buffer)
            .map_err(|_| CryptoError::InputTooLong)?;
        Ok(buffer)
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let (key, nonce) = self.prepare(key, nonce)?;
        let length = ciphertext.len().checked_sub(self.tag_length()).ok_or(CryptoError::Open)?;
        let (ciphertext, tag) = ciphertext.split_at_checked(length).ok_or(CryptoError::Open)?;
        let mut plaintext = Secret::zero(length);
        key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plaintext.expose_mut())
            .map_err(|_| CryptoError::Open)?;
        Ok(plaintext)
    }
}

impl Aead {
    fn prepare(&self, key: &[u8], nonce: &[u8]) -> Result<(LessSafeKey, Nonce), CryptoError> {
        let key = UnboundKey::new(self.algorithm, key).map_err(|_| CryptoError::Provider)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::Provider)?;
        Ok((LessSafeKey::new(key), nonce))
    }
}
