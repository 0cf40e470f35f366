//! Trees as groups would have grown them, with the private keys of all members.

use std::collections::{BTreeMap, BTreeSet};

use hushwood::credential::Credential;
use hushwood::extension::Extensions;
use hushwood::key_package::{KeyPackage, KeyPackageBuilder};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{
    LeafContent, LeafIndex, NewLeaf, NewPath, NodeIndex, PathSecret, RatchetTree, Supported,
};
use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, CryptoProvider, Secret, SoftwareSigner};

use super::Hex;
use crate::random::SeededRandom;

/// A tree, and what its members know.
pub(super) struct Grove {
    pub(super) suite: &'static dyn CipherSuite,
    pub(super) group_id: Hex,
    pub(super) tree: RatchetTree,
    pub(super) members: BTreeMap<LeafIndex, Member>,
    provider: &'static CryptoProvider,
    random: SeededRandom,
}

/// What a member knows.
pub(super) struct Member {
    pub(super) signer: SoftwareSigner,
    pub(super) encryption_key: Secret,
    /// The path secrets it was told, of nodes that may have changed since.
    path_secrets: BTreeMap<NodeIndex, Secret>,
}

/// Fixed, and long past: no lifetime depends on the day.
const NOW: Timestamp = Timestamp(1_700_000_000);

impl Grove {
    /// A tree of one.
    pub(super) fn new(
        provider: &'static CryptoProvider,
        suite: &'static dyn CipherSuite,
        random: &mut SeededRandom,
    ) -> Self {
        let group_id = Hex(random.bytes(16));
        let mut random = random.fork();
        let (key_package, member) = newcomer(provider, suite, &mut random);
        let tree = RatchetTree::new(suite, key_package.leaf_node).unwrap();
        let members = BTreeMap::from([(LeafIndex::new(0), member)]);
        Self { suite, group_id, tree, members, provider, random }
    }

    /// The working group's `get_tree(n)`: each leaf commits adding the next one.
    pub(super) fn grown(
        provider: &'static CryptoProvider,
        suite: &'static dyn CipherSuite,
        leaves: u32,
        random: &mut SeededRandom,
    ) -> Self {
        let mut grove = Self::new(provider, suite, random);
        for leaf in 1..leaves {
            grove.add();
            grove.commit(leaf - 1);
        }
        grove
    }

    /// A KeyPackage that could be added, and what its owner knows.
    pub(super) fn newcomer(&mut self) -> (KeyPackage, Member) {
        newcomer(self.provider, self.suite, &mut self.random)
    }

    /// Adds a member, and nothing else.
    pub(super) fn add(&mut self) {
        let (key_package, member) = self.newcomer();
        let leaf = self.tree.add(key_package.leaf_node).unwrap();
        self.members.insert(leaf, member);
    }

    /// Removes members, and nothing else.
    pub(super) fn remove(&mut self, leaves: &[u32]) {
        for leaf in leaves.iter().copied().map(LeafIndex::new) {
            self.tree.remove(leaf).unwrap();
            self.members.remove(&leaf);
        }
    }

    /// New keys on a member's path, told to those below.
    pub(super) fn commit(&mut self, leaf: u32) {
        let leaf = LeafIndex::new(leaf);
        let mut tree = self.tree.clone();
        let path = self.path(leaf, &mut tree);
        self.tree = tree;
        for node in leaf.node().unwrap().direct_path(self.tree.leaf_count()) {
            let others = self.members.keys().filter(|member| **member != leaf && node.is_above(**member));
            let secret = others.copied().find_map(|other| {
                let common = NodeIndex::common_ancestor(leaf, other) == Some(node);
                common.then(|| path.path_secret_for(other)).flatten()
            });
            let Some(secret) = secret.map(PathSecret::into_secret) else { continue };
            for (_, member) in self.members.iter_mut().filter(|(member, _)| node.is_above(**member)) {
                member.path_secrets.insert(node, Secret::copy_of(secret.expose()));
            }
        }
        let (changes, _) = path.into_parts();
        let committer = self.members.get_mut(&leaf).unwrap();
        committer.encryption_key = changes.leaf_keys.unwrap().private.0;
    }

    /// Adds, removes and commits by whoever comes.
    pub(super) fn wander(&mut self, steps: usize) {
        for _ in 0..steps {
            let members: Vec<u32> = self.members.keys().map(|leaf| leaf.number()).collect();
            let somebody = members[self.random.below(members.len())];
            match self.random.below(5) {
                0 | 1 => self.add(),
                2 if members.len() > 2 => self.remove(&[somebody]),
                _ => self.commit(somebody),
            }
        }
    }

    /// For what else is drawn.
    pub(super) fn random(&mut self) -> &mut SeededRandom {
        &mut self.random
    }

    /// A path by a member, in a tree of the caller's.
    pub(super) fn path(&mut self, leaf: LeafIndex, tree: &mut RatchetTree) -> NewPath {
        let new_leaf = NewLeaf::successor(&tree.leaf(leaf).unwrap().unwrap());
        let place = (self.group_id.0.as_slice(), &self.members[&leaf].signer);
        NewPath::generate(tree, leaf, new_leaf, (place.0, place.1), &mut self.random).unwrap()
    }

    /// The same path, encrypted to all.
    pub(super) fn encrypt(
        &mut self,
        path: &NewPath,
        tree: &RatchetTree,
        context: &[u8],
    ) -> hushwood::tree::UpdatePath {
        path.encrypt(tree, context, &BTreeSet::new(), &mut self.random).unwrap()
    }

    /// The path secrets that a member has of nodes as they are now.
    pub(super) fn path_secrets(&self, leaf: LeafIndex) -> Vec<(NodeIndex, &Secret)> {
        let is_current = |node: NodeIndex, secret: &Secret| {
            let secret = PathSecret::received(self.suite, Secret::copy_of(secret.expose())).unwrap();
            let public = secret.key_pair(self.suite).unwrap().public;
            self.tree.encryption_key(node).is_ok_and(|key| key == Some(public))
        };
        let secrets = self.members[&leaf].path_secrets.iter().map(|(node, secret)| (*node, secret));
        secrets.filter(|(node, secret)| is_current(*node, secret)).collect()
    }

    /// The tree's encoding.
    pub(super) fn encoded(&self) -> Hex {
        encoded(&self.tree)
    }
}

/// A tree as the `ratchet_tree` extension has it.
pub(super) fn encoded(tree: &RatchetTree) -> Hex {
    let mut writer = Writer::new();
    tree.encode(&mut writer).unwrap();
    Hex(writer.finish().unwrap())
}

fn newcomer(
    provider: &CryptoProvider,
    suite: &'static dyn CipherSuite,
    random: &mut SeededRandom,
) -> (KeyPackage, Member) {
    let signer = SoftwareSigner::generate(suite, random).unwrap();
    let content = LeafContent {
        credential: Credential::basic(random.bytes(8)),
        supported: Supported::new(provider),
        extensions: Extensions::new(),
    };
    let new = KeyPackageBuilder::new(suite, content);
    let new = new.build(&signer, &Policy::default(), NOW, random).unwrap();
    let encryption_key = new.private.into_encryption_key().0;
    (new.key_package, Member { signer, encryption_key, path_secrets: BTreeMap::new() })
}
