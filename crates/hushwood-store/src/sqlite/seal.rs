//! Records as they lie in the file: values sealed one by one, names hidden by a keyed hash.
//!
//! A row says which bucket (instance and kind) and which record it is only to who holds the key:
//!
//! ```text
//! bucket = HMAC-SHA-256(name key, 1 || instance || kind)[..16]
//! name   = HMAC-SHA-256(name key, 2 || instance || kind || id)[..16]
//! value  = nonce || XChaCha20-Poly1305(key, nonce, AAD, instance || kind || u32 length || id || content)
//! AAD    = u16 format || bucket || name
//! key    = HMAC-SHA-256(row key, salt), of which the salt can be erased, for kinds that may hold secrets;
//!          the seal key for the others
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
use zeroize::{Zeroize, Zeroizing};

use crate::sqlite::schema::FORMAT;

/// A bucket, a record's name, or the name of an instance's version, as they stand in the file.
pub(super) type Name = [u8; 16];

/// What makes the key of one row, and erases it by being erased.
pub(super) type Salt = [u8; 32];

/// A row as it stands in the file.
pub(super) struct Sealed {
    pub(super) value: Vec<u8>,
    pub(super) salt: Option<Salt>,
}

/// The keys under the store key.
pub(super) struct Sealer {
    /// For kinds that hold no secrets.
    cipher: XChaCha20Poly1305,
    names: Hmac<Sha256>,
    rows: Hmac<Sha256>,
}

impl Sealer {
    pub(super) fn new(store_key: &Secret) -> Result<Self, CryptoError> {
        Ok(Self {
            cipher: cipher(&*derive(store_key, b"hushwood store seal")?)?,
            names: hmac(&*derive(store_key, b"hushwood store name")?)?,
            rows: hmac(&*derive(store_key, b"hushwood store row")?)?,
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

    /// How many random bytes [`seal`](Self::seal) takes for a record of this kind.
    pub(super) fn randomness(kind: RecordKind) -> usize {
        if is_public(kind) { NONCE } else { size_of::<Salt>() + NONCE }
    }

    /// Seals the content of a record for its place, which is its bucket and name.
    pub(super) fn seal(
        &self,
        (bucket, name): (&Name, &Name),
        key: &RecordKey,
        content: &Secret,
        random: &mut dyn Random,
    ) -> Result<Sealed, CryptoError> {
        let salt = if is_public(key.kind) { None } else { Some(random.array()?) };
        let nonce: [u8; NONCE] = random.array()?;
        let id_length = u32::try_from(key.id.len()).map_err(|_| CryptoError::InputTooLong)?.to_be_bytes();
        let kind = [key.kind.number()];
        let parts =
            [&nonce, key.instance.as_bytes().as_slice(), &kind, &id_length, &key.id, content.expose()];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // The whole capacity at once: a buffer that grows leaves copies behind.
        let mut value = Zeroizing::new(Vec::with_capacity(length.saturating_add(TAG)));
        parts.iter().for_each(|part| value.extend_from_slice(part));
        let aad = associated_data(bucket, name);
        let (_, plaintext) = value.split_at_mut(NONCE);
        let tag = self
            .cipher(salt.as_ref())?
            .encrypt_inout_detached(&XNonce::from(nonce), &aad, plaintext.into())
            .map_err(|_| CryptoError::InputTooLong)?;
        value.extend_from_slice(&tag);
        Ok(Sealed { value: std::mem::take(&mut *value), salt })
    }

    /// Opens a row: which record it is, and its content.
    pub(super) fn open(
        &self,
        place: (&Name, &Name),
        row: &Sealed,
    ) -> Result<(Vec<u8>, Secret), StoreReadError> {
        let plaintext = self.decrypt(place, row).ok_or(StoreReadError::Corrupt)?;
        parse(&plaintext).ok_or(StoreReadError::Corrupt)
    }

    fn decrypt(&self, (bucket, name): (&Name, &Name), row: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = row.value.split_first_chunk::<NONCE>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>()?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = associated_data(bucket, name);
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let cipher = self.cipher(row.salt.as_ref()).ok()?;
        cipher.decrypt_inout_detached(&nonce, &aad, buffer.as_mut_slice().into(), &tag).ok()?;
        Some(buffer)
    }

    fn cipher(&self, salt: Option<&Salt>) -> Result<XChaCha20Poly1305, CryptoError> {
        let Some(salt) = salt else { return Ok(self.cipher.clone()) };
        let mut key = self.rows.clone().chain_update(salt).finalize().into_bytes();
        let cipher = cipher(&key);
        key.zeroize();
        cipher
    }
}

/// Kinds that tell about the members and hold nothing that a key is made from.
fn is_public(kind: RecordKind) -> bool {
    matches!(
        kind,
        RecordKind::PastMember
            | RecordKind::Policy
            | RecordKind::TreeKey
            | RecordKind::TreeNode
            | RecordKind::TreeSummary
    )
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

fn cipher(key: &[u8]) -> Result<XChaCha20Poly1305, CryptoError> {
    XChaCha20Poly1305::new_from_slice(key).map_err(|_| CryptoError::Provider)
}

pub(super) fn hmac(key: &[u8]) -> Result<Hmac<Sha256>, CryptoError> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| CryptoError::Provider)
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

    /// One of a kind with a salt, one of a kind without.
    fn keys() -> [RecordKey; 2] {
        [RecordKind::Epoch, RecordKind::TreeNode]
            .map(|kind| RecordKey::new(InstanceId::new([1; 16]), kind, "a"))
    }

    fn seal(key: &RecordKey, content: &Secret, random: &mut Counter) -> Result<Sealed, CryptoError> {
        let place = (&sealer().bucket(key.instance, key.kind), &sealer().name(key));
        sealer().seal(place, key, content, random)
    }

    fn open(key: &RecordKey, row: &Sealed) -> Result<(Vec<u8>, Secret), StoreReadError> {
        sealer().open((&sealer().bucket(key.instance, key.kind), &sealer().name(key)), row)
    }

    #[test]
    fn a_row_opens_in_its_place_and_nowhere_else() {
        for key in keys() {
            let row = seal(&key, &Secret::new(vec![5; 40]), &mut Counter(0)).unwrap();
            let (id, content) = open(&key, &row).unwrap();
            assert_eq!((id.as_slice(), content.expose()), (b"a".as_slice(), [5; 40].as_slice()));
            let others = [
                RecordKey { id: b"b".to_vec(), ..key.clone() },
                RecordKey { kind: RecordKind::TreeKey, ..key.clone() },
                RecordKey { instance: InstanceId::new([2; 16]), ..key.clone() },
            ];
            for other in others {
                assert_eq!(open(&other, &row).unwrap_err(), StoreReadError::Corrupt);
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        for key in keys() {
            let Sealed { value, salt } = seal(&key, &Secret::new(vec![5; 4]), &mut Counter(0)).unwrap();
            for bit in 0..value.len() * 8 {
                let mut value = value.clone();
                value[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&key, &Sealed { value, salt }).is_err());
            }
            for length in 0..value.len() {
                assert!(open(&key, &Sealed { value: value[..length].to_vec(), salt }).is_err());
            }
        }
    }

    #[test]
    fn without_its_salt_a_row_does_not_open() {
        let [secret, public] = keys();
        let row = seal(&secret, &Secret::new(vec![5; 4]), &mut Counter(0)).unwrap();
        for salt in [None, Some([0; 32])] {
            assert!(open(&secret, &Sealed { value: row.value.clone(), salt }).is_err());
        }
        assert!(seal(&public, &Secret::zero(4), &mut Counter(0)).unwrap().salt.is_none());
    }

    #[test]
    fn sealing_twice_gives_two_ciphertexts_and_stops_with_the_randomness() {
        for key in keys() {
            let mut random = Counter(0);
            let content = Secret::new(vec![5; 4]);
            let rows = [(); 2].map(|()| seal(&key, &content, &mut random).unwrap().value);
            assert_ne!(rows[0], rows[1]);
            let mut random = Counter(255);
            assert_eq!(seal(&key, &content, &mut random).err(), Some(CryptoError::Random));
        }
    }

    #[test]
    fn names_differ_between_stores_and_tell_nothing() {
        let other = Sealer::new(&Secret::new(vec![8; 32])).unwrap();
        let [key, _] = keys().map(|key| RecordKey { id: Vec::new(), ..key });
        assert_ne!(other.name(&key), sealer().name(&key));
        assert_ne!(sealer().name(&key), sealer().bucket(key.instance, key.kind));
        assert_ne!(sealer().head(key.instance), sealer().bucket(key.instance, key.kind));
    }
}
