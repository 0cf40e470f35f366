//! RFC 9420 §12.4.3.1, §12.4.3.3: a whole tree from the wire, and its structure.
//!
//! What can be said of a tree without a signature: its shape, its unmerged leaves, that no key is in it
//! twice. Parent hashes are in [`parent_hash`](super::parent_hash), leaves in
//! `leaf_node_validation`, and the tree hash is compared by whoever knows what it must be.

use std::sync::Arc;

use hushwood_codec::{DecodeErrorKind, Reader, Writer};
use hushwood_crypto::CipherSuite;

use crate::error::{Error, NotNow, Violation};
use crate::policy::Policy;
use crate::tree::index::MAX_LEAVES;
use crate::tree::subtree::Subtree;
use crate::tree::tree_hash::split_at_parent;
use crate::tree::{LeafIndex, Node, NodeIndex, ParentNode, RatchetTree};

impl RatchetTree {
    /// The tree in the `ratchet_tree` extension of a GroupInfo (RFC 9420 §12.4.3.3), checked as by
    /// [`from_nodes`](Self::from_nodes).
    ///
    /// # Errors
    /// [`Error::Decode`] for what is no `optional<Node> ratchet_tree<V>`; as
    /// [`from_nodes`](Self::from_nodes).
    pub fn from_extension(
        suite: &'static dyn CipherSuite,
        extension_data: &[u8],
        policy: &Policy,
    ) -> Result<Self, Error> {
        let mut reader = Reader::new(extension_data, policy.decode)?;
        let max_nodes = max_nodes(policy.max_members);
        let mut nodes: Vec<Option<Box<Node>>> = Vec::new();
        reader.field("ratchet_tree").for_each(|reader, node| {
            // C372: a blank is one byte on the wire; their number is limited before there are many.
            if nodes.len() >= max_nodes {
                return Err(reader.error(DecodeErrorKind::TooManyElements));
            }
            nodes.push(node);
            Ok(())
        })?;
        reader.finish()?;
        Self::build(suite, nodes, policy.max_members)
    }

    /// A tree from its nodes, as listed in the `ratchet_tree` extension (RFC 9420 §12.4.3.3).
    ///
    /// Shape, unmerged leaves and uniqueness of keys are checked; signatures, leaves and parent hashes
    /// are not.
    ///
    /// # Errors
    /// [`Violation::TreeShape`], [`Violation::UnmergedLeaves`], [`Violation::EncryptionKeyReused`],
    /// [`Violation::SignatureKeyReused`]; [`Violation::ParentHash`] for a parent over blank leaves, which
    /// no leaf can vouch for; [`NotNow::Limit`] beyond `max_members`.
    pub fn from_nodes(
        suite: &'static dyn CipherSuite,
        nodes: Vec<Option<Node>>,
        max_members: u32,
    ) -> Result<Self, Error> {
        let nodes = nodes.into_iter().map(|node| node.map(Box::new)).collect();
        Self::build(suite, nodes, max_members)
    }

    fn build(
        suite: &'static dyn CipherSuite,
        nodes: Vec<Option<Box<Node>>>,
        max_members: u32,
    ) -> Result<Self, Error> {
        // RFC 9420 §12.4.3.3, C371: the last node is not blank, so there is one.
        if !matches!(nodes.last(), Some(Some(_))) {
            return Err(Violation::TreeShape.into());
        }
        // C372: the tree gets the fewest leaves that make room for all nodes. Blank subtrees take up no
        // memory, so nothing is allocated for what is added.
        if nodes.len() > max_nodes(max_members) {
            return Err(NotNow::Limit.into());
        }
        let leaves = u32::try_from(nodes.len().div_ceil(2).next_power_of_two()).unwrap_or(u32::MAX);
        // The last node of a list of even length is a parent whose right subtree is blank.
        let leaves = if nodes.len() > max_width_nodes(leaves) { leaves << 1 } else { leaves };
        if leaves > MAX_LEAVES {
            return Err(NotNow::Limit.into());
        }
        let mut builder = Builder { nodes: nodes.into_iter(), tree: Self::empty(suite) };
        let root = builder.subtree(NodeIndex::root(leaves))?;
        let mut tree = builder.tree;
        tree.root = root;
        if tree.member_count() > max_members {
            return Err(NotNow::Limit.into());
        }
        check_unmerged_leaves(&tree.root)?;
        Ok(tree)
    }

    /// Checks on joining that the keys of all parents are keys of the suite's KEM. Those of the leaves are
    /// checked with the leaves.
    ///
    /// # Errors
    /// [`Violation::HpkePublicKey`].
    pub fn verify_parent_keys(&self) -> Result<(), Error> {
        let mut stack = vec![&self.root];
        while let Some(subtree) = stack.pop() {
            let Subtree::Parent(parent) = subtree else { continue };
            let key = parent.node.as_deref().map(|node| &node.encryption_key);
            // RFC 9420 §7.1, C032, C101: a parent's key is one of the suite's KEM.
            if key.is_some_and(|key| self.suite.kem().check_public_key(key).is_err()) {
                return Err(Violation::HpkePublicKey.into());
            }
            stack.extend([&parent.left, &parent.right]);
        }
        Ok(())
    }

    /// Writes `optional<Node> ratchet_tree<V>` (RFC 9420 §12.4.3.3), without blank nodes at the end (C370).
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store; none today.
    pub fn encode(&self, writer: &mut Writer) -> Result<(), Error> {
        writer.nested(|writer| {
            if let Some(last) = last_node(&self.root) {
                encode_nodes(&self.root, last, writer);
            }
        });
        Ok(())
    }
}

/// The most nodes in the list of a tree with at most `max_members` members.
fn max_nodes(max_members: u32) -> usize {
    max_width_nodes(max_members.clamp(1, MAX_LEAVES).next_power_of_two())
}

/// How many nodes a tree of so many leaves has.
fn max_width_nodes(leaves: u32) -> usize {
    usize::try_from(leaves).unwrap_or(usize::MAX).saturating_mul(2).saturating_sub(1)
}

/// Builds subtrees from a list of nodes, in its order, and indexes what it meets.
struct Builder {
    nodes: std::vec::IntoIter<Option<Box<Node>>>,
    tree: RatchetTree,
}

impl Builder {
    /// The subtree below `at`. Recursion is as deep as the tree is high.
    fn subtree(&mut self, at: NodeIndex) -> Result<Subtree, Error> {
        if self.nodes.len() == 0 {
            return Ok(Subtree::blank(at));
        }
        let Some((left, right)) = at.children() else { return self.leaf(at) };
        let left = self.subtree(left)?;
        let node = match self.nodes.next().flatten().map(|node| *node) {
            None => None,
            Some(Node::Parent(node)) => Some(Arc::new(node)),
            // RFC 9420 §12.4.3.3, C018, C373: odd positions hold parents.
            Some(Node::Leaf(_)) => return Err(Violation::TreeShape.into()),
        };
        if let Some(node) = &node {
            self.tree.keys.insert_encryption(&node.encryption_key, at);
            self.tree.keys.check_unique()?;
        }
        let right = self.subtree(right)?;
        // C148: only a leaf below it could vouch for a parent.
        if node.is_some() && left.is_blank() && right.is_blank() {
            return Err(Violation::ParentHash.into());
        }
        Ok(Subtree::parent(at, node, left, right))
    }

    fn leaf(&mut self, at: NodeIndex) -> Result<Subtree, Error> {
        match self.nodes.next().flatten().map(|node| *node) {
            None => Ok(Subtree::blank(at)),
            Some(Node::Leaf(leaf)) => {
                let index = at.first_leaf();
                self.tree.keys.insert_encryption(&leaf.encryption_key, at);
                self.tree.keys.insert_signature(&leaf.signature_key, index);
                self.tree.keys.check_unique()?;
                self.tree.capabilities.add(&leaf);
                Subtree::leaf(index, Arc::new(leaf)).ok_or(Error::Bug("a leaf beyond the limit"))
            }
            // RFC 9420 §12.4.3.3, C018, C373: even positions hold leaves.
            Some(Node::Parent(_)) => Err(Violation::TreeShape.into()),
        }
    }
}

/// Checks the unmerged leaves of all parents. Recursion is as deep as the tree is high.
pub(crate) fn check_unmerged_leaves(subtree: &Subtree) -> Result<(), Error> {
    let Subtree::Parent(parent) = subtree else { return Ok(()) };
    if let Some(node) = &parent.node {
        check_unmerged_list(parent.at, node)?;
        let (left, right) = split_at_parent(&node.unmerged_leaves, parent.at);
        check_unmerged_below(&parent.left, left)?;
        check_unmerged_below(&parent.right, right)?;
    }
    check_unmerged_leaves(&parent.left)?;
    check_unmerged_leaves(&parent.right)
}

fn check_unmerged_list(at: NodeIndex, node: &ParentNode) -> Result<(), Error> {
    let unmerged = &node.unmerged_leaves;
    // RFC 9420 §7.1, C100: sorted, each once. Checked by the decoder too.
    let sorted = unmerged.is_sorted_by(|left, right| left < right);
    // RFC 9420 §12.4.3.1, C336: each is below the parent.
    let below = [unmerged.first(), unmerged.last()].into_iter().flatten().all(|leaf| at.is_above(*leaf));
    match sorted && below {
        true => Ok(()),
        false => Err(Violation::UnmergedLeaves.into()),
    }
}

/// Checks leaves that are unmerged at a parent against the subtree below it that they are in.
fn check_unmerged_below(subtree: &Subtree, unmerged: &[LeafIndex]) -> Result<(), Error> {
    if unmerged.is_empty() {
        return Ok(());
    }
    match subtree {
        // RFC 9420 §12.4.3.1, C336: each is a non-blank leaf.
        Subtree::Blank(..) => Err(Violation::UnmergedLeaves.into()),
        Subtree::Leaf(_) => Ok(()),
        Subtree::Parent(parent) => match &parent.node {
            // RFC 9420 §12.4.3.1, C337: each non-blank node in between has it too. What is below this one
            // is checked as its own.
            Some(node) => {
                let listed = |leaf| node.unmerged_leaves.binary_search(leaf).is_ok();
                match unmerged.iter().all(listed) {
                    true => Ok(()),
                    false => Err(Violation::UnmergedLeaves.into()),
                }
            }
            None => {
                let (left, right) = split_at_parent(unmerged, parent.at);
                check_unmerged_below(&parent.left, left)?;
                check_unmerged_below(&parent.right, right)
            }
        },
    }
}

/// The rightmost node that is not blank.
fn last_node(root: &Subtree) -> Option<NodeIndex> {
    let mut subtree = root;
    loop {
        match subtree {
            Subtree::Blank(..) => return None,
            Subtree::Leaf(leaf) => return Some(leaf.at),
            Subtree::Parent(parent) => match (&parent.right, &parent.node) {
                (Subtree::Blank(..), Some(_)) => return Some(parent.at),
                (Subtree::Blank(..), None) => subtree = &parent.left,
                (right, _) => subtree = right,
            },
        }
    }
}

/// Writes the nodes of a subtree up to `last`, in order.
fn encode_nodes(subtree: &Subtree, last: NodeIndex, writer: &mut Writer) {
    match subtree {
        Subtree::Blank(at, _) => {
            let first = at.first_leaf().node().map_or(0, NodeIndex::number);
            let end = at.last_leaf().node().map_or(0, NodeIndex::number).min(last.number());
            (first..=end).for_each(|_| {
                writer.raw(&[ABSENT]);
            });
        }
        Subtree::Leaf(leaf) => {
            if leaf.at <= last {
                writer.raw(&[PRESENT, LEAF]).value(&*leaf.node);
            }
        }
        Subtree::Parent(parent) => {
            encode_nodes(&parent.left, last, writer);
            if parent.at <= last {
                match &parent.node {
                    None => writer.raw(&[ABSENT]),
                    Some(node) => writer.raw(&[PRESENT, PARENT]).value(&**node),
                };
                encode_nodes(&parent.right, last, writer);
            }
        }
    }
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
/// `NodeType` values.
const LEAF: u8 = 1;
const PARENT: u8 = 2;
