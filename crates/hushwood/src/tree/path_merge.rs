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
    next.replace_path(sender, Some(path.leaf_node.clone().into()), nodes);
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
        if tree.encryption_key_at(key).is_some() || !seen.insert(key) {
            return Err(Violation::PathKeyReused.into());
        }
    }
    Ok(())
}
