//! RFC 9420 §10: KeyPackages: in an Add that members get, and at somebody who is about to add their client.

use hushwood::extension::ExtensionType;
use hushwood::tree::{LeafNodeSource, Lifetime};
use hushwood::version::ProtocolVersion;
use hushwood_crypto::{CipherSuiteId, HpkePublicKey};
use test_support::actor::NOW;

use crate::at::{At, Tamper};
use crate::literal::crypto::sign;
use crate::member::{KNOWN_EXTENSION, Plan};
use crate::mutation::{Family, How, Mutation, To, all, flip, other_length};
use crate::scene::{Scene, add};

/// The families of this file.
pub fn families() -> Vec<Family> {
    let both = || [super::leaves::any(), alone()].concat();
    let without_group = |mutation: &Mutation| !["C105", "C119", "C120"].contains(&mutation.row);
    vec![
        Family {
            name: "Add",
            to: To::Members,
            build: added,
            mutations: [both().into_iter().filter(not_of_a_member).collect(), in_group()].concat(),
        },
        Family {
            name: "Add proposed",
            to: To::Members,
            build: proposed,
            mutations: both().into_iter().filter(without_group).collect(),
        },
        Family {
            name: "KeyPackage",
            to: To::Inviter,
            build: shown,
            mutations: both().into_iter().filter(without_group).collect(),
        },
    ]
}

/// In a list it is seen at once that a client with that key is there.
fn not_of_a_member(mutation: &Mutation) -> bool {
    mutation.name != super::leaves::SOMEBODY_ELSES
}

/// A commit of an Add, without a path.
fn added(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let key_package = scene.friend.key_package(tamper);
    let plan = Plan { path: false, ..Plan::of(vec![add(key_package)]) };
    scene.hostile().commit(&plan, &mut scene.random(), tamper).message
}

/// The Add as a proposal.
fn proposed(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = hushwood::framing::Content::Proposal(add(scene.friend.key_package(tamper)));
    let format = hushwood::framing::WireFormat::PUBLIC_MESSAGE;
    scene.hostile().send(content, (format, 0), &mut scene.random(), tamper)
}

/// The KeyPackage by itself.
fn shown(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    scene.friend.key_package_message(tamper)
}

/// What can be wrong with a KeyPackage.
fn alone() -> Vec<Mutation> {
    vec![
        all("the KeyPackage's signature, one bit", "C203", |at, _, spot| {
            if let At::KeyPackageSigned(key_package) = at {
                flip(&mut key_package.signature, spot);
            }
        }),
        all("the KeyPackage's signature, other length", "C203", |at, _, spot| {
            if let At::KeyPackageSigned(key_package) = at {
                other_length(&mut key_package.signature, spot);
            }
        }),
        all("the KeyPackage signed by somebody else", "C212", |at, scene, spot| {
            if let At::KeyPackageSigned(key_package) = at
                && spot.once()
            {
                scene.other.sign_key_package(key_package);
            }
        }),
        all("the KeyPackage signed under another label", "C212", |at, scene, spot| {
            if let At::KeyPackageSigned(key_package) = at
                && spot.once()
            {
                let client = &scene.friend;
                key_package.signature = sign(client.suite, &client.signer, "LeafNodeTBS", b"");
            }
        }),
        all("a field of the KeyPackage changed after it was signed", "C212", |at, scene, spot| {
            if let At::KeyPackageSigned(key_package) = at
                && let Some(field) = spot.choice(2)
            {
                match field {
                    0 => key_package.init_key = scene.other.init_key.hpke_public(),
                    _ => key_package.extensions.set(KNOWN_EXTENSION, vec![1]),
                }
            }
        }),
        all("a KeyPackage of another version", "C204", |at, _, spot| {
            if let At::KeyPackage(key_package) = at
                && let Some(version) = spot.one_of(&[0, 2, 0xFFFF])
            {
                key_package.version = ProtocolVersion(version);
            }
        }),
        all("its init key is no key", "C200", |at, _, spot| {
            if let At::KeyPackage(key_package) = at
                && let Some(length) = spot.one_of(&[0, 31, 33, 64])
            {
                key_package.init_key = HpkePublicKey(vec![1; length]);
            }
        }),
        all("its init key is its leaf's key", "C213", |at, _, spot| {
            if let At::KeyPackage(key_package) = at
                && spot.once()
            {
                key_package.init_key = key_package.leaf_node.encryption_key.clone();
            }
        }),
        all("its leaf says it is from an Update", "C205", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source = LeafNodeSource::Update;
            }
        }),
        all("its leaf says it is from a commit", "C205", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source = LeafNodeSource::Commit { parent_hash: vec![1; 32] };
            }
        }),
        all("its lifetime is over", "C122", |at, _, spot| lifetime(at, spot, (NOW.0 - 1000, NOW.0 - 1))),
        all("its lifetime has not begun", "C122", |at, _, spot| {
            lifetime(at, spot, (NOW.0 + 1, NOW.0 + 1000))
        }),
        all("its lifetime ends before it begins", "C111", |at, _, spot| {
            lifetime(at, spot, (NOW.0 + 1, NOW.0 - 1))
        }),
        all("its lifetime has no end", "C110", |at, _, spot| lifetime(at, spot, (0, u64::MAX))),
        all("its lifetime is too long", "C110", |at, _, spot| {
            lifetime(at, spot, (NOW.0 - 10, NOW.0 + 90 * 24 * 60 * 60));
        }),
        all("the KeyPackage has an extension that is known and not listed", "C206", |at, _, spot| match at {
            At::Leaf(leaf) if spot.once() => leaf.capabilities.extensions.clear(),
            At::KeyPackage(key_package) if spot.hit => {
                key_package.extensions.set(ExtensionType::LAST_RESORT_KEY_PACKAGE, vec![]);
            }
            _ => {}
        }),
        all("the KeyPackage has an extension that does not belong there", "C375", |at, _, spot| {
            if let At::KeyPackage(key_package) = at {
                let misplaced = [
                    ExtensionType::RATCHET_TREE,
                    ExtensionType::REQUIRED_CAPABILITIES,
                    ExtensionType::EXTERNAL_PUB,
                    ExtensionType::EXTERNAL_SENDERS,
                    ExtensionType::APPLICATION_ID,
                ];
                if let Some(which) = spot.one_of(&misplaced) {
                    key_package.extensions.set(which, vec![0]);
                }
            }
        }),
    ]
}

fn lifetime(at: At<'_>, spot: &mut crate::mutation::Spot, (not_before, not_after): (u64, u64)) {
    if let At::Leaf(leaf) = at
        && spot.once()
    {
        leaf.leaf_node_source = LeafNodeSource::KeyPackage(Lifetime { not_before, not_after });
    }
}

/// What is wrong with an Add because of the group.
fn in_group() -> Vec<Mutation> {
    let another_suite: How = |at, _, spot| {
        if let At::KeyPackage(key_package) = at
            && let Some(suite) = spot.one_of(&[0, 2, 3, 7, 0x0A0A])
        {
            key_package.cipher_suite = CipherSuiteId(suite);
        }
    };
    vec![
        all("a KeyPackage of another suite", "C210", another_suite),
        all("its signature key is a member's", "C269", |at, scene, spot| {
            if let At::Leaf(leaf) = at
                && let Some(member) = spot.one_of(&scene.hostile().tree.members())
            {
                leaf.signature_key = scene.hostile().public_key_of(member);
            }
        }),
        all("its leaf has the key of another leaf", "C128", |at, scene, spot| {
            if let At::Leaf(leaf) = at
                && let Some(member) = spot.one_of(&scene.hostile().tree.members())
            {
                leaf.encryption_key =
                    scene.hostile().tree.leaf(member).expect("a member").encryption_key.clone();
            }
        }),
        all("its leaf has the key of a parent", "C338", |at, scene, spot| {
            if let At::Leaf(leaf) = at {
                let tree = &scene.hostile().tree;
                for node in (1..tree.nodes.len()).step_by(2) {
                    if let Some(parent) = tree.parent_node(node)
                        && spot.here()
                    {
                        leaf.encryption_key = parent.encryption_key.clone();
                    }
                }
            }
        }),
    ]
}
