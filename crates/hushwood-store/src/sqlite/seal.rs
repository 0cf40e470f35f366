//! Records as they lie in the file: values sealed one by one, names hidden by a keyed hash.
//!
//! A row says which bucket (instance and kind) and which record it is only to who holds the key:
//!
//! ```text
//! bucket = HMAC-SHA-256(name key, 1 || instance || kind)[..16]
//! name   = HMAC-SHA-256(name key, 2 || instance || kind || id)[..16]
//! value  = nonce || XChaCha20-Poly1305(seal key, nonce, AAD, instance || kind || u32 length || id || content)
//! AAD    = u16 format || bucket || name
//! ```
//!
//! Bucket and name stand for instance, kind and id, so a value that is moved to another row does not
//! open. The plaintext repeats them: a row can be listed, moved to another key or to a later format
//! without anybody knowing what to look for.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, RecordKey, RecordKind};
use hushwood_crypto::{CryptoError, Random, Secret};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::sqlite::schema::FORMAT;

/// A bucket, a record's name, or the name of an instance's version, as they stand in the file.
pub(super) type Name = [u8; 16];

/// The two keys under the store key.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    names: Hmac<Sha256>,
}

impl Sealer {
    pub(super) fn new(store_key: &Secret) -> Result<Self, CryptoError> {
        let seal_key = derive(store_key, b"hushwood store seal")?;
        let name_key = derive(store_key, b"hushwood store name")?;
        Ok(Self {
            cipher: XChaCha20Poly1305::new_from_slice(&*seal_key).map_err(|_| CryptoError::Provider)?,
            names: <Hmac<Sha256> as KeyInit>::new_from_slice(&*name_key)
                .map_err(|_| CryptoError::Provider)?,
        })
    }

    /// Where the records of a kind are.
    pub(super) fn bucket(&self, instance: InstanceId, kind: RecordKind) -> Name {
        self.hash(1, instance, &[kind.number()], b"")
    }

    /// Where a record is in its bucket.
    pub(super) fn name(&self, key: &RecordKey) -> Name {
        self.hash(2, key.instance, &[key.kind.number()], &key.id)
    }

    /// Where the version of an instance is.
    pub(super) fn head(&self, instance: InstanceId) -> Name {
        self.hash(3, instance, b"", b"")
    }

    fn hash(&self, purpose: u8, instance: InstanceId, kind: &[u8], id: &[u8]) -> Name {
        let mut hash = self.names.clone();
        [&[purpose], instance.as_bytes().as_slice(), kind, id].iter().for_each(|part| hash.update(part));
        let hash = hash.finalize().into_bytes();
        let mut name = Name::default();
        name.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        name
    }

    /// Seals the content of a record for its place.
    pub(super) fn seal(
        &self,
        key: &RecordKey,
        content: &Secret,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, CryptoError> {
        let nonce: [u8; NONCE] = random.array()?;
        let id_length = u32::try_from(key.id.len()).map_err(|_| CryptoError::InputTooLong)?.to_be_bytes();
        let kind = [key.kind.number()];
        let parts =
            [&nonce, key.instance.as_bytes().as_slice(), &kind, &id_length, &key.id, content.expose()];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // The whole capacity at once: a buffer that grows leaves copies behind.
        let mut row = Zeroizing::new(Vec::with_capacity(length.saturating_add(TAG)));
        parts.iter().for_each(|part| row.extend_from_slice(part));
        let aad = associated_data(&self.bucket(key.instance, key.kind), &self.name(key));
        let (_, plaintext) = row.split_at_mut(NONCE);
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &aad, plaintext.into())
            .map_err(|_| CryptoError::InputTooLong)?;
        row.extend_from_slice(&tag);
        Ok(std::mem::take(&mut *row))
    }

    /// Opens a row: which record it is, and its content.
    pub(super) fn open(
        &self,
        bucket: &Name,
        name: &[u8],
        row: &[u8],
    ) -> Result<(Vec<u8>, Secret), StoreReadError> {
        let plaintext = self.decrypt(bucket, name, row).ok_or(StoreReadError::Corrupt)?;
        parse(&plaintext).ok_or(StoreReadError::Corrupt)
    }

    fn decrypt(&self, bucket: &Name, name: &[u8], row: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = row.split_first_chunk::<NONCE>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>()?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = associated_data(bucket, name);
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        self.cipher.decrypt_inout_detached(&nonce, &aad, buffer.as_mut_slice().into(), &tag).ok()?;
        Some(buffer)
    }
}

/// `instance || kind || u32 length || id || content`: the id and the content.
fn parse(plaintext: &[u8]) -> Option<(Vec<u8>, Secret)> {
    let (_instance_and_kind, rest) = plaintext.split_first_chunk::<17>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (id, content) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((id.to_vec(), Secret::copy_of(content)))
}

fn associated_data(bucket: &Name, name: &[u8]) -> Vec<u8> {
    [FORMAT.to_be_bytes().as_slice(), bucket, name].concat()
}

/// A key of 32 bytes for one purpose.
pub(super) fn derive(key: &Secret, purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, key.expose())
        .expand(purpose, derived.as_mut_slice())
        .map_err(|_| CryptoError::Length)?;
    Ok(derived)
}

const NONCE: usize = 24;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
            self.0 = self.0.checked_add(1).ok_or(CryptoError::Random)?;
            bytes.fill(self.0);
            Ok(())
        }
    }

    fn sealer() -> Sealer {
        Sealer::new(&Secret::new(vec![7; 32])).unwrap()
    }

    fn key(id: &str) -> RecordKey {
        RecordKey::new(InstanceId::new([1; 16]), RecordKind::TreeNode, id)
    }

    fn place(key: &RecordKey) -> (Name, Name) {
        (sealer().bucket(key.instance, key.kind), sealer().name(key))
    }

    #[test]
    fn a_row_opens_in_its_place_and_nowhere_else() {
        let row = sealer().seal(&key("a"), &Secret::new(vec![5; 40]), &mut Counter(0)).unwrap();
        let (bucket, name) = place(&key("a"));
        let (id, content) = sealer().open(&bucket, &name, &row).unwrap();
        assert_eq!((id.as_slice(), content.expose()), (b"a".as_slice(), [5; 40].as_slice()));

        let others = [
            key("b"),
            RecordKey { kind: RecordKind::TreeKey, ..key("a") },
            RecordKey { instance: InstanceId::new([2; 16]), ..key("a") },
        ];
        for other in others {
            let (bucket, name) = place(&other);
            assert_eq!(sealer().open(&bucket, &name, &row).unwrap_err(), StoreReadError::Corrupt);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let row = sealer().seal(&key("a"), &Secret::new(vec![5; 4]), &mut Counter(0)).unwrap();
        let (bucket, name) = place(&key("a"));
        for bit in 0..row.len() * 8 {
            let mut other = row.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer().open(&bucket, &name, &other).is_err());
        }
        for length in 0..row.len() {
            assert!(sealer().open(&bucket, &name, &row[..length]).is_err());
        }
    }

    #[test]
    fn sealing_twice_gives_two_ciphertexts_and_stops_with_the_randomness() {
        let mut random = Counter(253);
        let content = Secret::new(vec![5; 4]);
        let rows = [(); 2].map(|()| sealer().seal(&key("a"), &content, &mut random).unwrap());
        assert_ne!(rows[0], rows[1]);
        assert_eq!(sealer().seal(&key("a"), &content, &mut random), Err(CryptoError::Random));
    }

    #[test]
    fn names_differ_between_stores_and_tell_nothing() {
        let other = Sealer::new(&Secret::new(vec![8; 32])).unwrap();
        assert_ne!(other.name(&key("a")), sealer().name(&key("a")));
        assert_ne!(sealer().name(&key("")), sealer().bucket(key("").instance, key("").kind));
        assert_ne!(sealer().head(key("").instance), sealer().bucket(key("").instance, key("").kind));
    }
}
