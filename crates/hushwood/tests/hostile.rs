//! Whoever means harm, or is unlucky, finds no state that is torn, divergent or used twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, Verdicts, judge};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Error, NotNow};
use hushwood::extension::Extensions;
use hushwood::framing::MlsMessage;
use hushwood::group::{
    Batch, CommitPlan, EpochChange, Group, GroupView, NewGroup, NewProposal, OpenedWelcome, Received,
    Successor,
};
use hushwood::policy::Policy;
use hushwood::proposal::ReInit;
use hushwood::public_group::{Observed, PublicGroup};
use hushwood::transition::{CommitError, PersistError, RecordKind, Records, Step};
use hushwood::tree::Supported;
use hushwood::version::ProtocolVersion;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::HashReference;
use test_support::actor::{Actor, NOW};
use test_support::counting_store::CountingStore;

const SUITE: CipherSuiteId = CipherSuiteId(1);

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(1, |seed: u64, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, SUITE, seed)
}

/// A group of these members, the first of which has created it.
fn group<const N: usize>(names: [&str; N]) -> [Actor; N] {
    let mut actors = names.map(actor);
    let (creator, others) = actors.split_first_mut().unwrap();
    creator.create();
    let key_packages: Vec<_> = others.iter_mut().map(Actor::key_package).collect();
    let (_, change) = creator.invite(&key_packages).unwrap();
    others.iter_mut().for_each(|other| _ = other.join(&change.welcomes[0].message, None).unwrap());
    actors
}

fn accept_all<'c>(checks: impl IntoIterator<Item = &'c hushwood::credential::CredentialCheck>) -> Verdicts {
    judge(checks, &InsecureAcceptAll)
}

/// The step that joins by a Welcome, not yet written.
fn joining(joiner: &mut Actor, welcome: &[u8]) -> Result<Step<'static, Group>, Error> {
    let opened = OpenedWelcome::open(welcome, &joiner.store, &joiner.provider, &joiner.policy)?;
    let staged = opened.stage(&Answers::none(), None, None, NOW, &mut joiner.random)?;
    let verdicts = accept_all(staged.checks());
    staged.accept(&verdicts, &joiner.store, &mut joiner.random)
}

/// Both would encrypt with the same keys and nonces.
#[test]
fn two_processes_that_take_one_welcome_do_not_become_one_member_twice() {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    let welcome = &change.welcomes[0].message;

    let first = joining(&mut bob, welcome).unwrap();
    let second = joining(&mut bob, welcome).unwrap();
    first.commit(&mut bob.store).unwrap();
    assert_eq!(second.commit(&mut bob.store).unwrap_err(), CommitError(PersistError::Stale));
    assert_eq!(joining(&mut bob, welcome).unwrap_err(), NotNow::NoKeyPackage.into());
}

#[test]
fn a_welcome_that_was_opened_before_its_key_package_was_used_is_late() {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    let welcome = &change.welcomes[0].message;
    let opened = OpenedWelcome::open(welcome, &bob.store, &bob.provider, &bob.policy).unwrap();
    let staged = opened.stage(&Answers::none(), None, None, NOW, &mut bob.random).unwrap();

    bob.join(welcome, None).unwrap();
    bob.send(b"hello").unwrap();
    let group = bob.group.take().unwrap();
    group.forget(&bob.store).unwrap().commit(&mut bob.store).unwrap();

    let verdicts = accept_all(staged.checks());
    let late = staged.accept(&verdicts, &bob.store, &mut bob.random).unwrap_err();
    assert_eq!(late, NotNow::NoKeyPackage.into());
}

#[test]
fn a_proposal_that_comes_twice_keeps_its_place_in_memory_and_in_the_store() {
    let [mut alice, mut bob] = group(["alice", "bob"]);
    alice.policy.encrypt_handshakes = false;
    let policy = alice.policy.clone();
    let set = alice.group.as_mut().unwrap().set_policy(policy).unwrap();
    set.commit(&mut alice.store).unwrap();
    let (first, second) = (actor("carol").key_package(), actor("dave").key_package());
    let first = NewProposal::Add(Box::new(alice.validate(&first).unwrap()));
    let second = NewProposal::Add(Box::new(alice.validate(&second).unwrap()));
    let first = alice.propose(first).unwrap();
    let second = alice.propose(second).unwrap();
    bob.reload = false;
    for message in [&first, &second, &first] {
        bob.receive(message).unwrap();
    }
    let order = |group: &Group| {
        group.pending_proposals().map(|pending| pending.reference.clone()).collect::<Vec<_>>()
    };
    let again = Group::open(&bob.store, &bob.provider, bob.group().instance()).unwrap();
    assert_eq!(order(&again), order(bob.group()));
    assert_eq!(order(&again), order(alice.group()));
}

#[test]
fn a_stricter_policy_does_not_lock_a_group_up() {
    let [mut alice, bob] = group(["alice", "bob"]);
    alice.propose(NewProposal::Remove(bob.leaf())).unwrap();
    let key_package = actor("carol").key_package();
    let add = NewProposal::Add(Box::new(alice.validate(&key_package).unwrap()));
    alice.propose(add).unwrap();
    alice.commit(CommitPlan::default()).unwrap();
    let strict = Policy {
        max_pending_proposals: 1,
        max_pending_proposals_of_sender: 1,
        max_commit_proposals: 1,
        max_members: 1,
        ..Policy::default()
    };
    let set = alice.group.as_mut().unwrap().set_policy(strict).unwrap();
    set.commit(&mut alice.store).unwrap();
    let again = Group::open(&alice.store, &alice.provider, alice.group().instance()).unwrap();
    assert_eq!(again.pending_proposals().count(), 2);
    assert_eq!(again.staged_commits().count(), 1);
}

#[test]
fn an_observer_that_starts_from_a_members_state_needs_no_store() {
    let [mut alice, mut bob, mut carol] = group(["alice", "bob", "carol"]);
    let policy = Policy { encrypt_handshakes: false, ..Policy::default() };
    for member in [&mut alice, &mut bob, &mut carol] {
        let set = member.group.as_mut().unwrap().set_policy(policy.clone()).unwrap();
        set.commit(&mut member.store).unwrap();
    }
    let alice_reopened = Group::open(&alice.store, &alice.provider, alice.group().instance()).unwrap();
    let view = GroupView::of(alice_reopened.public_state(), &policy);
    let mut observer = PublicGroup::new(view, &Verdicts::default()).unwrap();
    let carols = carol.group().member(carol.leaf()).unwrap().unwrap().leaf;
    for committer in [0, 1, 0, 1] {
        let (one, other) = match committer {
            0 => (&mut alice, &mut bob),
            _ => (&mut bob, &mut alice),
        };
        let (id, commit) = one.commit(CommitPlan::default()).unwrap();
        one.apply(&id).unwrap();
        other.receive(&commit).unwrap();
        carol.receive(&commit).unwrap();
        let Observed::Commit(observed) = observer.receive(&commit, NOW, &mut one.random).unwrap() else {
            panic!("no commit")
        };
        let verdicts = accept_all(observed.checks());
        observer.accept_commit(*observed, &verdicts).unwrap();
        assert_eq!(observer.context(), one.group().context());
        assert_eq!(observer.members().filter(Result::is_ok).count(), 3);
        // The keys of all members are known to it, not to the store alone.
        assert_eq!(observer.tree().encryption_key_at(&carols.encryption_key), Ok(carol.leaf().node()));
    }
    // In the store of a client that has forgotten the group there is nothing of it.
    alice.group.take().unwrap().forget(&alice.store).unwrap().commit(&mut alice.store).unwrap();
    assert_eq!(observer.tree().encryption_key_at(&carols.encryption_key), Ok(carol.leaf().node()));
    assert_eq!(observer.tree().signature_key_at(&carols.signature_key), Ok(Some(carol.leaf())));
}

/// Two commits for one epoch, one of which was never written: the epochs that they lead to have one number.
#[test]
fn what_was_staged_in_an_epoch_that_was_never_written_is_stale_in_its_twin() {
    let [mut alice, mut bob, mut carol] = group(["alice", "bob", "carol"]);
    let (_, twin) = bob.commit(CommitPlan::default()).unwrap();
    let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
    carol.apply(&id).unwrap();
    let (_, next) = carol.commit(CommitPlan::default()).unwrap();
    let proposal = carol.propose(NewProposal::Remove(bob.leaf())).unwrap();

    let instance = alice.group().instance();
    let mut group = alice.group.take().unwrap();
    let mut batch: Batch<'_, EpochChange> = Batch::new(&mut group);
    let Received::Commit(received) = batch.group().receive(&commit, NOW).unwrap() else {
        panic!("no commit")
    };
    let none = Answers::none();
    let staged = batch.group().stage_commit(&received, &none, NOW, &mut alice.random).unwrap();
    let verdicts = accept_all(staged.checks());
    batch.run(|group| group.accept_commit(staged, &verdicts, NOW)).unwrap();
    let Received::Commit(next) = batch.group().receive(&next, NOW).unwrap() else { panic!("no commit") };
    let staged = batch.group().stage_commit(&next, &none, NOW, &mut alice.random).unwrap();
    let Received::Proposal(proposal) = batch.group().receive(&proposal, NOW).unwrap() else { panic!("none") };
    drop(batch);
    assert_eq!(group.export("label", b"", 32).unwrap_err(), NotNow::Reopen.into());

    alice.group = Some(Group::open(&alice.store, &alice.provider, instance).unwrap());
    alice.receive(&twin).unwrap();
    let group = alice.group.as_mut().unwrap();
    let stale = Error::from(NotNow::Stale);
    assert_eq!(group.stage_commit(&next, &none, NOW, &mut alice.random).unwrap_err(), stale);
    let verdicts = accept_all(staged.checks());
    assert_eq!(group.accept_commit(staged, &verdicts, NOW).unwrap_err(), stale);
    let verdicts = accept_all(proposal.checks());
    assert_eq!(group.accept_proposal(proposal, &verdicts).unwrap_err(), stale);
}

/// A ReInit says the id of the next group; whoever proposes it may know of another group of ours.
#[test]
fn a_group_that_is_followed_by_another_does_not_take_the_place_of_a_third() {
    let [mut alice, mut bob] = group(["alice", "bob"]);
    let mut settings = NewGroup::new(alice.suite, alice.credential(), Supported::new(&alice.provider));
    settings.group_id = Some(b"kitchen".to_vec());
    let other = Group::create(settings, &alice.signer, NOW, &mut alice.random).unwrap();
    let other = other.commit(&mut alice.store).unwrap();

    let reinit = |group_id: &[u8]| {
        NewProposal::ReInit(ReInit {
            group_id: group_id.to_vec(),
            version: ProtocolVersion::MLS10,
            cipher_suite: SUITE,
            extensions: Extensions::new(),
        })
    };
    let plan = CommitPlan { proposals: vec![reinit(b"kitchen")], ..CommitPlan::default() };
    let (id, commit) = bob.commit(plan).unwrap();
    bob.apply(&id).unwrap();
    alice.receive(&commit).unwrap();
    let key_package = bob.key_package();
    let key_packages = vec![alice.validate(&key_package).unwrap()];
    let supported = Supported::new(&alice.provider);
    let successor = Successor::new(alice.credential(), supported, key_packages);
    let (group, store) = (alice.group.as_ref().unwrap(), &alice.store);
    let signer = &alice.signer;
    let made = group.reinit((&alice.provider, store), successor, signer, NOW, &mut alice.random);
    assert_eq!(made.unwrap_err(), NotNow::GroupExists.into());
    assert_eq!(Group::instance_of(&alice.store, b"kitchen"), Ok(Some(other.instance())));
}

/// Anybody may send a Welcome. It has room for millions of entries that are for nobody.
#[test]
fn a_welcome_of_many_entries_asks_the_store_no_more_than_one_of_few() {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    let welcome = &change.welcomes[0].message;
    let reads = |welcome: &[u8]| {
        let store = CountingStore::new(bob.store.snapshot());
        let opened = OpenedWelcome::open(welcome, &store, &bob.provider, &bob.policy);
        (opened.map(|_| ()), store.reads().calls)
    };
    let MlsMessage::Welcome(parsed) = MlsMessage::from_bytes(welcome).unwrap() else { panic!("no Welcome") };
    let with = |others: usize, ours: bool| {
        let mut long = parsed.clone();
        let ours = long.secrets.drain(..).filter(|_| ours).collect::<Vec<_>>();
        let other = parsed.secrets[0].clone();
        long.secrets = (0..others)
            .map(|number| {
                let new_member = HashReference(number.to_be_bytes().repeat(4));
                hushwood::welcome::EncryptedGroupSecrets { new_member, ..other.clone() }
            })
            .chain(ours)
            .collect();
        MlsMessage::Welcome(long).to_bytes().unwrap()
    };
    let (opened, few) = reads(welcome);
    assert_eq!(opened, Ok(()));
    assert_eq!(reads(&with(5000, true)), (Ok(()), few));
    let (nobodys, many) = reads(&with(5000, false));
    assert_eq!(nobodys, Err(NotNow::NoKeyPackage.into()));
    assert!(many <= few);
}

/// The store has no list of all instances: one that nobody finds is never erased.
#[test]
fn a_state_that_was_replaced_can_be_found_and_forgotten() {
    let [mut alice, mut bob, carol] = group(["alice", "bob", "carol"]);
    assert_eq!(Group::superseded(&bob.store), Ok(vec![]));
    let lost = bob.group().instance();
    let info = alice.group_info(true);
    let leaf = bob.leaf();
    let commit = bob.external_join(&info, None, Some(leaf)).unwrap();
    alice.receive(&commit).unwrap();
    let group_id = alice.group().group_id().to_vec();
    assert_eq!(Group::superseded(&bob.store), Ok(vec![(group_id.clone(), lost)]));

    // Removed and invited again.
    let removed = bob.group().instance();
    let plan = CommitPlan { proposals: vec![NewProposal::Remove(bob.leaf())], ..CommitPlan::default() };
    let (id, commit) = alice.commit(plan).unwrap();
    alice.apply(&id).unwrap();
    bob.receive(&commit).unwrap();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    let mut superseded = Group::superseded(&bob.store).unwrap();
    superseded.sort_by_key(|(_, instance)| *instance != lost);
    assert_eq!(superseded, [(group_id.clone(), lost), (group_id.clone(), removed)]);

    for (_, instance) in superseded {
        let old = Group::open(&bob.store, &bob.provider, instance).unwrap();
        old.forget(&bob.store).unwrap().commit(&mut bob.store).unwrap();
        for kind in RecordKind::ALL {
            assert!(bob.store.list(instance, *kind).unwrap().is_empty(), "{kind:?}");
        }
    }
    assert_eq!(Group::superseded(&bob.store), Ok(vec![]));
    assert_eq!(Group::instance_of(&bob.store, &group_id), Ok(Some(bob.group().instance())));
    drop(carol);
}

/// Logs outlive what they tell of.
#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let [mut alice, mut bob, _carol] = group(["alice", "bob", "carol"]);
    let mut printed = Vec::new();
    let instance = bob.group().instance();
    bob.propose(NewProposal::Update(hushwood::group::LeafUpdate::default())).unwrap();
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    printed.push(format!("{:?} {:?}", alice.group(), bob.group()));
    let group = bob.group.as_mut().unwrap();
    let received = group.receive(&commit, NOW).unwrap();
    printed.push(format!("{received:?}"));
    let Received::Commit(received) = received else { panic!("no commit") };
    let staged = group.stage_commit(&received, &Answers::none(), NOW, &mut bob.random).unwrap();
    printed.push(format!("{staged:#?} {staged:?}"));
    let verdicts = accept_all(staged.checks());
    let step = group.accept_commit(staged, &verdicts, NOW).unwrap();
    printed.push(format!("{step:?}"));
    let (writes, pending) = step.begin();
    printed.push(format!("{writes:?} {pending:?}"));
    hushwood::transition::Persist::persist(&mut bob.store, &writes).unwrap();
    printed.push(format!("{:?}", pending.confirm(hushwood::transition::Durable::assert())));
    printed.push(format!("{:?} {:?}", bob.store, bob.store.list(instance, RecordKind::PrivateTree).unwrap()));
    let change = alice.apply(&id).unwrap();
    let sent = alice.send(b"a text that is nobody's business").unwrap();
    let group = bob.group.as_mut().unwrap();
    let received = group.receive(&sent, NOW).unwrap();
    printed.push(format!("{change:?} {received:?}"));
    let Received::Message(received) = received else { panic!("no message") };
    let message = group.accept_message(received).unwrap().commit(&mut bob.store).unwrap();
    printed.push(format!("{message:?} {:?}", group.unacknowledged(&bob.store).unwrap()));

    let mut secrets = vec![message.plaintext.expose().to_vec()];
    secrets.push(bob.group().export("label", b"", 32).unwrap().expose().to_vec());
    for kind in [RecordKind::SecretTree, RecordKind::ResumptionPsk] {
        let rows = bob.store.list(instance, kind).unwrap();
        assert!(!rows.is_empty());
        // The secret ends the row.
        secrets.extend(rows.into_iter().map(|(_, value)| value.expose()[value.len() - 12..].to_vec()));
    }
    let printed = printed.concat();
    for secret in secrets {
        for window in secret.windows(8) {
            let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{window:?}");
            let list = list.trim_matches(['[', ']']);
            let text = String::from_utf8_lossy(window);
            for shown in [hex.as_str(), &hex.to_uppercase(), list, &text] {
                assert!(!printed.contains(shown), "{shown}");
            }
        }
    }
}
