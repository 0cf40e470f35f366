//! A group that was opened reads of its tree what it needs, and notices when that is not its tree any more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Error, NotNow, StoreReadError};
use hushwood::group::{CommitPlan, Group, Received};
use hushwood::transition::{Persist, RecordKey, RecordKind, Records, WriteSet};
use hushwood::tree::LeafIndex;
use hushwood_crypto::Secret;
use hushwood_rustcrypto::{OsRandom, PROVIDER};
use test_support::actor::{Actor, NOW};
use test_support::counting_store::CountingStore;

fn actor(name: &str, seed: u64) -> Actor {
    let mut actor = Actor::new(name, PROVIDER, CipherSuiteId(1), seed);
    actor.reload = false;
    actor
}

/// A group of so many, and one other member of it.
fn group(members: u64) -> (Actor, Actor) {
    let (mut alice, mut bob) = (actor("alice", 1), actor("bob", 2));
    alice.create();
    let mut key_packages = vec![bob.key_package()];
    key_packages.extend((3..=members).map(|seed| actor("somebody", seed).key_package()));
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    (alice, bob)
}

#[test]
fn the_first_message_after_opening_needs_no_row_of_the_tree() {
    for members in [2, 40] {
        let (alice, bob) = group(members);
        let mut store = CountingStore::new(alice.store.snapshot());
        let mut opened = Group::open(&store, &PROVIDER, alice.group().instance()).unwrap();
        let sent =
            opened.encrypt(b"hello", b"", &alice.signer, &mut OsRandom).unwrap().commit(&mut store).unwrap();
        assert_eq!(store.reads().tree_rows, 0);
        let bobs = Group::open(&bob.store, &PROVIDER, bob.group().instance()).unwrap();
        assert!(matches!(bobs.receive(&sent.message, NOW), Ok(Received::Message(_))));
    }
}

#[test]
fn a_commit_reads_the_paths_it_touches() {
    // Once everybody has committed, no parent is blank: a commit concerns few nodes.
    let mut members: Vec<Actor> = (0..32).map(|seed| actor("somebody", seed)).collect();
    members[0].create();
    let key_packages: Vec<_> = members[1..].iter_mut().map(Actor::key_package).collect();
    let (_, change) = members[0].invite(&key_packages).unwrap();
    let welcome = &change.welcomes[0].message;
    members[1..].iter_mut().for_each(|member| _ = member.join(welcome, None).unwrap());
    for committer in (0..32).rev() {
        let (id, commit) = members[committer].commit(CommitPlan::default()).unwrap();
        for (number, member) in members.iter_mut().enumerate() {
            match number == committer {
                true => _ = member.apply(&id).unwrap(),
                false => _ = member.receive(&commit).unwrap(),
            }
        }
    }
    let (_, commit) = members[0].commit(CommitPlan::default()).unwrap();
    let last = &members[31];
    let mut store = CountingStore::new(last.store.snapshot());
    let mut opened = Group::open(&store, &PROVIDER, last.group().instance()).unwrap();
    let Received::Commit(received) = opened.receive(&commit, NOW).unwrap() else { panic!("no commit") };
    let staged = opened.stage_commit(&received, &Answers::none(), NOW, &mut OsRandom).unwrap();
    let verdicts = judge(staged.checks(), &InsecureAcceptAll);
    opened.accept_commit(staged, &verdicts, NOW).unwrap().commit(&mut store).unwrap();
    // Five levels of siblings above each of two leaves, of which the children of the root are above both; and
    // where the committer's signature key, which stays, stands already.
    assert_eq!(store.reads().tree_rows, 2 + 2 * (4 * 2) + 1);
    assert_eq!(opened.tree().tree_hash().unwrap().as_bytes(), opened.context().tree_hash);
}

#[test]
fn a_tree_that_another_process_has_moved_on_is_stale() {
    let (mut alice, mut bob) = group(8);
    let slow = Group::open(&bob.store, &PROVIDER, bob.group().instance()).unwrap();
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    let stale: Error = NotNow::Stale.into();
    assert_eq!(slow.member(LeafIndex::new(0)).unwrap_err(), stale);
    assert_eq!(slow.members().find_map(Result::err), Some(stale));
    let again = Group::open(&bob.store, &PROVIDER, slow.instance()).unwrap();
    assert_eq!(again.members().filter(Result::is_ok).count(), 8);
}

#[test]
fn a_row_of_the_tree_that_was_changed_is_corrupt() {
    let (_, mut bob) = group(8);
    let instance = bob.group().instance();
    let rows = bob.store.list(instance, RecordKind::TreeNode).unwrap();
    assert_eq!(rows.len(), 14);
    for (id, value) in rows {
        let put = |store: &mut hushwood_store::MemoryStore, value: Secret| {
            let mut writes = WriteSet::new();
            writes.put(RecordKey::new(instance, RecordKind::TreeNode, id.clone()), value);
            store.persist(&writes).unwrap();
        };
        let mut changed = value.expose().to_vec();
        // Within the encryption key of a leaf or parent, or the hash of a blank one's child.
        changed[20] ^= 1;
        put(&mut bob.store, Secret::new(changed));
        let opened = Group::open(&bob.store, &PROVIDER, instance).unwrap();
        assert_eq!(opened.members().find_map(Result::err), Some(StoreReadError::Corrupt.into()));
        let found = (0..8).find_map(|leaf| opened.member(LeafIndex::new(leaf)).err());
        assert_eq!(found, Some(StoreReadError::Corrupt.into()));
        put(&mut bob.store, value);
    }
}

/// The number of members is not part of the hashes that prove a row.
#[test]
fn a_row_with_more_members_than_its_subtree_has_room_for_is_corrupt() {
    let (_, mut bob) = group(8);
    let instance = bob.group().instance();
    for members in [9_u32, 1 << 20, u32::MAX] {
        let key = RecordKey::new(instance, RecordKind::TreeSummary, Vec::new());
        let summary = bob.store.get(&key).unwrap().unwrap();
        // Version, number of leaves, counts, and then the number of members in the root's record.
        let mut changed = summary.expose().to_vec();
        let counts = usize::from(changed[5] & 0x3f) << 8 | usize::from(changed[6]);
        let place = 7 + counts;
        assert_eq!(changed[place..place + 4], 8_u32.to_be_bytes());
        changed[place..place + 4].copy_from_slice(&members.to_be_bytes());
        let mut writes = WriteSet::new();
        writes.put(key.clone(), Secret::new(changed));
        bob.store.persist(&writes).unwrap();
        let error = Group::open(&bob.store, &PROVIDER, instance).unwrap_err();
        assert_eq!(error, StoreReadError::Corrupt.into());
        let mut writes = WriteSet::new();
        writes.put(key, summary);
        bob.store.persist(&writes).unwrap();
    }
}
