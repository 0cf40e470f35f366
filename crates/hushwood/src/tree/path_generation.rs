//! RFC 9420 §7.4 to §7.6: making an update path, as a committer.
//!
//! In two steps, since the path secrets are encrypted under a group context that has the hash of the tree
//! with the new keys in it: [`NewPath::generate`] changes the tree, [`NewPath::encrypt`] makes the message.

use std::collections::BTreeSet;

use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{CryptoError, HpkePublicKey, Random, Signer};

use crate::error::{Error, Violation};
use crate::parallel::map_runs;
use crate::policy::Policy;
use crate::schedule::CommitSecret;
use crate::tree::path_secret::{KeyPair, PathSecret};
use crate::tree::private::PrivateChanges;
use crate::tree::{
    LeafContent, LeafIndex, LeafNode, LeafNodeSource, NodeIndex, PathStep, RatchetTree, UnsignedLeafNode,
    UpdatePath, UpdatePathNode,
};

/// What a committer's new leaf says. Its key, its parent hash and its signature are made with the path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewLeaf(UnsignedLeafNode);

impl NewLeaf {
    /// A leaf with new content.
    ///
    /// # Errors
    /// As [`UnsignedLeafNode::new`].
    pub fn new(content: &LeafContent, policy: &Policy, random: &mut dyn Random) -> Result<Self, Error> {
        let source = LeafNodeSource::Commit { parent_hash: Vec::new() };
        Ok(Self(UnsignedLeafNode::new(content, HpkePublicKey(Vec::new()), source, policy, random)?))
    }

    /// A leaf that says what `old` says.
    #[must_use]
    pub fn successor(old: &LeafNode) -> Self {
        let source = LeafNodeSource::Commit { parent_hash: Vec::new() };
        Self(UnsignedLeafNode::successor(old, HpkePublicKey(Vec::new()), source))
    }

    /// The leaf as it is so far.
    #[must_use]
    pub fn inspect(&self) -> &LeafNode {
        self.0.inspect()
    }
}

/// A path that was made: its keys are in the tree, its secrets are here.
#[derive(Debug)]
pub struct NewPath {
    leaf: LeafIndex,
    leaf_node: LeafNode,
    leaf_keys: KeyPair,
    steps: Vec<NewStep>,
    /// The path secret after the last one of the path.
    last: PathSecret,
}

#[derive(Debug)]
struct NewStep {
    step: PathStep,
    secret: PathSecret,
    keys: KeyPair,
}

impl NewPath {
    /// Updates the direct path of `leaf` in `tree`, to which the commit's proposals have been applied
    /// (RFC 9420 §7.4, §7.5). For an external commit `leaf` is the tree's next free one. `place` is the
    /// group's id and the signer of the new leaf. If it fails, the tree is as before.
    ///
    /// # Errors
    /// [`ApiMisuse::LeafAbsent`](crate::error::ApiMisuse::LeafAbsent) if `leaf` is neither in the tree nor
    /// the next free one; [`Error::Crypto`]; [`Error::Signer`].
    pub fn generate(
        tree: &mut RatchetTree,
        leaf: LeafIndex,
        new_leaf: NewLeaf,
        (group_id, signer): (&[u8], &dyn Signer),
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let suite = tree.suite();
        let mut next = tree.clone();
        next.extend_to(leaf)?;

        // §7.4: a fresh leaf key pair; path secrets along the filtered direct path, and their key pairs.
        let leaf_keys = KeyPair::generate(suite, random)?;
        let mut last = PathSecret::generate(suite, random)?;
        let mut steps = Vec::new();
        for step in next.filtered_direct_path(leaf)? {
            let keys = last.key_pair(suite)?;
            let above = last.next(suite)?;
            steps.push(NewStep { step, secret: std::mem::replace(&mut last, above), keys });
        }

        // §7.5: parent hashes from the root down to the leaf, which is then signed.
        let keys: Vec<_> = steps.iter().map(|step| (step.step, &step.keys.public)).collect();
        let (nodes, parent_hash) = next.path_nodes(&keys)?;
        let NewLeaf(mut new_leaf) = new_leaf;
        new_leaf.set_encryption_key(leaf_keys.public.clone());
        new_leaf.set_source(LeafNodeSource::Commit { parent_hash });
        let leaf_node = new_leaf.sign(signer, (group_id, leaf))?;

        next.replace_path(leaf, Some(&leaf_node), nodes)?;
        *tree = next;
        Ok(Self { leaf, leaf_node, leaf_keys, steps, last })
    }

    /// Encrypts the path secrets to the group (RFC 9420 §7.5, §7.6) under the provisional group context,
    /// encoded (C135). `tree` is the one that [`generate`](Self::generate) changed; `added` are the members
    /// that the commit adds.
    ///
    /// # Errors
    /// [`Violation::HpkePublicKey`] if a node's key is not allowed; [`Error::Crypto`].
    pub fn encrypt(
        &self,
        tree: &RatchetTree,
        group_context: &[u8],
        added: &BTreeSet<LeafIndex>,
        random: &mut dyn Random,
    ) -> Result<UpdatePath, Error> {
        let suite = tree.suite();
        let info = HpkeInfo::new(suite, PATH_LABEL, group_context)?;
        let mut recipients = Vec::new();
        for (number, NewStep { step, secret, .. }) in self.steps.iter().enumerate() {
            // C132: members that the commit adds get their path secret in the Welcome.
            for recipient in tree.resolution_without(step.copath_child, added)? {
                let key = tree.encryption_key(recipient)?;
                let key = key.ok_or(Error::Bug("a resolution has a blank node"))?;
                recipients.push((number, key, secret));
            }
        }
        let sealed = map_runs(&recipients, FEW_SEALS, (suite, random), |run, random| {
            let seal = |(step, key, secret): &(usize, HpkePublicKey, &PathSecret)| match info.seal(
                key,
                secret.secret().expose(),
                random,
            ) {
                Err(CryptoError::PublicKey) => Err(Violation::HpkePublicKey.into()),
                sealed => Ok((*step, sealed?)),
            };
            run.iter().map(seal).collect::<Result<Vec<_>, Error>>()
        })?;
        let mut sealed = sealed.into_iter().peekable();
        let nodes = self.steps.iter().enumerate().map(|(number, NewStep { keys, .. })| UpdatePathNode {
            encryption_key: keys.public.clone(),
            encrypted_path_secret: std::iter::from_fn(|| sealed.next_if(|(step, _)| *step == number))
                .map(|(_, ciphertext)| ciphertext)
                .collect(),
        });
        let nodes = nodes.collect();
        Ok(UpdatePath { leaf_node: self.leaf_node.clone(), nodes })
    }

    /// The committer's leaf.
    #[must_use]
    pub fn leaf(&self) -> LeafIndex {
        self.leaf
    }

    /// The path secret for the GroupSecrets of a member that the commit adds: that of the lowest common
    /// ancestor with the committer (RFC 9420 §12.4.1, C303). `None` if there is no such member.
    #[must_use]
    pub fn path_secret_for(&self, joiner: LeafIndex) -> Option<PathSecret> {
        let ancestor = NodeIndex::common_ancestor(self.leaf, joiner)?;
        let step = self.steps.iter().find(|step| step.step.node == ancestor)?;
        Some(step.secret.duplicate())
    }

    /// The `commit_secret` (RFC 9420 §12.4.1): what comes after the last path secret (C300).
    ///
    /// # Errors
    /// None today.
    pub fn commit_secret(&self) -> Result<CommitSecret, Error> {
        Ok(self.last.duplicate().into_commit_secret())
    }

    /// A copy of the keys that [`into_parts`](Self::into_parts) gives.
    #[cfg(test)]
    pub(crate) fn keys_for_test(&self) -> PrivateChanges {
        let nodes = self.steps.iter().map(|step| (step.step.node, step.keys.duplicate())).collect();
        PrivateChanges { leaf_keys: Some(self.leaf_keys.duplicate()), nodes }
    }

    /// The private keys for the committer's own [`PrivateTree`](super::PrivateTree), and the
    /// `commit_secret`. The path secrets are erased (C141).
    #[must_use]
    pub fn into_parts(self) -> (PrivateChanges, CommitSecret) {
        let nodes = self.steps.into_iter().map(|step| (step.step.node, step.keys)).collect();
        let changes = PrivateChanges { leaf_keys: Some(self.leaf_keys), nodes };
        (changes, self.last.into_commit_secret())
    }
}

/// The label of path secrets' encryption (RFC 9420 §7.6).
pub(crate) const PATH_LABEL: &str = "UpdatePathNode";

/// How many encryptions a thread is woken for, at least and at most.
pub(crate) const FEW_SEALS: (usize, usize) = (4, usize::MAX);

#[cfg(test)]
mod tests {
    use hushwood_crypto::{CryptoError, SignerError};

    use super::*;
    use crate::error::ApiMisuse;
    use crate::testing::{NoRandom, ToyRandom, signer};
    use crate::tree::world::{CONTEXT, GROUP, World, nodes};

    struct AbsentSigner(hushwood_crypto::SignaturePublicKey);

    impl Signer for AbsentSigner {
        fn public_key(&self) -> &hushwood_crypto::SignaturePublicKey {
            &self.0
        }

        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignerError> {
            Err(SignerError)
        }
    }

    #[test]
    fn a_path_that_can_not_be_made_leaves_the_tree_as_it_was() {
        let world = World::of(1, 6);
        let mut tree = world.tree.clone();
        let new_leaf = || NewLeaf::successor(&world.tree.leaf(LeafIndex::new(2)).unwrap().unwrap());
        let signer = signer(&mut ToyRandom(1));
        let absent = AbsentSigner(signer.public_key().clone());
        let mut refusal = |leaf: u32, signer: &dyn Signer, random: &mut dyn Random| {
            let leaf = LeafIndex::new(leaf);
            let error = NewPath::generate(&mut tree, leaf, new_leaf(), (GROUP, signer), random).unwrap_err();
            assert_eq!(nodes(&tree), nodes(&world.tree));
            error
        };
        assert_eq!(refusal(2, &signer, &mut NoRandom), CryptoError::Random.into());
        assert_eq!(refusal(2, &absent, &mut ToyRandom(2)), SignerError.into());
        for beyond in [8, 9, 1 << 24, u32::MAX] {
            assert_eq!(refusal(beyond, &signer, &mut ToyRandom(2)), ApiMisuse::LeafAbsent.into());
        }
    }

    #[test]
    fn new_members_get_the_path_secret_of_the_common_ancestor_and_no_ciphertext() {
        let mut world = World::of(1, 6);
        let sent = world.commit(LeafIndex::new(1), 2, &[], &[]);
        assert_eq!(sent.added, [6, 7].map(LeafIndex::new).into());
        let count: usize = sent.path.nodes.iter().map(|node| node.encrypted_path_secret.len()).sum();
        // Nothing but leaf 0's path is merged, so each of the five other old members is encrypted to.
        assert_eq!(count, 5);
        let root = sent.tree.root();
        for joiner in sent.added.iter().copied() {
            let secret = sent.new_path.path_secret_for(joiner).unwrap();
            let keys = secret.key_pair(sent.tree.suite()).unwrap();
            assert_eq!(sent.tree.encryption_key(root).unwrap().as_ref(), Some(&keys.public));
        }
        assert!(sent.new_path.path_secret_for(LeafIndex::new(1)).is_none());
        assert!(sent.new_path.path_secret_for(LeafIndex::new(8)).is_none());
    }

    #[test]
    fn encryption_without_randomness_fails() {
        let mut world = World::of(1, 6);
        let tree = world.tree.clone();
        let sent = world.send(LeafIndex::new(2), tree, BTreeSet::new());
        let result = sent.new_path.encrypt(&sent.tree, CONTEXT, &sent.added, &mut NoRandom);
        assert_eq!(result.unwrap_err(), CryptoError::Random.into());
    }
}
