//! Whole conversations. Every member has a store of its own and is read back from it after every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::Credential;
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Error, NotNow, Violation};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal, Status};
use hushwood::schedule::Psk;
use test_support::actor::{Actor, Outcome, assert_agree};
use test_support::assert_breaks;

fn suites() -> impl Iterator<Item = CipherSuiteId> {
    (1..=7).map(CipherSuiteId)
}

fn actor(name: &str, suite: CipherSuiteId) -> Actor {
    let seed = name.bytes().fold(u64::from(suite.0), |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, suite, seed)
}

/// Alice, Bob and Carol in a group that Alice made.
fn three(suite: CipherSuiteId) -> (Actor, Actor, Actor) {
    let (mut alice, mut bob, mut carol) = (actor("alice", suite), actor("bob", suite), actor("carol", suite));
    alice.create();
    let key_packages = [bob.key_package(), carol.key_package()];
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
    (alice, bob, carol)
}

#[test]
fn three_members_talk_on_every_suite() {
    for suite in suites() {
        let (mut alice, mut bob, mut carol) = three(suite);
        let message = alice.send(b"hello").unwrap();
        assert_eq!(bob.read(&message).unwrap(), b"hello");
        assert_eq!(carol.read(&message).unwrap(), b"hello");
        let message = carol.send(b"hi").unwrap();
        assert_eq!(alice.read(&message).unwrap(), b"hi");
        assert_eq!(bob.read(&message).unwrap(), b"hi");
    }
}

#[test]
fn a_message_is_read_once() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let message = alice.send(b"once").unwrap();
    bob.read(&message).unwrap();
    assert_breaks!(bob.receive(&message).unwrap_err(), NotNow::KeyUsed, "C190");
    assert_breaks!(alice.receive(&message).unwrap_err(), NotNow::OwnMessage, "C098");
}

#[test]
fn a_member_shows_another_credential_with_a_commit_or_an_update() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let shown = |actor: &Actor, leaf| actor.group().member(leaf).unwrap().unwrap().leaf.credential.clone();
    let changed =
        |name: &str| LeafUpdate { credential: Some(Credential::basic(name)), ..LeafUpdate::default() };
    let (id, commit) = bob.commit(CommitPlan { leaf: changed("bob b."), ..CommitPlan::default() }).unwrap();
    alice.receive(&commit).unwrap();
    carol.receive(&commit).unwrap();
    bob.apply(&id).unwrap();
    assert_eq!(shown(&alice, bob.leaf()), Credential::basic("bob b."));

    let update = carol.propose(NewProposal::Update(changed("carol c."))).unwrap();
    alice.receive(&update).unwrap();
    bob.receive(&update).unwrap();
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    carol.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    assert_eq!(shown(&bob, carol.leaf()), Credential::basic("carol c."));
    assert_agree(&[&alice, &bob, &carol]);
}

#[test]
fn updates_and_removals_advance_all_members() {
    for suite in suites() {
        let (mut alice, mut bob, mut carol) = three(suite);
        for _ in 0..2 {
            let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
            alice.receive(&commit).unwrap();
            carol.receive(&commit).unwrap();
            bob.apply(&id).unwrap();
            assert_agree(&[&alice, &bob, &carol]);
        }
        let proposals = vec![NewProposal::Remove(carol.leaf())];
        let (id, commit) = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
        bob.receive(&commit).unwrap();
        carol.receive(&commit).unwrap();
        alice.apply(&id).unwrap();
        assert_agree(&[&alice, &bob]);
        assert_eq!(carol.group().status(), &Status::Removed);
        assert_eq!(carol.send(b"still here?").unwrap_err(), NotNow::GroupEnded.into());
        let message = bob.send(b"without carol").unwrap();
        assert_eq!(alice.read(&message).unwrap(), b"without carol");
        assert!(carol.receive(&message).is_err());
    }
}

#[test]
fn proposals_by_reference_are_committed_by_somebody_else() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let update = bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    alice.receive(&update).unwrap();
    carol.receive(&update).unwrap();
    // C290: data waits until the proposal is committed.
    assert_eq!(alice.send(b"too early").unwrap_err(), NotNow::ProposalPending.into());
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    carol.receive(&commit).unwrap();
    let change = alice.apply(&id).unwrap();
    assert_eq!(change.updated, [bob.leaf()]);
    assert_agree(&[&alice, &bob, &carol]);
    let message = bob.send(b"fresh").unwrap();
    assert_eq!(carol.read(&message).unwrap(), b"fresh");
}

#[test]
fn a_commit_that_refers_to_an_unseen_proposal_can_be_offered_again() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let update = bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    alice.receive(&update).unwrap();
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    alice.apply(&id).unwrap();
    assert_breaks!(carol.receive(&commit).unwrap_err(), NotNow::ProposalMissing, "C042", "C293");
    carol.receive(&update).unwrap();
    carol.receive(&commit).unwrap();
    assert_agree(&[&alice, &carol]);
}

#[test]
fn members_leave_by_proposing_their_own_removal() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let leave = bob.propose(NewProposal::Remove(bob.leaf())).unwrap();
    alice.receive(&leave).unwrap();
    carol.receive(&leave).unwrap();
    let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
    alice.receive(&commit).unwrap();
    bob.receive(&commit).unwrap();
    carol.apply(&id).unwrap();
    assert_agree(&[&alice, &carol]);
    assert_eq!(bob.group().status(), &Status::Removed);
}

#[test]
fn the_losing_commit_of_two_is_forgotten_and_the_winner_followed() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let (won, winner) = alice.commit(CommitPlan::default()).unwrap();
    let (lost, _) = bob.commit(CommitPlan::default()).unwrap();
    bob.receive(&winner).unwrap();
    carol.receive(&winner).unwrap();
    alice.apply(&won).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
    assert!(bob.apply(&lost).is_err());
}

#[test]
fn an_own_commit_that_comes_back_is_applied() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert!(matches!(alice.receive(&commit).unwrap(), Outcome::Commit(change) if change.own));
    bob.receive(&commit).unwrap();
    assert_agree(&[&alice, &bob]);
    assert_eq!(alice.receive(&commit).unwrap_err(), NotNow::EpochPast.into());
}

#[test]
fn a_newcomer_joins_by_external_commit_on_every_suite() {
    for suite in suites() {
        let (mut alice, mut bob, mut carol) = three(suite);
        let mut dave = actor("dave", suite);
        let group_info = alice.group_info(true);
        let commit = dave.external_join(&group_info, None, None).unwrap();
        for member in [&mut alice, &mut bob, &mut carol] {
            member.receive(&commit).unwrap();
        }
        assert_agree(&[&alice, &bob, &carol, &dave]);
        let message = dave.send(b"here I am").unwrap();
        assert_eq!(carol.read(&message).unwrap(), b"here I am");
    }
}

#[test]
fn a_member_that_lost_its_state_replaces_itself() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let group_info = alice.group_info(false);
    let tree = alice.group().ratchet_tree().unwrap();
    let old = bob.leaf();
    let commit = bob.external_join(&group_info, Some(&tree), Some(old)).unwrap();
    alice.receive(&commit).unwrap();
    carol.receive(&commit).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
    assert_eq!(alice.group().member_count(), 3);
}

#[test]
fn messages_of_past_epochs_are_read_late_and_belong_to_who_sent_them() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let late = carol.send(b"late").unwrap();
    let leaf = carol.leaf();
    let proposals = vec![NewProposal::Remove(leaf)];
    let (id, commit) = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
    bob.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    // Somebody else gets Carol's leaf.
    let mut dave = actor("dave", CipherSuiteId(1));
    let key_package = dave.key_package();
    let (commit, change) = alice.invite(&[key_package]).unwrap();
    bob.receive(&commit).unwrap();
    dave.join(&change.welcomes[0].message, None).unwrap();
    assert_eq!(dave.leaf(), leaf);
    let Outcome::Message(message) = bob.receive(&late).unwrap() else { panic!("not a message") };
    assert_eq!(message.plaintext.expose(), b"late");
    assert_eq!(message.credential, carol.credential());
}

#[test]
fn messages_out_of_order_are_all_read() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(3));
    let messages: Vec<_> = (0..20_u8).map(|number| alice.send(&[number]).unwrap()).collect();
    for number in [5, 3, 19, 0, 7, 18, 1, 2, 4, 6, 8, 17, 9, 10, 16, 11, 15, 12, 14, 13] {
        assert_eq!(bob.read(&messages[usize::from(number)]).unwrap(), [number]);
    }
}

#[test]
fn a_pre_shared_key_is_needed_by_all() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let psk = Psk::External { psk_id: b"shared".to_vec() };
    alice.keep_psk(b"shared", b"a key of enough entropy, surely");
    bob.keep_psk(b"shared", b"a key of enough entropy, surely");
    let proposals = vec![NewProposal::Psk(psk.clone())];
    let plan = CommitPlan { proposals, ..CommitPlan::default() };
    let answers = alice.answers(&[psk]);
    let (id, commit) = alice.commit_with(plan, &answers).unwrap();
    bob.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    assert_agree(&[&alice, &bob]);
    assert_breaks!(carol.receive(&commit).unwrap_err(), NotNow::PskMissing, "C308");
    carol.keep_psk(b"shared", b"a key of enough entropy, surely");
    carol.receive(&commit).unwrap();
    assert_agree(&[&alice, &carol]);
}

#[test]
fn public_handshakes_serve_as_well() {
    let suite = CipherSuiteId(1);
    let (mut alice, mut bob) = (actor("alice", suite), actor("bob", suite));
    alice.policy.encrypt_handshakes = false;
    bob.policy.encrypt_handshakes = false;
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    let update = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    bob.receive(&update).unwrap();
    let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
    alice.receive(&commit).unwrap();
    bob.apply(&id).unwrap();
    assert_agree(&[&alice, &bob]);
}

#[test]
fn a_welcome_is_for_one_use() {
    let suite = CipherSuiteId(1);
    let (mut alice, mut bob) = (actor("alice", suite), actor("bob", suite));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    let again = bob.join(&change.welcomes[0].message, None).unwrap_err();
    assert_eq!(again, Error::NotNow(NotNow::NoKeyPackage));
}

/// RFC 9420 §11, C221, C222.
#[test]
fn a_group_begins_with_its_creator_alone_under_a_random_id() {
    for suite in suites() {
        let (mut alice, mut bob) = (actor("alice", suite), actor("bob", suite));
        let length = alice.suite.kdf().length();
        let (first, second) = (alice.create().context().clone(), bob.create().context().clone());
        for context in [&first, &second] {
            assert_eq!((context.epoch, context.group_id.len()), (0, length));
            assert!(context.confirmed_transcript_hash.is_empty() && context.extensions.iter().len() == 0);
        }
        assert_ne!(first.group_id, second.group_id);
        assert_eq!((alice.group().member_count(), alice.group().tree().leaf_count()), (1, 1));
        assert_ne!(alice.group().epoch_authenticator(), bob.group().epoch_authenticator());
    }
}

/// RFC 9420 §6, C062.
#[test]
fn handshakes_are_encrypted_unless_the_policy_says_otherwise() {
    use hushwood::codec::Decode;
    use hushwood::framing::MlsMessage;

    let (mut alice, ..) = three(CipherSuiteId(1));
    let proposal = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    for message in [proposal, commit] {
        assert!(matches!(MlsMessage::from_bytes(&message), Ok(MlsMessage::PrivateMessage(_))));
    }
}

/// RFC 9420 §5.3.3, C055: it names nobody, so that two members may have one.
#[test]
fn two_members_may_have_the_same_application_id() {
    let (mut alice, mut bob, mut carol) = three(CipherSuiteId(1));
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::APPLICATION_ID, b"\x05phone".to_vec());
    let leaf = || LeafUpdate { extensions: Some(extensions.clone()), ..LeafUpdate::default() };
    let (id, commit) = alice.commit(CommitPlan { leaf: leaf(), ..CommitPlan::default() }).unwrap();
    bob.receive(&commit).unwrap();
    carol.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    let update = bob.propose(NewProposal::Update(leaf())).unwrap();
    alice.receive(&update).unwrap();
    carol.receive(&update).unwrap();
    let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
    alice.receive(&commit).unwrap();
    bob.receive(&commit).unwrap();
    carol.apply(&id).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
    for member in [&alice, &bob] {
        let leaf = carol.group().member(member.leaf()).unwrap().unwrap().leaf;
        let there = leaf.extensions.get(ExtensionType::APPLICATION_ID).unwrap();
        assert_eq!(there.extension_data, b"\x05phone");
    }
}

/// RFC 9420 §6.1, §8.5, §8.7, C079, C177, C179: members who followed different commits see it, and don't understand each
/// other.
#[test]
fn members_on_two_sides_of_a_fork_share_nothing() {
    for encrypt_handshakes in [true, false] {
        let suite = CipherSuiteId(1);
        let [mut alice, mut bob] = ["alice", "bob"].map(|name| actor(name, suite));
        alice.policy.encrypt_handshakes = encrypt_handshakes;
        bob.policy.encrypt_handshakes = encrypt_handshakes;
        alice.create();
        let key_package = bob.key_package();
        let (_, change) = alice.invite(&[key_package]).unwrap();
        bob.join(&change.welcomes[0].message, None).unwrap();
        let seen = |actor: &Actor| {
            let group = actor.group();
            let exported = group.export("label", b"context", 32).unwrap().expose().to_vec();
            (group.epoch(), group.epoch_authenticator().unwrap().to_vec(), exported)
        };
        let before = seen(&alice);
        assert_eq!(before, seen(&bob));
        let [(ours, _), (theirs, _)] =
            [&mut alice, &mut bob].map(|a| a.commit(CommitPlan::default()).unwrap());
        alice.apply(&ours).unwrap();
        bob.apply(&theirs).unwrap();
        let (left, right) = (seen(&alice), seen(&bob));
        assert_eq!(left.0, right.0);
        for (one, other) in [(&left, &right), (&before, &left), (&before, &right)] {
            assert_ne!(one.1, other.1);
            assert_ne!(one.2, other.2);
        }
        let data = alice.send(b"data").unwrap();
        let update = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
        let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
        let rows = bob.rows();
        assert_eq!(bob.receive(&data).unwrap_err(), Violation::SenderDoesNotOpen.into());
        for message in [update, commit] {
            let refused = match encrypt_handshakes {
                true => Violation::SenderDoesNotOpen,
                false => Violation::MembershipTag,
            };
            assert_eq!(bob.receive(&message).unwrap_err(), refused.into());
        }
        assert_eq!(bob.rows(), rows);
    }
}

#[test]
fn answers_without_keys_are_none() {
    assert!(Answers::none().psk(&Psk::External { psk_id: Vec::new() }).is_none());
}
