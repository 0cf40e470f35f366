//! What a member of a group gets.

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::{Error, NotNow, Violation};
use hushwood::framing::{Content, MlsMessage};
use hushwood::group::{CommitPlan, GroupView, LeafUpdate, NewProposal};
use hushwood::key_package::KeyPackage;
use hushwood::proposal::{Add, PreSharedKey, Proposal, Remove, Update};
use hushwood::public_group::PublicGroup;
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::tree::{LeafIndex, UpdatePath, UpdatePathNode};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::hpke::HpkeCiphertext;
use hushwood_crypto::{HashReference, HpkePublicKey};

use super::Expected::{NotDecoded, Refused, RefusedLate, Taken};
use super::{C, Case, Cost, Siege, actor, signer};
use crate::actor::NOW;
use crate::counting::Kind;
use crate::fake_crypto::PROVIDER;
use crate::random::SeededRandom;

const FOUNDER: LeafIndex = LeafIndex::new(0);
/// "any message to 1 MiB".
pub const MEBIBYTE: usize = 1 << 20;

/// Gives the victim each message of the table, a copy of the victim for each, and returns what they have cost.
///
/// # Panics
/// If one of them costs more than it may, or something else comes of it.
#[must_use]
pub fn table(siege: &Siege) -> Vec<Cost> {
    let cases = [commits(siege), lists(siege), adds(siege), proposals(siege), framing(siege)].concat();
    let mut costs: Vec<Cost> = cases.iter().map(|case| receive(siege, case, 1)).collect();
    costs.extend(application(siege));
    observe(siege, &cases);
    // RFC 9420 §8.3: the init secret of an external commit is decapsulated, and the path secret besides.
    costs.extend(external_commits(siege).iter().map(|case| receive(siege, case, 2)));
    costs
}

fn receive(siege: &Siege, case: &Case, decapsulations: u64) -> Cost {
    assert!(case.message.len() <= MEBIBYTE, "{} is longer than a mebibyte", case.name);
    let mut victim = siege.victim();
    let before = victim.rows();
    let outcome = siege.measure(|| victim.receive(&case.message).map(drop));
    if outcome.0.is_err() {
        assert_eq!(victim.rows(), before, "{}: what was refused has changed nothing", case.name);
    }
    siege.check(case, outcome, (0, decapsulations))
}

/// Whoever only follows the group has fewer keys: what it can refuse it refuses for the same, and at the same cost.
fn observe(siege: &Siege, cases: &[Case]) {
    let group_info = siege.founder().group_info(true);
    let (policy, random) = (&siege.victim.policy, &mut SeededRandom::new(4));
    let view = GroupView::verify(&group_info, None, &siege.victim.provider, (policy, NOW), random).unwrap();
    let verdicts = judge(view.checks(), &InsecureAcceptAll);
    let observer = PublicGroup::new(view, &verdicts).unwrap();
    for case in cases {
        let (result, counts) = siege.measure(|| observer.receive(&case.message, NOW, random).map(drop));
        if let (Err(found), Refused(error, _)) = (&result, &case.expected) {
            assert_eq!(found, error, "{}, observed", case.name);
            siege.check(case, (result, counts), (0, 0));
        } else {
            assert!(counts.public_key_operations() <= C * (siege.levels() + case.proposals), "{}", case.name);
            assert_eq!(counts.of(Kind::Decap).calls, 0, "{}", case.name);
        }
    }
}

fn case(name: &'static str, message: Vec<u8>, proposals: usize, expected: super::Expected) -> Case {
    Case { name, message, proposals: u64::try_from(proposals).unwrap(), expected }
}

fn refused(error: impl Into<Error>, verifications: u64) -> super::Expected {
    Refused(error.into(), verifications)
}

/// The content of a public message.
fn content(message: &[u8]) -> Content {
    let MlsMessage::PublicMessage(message) = MlsMessage::from_bytes(message).unwrap() else {
        panic!("not a public message");
    };
    message.content.content
}

fn commit_of(message: &[u8]) -> Commit {
    let Content::Commit(commit) = content(message) else { panic!("not a commit") };
    *commit
}

/// A commit of the founder with a path, that everybody takes.
fn valid_commit(siege: &Siege) -> Vec<u8> {
    siege.founder().commit(CommitPlan::default()).unwrap().1
}

fn forged(siege: &Siege, proposals: Vec<ProposalOrRef>, path: Option<UpdatePath>) -> Vec<u8> {
    siege.insider.public(FOUNDER, Content::Commit(Box::new(Commit { proposals, path })))
}

fn some_ciphertext(length: usize) -> HpkeCiphertext {
    HpkeCiphertext { kem_output: vec![1; 32], ciphertext: vec![2; length] }
}

/// Update paths.
fn commits(siege: &Siege) -> Vec<Case> {
    let valid = valid_commit(siege);
    let path = commit_of(&valid).path.unwrap();
    let with = |change: &dyn Fn(&mut UpdatePath)| {
        let mut path = path.clone();
        change(&mut path);
        forged(siege, Vec::new(), Some(path))
    };
    let founders_key = siege.founder.group().tree().leaf(FOUNDER).unwrap().unwrap().encryption_key;
    let victims_key = siege.victim.group().tree().leaf(LeafIndex::new(1)).unwrap().unwrap().encryption_key;
    let node = || UpdatePathNode {
        encryption_key: HpkePublicKey(vec![9; 32]),
        encrypted_path_secret: vec![some_ciphertext(48)],
    };
    vec![
        case("a valid commit with a path", valid.clone(), 0, Taken),
        case(
            "a path with a node less",
            with(&|path| drop(path.nodes.pop())),
            0,
            refused(Violation::PathLength, 1),
        ),
        case(
            "a path with 5,000 nodes more",
            with(&|path| path.nodes.extend((0..5000).map(|_| node()))),
            0,
            refused(Violation::PathLength, 1),
        ),
        case(
            "a node with 10,000 ciphertexts more",
            with(&|path| {
                path.nodes[0].encrypted_path_secret.extend((0..10_000).map(|_| some_ciphertext(48)));
            }),
            0,
            refused(Violation::PathCiphertextCount, 1),
        ),
        case(
            "a node without ciphertexts",
            with(&|path| path.nodes[0].encrypted_path_secret.clear()),
            0,
            refused(Violation::PathCiphertextCount, 1),
        ),
        case(
            "ciphertexts of 700 KiB for nobody",
            with(&|path| {
                // The first is for the victim, who is the founder's sibling.
                path.nodes[0].encrypted_path_secret[0].ciphertext = vec![3; 700 << 10];
            }),
            0,
            RefusedLate(Violation::PathSecret.into()),
        ),
        case(
            "a path with the key of another node",
            with(&|path| path.nodes[0].encryption_key = victims_key.clone()),
            0,
            refused(Violation::PathKeyReused, 1),
        ),
        case(
            "a path whose leaf keeps its key",
            with(&|path| path.leaf_node.encryption_key = founders_key.clone()),
            0,
            refused(Violation::EncryptionKeyReused, 1),
        ),
        case(
            "a path with another parent hash",
            with(&|path| path.nodes[0].encryption_key.0[0] ^= 1),
            0,
            refused(Violation::ParentHash, 1),
        ),
        case(
            "a path whose leaf is signed by nobody",
            with(&|path| path.leaf_node.signature[0] ^= 1),
            0,
            refused(Violation::LeafSignature, 2),
        ),
        case(
            "a commit with another confirmation tag",
            with(&|_| {}),
            0,
            RefusedLate(Violation::ConfirmationTag.into()),
        ),
        case(
            "a commit that needs a path and has none",
            forged(siege, Vec::new(), None),
            0,
            refused(Violation::PathMissing, 1),
        ),
    ]
}

/// Lists of very many proposals.
fn lists(siege: &Siege) -> Vec<Case> {
    let by_value = |proposal: Proposal| ProposalOrRef::Proposal(proposal);
    let remove = |_| by_value(Proposal::Remove(Remove { removed: LeafIndex::new(1) }));
    let psk = |number: u32, nonce: usize| {
        // Short enough for so many in a mebibyte, long enough to be decoded.
        let psk = Psk::External { psk_id: [&[0; 5][..], &number.to_be_bytes()].concat() };
        by_value(Proposal::Psk(Box::new(PreSharedKey {
            psk: PreSharedKeyId { psk, psk_nonce: vec![5; nonce] },
        })))
    };
    let reference = |number: u32| {
        let mut name = vec![0; 32];
        name[..4].copy_from_slice(&number.to_be_bytes());
        ProposalOrRef::Reference(HashReference(name))
    };
    vec![
        case(
            "100,000 Removes of one member",
            forged(siege, (0..100_000).map(remove).collect(), None),
            100_000,
            refused(Violation::RemoveTwice, 1),
        ),
        case(
            "more proposals than are allowed",
            forged(siege, (0..140_000).map(remove).collect(), None),
            140_000,
            refused(NotNow::Limit, 1),
        ),
        case(
            "30,000 references to nothing",
            forged(siege, (0..30_000).map(reference).collect(), None),
            30_000,
            refused(NotNow::ProposalMissing, 1),
        ),
        case(
            "more pre-shared keys than can be counted",
            forged(siege, (0..66_000).map(|number| psk(number, 0)).collect(), None),
            66_000,
            refused(Violation::PskTooMany, 1),
        ),
        case(
            "20,000 pre-shared keys with short nonces",
            forged(siege, (0..20_000).map(|number| psk(number, 31)).collect(), None),
            20_000,
            refused(Violation::PskNonce, 1),
        ),
        case(
            "20,000 pre-shared keys that nobody has",
            forged(siege, (0..20_000).map(|number| psk(number, 32)).collect(), None),
            20_000,
            refused(NotNow::PskMissing, 1),
        ),
    ]
}

/// Key packages of as many strangers as fit into a mebibyte.
fn strangers(count: u64) -> Vec<KeyPackage> {
    let key_package = |number| {
        let message = actor("stranger", PROVIDER, 1_000_000 + number).key_package();
        let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&message).unwrap() else {
            panic!("not a KeyPackage");
        };
        key_package.inspect().clone()
    };
    (0..count).map(key_package).collect()
}

fn adds(siege: &Siege) -> Vec<Case> {
    const MANY: u64 = 2_000;
    let strangers = strangers(MANY);
    let list = |change: &dyn Fn(&mut KeyPackage)| {
        let mut strangers = strangers.clone();
        change(strangers.last_mut().unwrap());
        let add = |key_package| ProposalOrRef::Proposal(Proposal::Add(Box::new(Add { key_package })));
        strangers.into_iter().map(add).collect::<Vec<_>>()
    };
    let many = strangers.len();
    let path = commit_of(&valid_commit(siege)).path;
    let bad_path = path.map(|mut path| {
        path.nodes.clear();
        path
    });
    vec![
        case(
            "2,000 Adds, and another confirmation tag",
            forged(siege, list(&|_| {}), None),
            many,
            RefusedLate(Violation::ConfirmationTag.into()),
        ),
        case(
            "2,000 Adds, the last with a bad signature",
            forged(siege, list(&|last| last.signature[0] ^= 1), None),
            many,
            RefusedLate(Violation::KeyPackageSignature.into()),
        ),
        case(
            "2,000 Adds, the last without capabilities",
            forged(siege, list(&|last| last.leaf_node.capabilities.cipher_suites.clear()), None),
            many,
            refused(Violation::CapabilitiesLackGroup, 1),
        ),
        case(
            "2,000 Adds, the last with the encryption key of the first",
            forged(
                siege,
                {
                    let key = strangers[0].leaf_node.encryption_key.clone();
                    list(&|last| last.leaf_node.encryption_key = key.clone())
                },
                None,
            ),
            many,
            refused(Violation::EncryptionKeyReused, 1),
        ),
        case(
            "2,000 Adds and a path without nodes",
            forged(siege, list(&|_| {}), bad_path),
            many,
            refused(Violation::PathLength, 1),
        ),
    ]
}

/// Single proposals.
fn proposals(siege: &Siege) -> Vec<Case> {
    let stranger = &strangers(1)[0];
    let add = |change: &dyn Fn(&mut KeyPackage)| {
        let mut key_package = stranger.clone();
        change(&mut key_package);
        siege.insider.public(FOUNDER, Content::Proposal(Proposal::Add(Box::new(Add { key_package }))))
    };
    let update = siege.founder().propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let Content::Proposal(Proposal::Update(valid)) = content(&update) else { panic!("not an Update") };
    let mut leaf_node = valid.leaf_node.clone();
    leaf_node.signature[0] ^= 1;
    let bad_update = Proposal::Update(Box::new(Update { leaf_node }));
    let remove = Proposal::Remove(Remove { removed: LeafIndex::new(1 << 24) });
    vec![
        case("an Add", add(&|_| {}), 1, Taken),
        case(
            "an Add with a bad signature",
            add(&|new| new.signature[0] ^= 1),
            1,
            refused(Violation::KeyPackageSignature, 3),
        ),
        case(
            "an Add whose leaf is signed by nobody",
            add(&|new| new.leaf_node.signature[0] ^= 1),
            1,
            refused(Violation::LeafSignature, 2),
        ),
        case(
            "an Add without capabilities",
            add(&|new| new.leaf_node.capabilities.cipher_suites.clear()),
            1,
            refused(Violation::CapabilitiesLackGroup, 1),
        ),
        case("an Update", update, 1, Taken),
        case(
            "an Update that is signed by nobody",
            siege.insider.public(FOUNDER, Content::Proposal(bad_update)),
            1,
            refused(Violation::LeafSignature, 2),
        ),
        case(
            "a Remove of nobody",
            siege.insider.public(FOUNDER, Content::Proposal(remove)),
            1,
            refused(Violation::RemoveBlank, 1),
        ),
    ]
}

/// What is refused before, or for, its signature.
fn framing(siege: &Siege) -> Vec<Case> {
    let random = &mut SeededRandom::new(9);
    let valid = valid_commit(siege);
    let MlsMessage::PublicMessage(public) = MlsMessage::from_bytes(&valid).unwrap() else { panic!() };
    let public = |change: &dyn Fn(&mut hushwood::framing::PublicMessage)| {
        let mut public = public.clone();
        change(&mut public);
        MlsMessage::PublicMessage(public).to_bytes().unwrap()
    };
    let stranger = signer(&strangers(1)[0].leaf_node.signature_key);
    let bytes = random.bytes(MEBIBYTE);
    vec![
        case("a mebibyte of anything", bytes, 0, NotDecoded),
        case("zeros", vec![0; MEBIBYTE], 0, NotDecoded),
        case(
            "another membership tag",
            public(&|public| public.membership_tag.as_mut().unwrap()[0] ^= 1),
            0,
            refused(Violation::MembershipTag, 0),
        ),
        case(
            "another group",
            public(&|public| public.content.group_id.push(1)),
            0,
            refused(NotNow::OtherGroup, 0),
        ),
        case("a past epoch", public(&|public| public.content.epoch -= 1), 0, refused(NotNow::EpochPast, 0)),
        case(
            "a future epoch",
            public(&|public| public.content.epoch += 1),
            0,
            refused(NotNow::EpochFuture, 0),
        ),
        case(
            "a commit that is signed by a stranger",
            siege.insider.public_signed_by(&stranger, FOUNDER, content(&valid)),
            0,
            refused(Violation::MessageSignature, 1),
        ),
        case(
            "a public message of nobody",
            siege.insider.public_signed_by(&stranger, LeafIndex::new(1 << 20), content(&valid)),
            0,
            refused(Violation::SenderBlank, 0),
        ),
    ]
}

/// Application messages: to one victim, in this order.
fn application(siege: &Siege) -> Vec<Cost> {
    let text = || Content::Application(b"something".to_vec());
    let private = |generation| siege.insider.private(FOUNDER, text(), generation);
    let altered = |place: &dyn Fn(&mut hushwood::framing::PrivateMessage)| {
        let MlsMessage::PrivateMessage(mut message) = MlsMessage::from_bytes(&private(3)).unwrap() else {
            panic!("not a private message");
        };
        place(&mut message);
        MlsMessage::PrivateMessage(message).to_bytes().unwrap()
    };
    let stranger = signer(&strangers(1)[0].leaf_node.signature_key);
    let nobody = siege.insider.private_signed_by(&stranger, LeafIndex::new(1 << 20), text(), 0);
    let unsigned = siege.insider.private_signed_by(&stranger, FOUNDER, text(), 3);
    let far = |generation| {
        case("a generation far ahead", private(generation), 0, refused(NotNow::GenerationTooFar, 0))
    };
    let mut cases = vec![
        far(u32::MAX),
        far(u32::MAX - 1),
        far(1001),
        case(
            "sender data of nobody",
            altered(&|message| message.encrypted_sender_data[0] ^= 1),
            0,
            refused(Violation::SenderDoesNotOpen, 0),
        ),
        case(
            "a private message that does not open",
            altered(&|message| message.authenticated_data.push(1)),
            0,
            refused(Violation::ContentDoesNotOpen, 0),
        ),
        case("a private message of nobody", nobody, 0, refused(Violation::SenderBlank, 0)),
        case("a private message signed by a stranger", unsigned, 0, refused(Violation::MessageSignature, 1)),
        case("a generation as far as it may be", private(1000), 0, Taken),
        case("a replay", private(1000), 0, refused(NotNow::KeyUsed, 0)),
        case("a generation that was passed over", private(999), 0, Taken),
        case("a generation far ahead of that", private(2002), 0, refused(NotNow::GenerationTooFar, 0)),
    ];
    let commit = valid_commit(siege);
    cases.push(case("a commit in between", commit, 0, Taken));
    cases.push(case("a message of the past epoch", private(998), 0, Taken));
    cases.push(case("a replay of the past epoch", private(998), 0, refused(NotNow::KeyUsed, 0)));
    let mut victim = siege.victim();
    let measured = cases.iter().map(|case| {
        let outcome = siege.measure(|| victim.receive(&case.message).map(drop));
        siege.check(case, outcome, (0, 1))
    });
    measured.collect()
}

/// Commits of those who join by them.
fn external_commits(siege: &Siege) -> Vec<Case> {
    let mut outsider = actor("outsider", PROVIDER, 500);
    let group_info = siege.founder().group_info(true);
    let valid = outsider.external_join(&group_info, None, None).unwrap();
    let with = |change: &dyn Fn(&mut Commit)| {
        let mut commit = commit_of(&valid);
        change(&mut commit);
        siege.insider.external_commit(&outsider.signer, Content::Commit(Box::new(commit)))
    };
    vec![
        case("an external commit", valid.clone(), 1, Taken),
        case(
            "an external commit with two ExternalInits",
            with(&|commit| {
                commit.proposals.push(commit.proposals[0].clone());
            }),
            2,
            refused(Violation::ExternalCommitLacksInit, 1),
        ),
        case(
            "an external commit with a node more",
            with(&|commit| {
                let path = commit.path.as_mut().unwrap();
                let encryption_key = HpkePublicKey(vec![9; 32]);
                path.nodes.push(UpdatePathNode { encryption_key, encrypted_path_secret: Vec::new() });
            }),
            1,
            refused(Violation::PathLength, 1),
        ),
        case(
            "an external commit with another confirmation tag",
            with(&|_| {}),
            1,
            RefusedLate(Violation::ConfirmationTag.into()),
        ),
    ]
}
