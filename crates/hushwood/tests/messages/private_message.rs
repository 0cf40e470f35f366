//! RFC 9420 §6.3: what arrives altered, twice, late or in another order.

use hushwood::codec::{Decode, Encode};
use hushwood::error::{ApiMisuse, Error, NotNow, Violation};
use hushwood::framing::{
    ContentType, PrivateMessage, PublicMessage, SealingKeys, Sender, WireFormat, sender_data_key,
};
use hushwood::policy::Padding;
use hushwood::schedule::SenderDataSecret;
use hushwood_crypto::{CryptoError, Secret, expand_with_label};
use test_support::assert_breaks;
use test_support::random::BrokenRandom;

use crate::world::{World, commit, group_context, leaf, remove, text};
use crate::{any_suite, suites};

fn is_refused_unopened(error: Option<Error>) -> bool {
    let unopened = [Violation::SenderDoesNotOpen, Violation::ContentDoesNotOpen].map(Error::from);
    error.is_some_and(|error| unopened.contains(&error))
}

#[test]
fn members_read_what_members_encrypt() {
    for suite in suites() {
        let mut world = World::new(suite);
        let (mut sending, mut receiving) = (world.tree(), world.tree());
        for content in [text("tea?"), remove(2), commit(), text(""), text(&"tea ".repeat(5000))] {
            let sent = world.send_private(&mut sending, 1, content.clone());
            let bytes = sent.to_bytes().unwrap();
            let message = PrivateMessage::from_bytes(&bytes).unwrap();
            let received = world.receive_private(&mut receiving, message).unwrap();
            assert_eq!(received.content().content, content);
            assert_eq!(received.content().sender, Sender::Member(leaf(1)));
            assert_eq!(received.content().authenticated_data, b"seen by all");
            assert_eq!(received.wire_format(), WireFormat::PRIVATE_MESSAGE);
        }
    }
}

#[test]
fn a_message_is_read_once() {
    let mut world = World::new(any_suite());
    let (mut sending, mut receiving) = (world.tree(), world.tree());
    for content in [text("tea?"), remove(2)] {
        let sent = world.send_private(&mut sending, 1, content);
        assert!(world.receive_private(&mut receiving, sent.clone()).is_ok());
        let again = world.receive_private(&mut receiving, sent);
        assert_breaks!(again.err().unwrap(), NotNow::KeyUsed, "C190");
    }
}

#[test]
fn our_own_message_does_not_open_under_our_own_tree() {
    let mut world = World::new(any_suite());
    let mut tree = world.tree();
    let sent = world.send_private(&mut tree, 1, text("tea?"));
    assert_eq!(world.receive_private(&mut tree, sent).err(), Some(NotNow::KeyUsed.into()));
}

#[test]
fn a_copy_with_any_byte_changed_is_refused_and_the_genuine_one_still_opens() {
    for suite in suites() {
        let mut world = World::new(suite);
        let (mut sending, mut receiving) = (world.tree(), world.tree());
        let sent = world.send_private(&mut sending, 1, text("tea at five, bring the good biscuits"));
        let before = records(&receiving);
        let corrupted = |change: &dyn Fn(&mut PrivateMessage)| {
            let mut message = sent.clone();
            change(&mut message);
            message
        };
        let mut copies: Vec<PrivateMessage> = vec![
            corrupted(&|message| message.group_id.push(0)),
            corrupted(&|message| message.epoch += 1),
            corrupted(&|message| message.content_type = ContentType::Proposal),
            corrupted(&|message| message.content_type = ContentType::Commit),
            corrupted(&|message| message.authenticated_data.push(0)),
            corrupted(&|message| message.authenticated_data.clear()),
        ];
        for byte in 0..sent.encrypted_sender_data.len() {
            copies.push(corrupted(&|message| message.encrypted_sender_data[byte] ^= 1));
        }
        for byte in 0..sent.ciphertext.len() {
            copies.push(corrupted(&|message| message.ciphertext[byte] ^= 0x80));
        }
        for length in [0, 1, 15, 16, 17, sent.ciphertext.len() - 1] {
            copies.push(corrupted(&|message| message.ciphertext.truncate(length)));
        }
        for length in [0, 1, 15, 16, 17, sent.encrypted_sender_data.len() - 1] {
            copies.push(corrupted(&|message| message.encrypted_sender_data.truncate(length)));
        }
        for copy in copies {
            let refused = world.receive_private(&mut receiving, copy);
            assert!(is_refused_unopened(refused.err()));
        }
        let other_group = corrupted(&|message| message.group_id.push(0));
        let refused = world.receive_private(&mut receiving, other_group).err().unwrap();
        assert_breaks!(refused, Violation::SenderDoesNotOpen, "C094", "C096");
        let other_data = corrupted(&|message| message.authenticated_data.push(0));
        let refused = world.receive_private(&mut receiving, other_data).err().unwrap();
        assert_breaks!(refused, Violation::ContentDoesNotOpen, "C089", "C189", "C306");
        assert_eq!(records(&receiving), before, "a refused message changes nothing");
        assert!(world.receive_private(&mut receiving, sent).is_ok());
    }
}

fn records(tree: &hushwood::secret_tree::SecretTree) -> Vec<(String, Vec<u8>)> {
    let records = tree.records().unwrap();
    records.iter().map(|(row, record)| (format!("{row:?}"), record.expose().to_vec())).collect()
}

#[test]
fn sender_data_is_of_one_epoch() {
    let mut world = World::new(any_suite());
    let mut sending = world.tree();
    let sent = world.send_private(&mut sending, 1, text("tea?"));
    let other = SenderDataSecret::new(Secret::new(vec![1; 32]));
    let refused = sent.open_sender_data(world.suite, &other);
    assert_breaks!(refused.err().unwrap(), Violation::SenderDoesNotOpen, "C094", "C096");
}

/// C093.
#[test]
fn the_key_of_sender_data_comes_from_the_beginning_of_the_ciphertext_or_all_of_it() {
    for suite in suites() {
        let length = suite.kdf().length();
        let secret = Secret::new(vec![3; length]);
        let sender_data = SenderDataSecret::new(secret.duplicate());
        let ciphertext: Vec<u8> = (0..200).collect();
        for taken in [0, 1, length - 1, length, length + 1, 200] {
            let found = sender_data_key(suite, &sender_data, &ciphertext[..taken]).unwrap();
            let sample = &ciphertext[..taken.min(length)];
            let expand = |label, length| expand_with_label(suite, &secret, label, sample, length).unwrap();
            assert!(found.key.ct_eq(&expand("key", suite.aead().key_length())));
            assert!(found.nonce.ct_eq(&expand("nonce", suite.aead().nonce_length())));
        }
    }
}

#[test]
fn a_message_of_a_forked_state_has_a_wrong_signature() {
    let mut world = World::new(any_suite());
    let (mut sending, mut receiving) = (world.tree(), world.tree());
    let sent = world.send_private(&mut sending, 1, text("tea?"));
    let ours = std::mem::replace(&mut world.group_context, group_context(world.suite, 8));
    let refused = world.receive_private(&mut receiving, sent.clone());
    assert_breaks!(refused.err().unwrap(), Violation::MessageSignature, "C079");
    world.group_context = ours;
    assert!(world.receive_private(&mut receiving, sent).is_ok());
}

#[test]
fn without_randomness_nothing_is_encrypted() {
    let world = World::new(any_suite());
    let signed = world.sign_as_member(1, WireFormat::PRIVATE_MESSAGE, text("tea?"));
    let tree = world.tree();
    let (generation, message, _) = tree.seal_key(leaf(1), ContentType::Application).unwrap();
    let keys = SealingKeys { sender_data: &world.sender_data, generation, message };
    let sent = PrivateMessage::protect(world.suite, &signed, keys, Padding::Padme, &mut BrokenRandom);
    assert_eq!(sent.err(), Some(CryptoError::Random.into()));
}

#[test]
fn what_was_signed_as_public_is_not_encrypted() {
    let mut world = World::new(any_suite());
    let signed = world.sign_as_member(1, WireFormat::PUBLIC_MESSAGE, remove(2));
    let (generation, message, _) = world.tree().seal_key(leaf(1), ContentType::Proposal).unwrap();
    let keys = SealingKeys { sender_data: &world.sender_data, generation, message };
    let sent = PrivateMessage::protect(world.suite, &signed, keys, Padding::None, &mut world.random);
    assert!(matches!(sent, Err(Error::Bug(_))));
    let sent = PublicMessage::protect(world.suite, signed, &world.membership_key, &world.group_context);
    assert!(sent.is_ok());
}

#[test]
fn one_plaintext_never_encrypts_to_one_ciphertext() {
    // The reuse guard: even with the state rolled back, key and nonce differ.
    let mut world = World::new(any_suite());
    let mut sealed = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut rolled_back = world.tree();
        sealed.insert(world.send_private(&mut rolled_back, 1, text("tea?")).ciphertext);
    }
    assert_eq!(sealed.len(), 100);
}

#[test]
fn lengths_show_as_little_as_the_policy_says() {
    let mut world = World::new(any_suite());
    let mut lengths = |padding, texts: std::ops::Range<usize>| {
        world.policy.padding = padding;
        let mut tree = world.tree();
        let send = |length: usize| world.send_private(&mut tree, 1, text(&"x".repeat(length)));
        let mut lengths: Vec<_> = texts.map(send).map(|message| message.ciphertext.len()).collect();
        lengths.dedup();
        lengths.len()
    };
    assert_eq!(lengths(Padding::None, 1..50), 49);
    assert_eq!(lengths(Padding::Block(256), 1..50), 1);
    assert!(lengths(Padding::Padme, 1..1000) < 60);
}

#[test]
fn padding_never_makes_a_message_too_long() {
    let aead = any_suite().aead();
    let limit = (1 << 30) - 1 - aead.tag_length();
    for padding in [Padding::None, Padding::Block(4096), Padding::Block(u32::MAX), Padding::Padme] {
        assert_eq!(padding.padded_length(limit, aead), Ok(limit));
        assert_eq!(padding.padded_length(limit + 1, aead), Err(ApiMisuse::TooLong.into()));
        assert_eq!(padding.padded_length(usize::MAX, aead), Err(ApiMisuse::TooLong.into()));
        assert!(padding.padded_length(limit - 1, aead).unwrap() <= limit);
    }
    assert_eq!(Padding::Block(0).padded_length(100, aead), Ok(100));
}

#[test]
fn an_opened_message_prints_nothing_of_what_it_says() {
    let mut world = World::new(any_suite());
    let (mut sending, receiving) = (world.tree(), world.tree());
    let message = world.send_private(&mut sending, 1, text(&"\u{7f}".repeat(9)));
    let sender = message.open_sender_data(world.suite, &world.sender_data).unwrap();
    let (leaf, content_type) = (sender.leaf_index, message.content_type);
    let (key, _) = receiving.open_key(leaf, content_type, sender.generation, &world.policy).unwrap();
    let opened = message.open(world.suite, sender, key, &world.group_context, world.policy.decode).unwrap();
    let printed = format!("{opened:?}");
    assert!(printed.contains("9 bytes") && !printed.contains("127, 127"), "{printed}");
}
