//! RFC 9420 §12.1: proposals that wait for a commit.

use hushwood_codec::Decode;

use super::*;
use crate::commit::ProposalOrRef;
use crate::error::{NotNow, Violation};
use crate::proposal::{CachedProposal, ProposalCache};

fn cached(world: &World, proposal: Proposal, number: u32) -> CachedProposal {
    CachedProposal::check(&world.message(proposal, number), &world.checks()).unwrap()
}

#[test]
fn a_proposal_is_found_by_the_reference_of_its_message_once() {
    let world = World::new(3);
    let message = world.message(remove(1), 2);
    let proposal = CachedProposal::check(&message, &world.checks()).unwrap();
    assert_eq!(proposal.reference(), &message.proposal_ref(SUITE).unwrap());
    let mut cache = ProposalCache::new();
    assert_eq!(cache.insert(proposal.clone(), &world.policy), Ok(true));
    assert_eq!(cache.insert(proposal.clone(), &world.policy), Ok(false));
    assert_eq!((cache.len(), cache.get(proposal.reference())), (1, Some(&proposal)));
    // The same proposal from somebody else is another message.
    assert_eq!(cache.insert(cached(&world, remove(1), 0), &world.policy), Ok(true));
    assert_eq!(cache.remove(proposal.reference()), Some(proposal.clone()));
    assert_eq!((cache.len(), cache.get(proposal.reference())), (1, None));
}

#[test]
fn a_proposal_of_another_epoch_is_not_kept() {
    let mut world = World::new(3);
    let message = world.message(remove(1), 2);
    world.context.epoch += 1;
    assert_eq!(CachedProposal::check(&message, &world.checks()), Err(NotNow::EpochPast.into()));
    world.context.epoch -= 2;
    assert_eq!(CachedProposal::check(&message, &world.checks()), Err(NotNow::EpochFuture.into()));
}

#[test]
fn an_invalid_proposal_is_not_kept() {
    let world = World::new(2);
    let message = world.message(remove(2), 1);
    assert_eq!(CachedProposal::check(&message, &world.checks()), Err(Violation::RemoveBlank.into()));
}

#[test]
fn no_sender_and_not_all_together_fill_more_than_the_policy_allows() {
    let mut world = World::new(3);
    world.policy.max_pending_proposals = 5;
    world.policy.max_pending_proposals_of_sender = 3;
    let mut cache = ProposalCache::new();
    let mut insert = |nonce, number| {
        let proposal = cached(&world, psk("a", nonce), number);
        cache.insert(proposal, &world.policy)
    };
    for nonce in 0..3 {
        assert_eq!(insert(nonce, 1), Ok(true));
    }
    assert_eq!(insert(3, 1), Err(NotNow::Limit.into()));
    assert_eq!(insert(0, 2), Ok(true));
    assert_eq!(insert(1, 2), Ok(true));
    assert_eq!(insert(0, 0), Err(NotNow::Limit.into()));
    // What is there already is not too much.
    assert_eq!(insert(0, 1), Ok(false));
}

#[test]
fn references_are_resolved_and_the_missing_ones_told() {
    let world = World::new(3);
    let mut cache = ProposalCache::new();
    let proposal = cached(&world, remove(1), 2);
    let reference = ProposalOrRef::Reference(proposal.reference().clone());
    cache.insert(proposal, &world.policy).unwrap();
    let missing = HashReference(vec![7; 32]);
    let unknown = ProposalOrRef::Reference(missing.clone());
    let value = ProposalOrRef::Proposal(psk("a", 1));
    let found = vec![value.clone(), reference.clone()];
    let resolved = cache.resolve(found.clone(), member(0), &world.policy).unwrap();
    assert_eq!(resolved.iter().map(|c| c.sender()).collect::<Vec<_>>(), [member(0), member(2)]);
    assert_eq!(resolved.iter().map(|c| c.to_commit()).collect::<Vec<_>>(), found);
    assert!(cache.missing(&found).is_empty());
    let list = vec![value, unknown.clone(), reference.clone(), unknown];
    assert_eq!(cache.missing(&list), [missing]);
    assert_eq!(cache.resolve(list, member(0), &world.policy), Err(NotNow::ProposalMissing.into()));
    let external = cache.resolve(vec![reference], Sender::NewMemberCommit, &world.policy);
    assert_eq!(external, Err(Violation::ExternalCommitReference.into()));
}

#[test]
fn proposals_survive_storage() {
    let mut world = World::new(2);
    let add = world.add("dora");
    for proposal in [add, custom(KNOWN_PROPOSAL)] {
        let cached = cached(&world, proposal, 1);
        let bytes = cached.to_bytes().unwrap();
        assert_eq!(CachedProposal::from_bytes(&bytes), Ok(cached));
    }
}

#[test]
fn no_sender_and_not_all_together_fill_more_than_a_message_could_hold() {
    let mut world = World::new(5);
    let length = psk("a", 0).to_bytes().unwrap().len();
    world.policy.decode.max_bytes = 9 * length;
    let mut cache = ProposalCache::new();
    // A quarter of nine is two.
    for number in 0..4 {
        for nonce in 0..2 {
            cache.insert(cached(&world, psk("a", nonce), number), &world.policy).unwrap();
        }
        let third = cached(&world, psk("a", 2), number);
        assert_eq!(cache.insert(third, &world.policy), Err(NotNow::Limit.into()));
    }
    cache.insert(cached(&world, psk("a", 0), 4), &world.policy).unwrap();
    assert_eq!(cache.insert(cached(&world, psk("a", 1), 4), &world.policy), Err(NotNow::Limit.into()));
    // What goes makes room again.
    let first = cached(&world, psk("a", 0), 0);
    assert_eq!(cache.remove(first.reference()), Some(first));
    assert_eq!(cache.insert(cached(&world, psk("a", 1), 4), &world.policy), Ok(true));
}
