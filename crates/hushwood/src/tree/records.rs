//! The tree as records, one for each node, for those who store it.
//!
//! After a commit only the records of the nodes that changed are written: those on the paths of the leaves
//! that changed. A parent's record has the tree hashes of its children, so that nothing is hashed again when
//! a tree is read back, and each record proves those below it.

use std::collections::BTreeSet;

use hushwood_codec::{Decode, Encode, Writer, wire_struct};
use hushwood_crypto::{Digest, SignaturePublicKey};

use crate::credential::Credential;
use crate::error::{Error, StoreReadError};
use crate::tree::node::{LEAF, PARENT};
use crate::tree::packed::OWN_BYTES;
use crate::tree::stored::KeyKind;
use crate::tree::subtree::Subtree;
use crate::tree::tree_hash::tree_hash;
use crate::tree::{LeafNode, Node, NodeIndex, ParentNode, RatchetTree};

wire_struct! {
    /// A node as it is stored.
    ///
    /// A subtree without members has one record, that of its head; those below have none.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct NodeRecord {
        /// How many leaves at or below the node are not blank.
        pub members: u32,
        /// The encoded `optional<Node>`.
        pub node: Vec<u8>,
        /// Tree hashes (RFC 9420 §7.8): of the left and the right child for a parent with members below, its
        /// own for the head of a blank subtree, none for a leaf.
        pub hashes: Vec<u8>,
    }
}

/// What a record says.
pub(crate) enum StoredNode {
    /// Nothing at or below this node; its tree hash.
    Blank(Digest),
    Leaf(LeafNode),
    /// A parent, blank or not, and its children's tree hashes.
    Parent(Option<ParentNode>, Digest, Digest),
}

impl NodeRecord {
    pub(crate) fn node(&self) -> Result<StoredNode, Error> {
        let node = Option::<Node>::from_bytes_with(&self.node, OWN_BYTES).ok();
        let children = || {
            let (left, right) = self.hashes.split_at(self.hashes.len() / 2);
            Some((Digest::new(left)?, Digest::new(right)?))
        };
        let stored = match node {
            Some(None) if self.members == 0 => Digest::new(&self.hashes).map(StoredNode::Blank),
            Some(None) => children().map(|(left, right)| StoredNode::Parent(None, left, right)),
            Some(Some(Node::Leaf(leaf))) => Some(StoredNode::Leaf(leaf)),
            Some(Some(Node::Parent(parent))) => {
                children().map(|(left, right)| StoredNode::Parent(Some(parent), left, right))
            }
            None => None,
        };
        stored.ok_or(StoreReadError::Corrupt.into())
    }
}

impl RatchetTree {
    /// The nodes whose records differ between `old` and this tree, in no particular order. Those that
    /// have no [`node_record`](Self::node_record) any more are among them, to be deleted.
    ///
    /// Costs O(changed), if this tree was made from `old` by cloning and changing it.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn changes_since(&self, old: &Self) -> Result<Vec<NodeIndex>, Error> {
        Ok(self.differences(old)?.into_iter().map(|difference| difference.at).collect())
    }

    /// [`changes_since`](Self::changes_since), with what is there in each tree: each place once.
    pub(crate) fn differences<'t>(&'t self, old: &'t Self) -> Result<Vec<Difference<'t>>, Error> {
        let mut found = Vec::new();
        let is_higher = self.root.at() > old.root.at();
        let (higher, lower) = if is_higher { (self, old) } else { (old, self) };
        differences(&higher.root, &lower.root, &mut |at, higher, lower| {
            let (new, old) = if is_higher { (higher, lower) } else { (lower, higher) };
            found.push(Difference { at, old, new });
        })?;
        Ok(found)
    }

    /// A place in both trees, whether it differs or not.
    pub(crate) fn compare<'t>(&'t self, old: &'t Self, at: NodeIndex) -> Result<Difference<'t>, Error> {
        let head = |tree: &'t Self| Ok::<_, Error>(tree.root.find(at)?.filter(|subtree| subtree.at() == at));
        Ok(Difference { at, old: head(old)?, new: head(self)? })
    }

    /// The record of a node; `None` if it has none: within a blank subtree, or beyond the tree.
    ///
    /// # Errors
    /// As [`tree_hash`](Self::tree_hash).
    pub fn node_record(&self, index: NodeIndex) -> Result<Option<NodeRecord>, Error> {
        let recorded = self.recorded(index)?;
        recorded.map(|node| Ok(NodeRecord::from_bytes(&node.to_bytes()?)?)).transpose()
    }

    /// A node as it is stored, where it has a record.
    fn recorded(&self, index: NodeIndex) -> Result<Option<Recorded<'_>>, Error> {
        let found = self.root.find(index)?.filter(|subtree| subtree.at() == index);
        found.map(|subtree| Recorded::new(self, subtree)).transpose()
    }

    /// Hands all nodes that have a record to `each`, from top to bottom.
    ///
    /// # Errors
    /// Those of `each`; [`Error::StoreRead`] for a tree that is read from a store.
    pub(crate) fn each_recorded(
        &self,
        each: &mut dyn FnMut(Recorded<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.load()?;
        let mut stack = vec![&self.root];
        while let Some(subtree) = stack.pop() {
            each(Recorded::new(self, subtree)?)?;
            if let Subtree::Parent(parent) = subtree {
                let (left, right) = parent.children()?;
                stack.extend([right, left]);
            }
        }
        Ok(())
    }

    /// The counts over the members' capabilities, as a store keeps them beside the nodes.
    ///
    /// # Errors
    /// None in practice: there are few types.
    pub fn encode_counts(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new();
        self.capabilities.encode(&mut writer);
        Ok(writer.finish()?)
    }

    /// All nodes that have a record, from left to right.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn record_indices(&self) -> Result<impl Iterator<Item = NodeIndex>, Error> {
        self.load()?;
        let mut indices = BTreeSet::new();
        each_head(&self.root, &mut |head| _ = indices.insert(head.at()))?;
        Ok(indices.into_iter())
    }
}

/// A place where two trees differ.
pub(crate) struct Difference<'t> {
    pub(crate) at: NodeIndex,
    /// What has a record there in the old tree.
    pub(crate) old: Option<&'t Subtree>,
    /// What has a record there in the new one.
    pub(crate) new: Option<&'t Subtree>,
}

impl Difference<'_> {
    /// Who the members there are, in the old tree and in the new one.
    pub(crate) fn identities(&self) -> Result<[Option<(SignaturePublicKey, Credential)>; 2], Error> {
        let identity = |there: Option<&Subtree>| match there {
            Some(Subtree::Leaf(leaf)) => leaf.node.identity().map(Some),
            Some(Subtree::Blank(..) | Subtree::Parent(_)) | None => Ok(None),
        };
        Ok([identity(self.old)?, identity(self.new)?])
    }
}

/// A node on its way into a record. Its encoding is that of its [`NodeRecord`], without copies in between.
pub(crate) struct Recorded<'t> {
    subtree: &'t Subtree,
    /// As in the record.
    hashes: [Option<Digest>; 2],
}

impl<'t> Recorded<'t> {
    pub(crate) fn new(tree: &RatchetTree, subtree: &'t Subtree) -> Result<Self, Error> {
        let hash = |subtree| Ok::<_, Error>(Some(tree_hash(tree.suite, subtree)?));
        let hashes = match subtree {
            Subtree::Blank(..) => [hash(subtree)?, None],
            Subtree::Leaf(_) => [None, None],
            Subtree::Parent(parent) => {
                let (left, right) = parent.children()?;
                [hash(left)?, hash(right)?]
            }
        };
        Ok(Self { subtree, hashes })
    }

    /// The subtree whose head it is.
    pub(crate) fn subtree(&self) -> &'t Subtree {
        self.subtree
    }

    /// Room enough for its encoding.
    pub(crate) fn capacity(&self) -> usize {
        let node = match self.subtree {
            Subtree::Blank(..) => 0,
            Subtree::Leaf(leaf) => leaf.node.bytes().len(),
            Subtree::Parent(parent) => parent.node.as_ref().map_or(0, |node| node.bytes().len()),
        };
        let hashes = self.hashes.iter().flatten().map(|hash| hash.as_bytes().len());
        // Members, lengths, presence and type.
        hashes.sum::<usize>().saturating_add(node).saturating_add(16)
    }

    /// Where it is.
    pub(crate) fn at(&self) -> NodeIndex {
        self.subtree.at()
    }
}

impl Encode for Recorded<'_> {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.subtree.members());
        match self.subtree {
            Subtree::Blank(..) => writer.opaque(&[0]),
            Subtree::Leaf(leaf) => writer.opaque_parts(&[&[1, LEAF], leaf.node.bytes()]),
            Subtree::Parent(parent) => match &parent.node {
                Some(node) => writer.opaque_parts(&[&[1, PARENT], node.bytes()]),
                None => writer.opaque(&[0]),
            },
        };
        let [left, right] =
            self.hashes.each_ref().map(|hash| hash.as_ref().map_or(&[][..], Digest::as_bytes));
        writer.opaque_parts(&[left, right]);
    }
}

/// Public keys that stand at one place: two at a leaf, one at a parent that is not blank.
pub(crate) type KeysAt<'t> = [Option<(KeyKind, &'t [u8])>; 2];

/// Those at the head of a subtree; none if there is none.
pub(crate) fn keys_at(subtree: Option<&Subtree>) -> Result<KeysAt<'_>, Error> {
    Ok(match subtree {
        None | Some(Subtree::Blank(..)) => [None, None],
        Some(Subtree::Leaf(leaf)) => {
            let (encryption, signature) = leaf.node.keys()?;
            [Some((KeyKind::Encryption, encryption)), Some((KeyKind::Signature, signature))]
        }
        Some(Subtree::Parent(parent)) => match &parent.node {
            Some(node) => [Some((KeyKind::Encryption, node.view()?.encryption_key)), None],
            None => [None, None],
        },
    })
}

/// What stands at a place in the first subtree, and in the second.
type Found<'f, 't> = &'f mut dyn FnMut(NodeIndex, Option<&'t Subtree>, Option<&'t Subtree>);

/// Hands the nodes whose records differ between two subtrees to `found`. Both start at the same leaf, and the
/// first may be higher.
fn differences<'t>(higher: &'t Subtree, lower: &'t Subtree, found: Found<'_, 't>) -> Result<(), Error> {
    if higher.is_same(lower) {
        return Ok(());
    }
    match (higher, lower) {
        (Subtree::Parent(one), Subtree::Parent(other)) if one.at == other.at => {
            found(one.at, Some(higher), Some(lower));
            let (one, other) = (one.children()?, other.children()?);
            differences(one.0, other.0, found)?;
            differences(one.1, other.1, found)
        }
        (Subtree::Parent(parent), _) if parent.at > lower.at() => {
            found(parent.at, Some(higher), None);
            let (left, right) = parent.children()?;
            differences(left, lower, found)?;
            each_head(right, &mut |head| found(head.at(), Some(head), None))
        }
        // A leaf or a blank on one side at least: nothing below the heads is in both.
        _ if higher.at() == lower.at() => {
            found(higher.at(), Some(higher), Some(lower));
            each_head_below(higher, &mut |head| found(head.at(), Some(head), None))?;
            each_head_below(lower, &mut |head| found(head.at(), None, Some(head)))
        }
        _ => {
            each_head(higher, &mut |head| found(head.at(), Some(head), None))?;
            each_head(lower, &mut |head| found(head.at(), None, Some(head)))
        }
    }
}

/// Hands the subtrees that have a record to `each`. Recursion is as deep as the tree is high.
fn each_head<'t>(subtree: &'t Subtree, each: &mut dyn FnMut(&'t Subtree)) -> Result<(), Error> {
    each(subtree);
    each_head_below(subtree, each)
}

fn each_head_below<'t>(subtree: &'t Subtree, each: &mut dyn FnMut(&'t Subtree)) -> Result<(), Error> {
    let Subtree::Parent(parent) = subtree else { return Ok(()) };
    let (left, right) = parent.children()?;
    each_head(left, each)?;
    each_head(right, each)
}
