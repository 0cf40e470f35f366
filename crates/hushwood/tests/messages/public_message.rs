//! RFC 9420 §6.1, §6.2: signatures and membership tags.

use hushwood::codec::{Decode, DecodeErrorKind, Encode, Writer};
use hushwood::commit::Commit;
use hushwood::error::{Error, Violation};
use hushwood::framing::{Content, FramedContent, PublicMessage, Sender, Signed, WireFormat};
use hushwood::schedule::MembershipKey;
use hushwood_crypto::{Secret, ref_hash};
use test_support::assert_breaks;

use crate::world::{World, commit, group_context, leaf, remove};
use crate::{any_suite, flipped, suites, wrong_tags};

#[test]
fn members_read_what_members_send() {
    for suite in suites() {
        let world = World::new(suite);
        for content in [remove(2), commit()] {
            let sent = world.send_public(1, content.clone());
            let bytes = sent.to_bytes().unwrap();
            let received = world.receive_public(PublicMessage::from_bytes(&bytes).unwrap()).unwrap();
            assert_eq!(received.content().content, content);
            assert_eq!(received.content().sender, Sender::Member(leaf(1)));
            assert_eq!(received.wire_format(), WireFormat::PUBLIC_MESSAGE);
        }
    }
}

#[test]
fn membership_tags_of_other_lengths_or_with_a_bit_changed_are_refused() {
    for suite in suites() {
        let world = World::new(suite);
        let sent = world.send_public(1, remove(2));
        let tag = sent.membership_tag.clone().unwrap();
        for wrong in wrong_tags(&tag) {
            let message = PublicMessage { membership_tag: Some(wrong), ..sent.clone() };
            assert_breaks!(
                world.receive_public(message).err().unwrap(),
                Violation::MembershipTag,
                "C082",
                "C306"
            );
        }
        let message = PublicMessage { membership_tag: None, ..sent };
        assert_breaks!(
            world.receive_public(message).err().unwrap(),
            Violation::MembershipTag,
            "C082",
            "C306"
        );
    }
}

#[test]
fn every_bit_of_a_public_message_is_covered_by_its_tag() {
    let world = World::new(any_suite());
    let bytes = world.send_public(1, commit()).to_bytes().unwrap();
    let mut refused = 0;
    for bit in 0..bytes.len() * 8 {
        let Ok(message) = PublicMessage::from_bytes(&flipped(&bytes, bit)) else { continue };
        assert!(world.receive_public(message).is_err(), "bit {bit}");
        refused += 1;
    }
    assert!(refused > 500, "only {refused} decoded");
}

#[test]
fn a_tag_is_of_one_key_and_one_epoch() {
    let world = World::new(any_suite());
    let sent = world.send_public(1, remove(2));
    let other_key = MembershipKey::new(Secret::new(vec![6; 32]));
    let refused = sent.clone().unprotect(world.suite, &other_key, &world.group_context);
    assert_breaks!(refused.err().unwrap(), Violation::MembershipTag, "C082");
    let other_epoch = group_context(world.suite, 8);
    let refused = sent.unprotect(world.suite, &world.membership_key, &other_epoch);
    assert_breaks!(refused.err().unwrap(), Violation::MembershipTag, "C082");
}

#[test]
fn an_observer_verifies_the_signature_without_the_tag() {
    let world = World::new(any_suite());
    let sent = world.send_public(1, commit());
    let observed = sent.clone().unprotect_as_observer(&world.group_context).unwrap();
    assert!(world.verify(observed).is_ok());
    // A forked or another epoch's state has another group context (C079).
    let observed = sent.clone().unprotect_as_observer(&group_context(world.suite, 8)).unwrap();
    assert_breaks!(world.verify(observed).err().unwrap(), Violation::MessageSignature, "C079", "C083");
    for bit in 0..sent.auth.signature.len() * 8 {
        let mut message = sent.clone();
        message.auth.signature = flipped(&message.auth.signature, bit);
        let observed = message.unprotect_as_observer(&world.group_context).unwrap();
        assert_breaks!(world.verify(observed).err().unwrap(), Violation::MessageSignature, "C079", "C083");
    }
}

/// The order of the group that Ed25519 signs in, as it stands in a signature.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature, written otherwise.
fn other_encodings(suite: u16, signature: &[u8]) -> Vec<Vec<u8>> {
    let mut others = vec![[signature, &[0]].concat(), signature[..signature.len() - 1].to_vec()];
    let mut other = signature.to_vec();
    match suite {
        // Ed25519: s, and the order of the group.
        1 | 3 => {
            let mut carry = 0;
            for (byte, order) in other[32..].iter_mut().zip(ED25519_ORDER) {
                let sum = u16::from(*byte) + u16::from(order) + carry;
                (*byte, carry) = (sum as u8, sum >> 8);
            }
            others.push(other);
        }
        // ECDSA in DER: r with a zero before it.
        2 | 5 | 7 => {
            let header = if signature[1] == 0x81 { 3 } else { 2 };
            other[header - 1] += 1;
            other[header + 1] += 1;
            other.insert(header + 2, 0);
            others.push(other);
        }
        _ => {}
    }
    others
}

#[test]
fn a_signature_in_another_encoding_is_refused() {
    for suite in suites() {
        let world = World::new(suite);
        let sent = world.send_public(1, remove(2));
        for signature in other_encodings(suite.id().0, &sent.auth.signature) {
            let mut message = sent.clone();
            message.auth.signature = signature;
            let observed = message.unprotect_as_observer(&world.group_context).unwrap();
            let refused = world.verify(observed).err().unwrap();
            assert_breaks!(refused, Violation::MessageSignature, "C037");
        }
    }
}

#[test]
fn a_member_who_signs_for_another_is_refused() {
    // The tag shows that somebody in the group made it, the signature that it was not member 2.
    let world = World::new(any_suite());
    let content = world.content(Sender::Member(leaf(2)), remove(0));
    let signed = world.sign(1, WireFormat::PUBLIC_MESSAGE, content);
    let message =
        PublicMessage::protect(world.suite, signed, &world.membership_key, &world.group_context).unwrap();
    assert_breaks!(world.receive_public(message).err().unwrap(), Violation::MessageSignature, "C068");
}

#[test]
fn a_signature_for_private_messages_is_not_one_for_public_messages() {
    let world = World::new(any_suite());
    let signed = world.sign_as_member(1, WireFormat::PRIVATE_MESSAGE, remove(2)).into_inner();
    let message = PublicMessage { content: signed.content, auth: signed.auth, membership_tag: Some(vec![]) };
    let observed = message.unprotect_as_observer(&world.group_context).unwrap();
    assert_breaks!(world.verify(observed).err().unwrap(), Violation::MessageSignature, "C078");
}

#[test]
fn those_outside_are_verified_with_the_key_that_their_kind_brings() {
    for suite in suites() {
        let world = World::new(suite);
        for (sender, content) in outside(&world) {
            let content = world.content(sender, content);
            let signed = world.sign(3, WireFormat::PUBLIC_MESSAGE, content);
            let sent = PublicMessage::from_outside(signed).unwrap();
            assert_eq!(sent.membership_tag, None);
            assert!(world.receive_public(sent.clone()).is_ok(), "{sender:?}");

            let mut altered = sent.clone();
            altered.content.authenticated_data.push(0);
            assert_breaks!(
                world.receive_public(altered).err().unwrap(),
                Violation::MessageSignature,
                "C070",
                "C074",
                "C076"
            );
            let tagged = PublicMessage { membership_tag: Some(vec![1; 32]), ..sent };
            assert_eq!(world.receive_public(tagged).err(), Some(Violation::MembershipTag.into()));
        }
    }
}

fn outside(world: &World) -> [(Sender, Content); 3] {
    [
        (Sender::External(3), remove(1)),
        (Sender::NewMemberProposal, Content::Proposal(world.add(3))),
        (Sender::NewMemberCommit, world.commit_with_path(3)),
    ]
}

#[test]
fn the_group_context_is_signed_by_members_and_external_committers_only() {
    let world = World::new(any_suite());
    let other_context = group_context(world.suite, 8);
    let signed_without = |sender, content: Content| {
        let content = world.content(sender, content);
        let tag = matches!(content.content, Content::Commit(_)).then(|| vec![1; 32]);
        let signed = Signed::sign(&world.signers[3], WireFormat::PUBLIC_MESSAGE, content, &other_context);
        PublicMessage::from_outside(signed.unwrap().complete(tag).unwrap()).unwrap()
    };
    for (sender, content) in outside(&world) {
        let received = world.receive_public(signed_without(sender, content)).err();
        match sender {
            Sender::NewMemberCommit => {
                assert_breaks!(received.unwrap(), Violation::MessageSignature, "C079");
            }
            _ => assert_eq!(received, None, "{sender:?}"),
        }
    }
}

#[test]
fn tags_are_made_for_public_messages_of_members_only() {
    let world = World::new(any_suite());
    let is_bug = |made: Result<PublicMessage, Error>| matches!(made, Err(Error::Bug(_)));
    let protect =
        |signed| PublicMessage::protect(world.suite, signed, &world.membership_key, &world.group_context);
    let outsider: FramedContent = world.content(Sender::External(0), remove(1));
    assert!(is_bug(protect(world.sign(0, WireFormat::PUBLIC_MESSAGE, outsider))));
    assert!(is_bug(protect(world.sign_as_member(0, WireFormat::PRIVATE_MESSAGE, remove(1)))));
    let member = world.sign_as_member(0, WireFormat::PUBLIC_MESSAGE, remove(1));
    assert!(is_bug(PublicMessage::from_outside(member)));
}

#[test]
fn a_proposal_ref_is_of_the_message_and_not_of_the_proposal() {
    let world = World::new(any_suite());
    let message = world.sign_as_member(1, WireFormat::PUBLIC_MESSAGE, remove(2));
    let reference = message.proposal_ref(world.suite).unwrap();
    let bytes = message.clone().into_inner().to_bytes().unwrap();
    assert_eq!(message.to_bytes().unwrap(), bytes);
    assert_eq!(ref_hash(world.suite, "MLS 1.0 Proposal Reference", &bytes), Ok(reference.clone()));
    for other in [
        world.sign_as_member(2, WireFormat::PUBLIC_MESSAGE, remove(2)),
        world.sign_as_member(1, WireFormat::PRIVATE_MESSAGE, remove(2)),
        world.sign_as_member(1, WireFormat::PUBLIC_MESSAGE, remove(3)),
    ] {
        assert_ne!(other.proposal_ref(world.suite).unwrap(), reference);
    }
}

#[test]
fn a_commit_may_be_long_and_not_much_larger_in_memory_than_on_the_wire() {
    let proposals = |proposal: &[u8], count| {
        let mut commit = Writer::new();
        commit.opaque(&proposal.repeat(count)).raw(&[0]);
        Commit::from_bytes(&commit.finish().unwrap()).map(|commit| commit.proposals.len())
    };
    // Removes by value, and references that are empty.
    assert_eq!(proposals(&[1, 0, 3, 0, 0, 0, 7], 1 << 17), Ok(1 << 17));
    assert_eq!(proposals(&[2, 0], 1 << 20).unwrap_err().kind, DecodeErrorKind::TooManyElements);
}
