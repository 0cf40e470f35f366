//! What this library refuses to make: it breaks a rule, and the error says that the caller asked for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::Encode;
use hushwood::commit::Answers;
use hushwood::credential::Credential;
use hushwood::crypto::CipherSuiteId;
use hushwood::crypto::SignaturePublicKey;
use hushwood::error::{ApiMisuse, Error, Row, Violation};
use hushwood::extension::{ExtensionType, Extensions, ExternalSender, RequiredCapabilities};
use hushwood::group::{CommitPlan, Cover, Group, NewGroup, NewProposal};
use hushwood::policy::Policy;
use hushwood::proposal::ReInit;
use hushwood::tree::{LeafIndex, Supported};
use hushwood::version::ProtocolVersion;
use test_support::actor::{Actor, NOW, Outcome, assert_agree};

const X25519: CipherSuiteId = CipherSuiteId(1);
const P256: CipherSuiteId = CipherSuiteId(2);

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(1, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, X25519, seed)
}

fn pair() -> (Actor, Actor) {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    (alice, bob)
}

fn by_value(proposals: Vec<NewProposal<'_>>) -> CommitPlan<'_> {
    CommitPlan { proposals, ..CommitPlan::default() }
}

/// RFC 9420 §11, C220: Bob's KeyPackage is for the weaker suite, his capabilities show that he has the better.
#[test]
fn a_creator_notices_that_its_first_members_could_have_a_better_suite() {
    let mut bob = actor("bob");
    let key_package = bob.key_package();
    for (preferred, refused) in [(P256, true), (X25519, false)] {
        let mut alice = actor("alice");
        let supported = Supported::new(&alice.provider).preferring(preferred);
        let settings = NewGroup::new(alice.suite, alice.credential(), supported);
        let step = Group::create(settings, &alice.signer, NOW, &mut alice.random).unwrap();
        alice.group = Some(step.commit(&mut alice.store).unwrap());
        let before = alice.rows();

        let bob = alice.validate(&key_package).unwrap();
        let made = alice.commit(by_value(vec![NewProposal::Add(Box::new(bob))])).err();
        assert_eq!(made, refused.then_some(ApiMisuse::SuiteNotBest.into()), "{preferred:?}");
        if refused {
            assert_eq!(made.unwrap().requirements(), [Row("C220")]);
            assert_eq!(alice.rows(), before);
        }
    }
}

/// The rule is for the creation of a group: who is added later did not have a say.
#[test]
fn later_members_may_have_a_better_suite() {
    let (mut alice, mut bob) = pair();
    let mut carol = actor("carol");
    let key_package = carol.key_package();
    let (commit, change) = alice.invite(&[key_package]).unwrap();
    bob.receive(&commit).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
}

#[test]
fn a_proposal_that_everybody_would_refuse_is_not_made() {
    let (mut alice, _) = pair();
    let before = alice.rows();
    let nobody = NewProposal::Remove(LeafIndex::new(7));
    let error = alice.propose(nobody.clone()).unwrap_err();
    let Error::WouldViolate(violation) = error else { panic!("{error:?}") };
    assert_eq!(alice.commit(by_value(vec![nobody])).unwrap_err(), Error::WouldViolate(violation));
    assert_eq!(alice.rows(), before);
}

#[test]
fn nobody_is_removed_twice_or_removes_itself() {
    let (mut alice, bob) = pair();
    let remove = NewProposal::Remove(bob.leaf());
    let error = alice.commit(by_value(vec![remove.clone(), remove])).unwrap_err();
    assert!(matches!(error, Error::WouldViolate(_)), "{error:?}");
    let itself = NewProposal::Remove(alice.leaf());
    let error = alice.commit(by_value(vec![itself])).unwrap_err();
    assert_eq!(error, Error::WouldViolate(Violation::CommitterRemovesSelf));
}

/// RFC 9420 §11.2: a successor in a suite that its own proposer lacks.
#[test]
fn a_reinit_to_a_suite_that_we_lack_is_not_proposed() {
    let (mut alice, _) = pair();
    let reinit = |suite| {
        NewProposal::ReInit(ReInit {
            group_id: b"next".to_vec(),
            version: ProtocolVersion::MLS10,
            cipher_suite: CipherSuiteId(suite),
            extensions: Extensions::new(),
        })
    };
    let lacking = Error::from(ApiMisuse::CapabilitiesInsufficient);
    for suite in [0, 0x0A0A, 0xF0F0] {
        assert_eq!(alice.propose(reinit(suite)).unwrap_err(), lacking);
        assert_eq!(alice.commit(by_value(vec![reinit(suite)])).unwrap_err(), lacking);
    }
    alice.propose(reinit(2)).unwrap();
}

/// RFC 9420 §12.2, C291: a committer covers what is valid, without what the application does not want.
#[test]
fn a_commit_leaves_out_what_the_application_excludes() {
    let (mut alice, mut bob) = pair();
    let (mut carol, mut dave) = (actor("carol"), actor("dave"));
    let mut references = Vec::new();
    for invited in [&mut carol, &mut dave] {
        let key_package = invited.key_package();
        let valid = bob.validate(&key_package).unwrap();
        let proposal = bob.propose(NewProposal::Add(Box::new(valid))).unwrap();
        alice.receive(&proposal).unwrap();
        let new = alice.group().pending_proposals().map(|pending| pending.reference.clone());
        references = new.collect();
    }
    assert_eq!(references.len(), 2);
    let dave_is_excluded = Cover::Except([references[1].clone()].into());
    let plan = CommitPlan { cover: dave_is_excluded, ..CommitPlan::default() };
    let (id, commit) = alice.commit_with(plan, &Answers::default()).unwrap();
    assert!(matches!(bob.receive(&commit), Ok(Outcome::Commit(_))));
    let change = alice.apply(&id).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    assert!(dave.join(&change.welcomes[0].message, None).is_err());
    assert_agree(&[&alice, &bob, &carol]);
}

/// C091, C404, C405: a message is not longer, and there are not more in an epoch, than the policy allows.
#[test]
fn neither_a_message_too_long_nor_one_too_many_is_encrypted() {
    let (mut alice, mut bob) = pair();
    let policy = Policy { max_message: 8, max_epoch_messages: 2, ..alice.group().policy().clone() };
    let Actor { group, store, .. } = &mut alice;
    group.as_mut().unwrap().set_policy(policy).unwrap().commit(store).unwrap();
    assert_eq!(alice.send(b"nine long").unwrap_err(), ApiMisuse::TooLong.into());
    for _ in 0..2 {
        alice.send(b"as_eight").unwrap();
    }
    let before = alice.rows();
    assert_eq!(alice.send(b"more").unwrap_err(), ApiMisuse::TooMuchEncrypted.into());
    assert_eq!(alice.rows(), before);
    // Another epoch has other keys.
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    let message = alice.send(b"more").unwrap();
    assert_eq!(bob.read(&message).unwrap(), b"more");
}

/// C225, C256, C375: nobody could join such a group, so it is not made.
#[test]
fn a_group_that_its_own_creator_would_not_join_is_not_created() {
    let mut alice = actor("alice");
    let mut create = |change: &dyn Fn(&mut NewGroup)| {
        let mut settings = NewGroup::new(alice.suite, alice.credential(), Supported::new(&alice.provider));
        change(&mut settings);
        Group::create(settings, &alice.signer, NOW, &mut alice.random).map(drop)
    };
    assert_eq!(create(&|_| ()), Ok(()));
    let refused = |created: Result<(), Error>, error: Error, row: &'static str| {
        assert!(error.requirements().contains(&Row(row)));
        assert_eq!(created, Err(error));
    };

    let lacking = ApiMisuse::CapabilitiesInsufficient.into();
    let unsupported = create(&|new| new.extensions.set(ExtensionType(0xF00D), vec![]));
    refused(unsupported, Error::clone(&lacking), "C225");
    let required = RequiredCapabilities {
        extension_types: vec![ExtensionType(0xF00D)],
        ..RequiredCapabilities::default()
    };
    let required = required.to_bytes().unwrap();
    let unsupported =
        create(&|new| new.extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.clone()));
    refused(unsupported, Error::clone(&lacking), "C225");
    // C023: whatever is said to be supported.
    let reserved = create(&|new| {
        new.supported.extensions.push(ExtensionType(0));
        new.extensions.set(ExtensionType(0), vec![]);
    });
    refused(reserved, lacking, "C225");

    let misplaced = create(&|new| new.extensions.set(ExtensionType::EXTERNAL_PUB, vec![]));
    refused(misplaced, Error::WouldViolate(Violation::ExtensionMisplaced), "C375");
    let sender = ExternalSender {
        signature_key: SignaturePublicKey(vec![1; 31]),
        credential: Credential::basic("server"),
    };
    let senders = vec![sender].to_bytes().unwrap();
    let no_key = create(&|new| new.extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.clone()));
    refused(no_key, Error::WouldViolate(Violation::SignaturePublicKey), "C256");
    let malformed = create(&|new| new.extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![1]));
    assert!(matches!(malformed, Err(Error::Decode(_))), "{malformed:?}");
    let lifetime = create(&|new| new.policy.lifetime = new.policy.max_lifetime + 1);
    refused(lifetime, Error::WouldViolate(Violation::LeafLifetimeRange), "C110");
}

/// RFC 9420 §12.4.3.1: the key of a Welcome comes from what its commit says. A commit without a path that says the same as one
/// before would encrypt another GroupInfo, with other GREASE or another policy, under the same key and nonce.
#[test]
fn a_commit_without_a_path_welcomes_nobody_twice() {
    for encrypt_handshakes in [false, true] {
        let mut alice = actor("alice");
        alice.policy.encrypt_handshakes = encrypt_handshakes;
        alice.create();
        let key_packages = [actor("bob").key_package(), actor("carol").key_package()];
        let valid = key_packages.map(|key_package| alice.validate(&key_package).unwrap());
        let plan = |number: usize, omit_path| CommitPlan {
            proposals: vec![NewProposal::Add(Box::new(valid[number].clone()))],
            omit_path,
            ..CommitPlan::default()
        };
        let (first, _) = alice.commit(plan(0, true)).unwrap();
        let before = alice.rows();
        let again = alice.commit(plan(0, true)).err();
        assert_eq!(again, Some(ApiMisuse::CommitRepeated.into()));
        assert_eq!(alice.rows(), before);

        // Also when the first was given up: its Welcome may be somewhere.
        let (group, store) = (alice.group.as_mut().unwrap(), &mut alice.store);
        group.discard(&first).unwrap().commit(store).unwrap();
        assert_eq!(alice.commit(plan(0, true)).err(), Some(ApiMisuse::CommitRepeated.into()));
        // Another commit has other keys, and so has one with a path; so has the same in another epoch.
        alice.commit(plan(1, true)).unwrap();
        let (id, _) = alice.commit(plan(0, false)).unwrap();
        alice.apply(&id).unwrap();
        alice.commit(plan(1, true)).unwrap();
    }
}
