//! RFC 9420 §12.4.3: GroupInfos that a member has signed and that say what they should not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::{Decode, DecodeErrorKind, Encode, Writer};
use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::{ApiMisuse, Error, Unsupported, Violation};
use hushwood::extension::ExtensionType;
use hushwood::framing::{Content, FramedContent, MlsMessage, PublicMessage, Sender, Signed, WireFormat};
use hushwood::group::{ExternalJoin, GroupView, StagedExternalJoin};
use hushwood::proposal::{PreSharedKey, Proposal};
use hushwood::public_group::PublicGroup;
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::tree::Supported;
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;
use hushwood::welcome::GroupInfo;
use hushwood_crypto::{CipherSuiteId, sign_with_label};
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;
use test_support::{assert_breaks, assert_names};

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(19, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed)
}

/// Alice, alone in a group.
fn alice() -> Actor {
    let mut alice = actor("alice");
    alice.create();
    alice
}

/// Alice's GroupInfo after a change, which she signs.
fn group_info(alice: &mut Actor, change: impl FnOnce(&mut GroupInfo)) -> Vec<u8> {
    let message = alice.group_info(true);
    let Ok(MlsMessage::GroupInfo(group_info)) = MlsMessage::from_bytes(&message) else {
        panic!("no GroupInfo")
    };
    let mut group_info = group_info.inspect().clone();
    change(&mut group_info);
    let mut tbs = Writer::new();
    tbs.value(&group_info.group_context).value(&group_info.extensions);
    tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
    let tbs = tbs.finish().unwrap();
    group_info.signature = sign_with_label(&alice.signer, "GroupInfoTBS", &tbs).unwrap();
    MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes().unwrap()
}

fn view(alice: &Actor, group_info: &[u8]) -> Result<GroupView, Error> {
    let random = &mut SeededRandom::new(1);
    GroupView::verify(group_info, None, &alice.provider, (&alice.policy, NOW), random)
}

fn join(group_info: &[u8]) -> Result<(), Error> {
    let dave = actor("dave");
    let settings = ExternalJoin::new(dave.provider, dave.credential(), Supported::new(&dave.provider));
    let random = &mut SeededRandom::new(2);
    StagedExternalJoin::stage(group_info, None, settings, &dave.signer, NOW, random).map(drop)
}

#[track_caller]
fn assert_refused(refused: Result<(), Error>, error: impl Into<Error>, row: &'static str) {
    let error: Error = error.into();
    assert_breaks!(refused.unwrap_err(), error, row);
}

#[test]
fn a_group_info_signed_again_is_accepted() {
    // Shows that the other tests refuse for the reason they name.
    let mut alice = alice();
    let message = group_info(&mut alice, |_| ());
    assert!(view(&alice, &message).is_ok());
    assert_eq!(join(&message), Ok(()));
}

#[test]
fn a_group_of_another_version_or_suite_is_not_joined() {
    let mut alice = alice();
    for version in [0, 2, u16::MAX] {
        let message = group_info(&mut alice, |info| info.group_context.version = ProtocolVersion(version));
        assert_refused(view(&alice, &message).map(drop), Unsupported::ProtocolVersion, "C162");
        assert_refused(join(&message), Unsupported::ProtocolVersion, "C162");
    }
    for suite in [0, 8, 0x0A0A, u16::MAX] {
        let message = group_info(&mut alice, |info| info.group_context.cipher_suite = CipherSuiteId(suite));
        assert_refused(view(&alice, &message).map(drop), Unsupported::CipherSuite, "C162");
        assert_refused(join(&message), Unsupported::CipherSuite, "C023");
    }
}

#[test]
fn an_external_key_that_is_none_is_refused() {
    let mut alice = alice();
    let key = |key: &[u8]| key.to_vec().to_bytes().unwrap();
    for wrong in [vec![], vec![9; 31], vec![9; 33], vec![0; 32]] {
        let message =
            group_info(&mut alice, |info| info.extensions.set(ExtensionType::EXTERNAL_PUB, key(&wrong)));
        assert_refused(view(&alice, &message).map(drop), Violation::HpkePublicKey, "C032");
        assert_refused(join(&message), Violation::HpkePublicKey, "C034");
    }
    let message = group_info(&mut alice, |info| info.extensions.remove(ExtensionType::EXTERNAL_PUB));
    assert_refused(join(&message), Violation::ExternalPubAbsent, "C350");
}

/// C013.
#[test]
fn bytes_behind_the_content_of_an_extension_are_refused() {
    let mut alice = alice();
    let trailing = |refused: Result<(), Error>| {
        let error = refused.unwrap_err();
        let Error::Decode(found) = error else { panic!("{error:?}") };
        assert_eq!(found.kind, DecodeErrorKind::TrailingBytes);
        assert_names!(error, "C013");
    };
    for extension_type in [ExtensionType::EXTERNAL_PUB, ExtensionType::RATCHET_TREE] {
        let message = group_info(&mut alice, |info| {
            let mut data = info.extensions.get(extension_type).unwrap().extension_data.clone();
            data.push(0);
            info.extensions.set(extension_type, data);
        });
        trailing(view(&alice, &message).map(drop));
        trailing(join(&message));
    }
    for (extension_type, data) in [
        (ExtensionType::REQUIRED_CAPABILITIES, vec![0, 0, 0, 0]),
        (ExtensionType::EXTERNAL_SENDERS, vec![0, 0]),
    ] {
        let message = group_info(&mut alice, |info| info.group_context.extensions.set(extension_type, data));
        trailing(view(&alice, &message).map(drop));
        trailing(join(&message));
    }
}

/// C163: there is no epoch after the last one.
#[test]
fn nobody_commits_in_the_last_epoch() {
    let mut alice = alice();
    let message = group_info(&mut alice, |info| info.group_context.epoch = u64::MAX);
    assert_refused(join(&message), ApiMisuse::EpochOverflow, "C163");

    let observer = |epoch| {
        let mut alice = actor("alice");
        alice.create();
        let message = group_info(&mut alice, |info| info.group_context.epoch = epoch);
        let view = view(&alice, &message).unwrap();
        let verdicts = judge(view.checks(), &InsecureAcceptAll);
        PublicGroup::new(view, &verdicts).unwrap()
    };
    let receive = |observer: &PublicGroup| {
        let psk = PreSharedKeyId { psk: Psk::External { psk_id: b"psk".to_vec() }, psk_nonce: vec![1; 32] };
        let proposal = Proposal::Psk(Box::new(PreSharedKey { psk }));
        let commit = Commit { proposals: vec![ProposalOrRef::Proposal(proposal)], path: None };
        let content = FramedContent {
            group_id: observer.group_id().to_vec(),
            epoch: observer.epoch(),
            sender: Sender::Member(alice.leaf()),
            authenticated_data: Vec::new(),
            content: Content::Commit(Box::new(commit)),
        };
        let context = observer.context().to_bytes().unwrap();
        let signed = Signed::sign(&alice.signer, WireFormat::PUBLIC_MESSAGE, content, &context).unwrap();
        let message = signed.complete(Some(vec![2; 32])).unwrap().into_inner();
        let message = PublicMessage {
            content: message.content,
            auth: message.auth,
            // Only members can check it.
            membership_tag: Some(vec![3; 32]),
        };
        let message = MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap();
        observer.receive(&message, NOW, &mut SeededRandom::new(3)).map(drop)
    };
    assert_eq!(receive(&observer(u64::MAX - 1)), Ok(()));
    assert_refused(receive(&observer(u64::MAX)), Violation::EpochOverflow, "C163");
}
