//! RFC 9420 §2.1: bytes that are no MLS structure are refused with the row they break, and what is accepted is
//! written back byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::{Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, Writer};
use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::credential::Credential;
use hushwood::error::{Error, Row, Unsupported};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{ContentType, MlsMessage, PrivateMessage, PublicMessage, Sender};
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal};
use hushwood::policy::Policy;
use hushwood::proposal::Proposal;
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::tree::{Capabilities, LeafNodeSource, Node, ParentNode};
use hushwood_crypto::CipherSuiteId;
use test_support::actor::Actor;
use test_support::random::SeededRandom;
use test_support::{assert_breaks, assert_names};

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed)
}

/// One message of each kind there is.
fn messages() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for encrypt_handshakes in [true, false] {
        let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(actor);
        for actor in [&mut alice, &mut bob, &mut carol] {
            actor.policy.encrypt_handshakes = encrypt_handshakes;
        }
        alice.create();
        messages.push(bob.key_package());
        let (commit, change) = alice.invite(&messages[messages.len() - 1..]).unwrap();
        messages.extend([commit, change.welcomes[0].message.clone()]);
        bob.join(&change.welcomes[0].message, None).unwrap();
        messages.push(alice.send(b"data").unwrap());
        messages.push(alice.propose(NewProposal::Update(LeafUpdate::default())).unwrap());
        let proposals = vec![NewProposal::Psk(Psk::External { psk_id: b"psk".to_vec() })];
        bob.keep_psk(b"psk", &[1; 32]);
        let answers = bob.answers(&[Psk::External { psk_id: b"psk".to_vec() }]);
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        messages.push(bob.commit_with(plan, &answers).unwrap().1);
        let group_info = bob.group_info(true);
        messages.push(carol.external_join(&group_info, None, None).unwrap());
        messages.push(group_info);
    }
    messages
}

/// What is wrong with these bytes.
fn refusal<T: Decode>(bytes: &[u8]) -> DecodeError {
    let Err(error) = T::from_bytes(bytes) else { panic!("{bytes:?} is accepted") };
    error
}

#[track_caller]
fn assert_refused<T: Decode>(bytes: &[u8], kind: DecodeErrorKind, row: &'static str) {
    let error = refusal::<T>(bytes);
    assert_eq!(error.kind, kind);
    assert_names!(Error::from(error), row);
}

#[test]
fn discriminants_that_are_reserved_or_unknown_are_refused() {
    for octet in (0..=u8::MAX).filter(|octet| ![1, 2, 3, 4].contains(octet)) {
        let unknown = DecodeErrorKind::UnknownDiscriminant(octet.into());
        // C015 to C020, each with enough bytes behind it for whatever it might be.
        let bytes = [&[octet], &[0_u8; 64][..]].concat();
        assert_refused::<ContentType>(&bytes, unknown, "C015");
        assert_refused::<Sender>(&bytes, unknown, "C016");
        assert_refused::<LeafNodeSource>(&bytes, unknown, "C017");
        assert_refused::<Node>(&bytes, unknown, "C018");
        assert_refused::<ProposalOrRef>(&bytes, unknown, "C019");
        assert_refused::<Psk>(&bytes, unknown, "C020");
        assert_refused::<ResumptionPskUsage>(&bytes, unknown, "C020");
        assert_refused::<Psk>(&[&[2], &bytes[..]].concat(), unknown, "C020");
    }
    // The values that one of them has and another has not.
    let unknown = DecodeErrorKind::UnknownDiscriminant;
    assert_refused::<ContentType>(&[4], unknown(4), "C015");
    assert_refused::<LeafNodeSource>(&[4], unknown(4), "C017");
    assert_refused::<Node>(&[3], unknown(3), "C018");
    assert_refused::<ProposalOrRef>(&[3], unknown(3), "C019");
    assert_refused::<Psk>(&[3, 0], unknown(3), "C020");
    assert_refused::<ResumptionPskUsage>(&[4], unknown(4), "C020");
}

/// C001 to C005, C008, C010.
#[test]
fn bytes_that_break_the_presentation_language_are_refused() {
    use DecodeErrorKind::{EndOfInput, LengthNotMinimal, LengthPrefixReserved, PresenceOctet, TrailingBytes};
    // A list of optional nodes, as in a tree; and a commit without proposals and without path.
    for octet in 2..=u8::MAX {
        assert_refused::<Vec<Option<Node>>>(&[1, octet], PresenceOctet, "C001");
        assert_refused::<Commit>(&[0, octet], PresenceOctet, "C001");
    }
    assert_refused::<Vec<Option<Node>>>(&[1, 1], EndOfInput, "C002");
    assert_refused::<Commit>(&[0, 1], EndOfInput, "C002");
    assert_refused::<Commit>(&[0, 0, 7], TrailingBytes, "C002");
    for first in 0xC0..=u8::MAX {
        assert_refused::<Extensions>(&[first, 0, 0, 0, 0, 0, 0, 0], LengthPrefixReserved, "C003");
    }
    for length in 0..64 {
        let bytes = [&[0x40, length][..], &vec![0; length.into()]].concat();
        assert_refused::<Extensions>(&bytes, LengthNotMinimal, "C004");
    }
    for length in [0, 1, 63, 64, (1 << 14) - 1] {
        let bytes =
            [&(0x8000_0000_u32 | length).to_be_bytes()[..], &vec![0; usize::try_from(length).unwrap()]]
                .concat();
        assert_refused::<Extensions>(&bytes, LengthNotMinimal, "C005");
    }
    // Up to a gigabyte is said to follow.
    for head in [&[1][..], &[0x7F, 0xFF], &[0xBF, 0xFF, 0xFF, 0xFF]] {
        assert_refused::<Extensions>(head, EndOfInput, "C008");
        assert_refused::<Credential>(&[&[0, 1], head].concat(), EndOfInput, "C008");
    }
    // One extension, and a part of another.
    let one = [0xF0, 0x0D, 2, 7, 7];
    for part in 1..one.len() {
        let bytes = [&[u8::try_from(one.len() + part).unwrap()], &one[..], &one[..part]].concat();
        assert_refused::<Extensions>(&bytes, EndOfInput, "C010");
    }
}

/// C029: how deep structures are nested is bounded, whatever the message has room for.
#[test]
fn structures_nested_deeper_than_the_policy_allows_are_refused() {
    let limits = DecodeLimits { max_depth: 1, ..Policy::default().decode };
    let nested: Vec<_> =
        messages().iter().filter_map(|message| MlsMessage::from_bytes_with(message, limits).err()).collect();
    assert!(!nested.is_empty());
    for error in nested {
        assert_eq!(error.kind, DecodeErrorKind::TooDeep);
        assert_names!(Error::from(error), "C029");
    }
}

/// The error names the duty that was broken and no other one.
#[test]
fn an_unknown_discriminant_names_the_row_of_its_field() {
    let changed = |message: &[u8], at: usize, value: u8| {
        let mut message = message.to_vec();
        message[at] = value;
        Error::from(MlsMessage::from_bytes(&message).unwrap_err()).requirements().to_vec()
    };
    let mut formats = [0, 0];
    for message in messages() {
        // Version and format, the group's id and the epoch.
        let after_epoch = 4 + 33 + 8;
        match MlsMessage::from_bytes(&message).unwrap() {
            MlsMessage::PublicMessage(public) => {
                assert_eq!(changed(&message, after_epoch, 9), [Row("C016")]);
                let sender = if public.membership_tag.is_some() { 5 } else { 1 };
                assert_eq!(changed(&message, after_epoch + sender + 1, 9), [Row("C015")]);
                formats[0] += 1;
            }
            MlsMessage::PrivateMessage(_) => {
                assert_eq!(changed(&message, after_epoch, 9), [Row("C015")]);
                formats[1] += 1;
            }
            _ => {}
        }
    }
    assert!(formats.iter().all(|count| *count > 2), "{formats:?}");
}

#[test]
fn versions_and_wire_formats_that_are_reserved_or_unknown_are_refused() {
    for message in messages() {
        for version in [0, 2, 0x0A0A, u16::MAX] {
            let other = [&version.to_be_bytes(), &message[2..]].concat();
            let error = Error::from(MlsMessage::from_bytes(&other).unwrap_err());
            assert_breaks!(error, Unsupported::ProtocolVersion, "C021");
        }
        for format in [0, 6, 0x0A0A, 0xF000, u16::MAX] {
            let other = [&message[..2], &format.to_be_bytes(), &message[4..]].concat();
            let error = Error::from(MlsMessage::from_bytes(&other).unwrap_err());
            assert_breaks!(error, Unsupported::WireFormat, "C022");
        }
    }
}

#[test]
fn proposals_and_credentials_of_reserved_or_unknown_types_are_refused() {
    for value in [0, 8, 0x000A, 0x0A0A, 0xEFFF] {
        let bytes = [&u16::to_be_bytes(value)[..], &[0; 16]].concat();
        let error = Error::from(Proposal::from_bytes(&bytes).unwrap_err());
        assert_breaks!(error, Unsupported::ProposalType, "C023", "C024");
    }
    for value in [0, 3, 0x0A0A, 0xEFFF] {
        let bytes = [&u16::to_be_bytes(value)[..], &[0; 16]].concat();
        let error = Error::from(Credential::from_bytes(&bytes).unwrap_err());
        assert_breaks!(error, Unsupported::CredentialType, "C023", "C025");
    }
}

#[test]
fn a_message_cut_short_anywhere_or_with_bytes_behind_it_is_refused() {
    for message in messages() {
        for length in 0..message.len() {
            let error = MlsMessage::from_bytes(&message[..length]).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::EndOfInput, "{length} bytes");
            assert_names!(Error::from(error), "C011");
        }
        for behind in [&[0][..], &[1], &message] {
            let longer = [&message, behind].concat();
            assert_refused::<MlsMessage>(&longer, DecodeErrorKind::TrailingBytes, "C012");
        }
    }
}

#[test]
fn lists_of_integers_with_an_odd_number_of_bytes_are_refused() {
    // Five lists of uint16, one of them with three bytes.
    for odd in 0..5 {
        let mut writer = Writer::new();
        for list in 0..5 {
            writer.opaque(if list == odd { &[0, 1, 0] } else { &[0, 1] });
        }
        let bytes = writer.finish().unwrap();
        assert_refused::<Capabilities>(&bytes, DecodeErrorKind::EndOfInput, "C028");
    }
    for length in [1, 2, 3, 5, 6, 7] {
        let mut writer = Writer::new();
        writer.opaque(b"key").opaque(b"hash").opaque(&vec![0; length]);
        let bytes = writer.finish().unwrap();
        assert_refused::<ParentNode>(&bytes, DecodeErrorKind::EndOfInput, "C028");
    }
}

#[test]
fn unmerged_leaves_that_do_not_increase_are_refused() {
    for leaves in [&[0_u32, 0][..], &[1, 0], &[0, 2, 1], &[3, 3, 4]] {
        let mut writer = Writer::new();
        writer.opaque(b"key").opaque(b"hash").vector(leaves);
        let bytes = writer.finish().unwrap();
        assert_refused::<ParentNode>(&bytes, DecodeErrorKind::Unsorted, "C100");
    }
}

#[test]
fn bytes_behind_the_content_of_an_extension_are_refused() {
    let trailing = |error: Error| {
        let Error::Decode(found) = &error else { panic!("{error:?}") };
        assert_eq!(found.kind, DecodeErrorKind::TrailingBytes);
        assert_names!(error, "C013");
    };
    let with = |extension_type, data: &[u8]| {
        let mut extensions = Extensions::new();
        extensions.set(extension_type, [data, &[0]].concat());
        extensions
    };
    let required = with(ExtensionType::REQUIRED_CAPABILITIES, &[0, 0, 0]);
    trailing(required.required_capabilities().unwrap_err());
    trailing(with(ExtensionType::EXTERNAL_SENDERS, &[0]).external_senders().unwrap_err());
    trailing(with(ExtensionType::EXTERNAL_PUB, &[1, 7]).external_pub().unwrap_err());
}

#[test]
fn a_membership_tag_stands_with_members_and_with_nobody_else() {
    let mut tagged = 0;
    for message in messages() {
        let Ok(MlsMessage::PublicMessage(public)) = MlsMessage::from_bytes(&message) else { continue };
        match public.membership_tag {
            // C081: a member's message without its tag is cut short.
            Some(tag) => {
                let without = &message[..message.len() - tag.len() - 1];
                assert_refused::<MlsMessage>(without, DecodeErrorKind::EndOfInput, "C081");
                tagged += 1;
            }
            // C081, C365: an external commit with one has bytes behind it.
            None => {
                assert_eq!(public.content.sender, Sender::NewMemberCommit);
                let with = [&message[..], &[32], &[5; 32]].concat();
                assert_refused::<MlsMessage>(&with, DecodeErrorKind::TrailingBytes, "C365");
                assert_refused::<MlsMessage>(&with, DecodeErrorKind::TrailingBytes, "C081");
            }
        }
    }
    assert_eq!(tagged, 3);
}

#[test]
fn unknown_extensions_are_kept_as_they_came() {
    let mut writer = Writer::new();
    writer.nested(|writer| {
        for (value, data) in [(0xF00D_u16, &b"custom"[..]), (0x0A0A, b""), (0x0006, &[0xC0; 70]), (0, b"?")] {
            writer.value(&value).opaque(data);
        }
    });
    let bytes = writer.finish().unwrap();
    let extensions = Extensions::from_bytes(&bytes).unwrap();
    assert_eq!(extensions.get(ExtensionType(0xF00D)).unwrap().extension_data, b"custom");
    assert_eq!(extensions.to_bytes().unwrap(), bytes);
}

/// C027, C029: no input is too strange, and there are no two encodings of one value.
#[test]
fn what_is_accepted_is_written_back_byte_for_byte() {
    let mut random = SeededRandom::new(11);
    let (mut accepted, mut refused) = (0, 0);
    for message in messages() {
        assert_eq!(MlsMessage::from_bytes(&message).unwrap().to_bytes().unwrap(), message);
        for _ in 0..2000 {
            let mut variant = message.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(variant.len());
                match random.below(4) {
                    0 => variant[at] ^= 1 << random.below(8),
                    1 => variant[at] = random.bytes(1)[0],
                    2 => _ = variant.remove(at),
                    _ => variant.insert(at, random.bytes(1)[0]),
                }
            }
            match MlsMessage::from_bytes(&variant) {
                Ok(read) => {
                    assert_eq!(read.to_bytes().unwrap(), variant);
                    accepted += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
    for length in 0..2000 {
        let noise = random.bytes(length % 200);
        for format in 1..=5_u16 {
            let framed = [&[0, 1], &format.to_be_bytes()[..], &noise].concat();
            if let Ok(read) = MlsMessage::from_bytes(&framed) {
                assert_eq!(read.to_bytes().unwrap(), framed);
            }
        }
        _ = PublicMessage::from_bytes(&noise);
        _ = PrivateMessage::from_bytes(&noise);
    }
}

#[test]
fn a_message_larger_than_the_policy_allows_is_refused_before_it_is_read() {
    let message = actor("alice").key_package();
    let limits = DecodeLimits { max_bytes: message.len() - 1, ..Policy::default().decode };
    let error = MlsMessage::from_bytes_with(&message, limits).unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::TooLarge, 0));
    assert_names!(Error::from(error), "C009");
}
