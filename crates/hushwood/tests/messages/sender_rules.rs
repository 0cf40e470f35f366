//! RFC 9420 §6.1: who may send what, in which format.

use hushwood::error::{Error, Violation};
use hushwood::extension::{Extension, ExtensionType, Extensions, ExternalSender};
use hushwood::framing::{
    Content, FramedContent, Sender, Signed, WireFormat, check_sender_rules, external_sender,
};
use hushwood::proposal::{
    ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ProposalType, ReInit, Update,
};
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::tree::LeafIndex;
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::Signer;
use test_support::{assert_breaks, assert_names};

use crate::any_suite;
use crate::world::{World, commit, remove, text};

/// One content of each kind, by name.
fn contents(world: &World) -> Vec<(&'static str, Content)> {
    let psk = PreSharedKeyId { psk: Psk::External { psk_id: vec![1] }, psk_nonce: vec![2; 32] };
    let reinit = ReInit {
        group_id: vec![3],
        version: ProtocolVersion::MLS10,
        cipher_suite: world.suite.id(),
        extensions: Extensions::new(),
    };
    let extensions = GroupContextExtensions { extensions: Extensions::new() };
    let custom = Proposal::Custom { proposal_type: ProposalType(0xF123), data: vec![4] };
    let proposals = vec![
        ("add", world.add(0)),
        ("update", Proposal::Update(Box::new(Update { leaf_node: world.leaf_node(0) }))),
        ("psk", Proposal::Psk(Box::new(PreSharedKey { psk }))),
        ("reinit", Proposal::ReInit(Box::new(reinit))),
        ("external_init", Proposal::ExternalInit(ExternalInit { kem_output: vec![5] })),
        ("group_context_extensions", Proposal::GroupContextExtensions(extensions)),
        ("custom", custom),
    ];
    let mut contents = vec![
        ("application", text("tea?")),
        ("remove", remove(1)),
        ("commit", commit()),
        ("commit with path", world.commit_with_path(0)),
    ];
    contents.extend(proposals.into_iter().map(|(name, proposal)| (name, Content::Proposal(proposal))));
    contents
}

#[test]
fn every_sender_content_and_format_is_allowed_or_refused_as_the_table_says() {
    let world = World::new(any_suite());
    let external = ["add", "remove", "psk", "reinit", "group_context_extensions"];
    for (name, content) in contents(&world) {
        let is_application = name == "application";
        let check = |sender, format| check_sender_rules(&world.content(sender, content.clone()), format);
        let public = |sender| check(sender, WireFormat::PUBLIC_MESSAGE);
        let refused = |violation: Violation| Err(Error::from(violation));
        let unless = |allowed, violation| if allowed { Ok(()) } else { refused(violation) };
        // C060: no application data in public, whoever sends it.
        let application =
            |or| if is_application { refused(Violation::ApplicationInPublicMessage) } else { or };

        let member = Sender::Member(LeafIndex::new(0));
        assert_eq!(check(member, WireFormat::PRIVATE_MESSAGE), Ok(()), "member, {name}");
        assert_eq!(public(member), application(Ok(())), "member, {name}");

        let expected = unless(external.contains(&name), Violation::ExternalProposalType);
        assert_eq!(public(Sender::External(0)), application(expected), "external, {name}");
        let expected = unless(name == "add", Violation::NewMemberContent);
        assert_eq!(public(Sender::NewMemberProposal), application(expected), "new_member_proposal, {name}");
        let expected = unless(name == "commit with path", Violation::NewMemberContent);
        assert_eq!(public(Sender::NewMemberCommit), application(expected), "new_member_commit, {name}");
        // The refusals name what each sender may not do.
        for (sender, name_of, rows) in [
            (member, "application", &["C060"][..]),
            (Sender::External(0), "commit", &["C071"]),
            (Sender::External(0), "update", &["C072", "C254"]),
            (Sender::NewMemberCommit, "remove", &["C073", "C359"]),
            (Sender::NewMemberCommit, "commit", &["C074", "C352"]),
            (Sender::NewMemberProposal, "remove", &["C075", "C254"]),
            (Sender::NewMemberProposal, "commit with path", &["C075", "C359"]),
        ] {
            if name == name_of {
                let refused = public(sender).unwrap_err();
                rows.iter().for_each(|row| assert_names!(refused, *row));
            }
        }

        // C066: nobody outside encrypts.
        for sender in [Sender::External(0), Sender::NewMemberProposal, Sender::NewMemberCommit] {
            let refused = check(sender, WireFormat::PRIVATE_MESSAGE).unwrap_err();
            assert_breaks!(refused, Violation::ExternalProposalPrivate, "C066", "C253");
        }
    }
}

#[test]
fn what_a_receiver_would_refuse_is_not_signed() {
    let world = World::new(any_suite());
    let content: FramedContent = world.content(Sender::Member(LeafIndex::new(0)), text("tea?"));
    let signed = Signed::sign(&world.signers[0], WireFormat::PUBLIC_MESSAGE, content, b"");
    assert_eq!(signed.err(), Some(Violation::ApplicationInPublicMessage.into()));
}

#[test]
fn a_confirmation_tag_belongs_to_commits_only() {
    let world = World::new(any_suite());
    let sign = |content| {
        let content = world.content(Sender::Member(LeafIndex::new(0)), content);
        Signed::sign(&world.signers[0], WireFormat::PRIVATE_MESSAGE, content, b"").unwrap()
    };
    assert_breaks!(sign(commit()).complete(None).err().unwrap(), Violation::ConfirmationTag, "C080");
    assert_breaks!(
        sign(remove(1)).complete(Some(vec![1])).err().unwrap(),
        Violation::ConfirmationTag,
        "C080"
    );
    assert!(sign(commit()).complete(Some(vec![1])).is_ok());
    assert!(sign(remove(1)).complete(None).is_ok());
}

#[test]
fn external_senders_are_found_by_position_or_not_at_all() {
    let world = World::new(any_suite());
    let senders: Vec<_> = [0, 1].map(|member| sender_of(&world, member)).into();
    let extensions: Extensions = [Extension {
        extension_type: ExtensionType::EXTERNAL_SENDERS,
        extension_data: senders.to_bytes().unwrap(),
    }]
    .into_iter()
    .collect();
    assert_eq!(external_sender(&extensions, 0), Ok(sender_of(&world, 0)));
    assert_eq!(external_sender(&extensions, 1), Ok(sender_of(&world, 1)));
    for index in [2, u32::MAX] {
        let refused = external_sender(&extensions, index).unwrap_err();
        assert_breaks!(refused, Violation::ExternalSenderIndex, "C070");
    }
    let absent = external_sender(&Extensions::new(), 0);
    assert_breaks!(absent.unwrap_err(), Violation::ExternalSendersAbsent, "C069");
}

fn sender_of(world: &World, member: usize) -> ExternalSender {
    let leaf = world.leaf_node(member);
    ExternalSender { signature_key: world.signers[member].public_key().clone(), credential: leaf.credential }
}
