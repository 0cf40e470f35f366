//! RFC 9420 §12.2, §12.4.3.2: rules on external commits.

use test_support::assert_breaks;

use super::*;
use crate::error::Violation;
use crate::policy::ExternalCommits;

fn external(world: &World, proposals: Vec<Proposal>) -> Result<ProposalList, Error> {
    let by_value = |proposal| CommittedProposal::by_value(proposal, Sender::NewMemberCommit);
    world.check(proposals.into_iter().map(by_value).collect(), Sender::NewMemberCommit)
}

fn refused(world: &World, proposals: Vec<Proposal>) -> Error {
    external(world, proposals).unwrap_err()
}

#[test]
fn init_one_remove_and_psks_are_accepted() {
    let world = World::new(3);
    let list = external(&world, vec![psk("a", 1), external_init(), remove(1), psk("b", 1)]).unwrap();
    assert!(list.external_init().is_some() && list.path_required(&world.policy));
}

#[test]
fn no_external_init_or_two_are_refused() {
    let world = World::new(2);
    for proposals in [vec![], vec![remove(1)], vec![external_init(), external_init()]] {
        assert_breaks!(refused(&world, proposals), Violation::ExternalCommitLacksInit, "C354");
    }
}

#[test]
fn two_removes_are_refused() {
    let world = World::new(3);
    let error = refused(&world, vec![external_init(), remove(1), remove(2)]);
    assert_breaks!(error, Violation::ExternalCommitList, "C355");
}

#[test]
fn a_remove_of_nobody_is_refused() {
    let world = World::new(2);
    assert_eq!(refused(&world, vec![external_init(), remove(2)]), Violation::RemoveBlank.into());
}

#[test]
fn every_other_type_is_refused() {
    let mut world = World::new(2);
    let others =
        [world.add("dora"), world.update(1), reinit(), gce(Extensions::new()), custom(KNOWN_PROPOSAL)];
    for other in others {
        let error = refused(&world, vec![external_init(), other]);
        assert_breaks!(error, Violation::ExternalCommitList, "C356");
    }
}

#[test]
fn a_psk_twice_is_refused() {
    let world = World::new(1);
    let error = refused(&world, vec![external_init(), psk("a", 1), psk("a", 1)]);
    assert_breaks!(error, Violation::PskDuplicate, "C270");
}

#[test]
fn a_proposal_by_reference_is_refused() {
    let mut world = World::new(2);
    let init = CommittedProposal::by_value(external_init(), Sender::NewMemberCommit);
    let sent = world.sent(psk("a", 1), member(1));
    let error = world.check(vec![init, sent], Sender::NewMemberCommit).unwrap_err();
    assert_breaks!(error, Violation::ExternalCommitReference, "C353");
}

#[test]
fn the_policy_decides_which_external_commits_are_taken() {
    let mut world = World::new(2);
    let lists = [
        vec![external_init()],
        vec![external_init(), remove(1)],
        vec![external_init(), psk("a", 1)],
        vec![external_init(), remove(1), psk("a", 1)],
    ];
    for (policy, taken) in [
        (ExternalCommits::Allowed, [true; 4]),
        (ExternalCommits::WithoutResync, [true, false, true, false]),
        (ExternalCommits::WithPsk, [false, false, true, true]),
        (ExternalCommits::Refused, [false; 4]),
    ] {
        world.policy.external_commits = policy;
        for (list, taken) in lists.iter().zip(taken) {
            let result = external(&world, list.clone()).map(drop);
            let want = if taken { Ok(()) } else { Err(Violation::PolicyRefused.into()) };
            assert_eq!(result, want);
        }
    }
}
