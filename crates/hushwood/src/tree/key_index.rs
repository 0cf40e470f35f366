//! An index of all public keys in the tree, for "is this key used already?" (RFC 9420 §7.3, §12.4.2, §16.7).
//!
//! A hash trie of our own: sixteen-way forks over small buckets, shared between clones and copied along the
//! changed path only, so that the index follows the tree at O(1) per change and is cloned in constant time.
//! Keys are known by a fingerprint of 96 bits under a secret of this process (SipHash): nobody can craft keys
//! that collide or that crowd one bucket, and two different keys share a fingerprint with a probability below
//! 2^-50 in the largest tree.
//!
//! Of a tree in a store it holds the keys that have come since the tree was opened; the others are looked up
//! there. What the store says is believed if the tree has the key at that place.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};

use crate::error::{Error, Violation};
use crate::tree::stored::{KeyKind, TreeSource};
use crate::tree::subtree::Subtree;
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
    stored: Option<Arc<dyn TreeSource>>,
}

impl KeyIndex {
    /// The index of a tree that is in memory: every key is put in.
    pub(crate) fn new() -> Self {
        Self {
            secret: RandomState::new(),
            root: Trie::Empty,
            encryption_duplicates: 0,
            signature_duplicates: 0,
            stored: None,
        }
    }

    /// The index of a stored tree that nobody has changed yet.
    pub(crate) fn over(source: Arc<dyn TreeSource>) -> Self {
        Self { stored: Some(source), ..Self::new() }
    }

    /// True if it asks a store for keys that it does not hold.
    pub(crate) fn is_over_store(&self) -> bool {
        self.stored.is_some()
    }

    /// Puts a key in. `tree` is the tree with the key in it.
    pub(crate) fn insert_encryption(
        &mut self,
        key: &HpkePublicKey,
        at: NodeIndex,
        tree: &Subtree,
    ) -> Result<(), Error> {
        self.insert(KeyKind::Encryption, key.as_ref(), at, tree)
    }

    /// As [`insert_encryption`](Self::insert_encryption).
    pub(crate) fn insert_signature(
        &mut self,
        key: &SignaturePublicKey,
        leaf: LeafIndex,
        tree: &Subtree,
    ) -> Result<(), Error> {
        let at = leaf.node().ok_or(Error::Bug("a leaf beyond the limit"))?;
        self.insert(KeyKind::Signature, key.as_ref(), at, tree)
    }

    pub(crate) fn remove_encryption(&mut self, key: &HpkePublicKey, at: NodeIndex) {
        self.remove(KeyKind::Encryption, key.as_ref(), at);
    }

    pub(crate) fn remove_signature(&mut self, key: &SignaturePublicKey, leaf: LeafIndex) {
        if let Some(at) = leaf.node() {
            self.remove(KeyKind::Signature, key.as_ref(), at);
        }
    }

    pub(crate) fn encryption(&self, key: &HpkePublicKey, tree: &Subtree) -> Result<Option<NodeIndex>, Error> {
        self.find(KeyKind::Encryption, key.as_ref(), tree)
    }

    pub(crate) fn signature(
        &self,
        key: &SignaturePublicKey,
        tree: &Subtree,
    ) -> Result<Option<LeafIndex>, Error> {
        Ok(self.find(KeyKind::Signature, key.as_ref(), tree)?.and_then(NodeIndex::leaf))
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

    fn insert(&mut self, kind: KeyKind, key: &[u8], at: NodeIndex, tree: &Subtree) -> Result<(), Error> {
        let fingerprint = self.fingerprint(kind, key);
        // The other place of a key that is in the store joins the index, to be counted and taken out.
        let other = match self.root.find(fingerprint) {
            None => self.find_stored(kind, key, tree)?.filter(|other| *other != at),
            Some(_) => None,
        };
        for at in other.into_iter().chain([at]) {
            if self.root.insert(Entry { fingerprint, place: at.number() }, 0) {
                let duplicates = self.duplicates(kind);
                *duplicates = duplicates.saturating_add(1);
            }
        }
        Ok(())
    }

    fn remove(&mut self, kind: KeyKind, key: &[u8], at: NodeIndex) {
        let fingerprint = self.fingerprint(kind, key);
        if self.root.remove(Entry { fingerprint, place: at.number() }, 0) == Removed::OneOfMany {
            let duplicates = self.duplicates(kind);
            *duplicates = duplicates.saturating_sub(1);
        }
    }

    fn find(&self, kind: KeyKind, key: &[u8], tree: &Subtree) -> Result<Option<NodeIndex>, Error> {
        match self.root.find(self.fingerprint(kind, key)).and_then(NodeIndex::new) {
            None => self.find_stored(kind, key, tree),
            found => Ok(found),
        }
    }

    fn find_stored(&self, kind: KeyKind, key: &[u8], tree: &Subtree) -> Result<Option<NodeIndex>, Error> {
        let Some(source) = &self.stored else { return Ok(None) };
        let Some(at) = source.key(kind, key)? else { return Ok(None) };
        let there = match (tree.find(at)?, kind) {
            (Some(Subtree::Leaf(leaf)), KeyKind::Encryption) => leaf.node.encryption_key()? == key,
            (Some(Subtree::Leaf(leaf)), KeyKind::Signature) => leaf.node.keys()?.1 == key,
            (Some(Subtree::Parent(parent)), KeyKind::Encryption) => match &parent.node {
                Some(node) => node.view()?.encryption_key == key,
                None => false,
            },
            _ => false,
        };
        Ok(there.then_some(at))
    }

    fn duplicates(&mut self, kind: KeyKind) -> &mut usize {
        match kind {
            KeyKind::Encryption => &mut self.encryption_duplicates,
            KeyKind::Signature => &mut self.signature_duplicates,
        }
    }

    fn fingerprint(&self, kind: KeyKind, key: &[u8]) -> Fingerprint {
        // The key is taken in once for both halves; a byte behind it tells them, and the kinds, apart.
        let mut hasher = self.secret.build_hasher();
        hasher.write(key);
        let bytes = |last: u8| {
            let mut hasher = hasher.clone();
            hasher.write_u8(last);
            hasher.finish().to_le_bytes()
        };
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, ..]) = match kind {
            KeyKind::Encryption => (bytes(0), bytes(1)),
            KeyKind::Signature => (bytes(2), bytes(3)),
        };
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

type Fingerprint = [u8; 12];

#[derive(Clone, Copy, PartialEq)]
struct Entry {
    fingerprint: Fingerprint,
    place: u32,
}

/// What became of an entry that was to be taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Removed {
    NotThere,
    TheOnlyOne,
    /// Another with its fingerprint is left.
    OneOfMany,
}

/// Entries that agree in the first `4 * depth` bits of their fingerprints.
#[derive(Clone, Default)]
enum Trie {
    #[default]
    Empty,
    Bucket(Arc<[Entry]>),
    Fork(Arc<[Trie; 16]>),
}

impl Trie {
    /// Adds an entry; true if there was one with its fingerprint.
    fn insert(&mut self, entry: Entry, depth: usize) -> bool {
        match self {
            Self::Empty => {
                *self = Self::Bucket(Arc::new([entry]));
                false
            }
            Self::Fork(branches) => {
                let branch = Arc::make_mut(branches).get_mut(branch(entry.fingerprint, depth));
                branch.is_some_and(|branch| branch.insert(entry, depth + 1))
            }
            Self::Bucket(bucket) if bucket.len() < BUCKET || depth == MAX_DEPTH => {
                let known = bucket.iter().any(|other| other.fingerprint == entry.fingerprint);
                *self = Self::Bucket(bucket.iter().copied().chain([entry]).collect());
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

    fn remove(&mut self, entry: Entry, depth: usize) -> Removed {
        match self {
            Self::Empty => Removed::NotThere,
            Self::Fork(branches) => {
                let branch = Arc::make_mut(branches).get_mut(branch(entry.fingerprint, depth));
                branch.map_or(Removed::NotThere, |branch| branch.remove(entry, depth + 1))
            }
            Self::Bucket(bucket) => {
                let Some(position) = bucket.iter().position(|other| *other == entry) else {
                    return Removed::NotThere;
                };
                let (before, after) = bucket.split_at(position);
                let left: Arc<[Entry]> = before.iter().chain(after.iter().skip(1)).copied().collect();
                let another = left.iter().any(|other| other.fingerprint == entry.fingerprint);
                *self = if left.is_empty() { Self::Empty } else { Self::Bucket(left) };
                if another { Removed::OneOfMany } else { Removed::TheOnlyOne }
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
/// Below this buckets just grow.
const MAX_DEPTH: usize = 16;

/// Four bits of a fingerprint.
fn branch(fingerprint: Fingerprint, depth: usize) -> usize {
    let byte = fingerprint.get(depth / 2).copied().unwrap_or_default();
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
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

    /// An index that is not over a store does not look at its tree.
    fn nothing() -> Subtree {
        Subtree::blank(NodeIndex::root(1))
    }

    #[test]
    fn ten_thousand_keys_are_found_until_they_are_removed() {
        let (mut index, tree) = (KeyIndex::new(), nothing());
        (0..10_000).for_each(|n| index.insert_encryption(&key(n), node(n), &tree).unwrap());
        let full = index.clone();
        (0..10_000).filter(|n| n % 3 == 0).for_each(|n| index.remove_encryption(&key(n), node(n)));
        for n in 0..10_000 {
            assert_eq!(full.encryption(&key(n), &tree), Ok(Some(node(n))));
            assert_eq!(index.encryption(&key(n), &tree), Ok((n % 3 != 0).then(|| node(n))));
        }
        assert_eq!(index.encryption(&key(10_000), &tree), Ok(None));
        assert_eq!(full.check_unique(), Ok(()));
    }

    #[test]
    fn a_key_held_twice_is_told_until_one_is_gone() {
        let (mut index, tree) = (KeyIndex::new(), nothing());
        index.insert_encryption(&key(7), node(1), &tree).unwrap();
        index.insert_signature(&SignaturePublicKey(key(7).0), LeafIndex::new(1), &tree).unwrap();
        assert_eq!(index.check_unique(), Ok(()));
        index.insert_encryption(&key(7), node(2), &tree).unwrap();
        assert_eq!(index.check_unique(), Err(Violation::EncryptionKeyReused.into()));
        index.remove_encryption(&key(7), node(3));
        assert_eq!(index.check_unique(), Err(Violation::EncryptionKeyReused.into()));
        index.remove_encryption(&key(7), node(1));
        assert_eq!(index.check_unique(), Ok(()));
        assert_eq!(index.encryption(&key(7), &tree), Ok(Some(node(2))));
        index.insert_signature(&SignaturePublicKey(key(7).0), LeafIndex::new(2), &tree).unwrap();
        assert_eq!(index.check_unique(), Err(Violation::SignatureKeyReused.into()));
    }

    #[test]
    fn many_entries_of_one_key_stay_in_one_bucket() {
        let (mut index, tree) = (KeyIndex::new(), nothing());
        (0..100).for_each(|n| index.insert_encryption(&key(0), node(n), &tree).unwrap());
        (0..99).for_each(|n| index.remove_encryption(&key(0), node(n)));
        assert_eq!(index.check_unique(), Ok(()));
        assert_eq!(index.encryption(&key(0), &tree), Ok(Some(node(99))));
    }
}
