//! RFC 9420 §5.3.1: the application is asked for every credential that comes into a group, wherever it comes in, and
//! what it refuses does not come in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::Encode;
use hushwood::commit::Answers;
use hushwood::credential::{
    Credential, CredentialCheck, InsecureAcceptAll, Subject, Verdict, Verdicts, judge,
};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{ApiMisuse, Error, Violation};
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::group::{
    CommitPlan, ExternalJoin, GroupView, LeafUpdate, NewProposal, OpenedWelcome, Received,
    StagedExternalJoin, client,
};
use hushwood::public_group::{Observed, PublicGroup};
use hushwood::tree::{LeafIndex, Supported};
use hushwood_crypto::{Signer, SoftwareSigner};
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;
use test_support::{assert_breaks, assert_names};

const SUITE: CipherSuiteId = CipherSuiteId(1);

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(5, |seed, byte| seed * 31 + u64::from(byte));
    let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, SUITE, seed);
    actor.policy.encrypt_handshakes = false;
    actor
}

/// Alice and Bob, and somebody who looks on.
fn group() -> (Actor, Actor, PublicGroup) {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    let view = view(&mut alice);
    let verdicts = judge(view.checks(), &InsecureAcceptAll);
    (alice, bob, PublicGroup::new(view, &verdicts).unwrap())
}

fn view(member: &mut Actor) -> GroupView {
    let group_info = member.group_info(true);
    let (provider, policy) = (&member.provider, &member.policy);
    GroupView::verify(&group_info, None, provider, (policy, NOW), &mut SeededRandom::new(2)).unwrap()
}

fn by_value(proposals: Vec<NewProposal<'_>>) -> CommitPlan<'_> {
    CommitPlan { proposals, ..CommitPlan::default() }
}

/// One refusal, one missing, one too many: for each of `questions` questions.
fn wrong_verdicts(questions: usize) -> Vec<Verdicts> {
    let with_refusal = (0..questions).map(|refused| {
        let verdict = |place| if place == refused { Verdict::Refuse } else { Verdict::Accept };
        Verdicts((0..questions).map(verdict).collect())
    });
    let miscounted = [questions - 1, questions + 1].map(|length| Verdicts(vec![Verdict::Accept; length]));
    with_refusal.chain(miscounted).collect()
}

/// Asks what the right refusal is.
fn refusal(checks: &[CredentialCheck], verdicts: &Verdicts) -> Error {
    match verdicts.0.iter().position(|verdict| *verdict == Verdict::Refuse) {
        None => ApiMisuse::VerdictMissing.into(),
        Some(place) if checks[place].old.is_some() => Violation::CredentialSuccessorRefused.into(),
        Some(_) => Violation::CredentialRefused.into(),
    }
}

/// The refusal of a credential names why it had to be judged.
fn names_duties(refused: &Error, checks: &[CredentialCheck]) {
    assert_names!(refused, "C114");
    for check in checks {
        assert_names!(refused, duty(&check.subject));
        if check.old.is_some() {
            assert_names!(refused, "C052");
        }
    }
}

fn duty(subject: &Subject) -> &'static str {
    match subject {
        Subject::Added(_) => "C048",
        Subject::Updated(_) => "C049",
        Subject::Committer(_) | Subject::Joiner => "C050",
        Subject::Resync(_) => "C357",
        Subject::ExternalSender(_) => "C051",
        other => panic!("{other:?}"),
    }
}

/// Bob is asked about a message, and takes it only if he accepts everything. So does who looks on.
fn asked(bob: &mut Actor, observer: &mut PublicGroup, message: &[u8]) -> Vec<CredentialCheck> {
    let before = (bob.rows(), observer.to_bytes().unwrap());
    let checks = match bob.group().receive(message, NOW).unwrap() {
        Received::Proposal(received) => received.checks().to_vec(),
        Received::Commit(received) => {
            let group = bob.group();
            let staged = group.stage_commit(&received, &Answers::none(), NOW, &mut SeededRandom::new(3));
            staged.unwrap().checks().to_vec()
        }
        other => panic!("{other:?}"),
    };
    if !checks.is_empty() {
        for verdicts in wrong_verdicts(checks.len()) {
            let want = refusal(&checks, &verdicts);
            let refused = member_refusal(bob, message, &verdicts);
            assert_eq!(observer_refusal(observer, message, &verdicts), want);
            assert_eq!(refused, want);
            if want != ApiMisuse::VerdictMissing.into() {
                names_duties(&refused, &checks);
            }
        }
    }
    assert_eq!((bob.rows(), observer.to_bytes().unwrap()), before);
    match observer.receive(message, NOW, &mut SeededRandom::new(4)).unwrap() {
        Observed::Proposal(observed) => {
            assert_eq!(observed.checks(), checks);
            let verdicts = judge(observed.checks(), &InsecureAcceptAll);
            observer.accept_proposal(observed, &verdicts).unwrap();
        }
        Observed::Commit(observed) => {
            assert_eq!(observed.checks(), checks);
            let verdicts = judge(observed.checks(), &InsecureAcceptAll);
            observer.accept_commit(*observed, &verdicts).unwrap();
        }
    }
    bob.receive(message).unwrap();
    checks
}

fn member_refusal(bob: &mut Actor, message: &[u8], verdicts: &Verdicts) -> Error {
    let group = bob.group.as_mut().unwrap();
    match group.receive(message, NOW).unwrap() {
        Received::Proposal(received) => group.accept_proposal(received, verdicts).map(drop).unwrap_err(),
        Received::Commit(received) => {
            let staged = group.stage_commit(&received, &Answers::none(), NOW, &mut SeededRandom::new(3));
            group.accept_commit(staged.unwrap(), verdicts, NOW).map(drop).unwrap_err()
        }
        other => panic!("{other:?}"),
    }
}

fn observer_refusal(observer: &mut PublicGroup, message: &[u8], verdicts: &Verdicts) -> Error {
    match observer.receive(message, NOW, &mut SeededRandom::new(4)).unwrap() {
        Observed::Proposal(observed) => observer.accept_proposal(observed, verdicts).unwrap_err(),
        Observed::Commit(observed) => observer.accept_commit(*observed, verdicts).unwrap_err(),
    }
}

fn subjects(checks: &[CredentialCheck]) -> Vec<Subject> {
    checks.iter().map(|check| check.subject).collect()
}

/// C048, by value and by reference.
#[test]
fn whoever_is_added_is_judged() {
    let (mut alice, mut bob, mut observer) = group();
    let mut carol = actor("carol");
    let key_package = carol.key_package();
    let add = NewProposal::Add(Box::new(alice.validate(&key_package).unwrap()));
    let (id, commit) = alice.commit(by_value(vec![add])).unwrap();
    let checks = asked(&mut bob, &mut observer, &commit);
    assert_eq!(subjects(&checks), [Subject::Added(0)]);
    assert_eq!(checks[0].new.credential, carol.credential());
    assert_eq!(&checks[0].new.signature_key, carol.signer.public_key());
    alice.apply(&id).unwrap();

    let mut dave = actor("dave");
    let key_package = dave.key_package();
    let add = NewProposal::Add(Box::new(alice.validate(&key_package).unwrap()));
    let proposal = alice.propose(add).unwrap();
    assert_eq!(subjects(&asked(&mut bob, &mut observer, &proposal)), [Subject::Added(0)]);
    // What was accepted as a proposal is judged again when it is committed: it may have expired meanwhile.
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert_eq!(subjects(&asked(&mut bob, &mut observer, &commit)), [Subject::Added(0)]);
}

/// C049, C052: who shows another credential, or the same for another key, is judged as a successor.
#[test]
fn a_member_that_updates_to_another_credential_or_key_is_judged_as_its_own_successor() {
    let (mut alice, mut bob, mut observer) = group();
    let other = SoftwareSigner::generate(alice.suite, &mut SeededRandom::new(9)).unwrap();
    let renamed = LeafUpdate { credential: Some(Credential::basic("alison")), ..LeafUpdate::default() };
    let rekeyed = LeafUpdate { signer: Some(&other), ..LeafUpdate::default() };
    let mut names = vec![];
    for update in [LeafUpdate::default(), renamed, rekeyed] {
        let proposal = alice.propose(NewProposal::Update(update)).unwrap();
        names.push(asked(&mut bob, &mut observer, &proposal));
    }
    assert!(names[0].is_empty());
    for checks in &names[1..] {
        assert_eq!(subjects(checks), [Subject::Updated(LeafIndex::new(0))]);
        assert_eq!(checks[0].old.as_ref().unwrap().credential, alice.credential());
    }
    // Of several updates the latest is committed.
    let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
    let looks_on = |message: &[u8]| match observer.receive(message, NOW, &mut SeededRandom::new(4)).unwrap() {
        Observed::Commit(observed) => observed.checks().to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(looks_on(&commit), names[2]);
    bob.apply(&id).unwrap();
}

/// C050, C052: the same in the path of a commit.
#[test]
fn a_committer_with_another_credential_or_key_is_judged_as_its_own_successor() {
    let other = SoftwareSigner::generate(actor("alice").suite, &mut SeededRandom::new(9)).unwrap();
    let renamed = LeafUpdate { credential: Some(Credential::basic("alison")), ..LeafUpdate::default() };
    let rekeyed = LeafUpdate { signer: Some(&other), ..LeafUpdate::default() };
    for (leaf, judged) in [(LeafUpdate::default(), false), (renamed, true), (rekeyed, true)] {
        let (mut alice, mut bob, mut observer) = group();
        let (_, commit) = alice.commit(CommitPlan { leaf, ..CommitPlan::default() }).unwrap();
        let checks = asked(&mut bob, &mut observer, &commit);
        assert_eq!(checks.len(), usize::from(judged));
        for check in checks {
            assert_eq!(check.subject, Subject::Committer(LeafIndex::new(0)));
            let old = check.old.unwrap();
            assert_eq!((old.credential, &old.signature_key), (alice.credential(), alice.signer.public_key()));
        }
    }
}

/// C050: a client that comes from outside.
#[test]
fn whoever_joins_by_external_commit_is_judged() {
    let (mut alice, mut bob, mut observer) = group();
    let mut carol = actor("carol");
    let group_info = alice.group_info(true);
    let commit = carol.external_join(&group_info, None, None).unwrap();
    let checks = asked(&mut bob, &mut observer, &commit);
    assert_eq!(subjects(&checks), [Subject::Joiner]);
    assert_eq!(checks[0].new.credential, carol.credential());
}

/// C052, C357: a client that comes from outside, in the place of a member.
#[test]
fn whoever_replaces_a_member_is_judged_as_its_successor() {
    let (mut alice, bob, mut observer) = group();
    let mut carol = actor("carol");
    let group_info = alice.group_info(true);
    let commit = carol.external_join(&group_info, None, Some(bob.leaf())).unwrap();
    let checks = asked(&mut alice, &mut observer, &commit);
    assert_eq!(subjects(&checks), [Subject::Resync(bob.leaf())]);
    assert_eq!(checks[0].old.as_ref().unwrap().credential, bob.credential());
}

/// C051: in a proposal, in a commit, and for those who join later.
#[test]
fn new_external_senders_are_judged() {
    let (mut alice, mut bob, mut observer) = group();
    let sender = |seed| {
        let signer = SoftwareSigner::generate(actor("any").suite, &mut SeededRandom::new(seed)).unwrap();
        let credential = Credential::basic(format!("server {seed}"));
        ExternalSender { signature_key: signer.public_key().clone(), credential }
    };
    let listing = |senders: Vec<ExternalSender>| {
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes().unwrap());
        NewProposal::GroupContextExtensions(extensions)
    };
    let proposal = alice.propose(listing(vec![sender(1), sender(2)])).unwrap();
    let both = [Subject::ExternalSender(0), Subject::ExternalSender(1)];
    assert_eq!(subjects(&asked(&mut bob, &mut observer, &proposal)), both);
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert_eq!(subjects(&asked(&mut bob, &mut observer, &commit)), both);
    alice.apply(&id).unwrap();
    // Only what is new among them.
    let (id, commit) = alice.commit(by_value(vec![listing(vec![sender(3), sender(2)])])).unwrap();
    assert_eq!(subjects(&asked(&mut bob, &mut observer, &commit)), [Subject::ExternalSender(0)]);
    alice.apply(&id).unwrap();

    let all = [
        Subject::Member(LeafIndex::new(0)),
        Subject::Member(LeafIndex::new(1)),
        Subject::ExternalSender(0),
        Subject::ExternalSender(1),
    ];
    assert_eq!(subjects(view(&mut alice).checks()), all);
}

/// C047: every member is judged by who joins, by a Welcome or from outside, and by who begins to look on.
#[test]
fn every_member_of_a_group_is_judged_before_it_is_joined() {
    let (mut alice, _, _) = group();
    let mut carol = actor("carol");
    let key_package = carol.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    let welcome = &change.welcomes[0].message;
    let members = |count| (0..count).map(|leaf| Subject::Member(LeafIndex::new(leaf))).collect::<Vec<_>>();
    let before = carol.rows();
    let stage = || {
        let opened = OpenedWelcome::open(welcome, &carol.store, &carol.provider, &carol.policy).unwrap();
        opened.stage(&Answers::none(), None, None, NOW, &mut SeededRandom::new(6)).unwrap()
    };
    assert_eq!(subjects(stage().checks()), members(3));
    for verdicts in wrong_verdicts(3) {
        let staged = stage();
        let want = refusal(staged.checks(), &verdicts);
        let refused = staged.accept(&verdicts, &carol.store, &mut SeededRandom::new(7));
        assert_breaks!(refused.map(drop).unwrap_err(), want, "C047");
    }
    // C346: the KeyPackage is still good.
    assert_eq!(carol.rows(), before);
    assert_eq!(client::key_packages(&carol.store).unwrap().len(), 1);
    carol.join(welcome, None).unwrap();

    let dave = actor("dave");
    let group_info = alice.group_info(true);
    let stage = || {
        let supported = Supported::new(&dave.provider);
        let settings = ExternalJoin::new(dave.provider, dave.credential(), supported);
        let random = &mut SeededRandom::new(8);
        StagedExternalJoin::stage(&group_info, None, settings, &dave.signer, NOW, random).unwrap()
    };
    assert_eq!(subjects(stage().checks()), members(3));
    for verdicts in wrong_verdicts(3) {
        let staged = stage();
        let want = refusal(staged.checks(), &verdicts);
        let refused = staged.accept(&verdicts, &dave.store, &mut SeededRandom::new(7));
        assert_breaks!(refused.map(drop).unwrap_err(), want.clone(), "C047");
        let view = view(&mut alice);
        assert_eq!(PublicGroup::new(view, &verdicts).map(drop).unwrap_err(), want);
    }
}
