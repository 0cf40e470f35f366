//! RFC 9420 §6, §12.4.2, §15.3: messages at the wrong time, and how long what opens them is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::Verdicts;
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Disposition, NotNow, Violation};
use hushwood::group::{CommitPlan, Cover, LeafUpdate, NewProposal, OpenedWelcome, Received};
use hushwood::policy::{Policy, Timestamp};
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::transition::{RecordKind, Records};
use test_support::actor::{Actor, NOW, assert_agree};
use test_support::assert_breaks;
use test_support::random::SeededRandom;

fn actor(name: &str, policy: &Policy) -> Actor {
    let seed = name.bytes().fold(17, |seed, byte| seed * 31 + u64::from(byte));
    let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed);
    actor.policy = policy.clone();
    actor
}

fn pair(policy: &Policy) -> (Actor, Actor) {
    let (mut alice, mut bob) = (actor("alice", policy), actor("bob", policy));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    (alice, bob)
}

/// One epoch further.
fn advance(alice: &mut Actor, bob: &mut Actor) {
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
}

fn rows(actor: &Actor, kind: RecordKind) -> usize {
    actor.store.list(actor.group().instance(), kind).unwrap().len()
}

#[track_caller]
fn assert_refused(actor: &Actor, message: &[u8], now: Timestamp, error: NotNow, row: &'static str) {
    let before = actor.rows();
    assert_breaks!(actor.group().receive(message, now).map(drop).unwrap_err(), error, row);
    assert_eq!(actor.rows(), before);
}

/// C063 to C065, C240, C305: encrypted and not.
#[test]
fn messages_of_another_group_or_epoch_are_told_apart() {
    for encrypt_handshakes in [true, false] {
        let policy = Policy { encrypt_handshakes, ..Policy::default() };
        let (mut alice, mut bob) = pair(&policy);
        let mut frank = actor("frank", &policy);
        frank.create();
        let update = || NewProposal::Update(LeafUpdate::default());
        let elsewhere = [
            frank.send(b"data").unwrap(),
            frank.propose(update()).unwrap(),
            frank.commit(CommitPlan::default()).unwrap().1,
        ];
        for message in &elsewhere {
            assert_refused(&bob, message, NOW, NotNow::OtherGroup, "C063");
        }
        for message in [&alice.key_package(), &alice.group_info(true)] {
            assert_eq!(bob.group().receive(message, NOW).map(drop), Err(NotNow::NotForGroup.into()));
        }

        let data = alice.send(b"data").unwrap();
        let handshakes = [alice.propose(update()).unwrap(), bob.commit(CommitPlan::default()).unwrap().1];
        advance(&mut alice, &mut bob);
        for message in &handshakes {
            for member in [&alice, &bob] {
                assert_refused(member, message, NOW, NotNow::EpochPast, "C064");
                assert_refused(member, message, NOW, NotNow::EpochPast, "C240");
            }
        }
        assert_eq!(bob.read(&data).unwrap(), b"data");

        // Alice is ahead.
        let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
        alice.apply(&id).unwrap();
        let ahead = [
            alice.send(b"data").unwrap(),
            alice.propose(update()).unwrap(),
            alice.commit(CommitPlan::default()).unwrap().1,
        ];
        for message in &ahead {
            assert_refused(&bob, message, NOW, NotNow::EpochFuture, "C065");
            assert_refused(&bob, message, NOW, NotNow::EpochFuture, "C305");
        }
        bob.receive(&commit).unwrap();
        for message in &ahead {
            bob.group().receive(message, NOW).unwrap();
        }
    }
}

/// C065, C193: by count.
#[test]
fn past_epochs_are_kept_up_to_a_number() {
    let policy = Policy { max_past_epochs: 2, ..Policy::default() };
    let (mut alice, mut bob) = pair(&policy);
    let mut late = vec![];
    for number in 0..5 {
        late.push(alice.send(&[number]).unwrap());
        advance(&mut alice, &mut bob);
        assert!(rows(&bob, RecordKind::PastEpoch) <= 2 && rows(&alice, RecordKind::PastEpoch) <= 2);
    }
    for message in &late[..3] {
        assert_refused(&bob, message, NOW, NotNow::EpochPast, "C065");
        assert_refused(&bob, message, NOW, NotNow::EpochPast, "C193");
    }
    for (number, message) in late.iter().enumerate().skip(3) {
        assert_eq!(bob.read(message).unwrap(), [u8::try_from(number).unwrap()]);
    }
    // Nor are the keys of what is not kept: each epoch has a root's secret, or what came of it.
    let epochs = |actor: &Actor| {
        let rows = actor.store.list(actor.group().instance(), RecordKind::SecretTree).unwrap();
        let mut epochs: Vec<_> = rows.into_iter().map(|(id, _)| id[..8].to_vec()).collect();
        epochs.dedup();
        epochs
    };
    let kept: Vec<_> = (4..=6_u64).map(|epoch| epoch.to_be_bytes().to_vec()).collect();
    assert_eq!((bob.group().epoch(), epochs(&bob), epochs(&alice)), (6, kept.clone(), kept));
}

/// C188, C193: by age, also where nobody comes to erase them.
#[test]
fn past_epochs_are_kept_for_a_time() {
    let policy = Policy::default();
    let (mut alice, mut bob) = pair(&policy);
    let messages = [alice.send(b"first").unwrap(), alice.send(b"second").unwrap()];
    // The first is passed over: its key is kept by itself.
    bob.read(&messages[1]).unwrap();
    advance(&mut alice, &mut bob);
    let last = Timestamp(NOW.0 + policy.max_past_epoch_age);
    let over = Timestamp(last.0 + 1);
    bob.group().receive(&messages[0], last).unwrap();
    assert_refused(&bob, &messages[0], over, NotNow::EpochPast, "C193");
    let expire = |bob: &mut Actor, now| {
        let step = bob.group.as_mut().unwrap().expire(now).unwrap();
        step.commit(&mut bob.store).unwrap();
    };
    expire(&mut bob, last);
    bob.group().receive(&messages[0], last).unwrap();
    let before = rows(&bob, RecordKind::SecretTree);
    expire(&mut bob, over);
    assert_eq!(rows(&bob, RecordKind::PastEpoch), 0);
    assert!(rows(&bob, RecordKind::SecretTree) < before);
    assert_refused(&bob, &messages[0], NOW, NotNow::EpochPast, "C193");
    let message = alice.send(b"of now").unwrap();
    assert_eq!(bob.read(&message).unwrap(), b"of now");
    assert_agree(&[&alice, &bob]);
}

/// C178.
#[test]
fn resumption_psks_are_kept_up_to_a_number() {
    for keep in [0, 1, 3] {
        let policy = Policy { max_resumption_psks: keep, ..Policy::default() };
        let (mut alice, mut bob) = pair(&policy);
        for _ in 0..5 {
            advance(&mut alice, &mut bob);
            assert!(rows(&alice, RecordKind::ResumptionPsk) <= keep);
            assert!(rows(&bob, RecordKind::ResumptionPsk) <= keep);
        }
        let epoch = alice.group().epoch();
        for psk_epoch in 1..=epoch {
            let psk_group_id = alice.group().group_id().to_vec();
            let usage = ResumptionPskUsage::Application;
            let psk = Psk::Resumption { usage, psk_group_id, psk_epoch };
            let plan = CommitPlan { proposals: vec![NewProposal::Psk(psk)], ..CommitPlan::default() };
            // That of the current epoch is among the epoch's secrets.
            let kept = usize::try_from(epoch - psk_epoch).unwrap() <= keep;
            match alice.commit(plan) {
                Ok((id, commit)) => {
                    assert!(kept, "epoch {psk_epoch}");
                    let received = bob.group().receive(&commit, NOW).unwrap();
                    assert!(matches!(received, Received::Commit(commit) if commit.psks().is_empty()));
                    let step = alice.group.as_mut().unwrap().discard(&id).unwrap();
                    step.commit(&mut alice.store).unwrap();
                }
                Err(error) => assert_eq!((error, kept), (NotNow::PskMissing.into(), false)),
            }
        }
    }
}

/// C188, C190, C191: as many as the policy allows, and no message twice.
#[test]
fn messages_that_were_passed_over_are_kept_up_to_a_number() {
    let policy = Policy { max_skipped: 3, max_forward: 8, ..Policy::default() };
    let (mut alice, mut bob) = pair(&policy);
    let messages: Vec<_> = (0..20).map(|number| alice.send(&[number]).unwrap()).collect();
    assert_refused(&bob, &messages[9], NOW, NotNow::GenerationTooFar, "C191");
    bob.read(&messages[8]).unwrap();
    for message in &messages[..5] {
        assert_refused(&bob, message, NOW, NotNow::KeyUsed, "C190");
    }
    for number in [5, 7, 6] {
        assert_eq!(bob.read(&messages[number]).unwrap(), [u8::try_from(number).unwrap()]);
        assert_refused(&bob, &messages[number], NOW, NotNow::KeyUsed, "C190");
    }
    assert_refused(&bob, &messages[18], NOW, NotNow::GenerationTooFar, "C191");
    bob.read(&messages[17]).unwrap();
}

/// C098: what we sent ourselves comes back.
#[test]
fn own_messages_are_told_from_those_of_others() {
    for encrypt_handshakes in [true, false] {
        let (mut alice, _) = pair(&Policy { encrypt_handshakes, ..Policy::default() });
        let data = alice.send(b"data").unwrap();
        assert_refused(&alice, &data, NOW, NotNow::OwnMessage, "C098");
        let proposal = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
        assert!(matches!(alice.group().receive(&proposal, NOW), Ok(Received::OwnProposal(_))));
        let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
        let found = alice.group().receive(&commit, NOW);
        assert!(matches!(found, Ok(Received::OwnCommit(found)) if found == id));
        let step = alice.group.as_mut().unwrap().discard(&id).unwrap();
        step.commit(&mut alice.store).unwrap();
        let discarded = alice.group().receive(&commit, NOW).map(drop).unwrap_err();
        assert_eq!(discarded, NotNow::OwnCommitDiscarded.into());
        assert_eq!(discarded.disposition(), Disposition::Rejoin);
    }
}

/// C053, C054, C122: who was added in time stays a member, however long the group lasts; and whoever joins later does not
/// look at when the members' KeyPackages were for.
#[test]
fn a_member_is_heard_after_the_lifetime_of_its_key_package() {
    let policy = Policy::default();
    let (mut alice, mut bob) = pair(&policy);
    let data = alice.send(b"data").unwrap();
    let proposal = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let (_, commit) = alice.commit(CommitPlan { cover: Cover::None, ..CommitPlan::default() }).unwrap();
    let years_later = Timestamp(NOW.0 + 10 * 366 * 24 * 60 * 60);
    for message in [&data, &proposal, &commit] {
        bob.group().receive(message, years_later).unwrap();
    }
    let Ok(Received::Commit(received)) = bob.group().receive(&commit, years_later) else {
        panic!("no commit")
    };
    let random = &mut SeededRandom::new(1);
    let staged = bob.group().stage_commit(&received, &Answers::none(), years_later, random).unwrap();
    // Nobody shows anything new, so there is nothing to judge.
    assert!(staged.checks().is_empty());

    let mut carol = actor("carol", &policy);
    let key_package = carol.key_package();
    let (_, change) = bob.invite(&[key_package]).unwrap();
    let stage = |policy: &Policy| {
        let welcome = &change.welcomes[0].message;
        let opened = OpenedWelcome::open(welcome, &carol.store, &carol.provider, policy).unwrap();
        opened.stage(&Answers::none(), None, None, years_later, &mut SeededRandom::new(2)).map(drop)
    };
    assert_eq!(stage(&policy), Ok(()));
    let strict = Policy { check_lifetime_in_tree: true, ..policy };
    assert_breaks!(stage(&strict).unwrap_err(), Violation::LeafLifetime, "C122");
}

/// What was received is accepted where it was received, or nowhere.
#[test]
fn what_one_group_has_received_another_does_not_accept() {
    let policy = Policy::default();
    let (mut alice, bob) = pair(&policy);
    let mut carol = actor("carol", &policy);
    carol.create();
    let data = alice.send(b"data").unwrap();
    let proposal = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let (_, commit) = alice.commit(CommitPlan { cover: Cover::None, ..CommitPlan::default() }).unwrap();
    // Another epoch 1 than that of Alice and Bob, and a leaf of the same number.
    let key_package = actor("dave", &policy).key_package();
    carol.invite(&[key_package]).unwrap();
    assert_eq!((carol.group().epoch(), carol.leaf()), (bob.group().epoch(), alice.leaf()));
    let before = carol.rows();
    for message in [&data, &proposal, &commit] {
        let group = carol.group.as_mut().unwrap();
        let refused = match bob.group().receive(message, NOW).unwrap() {
            Received::Message(received) => group.accept_message(received).map(drop),
            Received::Proposal(received) => group.accept_proposal(received, &Verdicts::default()).map(drop),
            Received::Commit(received) => {
                let random = &mut SeededRandom::new(3);
                let staged = group.stage_commit(&received, &Answers::none(), NOW, random).map(drop);
                assert_eq!(staged, Err(NotNow::Stale.into()));
                let staged = bob.group().stage_commit(&received, &Answers::none(), NOW, random).unwrap();
                group.accept_commit(staged, &Verdicts::default(), NOW).map(drop)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(refused, Err(NotNow::Stale.into()));
    }
    assert_eq!(carol.rows(), before);
}
