//! RFC 9420 §7.9.2, §12.4.3.1: trees that a member who means harm may sign for those who join.
//!
//! The GroupInfo's signature and the tree's hash are right each time, so that nothing but the rule itself
//! stands in the way.

use hushwood_codec::{DecodeErrorKind, Encode, Writer};
use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner, sign_with_label};
use hushwood_rustcrypto::PROVIDER;
use test_support::assert_breaks;

use super::*;
use crate::credential::{Credential, CredentialType};
use crate::extension::{Extensions, RequiredCapabilities};
use crate::policy::Grease;
use crate::proposal::ProposalType;
use crate::schedule::GroupContext;
use crate::testing::ToyRandom;
use crate::tree::leaf_node_validation::signed_content;
use crate::tree::world::nodes;
use crate::tree::{
    KeyPair, LeafContent, LeafIndex, LeafNode, LeafNodeSource, Lifetime, NewLeaf, NewPath, Node, ParentNode,
    PathStep, Supported, UnsignedLeafNode,
};

const GROUP: &[u8] = b"group";
const NOW: Timestamp = Timestamp(150);
const MALLORY: u32 = 0;

/// Six members in a tree of eight leaves. Mallory, at leaf 0, has committed; then the one at leaf 5 was added.
struct World {
    suite: &'static dyn CipherSuite,
    policy: Policy,
    random: ToyRandom,
    signers: Vec<SoftwareSigner>,
    tree: RatchetTree,
    extensions: Extensions,
}

impl World {
    fn new() -> Self {
        let suite = PROVIDER.suites[0];
        let policy = Policy { grease: Grease::Nowhere, ..Policy::default() };
        let mut random = ToyRandom(0);
        let mut signers = Vec::new();
        let mut leaf = |random: &mut ToyRandom| {
            let keys = KeyPair::generate(suite, random).unwrap();
            let content = LeafContent {
                credential: Credential::basic(format!("member {}", signers.len())),
                supported: Supported::new(&PROVIDER),
                extensions: Extensions::new(),
            };
            let source = LeafNodeSource::KeyPackage(Lifetime { not_before: 100, not_after: 200 });
            let leaf = UnsignedLeafNode::new(&content, keys.public, source, &policy, random).unwrap();
            signers.push(SoftwareSigner::generate(suite, random).unwrap());
            leaf.sign(signers.last().unwrap(), (&[], LeafIndex::new(0))).unwrap()
        };
        let mut tree = RatchetTree::new(suite, leaf(&mut random)).unwrap();
        (1..5).for_each(|_| _ = tree.add(leaf(&mut random)).unwrap());
        let last = leaf(&mut random);
        let mallory = LeafIndex::new(MALLORY);
        let new_leaf = NewLeaf::successor(&tree.leaf(mallory).unwrap().unwrap());
        NewPath::generate(&mut tree, mallory, new_leaf, (GROUP, &signers[0]), &mut random).unwrap();
        tree.add(last).unwrap();
        Self { suite, policy, random, signers, tree, extensions: Extensions::new() }
    }

    fn nodes(&self) -> Vec<Option<Node>> {
        nodes(&self.tree)
    }

    /// The tree after a change to a leaf, which its member has signed again.
    fn with_leaf(&self, member: u32, change: impl FnOnce(&mut LeafNode)) -> Vec<Option<Node>> {
        let mut nodes = self.nodes();
        let leaf = leaf_in(&mut nodes, member);
        change(leaf);
        leaf.signature = self.sign(leaf, member);
        nodes
    }

    fn sign(&self, leaf: &LeafNode, member: u32) -> Vec<u8> {
        let signed = signed_content(leaf, LeafPlace::Tree(GROUP, LeafIndex::new(member))).unwrap();
        self.signers[usize::try_from(member).unwrap()].sign(&signed).unwrap()
    }

    /// The tree after a change to one of Mallory's parents.
    fn with_parent(&self, node: usize, change: impl FnOnce(&mut ParentNode)) -> Vec<Option<Node>> {
        let mut nodes = self.nodes();
        let Some(Node::Parent(parent)) = &mut nodes[node] else { panic!("no parent") };
        change(parent);
        nodes
    }

    /// As if Mallory had committed in this tree: all parent hashes are right.
    fn vouched(&self, list: Vec<Option<Node>>) -> Vec<Option<Node>> {
        let mallory = LeafIndex::new(MALLORY);
        let mut tree = RatchetTree::from_nodes(self.suite, list, 8).unwrap();
        let steps = tree.filtered_direct_path(mallory).unwrap();
        let key = |step: &PathStep| tree.encryption_key(step.node).unwrap().unwrap().clone();
        let keys: Vec<_> = steps.iter().map(key).collect();
        let path: Vec<_> = steps.into_iter().zip(&keys).collect();
        let (parents, parent_hash) = tree.path_nodes(&path).unwrap();
        let mut leaf = tree.leaf(mallory).unwrap().unwrap().clone();
        leaf.leaf_node_source = LeafNodeSource::Commit { parent_hash };
        leaf.signature = self.sign(&leaf, MALLORY);
        tree.replace_path(mallory, Some(&leaf), parents).unwrap();
        nodes(&tree)
    }

    /// A GroupInfo with this tree, signed by Mallory; its tree hash is right if the tree has one at all.
    fn group_info(&self, nodes: &[Option<Node>]) -> GroupInfo {
        let tree = RatchetTree::from_nodes(self.suite, nodes.to_vec(), 1 << 10);
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::RATCHET_TREE, nodes.to_vec().to_bytes().unwrap());
        let group_context = GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: self.suite.id(),
            group_id: GROUP.to_vec(),
            epoch: 7,
            tree_hash: tree.map_or(vec![], |tree| tree.tree_hash().unwrap().as_bytes().to_vec()),
            confirmed_transcript_hash: vec![1; 32],
            extensions: self.extensions.clone(),
        };
        let signer = LeafIndex::new(MALLORY);
        let confirmation_tag = vec![2; 32];
        self.signed(GroupInfo { group_context, extensions, confirmation_tag, signer, signature: vec![] })
    }

    fn signed(&self, mut group_info: GroupInfo) -> GroupInfo {
        let mut tbs = Writer::new();
        group_info.encode_tbs(&mut tbs);
        group_info.signature =
            sign_with_label(&self.signers[0], "GroupInfoTBS", &tbs.finish().unwrap()).unwrap();
        group_info
    }

    fn verify(&mut self, group_info: GroupInfo) -> Result<VerifiedGroup, Error> {
        let circumstances = Circumstances { suite: self.suite, policy: &self.policy, now: NOW };
        verify(group_info, None, circumstances, &mut self.random)
    }

    fn refusal(&mut self, nodes: &[Option<Node>]) -> Error {
        let group_info = self.group_info(nodes);
        self.verify(group_info).unwrap_err()
    }
}

fn leaf_in(nodes: &mut [Option<Node>], member: u32) -> &mut LeafNode {
    match &mut nodes[2 * usize::try_from(member).unwrap()] {
        Some(Node::Leaf(leaf)) => leaf,
        _ => panic!("no leaf"),
    }
}

/// Mallory's parents.
const PATH: [usize; 3] = [1, 3, 7];

#[test]
fn what_is_right_is_accepted_with_a_credential_to_judge_for_each_member() {
    let mut world = World::new();
    let group_info = world.group_info(&world.nodes());
    let verified = world.verify(group_info).unwrap();
    assert_eq!(verified.tree.member_count(), 6);
    assert_eq!(verified.checks.len(), 6);
    // The helpers change what they are told to change, and nothing more.
    let key = KeyPair::generate(world.suite, &mut world.random).unwrap().public;
    for node in PATH {
        let nodes = world.with_parent(node, |parent| parent.encryption_key = key.clone());
        let group_info = world.group_info(&world.vouched(nodes));
        world.verify(group_info).unwrap();
    }
    for member in 0..6 {
        let nodes = world.with_leaf(member, |leaf| leaf.encryption_key = key.clone());
        let group_info = world.group_info(&world.vouched(nodes));
        world.verify(group_info).unwrap();
    }
}

#[test]
fn a_parents_key_of_small_order_is_refused_though_its_parent_hash_is_right() {
    let mut world = World::new();
    for (node, small) in PATH.into_iter().flat_map(|node| [(node, 0), (node, 1)]) {
        let nodes = world.with_parent(node, |parent| {
            parent.encryption_key.0.fill(0);
            parent.encryption_key.0[0] = small;
        });
        // C101.
        assert_breaks!(
            world.refusal(&world.vouched(nodes)),
            Violation::HpkePublicKey,
            "C032",
            "C034",
            "C101"
        );
    }
}

#[test]
fn a_leafs_key_of_small_order_is_refused_though_its_owner_signed_it() {
    let mut world = World::new();
    for member in 0..6 {
        let nodes = world.with_leaf(member, |leaf| leaf.encryption_key.0.fill(0));
        assert_breaks!(world.refusal(&world.vouched(nodes)), Violation::HpkePublicKey, "C034");
    }
}

#[test]
fn a_parent_that_no_leaf_vouches_for_is_refused() {
    let mut world = World::new();
    for node in PATH {
        for change in [
            |parent: &mut ParentNode| parent.encryption_key.0[5] ^= 1,
            |parent: &mut ParentNode| parent.parent_hash = vec![3; 32],
        ] {
            let nodes = world.with_parent(node, change);
            assert_breaks!(world.refusal(&nodes), Violation::ParentHash, "C148", "C151", "C334");
        }
    }
    let source = LeafNodeSource::Commit { parent_hash: vec![3; 32] };
    let nodes = world.with_leaf(MALLORY, |leaf| leaf.leaf_node_source = source);
    assert_breaks!(world.refusal(&nodes), Violation::ParentHash, "C148", "C151", "C334");
    let nodes = world.with_leaf(MALLORY, |leaf| leaf.leaf_node_source = LeafNodeSource::Update);
    assert_breaks!(world.refusal(&nodes), Violation::ParentHash, "C148", "C151", "C334");
}

#[test]
fn unmerged_leaves_that_are_not_what_they_should_be_are_refused() {
    let mut world = World::new();
    let Some(Node::Parent(root)) = &world.nodes()[7] else { panic!("no root") };
    assert_eq!(root.unmerged_leaves, [LeafIndex::new(5)]);
    for unmerged in [&[6][..], &[5, 9], &[0, 5], &[5, 7]] {
        let unmerged: Vec<_> = unmerged.iter().copied().map(LeafIndex::new).collect();
        let nodes = world.with_parent(7, |parent| parent.unmerged_leaves = unmerged);
        assert_breaks!(world.refusal(&nodes), Violation::UnmergedLeaves, "C100", "C336");
    }
    let nodes = world.with_parent(7, |parent| parent.unmerged_leaves = [5, 4].map(LeafIndex::new).to_vec());
    let Error::Decode(error) = world.refusal(&nodes) else { panic!("taken") };
    assert_eq!(error.kind, DecodeErrorKind::Unsorted);
    // Without its name there, the member that was added would have to have been there before.
    let nodes = world.with_parent(7, |parent| parent.unmerged_leaves.clear());
    assert_breaks!(world.refusal(&nodes), Violation::ParentHash, "C149");
}

#[test]
fn a_key_that_is_in_the_tree_twice_is_refused() {
    let mut world = World::new();
    let key = |nodes: &[Option<Node>], place: usize| match nodes[place].clone() {
        Some(Node::Leaf(leaf)) => leaf.encryption_key,
        Some(Node::Parent(parent)) => parent.encryption_key,
        None => panic!("blank"),
    };
    for from in [1, 3, 4, 8] {
        let taken = key(&world.nodes(), from);
        let nodes = world.with_leaf(3, |leaf| leaf.encryption_key = taken.clone());
        assert_breaks!(world.refusal(&nodes), Violation::EncryptionKeyReused, "C128", "C338", "C413");
        let nodes = world.with_parent(7, |parent| parent.encryption_key = taken.clone());
        assert_breaks!(world.refusal(&nodes), Violation::EncryptionKeyReused, "C128", "C338", "C413");
    }
    let mut nodes = world.nodes();
    let signature_key = leaf_in(&mut nodes, 2).signature_key.clone();
    let nodes = world.with_leaf(3, |leaf| leaf.signature_key = signature_key);
    assert_breaks!(world.refusal(&nodes), Violation::SignatureKeyReused, "C127", "C413");
}

#[test]
fn a_tree_that_is_empty_ends_in_a_blank_or_has_a_node_in_the_wrong_place_is_refused() {
    let mut world = World::new();
    let mut swapped = world.nodes();
    swapped.swap(0, 1);
    for nodes in [vec![], [world.nodes(), vec![None]].concat(), swapped] {
        assert_breaks!(world.refusal(&nodes), Violation::TreeShape, "C018", "C371", "C373");
    }
}

#[test]
fn a_leaf_whose_signature_is_not_for_its_place_is_refused() {
    let mut world = World::new();
    for member in 1..6 {
        let mut nodes = world.nodes();
        leaf_in(&mut nodes, member).signature[7] ^= 1;
        assert_breaks!(
            world.refusal(&world.vouched(nodes)),
            Violation::LeafSignature,
            "C112",
            "C115",
            "C335"
        );
    }
    // Mallory's own, from another group and from another leaf.
    for (group_id, index) in [(&b"another"[..], MALLORY), (GROUP, 1)] {
        let mut nodes = world.nodes();
        let leaf = leaf_in(&mut nodes, MALLORY);
        let signed = signed_content(leaf, LeafPlace::Tree(group_id, LeafIndex::new(index))).unwrap();
        leaf.signature = world.signers[0].sign(&signed).unwrap();
        assert_breaks!(world.refusal(&nodes), Violation::LeafSignature, "C112", "C115", "C335");
    }
}

/// C036: its owner has signed with it, in its own scheme.
#[test]
fn a_leaf_with_a_key_of_another_signature_scheme_is_refused() {
    let mut world = World::new();
    let other = PROVIDER.suite(CipherSuiteId(2)).unwrap();
    let signer = SoftwareSigner::generate(other, &mut world.random).unwrap();
    let mut nodes = world.nodes();
    let leaf = leaf_in(&mut nodes, 5);
    leaf.signature_key = signer.public_key().clone();
    let signed = signed_content(leaf, LeafPlace::Tree(GROUP, LeafIndex::new(5))).unwrap();
    leaf.signature = signer.sign(&signed).unwrap();
    assert_breaks!(world.refusal(&nodes), Violation::SignaturePublicKey, "C036");
}

/// C035, C036: a key that is none can't verify the GroupInfo either, and that is what is said of it.
#[test]
fn a_group_info_whose_signer_has_no_key_of_the_scheme_is_refused_for_the_key() {
    let mut world = World::new();
    // Too short, too long, a point of small order.
    for key in [vec![9; 31], vec![9; 33], vec![], vec![0; 32]] {
        let mut nodes = world.nodes();
        leaf_in(&mut nodes, MALLORY).signature_key.0 = key;
        assert_breaks!(world.refusal(&nodes), Violation::SignaturePublicKey, "C035", "C036");
    }
}

/// C038: with the right key, over the right content.
#[test]
fn a_leaf_that_was_signed_under_another_label_is_refused() {
    let mut world = World::new();
    let signed_as = |world: &World, label| {
        let mut nodes = world.nodes();
        let leaf = leaf_in(&mut nodes, 5);
        let mut tbs = Writer::new();
        leaf.encode_tbs(&mut tbs, (GROUP, LeafIndex::new(5)));
        leaf.signature = sign_with_label(&world.signers[5], label, &tbs.finish().unwrap()).unwrap();
        world.group_info(&nodes)
    };
    let right = signed_as(&world, "LeafNodeTBS");
    assert!(world.verify(right).is_ok());
    for label in ["FramedContentTBS", "KeyPackageTBS", "GroupInfoTBS"] {
        let wrong = signed_as(&world, label);
        assert_breaks!(world.verify(wrong).unwrap_err(), Violation::LeafSignature, "C038");
    }
}

#[test]
fn a_leaf_that_does_not_support_what_the_group_is_refused() {
    // Leaf 5 is unmerged, so its content is in no parent hash.
    let mut world = World::new();
    let nodes = world.with_leaf(5, |leaf| leaf.capabilities.cipher_suites.clear());
    assert_breaks!(world.refusal(&nodes), Violation::CapabilitiesLackGroup, "C105");
    let nodes = world.with_leaf(5, |leaf| leaf.capabilities.credentials = vec![CredentialType::X509]);
    assert_breaks!(world.refusal(&nodes), Violation::CapabilitiesLackCredential, "C107", "C119");
    // Its own credential it supports, which the others do not.
    let nodes = world.with_leaf(5, |leaf| {
        let credential_type = CredentialType(0xF000);
        leaf.credential = Credential::Custom { credential_type, data: vec![] };
        leaf.capabilities.credentials.push(credential_type);
    });
    assert_breaks!(world.refusal(&nodes), Violation::CapabilitiesLackCredential, "C107", "C119");
    let lifetime = Lifetime { not_before: 200, not_after: 100 };
    let nodes = world.with_leaf(5, |leaf| leaf.leaf_node_source = LeafNodeSource::KeyPackage(lifetime));
    assert_breaks!(world.refusal(&nodes), Violation::LeafLifetimeRange, "C111");

    let required = RequiredCapabilities { proposal_types: vec![ProposalType(0xF000)], ..Default::default() };
    world.extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
    assert_breaks!(world.refusal(&world.nodes()), Violation::CapabilitiesLackRequired, "C117");
    world.extensions = Extensions::new();
    world.extensions.set(ExtensionType(0xF000), vec![]);
    assert_breaks!(world.refusal(&world.nodes()), Violation::CapabilitiesLackExtension, "C321", "C385");
}

#[test]
fn a_tree_of_another_hash_and_no_tree_at_all_are_refused() {
    let mut world = World::new();
    let mut group_info = world.group_info(&world.nodes());
    group_info.group_context.tree_hash[0] ^= 1;
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info).unwrap_err(), Violation::TreeHash, "C333", "C351", "C374");

    let mut group_info = world.group_info(&world.nodes());
    group_info.extensions.remove(ExtensionType::RATCHET_TREE);
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info.clone()).unwrap_err(), NotNow::TreeMissing, "C332");
    // From elsewhere it is measured by the same hash.
    let other = world.with_leaf(3, |leaf| leaf.encryption_key.0[3] ^= 1).to_bytes().unwrap();
    let circumstances = Circumstances { suite: world.suite, policy: &world.policy, now: NOW };
    let verified = verify(group_info, Some(&other), circumstances, &mut world.random);
    assert_breaks!(verified.unwrap_err(), Violation::TreeHash, "C333", "C351", "C374");
}

#[test]
fn a_group_info_that_no_member_signed_is_refused() {
    let mut world = World::new();
    for signer in [6, 7, 8, 1 << 24, u32::MAX] {
        let group_info = GroupInfo { signer: LeafIndex::new(signer), ..world.group_info(&world.nodes()) };
        let group_info = world.signed(group_info);
        assert_breaks!(world.verify(group_info).unwrap_err(), Violation::GroupInfoSigner, "C324", "C351");
    }
    // Mallory signs as somebody else.
    let group_info = GroupInfo { signer: LeafIndex::new(1), ..world.group_info(&world.nodes()) };
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info).unwrap_err(), Violation::GroupInfoSignature, "C323", "C351");
    for change in [
        |info: &mut GroupInfo| info.group_context.epoch += 1,
        |info: &mut GroupInfo| info.group_context.confirmed_transcript_hash[0] ^= 1,
        |info: &mut GroupInfo| info.confirmation_tag[0] ^= 1,
        |info: &mut GroupInfo| info.extensions.set(ExtensionType(0xF0F0), vec![]),
        |info: &mut GroupInfo| info.signature.clear(),
    ] {
        let mut group_info = world.group_info(&world.nodes());
        change(&mut group_info);
        assert_breaks!(world.verify(group_info).unwrap_err(), Violation::GroupInfoSignature, "C323", "C351");
    }
}

#[test]
fn a_group_of_another_version_or_suite_or_with_a_misplaced_extension_is_refused() {
    let mut world = World::new();
    let mut group_info = world.group_info(&world.nodes());
    group_info.group_context.version = ProtocolVersion(2);
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info).unwrap_err(), Unsupported::ProtocolVersion, "C162", "C331");
    let mut group_info = world.group_info(&world.nodes());
    group_info.group_context.cipher_suite.0 = 3;
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info).unwrap_err(), Violation::KeyPackageSuite, "C331");
    world.extensions.set(ExtensionType::RATCHET_TREE, vec![0]);
    assert_breaks!(world.refusal(&world.nodes()), Violation::ExtensionMisplaced, "C375");
    world.extensions = Extensions::new();
    let mut group_info = world.group_info(&world.nodes());
    group_info.extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![0]);
    let group_info = world.signed(group_info);
    assert_breaks!(world.verify(group_info).unwrap_err(), Violation::ExtensionMisplaced, "C375");
}
