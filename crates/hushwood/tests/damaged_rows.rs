//! A store that gives back something else than was written: errors, and never a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::Error;
use hushwood::group::{
    CommitPlan, Group, GroupInfoOptions, LeafUpdate, NewProposal, OpenedWelcome, Received,
};
use hushwood::transition::{Persist, RecordKey, RecordKind, Records, WriteSet};
use hushwood_crypto::Secret;
use hushwood_store::MemoryStore;
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;

fn actor(name: &str, seed: u64) -> Actor {
    let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed);
    actor.reload = false;
    actor
}

/// Does all that a group can do, as far as it gets.
fn use_it(bob: &Actor, store: &mut MemoryStore, messages: &[Vec<u8>]) -> Result<(), Error> {
    let mut random = SeededRandom::new(9);
    let mut group = Group::open(store, &bob.provider, bob.group().instance())?;
    group.members().for_each(|member| _ = member);
    _ = group.unacknowledged(store);
    _ = group.export("label", b"", 16);
    _ = group.ratchet_tree();
    _ = group.group_info(GroupInfoOptions::default(), &bob.signer, &mut random);
    for message in messages {
        match group.receive(message, NOW) {
            Ok(Received::Message(received)) => {
                if let Ok(step) = group.accept_message(received) {
                    _ = step.commit(store);
                }
            }
            Ok(Received::Commit(received)) => {
                let answers = Answers::none();
                let Ok(staged) = group.stage_commit(&received, &answers, NOW, &mut random) else { continue };
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                if let Ok(step) = group.accept_commit(staged, &verdicts, NOW) {
                    _ = step.commit(store);
                }
            }
            _ => {}
        }
    }
    let staged: Vec<_> = group.staged_commits().copied().collect();
    for id in staged {
        if let Ok(step) = group.apply(&id, NOW) {
            _ = step.commit(store);
        }
    }
    if let Ok(step) = group.encrypt(b"hello", b"", &bob.signer, &mut random) {
        _ = step.commit(store);
    }
    if let Ok(step) = group.commit(CommitPlan::default(), &Answers::none(), &bob.signer, NOW, &mut random) {
        _ = step.commit(store);
    }
    _ = group.expire(NOW).map(|step| step.commit(store));
    Ok(())
}

#[test]
fn whatever_a_row_has_become_nothing_panics() {
    let (mut alice, mut bob) = (actor("alice", 1), actor("bob", 2));
    alice.create();
    let mut key_packages = vec![bob.key_package()];
    key_packages.extend((3..10).map(|seed| actor("somebody", seed).key_package()));
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    // A past epoch, late messages, who stood where, keys that were passed over.
    let late = alice.send(b"late").unwrap();
    for _ in 0..2 {
        let remove = NewProposal::Remove(hushwood::tree::LeafIndex::new(6));
        let added = actor("new", 20).key_package();
        let add = NewProposal::Add(Box::new(alice.validate(&added).unwrap()));
        let plan = CommitPlan { proposals: vec![remove, add], ..CommitPlan::default() };
        let (id, commit) = alice.commit(plan).unwrap();
        alice.apply(&id).unwrap();
        bob.receive(&commit).unwrap();
    }
    let skipped = alice.send(b"skipped").unwrap();
    let second = alice.send(b"second").unwrap();
    bob.receive(&second).unwrap();
    let proposal = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    bob.receive(&proposal).unwrap();
    bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    bob.commit(CommitPlan::default()).unwrap();
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.key_package();
    let messages = [late, skipped, commit];

    let rows = |store: &MemoryStore| {
        let mut rows = Vec::new();
        for kind in RecordKind::ALL {
            for (id, value) in store.list(bob.group().instance(), *kind).unwrap() {
                rows.push((RecordKey::new(bob.group().instance(), *kind, id), value));
            }
        }
        rows
    };
    let mut kinds: Vec<RecordKind> = rows(&bob.store).iter().map(|(key, _)| key.kind).collect();
    kinds.dedup();
    assert!(kinds.len() >= 14, "{kinds:?}");
    assert_eq!(use_it(&bob, &mut bob.store.snapshot(), &messages), Ok(()));

    let mut random = SeededRandom::new(1);
    for (key, value) in rows(&bob.store) {
        let value = value.expose();
        let mut others: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(vec![1])];
        others.extend([value.len() / 2, value.len() - 1].map(|length| Some(value[..length].to_vec())));
        others.push(Some([value, &[0]].concat()));
        let places = if value.len() > 300 { 40 } else { 16 };
        for _ in 0..places {
            let mut other = value.to_vec();
            let place = random.below(other.len());
            other[place] = match random.below(3) {
                0 => 0,
                1 => 0xff,
                _ => other[place] ^ 1 << random.below(8),
            };
            others.push(Some(other));
        }
        for other in others {
            let mut store = bob.store.snapshot();
            let mut writes = WriteSet::new();
            match other {
                Some(other) => writes.put(key.clone(), Secret::new(other)),
                None => writes.erase(key.clone()),
            }
            store.persist(&writes).unwrap();
            _ = use_it(&bob, &mut store, &messages);
        }
    }
}

/// Rows that were written at another time, each in the place where it stood.
#[test]
fn rows_of_another_time_are_no_panic_and_no_other_tree() {
    let (mut alice, mut bob) = (actor("alice", 1), actor("bob", 2));
    alice.create();
    let mut key_packages = vec![bob.key_package()];
    key_packages.extend((3..10).map(|seed| actor("somebody", seed).key_package()));
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    let instance = bob.group().instance();
    let mut times = vec![bob.store.snapshot()];
    for removed in [6, 3, 4] {
        let remove = NewProposal::Remove(hushwood::tree::LeafIndex::new(removed));
        let plan = CommitPlan { proposals: vec![remove], ..CommitPlan::default() };
        let (id, commit) = alice.commit(plan).unwrap();
        alice.apply(&id).unwrap();
        bob.receive(&commit).unwrap();
        times.push(bob.store.snapshot());
    }
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    let truth = bob.group().ratchet_tree().unwrap();
    for time in &times[..3] {
        for kind in RecordKind::ALL {
            for (id, value) in time.list(instance, *kind).unwrap() {
                let mut store = bob.store.snapshot();
                let mut writes = WriteSet::new();
                writes.put(RecordKey::new(instance, *kind, id), value);
                store.persist(&writes).unwrap();
                _ = use_it(&bob, &mut store, std::slice::from_ref(&commit));
                if let Ok(group) = Group::open(&store, &bob.provider, instance)
                    && group.epoch() == bob.group().epoch()
                    && let Ok(tree) = group.ratchet_tree()
                {
                    assert_eq!(tree, truth, "{kind:?}");
                }
            }
        }
    }
    let opened = OpenedWelcome::open(&change.welcomes[0].message, &bob.store, &bob.provider, &bob.policy);
    assert!(opened.is_err());
}
