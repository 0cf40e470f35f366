//! What somebody gets who wants to join.

use hushwood::error::{NotNow, Violation};
use hushwood::framing::MlsMessage;
use hushwood::group::{ExternalJoin, StagedExternalJoin};
use hushwood::key_package::KeyPackage;
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::tree::{LeafIndex, LeafNode, Node, ParentNode, Supported};
use hushwood::unverified::Unverified;
use hushwood::welcome::{GroupInfo, GroupSecrets};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::Secret;

use super::Expected::{self, Refused, RefusedLate, Taken};
use super::{Case, Cost, Siege, actor, copy};
use crate::actor::Actor;
use crate::counting::Kind;

/// Gives the joiner each message of the table and returns what they have cost: at most one decapsulation, and signatures
/// no more than there are leaves, once the structure is right.
///
/// # Panics
/// If one of them costs more than it may, or something else comes of it.
#[must_use]
pub fn table(siege: &Siege) -> Vec<Cost> {
    let mut costs = welcomes(siege);
    costs.extend(group_infos(siege));
    costs.extend(key_packages(siege));
    costs
}

/// A tree with something wrong that shows without a signature.
struct BadTree {
    name: &'static str,
    change: fn(&mut Vec<Option<Node>>),
    violation: Violation,
}

const BAD_TREES: [BadTree; 5] = [
    BadTree {
        name: "a tree in which a parent lists a leaf that is not there as unmerged",
        change: |nodes| some_parent(nodes).unmerged_leaves.push(LeafIndex::new(1 << 23)),
        violation: Violation::UnmergedLeaves,
    },
    BadTree {
        name: "a tree with another key at a parent",
        change: |nodes| some_parent(nodes).encryption_key.0[0] ^= 1,
        violation: Violation::ParentHash,
    },
    BadTree {
        name: "a tree whose last leaf lacks capabilities",
        change: |nodes| last_leaf(nodes).capabilities.cipher_suites.clear(),
        violation: Violation::CapabilitiesLackGroup,
    },
    BadTree {
        name: "a tree with a key twice",
        change: |nodes| {
            let Some(Node::Leaf(first)) = nodes[0].clone() else { panic!("the founder is there") };
            last_leaf(nodes).encryption_key = first.encryption_key;
        },
        violation: Violation::EncryptionKeyReused,
    },
    BadTree {
        name: "a tree with a blank at its end",
        change: |nodes| nodes.push(None),
        violation: Violation::TreeShape,
    },
];

fn some_parent(nodes: &mut [Option<Node>]) -> &mut ParentNode {
    let parent = nodes.iter_mut().flatten().find_map(|node| match node {
        Node::Parent(parent) => Some(parent),
        Node::Leaf(_) => None,
    });
    parent.expect("a parent that is not blank")
}

fn last_leaf(nodes: &mut [Option<Node>]) -> &mut LeafNode {
    match nodes.last_mut() {
        Some(Some(Node::Leaf(leaf))) => leaf,
        _ => panic!("the last node is a leaf"),
    }
}

fn welcomes(siege: &Siege) -> Vec<Cost> {
    let insider = &siege.invited;
    let key_package = &siege.joiner_key_package;
    let welcome = |group_info: &GroupInfo, secrets: &GroupSecrets, others| {
        insider.welcome(key_package, group_info, secrets, others)
    };
    let valid = &insider.group_info;
    let secrets = insider.group_secrets();
    let with_psks = |count: u32, nonce: usize| {
        let id = |number: u32| PreSharedKeyId {
            psk: Psk::External { psk_id: [&[0; 5][..], &number.to_be_bytes()].concat() },
            psk_nonce: vec![3; nonce],
        };
        let joiner_secret = Secret::copy_of(secrets.joiner_secret.expose());
        GroupSecrets { joiner_secret, path_secret: None, psks: (0..count).map(id).collect() }
    };
    let case = |name, message, expected| Case { name, message, proposals: 0, expected };
    let late = |error: Violation| RefusedLate(error.into());
    let mut other_joiner = actor("another", siege.joiner.provider, 900);
    let stranger_package = other_joiner.key_package();
    let mut wrong_hash = valid.clone();
    wrong_hash.group_context.tree_hash[0] ^= 1;
    let mut cases = vec![
        case("a Welcome", welcome(valid, &secrets, 0), Taken),
        case("a Welcome with 10,000 entries for others", welcome(valid, &secrets, 10_000), Taken),
        case("a Welcome with 100,000 entries for others", welcome(valid, &secrets, 100_000), Taken),
        case(
            "25,000 pre-shared keys that nobody has",
            welcome(valid, &with_psks(25_000, 32), 0),
            RefusedLate(NotNow::PskMissing.into()),
        ),
        case("66,000 pre-shared keys", welcome(valid, &with_psks(66_000, 0), 0), late(Violation::PskTooMany)),
        case("2^20 pre-shared keys", welcome(valid, &with_psks(1 << 20, 0), 0), late(Violation::PskTooMany)),
        case(
            "a short nonce of a pre-shared key",
            welcome(valid, &with_psks(1, 31), 0),
            late(Violation::PskNonce),
        ),
        case(
            "another tree hash",
            welcome(&insider.signed(wrong_hash), &secrets, 0),
            late(Violation::TreeHash),
        ),
    ];
    for BadTree { name, change, violation } in BAD_TREES {
        let message = welcome(&insider.group_info_with(change), &secrets, 0);
        cases.push(case(name, message, late(violation)));
    }
    let mut costs: Vec<Cost> = cases.iter().map(|case| join(siege, &siege.joiner, case)).collect();
    let with_path = case("a Welcome with a path secret", siege.welcome.clone(), Taken);
    costs.push(join(siege, &siege.newcomer, &with_path));
    let message = insider.welcome(&stranger_package, valid, &secrets, 0);
    costs.push(join(
        siege,
        &other_joiner,
        &case("a tree without the joiner", message, late(Violation::LeafNotInTree)),
    ));
    // Of nobody's KeyPackage nothing is opened at all.
    let mut foreign = insider.welcome.clone();
    foreign.secrets[0].new_member.0[0] ^= 1;
    let entry = foreign.secrets[0].clone();
    foreign.secrets = vec![entry; 5_000];
    let message = MlsMessage::Welcome(foreign).to_bytes().unwrap();
    let nobody = case("a Welcome for nobody here", message, Refused(NotNow::NoKeyPackage.into(), 0));
    costs.push(join(siege, &siege.joiner, &nobody));
    costs
}

fn join(siege: &Siege, joiner: &Actor, case: &Case) -> Cost {
    let mut joiner = copy(joiner, joiner.provider);
    let outcome = siege.measure(|| joiner.join(&case.message, None).map(drop));
    let (verifications, taken) = (outcome.1.of(Kind::Verify).calls, outcome.0.is_ok());
    if let Expected::RefusedLate(_) = case.expected {
        assert_eq!(verifications, 0, "{}: structure comes before signatures", case.name);
        assert_eq!(outcome.1.public_key_operations(), 1, "{}: the entry is opened, and no more", case.name);
    }
    // All leaves, and the GroupInfo.
    assert!(verifications <= siege.members + 2, "{}: {verifications} verifications", case.name);
    let more = if taken { siege.members + 2 } else { 0 };
    siege.check(case, outcome, (more, 1))
}

/// For external commits.
fn group_infos(siege: &Siege) -> Vec<Cost> {
    let insider = &siege.invited;
    let message = |group_info: GroupInfo| {
        MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes().unwrap()
    };
    let valid = siege.founder().group_info(true);
    let mut bad_hash = insider.group_info.clone();
    bad_hash.group_context.tree_hash[0] ^= 1;
    let mut no_key = insider.group_info.clone();
    no_key.signer = LeafIndex::new(1 << 20);
    let case = |name, message, expected| Case { name, message, proposals: 0, expected };
    let refused = |error: Violation, verifications| Refused(error.into(), verifications);
    let mut cases = vec![
        case("a GroupInfo", valid, Taken),
        case("a GroupInfo with another tree hash", message(bad_hash), refused(Violation::TreeHash, 0)),
        case("a GroupInfo of nobody", message(no_key), refused(Violation::GroupInfoSigner, 0)),
        // The GroupInfo of a Welcome has no key for those outside.
        case(
            "a GroupInfo without key",
            message(insider.group_info.clone()),
            refused(Violation::ExternalPubAbsent, 0),
        ),
    ];
    for BadTree { name, change, violation } in BAD_TREES {
        cases.push(case(name, message(insider.group_info_with(change)), refused(violation, 0)));
    }
    let measured = cases.iter().map(|case| {
        let outsider = actor("outsider", siege.joiner.provider, 700);
        let settings =
            ExternalJoin::new(outsider.provider, outsider.credential(), Supported::new(&outsider.provider));
        let (signer, mut random) = (&outsider.signer, outsider.random.clone());
        let outcome = siege.measure(|| {
            StagedExternalJoin::stage(&case.message, None, settings, signer, outsider.now, &mut random)
                .map(drop)
        });
        let more = if outcome.0.is_ok() { 3 * (siege.members + 2) } else { 0 };
        siege.check(case, outcome, (more, 0))
    });
    measured.collect()
}

fn key_packages(siege: &Siege) -> Vec<Cost> {
    let mut stranger = actor("stranger", siege.joiner.provider, 800);
    let valid = stranger.key_package();
    let with = |change: &dyn Fn(&mut KeyPackage)| {
        let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&valid).unwrap() else {
            panic!("not a KeyPackage");
        };
        let mut key_package = key_package.inspect().clone();
        change(&mut key_package);
        MlsMessage::KeyPackage(Box::new(Unverified::new(key_package))).to_bytes().unwrap()
    };
    let case = |name, message, expected| Case { name, message, proposals: 0, expected };
    let refused = |error: Violation, verifications| Refused(error.into(), verifications);
    let cases = [
        case("a KeyPackage", valid.clone(), Taken),
        case(
            "a KeyPackage whose init key is its leaf's",
            with(&|new| {
                new.init_key = new.leaf_node.encryption_key.clone();
            }),
            refused(Violation::InitKeyReused, 0),
        ),
        case(
            "a KeyPackage without capabilities",
            with(&|new| {
                new.leaf_node.capabilities.cipher_suites.clear();
            }),
            refused(Violation::CapabilitiesLackGroup, 0),
        ),
        case(
            "a KeyPackage whose leaf is signed by nobody",
            with(&|new| new.leaf_node.signature[0] ^= 1),
            refused(Violation::LeafSignature, 1),
        ),
        case(
            "a KeyPackage with a bad signature",
            with(&|new| new.signature[0] ^= 1),
            refused(Violation::KeyPackageSignature, 2),
        ),
    ];
    let measured = cases.iter().map(|case| {
        let outcome = siege.measure(|| siege.joiner.validate(&case.message).map(drop));
        siege.check(case, outcome, (0, 0))
    });
    measured.collect()
}
