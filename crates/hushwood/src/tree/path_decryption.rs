//! RFC 9420 §7.5, §7.6: decrypting the path secrets of an update path.
//!
//! The private half of receiving a path, after [`merge`](super::merge).

use std::collections::BTreeSet;

use hushwood_crypto::decrypt_with_label;

use crate::error::{ApiMisuse, Error, NotNow, Violation};
use crate::schedule::CommitSecret;
use crate::tree::path_generation::PATH_LABEL;
use crate::tree::path_secret::{PathSecret, open_error};
use crate::tree::private::{PrivateChanges, PrivateTree};
use crate::tree::{LeafIndex, RatchetTree, UpdatePath};

/// Decrypts the path secret that is for us and derives the keys above: the new private keys, and the
/// `commit_secret`. `tree` has the path merged, `group_context` is the provisional one, encoded, and `added`
/// are the members that the commit adds.
///
/// # Errors
/// [`Violation::PathSecret`] if no path secret decrypts, [`Violation::PathKeyMismatch`] if it gives other
/// keys than the path has; [`NotNow::OwnMessage`] for our own path; [`ApiMisuse::LeafAbsent`] if we are no
/// member of `tree`.
pub fn decrypt(
    tree: &RatchetTree,
    private: &PrivateTree,
    sender: LeafIndex,
    path: &UpdatePath,
    (group_context, added): (&[u8], &BTreeSet<LeafIndex>),
) -> Result<(PrivateChanges, CommitSecret), Error> {
    let suite = tree.suite();
    if sender == private.leaf() {
        return Err(NotNow::OwnMessage.into());
    }
    if !tree.is_member(private.leaf())? {
        return Err(ApiMisuse::LeafAbsent.into());
    }
    // §7.5, step 1: a node of the path for which we are below the child that is not updated.
    let steps = tree.filtered_direct_path(sender)?;
    let position = steps.iter().position(|step| step.copath_child.is_above(private.leaf()));
    let steps = position.and_then(|position| steps.get(position..)).unwrap_or_default();
    let node = position.and_then(|position| path.nodes.get(position));
    let (Some(step), Some(node)) = (steps.first(), node) else { return Err(Violation::PathLength.into()) };

    // Step 2: a node in the resolution for which we have a private key.
    let mut ours = None;
    for (place, recipient) in tree.resolution_without(step.copath_child, added)?.into_iter().enumerate() {
        if let Some(key) = private.key(tree, recipient)? {
            ours = node.encrypted_path_secret.get(place).map(|ciphertext| (key, ciphertext));
            break;
        }
    }
    // Step 3: decrypt. C139: what can't be decrypted makes the commit invalid.
    let (key, ciphertext) = ours.ok_or(Violation::PathSecret)?;
    let secret = decrypt_with_label(suite, key, PATH_LABEL, group_context, ciphertext).map_err(open_error)?;
    let mut path_secret = PathSecret::received(suite, secret)?;

    // Steps 4 to 7: derive the path secrets and key pairs above, and compare them with what was sent.
    let mut nodes = Vec::with_capacity(steps.len());
    for step in steps {
        let keys = path_secret.key_pair(suite)?;
        // RFC 9420 §7.5, C138: the derived public key is the one in the path, for each node.
        if tree.encryption_key(step.node)?.as_ref() != Some(&keys.public) {
            return Err(Violation::PathKeyMismatch.into());
        }
        nodes.push((step.node, keys));
        path_secret = path_secret.next(suite)?;
    }
    Ok((PrivateChanges { leaf_keys: None, nodes }, path_secret.into_commit_secret()))
}

impl PrivateTree {
    /// [`decrypt`], with the keys that are out of date erased (C141): our keys after the commit.
    ///
    /// # Errors
    /// As [`decrypt`]. Whoever needs the old keys then must have a [`duplicate`](Self::duplicate).
    pub fn decrypt_path(
        self,
        tree: &RatchetTree,
        sender: LeafIndex,
        path: &UpdatePath,
        context: (&[u8], &BTreeSet<LeafIndex>),
    ) -> Result<(Self, CommitSecret), Error> {
        let (changes, commit_secret) = decrypt(tree, &self, sender, path, context)?;
        Ok((self.apply(changes, tree)?, commit_secret))
    }
}

#[cfg(test)]
mod tests {
    use hushwood_crypto::hpke::HpkeInfo;
    use test_support::assert_breaks;

    use super::*;
    use crate::testing::SUITE;
    use crate::tree::LeafNodeSource;
    use crate::tree::world::{CONTEXT, Sent, World, receive};

    /// A group with unmerged leaves and blanks, and a commit that nobody but its sender has processed.
    fn world() -> (World, Sent) {
        let mut world = World::of(11, 9);
        world.commit(LeafIndex::new(4), 0, &[], &[LeafIndex::new(1)]);
        world.add_without_path(LeafIndex::new(4), 3);
        let tree = world.tree.clone();
        let sent = world.send(LeafIndex::new(6), tree, BTreeSet::new());
        (world, sent)
    }

    fn others<'w>(world: &'w World, sent: &Sent) -> impl Iterator<Item = &'w PrivateTree> {
        let sender = sent.sender;
        world.members.values().map(|member| &member.private).filter(move |member| member.leaf() != sender)
    }

    #[test]
    fn a_ciphertext_that_does_not_open_stops_those_it_is_for() {
        let (world, sent) = world();
        let mut stopped = 0;
        for (node, recipient) in (0..sent.path.nodes.len())
            .flat_map(|node| (0..sent.path.nodes[node].encrypted_path_secret.len()).map(move |r| (node, r)))
        {
            let mut path = sent.path.clone();
            path.nodes[node].encrypted_path_secret[recipient].ciphertext[3] ^= 1;
            for private in others(&world, &sent) {
                if let Err(error) = decrypt(&sent.tree, private, sent.sender, &path, (CONTEXT, &sent.added)) {
                    assert_breaks!(error, Violation::PathSecret, "C139");
                    stopped += 1;
                }
            }
        }
        assert_eq!(stopped, others(&world, &sent).count());
    }

    #[test]
    fn another_group_context_stops_everybody() {
        let (world, sent) = world();
        for private in others(&world, &sent) {
            let context = (&b"another"[..], &sent.added);
            let error = decrypt(&sent.tree, private, sent.sender, &sent.path, context).unwrap_err();
            assert_breaks!(error, Violation::PathSecret, "C135");
        }
    }

    #[test]
    fn a_public_key_that_the_path_secret_does_not_give_is_refused_by_all_below_it() {
        let (world, sent) = world();
        for place in 0..sent.path.nodes.len() {
            let mut path = sent.path.clone();
            path.nodes[place].encryption_key.0[0] ^= 1;
            // The sender signs for what it sends: parent hashes are right, so observers take it.
            let steps = sent.before.filtered_direct_path(sent.sender).unwrap();
            let keys: Vec<_> =
                steps.iter().copied().zip(path.nodes.iter().map(|node| &node.encryption_key)).collect();
            let (_, parent_hash) = sent.before.path_nodes(&keys).unwrap();
            path.leaf_node.leaf_node_source = LeafNodeSource::Commit { parent_hash };
            let mut tree = sent.before.clone();
            crate::tree::merge(&mut tree, sent.sender, &path, &sent.added).unwrap();
            for private in others(&world, &sent) {
                let entry = steps.iter().position(|step| step.copath_child.is_above(private.leaf())).unwrap();
                let result = decrypt(&tree, private, sent.sender, &path, (CONTEXT, &sent.added));
                match entry <= place {
                    true => assert_breaks!(result.unwrap_err(), Violation::PathKeyMismatch, "C138"),
                    false => assert!(result.is_ok()),
                }
            }
        }
    }

    #[test]
    fn a_path_secret_of_another_length_is_refused() {
        let (world, sent) = world();
        let steps = sent.tree.filtered_direct_path(sent.sender).unwrap();
        for length in [0, 1, 31, 33, 64] {
            let mut path = sent.path.clone();
            let info = HpkeInfo::new(SUITE, PATH_LABEL, CONTEXT).unwrap();
            for (step, node) in steps.iter().zip(&mut path.nodes) {
                let resolution = sent.tree.resolution(step.copath_child).unwrap();
                for (at, ciphertext) in resolution.into_iter().zip(&mut node.encrypted_path_secret) {
                    let key = sent.tree.encryption_key(at).unwrap().unwrap();
                    let random = &mut crate::testing::ToyRandom(5);
                    *ciphertext = info.seal(&key, &vec![7; length], random).unwrap();
                }
            }
            for private in others(&world, &sent) {
                let context = (CONTEXT, &sent.added);
                let error = decrypt(&sent.tree, private, sent.sender, &path, context).unwrap_err();
                assert_breaks!(error, Violation::PathSecret, "C140");
            }
        }
    }

    #[test]
    fn our_own_path_and_a_path_without_us_are_not_read() {
        let (world, sent) = world();
        let own = &world.members[&sent.sender].private;
        assert_eq!(receive(&sent, own).unwrap_err(), NotNow::OwnMessage.into());
        let blank = PrivateTree::new(LeafIndex::new(15), own.leaf_keys().duplicate());
        assert_eq!(receive(&sent, &blank).unwrap_err(), ApiMisuse::LeafAbsent.into());
    }

    #[test]
    fn somebody_without_the_keys_that_the_tree_counts_on_reads_nothing() {
        let (world, sent) = world();
        let member = &world.members[&LeafIndex::new(0)].private;
        let stranger =
            PrivateTree::new(member.leaf(), world.members[&sent.sender].private.leaf_keys().duplicate());
        assert_eq!(receive(&sent, &stranger).unwrap_err(), Violation::PathSecret.into());
    }
}
