//! An index of all public keys in the tree, for "is this key used already?" (RFC 9420 §7.3, §12.4.2, §16.7).
//!
//! A hash trie of our own: sixteen-way forks over small buckets, shared between clones and copied along the
//! changed path only, so that the index follows the tree at O(1) per change and is cloned in constant time.
//! Keys are known by a fingerprint of 128 bits under a secret of this process (two SipHash values): nobody
//! can craft keys that collide or that crowd one bucket, and two different keys share a fingerprint
//! with a probability below 2^-90 in the largest tree.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};

use crate::error::{Error, Violation};
use crate::tree::{LeafIndex, NodeIndex};

/// Which public keys are where. May hold a key twice, as proposals are applied one by one and only their
/// sum must be right; [`check_unique`](Self::check_unique) tells in constant time.
#[derive(Clone)]
pub(crate) struct KeyIndex {
    secret: RandomState,
    root: Trie,
    /// Entries whose key another entry has too.
    encryption_duplicates: usize,
    signature_duplicates: usize,
}

impl KeyIndex {
    pub(crate) fn new() -> Self {
        Self {
            secret: RandomState::new(),
            root: Trie::Empty,
            encryption_duplicates: 0,
            signature_duplicates: 0,
        }
    }

    pub(crate) fn insert_encryption(&mut self, key: &HpkePublicKey, at: NodeIndex) {
        let fingerprint = self.fingerprint(ENCRYPTION, key.as_ref());
        if self.root.insert(Entry { fingerprint, place: at.number() }, 0) {
            self.encryption_duplicates += 1;
        }
    }

    pub(crate) fn remove_encryption(&mut self, key: &HpkePublicKey, at: NodeIndex) {
        let fingerprint = self.fingerprint(ENCRYPTION, key.as_ref());
        if self.root.remove(Entry { fingerprint, place: at.number() }, 0) {
            self.encryption_duplicates = self.encryption_duplicates.saturating_sub(1);
        }
    }

    pub(crate) fn insert_signature(&mut self, key: &SignaturePublicKey, at: LeafIndex) {
        let fingerprint = self.fingerprint(SIGNATURE, key.as_ref());
        if self.root.insert(Entry { fingerprint, place: at.number() }, 0) {
            self.signature_duplicates += 1;
        }
    }

    pub(crate) fn remove_signature(&mut self, key: &SignaturePublicKey, at: LeafIndex) {
        let fingerprint = self.fingerprint(SIGNATURE, key.as_ref());
        if self.root.remove(Entry { fingerprint, place: at.number() }, 0) {
            self.signature_duplicates = self.signature_duplicates.saturating_sub(1);
        }
    }

    pub(crate) fn encryption(&self, key: &HpkePublicKey) -> Option<NodeIndex> {
        let fingerprint = self.fingerprint(ENCRYPTION, key.as_ref());
        self.root.find(fingerprint).and_then(NodeIndex::new)
    }

    pub(crate) fn signature(&self, key: &SignaturePublicKey) -> Option<LeafIndex> {
        let fingerprint = self.fingerprint(SIGNATURE, key.as_ref());
        self.root.find(fingerprint).map(LeafIndex::new)
    }

    /// All encryption keys in the tree are different, and so are all signature keys.
    pub(crate) fn check_unique(&self) -> Result<(), Error> {
        // RFC 9420 §7.3, §12.4.3.1, C128, C338, C413: no encryption key is in two nodes.
        if self.encryption_duplicates > 0 {
            return Err(Violation::EncryptionKeyReused.into());
        }
        // RFC 9420 §7.3, C127, C413: no signature key is in two leaves.
        if self.signature_duplicates > 0 {
            return Err(Violation::SignatureKeyReused.into());
        }
        Ok(())
    }

    fn fingerprint(&self, kind: u8, key: &[u8]) -> Fingerprint {
        [self.secret.hash_one((0_u8, kind, key)), self.secret.hash_one((1_u8, kind, key))]
    }
}

const ENCRYPTION: u8 = 1;
const SIGNATURE: u8 = 2;

type Fingerprint = [u64; 2];

#[derive(Clone, Copy, PartialEq)]
struct Entry {
    fingerprint: Fingerprint,
    place: u32,
}

/// Entries that agree in the first `4 * depth` bits of their fingerprints.
#[derive(Clone, Default)]
enum Trie {
    #[default]
    Empty,
    Bucket(Arc<Vec<Entry>>),
    Fork(Arc<[Trie; 16]>),
}

impl Trie {
    /// Adds an entry; true if there was one with its fingerprint.
    fn insert(&mut self, entry: Entry, depth: u32) -> bool {
        match self {
            Self::Empty => {
                *self = Self::Bucket(Arc::new(vec![entry]));
                false
            }
            Self::Fork(branches) => {
                let branch = Arc::make_mut(branches).get_mut(branch(entry.fingerprint, depth));
                branch.is_some_and(|branch| branch.insert(entry, depth + 1))
            }
            Self::Bucket(bucket) if bucket.len() < BUCKET || depth == MAX_DEPTH => {
                let known = bucket.iter().any(|other| other.fingerprint == entry.fingerprint);
                Arc::make_mut(bucket).push(entry);
                known
            }
            Self::Bucket(full) => {
                let full = full.clone();
                *self = Self::Fork(Arc::default());
                for entry in full.iter() {
                    self.insert(*entry, depth);
                }
                self.insert(entry, depth)
            }
        }
    }

    /// Takes an entry out; true if another with its fingerprint is left.
    fn remove(&mut self, entry: Entry, depth: u32) -> bool {
        match self {
            Self::Empty => false,
            Self::Fork(branches) => {
                let branch = Arc::make_mut(branches).get_mut(branch(entry.fingerprint, depth));
                branch.is_some_and(|branch| branch.remove(entry, depth + 1))
            }
            Self::Bucket(shared) => {
                let bucket = Arc::make_mut(shared);
                if let Some(position) = bucket.iter().position(|other| *other == entry) {
                    bucket.swap_remove(position);
                }
                let left = bucket.iter().any(|other| other.fingerprint == entry.fingerprint);
                if bucket.is_empty() {
                    *self = Self::Empty;
                }
                left
            }
        }
    }

    fn find(&self, fingerprint: Fingerprint) -> Option<u32> {
        let mut trie = self;
        let mut depth = 0;
        while let Self::Fork(branches) = trie {
            trie = branches.get(branch(fingerprint, depth))?;
            depth += 1;
        }
        let Self::Bucket(bucket) = trie else { return None };
        bucket.iter().find(|entry| entry.fingerprint == fingerprint).map(|entry| entry.place)
    }
}

/// Entries in a bucket before it becomes a fork.
const BUCKET: usize = 12;
/// Below this, bits of the first half of the fingerprint have run out and buckets just grow.
const MAX_DEPTH: u32 = 16;

fn branch(fingerprint: Fingerprint, depth: u32) -> usize {
    let [bits, _] = fingerprint;
    usize::from(bits.rotate_left(4 * (depth + 1)).to_le_bytes().first().map_or(0, |byte| byte & 15))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> HpkePublicKey {
        HpkePublicKey(number.to_be_bytes().to_vec())
    }

    fn node(number: u32) -> NodeIndex {
        NodeIndex::new(number).unwrap()
    }

    #[test]
    fn ten_thousand_keys_are_found_until_they_are_removed() {
        let mut index = KeyIndex::new();
        (0..10_000).for_each(|n| index.insert_encryption(&key(n), node(n)));
        let full = index.clone();
        (0..10_000).filter(|n| n % 3 == 0).for_each(|n| index.remove_encryption(&key(n), node(n)));
        for n in 0..10_000 {
            assert_eq!(full.encryption(&key(n)), Some(node(n)));
            assert_eq!(index.encryption(&key(n)), (n % 3 != 0).then(|| node(n)));
        }
        assert_eq!(index.encryption(&key(10_000)), None);
        assert_eq!(full.check_unique(), Ok(()));
    }

    #[test]
    fn a_key_held_twice_is_told_until_one_is_gone() {
        let mut index = KeyIndex::new();
        index.insert_encryption(&key(7), node(1));
        index.insert_signature(&SignaturePublicKey(key(7).0), LeafIndex::new(1));
        assert_eq!(index.check_unique(), Ok(()));
        index.insert_encryption(&key(7), node(2));
        assert_eq!(index.check_unique(), Err(Violation::EncryptionKeyReused.into()));
        index.remove_encryption(&key(7), node(1));
        assert_eq!(index.check_unique(), Ok(()));
        assert_eq!(index.encryption(&key(7)), Some(node(2)));
        index.insert_signature(&SignaturePublicKey(key(7).0), LeafIndex::new(2));
        assert_eq!(index.check_unique(), Err(Violation::SignatureKeyReused.into()));
    }

    #[test]
    fn many_entries_of_one_key_stay_in_one_bucket() {
        let mut index = KeyIndex::new();
        (0..100).for_each(|n| index.insert_encryption(&key(0), node(n)));
        (0..99).for_each(|n| index.remove_encryption(&key(0), node(n)));
        assert_eq!(index.check_unique(), Ok(()));
        assert_eq!(index.encryption(&key(0)), Some(node(99)));
    }
}
