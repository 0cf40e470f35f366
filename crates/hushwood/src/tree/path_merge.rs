//! RFC 9420 §7.5, §7.6, §12.4.2: merging an update path into the tree.
//!
//! The public half of receiving a path: it needs no private key, so that observers do it too.

use std::collections::BTreeSet;

use crate::error::{Error, Violation};
use crate::tree::{LeafIndex, LeafNodeSource, PathStep, RatchetTree, UpdatePath};

/// Checks an update path from `sender` and merges it into `tree`, to which the commit's proposals have been
/// applied. `added` are the members that the commit adds. For an external commit `sender` is the tree's next
/// free leaf.
///
/// The leaf itself must have been validated (RFC 9420 §7.3). If it fails, the tree is as before.
///
/// # Errors
/// [`Violation`]: `HpkePublicKey`, `ParentHash`, `PathCiphertextCount`, `PathKeyReused`, `PathLength`,
/// `LeafSource`; [`ApiMisuse::LeafAbsent`](crate::error::ApiMisuse::LeafAbsent) if there is no such leaf.
pub fn merge(
    tree: &mut RatchetTree,
    sender: LeafIndex,
    path: &UpdatePath,
    added: &BTreeSet<LeafIndex>,
) -> Result<(), Error> {
    // RFC 9420 §7.5, C126: the source is commit, so the leaf has a parent hash.
    let LeafNodeSource::Commit { parent_hash } = &path.leaf_node.leaf_node_source else {
        return Err(Violation::LeafSource.into());
    };
    let mut next = tree.clone();
    // C361: an external committer may sit beyond the tree as it was.
    next.extend_to(sender)?;
    let steps = next.filtered_direct_path(sender)?;
    check_counts(&next, &steps, path, added)?;
    check_keys(&next, path)?;

    let keys: Vec<_> = steps.into_iter().zip(path.nodes.iter().map(|node| &node.encryption_key)).collect();
    let (nodes, expected) = next.path_nodes(&keys)?;
    // RFC 9420 §7.5, §7.9.2, C137, C150: the leaf has the parent hash of the first node of its path.
    if *parent_hash != expected {
        return Err(Violation::ParentHash.into());
    }
    next.replace_path(sender, Some(&path.leaf_node), nodes)?;
    *tree = next;
    Ok(())
}

fn check_counts(
    tree: &RatchetTree,
    steps: &[PathStep],
    path: &UpdatePath,
    added: &BTreeSet<LeafIndex>,
) -> Result<(), Error> {
    // RFC 9420 §7.6, C133: a node for each of the filtered direct path.
    if path.nodes.len() != steps.len() {
        return Err(Violation::PathLength.into());
    }
    for (step, node) in steps.iter().zip(&path.nodes) {
        // RFC 9420 §7.6, C132, C134: at each node, a ciphertext for each of the resolution without the
        // new members.
        if node.encrypted_path_secret.len() != tree.resolution_size(step.copath_child, added)? {
            return Err(Violation::PathCiphertextCount.into());
        }
    }
    Ok(())
}

fn check_keys(tree: &RatchetTree, path: &UpdatePath) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    let nodes = path.nodes.iter().map(|node| &node.encryption_key);
    for key in nodes.chain([&path.leaf_node.encryption_key]) {
        // RFC 9420 §5.1.1, C032: a key of the suite's KEM.
        if tree.suite().kem().check_public_key(key).is_err() {
            return Err(Violation::HpkePublicKey.into());
        }
        // RFC 9420 §12.4.2, C309, C310: no key of the path is in the new tree, the committer's own leaf
        // and old path included. C311: nor twice in the path.
        if tree.encryption_key_at(key)?.is_some() || !seen.insert(key) {
            return Err(Violation::PathKeyReused.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hushwood_crypto::HpkePublicKey;
    use hushwood_crypto::hpke::HpkeCiphertext;
    use test_support::assert_breaks;

    use super::*;
    use crate::error::ApiMisuse;
    use crate::tree::world::{Sent, World, nodes};
    use crate::tree::{Node, UpdatePathNode};

    /// A commit by leaf 5 of eleven members, that adds two.
    fn sent() -> Sent {
        let mut world = World::of(7, 11);
        for leaf in [2, 9, 5, 0] {
            world.commit(LeafIndex::new(leaf), 0, &[], &[LeafIndex::new(leaf + 1)]);
        }
        world.commit(LeafIndex::new(5), 2, &[], &[])
    }

    fn refusal(sent: &Sent, path: &UpdatePath) -> Error {
        let mut tree = sent.before.clone();
        let error = merge(&mut tree, sent.sender, path, &sent.added).unwrap_err();
        assert_eq!(nodes(&tree), nodes(&sent.before));
        assert_eq!(tree.check_unique_keys(), Ok(()));
        error
    }

    #[test]
    fn a_path_of_another_length_is_refused() {
        let sent = sent();
        let mut longer = sent.path.clone();
        let encryption_key = HpkePublicKey(vec![1; 32]);
        longer.nodes.push(UpdatePathNode { encryption_key, encrypted_path_secret: vec![] });
        assert_breaks!(refusal(&sent, &longer), Violation::PathLength, "C133");
        for node in 0..sent.path.nodes.len() {
            let mut shorter = sent.path.clone();
            shorter.nodes.remove(node);
            assert_breaks!(refusal(&sent, &shorter), Violation::PathLength, "C133");
        }
    }

    #[test]
    fn a_ciphertext_more_or_less_at_any_node_is_refused() {
        let sent = sent();
        for node in 0..sent.path.nodes.len() {
            let mut more = sent.path.clone();
            let extra = HpkeCiphertext { kem_output: vec![], ciphertext: vec![] };
            more.nodes[node].encrypted_path_secret.push(extra);
            assert_breaks!(refusal(&sent, &more), Violation::PathCiphertextCount, "C134");
            let mut less = sent.path.clone();
            if less.nodes[node].encrypted_path_secret.pop().is_some() {
                assert_breaks!(refusal(&sent, &less), Violation::PathCiphertextCount, "C134");
            }
        }
    }

    #[test]
    fn a_path_that_counts_the_new_members_as_recipients_is_refused() {
        let sent = sent();
        let mut tree = sent.before.clone();
        let error = merge(&mut tree, sent.sender, &sent.path, &BTreeSet::new()).unwrap_err();
        assert_breaks!(error, Violation::PathCiphertextCount, "C132");
    }

    #[test]
    fn a_key_that_any_node_has_already_is_refused_at_every_place() {
        let sent = sent();
        let keys = nodes(&sent.before).into_iter().flatten().map(|node| match node {
            Node::Leaf(leaf) => leaf.encryption_key,
            Node::Parent(parent) => parent.encryption_key,
        });
        for key in keys {
            let mut path = sent.path.clone();
            path.leaf_node.encryption_key = key.clone();
            assert_breaks!(refusal(&sent, &path), Violation::PathKeyReused, "C310");
            for node in 0..sent.path.nodes.len() {
                let mut path = sent.path.clone();
                path.nodes[node].encryption_key = key.clone();
                assert_breaks!(refusal(&sent, &path), Violation::PathKeyReused, "C310");
            }
        }
    }

    #[test]
    fn a_key_that_is_twice_in_the_path_is_refused() {
        let sent = sent();
        for node in 1..sent.path.nodes.len() {
            let mut path = sent.path.clone();
            path.nodes[node].encryption_key = path.nodes[0].encryption_key.clone();
            assert_breaks!(refusal(&sent, &path), Violation::PathKeyReused, "C311");
        }
        let mut path = sent.path.clone();
        path.leaf_node.encryption_key = path.nodes[0].encryption_key.clone();
        assert_breaks!(refusal(&sent, &path), Violation::PathKeyReused, "C311");
    }

    #[test]
    fn a_malformed_key_is_refused_at_every_place() {
        let sent = sent();
        for node in 0..sent.path.nodes.len() {
            let mut path = sent.path.clone();
            path.nodes[node].encryption_key.0.pop();
            assert_breaks!(refusal(&sent, &path), Violation::HpkePublicKey, "C032");
        }
    }

    #[test]
    fn another_key_or_parent_hash_anywhere_in_the_path_is_refused() {
        let sent = sent();
        for node in 0..sent.path.nodes.len() {
            let mut path = sent.path.clone();
            path.nodes[node].encryption_key.0[0] ^= 1;
            assert_breaks!(refusal(&sent, &path), Violation::ParentHash, "C137", "C150");
        }
        for parent_hash in [vec![], vec![0; 32]] {
            let mut path = sent.path.clone();
            path.leaf_node.leaf_node_source = LeafNodeSource::Commit { parent_hash };
            assert_breaks!(refusal(&sent, &path), Violation::ParentHash, "C137", "C150");
        }
        let mut path = sent.path.clone();
        path.leaf_node.leaf_node_source = LeafNodeSource::Update;
        assert_breaks!(refusal(&sent, &path), Violation::LeafSource, "C126");
    }

    #[test]
    fn a_sender_beyond_the_tree_is_refused() {
        let sent = sent();
        for leaf in [sent.before.leaf_count() + 1, 1 << 24, u32::MAX] {
            let mut tree = sent.before.clone();
            let error = merge(&mut tree, LeafIndex::new(leaf), &sent.path, &sent.added).unwrap_err();
            assert_eq!(error, ApiMisuse::LeafAbsent.into());
        }
    }

    #[test]
    fn the_path_of_a_group_of_one_is_empty() {
        let mut world = World::new(3);
        let sent = world.commit(LeafIndex::new(0), 0, &[], &[]);
        assert!(sent.path.nodes.is_empty());
        let LeafNodeSource::Commit { parent_hash } = &sent.path.leaf_node.leaf_node_source else {
            panic!("another source");
        };
        assert!(parent_hash.is_empty());
    }
}
