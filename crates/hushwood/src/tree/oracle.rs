//! The tree as an array of nodes, with the definitions of RFC 9420 as `test_support::tree_oracle` has them, word by word:
//! what the fast one is compared with.

use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};
use test_support::tree_oracle::{Fault, Leaf, Tree, faults, from_extension, to_extension};

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

/// The library that the tests' own crates are built with is another one: what is the same is the encoding.
fn literal_leaf(leaf: &LeafNode) -> Leaf {
    Leaf::new(Decode::from_bytes(&leaf.to_bytes().unwrap()).unwrap())
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

    /// The same tree, as the literal reading of the RFC has it.
    fn literal(&self) -> Tree {
        let mut list = self.0.clone();
        while list.last().is_some_and(Option::is_none) {
            list.pop();
        }
        let bytes = list.to_bytes().unwrap();
        let mut tree = Tree::of_list(SUITE, &from_extension(&bytes).unwrap());
        // A blank right half is not in the list.
        while tree.nodes.len() < self.0.len() {
            tree.extend();
        }
        tree
    }

    fn back(&mut self, tree: &Tree) {
        self.0 = Vec::from_bytes(&to_extension(tree.list())).unwrap();
        self.0.resize(tree.nodes.len(), None);
    }

    fn filtered_direct_path(literal: &Tree, leaf: LeafIndex) -> Vec<(NodeIndex, NodeIndex)> {
        let path = literal.filtered_direct_path(place(node_of(leaf)));
        path.into_iter().map(|(node, copath_child)| (index(node), index(copath_child))).collect()
    }

    /// §12.1.1.
    pub(crate) fn add(&mut self, leaf: LeafNode) -> LeafIndex {
        let mut tree = self.literal();
        let at = tree.add(literal_leaf(&leaf));
        self.back(&tree);
        index(at).leaf().unwrap()
    }

    /// §12.1.2.
    pub(crate) fn update(&mut self, leaf: LeafIndex, node: LeafNode) {
        let mut tree = self.literal();
        tree.update(place(node_of(leaf)), literal_leaf(&node));
        self.back(&tree);
    }

    /// §12.1.3.
    pub(crate) fn remove(&mut self, leaf: LeafIndex) {
        let mut tree = self.literal();
        tree.remove(place(node_of(leaf)));
        self.back(&tree);
    }

    /// §7.9.2.
    pub(crate) fn parent_hashes_are_valid(&self) -> bool {
        !faults(SUITE, self.literal().list()).contains(&Fault::ParentHash)
    }

    /// Compares all that a tree says with what the definitions say.
    pub(crate) fn compare(&self, tree: &RatchetTree) {
        assert_eq!(tree.leaf_count(), self.leaves());
        let (literal, mut members) = (self.literal(), Vec::new());
        for at in self.indices() {
            let resolution: Vec<_> = literal.resolution(place(at)).into_iter().map(index).collect();
            assert_eq!(tree.node_hash(at).unwrap(), literal.tree_hash(place(at)), "{at:?}");
            assert_eq!(tree.resolution(at).unwrap(), resolution, "{at:?}");
            assert_eq!(tree.resolution_size(at, &Default::default()).unwrap(), resolution.len());
            assert_eq!(tree.parent(at).unwrap().as_ref(), self.parent(at), "{at:?}");
            if let Some(leaf) = at.leaf() {
                assert_eq!(tree.leaf(leaf).unwrap().as_ref(), self.leaf(at), "{at:?}");
                let path = tree.filtered_direct_path(leaf).unwrap();
                let path: Vec<_> = path.iter().map(|step| (step.node, step.copath_child)).collect();
                assert_eq!(path, Self::filtered_direct_path(&literal, leaf), "{at:?}");
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
        assert_eq!(tree.tree_hash().unwrap(), literal.tree_hash(place(tree.root())));
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
