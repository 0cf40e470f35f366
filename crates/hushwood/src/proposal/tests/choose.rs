//! RFC 9420 §12.2, §12.4: what a committer takes. In these tests member 0 commits.

use std::collections::BTreeSet;

use super::*;
use crate::error::{NotNow, Violation};
use crate::proposal::{CachedProposal, Choice, ProposalCache, choose};

/// Proposals of members, as a committer has received them.
fn received(world: &World, proposals: Vec<(Proposal, u32)>) -> ProposalCache {
    let mut cache = ProposalCache::new();
    for (proposal, number) in proposals {
        let cached = CachedProposal::check(&world.message(proposal, number), &world.checks()).unwrap();
        assert_eq!(cache.insert(cached, &world.policy), Ok(true));
    }
    cache
}

fn chosen(world: &mut World, cache: &ProposalCache, own: Vec<Proposal>) -> Result<Choice, Error> {
    world.sending = true;
    let own = own.into_iter().map(|proposal| CommittedProposal::by_value(proposal, member(0))).collect();
    let choice = choose(cache, own, &BTreeSet::new(), leaf(0), &world.checks());
    world.sending = false;
    choice
}

/// What is taken from the cache, by position of arrival, and why the others are not. The choice passes
/// the checks of every receiver.
fn choice(
    world: &mut World,
    proposals: Vec<(Proposal, u32)>,
    own: Vec<Proposal>,
) -> (Vec<usize>, Vec<(usize, Error)>) {
    let cache = received(world, proposals);
    let choice = chosen(world, &cache, own).unwrap();
    let list = world.check(choice.proposals.clone(), member(0)).unwrap();
    list.apply(&world.checks()).unwrap().check_tree(&world.checks()).unwrap();
    let position =
        |reference: &HashReference| cache.iter().position(|cached| cached.reference() == reference).unwrap();
    let taken = choice.proposals.iter().filter_map(|proposal| proposal.reference()).map(position).collect();
    let dropped = choice.dropped.iter().map(|d| (position(&d.reference), d.reason.clone())).collect();
    (taken, dropped)
}

fn dropped(position: usize, reason: Violation) -> (usize, Error) {
    (position, reason.into())
}

#[test]
fn everything_valid_is_taken() {
    let mut world = World::new(5);
    let proposals = vec![
        (world.add("dora"), 1),
        (world.update(2), 2),
        (remove(3), 3),
        (psk("a", 1), 4),
        (gce(extensions(&[KNOWN_EXTENSION])), 1),
        (custom(KNOWN_PROPOSAL), 1),
    ];
    let own = vec![world.add("emil"), remove(4)];
    assert_eq!(choice(&mut world, proposals, own), (vec![0, 1, 2, 3, 4, 5], vec![]));
}

#[test]
fn changes_of_the_committer_are_left_to_others() {
    let mut world = World::new(3);
    let proposals = vec![(world.update(0), 0), (remove(0), 1), (psk("a", 1), 1)];
    let reasons =
        vec![dropped(0, Violation::CommitterUpdatesSelf), dropped(1, Violation::CommitterRemovesSelf)];
    assert_eq!(choice(&mut world, proposals, vec![]), (vec![2], reasons));
}

#[test]
fn a_remove_is_preferred_to_updates_and_else_the_latest_update() {
    let mut world = World::new(4);
    let proposals = vec![
        (world.update(1), 1),
        (world.update(2), 2),
        (remove(1), 3),
        (world.update(2), 2),
        (remove(1), 2),
        (world.update(3), 3),
    ];
    let reasons = vec![
        dropped(0, Violation::UpdateAndRemove),
        dropped(1, Violation::UpdateTwice),
        dropped(4, Violation::RemoveTwice),
        dropped(5, Violation::UpdateAndRemove),
    ];
    assert_eq!(choice(&mut world, proposals, vec![remove(3)]), (vec![2, 3], reasons));
}

#[test]
fn others_are_preferred_to_a_reinit() {
    let mut world = World::new(3);
    let both = vec![(reinit(), 1), (psk("a", 1), 1)];
    let reasons = vec![dropped(0, Violation::ReInitNotAlone)];
    assert_eq!(choice(&mut world, both.clone(), vec![]), (vec![1], reasons.clone()));
    let two = vec![(reinit(), 1), (reinit(), 2)];
    let second = vec![dropped(1, Violation::ReInitNotAlone)];
    assert_eq!(choice(&mut world, two, vec![]), (vec![0], second));
    assert_eq!(choice(&mut world, vec![(reinit(), 1)], vec![remove(2)]), (vec![], reasons));
    let cache = received(&world, both);
    let error = chosen(&mut world, &cache, vec![reinit()]).unwrap_err();
    assert_eq!(error, NotNow::ProposalPending.into());
}

#[test]
fn a_psk_and_a_list_of_extensions_are_taken_once() {
    let mut world = World::new(3);
    let proposals = vec![
        (psk("a", 1), 1),
        (psk("a", 1), 2),
        (psk("b", 1), 1),
        (gce(Extensions::new()), 1),
        (gce(extensions(&[KNOWN_EXTENSION])), 2),
    ];
    let reasons = vec![
        dropped(0, Violation::PskDuplicate),
        dropped(2, Violation::PskDuplicate),
        dropped(3, Violation::GroupContextExtensionsTwice),
    ];
    assert_eq!(choice(&mut world, proposals, vec![psk("b", 1)]), (vec![1, 4], reasons));
}

#[test]
fn a_client_is_added_once_and_not_if_it_is_a_member() {
    let mut world = World::new(4);
    let add = |key_package| Proposal::Add(Box::new(Add { key_package }));
    let (first, signer) = world.key_package(&content("dora"));
    let second = world.key_package_of(&content("dora"), &signer);
    let third = world.signers.pop().unwrap();
    let existing = world.key_package_of(&content("member 3"), &third);
    let second_signer = world.signers.pop().unwrap();
    let readded = world.key_package_of(&content("member 2"), &second_signer);
    let proposals =
        vec![(add(first), 1), (add(second), 1), (add(existing), 1), (add(readded), 1), (remove(2), 1)];
    let reasons = vec![dropped(1, Violation::AddDuplicate), dropped(2, Violation::AddExisting)];
    assert_eq!(choice(&mut world, proposals, vec![]), (vec![0, 3, 4], reasons));
}

#[test]
fn expired_adds_are_left_out() {
    let mut world = World::new(2);
    let add = world.add("dora");
    let Proposal::Add(valid) = &add else { unreachable!() };
    let proposals = vec![(Proposal::Add(valid.clone()), 1)];
    let cache = received(&world, proposals);
    world.sending = true;
    let later = Timestamp(NOW.0 + world.policy.lifetime + 1);
    let checks = ProposalChecks { now: later, ..world.checks() };
    let choice = choose(&cache, vec![], &BTreeSet::new(), leaf(0), &checks).unwrap();
    assert!(choice.proposals.is_empty());
    assert_eq!(choice.dropped[0].reason, Violation::LeafLifetime.into());
}

fn lacking(change: impl FnOnce(&mut Supported)) -> LeafContent {
    let mut content = content("lacking");
    change(&mut content.supported);
    content
}

#[test]
fn what_does_not_fit_the_new_extensions_is_left_out() {
    let mut world = World::new(3);
    let poor = lacking(|supported| supported.extensions.clear());
    let proposals = vec![
        (world.add_of(&poor), 1),
        (world.update_to(2, &poor), 2),
        (gce(extensions(&[KNOWN_EXTENSION])), 1),
        (world.add("dora"), 1),
    ];
    let reasons = vec![
        dropped(0, Violation::CapabilitiesLackExtension),
        dropped(1, Violation::CapabilitiesLackExtension),
    ];
    assert_eq!(choice(&mut world, proposals, vec![]), (vec![2, 3], reasons));
}

#[test]
fn extensions_that_the_members_do_not_support_are_left_out_unless_an_update_or_remove_helps() {
    let poor = lacking(|supported| supported.extensions.clear());
    let mut world = World::with(3, |number| if number == 2 { poor.clone() } else { content("member") });
    let new = (gce(extensions(&[KNOWN_EXTENSION])), 1);
    let reasons = vec![dropped(0, Violation::ExtensionUnsupportedByMember)];
    let add = (world.add_of(&poor), 1);
    assert_eq!(choice(&mut world, vec![new.clone(), add], vec![]), (vec![1], reasons));
    let update = (world.update_to(2, &content("richer")), 2);
    assert_eq!(choice(&mut world, vec![new.clone(), update], vec![]), (vec![0, 1], vec![]));
    assert_eq!(choice(&mut world, vec![new], vec![remove(2)]), (vec![0], vec![]));
}

#[test]
fn proposals_and_credentials_of_types_that_some_member_lacks_are_left_out() {
    let mut world = World::with(3, |number| match number {
        2 => lacking(|supported| supported.proposals.clear()),
        _ => content("member"),
    });
    let mut custom_credential = content("custom");
    let credential_type = CredentialType(0xF0C0);
    custom_credential.supported.credentials.push(credential_type);
    custom_credential.credential = Credential::Custom { credential_type, data: vec![] };
    let proposals = vec![(custom(KNOWN_PROPOSAL), 1), (world.add_of(&custom_credential), 1)];
    let reasons = vec![
        dropped(0, Violation::CapabilitiesLackProposal),
        dropped(1, Violation::CapabilitiesLackCredential),
    ];
    assert_eq!(choice(&mut world, proposals, vec![]), (vec![], reasons));
}

#[test]
fn leaves_that_share_an_encryption_key_are_not_taken_together() {
    let mut world = World::new(2);
    let Proposal::Add(mut first) = world.add("dora") else { unreachable!() };
    let (other, signer) = world.key_package(&content("emil"));
    let key = other.leaf_node.encryption_key.clone();
    let content = content("dora");
    let source = other.leaf_node.leaf_node_source.clone();
    let random = &mut world.random;
    let unsigned = UnsignedLeafNode::new(&content, key, source, &world.policy, random).unwrap();
    let own = crate::testing::signer(random);
    first.key_package.leaf_node = unsigned.sign(&own, (&[], leaf(0))).unwrap();
    drop(signer);
    let second = Proposal::Add(Box::new(Add { key_package: other }));
    // The first KeyPackage's own signature does not matter here: it comes as if from the cache.
    let cache = {
        let first = world.sent(Proposal::Add(first), member(1));
        let second = world.sent(second, member(1));
        let mut cache = ProposalCache::new();
        for committed in [first, second] {
            cache.insert(CachedProposal::unchecked(committed), &world.policy).unwrap();
        }
        cache
    };
    let choice = chosen(&mut world, &cache, vec![]).unwrap();
    assert_eq!(choice.proposals.len(), 1);
    assert_eq!(choice.dropped[0].reason, Violation::EncryptionKeyReused.into());
}

#[test]
fn limits_of_the_policy_are_kept() {
    let mut world = World::new(2);
    world.policy.max_members = 3;
    let proposals = vec![(world.add("dora"), 1), (world.add("emil"), 1)];
    let limit = |position| (position, Error::from(NotNow::Limit));
    assert_eq!(choice(&mut world, proposals, vec![]), (vec![0], vec![limit(1)]));
    world.policy.max_commit_proposals = 2;
    let proposals = vec![(psk("a", 1), 1), (psk("a", 2), 1)];
    assert_eq!(choice(&mut world, proposals, vec![psk("a", 3)]), (vec![0], vec![limit(1)]));
}

#[test]
fn what_the_application_excludes_is_not_even_dropped() {
    let mut world = World::new(2);
    let cache = received(&world, vec![(psk("a", 1), 1), (psk("a", 2), 1)]);
    world.sending = true;
    let excluded = cache.iter().take(1).map(|cached| cached.reference().clone()).collect();
    let choice = choose(&cache, vec![], &excluded, leaf(0), &world.checks()).unwrap();
    assert_eq!((choice.proposals.len(), choice.dropped.len()), (1, 0));
}
