//! The library's tree beside the literal one.

use std::collections::BTreeSet;

use hushwood::error::{Error, Violation};
use hushwood::policy::Policy;
use hushwood::tree::{LeafIndex, NodeIndex, RatchetTree};
use hushwood_codec::DecodeErrorKind;
use hushwood_crypto::CipherSuite;

use super::joining::{Fault, faults};
use super::tree::{Node, Tree, to_extension};

/// Whether a client that joins takes such a list of nodes: both must say the same, and what the library refuses a tree
/// for must be wrong with it.
///
/// # Errors
/// The rules that it breaks.
///
/// # Panics
/// If they don't.
pub fn verdict(
    suite: &'static dyn CipherSuite,
    list: &[Option<Node>],
) -> Result<RatchetTree, BTreeSet<Fault>> {
    let faults = faults(suite, list);
    let bytes = to_extension(list);
    match read(suite, &bytes) {
        Ok(tree) => {
            assert!(faults.is_empty(), "the library takes a tree with {faults:?}: {}", drawn(list));
            Ok(tree)
        }
        Err(error) => {
            let named = reasons(&error);
            let consistent = named.iter().any(|fault| faults.contains(fault));
            assert!(consistent, "the library refuses for {error:?} a tree with {faults:?}: {}", drawn(list));
            Err(faults)
        }
    }
}

/// What a client that joins does with a tree, but for what single leaves say.
///
/// # Errors
/// What is wrong with it.
pub fn read(suite: &'static dyn CipherSuite, bytes: &[u8]) -> Result<RatchetTree, Error> {
    let tree = RatchetTree::from_extension(suite, bytes, &Policy::default())?;
    tree.verify_parent_keys()?;
    tree.verify_parent_hashes()?;
    tree.check_unique_keys()?;
    Ok(tree)
}

/// The rules that an error of the library stands for.
fn reasons(error: &Error) -> &'static [Fault] {
    match error {
        Error::Decode(error) if error.kind == DecodeErrorKind::Unsorted => &[Fault::UnmergedOrder],
        Error::Violation(Violation::TreeShape) => &[Fault::Shape],
        Error::Violation(Violation::HpkePublicKey) => &[Fault::KeyLength],
        Error::Violation(Violation::EncryptionKeyReused) => &[Fault::EncryptionKeyTwice],
        Error::Violation(Violation::SignatureKeyReused) => &[Fault::SignatureKeyTwice],
        Error::Violation(Violation::ParentHash) => &[Fault::ParentHash],
        Error::Violation(Violation::UnmergedLeaves) => {
            &[Fault::UnmergedOrder, Fault::UnmergedLeaf, Fault::UnmergedBetween]
        }
        _ => &[],
    }
}

/// Compares nodes, width and tree hash.
///
/// # Panics
/// If they differ.
pub fn compare(fast: &RatchetTree, tree: &Tree) {
    assert_eq!(usize::try_from(fast.leaf_count()).unwrap(), tree.leaves(), "{}", drawn(&tree.nodes));
    assert_eq!(fast.to_extension().unwrap(), to_extension(tree.list()), "{}", drawn(&tree.nodes));
    let root = tree.nodes.len() / 2;
    assert_eq!(fast.tree_hash().unwrap(), tree.tree_hash(root), "{}", drawn(&tree.nodes));
    assert_eq!(usize::try_from(fast.member_count()).unwrap(), tree.members().len());
}

/// Compares nodes and width; and the tree hash and the resolution of every node, and every filtered direct path.
///
/// # Panics
/// If they differ.
pub fn compare_all(fast: &RatchetTree, tree: &Tree) {
    compare(fast, tree);
    let number = |at: NodeIndex| usize::try_from(at.number()).unwrap();
    for x in 0..tree.nodes.len() {
        let at = NodeIndex::new(u32::try_from(x).unwrap()).unwrap();
        assert_eq!(fast.node_hash(at).unwrap(), tree.tree_hash(x), "node {x} of {}", drawn(&tree.nodes));
        let resolution: Vec<_> = fast.resolution(at).unwrap().into_iter().map(number).collect();
        assert_eq!(resolution, tree.resolution(x), "node {x} of {}", drawn(&tree.nodes));
        if let Some(leaf) = at.leaf() {
            let path = fast.filtered_direct_path(leaf).unwrap();
            let path: Vec<_> =
                path.iter().map(|step| (number(step.node), number(step.copath_child))).collect();
            assert_eq!(path, tree.filtered_direct_path(x), "node {x} of {}", drawn(&tree.nodes));
        }
    }
}

/// A leaf's index for the library.
#[must_use]
pub fn leaf_index(x: usize) -> LeafIndex {
    LeafIndex::new(u32::try_from(x / 2).unwrap())
}

/// A tree in a line: `_` for a blank node, `L` for a leaf, `P` with its unmerged leaves for a parent.
#[must_use]
pub fn drawn(list: &[Option<Node>]) -> String {
    let node = |node: &Option<Node>| match node {
        None => "_".to_owned(),
        Some(Node::Leaf(leaf)) => match leaf.node().leaf_node_source {
            hushwood::tree::LeafNodeSource::Commit { .. } => "C".to_owned(),
            _ => "L".to_owned(),
        },
        Some(Node::Parent(parent)) => format!("P{:?}", parent.unmerged_leaves),
    };
    list.iter().map(node).collect::<Vec<_>>().join(" ")
}
