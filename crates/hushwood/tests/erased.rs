//! RFC 9420 §9.2: what has been used up is nowhere in the store any more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::crypto::CipherSuiteId;
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal, client};
use hushwood::transition::{RecordKind, Records};
use test_support::actor::{Actor, Outcome, assert_agree};

/// Length of a secret in the suite of these tests.
const LENGTH: usize = 32;

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(13, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed)
}

fn three() -> [Actor; 3] {
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(actor);
    alice.create();
    let key_packages = [bob.key_package(), carol.key_package()];
    let (_, change) = alice.invite(&key_packages).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    carol.join(&change.welcomes[0].message, None).unwrap();
    [alice, bob, carol]
}

fn values(actor: &Actor, kind: RecordKind) -> Vec<Vec<u8>> {
    let rows = actor.store.list(actor.group().instance(), kind).unwrap();
    rows.into_iter().map(|(_, value)| value.expose().to_vec()).collect()
}

/// All that the client has stored in a row.
fn everything(actor: &Actor) -> Vec<u8> {
    actor.rows().1.into_values().flatten().collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The secrets that a value ends with, each behind its length.
fn secrets_at_the_end(value: &[u8], count: usize) -> Vec<Vec<u8>> {
    let secrets = &value[value.len() - count * (LENGTH + 1)..];
    let secret = |encoded: &[u8]| {
        assert_eq!(usize::from(encoded[0]), LENGTH);
        encoded[1..].to_vec()
    };
    secrets.chunks(LENGTH + 1).map(secret).collect()
}

/// `init`, `sender_data`, `exporter`, `external`, `confirm`, `membership`, `resumption`, `authentication`.
fn epoch_secrets(actor: &Actor) -> Vec<Vec<u8>> {
    let [value] = &values(actor, RecordKind::Epoch)[..] else { panic!("no epoch") };
    secrets_at_the_end(value, 8)
}

/// The private keys of the leaf and of the nodes above it: each the last field of what it stands in.
fn private_keys(actor: &Actor) -> Vec<Vec<u8>> {
    let [value] = &values(actor, RecordKind::PrivateTree)[..] else { panic!("no private tree") };
    let key = LENGTH + 1;
    let mut keys = secrets_at_the_end(&value[..4 + 2 * key], 1);
    let nodes = &value[4 + 2 * key..];
    let header = if nodes[0] < 0x40 { 1 } else { 2 };
    keys.extend(nodes[header..].chunks(4 + 2 * key).flat_map(|node| secrets_at_the_end(node, 1)));
    keys
}

/// The length of a ratchet's row: its generation and its secret.
const RATCHET: usize = 4 + 1 + LENGTH;

/// The secrets of nodes and ratchets.
fn tree_secrets(actor: &Actor) -> Vec<Vec<u8>> {
    let secrets = |value: &Vec<u8>| match value.len() {
        RATCHET => secrets_at_the_end(value, 1),
        // Behind the leaf, each secret behind the level of its node.
        _ => value[4..].chunks(LENGTH + 2).flat_map(|node| secrets_at_the_end(node, 1)).collect(),
    };
    values(actor, RecordKind::SecretTree).iter().flat_map(secrets).collect()
}

/// C141, C187, C192: whoever steals the store after a commit finds nothing that the old epoch was made of, and nothing
/// that opens its handshakes or makes its keys again.
#[test]
fn an_epochs_secrets_are_gone_when_it_has_ended() {
    for keep_past_epochs in [true, false] {
        let [mut alice, mut bob, mut carol] = three();
        for actor in [&mut alice, &mut bob, &mut carol] {
            let mut policy = actor.group().policy().clone();
            policy.max_past_epochs = if keep_past_epochs { 5 } else { 0 };
            let step = actor.group.as_mut().unwrap().set_policy(policy).unwrap();
            step.commit(&mut actor.store).unwrap();
        }
        // Everybody has keys above its leaf, and has used its ratchets.
        for _ in 0..2 {
            let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
            alice.receive(&commit).unwrap();
            carol.receive(&commit).unwrap();
            bob.apply(&id).unwrap();
        }
        let message = carol.send(b"to have ratchets").unwrap();
        alice.read(&message).unwrap();
        bob.read(&message).unwrap();

        let members = [&alice, &bob, &carol];
        let secrets = members.map(epoch_secrets);
        let keys = members.map(private_keys);
        let trees = members.map(tree_secrets);
        let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
        bob.receive(&commit).unwrap();
        carol.receive(&commit).unwrap();
        alice.apply(&id).unwrap();
        assert_agree(&[&alice, &bob, &carol]);

        for (place, member) in [&alice, &bob, &carol].into_iter().enumerate() {
            let stored = everything(member);
            for (number, secret) in secrets[place].iter().enumerate() {
                // Kept: what shows who sent a late message, and the resumption PSK.
                let kept = (number == 1 && keep_past_epochs) || number == 6;
                assert_eq!(contains(&stored, secret), kept, "{}: secret {number}", member.name);
            }
            // The root's key was replaced for all of them, and Alice's own with it.
            let left = keys[place].iter().filter(|key| contains(&stored, key)).count();
            let stay = if place == 0 { 0 } else { 1 };
            assert!(keys[place].len() > stay && left == stay, "{}: {left} keys left", member.name);
            let left = trees[place].iter().filter(|secret| contains(&stored, secret)).count();
            assert_eq!(left > 0, keep_past_epochs, "{}: {left} secrets of the tree left", member.name);
            assert!(left < trees[place].len(), "the handshake ratchets are gone");
        }
    }
}

/// C184 to C186, C192.
#[test]
fn what_a_message_consumes_is_gone_when_it_has_been_read() {
    let [mut alice, mut bob, _] = three();
    let messages: Vec<_> = (0..4).map(|number| alice.send(&[number]).unwrap()).collect();
    // The root's secret, which all others of the epoch come from.
    let root = tree_secrets(&bob);
    assert_eq!(root.len(), 1);
    bob.read(&messages[0]).unwrap();
    assert!(!contains(&everything(&bob), &root[0]));
    for message in [&messages[2], &messages[1], &messages[3]] {
        let before = values(&bob, RecordKind::SecretTree);
        bob.read(message).unwrap();
        let (after, stored) = (values(&bob, RecordKind::SecretTree), everything(&bob));
        let consumed: Vec<_> = before.into_iter().filter(|value| !after.contains(value)).collect();
        assert_eq!(consumed.len(), 1, "a ratchet, or the key of a message that was passed over");
        // Both end with a secret: a ratchet's, or the nonce of a skipped key behind the key.
        let secret = match consumed[0].len() {
            length if length > 4 + LENGTH => &consumed[0][length - LENGTH..],
            length => &consumed[0][length - 12..],
        };
        assert!(!contains(&stored, secret));
    }
    // The same at who sent them.
    let before = tree_secrets(&alice);
    alice.send(b"one more").unwrap();
    let stored = everything(&alice);
    assert_eq!(before.iter().filter(|secret| !contains(&stored, secret)).count(), 1);
}

/// C185, C186: also where it is the commit that ends the epoch, and the first message of its sender.
#[test]
fn the_commit_that_ends_an_epoch_consumes_what_its_key_came_from() {
    let [mut alice, mut bob, mut carol] = three();
    let late = carol.send(b"on its way").unwrap();
    let root = tree_secrets(&bob);
    assert_eq!(root.len(), 1);
    let (_, commit) = alice.commit(CommitPlan::default()).unwrap();
    bob.receive(&commit).unwrap();
    assert!(!contains(&everything(&bob), &root[0]));
    assert_eq!(bob.read(&late).unwrap(), b"on its way");
}

/// C209: the init key of a KeyPackage, once somebody has joined with it.
#[test]
fn a_used_key_package_is_gone() {
    let (mut alice, mut bob) = (actor("alice"), actor("bob"));
    alice.create();
    let key_package = bob.key_package();
    let kept = client::key_packages(&bob.store).unwrap();
    let init_key = kept[0].1.init_key().0.expose().to_vec();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    let stored = |bob: &Actor| bob.rows().1.into_values().flatten().collect::<Vec<u8>>();
    assert!(contains(&stored(&bob), &init_key));
    bob.join(&change.welcomes[0].message, None).unwrap();
    assert!(!contains(&stored(&bob), &init_key));
    assert!(client::key_packages(&bob.store).unwrap().is_empty());
}

/// C315: who was removed can read late messages for a while, and has nothing else left of the epoch.
#[test]
fn a_removed_member_keeps_no_more_than_late_messages_need() {
    let [mut alice, _, mut carol] = three();
    let (secrets, keys) = (epoch_secrets(&carol), private_keys(&carol));
    let proposals = vec![NewProposal::Remove(carol.leaf())];
    let (_, commit) = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
    carol.receive(&commit).unwrap();
    let stored = everything(&carol);
    let left = secrets.iter().enumerate().filter(|(_, secret)| contains(&stored, secret));
    let left: Vec<_> = left.map(|(number, _)| number).collect();
    // The sender data secret, and the resumption PSK.
    assert!(left.iter().all(|number| [1, 6].contains(number)), "{left:?}");
    assert!(keys.iter().all(|key| !contains(&stored, key)));
    assert!(values(&carol, RecordKind::PrivateTree).is_empty());
}

/// C141, C317: commits and updates of ours that came to nothing.
#[test]
fn what_was_prepared_for_an_epoch_that_did_not_come_is_gone() {
    let [mut alice, mut bob, mut carol] = three();
    bob.commit(CommitPlan::default()).unwrap();
    bob.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let prepared = [RecordKind::StagedCommit, RecordKind::OwnUpdate];
    assert!(prepared.iter().all(|kind| values(&bob, *kind).len() == 1));
    let staged = secrets_at_the_end(&values(&bob, RecordKind::OwnUpdate)[0], 1);
    let (id, commit) = alice.commit(CommitPlan::default()).unwrap();
    assert!(matches!(bob.receive(&commit).unwrap(), Outcome::Commit(_)));
    carol.receive(&commit).unwrap();
    alice.apply(&id).unwrap();
    assert!(prepared.iter().all(|kind| values(&bob, *kind).is_empty()));
    assert!(!contains(&everything(&bob), &staged[0]));
    assert_agree(&[&alice, &bob, &carol]);
}
