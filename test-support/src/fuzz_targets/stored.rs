//! Stores that give back something else than was written.

use arbitrary::Unstructured;
use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::group::{CommitPlan, Group, GroupInfoOptions, GroupView};
use hushwood::policy::Policy;
use hushwood::public_group::PublicGroup;
use hushwood::transition::{Persist, WriteSet};
use hushwood_crypto::Secret;

use super::mutation::{below, mutate};
use super::scene::with;
use crate::actor::NOW;
use crate::fake_crypto::PROVIDER;
use crate::random::SeededRandom;

/// A group one of whose rows was changed.
pub(super) fn stored_state(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    with(|scene| {
        let member = &scene.members[below(choices, 3)];
        let (_, rows) = member.rows();
        let Some((key, value)) = rows.iter().nth(below(choices, rows.len())) else { return };
        let mut writes = WriteSet::new();
        writes.put(key.clone(), Secret::new(mutate(value, choices)));
        let mut store = member.store.snapshot();
        store.persist(&writes).expect("the store works");

        let random = &mut SeededRandom::new(6);
        let Ok(mut group) = Group::open(&store, &PROVIDER, member.group().instance()) else { return };
        _ = group.members().count();
        _ = group.unacknowledged(&store);
        _ = group.ratchet_tree();
        _ = group.group_info(GroupInfoOptions::default(), &member.signer, random);
        _ = group.receive(&scene.messages[below(choices, scene.messages.len())], NOW);
        let staged: Vec<_> = group.staged_commits().copied().collect();
        for id in staged {
            _ = group.apply(&id, NOW);
        }
        if let Ok(step) = group.encrypt(b"hello", b"", &member.signer, random) {
            _ = step.commit(&mut store);
        }
        if let Ok(step) = group.commit(CommitPlan::default(), &Answers::none(), &member.signer, NOW, random) {
            _ = step.commit(&mut store);
        }
    });
}

/// An observer's state from anywhere.
pub(super) fn observer_state(data: &[u8]) {
    if let Ok(observer) = PublicGroup::from_bytes(data, &PROVIDER) {
        let bytes = observer.to_bytes().expect("what was read can be written");
        let again = PublicGroup::from_bytes(&bytes, &PROVIDER).expect("what was written can be read");
        assert_eq!(again.to_bytes().as_ref(), Ok(&bytes));
        assert_eq!(observer.context(), again.context());
        with(|scene| {
            for message in &scene.messages {
                _ = observer.receive(message, NOW, &mut SeededRandom::new(6));
            }
        });
    }
}

pub(super) fn observer_seeds() -> Vec<Vec<u8>> {
    with(|scene| {
        let group_info = scene.messages.last().expect("the GroupInfo");
        let random = &mut SeededRandom::new(6);
        let view = GroupView::verify(group_info, None, &PROVIDER, (&Policy::default(), NOW), random).unwrap();
        let verdicts = judge(view.checks(), &InsecureAcceptAll);
        vec![PublicGroup::new(view, &verdicts).unwrap().to_bytes().unwrap()]
    })
}
