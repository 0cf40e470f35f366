//! The tree as RFC 9420 Appendix C has it, an array of nodes, with every definition of §4 and §7 written
//! down word by word and nothing remembered: what the fast one is compared with.

use hushwood_codec::{Encode, Writer};
use hushwood_crypto::{Digest, HpkePublicKey, SignaturePublicKey};

use crate::credential::{Credential, CredentialType};
use crate::extension::Extensions;
use crate::testing::{KEY_LENGTH, SUITE};
use crate::tree::{
    Capabilities, LeafIndex, LeafNode, LeafNodeSource, Lifetime, Node, NodeIndex, ParentNode, RatchetTree,
};

/// All nodes of a perfect tree.
#[derive(Clone)]
pub(crate) struct Oracle(pub(crate) Vec<Option<Node>>);

pub(crate) fn index(node: usize) -> NodeIndex {
    NodeIndex::new(u32::try_from(node).unwrap()).unwrap()
}

fn place(node: NodeIndex) -> usize {
    usize::try_from(node.number()).unwrap()
}

fn node_of(leaf: LeafIndex) -> NodeIndex {
    leaf.node().unwrap()
}

/// A leaf that is like no other with another number.
pub(crate) fn leaf_node(number: u64) -> LeafNode {
    let key =
        |salt: u8| SUITE.hash().hash(&[&[salt], &number.to_be_bytes()]).as_bytes()[..KEY_LENGTH].to_vec();
    let kind = |of: u64| u16::try_from(0xF000 + number % of).unwrap();
    LeafNode {
        encryption_key: HpkePublicKey(key(0)),
        signature_key: SignaturePublicKey(key(1)),
        credential: Credential::Custom { credential_type: CredentialType(kind(3)), data: key(2) },
        capabilities: Capabilities {
            extensions: vec![crate::extension::ExtensionType(kind(2)); 2],
            proposals: vec![crate::proposal::ProposalType(kind(1)), crate::proposal::ProposalType(kind(5))],
            credentials: vec![CredentialType(kind(3)), CredentialType(kind(4))],
            ..Capabilities::default()
        },
        leaf_node_source: LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: 1 }),
        extensions: Extensions::new(),
        signature: key(3),
    }
}

impl Oracle {
    pub(crate) fn leaves(&self) -> u32 {
        u32::try_from(self.0.len().div_ceil(2)).unwrap()
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.0.len()).map(index)
    }

    pub(crate) fn node(&self, at: NodeIndex) -> Option<&Node> {
        self.0[place(at)].as_ref()
    }

    pub(crate) fn leaf(&self, at: NodeIndex) -> Option<&LeafNode> {
        match self.node(at) {
            Some(Node::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    pub(crate) fn parent(&self, at: NodeIndex) -> Option<&ParentNode> {
        match self.node(at) {
            Some(Node::Parent(parent)) => Some(parent),
            _ => None,
        }
    }

    fn parent_mut(&mut self, at: NodeIndex) -> Option<&mut ParentNode> {
        match &mut self.0[place(at)] {
            Some(Node::Parent(parent)) => Some(parent),
            _ => None,
        }
    }

    /// §7.8.
    pub(crate) fn tree_hash(&self, at: NodeIndex) -> Digest {
        let mut input = Writer::new();
        match at.children() {
            None => input.raw(&[1]).value(&at.first_leaf()).value(&self.leaf(at)),
            Some((left, right)) => {
                input.raw(&[2]).value(&self.parent(at));
                input.value(&self.tree_hash(left)).value(&self.tree_hash(right))
            }
        };
        SUITE.hash().hash(&[&input.finish().unwrap()])
    }

    /// §4.1.1.
    pub(crate) fn resolution(&self, at: NodeIndex) -> Vec<NodeIndex> {
        match (self.node(at), at.children()) {
            (Some(Node::Parent(parent)), _) => {
                let unmerged = parent.unmerged_leaves.iter().copied().map(node_of);
                std::iter::once(at).chain(unmerged).collect()
            }
            (Some(Node::Leaf(_)), _) => vec![at],
            (None, None) => vec![],
            (None, Some((left, right))) => [self.resolution(left), self.resolution(right)].concat(),
        }
    }

    /// §4.1.2: nodes with their children on the copath.
    pub(crate) fn filtered_direct_path(&self, leaf: LeafIndex) -> Vec<(NodeIndex, NodeIndex)> {
        let mut below = node_of(leaf);
        let mut path = Vec::new();
        for node in node_of(leaf).direct_path(self.leaves()) {
            let copath_child = below.sibling(self.leaves()).unwrap();
            if !self.resolution(copath_child).is_empty() {
                path.push((node, copath_child));
            }
            below = node;
        }
        path
    }

    /// §12.1.1.
    pub(crate) fn add(&mut self, leaf: LeafNode) -> LeafIndex {
        if (0..self.0.len()).step_by(2).all(|at| self.0[at].is_some()) {
            let length = self.0.len() * 2 + 1;
            self.0.resize(length, None);
        }
        let at = (0..self.0.len()).step_by(2).find(|at| self.0[*at].is_none()).unwrap();
        let new = index(at).leaf().unwrap();
        for node in index(at).direct_path(self.leaves()) {
            if let Some(parent) = self.parent_mut(node) {
                parent.unmerged_leaves.push(new);
                parent.unmerged_leaves.sort();
            }
        }
        self.0[at] = Some(Node::Leaf(leaf));
        new
    }

    /// §12.1.2.
    pub(crate) fn update(&mut self, leaf: LeafIndex, node: LeafNode) {
        self.blank_path(leaf);
        self.0[place(node_of(leaf))] = Some(Node::Leaf(node));
    }

    /// §12.1.3.
    pub(crate) fn remove(&mut self, leaf: LeafIndex) {
        self.blank_path(leaf);
        self.0[place(node_of(leaf))] = None;
        while self.0.len() > 1
            && (0..self.0.len()).step_by(2).skip(self.0.len() / 4 + 1).all(|at| self.0[at].is_none())
        {
            self.0.truncate(self.0.len() / 2);
        }
    }

    pub(crate) fn blank_path(&mut self, leaf: LeafIndex) {
        let leaves = self.leaves();
        node_of(leaf).direct_path(leaves).for_each(|node| self.0[place(node)] = None);
    }

    /// §7.9: "For each leaf L in P.unmerged_leaves, blank L and remove it from the unmerged_leaves sets".
    pub(crate) fn original_tree_hash(&self, sibling: NodeIndex, unmerged: &[LeafIndex]) -> Digest {
        let mut original = self.clone();
        for leaf in unmerged {
            original.0[place(node_of(*leaf))] = None;
            for node in self.indices() {
                if let Some(parent) = original.parent_mut(node) {
                    parent.unmerged_leaves.retain(|other| other != leaf);
                }
            }
        }
        original.tree_hash(sibling)
    }

    /// §7.9: the parent hash of P with copath child S.
    pub(crate) fn parent_hash(&self, parent: NodeIndex, sibling: NodeIndex) -> Digest {
        let node = self.parent(parent).unwrap();
        let mut input = Writer::new();
        input.value(&node.encryption_key).value(&node.parent_hash);
        input.value(&self.original_tree_hash(sibling, &node.unmerged_leaves));
        SUITE.hash().hash(&[&input.finish().unwrap()])
    }

    fn parent_hash_field(&self, at: NodeIndex) -> Option<&[u8]> {
        match self.node(at)? {
            Node::Parent(parent) => Some(&parent.parent_hash),
            Node::Leaf(leaf) => match &leaf.leaf_node_source {
                LeafNodeSource::Commit { parent_hash } => Some(parent_hash),
                _ => None,
            },
        }
    }

    /// §7.9.2: "The parent hash in a node D is valid with respect to a parent node P if".
    fn is_valid_for(&self, d: NodeIndex, p: NodeIndex) -> bool {
        let below = |node: NodeIndex, head: NodeIndex| {
            head.is_above(node.first_leaf()) && node.level() <= head.level()
        };
        let (left, right) = p.children().unwrap();
        let (c, s) = if below(d, left) { (left, right) } else { (right, left) };
        if !below(d, c) || self.parent_hash_field(d) != Some(self.parent_hash(p, s).as_bytes()) {
            return false;
        }
        let resolution = self.resolution(c);
        let without = resolution.iter().filter(|node| **node != d).copied().collect::<Vec<_>>();
        let unmerged = self.parent(p).unwrap().unmerged_leaves.iter().copied().map(node_of);
        let unmerged = unmerged.filter(|leaf| below(*leaf, c)).collect::<Vec<_>>();
        resolution.contains(&d)
            && std::collections::BTreeSet::from_iter(without) == unmerged.into_iter().collect()
    }

    /// §7.9.2, "bottom up": chains from the leaves, each non-blank parent covered by exactly one.
    pub(crate) fn parent_hashes_are_valid(&self) -> bool {
        let parents: Vec<_> = self.indices().filter(|at| self.parent(*at).is_some()).collect();
        let mut covered = vec![0; self.0.len()];
        for leaf in self.indices().filter(|at| self.leaf(*at).is_some()) {
            let mut end = leaf;
            while let Some(next) = parents.iter().find(|p| **p != end && self.is_valid_for(end, **p)) {
                covered[place(*next)] += 1;
                end = *next;
            }
        }
        parents.iter().all(|at| covered[place(*at)] == 1)
    }

    /// Compares all that a tree says with what the definitions say.
    pub(crate) fn compare(&self, tree: &RatchetTree) {
        assert_eq!(tree.leaf_count(), self.leaves());
        let mut members = Vec::new();
        for at in self.indices() {
            assert_eq!(tree.node_hash(at).unwrap(), self.tree_hash(at), "{at:?}");
            assert_eq!(tree.resolution(at).unwrap(), self.resolution(at), "{at:?}");
            assert_eq!(tree.resolution_size(at, &Default::default()).unwrap(), self.resolution(at).len());
            assert_eq!(tree.parent(at).unwrap().as_ref(), self.parent(at), "{at:?}");
            if let Some(leaf) = at.leaf() {
                assert_eq!(tree.leaf(leaf).unwrap().as_ref(), self.leaf(at), "{at:?}");
                let path = tree.filtered_direct_path(leaf).unwrap();
                let path: Vec<_> = path.iter().map(|step| (step.node, step.copath_child)).collect();
                assert_eq!(path, self.filtered_direct_path(leaf), "{at:?}");
                members.extend(self.leaf(at).map(|node| (leaf, node)));
            }
            let key = match self.node(at) {
                None => continue,
                Some(Node::Leaf(leaf)) => {
                    assert_eq!(tree.signature_key_at(&leaf.signature_key), Ok(at.leaf()));
                    &leaf.encryption_key
                }
                Some(Node::Parent(parent)) => &parent.encryption_key,
            };
            assert_eq!(tree.encryption_key_at(key), Ok(Some(at)));
            assert_eq!(tree.encryption_key(at).unwrap().as_ref(), Some(key));
        }
        assert_eq!(tree.check_unique_keys(), Ok(()));
        assert_eq!(tree.tree_hash().unwrap(), self.tree_hash(tree.root()));
        let there = tree.members().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(there.iter().map(|(index, leaf)| (*index, leaf)).eq(members.iter().copied()));
        assert_eq!(usize::try_from(tree.member_count()).unwrap(), members.len());
        self.compare_capabilities(tree, &members);
        self.compare_encoding(tree);
    }

    fn compare_capabilities(&self, tree: &RatchetTree, members: &[(LeafIndex, &LeafNode)]) {
        let used: std::collections::BTreeSet<_> =
            members.iter().map(|(_, leaf)| leaf.credential.credential_type()).collect();
        assert_eq!(tree.credential_types_in_use().collect::<Vec<_>>(), Vec::from_iter(used));
        let all = |supports: &dyn Fn(&Capabilities) -> bool| {
            members.iter().all(|(_, leaf)| supports(&leaf.capabilities))
        };
        for kind in 0xF000..0xF008 {
            let (credential, extension, proposal) = (
                CredentialType(kind),
                crate::extension::ExtensionType(kind),
                crate::proposal::ProposalType(kind),
            );
            assert_eq!(
                tree.members_support_credential(credential),
                all(&|c| c.credentials.contains(&credential))
            );
            assert_eq!(
                tree.members_support_extension(extension),
                all(&|c| c.extensions.contains(&extension))
            );
            assert_eq!(tree.members_support_proposal(proposal), all(&|c| c.proposals.contains(&proposal)));
        }
    }

    /// §12.4.3.3.
    fn compare_encoding(&self, tree: &RatchetTree) {
        let Some(last) = self.0.iter().rposition(Option::is_some) else { return };
        let mut writer = Writer::new();
        tree.encode(&mut writer).unwrap();
        let bytes = self.0[..=last].to_vec().to_bytes().unwrap();
        assert_eq!(writer.finish().unwrap(), bytes);
        let mut again =
            RatchetTree::from_extension(SUITE, &bytes, &crate::policy::Policy::default()).unwrap();
        // A blank right half is not on the wire.
        while again.leaf_count() < tree.leaf_count() {
            let next = LeafIndex::new(again.leaf_count());
            let full = again.next_free_leaf() == Ok(next);
            if !full {
                break;
            }
            again.extend_to(next).unwrap();
        }
        if again.leaf_count() == tree.leaf_count() {
            assert_eq!(again.tree_hash(), tree.tree_hash());
        }
    }
}
