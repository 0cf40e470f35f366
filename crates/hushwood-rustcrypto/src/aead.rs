//! RFC 5116, RFC 8439: AES-GCM and ChaCha20-Poly1305.

use std::marker::PhantomData;

use aes_gcm::aead::common::typenum::Unsigned;
use aes_gcm::aead::{AeadCore, AeadInOut, KeyInit, KeySizeUser, Nonce, Tag};
use hushwood_crypto::{CryptoError, Secret};

use crate::stack::wipe_stack;

/// An AEAD by its implementation `A`.
pub struct Aead<A> {
    id: u16,
    cipher: PhantomData<fn() -> A>,
}

/// AES-128-GCM.
pub static AES_128_GCM: Aead<aes_gcm::Aes128Gcm> = Aead { id: 0x0001, cipher: PhantomData };
/// AES-256-GCM.
pub static AES_256_GCM: Aead<aes_gcm::Aes256Gcm> = Aead { id: 0x0002, cipher: PhantomData };
/// ChaCha20-Poly1305.
pub static CHACHA20_POLY1305: Aead<chacha20poly1305::ChaCha20Poly1305> =
    Aead { id: 0x0003, cipher: PhantomData };

impl<A: AeadInOut + KeyInit> hushwood_crypto::Aead for Aead<A> {
    fn id(&self) -> u16 {
        self.id
    }

    fn key_length(&self) -> usize {
        <A as KeySizeUser>::KeySize::USIZE
    }

    fn nonce_length(&self) -> usize {
        <A as AeadCore>::NonceSize::USIZE
    }

    fn tag_length(&self) -> usize {
        <A as AeadCore>::TagSize::USIZE
    }

    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let sealed = seal::<A>(key, nonce, aad, plaintext);
        wipe_stack::<16384>();
        sealed
    }

    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let opened = open::<A>(key, nonce, aad, ciphertext);
        wipe_stack::<16384>();
        opened
    }
}

#[inline(never)]
fn seal<A>(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError>
where
    A: AeadInOut + KeyInit,
{
    let (cipher, nonce) = prepare::<A>(key, nonce)?;
    // Of full size at once, so that no plaintext is left behind where the vector was before.
    let mut buffer = Vec::with_capacity(plaintext.len() + A::TagSize::USIZE);
    buffer.extend_from_slice(plaintext);
    let tag = cipher
        .encrypt_inout_detached(&nonce, aad, buffer.as_mut_slice().into())
        .map_err(|_| CryptoError::InputTooLong)?;
    buffer.extend_from_slice(&tag);
    Ok(buffer)
}

#[inline(never)]
fn open<A>(key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError>
where
    A: AeadInOut + KeyInit,
{
    let (cipher, nonce) = prepare::<A>(key, nonce)?;
    let length = ciphertext.len().checked_sub(A::TagSize::USIZE).ok_or(CryptoError::Open)?;
    let (ciphertext, tag) = ciphertext.split_at_checked(length).ok_or(CryptoError::Open)?;
    let tag = <&Tag<A>>::try_from(tag).map_err(|_| CryptoError::Open)?;
    let mut buffer = Secret::copy_of(ciphertext);
    cipher
        .decrypt_inout_detached(&nonce, aad, buffer.expose_mut().into(), tag)
        .map_err(|_| CryptoError::Open)?;
    Ok(buffer)
}

fn prepare<A: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8]) -> Result<(A, Nonce<A>), CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError::Provider)?;
    let nonce = Nonce::<A>::try_from(nonce).map_err(|_| CryptoError::Provider)?;
    Ok((cipher, nonce))
}
