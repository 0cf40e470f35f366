//! RFC 9420 §4.2, §12.4.3.1: the private keys that one member holds.
//!
//! Those of its leaf and of the parents above it that it is merged into. They are owned, never shared with
//! another tree, and moved from epoch to epoch, so that dropping a key erases it (C141).

use std::collections::BTreeMap;

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer};
use hushwood_crypto::{HpkePrivateKey, HpkePublicKey, Secret};

use crate::error::{ApiMisuse, Error, StoreReadError, Violation};
use crate::tree::path_secret::{KeyPair, PathSecret};
use crate::tree::{LeafIndex, NodeIndex, RatchetTree};

/// A member's private keys. The public halves are kept beside them: a key is used only while the tree has
/// its public half at its place.
#[derive(Debug)]
pub struct PrivateTree {
    leaf: LeafIndex,
    leaf_keys: KeyPair,
    nodes: BTreeMap<NodeIndex, KeyPair>,
}

/// The private keys that a commit brings: those of a path, and of a leaf if it is our own path.
#[derive(Debug)]
pub struct PrivateChanges {
    /// The leaf's keys; none in a path of somebody else.
    pub leaf_keys: Option<KeyPair>,
    /// The nodes' keys.
    pub nodes: Vec<(NodeIndex, KeyPair)>,
}

impl PrivateTree {
    /// The keys of a member that knows none but its leaf's.
    #[must_use]
    pub fn new(leaf: LeafIndex, leaf_keys: KeyPair) -> Self {
        Self { leaf, leaf_keys, nodes: BTreeMap::new() }
    }

    /// The keys of a member that joins by a Welcome (RFC 9420 §12.4.3.1). `signer` made the commit and
    /// signed the GroupInfo; `path_secret` is that of the GroupSecrets.
    ///
    /// # Errors
    /// [`Violation::WelcomePathSecret`] if the path secret is absent or present against the tree, and
    /// [`Violation::PathKeyMismatch`] if it does not give the keys that are in it.
    pub fn join(
        tree: &RatchetTree,
        (leaf, leaf_keys): (LeafIndex, KeyPair),
        signer: LeafIndex,
        path_secret: Option<PathSecret>,
    ) -> Result<Self, Error> {
        let mut private = Self::new(leaf, leaf_keys);
        if let Some(path_secret) = path_secret {
            private.learn_path(tree, signer, path_secret)?;
        }
        // RFC 9420 §12.4.3.1, C303, C341. Q: May the path secret be missing? A: If so, the commit had no
        // path, and we are unmerged at every parent above us. Otherwise the tree would count on keys that we
        // do not have. Below the common ancestor the same holds with a path.
        for node in direct_path(tree, leaf)? {
            if let Some(parent) = tree.parent(node)?
                && !private.nodes.contains_key(&node)
                && parent.unmerged_leaves.binary_search(&leaf).is_err()
            {
                return Err(Violation::WelcomePathSecret.into());
            }
        }
        Ok(private)
    }

    /// Derives the keys from the common ancestor with the committer up to the root.
    fn learn_path(
        &mut self,
        tree: &RatchetTree,
        signer: LeafIndex,
        mut path_secret: PathSecret,
    ) -> Result<(), Error> {
        let suite = tree.suite();
        let ancestor = NodeIndex::common_ancestor(self.leaf, signer);
        let steps = tree.filtered_direct_path(signer)?;
        // C340: the common ancestor is on the committer's filtered direct path, since we are below it.
        let above = steps.iter().skip_while(|step| Some(step.node) != ancestor);
        for step in above {
            let keys = path_secret.key_pair(suite)?;
            // RFC 9420 §12.4.3.1, C340: the private key is that of the public key in the node.
            if tree.encryption_key(step.node)?.as_ref() != Some(&keys.public) {
                return Err(Violation::PathKeyMismatch.into());
            }
            self.nodes.insert(step.node, keys);
            path_secret = path_secret.next(suite)?;
        }
        match self.nodes.is_empty() {
            true => Err(Violation::WelcomePathSecret.into()),
            false => Ok(()),
        }
    }

    /// Our leaf.
    #[must_use]
    pub fn leaf(&self) -> LeafIndex {
        self.leaf
    }

    /// Our leaf's keys.
    #[must_use]
    pub fn leaf_keys(&self) -> &KeyPair {
        &self.leaf_keys
    }

    /// The nodes above our leaf whose private keys we hold.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> {
        self.nodes.keys().copied()
    }

    /// Puts the keys of an Update of ours in place, when somebody commits it.
    pub fn replace_leaf_keys(&mut self, leaf_keys: KeyPair) {
        self.leaf_keys = leaf_keys;
    }

    /// Takes over the keys of a path, and erases those that are out of date in `tree`, the one after the
    /// commit.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn apply(mut self, changes: PrivateChanges, tree: &RatchetTree) -> Result<Self, Error> {
        if let Some(leaf_keys) = changes.leaf_keys {
            self.leaf_keys = leaf_keys;
        }
        self.nodes.extend(changes.nodes);
        self.retain(tree)
    }

    /// Erases the keys of nodes that are blank, replaced or gone in `tree` (RFC 9420 §7.5, C141).
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn retain(mut self, tree: &RatchetTree) -> Result<Self, Error> {
        let mut current = BTreeMap::new();
        for (node, keys) in std::mem::take(&mut self.nodes) {
            if tree.encryption_key(node)?.as_ref() == Some(&keys.public) {
                current.insert(node, keys);
            }
        }
        self.nodes = current;
        Ok(self)
    }

    /// The private key of a node of `tree`, if we hold it.
    pub(crate) fn key(&self, tree: &RatchetTree, node: NodeIndex) -> Result<Option<&HpkePrivateKey>, Error> {
        let keys = match node.leaf() {
            Some(leaf) if leaf == self.leaf => Some(&self.leaf_keys),
            Some(_) => None,
            None => self.nodes.get(&node),
        };
        let Some(keys) = keys else { return Ok(None) };
        Ok((tree.encryption_key(node)?.as_ref() == Some(&keys.public)).then_some(&keys.private))
    }

    /// A second copy: a commit is staged on one, since it may be dropped again (RFC 9420 §14, C402).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let nodes = self.nodes.iter().map(|(node, keys)| (*node, keys.duplicate()));
        Self { leaf: self.leaf, leaf_keys: self.leaf_keys.duplicate(), nodes: nodes.collect() }
    }

    /// The encoding, for a store. It is secret.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`]: none in practice.
    pub fn to_secret(&self) -> Result<Secret, Error> {
        let lengths = self.nodes.values().chain([&self.leaf_keys]).map(KeyPair::encoded_length);
        // With room for all, nothing is left behind where a growing buffer was.
        let mut writer = Writer::with_capacity(lengths.sum::<usize>() + 16);
        self.encode(&mut writer);
        Ok(Secret::new(writer.finish()?))
    }
}

impl PrivateTree {
    /// Reads the keys back.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`] if these are no keys.
    pub fn from_secret(record: &Secret) -> Result<Self, Error> {
        Self::from_bytes(record.expose()).map_err(|_| StoreReadError::Corrupt.into())
    }
}

impl PrivateChanges {
    /// The keys of a member that had none before: one that joins by its own commit.
    ///
    /// # Errors
    /// [`ApiMisuse::LeafAbsent`] if these are the keys of somebody else's path.
    pub fn into_tree(self, leaf: LeafIndex) -> Result<PrivateTree, Error> {
        let leaf_keys = self.leaf_keys.ok_or(ApiMisuse::LeafAbsent)?;
        Ok(PrivateTree { leaf, leaf_keys, nodes: self.nodes.into_iter().collect() })
    }

    /// The encoding, for a store. It is secret.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`]: none in practice.
    pub fn to_secret(&self) -> Result<Secret, Error> {
        let keys = self.nodes.iter().map(|(_, keys)| keys).chain(&self.leaf_keys);
        let mut writer = Writer::with_capacity(keys.map(KeyPair::encoded_length).sum::<usize>() + 16);
        self.encode(&mut writer);
        Ok(Secret::new(writer.finish()?))
    }
}

fn direct_path(tree: &RatchetTree, leaf: LeafIndex) -> Result<impl Iterator<Item = NodeIndex>, Error> {
    let node = leaf.node().filter(|_| leaf.number() < tree.leaf_count());
    Ok(node.ok_or(ApiMisuse::LeafAbsent)?.direct_path(tree.leaf_count()))
}

impl KeyPair {
    /// No less than the encoding takes, with a node's index before it.
    fn encoded_length(&self) -> usize {
        self.public.0.len() + self.private.0.len() + 16
    }
}

impl Encode for KeyPair {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.public).value(&self.private.0);
    }
}

impl Decode for KeyPair {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let public = HpkePublicKey::decode(reader.field("KeyPair.public"))?;
        let private = HpkePrivateKey(Secret::copy_of(reader.field("KeyPair.private").opaque()?));
        Ok(Self { public, private })
    }
}

/// An element of the encoding.
struct NodeKeys(NodeIndex, KeyPair);

impl Decode for NodeKeys {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = u32::decode(reader.field("PrivateTree.node"))?;
        let node = NodeIndex::new(number)
            .ok_or_else(|| reader.error(DecodeErrorKind::UnknownDiscriminant(number.into())))?;
        Ok(Self(node, KeyPair::decode(reader)?))
    }
}

impl Element for NodeKeys {}

fn encode_nodes<'k>(nodes: impl Iterator<Item = (NodeIndex, &'k KeyPair)>, writer: &mut Writer) {
    writer.nested(|writer| nodes.for_each(|(node, keys)| _ = writer.value(&node.number()).value(keys)));
}

impl Encode for PrivateTree {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.leaf).value(&self.leaf_keys);
        encode_nodes(self.nodes.iter().map(|(node, keys)| (*node, keys)), writer);
    }
}

impl Decode for PrivateTree {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (leaf, leaf_keys) = (LeafIndex::decode(reader)?, KeyPair::decode(reader)?);
        let nodes = Vec::<NodeKeys>::decode(reader)?;
        Ok(Self {
            leaf,
            leaf_keys,
            nodes: nodes.into_iter().map(|NodeKeys(node, keys)| (node, keys)).collect(),
        })
    }
}

impl Encode for PrivateChanges {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.leaf_keys);
        encode_nodes(self.nodes.iter().map(|(node, keys)| (*node, keys)), writer);
    }
}

impl Decode for PrivateChanges {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let leaf_keys = Option::decode(reader)?;
        let nodes = Vec::<NodeKeys>::decode(reader)?;
        Ok(Self { leaf_keys, nodes: nodes.into_iter().map(|NodeKeys(node, keys)| (node, keys)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use test_support::assert_breaks;

    use super::*;
    use crate::testing::SUITE;
    use crate::tree::world::{World, client};

    /// A group of nine in which leaf 3 has just committed and added leaf 9, whose keys are returned.
    fn joined() -> (World, LeafIndex, KeyPair, PathSecret) {
        let mut world = World::of(5, 9);
        let mut tree = world.tree.clone();
        let (leaf, keys, _) = client(&mut world.dice);
        let joiner = tree.add(leaf).unwrap();
        let sent = world.send(LeafIndex::new(3), tree, [joiner].into());
        let secret = sent.new_path.path_secret_for(joiner).unwrap();
        world.tree = sent.tree;
        (world, joiner, keys, secret)
    }

    const COMMITTER: LeafIndex = LeafIndex::new(3);

    #[test]
    fn a_joiner_learns_the_keys_from_the_common_ancestor_up() {
        let (world, joiner, keys, secret) = joined();
        let private = PrivateTree::join(&world.tree, (joiner, keys), COMMITTER, Some(secret)).unwrap();
        assert_eq!(private.nodes().collect::<Vec<_>>(), [world.tree.root()]);
    }

    #[test]
    fn a_missing_path_secret_after_a_path_is_refused() {
        let (world, joiner, keys, _) = joined();
        let error = PrivateTree::join(&world.tree, (joiner, keys), COMMITTER, None).unwrap_err();
        assert_breaks!(error, Violation::WelcomePathSecret, "C303", "C341");
    }

    #[test]
    fn a_wrong_path_secret_is_refused() {
        let (world, joiner, keys, secret) = joined();
        for bit in 0..8 {
            let mut wrong = secret.duplicate().into_secret();
            wrong.expose_mut()[0] ^= 1 << bit;
            let wrong = PathSecret::received(SUITE, wrong).unwrap();
            let keys = keys.duplicate();
            let error = PrivateTree::join(&world.tree, (joiner, keys), COMMITTER, Some(wrong)).unwrap_err();
            assert_breaks!(error, Violation::PathKeyMismatch, "C340");
        }
    }

    #[test]
    fn a_path_secret_of_another_place_is_refused() {
        let (world, joiner, keys, secret) = joined();
        for signer in (0..10).map(LeafIndex::new).filter(|signer| *signer != COMMITTER) {
            let (secret, keys) = (secret.duplicate(), keys.duplicate());
            let result = PrivateTree::join(&world.tree, (joiner, keys), signer, Some(secret));
            // For whoever is in the same half as the committer, the ancestor is the same.
            assert_eq!(result.is_ok(), signer.number() < 8, "{signer:?}");
        }
    }

    #[test]
    fn a_path_secret_without_a_path_is_refused() {
        let mut world = World::of(5, 9);
        let (leaf, keys, _) = client(&mut world.dice);
        let joiner = world.tree.add(leaf).unwrap();
        let secret = PathSecret::generate(SUITE, &mut world.dice.0).unwrap();
        let error = PrivateTree::join(&world.tree, (joiner, keys), COMMITTER, Some(secret)).unwrap_err();
        assert_breaks!(error, Violation::PathKeyMismatch, "C340");
    }

    #[test]
    fn a_parent_below_the_common_ancestor_that_counts_on_us_is_refused() {
        let mut world = World::of(5, 13);
        world.commit(LeafIndex::new(8), 0, &[], &[]);
        let mut tree = world.tree.clone();
        let (leaf, keys, _) = client(&mut world.dice);
        let joiner = tree.add(leaf).unwrap();
        let sent = world.send(COMMITTER, tree, [joiner].into());
        let mut nodes = crate::tree::world::nodes(&sent.tree);
        for node in nodes.iter_mut().flatten() {
            if let crate::tree::Node::Parent(parent) = node {
                parent.unmerged_leaves.retain(|leaf| *leaf != joiner);
            }
        }
        let join = |tree: &RatchetTree| {
            let secret = sent.new_path.path_secret_for(joiner);
            PrivateTree::join(tree, (joiner, keys.duplicate()), COMMITTER, secret)
        };
        assert!(join(&sent.tree).is_ok());
        let tampered = RatchetTree::from_nodes(SUITE, nodes, 16).unwrap();
        assert_breaks!(join(&tampered).unwrap_err(), Violation::WelcomePathSecret, "C341");
    }

    #[test]
    fn keys_of_blanked_nodes_are_erased() {
        let mut world = World::of(5, 8);
        world.commit(LeafIndex::new(0), 0, &[], &[]);
        let private = world.members[&LeafIndex::new(7)].private.duplicate();
        assert_eq!(private.nodes().count(), 1);
        world.tree.remove(LeafIndex::new(6)).unwrap();
        assert_eq!(private.retain(&world.tree).unwrap().nodes().count(), 0);
    }

    #[test]
    fn stored_keys_read_back_as_they_were_and_print_nothing() {
        let mut world = World::of(5, 8);
        let sent = world.commit(LeafIndex::new(0), 0, &[], &[]);
        let private = &world.members[&LeafIndex::new(7)].private;
        let bytes = private.to_secret().unwrap();
        let again = PrivateTree::from_bytes(bytes.expose()).unwrap();
        assert!(again.to_secret().unwrap().ct_eq(&bytes));
        let (changes, _) = sent.new_path.into_parts();
        let bytes = changes.to_secret().unwrap();
        let again = PrivateChanges::from_bytes(bytes.expose()).unwrap();
        assert!(again.to_secret().unwrap().ct_eq(&bytes));
        // Public and private keys of the toy suite are equal, so the private ones are looked for alone.
        let printed = format!("{:?}", changes.leaf_keys.unwrap().private);
        assert_eq!(printed, "HpkePrivateKey(Secret(..))");
        let secret = PathSecret::generate(SUITE, &mut world.dice.0).unwrap();
        assert_eq!(format!("{secret:?}"), "PathSecret(Secret(..))");
    }

    #[test]
    fn encodings_are_written_without_growing() {
        let world = World::of(5, 33);
        for member in world.members.values() {
            let keys = member.private.nodes.values().chain([&member.private.leaf_keys]);
            let room = keys.map(KeyPair::encoded_length).sum::<usize>() + 16;
            assert!(member.private.to_secret().unwrap().len() <= room);
        }
    }
}
