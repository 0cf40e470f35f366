//! An observer follows a group by its public handshake messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::{Decode, Encode, Writer};
use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, Verdict, Verdicts, judge};
use hushwood::crypto::{CipherSuiteId, sign_with_label};
use hushwood::error::{ApiMisuse, Error, NotNow, Violation};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::group::{
    CommitPlan, GroupInfoOptions, GroupView, LeafUpdate, NewProposal, OpenedWelcome, Status,
};
use hushwood::proposal::ReInit;
use hushwood::public_group::{Observed, PublicGroup};
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;
use test_support::actor::{Actor, NOW, assert_agree};
use test_support::assert_breaks;
use test_support::random::SeededRandom;

fn actor(name: &str, suite: CipherSuiteId) -> Actor {
    let seed = name.bytes().fold(u64::from(suite.0), |seed, byte| seed * 31 + u64::from(byte));
    let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, suite, seed);
    actor.policy.encrypt_handshakes = false;
    actor
}

fn three(suite: CipherSuiteId) -> (Actor, Actor, Actor) {
    let (mut alice, mut bob, mut carol) = (actor("alice", suite), actor("bob", suite), actor("carol", suite));
    alice.create();
    let key_packages = [bob.key_package(), carol.key_package()];
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    (alice, bob, carol)
}

fn view(member: &mut Actor, in_group_info: bool) -> GroupView {
    let group_info = member.group_info(in_group_info);
    let tree = member.group().ratchet_tree().unwrap();
    let tree = (!in_group_info).then_some(tree.as_slice());
    let random = &mut SeededRandom::new(3);
    GroupView::verify(&group_info, tree, &member.provider, (&member.policy, NOW), random).unwrap()
}

fn observe(member: &mut Actor) -> PublicGroup {
    let view = view(member, false);
    let verdicts = judge(view.checks(), &InsecureAcceptAll);
    PublicGroup::new(view, &verdicts).unwrap()
}

/// The observer takes a message, and is then read back from its bytes.
fn follow(observer: &mut PublicGroup, message: &[u8]) -> Result<(), Error> {
    match observer.receive(message, NOW, &mut SeededRandom::new(4))? {
        Observed::Proposal(observed) => {
            let verdicts = judge(observed.checks(), &InsecureAcceptAll);
            observer.accept_proposal(observed, &verdicts)?;
        }
        Observed::Commit(observed) => {
            let verdicts = judge(observed.checks(), &InsecureAcceptAll);
            observer.accept_commit(*observed, &verdicts)?;
        }
    }
    let bytes = observer.to_bytes()?;
    *observer = PublicGroup::from_bytes(&bytes, &hushwood_rustcrypto::PROVIDER)?;
    assert_eq!(observer.to_bytes()?, bytes);
    Ok(())
}

fn assert_sees(observer: &PublicGroup, member: &mut Actor) {
    let group = member.group();
    assert_eq!(observer.context(), group.context());
    assert_eq!(observer.tree().tree_hash().unwrap(), group.tree().tree_hash().unwrap());
    let seen: Vec<_> = observer.members().map(|member| member.unwrap().index).collect();
    let there: Vec<_> = group.members().map(|member| member.unwrap().index).collect();
    assert_eq!(seen, there);
    assert!(observer.agrees_with(&view(member, true)));
}

#[test]
fn an_observer_sees_what_the_members_see_on_every_suite() {
    for suite in (1..=7).map(CipherSuiteId) {
        let (mut alice, mut bob, mut carol) = three(suite);
        let mut observer = observe(&mut alice);
        assert_sees(&observer, &mut bob);

        // An Add, by value.
        let mut dave = actor("dave", suite);
        let key_package = dave.key_package();
        let (commit, change) = alice.invite(&[key_package]).unwrap();
        for member in [&mut bob, &mut carol] {
            member.receive(&commit).unwrap();
        }
        dave.join(&change.welcomes[0].message, None).unwrap();
        follow(&mut observer, &commit).unwrap();
        assert_sees(&observer, &mut dave);

        // An Update, by reference.
        let update = bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
        for member in [&mut alice, &mut carol, &mut dave] {
            member.receive(&update).unwrap();
        }
        follow(&mut observer, &update).unwrap();
        assert_eq!(observer.pending_proposals().count(), 1);
        let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
        for member in [&mut alice, &mut bob, &mut dave] {
            member.receive(&commit).unwrap();
        }
        carol.apply(&id).unwrap();
        follow(&mut observer, &commit).unwrap();
        assert_eq!(observer.pending_proposals().count(), 0);
        assert_sees(&observer, &mut bob);

        // A Remove.
        let proposals = vec![NewProposal::Remove(dave.leaf())];
        let (id, commit) = bob.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
        for member in [&mut alice, &mut carol] {
            member.receive(&commit).unwrap();
        }
        bob.apply(&id).unwrap();
        follow(&mut observer, &commit).unwrap();
        assert_sees(&observer, &mut alice);

        // An external commit.
        let mut erin = actor("erin", suite);
        let commit = erin.external_join(&alice.group_info(true), None, None).unwrap();
        for member in [&mut alice, &mut bob, &mut carol] {
            member.receive(&commit).unwrap();
        }
        follow(&mut observer, &commit).unwrap();
        assert_sees(&observer, &mut erin);
        assert_agree(&[&alice, &bob, &carol, &erin]);
    }
}

#[test]
fn an_observer_serves_clients_that_want_to_join() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let observer = observe(&mut alice);
    let mut dave = actor("dave", CipherSuiteId(1));
    let key_package = dave.key_package();
    let key_package = dave.validate(&key_package).unwrap();
    let proposal = observer.view().new_member_proposal(&key_package, &dave.signer, NOW).unwrap();
    alice.receive(&proposal).unwrap();
    bob.receive(&proposal).unwrap();
    let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
    alice.receive(&commit).unwrap();
    let change = bob.apply(&id).unwrap();
    dave.join(&change.welcomes[0].message, None).unwrap();
    assert_agree(&[&alice, &bob, &dave]);
}

#[test]
fn a_tampered_commit_is_refused_up_to_its_tags() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let mut observer = observe(&mut alice);
    let (_, commit) = bob.commit(CommitPlan::default()).unwrap();
    let before = observer.to_bytes().unwrap();
    // Confirmation tag and membership tag, each 32 bytes behind a length.
    for at in 0..commit.len() - 66 {
        let mut tampered = commit.clone();
        tampered[at] ^= 1;
        let refused = observer.receive(&tampered, NOW, &mut SeededRandom::new(5));
        assert!(refused.is_err(), "byte {at}");
    }
    assert_eq!(observer.to_bytes().unwrap(), before);
    // A tag that is wrong is found as soon as a member vouches for the epoch.
    let mut tampered = commit.clone();
    let at = tampered.len() - 40;
    tampered[at] ^= 1;
    assert_eq!(alice.receive(&tampered).unwrap_err(), Violation::MembershipTag.into());
    let mut misled = observer.clone();
    follow(&mut misled, &tampered).unwrap();
    alice.receive(&commit).unwrap();
    follow(&mut observer, &commit).unwrap();
    let view = view(&mut alice, true);
    assert!(!misled.agrees_with(&view));
    assert!(observer.agrees_with(&view));
}

#[test]
fn what_is_not_for_an_observer_is_said_to_be_so() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let observer = observe(&mut alice);
    let receive = |message: &[u8]| observer.receive(message, NOW, &mut SeededRandom::new(6)).unwrap_err();
    assert_eq!(receive(&bob.send(b"for members").unwrap()), NotNow::Encrypted.into());
    assert_eq!(receive(&bob.key_package()), NotNow::NotForGroup.into());
    let update = bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    alice.receive(&update).unwrap();
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert_eq!(receive(&commit), NotNow::ProposalMissing.into());
    alice.apply(&id).unwrap();
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert_eq!(receive(&commit), NotNow::EpochFuture.into());
    let mut frank = actor("frank", CipherSuiteId(1));
    frank.create();
    let (_, commit) = frank.commit(CommitPlan::default()).unwrap();
    assert_eq!(receive(&commit), NotNow::OtherGroup.into());
}

#[test]
fn verdicts_decide_and_old_ones_are_stale() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let refusing = view(&mut alice, true);
    assert_eq!(refusing.checks().len(), 3);
    let refuse = Verdicts(vec![Verdict::Accept, Verdict::Refuse, Verdict::Accept]);
    assert_eq!(PublicGroup::new(refusing, &refuse).unwrap_err(), Violation::CredentialRefused.into());

    let mut observer = observe(&mut alice);
    let mut dave = actor("dave", CipherSuiteId(1));
    let key_package = dave.key_package();
    let (commit, _) = alice.invite(&[key_package]).unwrap();
    bob.receive(&commit).unwrap();
    let receive = |observer: &PublicGroup| match observer.receive(&commit, NOW, &mut SeededRandom::new(7)) {
        Ok(Observed::Commit(observed)) => *observed,
        other => panic!("not a commit: {other:?}"),
    };
    let missing = observer.accept_commit(receive(&observer), &Verdicts::default()).unwrap_err();
    assert_eq!(missing, ApiMisuse::VerdictMissing.into());
    let (first, second) = (receive(&observer), receive(&observer));
    let verdicts = judge(first.checks(), &InsecureAcceptAll);
    assert_eq!(observer.accept_commit(first, &verdicts).unwrap().added.len(), 1);
    assert_eq!(observer.accept_commit(second, &verdicts).unwrap_err(), NotNow::Stale.into());
}

#[test]
fn a_reinitialised_group_goes_no_further() {
    let (mut alice, mut bob, _) = three(CipherSuiteId(1));
    let mut observer = observe(&mut alice);
    let reinit = ReInit {
        group_id: b"next".to_vec(),
        version: ProtocolVersion::MLS10,
        cipher_suite: CipherSuiteId(2),
        extensions: Extensions::new(),
    };
    let proposals = vec![NewProposal::ReInit(reinit.clone())];
    let (_, commit) = bob.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
    follow(&mut observer, &commit).unwrap();
    assert_eq!(observer.status(), &Status::Reinitialised(reinit));
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let (mut alice, ..) = three(CipherSuiteId(1));
    let bytes = observe(&mut alice).to_bytes().unwrap();
    for length in (0..bytes.len()).step_by(13) {
        assert!(PublicGroup::from_bytes(&bytes[..length], &hushwood_rustcrypto::PROVIDER).is_err());
    }
}

/// What a delivery service gets with a commit: a GroupInfo of the epoch that it begins, signed by a member, and the Welcomes.
#[test]
fn what_comes_with_a_commit_is_of_its_epoch() {
    let suite = CipherSuiteId(1);
    let (mut alice, mut bob, _) = three(suite);
    let observer = observe(&mut alice);
    let mut dave = actor("dave", suite);
    let key_package = dave.key_package();
    let add = NewProposal::Add(Box::new(alice.validate(&key_package).unwrap()));
    let (id, commit) = alice.commit(CommitPlan { proposals: vec![add], ..CommitPlan::default() }).unwrap();
    let options = GroupInfoOptions { ratchet_tree: false, external_pub: true };
    let random = &mut SeededRandom::new(5);
    let group_info = alice.group().group_info_after(&id, options, &alice.signer, random).unwrap();
    let wrong = alice.group().group_info_after(&id, options, &bob.signer, random);
    assert_eq!(wrong, Err(ApiMisuse::SignerMismatch.into()));
    let welcomes = alice.group().welcomes_after(&id).unwrap();

    let Observed::Commit(observed) = observer.receive(&commit, NOW, random).unwrap() else {
        panic!("a commit")
    };
    observed.check_group_info(&group_info, &alice.policy).unwrap();
    let before = alice.group_info(false);
    // Of the epoch before.
    let other = observed.check_group_info(&before, &alice.policy).unwrap_err();
    assert_breaks!(other, Violation::GroupInfoOther, "A061");
    let mut forged = group_info.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged = observed.check_group_info(&forged, &alice.policy);
    assert_eq!(forged, Err(Violation::GroupInfoSignature.into()));
    assert_eq!(observed.check_group_info(&commit, &alice.policy), Err(NotNow::NotForGroup.into()));

    // Whom it adds knows from the Welcome which tree to ask for.
    let opened = OpenedWelcome::open(&welcomes[0], &dave.store, &dave.provider, &dave.policy).unwrap();
    let told = opened.group_info(&Answers::none(), None).unwrap();
    let change = alice.apply(&id).unwrap();
    assert_eq!(welcomes, [change.welcomes[0].message.clone()]);
    assert_eq!(told.inspect().group_context, *alice.group().context());
    let gone = alice.group().welcomes_after(&id);
    assert_eq!(gone, Err(ApiMisuse::NoSuchRecord.into()));
    bob.receive(&commit).unwrap();
    assert_agree(&[&alice, &bob]);
}

/// A member that means harm signs a GroupInfo of the right epoch with something beside the context that no joiner could use.
#[test]
fn what_stands_beside_the_context_of_a_group_info_is_checked() {
    let (mut alice, ..) = three(CipherSuiteId(1));
    let observer = observe(&mut alice);
    let before = alice.group().ratchet_tree().unwrap();
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    let options = GroupInfoOptions { ratchet_tree: true, external_pub: true };
    let random = &mut SeededRandom::new(5);
    let group_info = alice.group().group_info_after(&id, options, &alice.signer, random).unwrap();
    let Observed::Commit(observed) = observer.receive(&commit, NOW, random).unwrap() else {
        panic!("a commit")
    };
    observed.check_group_info(&group_info, &alice.policy).unwrap();
    for (extension_type, data, violation) in [
        (ExtensionType::RATCHET_TREE, before, Violation::TreeHash),
        (ExtensionType::EXTERNAL_PUB, b"short".to_vec().to_bytes().unwrap(), Violation::HpkePublicKey),
        (ExtensionType::APPLICATION_ID, Vec::new(), Violation::ExtensionMisplaced),
    ] {
        let forged = signed_with(&alice, &group_info, (extension_type, data));
        assert_eq!(observed.check_group_info(&forged, &alice.policy), Err(violation.into()));
    }
}

/// A GroupInfo with another extension in it, signed by its signer.
fn signed_with(
    signer: &Actor,
    group_info: &[u8],
    (extension_type, data): (ExtensionType, Vec<u8>),
) -> Vec<u8> {
    let MlsMessage::GroupInfo(group_info) = MlsMessage::from_bytes(group_info).unwrap() else {
        panic!("a GroupInfo")
    };
    let mut group_info = group_info.inspect().clone();
    group_info.extensions.set(extension_type, data);
    let mut tbs = Writer::new();
    tbs.value(&group_info.group_context).value(&group_info.extensions);
    tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
    group_info.signature = sign_with_label(&signer.signer, "GroupInfoTBS", &tbs.finish().unwrap()).unwrap();
    MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes().unwrap()
}
