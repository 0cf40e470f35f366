//! RFC 9420 §4: the public ratchet tree.
//!
//! What all members, and whoever follows the group from outside, know: who sits at which leaf, and the
//! public keys of the nodes. How it changes is in `evolution`, how it is hashed in
//! `tree_hash`, how it is read from the wire in `validation`.

use std::collections::BTreeSet;
use std::fmt;

use hushwood_crypto::{CipherSuite, Digest, HpkePublicKey, SignaturePublicKey};

use crate::credential::{Credential, CredentialType};
use crate::error::{ApiMisuse, Error};
use crate::extension::ExtensionType;
use crate::proposal::ProposalType;
use crate::tree::capability_counts::CapabilityCounts;
use crate::tree::key_index::KeyIndex;
use crate::tree::packed::PackedLeaf;
use crate::tree::subtree::{Leaf, Leaves, Subtree};
use crate::tree::{LeafIndex, LeafNode, NodeIndex, ParentNode};

/// The public state of a ratchet tree.
///
/// Cloned in constant time: clones share all nodes that neither changes. Beside the nodes it keeps an index
/// of all public keys and counts of what the members support, each change costs O(log n).
///
/// It holds no secrets; those of a member are a [`PrivateTree`](super::private::PrivateTree).
#[derive(Clone)]
pub struct RatchetTree {
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) root: Subtree,
    pub(crate) keys: KeyIndex,
    pub(crate) capabilities: CapabilityCounts,
}

/// One node of a filtered direct path (RFC 9420 §4.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathStep {
    /// The node on the path.
    pub node: NodeIndex,
    /// Its child that is not on the path.
    pub copath_child: NodeIndex,
}

impl RatchetTree {
    /// The tree of a new group (RFC 9420 §11): one leaf.
    ///
    /// # Errors
    /// None today.
    pub fn new(suite: &'static dyn CipherSuite, leaf: LeafNode) -> Result<Self, Error> {
        let mut tree = Self::empty(suite);
        tree.add(leaf)?;
        Ok(tree)
    }

    /// A tree of one blank leaf.
    pub(crate) fn empty(suite: &'static dyn CipherSuite) -> Self {
        let root = Subtree::blank(NodeIndex::root(1));
        Self { suite, root, keys: KeyIndex::new(), capabilities: CapabilityCounts::default() }
    }

    /// The group's cipher suite.
    #[must_use]
    pub fn suite(&self) -> &'static dyn CipherSuite {
        self.suite
    }

    /// The width: how many leaves there are, blank ones too. A power of two.
    #[must_use]
    pub fn leaf_count(&self) -> u32 {
        self.root.at().number() + 1
    }

    /// How many leaves are not blank.
    #[must_use]
    pub fn member_count(&self) -> u32 {
        self.root.members()
    }

    /// The root's position.
    #[must_use]
    pub fn root(&self) -> NodeIndex {
        self.root.at()
    }

    /// The member at `index`; `None` if the leaf is blank or beyond the tree.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn leaf(&self, index: LeafIndex) -> Result<Option<LeafNode>, Error> {
        self.packed_leaf(index)?.map(PackedLeaf::unpack).transpose()
    }

    /// The signature key and credential of the member at `index`, without the rest of its leaf.
    pub(crate) fn identity(
        &self,
        index: LeafIndex,
    ) -> Result<Option<(SignaturePublicKey, Credential)>, Error> {
        self.packed_leaf(index)?.map(PackedLeaf::identity).transpose()
    }

    /// True if there is a member at `index`.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn is_member(&self, index: LeafIndex) -> Result<bool, Error> {
        Ok(self.packed_leaf(index)?.is_some())
    }

    fn packed_leaf(&self, index: LeafIndex) -> Result<Option<&PackedLeaf>, Error> {
        let Some(at) = index.node() else { return Ok(None) };
        Ok(match self.root.find(at)? {
            Some(Subtree::Leaf(leaf)) => Some(&leaf.node),
            Some(Subtree::Blank(..) | Subtree::Parent(_)) | None => None,
        })
    }

    /// The parent at `index`; `None` if it is blank, a leaf, or beyond the tree.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn parent(&self, index: NodeIndex) -> Result<Option<ParentNode>, Error> {
        match self.root.find(index)? {
            Some(Subtree::Parent(parent)) => parent.node.as_ref().map(|node| node.unpack()).transpose(),
            Some(Subtree::Blank(..) | Subtree::Leaf(_)) | None => Ok(None),
        }
    }

    /// The encryption key of a node, leaf or parent; `None` if it is blank or beyond the tree.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn encryption_key(&self, index: NodeIndex) -> Result<Option<HpkePublicKey>, Error> {
        Ok(match self.root.find(index)? {
            Some(Subtree::Leaf(leaf)) => Some(HpkePublicKey(leaf.node.encryption_key()?.to_vec())),
            Some(Subtree::Parent(parent)) => match &parent.node {
                Some(node) => Some(HpkePublicKey(node.view()?.encryption_key.to_vec())),
                None => None,
            },
            Some(Subtree::Blank(..)) | None => None,
        })
    }

    /// The members, from left to right. Reads the whole tree if it is in a store.
    ///
    /// # Errors
    /// Each item: as [`leaf`](Self::leaf).
    pub fn members(&self) -> impl Iterator<Item = Result<(LeafIndex, LeafNode), Error>> {
        let unread = self.load().err();
        let leaves = match unread {
            Some(_) => None,
            None => Some(Leaves::new(&self.root)),
        };
        let members = leaves.into_iter().flatten().map(|leaf| {
            let leaf = leaf?;
            Ok((leaf.index, leaf.node.unpack()?))
        });
        unread.into_iter().map(Err).chain(members)
    }

    /// The members from left to right, as they are kept.
    pub(crate) fn packed_members(&self) -> Result<Vec<&Leaf>, Error> {
        self.load()?;
        Leaves::new(&self.root).collect()
    }

    /// The hash of the whole tree: `GroupContext.tree_hash` (RFC 9420 §7.8).
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`] if a node is longer than a vector can be.
    pub fn tree_hash(&self) -> Result<Digest, Error> {
        super::tree_hash::tree_hash(self.suite, &self.root)
    }

    /// The tree hash of one node (RFC 9420 §7.8).
    ///
    /// # Errors
    /// [`ApiMisuse::NodeAbsent`] beyond the tree; as [`tree_hash`](Self::tree_hash).
    pub fn node_hash(&self, index: NodeIndex) -> Result<Digest, Error> {
        match self.subtree(index)? {
            // The subtree that was found may be a larger blank one with this node in it.
            Subtree::Blank(_, hashes) => hashes.get(self.suite, index),
            found => super::tree_hash::tree_hash(self.suite, found),
        }
    }

    /// The leaf that the next member is added at: the leftmost blank one, or the first beyond the tree.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn next_free_leaf(&self) -> Result<LeafIndex, Error> {
        Ok(self.root.first_blank_leaf()?.unwrap_or(LeafIndex::new(self.leaf_count())))
    }

    /// The nodes that together cover all members below a node (RFC 9420 §4.1.1), in order.
    ///
    /// # Errors
    /// [`ApiMisuse::NodeAbsent`] beyond the tree.
    pub fn resolution(&self, index: NodeIndex) -> Result<Vec<NodeIndex>, Error> {
        self.resolution_without(index, &BTreeSet::new())
    }

    /// The resolution without some leaves: those added by the commit at hand (RFC 9420 §7.6, C132).
    pub(crate) fn resolution_without(
        &self,
        index: NodeIndex,
        added: &BTreeSet<LeafIndex>,
    ) -> Result<Vec<NodeIndex>, Error> {
        let mut nodes = Vec::new();
        resolve(self.subtree(index)?, &mut |at| match at.leaf() {
            Some(leaf) if added.contains(&leaf) => {}
            _ => nodes.push(at),
        })?;
        Ok(nodes)
    }

    /// How many nodes [`resolution_without`](Self::resolution_without) gives.
    pub(crate) fn resolution_size(
        &self,
        index: NodeIndex,
        added: &BTreeSet<LeafIndex>,
    ) -> Result<usize, Error> {
        let mut size = 0_usize;
        resolve(self.subtree(index)?, &mut |at| match at.leaf() {
            Some(leaf) if added.contains(&leaf) => {}
            _ => size += 1,
        })?;
        Ok(size)
    }

    /// The parents of a leaf, nearest first, without those whose child on the copath has an empty
    /// resolution (RFC 9420 §4.1.2).
    ///
    /// # Errors
    /// [`ApiMisuse::LeafAbsent`] beyond the tree.
    pub fn filtered_direct_path(&self, leaf: LeafIndex) -> Result<Vec<PathStep>, Error> {
        if leaf.number() >= self.leaf_count() {
            return Err(ApiMisuse::LeafAbsent.into());
        }
        let mut steps = Vec::new();
        let mut subtree = &self.root;
        while let Subtree::Parent(parent) = subtree {
            let (child, copath) = parent.children_towards(leaf)?;
            if !copath.is_blank() {
                steps.push(PathStep { node: parent.at, copath_child: copath.at() });
            }
            subtree = child;
        }
        steps.reverse();
        Ok(steps)
    }

    /// The node with this encryption key. Costs O(1), whether there is one or not.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn encryption_key_at(&self, key: &HpkePublicKey) -> Result<Option<NodeIndex>, Error> {
        self.keys.encryption(key, &self.root)
    }

    /// The leaf with this signature key. Costs O(1), whether there is one or not.
    ///
    /// # Errors
    /// As [`leaf`](Self::leaf).
    pub fn signature_key_at(&self, key: &SignaturePublicKey) -> Result<Option<LeafIndex>, Error> {
        self.keys.signature(key, &self.root)
    }

    /// Refuses a tree in which a key is used twice (RFC 9420 §7.3, §16.7). Costs O(1): ask it once all
    /// proposals of a commit, and its path, are applied.
    ///
    /// # Errors
    /// [`Violation::EncryptionKeyReused`](crate::error::Violation::EncryptionKeyReused),
    /// [`Violation::SignatureKeyReused`](crate::error::Violation::SignatureKeyReused).
    pub fn check_unique_keys(&self) -> Result<(), Error> {
        self.keys.check_unique()
    }

    /// True if every member's capabilities list this credential type.
    #[must_use]
    pub fn members_support_credential(&self, credential_type: CredentialType) -> bool {
        self.capabilities.support_credential(credential_type)
    }

    /// True if every member supports this extension type: it is a default one, or all list it.
    #[must_use]
    pub fn members_support_extension(&self, extension_type: ExtensionType) -> bool {
        self.capabilities.support_extension(extension_type)
    }

    /// True if every member supports this proposal type: it is a default one, or all list it.
    #[must_use]
    pub fn members_support_proposal(&self, proposal_type: ProposalType) -> bool {
        self.capabilities.support_proposal(proposal_type)
    }

    /// The credential types of the members.
    pub fn credential_types_in_use(&self) -> impl Iterator<Item = CredentialType> {
        self.capabilities.credential_types_in_use()
    }

    /// The subtree below a node, or the blank one it is in.
    pub(crate) fn subtree(&self, index: NodeIndex) -> Result<&Subtree, Error> {
        self.root.find(index)?.ok_or(ApiMisuse::NodeAbsent.into())
    }
}

impl fmt::Debug for RatchetTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RatchetTree")
            .field("suite", &self.suite)
            .field("leaf_count", &self.leaf_count())
            .field("member_count", &self.member_count())
            .finish_non_exhaustive()
    }
}

/// Hands each node of a resolution to `each` (RFC 9420 §4.1.1). Recursion is as deep as the tree is high.
fn resolve(subtree: &Subtree, each: &mut impl FnMut(NodeIndex)) -> Result<(), Error> {
    match subtree {
        // The resolution of a blank leaf is empty, and so is that of a parent over blank leaves.
        Subtree::Blank(..) => {}
        Subtree::Leaf(leaf) => each(leaf.at),
        Subtree::Parent(parent) => match &parent.node {
            // That of a non-blank node is the node, then its unmerged leaves.
            Some(node) => {
                each(parent.at);
                node.unmerged_leaves()?.into_iter().filter_map(LeafIndex::node).for_each(each);
            }
            // That of a blank parent is the left child's, then the right child's.
            None => {
                let (left, right) = parent.children()?;
                resolve(left, each)?;
                resolve(right, each)?;
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SUITE;
    use crate::tree::Node;
    use crate::tree::oracle::leaf_node;

    /// A tree drawn as the RFC does: `None` for a blank, unmerged leaves for a parent. Leaves are at even
    /// places.
    fn drawn(nodes: &[Option<&[u32]>]) -> RatchetTree {
        let node = |(number, unmerged): (u64, &Option<&[u32]>)| {
            let leaf = leaf_node(number);
            unmerged.map(|unmerged| match number % 2 {
                0 => Node::Leaf(leaf),
                _ => Node::Parent(ParentNode {
                    encryption_key: leaf.encryption_key,
                    parent_hash: vec![],
                    unmerged_leaves: unmerged.iter().copied().map(LeafIndex::new).collect(),
                }),
            })
        };
        RatchetTree::from_nodes(SUITE, (0..).zip(nodes).map(node).collect(), 8).unwrap()
    }

    fn numbers(nodes: Vec<NodeIndex>) -> Vec<u32> {
        nodes.into_iter().map(NodeIndex::number).collect()
    }

    const SET: Option<&[u32]> = Some(&[]);

    #[test]
    fn resolutions_are_those_of_the_example_in_section_4_1_1() {
        // X[B] is node 3 over A, B, _, D; Y is node 9 over E and F; leaf 6 is blank, H is leaf 7.
        let mut nodes = vec![None; 15];
        for set in [0, 2, 6, 8, 9, 10, 14] {
            nodes[set] = SET;
        }
        nodes[3] = Some(&[1]);
        let tree = drawn(&nodes);
        let resolution = |node| numbers(tree.resolution(NodeIndex::new(node).unwrap()).unwrap());
        assert_eq!(resolution(3), [3, 2]);
        assert!(resolution(4).is_empty());
        assert!(resolution(12).is_empty());
        assert_eq!(resolution(7), [3, 2, 9, 14]);
    }

    #[test]
    fn filtered_direct_paths_are_those_of_the_example_in_section_4_1_2() {
        // T, W, X and Y are set, U, V and Z blank; members A, B, E, F, G.
        let (t, w, x, y) = (1, 7, 9, 11);
        let mut nodes = vec![None; 13];
        for set in [0, t, 2, w, 8, x, 10, y, 12] {
            nodes[usize::try_from(set).unwrap()] = SET;
        }
        let tree = drawn(&nodes);
        let path = |leaf| {
            let path = tree.filtered_direct_path(LeafIndex::new(leaf)).unwrap();
            numbers(path.into_iter().map(|step| step.node).collect())
        };
        assert_eq!(path(0), [t, w]);
        assert_eq!(path(1), [t, w]);
        assert_eq!(path(4), [x, y, w]);
        assert_eq!(path(5), [x, y, w]);
        assert_eq!(path(6), [y, w]);
        let copath = tree.filtered_direct_path(LeafIndex::new(0)).unwrap();
        assert_eq!(copath[1].copath_child.number(), y);
    }

    #[test]
    fn a_tree_prints_its_size_and_nothing_of_its_members() {
        let printed = format!("{:?}", drawn(&[SET, None, SET]));
        assert!(printed.contains("leaf_count: 2, member_count: 2, .."), "{printed}");
    }
}
