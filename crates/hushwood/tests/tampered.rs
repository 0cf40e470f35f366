//! Whatever arrives cut short or changed is refused as somebody else's fault, changes nothing, and does not
//! stand in the way of the message it was made from.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::crypto::CipherSuiteId;
use hushwood::error::Error;
use hushwood::group::{
    CommitPlan, ExternalJoin, GroupView, LeafUpdate, NewProposal, OpenedWelcome, Received, StagedExternalJoin,
};
use hushwood::tree::Supported;
use test_support::actor::{Actor, NOW, Outcome, assert_agree};
use test_support::random::SeededRandom;

fn suites() -> impl Iterator<Item = CipherSuiteId> {
    (1..=7).map(CipherSuiteId)
}

/// A client, and whether it encrypts its handshakes.
fn actor(name: &str, suite: CipherSuiteId, encrypt_handshakes: bool) -> Actor {
    let seed = name.bytes().fold(u64::from(suite.0), |seed, byte| seed * 31 + u64::from(byte));
    let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, suite, seed);
    actor.policy.encrypt_handshakes = encrypt_handshakes;
    actor
}

fn three(suite: CipherSuiteId, encrypt_handshakes: bool) -> [Actor; 3] {
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|name| actor(name, suite, encrypt_handshakes));
    alice.create();
    let key_packages = [bob.key_package(), carol.key_package()];
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    [alice, bob, carol]
}

/// Tries every variant of a message with a client.
fn sweep(what: &str, message: &[u8], actor: &Actor, attempt: impl Fn(&Actor, &[u8]) -> Result<(), Error>) {
    let before = actor.rows();
    let refused = |variant: &[u8], how: String| match attempt(actor, variant) {
        // C099: the fault is not ours, and not the caller's.
        Err(Error::Decode(_) | Error::Violation(_) | Error::Unsupported(_) | Error::NotNow(_)) => {}
        other => panic!("{what}, {how}: {other:?}"),
    };
    for length in (0..message.len()).step_by(7) {
        refused(&message[..length], format!("the first {length} bytes"));
    }
    refused(&message[..message.len() - 1], "all but the last byte".to_owned());
    refused(&[message, &[0]].concat(), "with a byte too many".to_owned());
    for (turn, at) in (0..message.len()).step_by(11).enumerate() {
        let mut variant = message.to_vec();
        variant[at] ^= 1 << (turn % 8);
        refused(&variant, format!("byte {at} changed"));
    }
    assert_eq!(actor.rows(), before, "{what}: the store has changed");
    attempt(actor, message).unwrap_or_else(|error| panic!("{what}, itself: {error:?}"));
}

/// Receives a message and stages it, as far as it goes without a decision.
fn receive(actor: &Actor, message: &[u8]) -> Result<(), Error> {
    let group = actor.group();
    if let Received::Commit(received) = group.receive(message, NOW)? {
        let answers = Answers::from_store(&actor.store, received.psks())?;
        group.stage_commit(&received, &answers, NOW, &mut SeededRandom::new(1))?;
    }
    Ok(())
}

fn open(actor: &Actor, message: &[u8]) -> Result<(), Error> {
    let opened = OpenedWelcome::open(message, &actor.store, &actor.provider, &actor.policy)?;
    let answers = Answers::from_store(&actor.store, opened.psks())?;
    opened.stage(&answers, None, None, NOW, &mut SeededRandom::new(1))?;
    Ok(())
}

fn view(actor: &Actor, message: &[u8]) -> Result<(), Error> {
    let random = &mut SeededRandom::new(1);
    GroupView::verify(message, None, &actor.provider, (&actor.policy, NOW), random)?;
    Ok(())
}

fn stage(actor: &Actor, message: &[u8]) -> Result<(), Error> {
    let supported = Supported::new(&actor.provider);
    let settings = ExternalJoin::new(actor.provider, actor.credential(), supported);
    StagedExternalJoin::stage(message, None, settings, &actor.signer, NOW, &mut SeededRandom::new(1))?;
    Ok(())
}

/// A proposal and a commit of it, in whichever format.
fn sweep_handshakes(suite: CipherSuiteId, encrypted: bool) {
    let [mut alice, mut bob, mut carol] = three(suite, encrypted);
    let update = alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    sweep("proposal", &update, &bob, receive);
    bob.receive(&update).unwrap();
    carol.receive(&update).unwrap();
    let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
    sweep("commit", &commit, &bob, receive);
    // Alice follows by the key of her own Update.
    sweep("commit", &commit, &alice, receive);
    bob.receive(&commit).unwrap();
    alice.receive(&commit).unwrap();
    carol.apply(&id).unwrap();
    assert_agree(&[&alice, &bob, &carol]);
}

#[test]
fn tampered_private_proposals_and_commits_are_refused() {
    suites().for_each(|suite| sweep_handshakes(suite, true));
}

#[test]
fn tampered_public_proposals_and_commits_are_refused() {
    suites().for_each(|suite| sweep_handshakes(suite, false));
}

#[test]
fn tampered_application_messages_are_refused() {
    for suite in suites() {
        let [mut alice, mut bob, mut carol] = three(suite, true);
        let message = alice.send(b"what was sent is what is read").unwrap();
        sweep("application data", &message, &bob, receive);
        assert_eq!(bob.read(&message).unwrap(), b"what was sent is what is read");
        // The same of a past epoch.
        let late = alice.send(b"late").unwrap();
        let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
        bob.receive(&commit).unwrap();
        carol.apply(&id).unwrap();
        sweep("late application data", &late, &bob, receive);
        assert_eq!(bob.read(&late).unwrap(), b"late");
    }
}

#[test]
fn tampered_welcomes_and_key_packages_are_refused() {
    for suite in suites() {
        let [mut alice, mut bob, mut carol] = three(suite, true);
        let mut dave = actor("dave", suite, true);
        let key_package = dave.key_package();
        sweep("KeyPackage", &key_package, &alice, |alice, message| match message.get(2..4) {
            // What is no KeyPackage any more does not come to where KeyPackages are validated.
            Some([0, 5]) => alice.validate(message).map(drop),
            _ => receive(alice, message),
        });
        let (commit, change) = alice.invite(&[key_package]).unwrap();
        bob.receive(&commit).unwrap();
        carol.receive(&commit).unwrap();
        let welcome = &change.welcomes[0].message;
        sweep("Welcome", welcome, &dave, open);
        dave.join(welcome, None).unwrap();
        assert_agree(&[&alice, &bob, &carol, &dave]);
    }
}

#[test]
fn tampered_group_infos_are_refused() {
    for suite in suites() {
        let [mut alice, mut bob, mut carol] = three(suite, true);
        let group_info = alice.group_info(true);
        let mut dave = actor("dave", suite, true);
        dave.key_package();
        sweep("GroupInfo", &group_info, &dave, view);
        sweep("GroupInfo", &group_info, &dave, stage);
        let commit = dave.external_join(&group_info, None, None).unwrap();
        for member in [&mut alice, &mut bob, &mut carol] {
            assert!(matches!(member.receive(&commit).unwrap(), Outcome::Commit(_)));
        }
        assert_agree(&[&alice, &bob, &carol, &dave]);
    }
}

#[test]
fn tampered_external_commits_are_refused() {
    for suite in suites() {
        let [mut alice, mut bob, _] = three(suite, true);
        let mut dave = actor("dave", suite, true);
        let group_info = alice.group_info(true);
        let commit = dave.external_join(&group_info, None, None).unwrap();
        sweep("external commit", &commit, &bob, receive);
        alice.receive(&commit).unwrap();
        bob.receive(&commit).unwrap();
        assert_agree(&[&alice, &bob, &dave]);
    }
}
