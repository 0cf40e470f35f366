//! The store key, and what it takes to get at it.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hushwood_crypto::{Random, Secret};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::sqlite::OpenError;
use crate::sqlite::schema::FORMAT;

/// What opens a store.
pub enum Unlock {
    /// What a person types. Bytes are taken as they are: normalise text (Unicode NFC) before.
    Passphrase(Secret),
    /// At least 32 random bytes from a file, or from the keeper of secrets of the operating system.
    KeyFile(Secret),
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(..)",
            Self::KeyFile(_) => "KeyFile(..)",
        })
    }
}

/// What one guess at a passphrase costs: the parameters of Argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PassphraseCost {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

impl PassphraseCost {
    /// 64 MiB, 3 iterations, 1 lane.
    pub const DEFAULT: Self = Self { memory_kib: 64 << 10, iterations: 3, lanes: 1 };

    /// The cost to write into a new store; `None` outside of 19 MiB to 1 GiB, 2 to 64 iterations and 1
    /// to 16 lanes.
    #[must_use]
    pub const fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Option<Self> {
        let cost = Self { memory_kib, iterations, lanes };
        if memory_kib < 19 << 10 || iterations < 2 || !cost.is_bearable() { None } else { Some(cost) }
    }

    /// Next to nothing, so that tests are fast. A passphrase under it is no protection.
    #[must_use]
    pub const fn insecure_for_tests() -> Self {
        Self { memory_kib: 8, iterations: 1, lanes: 1 }
    }

    /// A file that is not ours must not take all memory.
    const fn is_bearable(self) -> bool {
        self.memory_kib <= 1 << 20
            && self.iterations >= 1
            && self.iterations <= 64
            && self.lanes >= 1
            && self.lanes <= 16
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The store key as it lies in the file, and how its wrapping is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct WrappedKey {
    /// 1 for a passphrase, 2 for a key file.
    pub(super) unlock: u8,
    /// Argon2id's parameters; 0 for a key file.
    pub(super) memory_kib: u32,
    pub(super) iterations: u32,
    pub(super) lanes: u32,
    pub(super) salt: [u8; 16],
    /// Nonce, ciphertext and tag.
    pub(super) sealed: [u8; 24 + 32 + 16],
}

impl WrappedKey {
    /// Wraps the store key.
    pub(super) fn wrap(
        store: (&[u8; 16], &Secret),
        unlock: &Unlock,
        cost: PassphraseCost,
        random: &mut dyn Random,
    ) -> Result<Self, OpenError> {
        let (id, store_key) = store;
        unlock.check()?;
        let (number, cost) = match unlock {
            Unlock::Passphrase(_) => (PASSPHRASE, cost),
            Unlock::KeyFile(_) => (KEY_FILE, PassphraseCost { memory_kib: 0, iterations: 0, lanes: 0 }),
        };
        let nonce: [u8; 24] = random.array()?;
        let mut wrapped = Self {
            unlock: number,
            memory_kib: cost.memory_kib,
            iterations: cost.iterations,
            lanes: cost.lanes,
            salt: random.array()?,
            sealed: [0; 72],
        };
        let mut key = Zeroizing::new([0; 32]);
        key.iter_mut().zip(store_key.expose()).for_each(|(to, from)| *to = *from);
        let tag = wrapped
            .cipher(unlock)?
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &wrapped.associated_data(id),
                key.as_mut_slice().into(),
            )
            .map_err(|_| OpenError::Io)?;
        let sealed = nonce.iter().chain(key.iter()).chain(tag.iter());
        wrapped.sealed.iter_mut().zip(sealed).for_each(|(to, from)| *to = *from);
        Ok(wrapped)
    }

    /// The store key.
    pub(super) fn unwrap(&self, id: &[u8; 16], unlock: &Unlock) -> Result<Secret, OpenError> {
        unlock.check()?;
        match (self.unlock, unlock) {
            (PASSPHRASE, Unlock::Passphrase(_)) | (KEY_FILE, Unlock::KeyFile(_)) => {}
            (PASSPHRASE | KEY_FILE, _) => return Err(OpenError::WrongKey),
            _ => return Err(OpenError::Corrupt),
        }
        let (nonce, rest) = self.sealed.split_first_chunk::<24>().ok_or(OpenError::Corrupt)?;
        let (key, tag) = rest.split_last_chunk::<16>().ok_or(OpenError::Corrupt)?;
        let mut key = Secret::copy_of(key);
        self.cipher(unlock)?
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &self.associated_data(id),
                key.expose_mut().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| OpenError::WrongKey)?;
        Ok(key)
    }

    /// The cipher that wraps, under the key that the unlock gives.
    fn cipher(&self, unlock: &Unlock) -> Result<XChaCha20Poly1305, OpenError> {
        let mut key = Zeroizing::new([0; 32]);
        match unlock {
            Unlock::Passphrase(passphrase) => self.argon2id(passphrase, &mut key)?,
            Unlock::KeyFile(secret) => Hkdf::<Sha256>::new(Some(&self.salt), secret.expose())
                .expand(b"hushwood store unlock", key.as_mut_slice())
                .map_err(|_| OpenError::Io)?,
        }
        XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_| OpenError::Io)
    }

    fn argon2id(&self, passphrase: &Secret, key: &mut [u8; 32]) -> Result<(), OpenError> {
        let Self { memory_kib, iterations, lanes, .. } = *self;
        if !(PassphraseCost { memory_kib, iterations, lanes }).is_bearable() {
            return Err(OpenError::Corrupt);
        }
        let params = Params::new(memory_kib, iterations, lanes, Some(32)).map_err(|_| OpenError::Corrupt)?;
        let mut memory = Memory(Vec::new());
        memory.0.try_reserve_exact(params.block_count()).map_err(|_| OpenError::Memory)?;
        memory.0.resize(params.block_count(), Block::new());
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.expose(), &self.salt, key, memory.0.as_mut_slice())
            .map_err(|_| OpenError::Corrupt)
    }

    /// Everything in the header that the key depends on.
    fn associated_data(&self, id: &[u8; 16]) -> Vec<u8> {
        [
            b"hushwood store key".as_slice(),
            &FORMAT.to_be_bytes(),
            id,
            &[self.unlock],
            &self.memory_kib.to_be_bytes(),
            &self.iterations.to_be_bytes(),
            &self.lanes.to_be_bytes(),
            &self.salt,
        ]
        .concat()
    }
}

impl Unlock {
    fn check(&self) -> Result<(), OpenError> {
        match self {
            Self::Passphrase(passphrase) if passphrase.is_empty() => Err(OpenError::KeyTooShort),
            Self::KeyFile(key) if key.len() < 32 => Err(OpenError::KeyTooShort),
            Self::Passphrase(_) | Self::KeyFile(_) => Ok(()),
        }
    }
}

/// Argon2's working memory, erased when it is given back.
struct Memory(Vec<Block>);

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

const PASSPHRASE: u8 = 1;
const KEY_FILE: u8 = 2;

#[cfg(test)]
mod tests {
    use hushwood_crypto::CryptoError;

    use super::*;

    struct Fixed;

    impl Random for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
            bytes.fill(9);
            Ok(())
        }
    }

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(Secret::copy_of(text.as_bytes()))
    }

    fn key_file(byte: u8) -> Unlock {
        Unlock::KeyFile(Secret::new(vec![byte; 32]))
    }

    fn wrap(unlock: &Unlock) -> WrappedKey {
        let key = Secret::new(vec![3; 32]);
        WrappedKey::wrap((&[1; 16], &key), unlock, PassphraseCost::insecure_for_tests(), &mut Fixed).unwrap()
    }

    #[test]
    fn the_right_unlock_opens_and_every_other_is_the_wrong_key() {
        let right = [passphrase("tea"), key_file(5)];
        let wrong = [passphrase("Tea"), passphrase("tea "), key_file(6), Unlock::KeyFile(Secret::zero(33))];
        for unlock in &right {
            let wrapped = wrap(unlock);
            assert_eq!(wrapped.unwrap(&[1; 16], unlock).unwrap().expose(), [3; 32]);
            assert_eq!(wrapped.unwrap(&[2; 16], unlock).unwrap_err(), OpenError::WrongKey);
            for other in &wrong {
                assert_eq!(wrapped.unwrap(&[1; 16], other).unwrap_err(), OpenError::WrongKey);
            }
        }
    }

    #[test]
    fn an_altered_header_does_not_open_and_takes_no_memory() {
        let wrapped = wrap(&passphrase("tea"));
        let alter = |change: fn(&mut WrappedKey)| {
            let mut wrapped = wrapped.clone();
            change(&mut wrapped);
            wrapped.unwrap(&[1; 16], &passphrase("tea")).unwrap_err()
        };
        assert_eq!(alter(|wrapped| wrapped.iterations = 2), OpenError::WrongKey);
        assert_eq!(alter(|wrapped| wrapped.memory_kib = 9), OpenError::WrongKey);
        assert_eq!(alter(|wrapped| wrapped.salt[0] ^= 1), OpenError::WrongKey);
        assert_eq!(alter(|wrapped| wrapped.sealed[30] ^= 1), OpenError::WrongKey);
        assert_eq!(alter(|wrapped| wrapped.memory_kib = u32::MAX), OpenError::Corrupt);
        assert_eq!(alter(|wrapped| wrapped.iterations = u32::MAX), OpenError::Corrupt);
        assert_eq!(alter(|wrapped| wrapped.lanes = 0), OpenError::Corrupt);
        assert_eq!(alter(|wrapped| wrapped.unlock = 3), OpenError::Corrupt);
    }

    #[test]
    fn empty_passphrases_and_short_key_files_are_refused() {
        for unlock in [passphrase(""), Unlock::KeyFile(Secret::zero(31))] {
            let key = Secret::zero(32);
            let wrapped = WrappedKey::wrap((&[1; 16], &key), &unlock, PassphraseCost::DEFAULT, &mut Fixed);
            assert_eq!(wrapped.unwrap_err(), OpenError::KeyTooShort);
        }
    }

    #[test]
    fn costs_below_the_recommended_least_are_not_offered() {
        assert_eq!(PassphraseCost::new(64 << 10, 3, 1), Some(PassphraseCost::DEFAULT));
        assert!(PassphraseCost::new(19 << 10, 2, 1).is_some());
        for (memory, iterations, lanes) in
            [(1 << 10, 3, 1), (64 << 10, 1, 1), (2 << 20, 3, 1), (64 << 10, 3, 0)]
        {
            assert!(PassphraseCost::new(memory, iterations, lanes).is_none());
        }
    }
}
