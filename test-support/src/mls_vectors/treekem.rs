//! `treekem.json`: RFC 9420 §7.4 to §7.6, by all members, and with paths of our own.

use std::collections::{BTreeMap, BTreeSet};

use hushwood::extension::Extensions;
use hushwood::policy::Policy;
use hushwood::schedule::{CommitSecret, GroupContext};
use hushwood::tree::{
    KeyPair, LeafIndex, NewLeaf, NewPath, NodeIndex, PathSecret, PrivateChanges, PrivateTree, RatchetTree,
    UpdatePath, decrypt, merge,
};
use hushwood::version::ProtocolVersion;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{
    CipherSuite, CryptoProvider, HpkePrivateKey, Secret, SignaturePrivateKey, Signer, SoftwareSigner, ct_eq,
};
use serde::{Deserialize, Serialize};

use super::grove::Grove;
use super::tree_validation::odd_trees;
use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    group_id: Hex,
    epoch: u64,
    confirmed_transcript_hash: Hex,
    ratchet_tree: Hex,
    leaves_private: Vec<LeafPrivate>,
    update_paths: Vec<Path>,
}

#[derive(Deserialize, Serialize)]
struct LeafPrivate {
    index: u32,
    encryption_priv: Hex,
    signature_priv: Hex,
    path_secrets: Vec<NodeSecret>,
}

#[derive(Deserialize, Serialize)]
struct NodeSecret {
    node: u32,
    path_secret: Hex,
}

#[derive(Deserialize, Serialize)]
struct Path {
    sender: u32,
    update_path: Hex,
    path_secrets: Vec<Option<Hex>>,
    commit_secret: Hex,
    tree_hash_after: Hex,
}

struct Member {
    private: PrivateTree,
    signer: SoftwareSigner,
}

type Members = BTreeMap<LeafIndex, Member>;

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    super::for_each_suite("treekem", provider, json, |vector: &Vector| vector.cipher_suite, case)
}

fn case(vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>) {
    let tree = RatchetTree::from_extension(suite, &vector.ratchet_tree.0, &Policy::default()).unwrap();
    let members: Members =
        vector.leaves_private.iter().map(|leaf| leaf.member(suite, &tree, checks)).collect();
    let nobody = BTreeSet::new();
    for path in &vector.update_paths {
        let sender = LeafIndex::new(path.sender);
        let update_path = UpdatePath::from_bytes(&path.update_path.0).unwrap();
        let mut merged = tree.clone();
        checks.good("merge", merge(&mut merged, sender, &update_path, &nobody).is_ok());
        checks.equal("tree_hash_after", merged.tree_hash().unwrap().as_bytes(), &path.tree_hash_after);
        let context = vector.context(&merged);
        for (leaf, member) in members.iter().filter(|(leaf, _)| **leaf != sender) {
            let context = (context.as_slice(), &nobody);
            let (changes, secret) = decrypt(&merged, &member.private, sender, &update_path, context).unwrap();
            checks.equal("commit_secret", secret.secret().expose(), &path.commit_secret);
            let place = usize::try_from(leaf.number()).unwrap();
            let expected = path.path_secrets[place].as_ref().unwrap().secret();
            let expected = PathSecret::received(suite, expected).unwrap().key_pair(suite).unwrap();
            let (_, first) = changes.nodes.first().unwrap();
            checks.good("path_secret", ct_eq(first.private.0.expose(), expected.private.0.expose()));
        }
        own_path(vector, &tree, &members, sender, checks);
    }
}

/// A path of ours by the same sender, read by all others.
fn own_path(
    vector: &Vector,
    tree: &RatchetTree,
    members: &Members,
    sender: LeafIndex,
    checks: &mut Checks<'_>,
) {
    let random = &mut SeededRandom::new(vector.epoch);
    let nobody = BTreeSet::new();
    let mut generated = tree.clone();
    let leaf = NewLeaf::successor(&tree.leaf(sender).unwrap().unwrap());
    let place = (vector.group_id.0.as_slice(), &members[&sender].signer);
    let path = NewPath::generate(&mut generated, sender, leaf, (place.0, place.1), random).unwrap();
    let context = vector.context(&generated);
    let update_path = path.encrypt(&generated, &context, &nobody, random).unwrap();
    let mut merged = tree.clone();
    checks.good("merge of our path", merge(&mut merged, sender, &update_path, &nobody).is_ok());
    checks.good("same tree", merged.tree_hash() == generated.tree_hash());
    let (_, secret) = path.into_parts();
    for member in members.values().filter(|member| member.private.leaf() != sender) {
        let read = decrypt(&merged, &member.private, sender, &update_path, (&context, &nobody));
        let same = |read: CommitSecret| ct_eq(read.secret().expose(), secret.secret().expose());
        checks.good("commit_secret of our path", read.is_ok_and(|(_, read)| same(read)));
    }
}

impl LeafPrivate {
    fn member(
        &self,
        suite: &'static dyn CipherSuite,
        tree: &RatchetTree,
        checks: &mut Checks<'_>,
    ) -> (LeafIndex, Member) {
        let leaf = LeafIndex::new(self.index);
        let private = HpkePrivateKey(self.encryption_priv.secret());
        let leaf_keys = KeyPair { public: suite.kem().public_key(&private).unwrap(), private };
        let in_tree = tree.leaf(leaf).unwrap().unwrap();
        checks.good("leaf key", in_tree.encryption_key == leaf_keys.public);
        let keys = |secret: &NodeSecret| {
            let path_secret = PathSecret::received(suite, secret.path_secret.secret()).unwrap();
            (NodeIndex::new(secret.node).unwrap(), path_secret.key_pair(suite).unwrap())
        };
        let changes = PrivateChanges { leaf_keys: None, nodes: self.path_secrets.iter().map(keys).collect() };
        let private = PrivateTree::new(leaf, leaf_keys).apply(changes, tree).unwrap();
        // Keys that are not those of the tree would have been dropped.
        checks.good("path_secrets", private.nodes().count() == self.path_secrets.len());
        let key = SignaturePrivateKey(self.signature_priv.secret());
        let signer = SoftwareSigner::new(suite, key).unwrap();
        checks.good("signature key", in_tree.signature_key == *signer.public_key());
        (leaf, Member { private, signer })
    }
}

impl Vector {
    fn context(&self, tree: &RatchetTree) -> Vec<u8> {
        let context = GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: tree.suite().id(),
            group_id: self.group_id.0.clone(),
            epoch: self.epoch,
            tree_hash: tree.tree_hash().unwrap().as_bytes().to_vec(),
            confirmed_transcript_hash: self.confirmed_transcript_hash.0.clone(),
            extensions: Extensions::new(),
        };
        context.to_bytes().unwrap()
    }
}

/// Makes a file: small trees, with and without blanks and unmerged leaves, and a path by each member.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("treekem", |suite, random| {
        let mut groves = Vec::new();
        for leaves in [2, 3, 4, 5, 7, 8] {
            groves.push(Grove::grown(generator.provider(), suite, leaves, random));
        }
        groves.extend(odd_trees(generator, suite, random));
        groves.into_iter().map(Vector::generate).collect()
    })
}

impl Vector {
    fn generate(mut grove: Grove) -> Self {
        let length = grove.suite.kdf().length();
        let mut vector = Self {
            cipher_suite: grove.suite.id().0,
            group_id: grove.group_id.clone(),
            epoch: 5,
            confirmed_transcript_hash: Hex(grove.random().bytes(length)),
            ratchet_tree: grove.encoded(),
            leaves_private: grove.members.keys().map(|leaf| LeafPrivate::generate(&grove, *leaf)).collect(),
            update_paths: Vec::new(),
        };
        let members: Vec<LeafIndex> = grove.members.keys().copied().collect();
        for sender in members {
            let path = Path::generate(&mut grove, sender, &vector);
            vector.update_paths.push(path);
        }
        vector
    }
}

impl LeafPrivate {
    fn generate(grove: &Grove, leaf: LeafIndex) -> Self {
        let member = &grove.members[&leaf];
        let secret = |(node, secret): (NodeIndex, &Secret)| NodeSecret {
            node: node.number(),
            path_secret: Hex::of(secret),
        };
        Self {
            index: leaf.number(),
            encryption_priv: Hex::of(&member.encryption_key),
            signature_priv: Hex::of(&member.signer.private_key().0),
            path_secrets: grove.path_secrets(leaf).into_iter().map(secret).collect(),
        }
    }
}

impl Path {
    fn generate(grove: &mut Grove, sender: LeafIndex, vector: &Vector) -> Self {
        let mut after = grove.tree.clone();
        let path = grove.path(sender, &mut after);
        let update_path = grove.encrypt(&path, &after, &vector.context(&after));
        let secret = |leaf: LeafIndex| {
            let is_reader = leaf != sender && grove.members.contains_key(&leaf);
            is_reader.then(|| Hex::of(&path.path_secret_for(leaf).unwrap().into_secret()))
        };
        Self {
            sender: sender.number(),
            update_path: Hex(update_path.to_bytes().unwrap()),
            path_secrets: (0..after.leaf_count()).map(LeafIndex::new).map(secret).collect(),
            commit_secret: Hex::of(path.commit_secret().unwrap().secret()),
            tree_hash_after: Hex(after.tree_hash().unwrap().as_bytes().to_vec()),
        }
    }
}
