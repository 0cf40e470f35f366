//! A group's members with their private keys, for tests: they commit and join as in RFC 9420 §12.4, without
//! messages and key schedule.

use std::collections::{BTreeMap, BTreeSet};

use hushwood_crypto::{Random, SignaturePublicKey, SoftwareSigner, ct_eq};

use crate::error::Error;
use crate::schedule::CommitSecret;
use crate::testing::{SUITE, ToyRandom, signer};
use crate::tree::oracle::leaf_node;
use crate::tree::{
    KeyPair, LeafIndex, LeafNode, NewLeaf, NewPath, Node, PrivateTree, RatchetTree, UpdatePath, decrypt,
    merge,
};

pub(crate) const GROUP: &[u8] = b"group";
pub(crate) const CONTEXT: &[u8] = b"the provisional group context";

/// Numbers that depend on the seed alone.
pub(crate) struct Dice(pub(crate) ToyRandom);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ToyRandom(seed << 32))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes).unwrap();
        usize::try_from(u32::from_be_bytes(bytes)).unwrap() % end
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        u64::from_be_bytes(bytes)
    }
}

pub(crate) struct Member {
    pub(crate) private: PrivateTree,
    pub(crate) signer: SoftwareSigner,
}

pub(crate) struct World {
    pub(crate) tree: RatchetTree,
    pub(crate) members: BTreeMap<LeafIndex, Member>,
    pub(crate) dice: Dice,
}

/// A commit as it is sent, and what came of it.
pub(crate) struct Sent {
    pub(crate) sender: LeafIndex,
    pub(crate) path: UpdatePath,
    pub(crate) added: BTreeSet<LeafIndex>,
    /// The tree after the proposals, before the path.
    pub(crate) before: RatchetTree,
    pub(crate) tree: RatchetTree,
    pub(crate) new_path: NewPath,
}

impl World {
    /// A group of one.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (leaf, keys, signer) = client(&mut dice);
        let tree = RatchetTree::new(SUITE, leaf).unwrap();
        let private = PrivateTree::new(LeafIndex::new(0), keys);
        Self { tree, members: BTreeMap::from([(LeafIndex::new(0), Member { private, signer })]), dice }
    }

    /// A group of `count`, added by the first member's commit.
    pub(crate) fn of(seed: u64, count: usize) -> Self {
        let mut world = Self::new(seed);
        world.commit(LeafIndex::new(0), count - 1, &[], &[]);
        world
    }

    pub(crate) fn some_member(&mut self) -> LeafIndex {
        let place = self.dice.below(self.members.len());
        *self.members.keys().nth(place).unwrap()
    }

    /// Makes a commit and its path; changes nothing but the dice.
    pub(crate) fn send(
        &mut self,
        sender: LeafIndex,
        before: RatchetTree,
        added: BTreeSet<LeafIndex>,
    ) -> Sent {
        let leaf = NewLeaf::successor(&before.leaf(sender).unwrap().unwrap());
        self.send_with(sender, leaf, &signer_of(self, sender), before, added)
    }

    pub(crate) fn send_with(
        &mut self,
        sender: LeafIndex,
        leaf: NewLeaf,
        signer: &SoftwareSigner,
        before: RatchetTree,
        added: BTreeSet<LeafIndex>,
    ) -> Sent {
        let mut tree = before.clone();
        let random = &mut self.dice.0;
        let new_path = NewPath::generate(&mut tree, sender, leaf, (GROUP, signer), random).unwrap();
        let path = new_path.encrypt(&tree, CONTEXT, &added, random).unwrap();
        Sent { sender, path, added, before, tree, new_path }
    }

    /// A whole commit: members update and leave, others are added, all process it. Nobody is lost.
    pub(crate) fn commit(
        &mut self,
        sender: LeafIndex,
        adds: usize,
        updates: &[LeafIndex],
        removes: &[LeafIndex],
    ) -> Sent {
        let mut tree = self.tree.clone();
        for leaf in updates {
            let mut node = tree.leaf(*leaf).unwrap().unwrap().clone();
            let keys = KeyPair::generate(SUITE, &mut self.dice.0).unwrap();
            node.encryption_key = keys.public.clone();
            tree.update(*leaf, node).unwrap();
            self.members.get_mut(leaf).unwrap().private.replace_leaf_keys(keys);
        }
        let mut removed = Vec::new();
        for leaf in removes {
            tree.remove(*leaf).unwrap();
            removed.push(self.members.remove(leaf).unwrap());
        }
        let mut joiners = BTreeMap::new();
        for _ in 0..adds {
            let (leaf, keys, signer) = client(&mut self.dice);
            joiners.insert(tree.add(leaf).unwrap(), (keys, signer));
        }
        let sent = self.send(sender, tree, joiners.keys().copied().collect());
        self.receive(&sent);
        for member in removed {
            assert!(receive(&sent, &member.private).is_err(), "a removed member reads the path");
        }
        for (leaf, (keys, signer)) in joiners {
            let path_secret = sent.new_path.path_secret_for(leaf);
            let private = PrivateTree::join(&self.tree, (leaf, keys), sender, path_secret).unwrap();
            self.members.insert(leaf, Member { private, signer });
        }
        sent
    }

    /// Adds without a path: the new members are unmerged everywhere.
    pub(crate) fn add_without_path(&mut self, adder: LeafIndex, adds: usize) {
        let added: Vec<_> = (0..adds)
            .map(|_| {
                let (leaf, keys, signer) = client(&mut self.dice);
                (self.tree.add(leaf).unwrap(), keys, signer)
            })
            .collect();
        for (leaf, keys, signer) in added {
            let private = PrivateTree::join(&self.tree, (leaf, keys), adder, None).unwrap();
            self.members.insert(leaf, Member { private, signer });
        }
    }

    /// Somebody joins by a commit of its own.
    pub(crate) fn join_externally(&mut self) -> LeafIndex {
        let (node, _, signer) = client(&mut self.dice);
        let before = self.tree.clone();
        let leaf = before.next_free_leaf().unwrap();
        let sent = self.send_with(leaf, NewLeaf::successor(&node), &signer, before, BTreeSet::new());
        self.receive(&sent);
        let (changes, _) = sent.new_path.into_parts();
        self.members.insert(leaf, Member { private: changes.into_tree(leaf).unwrap(), signer });
        leaf
    }

    /// All members process a commit and agree.
    fn receive(&mut self, sent: &Sent) {
        let mut tree = sent.before.clone();
        merge(&mut tree, sent.sender, &sent.path, &sent.added).unwrap();
        assert_eq!(tree.tree_hash(), sent.tree.tree_hash());
        let secret = sent.new_path.commit_secret().unwrap();
        for (leaf, member) in &mut self.members {
            let private = member.private.duplicate();
            member.private = if *leaf == sent.sender {
                let keys = sent.new_path.keys_for_test();
                private.apply(keys, &tree).unwrap()
            } else {
                let context = (CONTEXT, &sent.added);
                let (private, same) = private.decrypt_path(&tree, sent.sender, &sent.path, context).unwrap();
                assert!(ct_eq(secret.secret().expose(), same.secret().expose()));
                private
            };
        }
        self.tree = tree;
    }

    /// A random epoch.
    pub(crate) fn step(&mut self, limit: usize) {
        let sender = self.some_member();
        let others: Vec<_> = self.members.keys().copied().filter(|leaf| *leaf != sender).collect();
        let room = limit.saturating_sub(self.members.len());
        let adds = self.dice.below(4).min(room);
        match self.dice.below(8) {
            0 => self.add_without_path(sender, adds),
            1 if room > 0 => _ = self.join_externally(),
            2..4 => _ = self.commit(sender, adds, &[], &[]),
            kind => {
                let mut some = others;
                some.retain(|_| self.dice.below(4) == 0);
                let (updates, removes) = some.split_at(self.dice.below(some.len() + 1));
                let removes = if kind < 6 { removes } else { &[] };
                self.commit(sender, adds, updates, removes);
            }
        }
    }

    /// RFC 9420 §4.2: a member holds the key of each non-blank parent above it, unless it is unmerged.
    pub(crate) fn check_private_trees(&self) {
        for (leaf, member) in &self.members {
            assert_eq!(member.private.leaf(), *leaf);
            assert_eq!(
                self.tree.leaf(*leaf).unwrap().unwrap().encryption_key,
                member.private.leaf_keys().public
            );
            let mut known = member.private.nodes().collect::<BTreeSet<_>>();
            for node in leaf.node().unwrap().direct_path(self.tree.leaf_count()) {
                let parent = self.tree.parent(node).unwrap();
                let merged = parent.is_some_and(|parent| !parent.unmerged_leaves.contains(leaf));
                assert_eq!(known.remove(&node), merged, "{leaf:?} at {node:?}");
            }
            assert!(known.is_empty());
        }
    }

    /// The tree as a list of nodes.
    pub(crate) fn nodes(&self) -> Vec<Option<Node>> {
        nodes(&self.tree)
    }
}

/// What `private` gets out of a commit.
pub(crate) fn receive(sent: &Sent, private: &PrivateTree) -> Result<CommitSecret, Error> {
    Ok(decrypt(&sent.tree, private, sent.sender, &sent.path, (CONTEXT, &sent.added))?.1)
}

pub(crate) fn nodes(tree: &RatchetTree) -> Vec<Option<Node>> {
    let mut nodes: Vec<_> = (0..tree.leaf_count() * 2 - 1)
        .map(|number| {
            let at = crate::tree::NodeIndex::new(number).unwrap();
            match at.leaf() {
                Some(leaf) => tree.leaf(leaf).unwrap().map(Node::Leaf),
                None => tree.parent(at).unwrap().map(Node::Parent),
            }
        })
        .collect();
    while nodes.last().is_some_and(Option::is_none) {
        nodes.pop();
    }
    nodes
}

fn signer_of(world: &World, leaf: LeafIndex) -> SoftwareSigner {
    let private = &world.members[&leaf].signer.private_key().0;
    SoftwareSigner::new(SUITE, hushwood_crypto::SignaturePrivateKey(private.duplicate())).unwrap()
}

/// Somebody with a leaf as in a KeyPackage.
pub(crate) fn client(dice: &mut Dice) -> (LeafNode, KeyPair, SoftwareSigner) {
    let mut leaf = leaf_node(dice.number());
    let keys = KeyPair::generate(SUITE, &mut dice.0).unwrap();
    let signer = signer(&mut dice.0);
    leaf.encryption_key = keys.public.clone();
    leaf.signature_key = SignaturePublicKey(hushwood_crypto::Signer::public_key(&signer).0.clone());
    (leaf, keys, signer)
}
