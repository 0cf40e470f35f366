//! RFC 9420 §12.2: rules on the list of a member's commit. In these tests member 0 commits.

use test_support::assert_breaks;

use super::*;
use crate::error::{NotNow, Violation};
use crate::unverified::Unverified;

#[test]
fn a_list_of_many_types_is_accepted_and_sorted() {
    let mut world = World::new(5);
    let (add, second, update) = (world.add("dora"), world.add("emil"), world.update(1));
    let proposals = vec![
        world.sent(psk("a", 1), member(3)),
        world.sent(add, Sender::External(0)),
        world.sent(update, member(1)),
        world.sent(remove(2), member(2)),
        CommittedProposal::by_value(gce(extensions(&[KNOWN_EXTENSION])), member(0)),
        CommittedProposal::by_value(second, member(0)),
        CommittedProposal::by_value(psk("b", 1), member(0)),
        CommittedProposal::by_value(custom(KNOWN_PROPOSAL), member(0)),
    ];
    let list = world.check(proposals, member(0)).unwrap();
    assert_eq!(list.adds().map(|(sender, _)| sender).collect::<Vec<_>>(), [Sender::External(0), member(0)]);
    assert_eq!(list.psks().collect::<Vec<_>>(), [&psk_id("a", 1), &psk_id("b", 1)]);
    assert_eq!(list.removes().collect::<Vec<_>>(), [leaf(2)]);
    assert_eq!(list.updates().map(|(leaf, _)| leaf).collect::<Vec<_>>(), [leaf(1)]);
    assert!(list.group_context_extensions().is_some() && list.custom().count() == 1);
    assert!(list.path_required(&world.policy));
}

#[test]
fn an_invalid_proposal_by_value_is_refused() {
    let mut world = World::new(2);
    assert_breaks!(world.own(vec![remove(7)]).unwrap_err(), Violation::RemoveBlank, "C261");
    let Proposal::Add(mut add) = world.add("dora") else { unreachable!() };
    add.key_package.leaf_node.signature[0] ^= 1;
    assert_breaks!(world.own(vec![Proposal::Add(add)]).unwrap_err(), Violation::LeafSignature, "C242");
}

#[test]
fn an_update_of_the_committer_is_refused_by_value_and_by_reference() {
    let mut world = World::new(2);
    let update = world.update(0);
    assert_breaks!(
        world.own(vec![update.clone()]).unwrap_err(),
        Violation::CommitterUpdatesSelf,
        "C260",
        "C262"
    );
    let sent = world.sent(update, member(0));
    assert_breaks!(
        world.check(vec![sent], member(0)).unwrap_err(),
        Violation::CommitterUpdatesSelf,
        "C260",
        "C262"
    );
}

#[test]
fn a_remove_of_the_committer_is_refused_by_value_and_by_reference() {
    let mut world = World::new(2);
    assert_breaks!(
        world.own(vec![remove(0)]).unwrap_err(),
        Violation::CommitterRemovesSelf,
        "C260",
        "C263",
        "C318"
    );
    let sent = world.sent(remove(0), member(1));
    assert_breaks!(
        world.check(vec![sent], member(0)).unwrap_err(),
        Violation::CommitterRemovesSelf,
        "C260",
        "C263",
        "C318"
    );
}

#[test]
fn two_removes_of_a_leaf_are_refused() {
    let world = World::new(3);
    assert_breaks!(
        world.own(vec![remove(1), remove(1)]).unwrap_err(),
        Violation::RemoveTwice,
        "C260",
        "C264"
    );
    assert!(world.own(vec![remove(1), remove(2)]).is_ok());
}

#[test]
fn two_updates_of_a_leaf_are_refused() {
    let mut world = World::new(3);
    let updates = [world.update(1), world.update(1)];
    let sent = updates.map(|update| world.sent(update, member(1))).to_vec();
    assert_breaks!(world.check(sent, member(0)).unwrap_err(), Violation::UpdateTwice, "C260", "C265");
}

#[test]
fn an_update_and_a_remove_of_a_leaf_are_refused() {
    let mut world = World::new(3);
    let update = world.update(1);
    let update = world.sent(update, member(1));
    let remove = CommittedProposal::by_value(remove(1), member(0));
    for list in [vec![update.clone(), remove.clone()], vec![remove, update]] {
        assert_breaks!(world.check(list, member(0)).unwrap_err(), Violation::UpdateAndRemove, "C260", "C266");
    }
}

#[test]
fn two_adds_of_a_client_are_refused() {
    let mut world = World::new(1);
    let (first, signer) = world.key_package(&content("dora"));
    let second = world.key_package_of(&content("dora"), &signer);
    let add = |key_package| Proposal::Add(Box::new(Add { key_package }));
    let error = world.own(vec![add(first), add(second)]).unwrap_err();
    assert_breaks!(error, Violation::AddDuplicate, "C268");
}

#[test]
fn two_adds_with_one_init_key_are_refused() {
    let mut world = World::new(1);
    let (first, _) = world.key_package(&content("dora"));
    let (mut second, _) = world.key_package(&content("emil"));
    second.init_key = first.init_key.clone();
    let add = |key_package| Proposal::Add(Box::new(Add { key_package }));
    let error = world.own(vec![add(first), add(second)]).unwrap_err();
    assert_breaks!(error, Violation::AddDuplicate, "C281");
}

#[test]
fn an_add_of_a_member_is_refused_unless_it_is_removed() {
    let mut world = World::new(3);
    let signer = world.signers.pop().unwrap();
    let key_package = world.key_package_of(&content("member 2"), &signer);
    let add = Proposal::Add(Box::new(Add { key_package }));
    assert_breaks!(world.own(vec![add.clone()]).unwrap_err(), Violation::AddExisting, "C269");
    assert_breaks!(world.own(vec![remove(1), add.clone()]).unwrap_err(), Violation::AddExisting, "C269");
    assert!(world.own(vec![remove(2), add.clone()]).is_ok());
    assert!(world.own(vec![add, remove(2)]).is_ok());
}

#[test]
fn a_psk_twice_is_refused_and_with_another_nonce_is_not() {
    let world = World::new(1);
    assert_breaks!(world.own(vec![psk("a", 1), psk("a", 1)]).unwrap_err(), Violation::PskDuplicate, "C270");
    assert!(world.own(vec![psk("a", 1), psk("a", 2), psk("b", 1)]).is_ok());
}

#[test]
fn two_group_context_extensions_are_refused() {
    let world = World::new(1);
    let error = world.own(vec![gce(Extensions::new()), gce(Extensions::new())]).unwrap_err();
    assert_breaks!(error, Violation::GroupContextExtensionsTwice, "C271");
}

#[test]
fn a_reinit_with_anything_else_is_refused() {
    let mut world = World::new(2);
    assert!(world.own(vec![reinit()]).is_ok());
    let others = [world.add("dora"), remove(1), psk("a", 1), gce(Extensions::new()), reinit()];
    for other in others {
        let error = world.own(vec![reinit(), other]).unwrap_err();
        assert_breaks!(error, Violation::ReInitNotAlone, "C272");
    }
}

#[test]
fn an_external_init_in_a_members_commit_is_refused() {
    let world = World::new(1);
    let error = world.own(vec![external_init()]).unwrap_err();
    assert_breaks!(error, Violation::ExternalInitInMemberCommit, "C274");
}

#[test]
fn a_proposal_type_that_some_member_lacks_is_refused_unless_that_member_is_removed() {
    let world = World::with(3, |number| {
        let mut content = content("member");
        if number == 2 {
            content.supported.proposals.clear();
        }
        content
    });
    let refused = world.own(vec![custom(KNOWN_PROPOSAL)]).unwrap_err();
    assert_breaks!(refused, Violation::CapabilitiesLackProposal, "C275", "C380");
    assert!(world.own(vec![custom(KNOWN_PROPOSAL), remove(2)]).is_ok());
    // Not even GREASE that everybody happens to list is special: 0xF00F is listed by nobody.
    let refused = world.own(vec![custom(ProposalType(0xF00F)), remove(2)]).unwrap_err();
    assert_eq!(refused, Violation::CapabilitiesLackProposal.into());
}

#[test]
fn a_proposal_type_that_only_an_added_client_lacks_is_accepted() {
    let mut world = World::new(2);
    let mut lacking = content("dora");
    lacking.supported.proposals.clear();
    let add = world.add_of(&lacking);
    assert!(world.own(vec![custom(KNOWN_PROPOSAL), add]).is_ok());
}

#[test]
fn a_reference_twice_is_refused() {
    let mut world = World::new(1);
    let sent = world.sent(custom(KNOWN_PROPOSAL), member(0));
    let error = world.check(vec![sent.clone(), sent], member(0)).unwrap_err();
    assert_breaks!(error, Violation::ProposalByReferenceTwice, "C295");
}

#[test]
fn a_longer_list_than_the_policy_allows_is_refused() {
    let mut world = World::new(1);
    world.policy.max_commit_proposals = 2;
    assert!(world.own(vec![psk("a", 1), psk("a", 2)]).is_ok());
    let error = world.own(vec![psk("a", 1), psk("a", 2), psk("a", 3)]).unwrap_err();
    assert_eq!(error, NotNow::Limit.into());
}

#[test]
fn a_commit_of_nobody_is_refused() {
    let world = World::new(1);
    assert_breaks!(world.check(vec![], member(1)).unwrap_err(), Violation::SenderBlank, "C067");
    for sender in [Sender::External(0), Sender::NewMemberProposal] {
        assert_eq!(world.check(vec![], sender).unwrap_err(), Violation::NewMemberContent.into());
    }
}

#[test]
fn an_expired_key_package_is_not_committed_but_a_commit_with_it_is_followed() {
    let mut world = World::new(1);
    let add = world.add("dora");
    let sent = world.sent(expired(add), member(0));
    assert!(world.check(vec![sent.clone()], member(0)).is_ok());
    world.sending = true;
    assert_eq!(world.check(vec![sent], member(0)).unwrap_err(), Violation::LeafLifetime.into());
}

#[test]
fn a_path_is_required_for_all_but_three_types() {
    let mut world = World::new(4);
    let (add, update) = (world.add("dora"), world.update(1));
    let update = world.sent(update, member(1));
    let required = |world: &World, proposals| world.own(proposals).unwrap().path_required(&world.policy);
    assert!(required(&world, vec![]));
    for proposal in [add.clone(), psk("a", 1), reinit()] {
        assert!(!required(&world, vec![proposal]));
    }
    assert!(!required(&world, vec![add.clone(), psk("a", 1)]));
    for proposal in [remove(1), gce(Extensions::new()), custom(KNOWN_PROPOSAL)] {
        assert!(required(&world, vec![add.clone(), proposal]));
    }
    assert!(world.check(vec![update], member(0)).unwrap().path_required(&world.policy));
    // The application may know better about its own types.
    world.policy.path_optional_proposals = vec![KNOWN_PROPOSAL];
    assert!(!required(&world, vec![add.clone(), custom(KNOWN_PROPOSAL)]));
    assert!(required(&world, vec![remove(1), custom(KNOWN_PROPOSAL)]));
}

#[test]
fn an_add_from_a_validated_key_package_is_not_verified_again() {
    let mut world = World::new(1);
    let (key_package, _) = world.key_package(&content("dora"));
    let valid = Unverified::new(key_package);
    let valid = crate::key_package::validate(valid, SUITE, &world.policy, NOW).unwrap();
    let add = CommittedProposal::add(valid, member(0));
    assert!(world.check(vec![add], member(0)).is_ok());
}

#[test]
fn more_psks_than_a_uint16_counts_are_refused() {
    let world = World::new(2);
    let psks = |number: u32| {
        let psk = |number: u32| {
            let mut psk = psk_id("shared", 0);
            psk.psk_nonce[..4].copy_from_slice(&number.to_be_bytes());
            Proposal::Psk(Box::new(PreSharedKey { psk }))
        };
        (0..number).map(psk).collect::<Vec<_>>()
    };
    assert!(world.own(psks(65_535)).is_ok());
    assert_breaks!(world.own(psks(65_536)).unwrap_err(), Violation::PskTooMany, "C173");
}
