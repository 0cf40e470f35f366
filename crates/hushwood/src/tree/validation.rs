//! RFC 9420 §12.4.3.1, §12.4.3.3: a whole tree from the wire, and its structure.
//!
//! What can be said of a tree without a signature: its shape, its unmerged leaves, that no key is in it
//! twice. Parent hashes are in [`parent_hash`](super::parent_hash), leaves in
//! `leaf_node_validation`, and the tree hash is compared by whoever knows what it must be.

use std::collections::VecDeque;

use hushwood_codec::{Decode, DecodeErrorKind, Encode, Reader, Writer};
use hushwood_crypto::{CipherSuite, HpkePublicKey};

use crate::error::{Error, NotNow, Violation};
use crate::policy::Policy;
use crate::tree::index::MAX_LEAVES;
use crate::tree::packed::{PackedLeaf, PackedParent};
use crate::tree::subtree::Subtree;
use crate::tree::tree_hash::split_at_parent;
use crate::tree::{LeafIndex, LeafNode, Node, NodeIndex, RatchetTree};

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
        Self::from_extension_with(suite, extension_data, policy, |_, _| {})
    }

    /// As [`from_extension`](Self::from_extension). Each leaf is shown to `see` while it is parsed: it is kept as bytes.
    pub(crate) fn from_extension_with(
        suite: &'static dyn CipherSuite,
        extension_data: &[u8],
        policy: &Policy,
        mut see: impl FnMut(LeafIndex, &LeafNode),
    ) -> Result<Self, Error> {
        let mut reader = Reader::new(extension_data, policy.decode)?;
        let max_nodes = max_nodes(policy.max_members);
        let mut nodes = NodeList::new(suite);
        reader.field("ratchet_tree").nested(|reader| {
            while reader.remaining() > 0 {
                // C372: a blank is one byte on the wire; their number is limited before there are many.
                if nodes.length >= max_nodes {
                    return Err(reader.error(DecodeErrorKind::TooManyElements));
                }
                let start = reader.position();
                match Option::<Node>::decode(reader.field("ratchet_tree"))? {
                    None => nodes.push_blank(),
                    // What was accepted is encoded in one way only: these are the bytes to keep.
                    Some(node) => {
                        if let (Node::Leaf(leaf), Some(index)) = (&node, nodes.next_leaf()) {
                            see(index, leaf);
                        }
                        nodes.push(&node, reader.consumed_since(start));
                    }
                }
            }
            Ok(())
        })?;
        reader.finish()?;
        Self::build(nodes, policy.max_members)
    }

    /// A tree from its nodes, as listed in the `ratchet_tree` extension (RFC 9420 §12.4.3.3).
    ///
    /// Shape, unmerged leaves and uniqueness of keys are checked; signatures, leaves and parent hashes
    /// are not.
    ///
    /// # Errors
    /// [`Violation::TreeShape`], [`Violation::UnmergedLeaves`], [`Violation::EncryptionKeyReused`],
    /// [`Violation::SignatureKeyReused`]; [`Violation::HpkePublicKey`] for a key of wrong length; [`Violation::ParentHash`] for a parent over blank leaves, which
    /// no leaf can vouch for; [`NotNow::Limit`] beyond `max_members`.
    pub fn from_nodes(
        suite: &'static dyn CipherSuite,
        nodes: Vec<Option<Node>>,
        max_members: u32,
    ) -> Result<Self, Error> {
        let mut list = NodeList::new(suite);
        for node in nodes {
            let encoded = node.to_bytes()?;
            match node {
                None => list.push_blank(),
                Some(node) => list.push(&node, &encoded),
            }
        }
        Self::build(list, max_members)
    }

    fn build(mut nodes: NodeList, max_members: u32) -> Result<Self, Error> {
        // RFC 9420 §12.4.3.3, C371: the last node is not blank, so there is one.
        if nodes.ends_blank() {
            return Err(Violation::TreeShape.into());
        }
        if nodes.length > max_nodes(max_members) {
            return Err(NotNow::Limit.into());
        }
        // C372: the tree gets the fewest leaves that make room for all nodes, 2^(d+1) - 1. Blank subtrees
        // take up no memory, so nothing is allocated for what is added.
        let width = (nodes.length + 1).next_power_of_two() / 2;
        let leaves = u32::try_from(width).unwrap_or(u32::MAX);
        if leaves > MAX_LEAVES {
            return Err(NotNow::Limit.into());
        }
        if let Some(refused) = nodes.refused {
            return Err(refused);
        }
        let mut builder = Builder { nodes: nodes.nodes, next: 0 };
        nodes.tree.root = builder.subtree(NodeIndex::root(leaves))?;
        let tree = nodes.tree;
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
            let key =
                parent.node.as_ref().map(|node| Ok::<_, Error>(node.view()?.encryption_key())).transpose()?;
            // RFC 9420 §7.1, C032, C101: a parent's key is one of the suite's KEM.
            if key.is_some_and(|key| self.suite.kem().check_public_key(&key).is_err()) {
                return Err(Violation::HpkePublicKey.into());
            }
            let (left, right) = parent.children()?;
            stack.extend([left, right]);
        }
        Ok(())
    }

    /// The `extension_data` of a `ratchet_tree` extension, as [`encode`](Self::encode) writes it.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong); as [`encode`](Self::encode).
    pub fn to_extension(&self) -> Result<Vec<u8>, Error> {
        // About what a member takes, with a parent above it.
        let room = usize::try_from(self.member_count()).unwrap_or_default().saturating_mul(300);
        let mut writer = Writer::with_capacity(room);
        self.encode(&mut writer)?;
        Ok(writer.finish()?)
    }

    /// Writes `optional<Node> ratchet_tree<V>` (RFC 9420 §12.4.3.3), without blank nodes at the end (C370).
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn encode(&self, writer: &mut Writer) -> Result<(), Error> {
        self.load()?;
        let last = last_node(&self.root)?;
        let mut encoded = Ok(());
        writer.nested(|writer| {
            if let Some(last) = last {
                encoded = encode_nodes(&self.root, last, writer);
            }
        });
        encoded
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

/// Nodes in the order of the tree, without its blanks: of whatever size the blanks are, they take up nothing.
struct NodeList {
    /// The nodes that are not blank, with their places.
    nodes: VecDeque<(usize, PackedNode)>,
    length: usize,
    /// A tree without nodes, whose indexes have what has come.
    tree: RatchetTree,
    /// What is wrong with the first node that can't be in a tree.
    refused: Option<Error>,
}

enum PackedNode {
    Leaf(PackedLeaf),
    Parent(PackedParent),
}

impl NodeList {
    fn new(suite: &'static dyn CipherSuite) -> Self {
        Self { nodes: VecDeque::new(), length: 0, tree: RatchetTree::empty(suite), refused: None }
    }

    fn push_blank(&mut self) {
        self.length += 1;
    }

    /// Takes a node, given with its encoding as `optional<Node>`.
    fn push(&mut self, node: &Node, encoded: &[u8]) {
        // Presence and node type go before the node itself.
        let (_, bytes) = encoded.split_at_checked(2).unwrap_or_default();
        let packed = match node {
            Node::Leaf(_) => PackedNode::Leaf(PackedLeaf::from_wire(bytes)),
            Node::Parent(_) => PackedNode::Parent(PackedParent::from_wire(bytes)),
        };
        if self.refused.is_none() {
            self.refused = self.index(node).err();
        }
        self.nodes.push_back((self.length, packed));
        self.length += 1;
    }

    /// The next place.
    fn next(&self) -> Option<NodeIndex> {
        u32::try_from(self.length).ok().and_then(NodeIndex::new)
    }

    /// The next place, if it is that of a leaf.
    fn next_leaf(&self) -> Option<LeafIndex> {
        self.next()?.leaf()
    }

    /// Indexes a node at the next place.
    fn index(&mut self, node: &Node) -> Result<(), Error> {
        let at = self.next().ok_or(NotNow::Limit)?;
        let tree = &mut self.tree;
        match (node, at.leaf()) {
            (Node::Leaf(leaf), Some(index)) => {
                check_length(tree.suite, &leaf.encryption_key)?;
                tree.keys.insert_encryption(&leaf.encryption_key, at, &tree.root)?;
                tree.keys.insert_signature(&leaf.signature_key, index, &tree.root)?;
                tree.capabilities.add(leaf);
            }
            (Node::Parent(parent), None) => {
                check_length(tree.suite, &parent.encryption_key)?;
                tree.keys.insert_encryption(&parent.encryption_key, at, &tree.root)?;
            }
            // RFC 9420 §12.4.3.3, C018, C373: even positions hold leaves, odd ones parents.
            (Node::Leaf(_), None) | (Node::Parent(_), Some(_)) => return Err(Violation::TreeShape.into()),
        }
        tree.keys.check_unique()
    }

    fn ends_blank(&self) -> bool {
        self.nodes.back().is_none_or(|(place, _)| place + 1 < self.length)
    }
}

/// Keys that are too short can be had for a few bytes each: they are refused before there are many.
fn check_length(suite: &dyn CipherSuite, key: &HpkePublicKey) -> Result<(), Error> {
    // RFC 9420 §5.1.1, C032: keys have the length of the suite's KEM.
    match key.0.len() == suite.kem().public_key_length() {
        true => Ok(()),
        false => Err(Violation::HpkePublicKey.into()),
    }
}

/// Builds subtrees from nodes in their order.
struct Builder {
    nodes: VecDeque<(usize, PackedNode)>,
    /// The place of the next node to be taken.
    next: usize,
}

impl Builder {
    /// The subtree below `at`. Recursion is as deep as the tree is high.
    fn subtree(&mut self, at: NodeIndex) -> Result<Subtree, Error> {
        let end = self.next + (2 << at.level()) - 1;
        if self.nodes.front().is_none_or(|(place, _)| *place >= end) {
            self.next = end;
            return Ok(Subtree::blank(at));
        }
        let Some((left, right)) = at.children() else {
            return match self.take() {
                Some(PackedNode::Leaf(leaf)) => {
                    Subtree::leaf(at.first_leaf(), leaf).ok_or(Error::Bug("a leaf beyond the limit"))
                }
                Some(PackedNode::Parent(_)) => Err(Violation::TreeShape.into()),
                None => Ok(Subtree::blank(at)),
            };
        };
        let left = self.subtree(left)?;
        let node = match self.take() {
            Some(PackedNode::Parent(node)) => Some(node),
            Some(PackedNode::Leaf(_)) => return Err(Violation::TreeShape.into()),
            None => None,
        };
        let right = self.subtree(right)?;
        // C148: only a leaf below it could vouch for a parent.
        if node.is_some() && left.is_blank() && right.is_blank() {
            return Err(Violation::ParentHash.into());
        }
        Ok(Subtree::parent(at, node, left, right))
    }

    /// The node at the next place.
    fn take(&mut self) -> Option<PackedNode> {
        let place = self.next;
        self.next += 1;
        match self.nodes.front() {
            Some((at, _)) if *at == place => self.nodes.pop_front().map(|(_, node)| node),
            _ => None,
        }
    }
}

/// Checks the unmerged leaves of all parents. Recursion is as deep as the tree is high.
pub(crate) fn check_unmerged_leaves(subtree: &Subtree) -> Result<(), Error> {
    let Subtree::Parent(parent) = subtree else { return Ok(()) };
    let (left_child, right_child) = parent.children()?;
    if let Some(node) = &parent.node {
        let unmerged = node.unmerged_leaves()?;
        check_unmerged_list(parent.at, &unmerged)?;
        let (left, right) = split_at_parent(&unmerged, parent.at);
        check_unmerged_below(left_child, left)?;
        check_unmerged_below(right_child, right)?;
    }
    check_unmerged_leaves(left_child)?;
    check_unmerged_leaves(right_child)
}

fn check_unmerged_list(at: NodeIndex, unmerged: &[LeafIndex]) -> Result<(), Error> {
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
                let there = node.unmerged_leaves()?;
                let listed = |leaf| there.binary_search(leaf).is_ok();
                match unmerged.iter().all(listed) {
                    true => Ok(()),
                    false => Err(Violation::UnmergedLeaves.into()),
                }
            }
            None => {
                let (left, right) = split_at_parent(unmerged, parent.at);
                let (left_child, right_child) = parent.children()?;
                check_unmerged_below(left_child, left)?;
                check_unmerged_below(right_child, right)
            }
        },
    }
}

/// The rightmost node that is not blank.
fn last_node(root: &Subtree) -> Result<Option<NodeIndex>, Error> {
    let mut subtree = root;
    loop {
        match subtree {
            Subtree::Blank(..) => return Ok(None),
            Subtree::Leaf(leaf) => return Ok(Some(leaf.at)),
            Subtree::Parent(parent) => match (parent.children()?, &parent.node) {
                ((_, Subtree::Blank(..)), Some(_)) => return Ok(Some(parent.at)),
                ((left, Subtree::Blank(..)), None) => subtree = left,
                ((_, right), _) => subtree = right,
            },
        }
    }
}

/// Writes the nodes of a subtree up to `last`, in order.
fn encode_nodes(subtree: &Subtree, last: NodeIndex, writer: &mut Writer) -> Result<(), Error> {
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
                writer.raw(&[PRESENT, LEAF]).raw(leaf.node.bytes());
            }
        }
        Subtree::Parent(parent) => {
            let (left, right) = parent.children()?;
            encode_nodes(left, last, writer)?;
            if parent.at <= last {
                match &parent.node {
                    None => writer.raw(&[ABSENT]),
                    Some(node) => writer.raw(&[PRESENT, PARENT]).raw(node.bytes()),
                };
                encode_nodes(right, last, writer)?;
            }
        }
    }
    Ok(())
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
/// `NodeType` values.
const LEAF: u8 = 1;
const PARENT: u8 = 2;

#[cfg(test)]
mod tests {
    use hushwood_codec::{Decode, Encode};
    use test_support::{assert_breaks, assert_names};

    use super::*;
    use crate::testing::SUITE;
    use crate::tree::oracle::leaf_node;
    use crate::tree::world::World;
    use crate::tree::{LeafNode, ParentNode};

    fn leaf(number: u64) -> Option<Node> {
        Some(Node::Leaf(leaf_node(number)))
    }

    fn parent(number: u64, unmerged: &[u32]) -> Option<Node> {
        Some(Node::Parent(ParentNode {
            encryption_key: leaf_node(number).encryption_key,
            parent_hash: vec![],
            unmerged_leaves: unmerged.iter().copied().map(LeafIndex::new).collect(),
        }))
    }

    fn refusal(nodes: &[Option<Node>]) -> Error {
        RatchetTree::from_nodes(SUITE, nodes.to_vec(), 1 << 10).unwrap_err()
    }

    fn read(bytes: &[u8]) -> Result<RatchetTree, Error> {
        RatchetTree::from_extension(SUITE, bytes, &Policy::default())
    }

    /// Four leaves under three parents.
    fn full() -> Vec<Option<Node>> {
        let nodes = [leaf(0), parent(10, &[]), leaf(1), parent(11, &[]), leaf(2), parent(12, &[]), leaf(3)];
        nodes.to_vec()
    }

    fn with(place: usize, node: Option<Node>) -> Vec<Option<Node>> {
        let mut nodes = full();
        nodes[place] = node;
        nodes
    }

    #[test]
    fn a_list_without_nodes_or_with_a_blank_at_its_end_is_refused() {
        assert_breaks!(refusal(&[]), Violation::TreeShape, "C371");
        for blanks in 1..8 {
            assert_breaks!(refusal(&vec![None; blanks]), Violation::TreeShape, "C371");
            let nodes = [full(), vec![None; blanks]].concat();
            assert_breaks!(refusal(&nodes), Violation::TreeShape, "C371");
        }
    }

    #[test]
    fn a_list_is_written_without_blanks_at_its_end() {
        let mut world = World::of(1, 9);
        for last in (1..9).rev() {
            world.tree.remove(LeafIndex::new(last)).unwrap();
            let written = world.tree.to_extension().unwrap();
            let nodes = Vec::<Option<Node>>::from_bytes(&written).unwrap();
            assert!(nodes.last().is_some_and(Option::is_some), "{last} members");
            assert_eq!(nodes, crate::tree::world::nodes(&world.tree));
        }
    }

    #[test]
    fn leaves_at_odd_and_parents_at_even_places_are_refused() {
        for place in 0..7 {
            let wrong = if place % 2 == 0 { parent(20, &[]) } else { leaf(20) };
            assert_breaks!(refusal(&with(place, wrong)), Violation::TreeShape, "C018", "C373");
        }
    }

    #[test]
    fn the_width_is_the_smallest_that_has_room() {
        for (count, width) in [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 4)] {
            let mut nodes = full();
            nodes.truncate(count);
            let tree = RatchetTree::from_nodes(SUITE, nodes, 4).unwrap();
            assert_eq!(tree.leaf_count(), width, "{count} nodes");
        }
        let tree = RatchetTree::from_nodes(SUITE, [full(), vec![None, leaf(4)]].concat(), 8).unwrap();
        assert_eq!(tree.leaf_count(), 8);
        // A parent at the end has only blank leaves to its right.
        let tree = RatchetTree::from_nodes(SUITE, [full(), vec![parent(13, &[])]].concat(), 8).unwrap();
        assert_eq!(tree.leaf_count(), 8);
    }

    #[test]
    fn a_tree_beyond_the_members_allowed_is_refused() {
        assert_breaks!(RatchetTree::from_nodes(SUITE, full(), 3).unwrap_err(), NotNow::Limit, "C372");
        assert_breaks!(RatchetTree::from_nodes(SUITE, full(), 0).unwrap_err(), NotNow::Limit, "C372");
        assert!(RatchetTree::from_nodes(SUITE, full(), u32::MAX).is_ok());
        let far = [full(), vec![None; 10], vec![leaf(4)]].concat();
        assert_breaks!(RatchetTree::from_nodes(SUITE, far, 8).unwrap_err(), NotNow::Limit, "C372");
    }

    #[test]
    fn a_bomb_of_blanks_is_refused_early() {
        let mut writer = Writer::new();
        writer.opaque(&vec![0; 4 << 20]);
        let refused = read(&writer.finish().unwrap()).unwrap_err();
        assert_names!(refused, "C009");
        let Error::Decode(error) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind, DecodeErrorKind::TooManyElements);
        // Behind the header, and as many nodes as a tree of 2^17 leaves has.
        assert_eq!(error.offset, 4 + (1 << 18) - 1);
    }

    #[test]
    fn unmerged_leaves_that_are_unsorted_blank_or_elsewhere_are_refused() {
        let refused = [&[1, 0][..], &[0, 0], &[2], &[0, 3], &[1 << 24], &[0, u32::MAX]];
        for unmerged in refused {
            assert_breaks!(
                refusal(&with(1, parent(20, unmerged))),
                Violation::UnmergedLeaves,
                "C100",
                "C336"
            );
        }
        let mut nodes = with(3, parent(20, &[2, 3]));
        nodes[4] = None;
        nodes[5] = None;
        assert_breaks!(refusal(&nodes), Violation::UnmergedLeaves, "C100", "C336");
        nodes[3] = parent(20, &[3]);
        assert!(RatchetTree::from_nodes(SUITE, nodes, 4).is_ok());
    }

    #[test]
    fn an_unmerged_leaf_that_a_node_in_between_does_not_list_is_refused() {
        let mut nodes = with(3, parent(20, &[0, 2]));
        assert_breaks!(refusal(&nodes), Violation::UnmergedLeaves, "C337");
        nodes[1] = parent(10, &[0]);
        assert_breaks!(refusal(&nodes), Violation::UnmergedLeaves, "C337");
        nodes[5] = parent(12, &[2, 3]);
        assert!(RatchetTree::from_nodes(SUITE, nodes.clone(), 4).is_ok());
        nodes[5] = None;
        assert!(RatchetTree::from_nodes(SUITE, nodes, 4).is_ok());
    }

    #[test]
    fn a_key_in_two_nodes_is_refused() {
        let encryption_key = |node: &Option<Node>| match node.clone().unwrap() {
            Node::Leaf(leaf) => leaf.encryption_key,
            Node::Parent(parent) => parent.encryption_key,
        };
        for (from, to) in (0..7).flat_map(|from| (0..7).map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            let mut nodes = full();
            let key = encryption_key(&nodes[from]);
            match nodes[to].as_mut().unwrap() {
                Node::Leaf(leaf) => leaf.encryption_key = key,
                Node::Parent(parent) => parent.encryption_key = key,
            }
            assert_breaks!(refusal(&nodes), Violation::EncryptionKeyReused, "C338");
        }
        let twin = LeafNode { signature_key: leaf_node(0).signature_key, ..leaf_node(3) };
        assert_breaks!(refusal(&with(6, Some(Node::Leaf(twin)))), Violation::SignatureKeyReused, "C127");
    }

    #[test]
    fn a_parent_without_a_leaf_below_is_refused() {
        let mut nodes = full();
        nodes[0] = None;
        nodes[2] = None;
        assert_breaks!(refusal(&nodes), Violation::ParentHash, "C334");
    }

    #[test]
    fn a_malformed_parent_key_is_refused() {
        let Some(Node::Parent(mut node)) = parent(20, &[]) else { panic!() };
        node.encryption_key.0.pop();
        assert_breaks!(refusal(&with(3, Some(Node::Parent(node)))), Violation::HpkePublicKey, "C032", "C101");
        let mut leaf = leaf_node(20);
        leaf.encryption_key.0.push(1);
        assert_breaks!(refusal(&with(2, Some(Node::Leaf(leaf)))), Violation::HpkePublicKey, "C032", "C101");
        let tree = RatchetTree::from_nodes(SUITE, full(), 4).unwrap();
        assert_eq!(tree.verify_parent_keys(), Ok(()));
    }

    #[test]
    fn a_tree_cut_short_or_with_bytes_behind_it_is_refused() {
        let world = World::of(1, 5);
        let bytes = world.nodes().to_bytes().unwrap();
        assert!(read(&bytes).is_ok());
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err());
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    }
}
