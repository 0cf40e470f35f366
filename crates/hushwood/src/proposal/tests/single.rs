//! RFC 9420 §12.1: rules on single proposals.

use test_support::assert_breaks;

use super::*;
use crate::error::Violation;
use crate::extension::ExternalSender;
use crate::schedule::ResumptionPskUsage;

fn refused(world: &World, proposal: &Proposal, sender: Sender) -> Error {
    world.checks().check(proposal, sender).unwrap_err()
}

#[test]
fn valid_proposals_of_every_type_are_accepted() {
    let mut world = World::new(3);
    let proposals = [
        world.add("dora"),
        world.update(1),
        remove(2),
        psk("key", 1),
        reinit(),
        gce(extensions(&[KNOWN_EXTENSION])),
        custom(KNOWN_PROPOSAL),
    ];
    for proposal in &proposals {
        assert_eq!(world.checks().check(proposal, member(1)), Ok(()));
    }
}

#[test]
fn an_add_with_a_bad_key_package_is_refused() {
    let mut world = World::new(2);
    let Proposal::Add(mut add) = world.add("dora") else { unreachable!() };
    add.key_package.signature[0] ^= 1;
    let error = refused(&world, &Proposal::Add(add), member(1));
    assert_breaks!(error, Violation::KeyPackageSignature, "C203", "C242", "C261");
}

#[test]
fn an_add_for_another_suite_is_refused() {
    let mut world = World::new(2);
    let Proposal::Add(mut add) = world.add("dora") else { unreachable!() };
    add.key_package.cipher_suite = hushwood_crypto::CipherSuiteId(3);
    let error = refused(&world, &Proposal::Add(add), member(1));
    assert_breaks!(error, Violation::KeyPackageSuite, "C210", "C242");
}

#[test]
fn an_add_of_a_client_that_lacks_group_extensions_is_not_sent_but_may_be_received() {
    let mut world = World::new(2);
    world.context.extensions = extensions(&[ExtensionType(0xF00F)]);
    let add = world.add("dora");
    // A commit may take the extension away, so a receiver keeps the proposal.
    assert_eq!(world.checks().check(&add, member(1)), Ok(()));
    world.sending = true;
    assert_eq!(refused(&world, &add, member(0)), Violation::CapabilitiesLackExtension.into());
}

#[test]
fn an_update_from_outside_is_refused() {
    let mut world = World::new(2);
    let update = world.update(1);
    let error = refused(&world, &update, Sender::External(0));
    assert_breaks!(error, Violation::ExternalProposalType, "C072", "C254");
    let error = refused(&world, &update, Sender::NewMemberProposal);
    assert_breaks!(error, Violation::ExternalProposalType, "C072", "C254");
    let error = refused(&world, &update, Sender::NewMemberCommit);
    assert_breaks!(error, Violation::MemberProposalSender, "C244");
}

#[test]
fn an_update_of_another_members_leaf_is_refused() {
    let mut world = World::new(3);
    let update = world.update(1);
    assert_breaks!(refused(&world, &update, member(2)), Violation::LeafSignature, "C112", "C244");
}

#[test]
fn an_update_that_keeps_the_encryption_key_is_refused() {
    let mut world = World::new(2);
    let Proposal::Update(mut update) = world.update(1) else { unreachable!() };
    update.leaf_node.encryption_key = world.tree.leaf(leaf(1)).unwrap().unwrap().encryption_key.clone();
    let error = refused(&world, &Proposal::Update(update), member(1));
    assert_breaks!(error, Violation::EncryptionKeyReused, "C125");
}

#[test]
fn an_update_with_the_source_of_a_commit_is_refused() {
    let mut world = World::new(2);
    let leaf_node = world.next_leaf(1, LeafNodeSource::Commit { parent_hash: vec![] });
    let update = Proposal::Update(Box::new(Update { leaf_node }));
    assert_breaks!(refused(&world, &update, member(1)), Violation::LeafSource, "C124", "C244");
}

#[test]
fn a_proposal_from_a_blank_leaf_is_refused() {
    let world = World::new(3);
    for number in [3, 4, u32::MAX] {
        assert_breaks!(refused(&world, &remove(0), member(number)), Violation::SenderBlank, "C067");
    }
}

#[test]
fn a_remove_of_a_blank_leaf_or_of_one_beyond_the_tree_is_refused() {
    let world = World::new(3);
    for number in [3, 4, 1 << 24, (1 << 31) - 1, 1 << 31, u32::MAX] {
        assert_breaks!(refused(&world, &remove(number), member(0)), Violation::RemoveBlank, "C246", "C261");
    }
}

#[test]
fn a_psk_nonce_of_another_length_is_refused() {
    let world = World::new(1);
    for length in [0, 31, 33, 64] {
        let mut id = psk_id("key", 1);
        id.psk_nonce = vec![1; length];
        let error = refused(&world, &Proposal::Psk(Box::new(PreSharedKey { psk: id })), member(0));
        assert_breaks!(error, Violation::PskNonce, "C171", "C247", "C261");
    }
}

#[test]
fn resumption_psks_are_for_the_purpose_that_their_usage_says() {
    let mut world = World::new(1);
    let proposal = |usage| {
        let psk = Psk::Resumption { usage, psk_group_id: b"old".to_vec(), psk_epoch: 3 };
        Proposal::Psk(Box::new(PreSharedKey { psk: PreSharedKeyId { psk, ..psk_id("", 1) } }))
    };
    let usages = [ResumptionPskUsage::Application, ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch];
    for (purpose, allowed) in [
        (Purpose::Epoch, [true, false, false]),
        (Purpose::Reinit, [true, true, false]),
        (Purpose::Branch, [true, false, true]),
    ] {
        world.purpose = purpose;
        for (usage, allowed) in usages.into_iter().zip(allowed) {
            let want = if allowed { Ok(()) } else { Err(Violation::PskUsage.into()) };
            assert_eq!(world.checks().check(&proposal(usage), member(0)), want, "{purpose:?} {usage:?}");
        }
    }
}

#[test]
fn a_reinit_to_a_lower_version_is_refused_and_to_an_unknown_suite_is_not() {
    let world = World::new(1);
    let changed = |change: fn(&mut ReInit)| {
        let Proposal::ReInit(mut reinit) = reinit() else { unreachable!() };
        change(&mut reinit);
        world.checks().check(&Proposal::ReInit(reinit), member(0))
    };
    assert_breaks!(
        changed(|reinit| reinit.version = ProtocolVersion(0)).unwrap_err(),
        Violation::ReInitVersion,
        "C248",
        "C261"
    );
    assert_eq!(changed(|reinit| reinit.version = ProtocolVersion(2)), Ok(()));
    assert_eq!(changed(|reinit| reinit.cipher_suite = hushwood_crypto::CipherSuiteId(0x0A0A)), Ok(()));
    let misplaced = changed(|reinit| reinit.extensions.set(ExtensionType::RATCHET_TREE, vec![]));
    assert_breaks!(misplaced.unwrap_err(), Violation::ExtensionMisplaced, "C375");
    for known in [ExtensionType::REQUIRED_CAPABILITIES, ExtensionType::EXTERNAL_SENDERS] {
        let Proposal::ReInit(mut reinit) = reinit() else { unreachable!() };
        reinit.extensions.set(known, vec![0, 0, 0, 0]);
        let malformed = world.checks().check(&Proposal::ReInit(reinit), member(0));
        assert!(matches!(malformed, Err(Error::Decode(_))), "{known:?}: {malformed:?}");
    }
}

#[test]
fn an_external_init_of_a_member_is_refused() {
    let world = World::new(1);
    let error = refused(&world, &external_init(), member(0));
    assert_breaks!(error, Violation::ExternalInitInMemberCommit, "C249");
}

#[test]
fn group_extensions_that_are_misplaced_or_malformed_are_refused() {
    let world = World::new(1);
    let misplaced = gce(extensions(&[ExtensionType::EXTERNAL_PUB]));
    assert_breaks!(refused(&world, &misplaced, member(0)), Violation::ExtensionMisplaced, "C375");
    let mut malformed = Extensions::new();
    malformed.set(ExtensionType::EXTERNAL_SENDERS, vec![0, 0]);
    assert!(matches!(refused(&world, &gce(malformed), member(0)), Error::Decode(_)));
    let mut trailing = requiring(&RequiredCapabilities::default());
    trailing.set(ExtensionType::REQUIRED_CAPABILITIES, vec![0, 0, 0, 0]);
    assert!(matches!(refused(&world, &gce(trailing), member(0)), Error::Decode(_)));
}

#[test]
fn an_external_sender_whose_key_is_malformed_is_refused() {
    let world = World::new(1);
    let sender = |length| {
        let senders = vec![ExternalSender {
            signature_key: hushwood_crypto::SignaturePublicKey(vec![1; length]),
            credential: Credential::basic("server"),
        }];
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes().unwrap());
        gce(extensions)
    };
    assert_eq!(world.checks().check(&sender(32), member(0)), Ok(()));
    assert_breaks!(refused(&world, &sender(31), member(0)), Violation::SignaturePublicKey, "C036", "C256");
}

#[test]
fn an_external_sender_whose_certificate_is_for_another_key_is_refused() {
    let world = World::new(1);
    let senders = vec![ExternalSender {
        signature_key: hushwood_crypto::SignaturePublicKey(vec![1; 32]),
        credential: Credential::X509 { certificates: vec![] },
    }];
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes().unwrap());
    assert_breaks!(refused(&world, &gce(extensions), member(0)), Violation::X509, "C043", "C256");
}

#[test]
fn only_the_types_of_the_registry_may_come_from_outside() {
    let mut world = World::new(3);
    let allowed = [world.add("dora"), remove(1), psk("key", 1), reinit(), gce(Extensions::new())];
    let others = [world.update(1), external_init(), custom(KNOWN_PROPOSAL)];
    for proposal in &allowed {
        assert_eq!(world.checks().check(proposal, Sender::External(0)), Ok(()));
    }
    for proposal in &others {
        let error = refused(&world, proposal, Sender::External(0));
        assert_breaks!(error, Violation::ExternalProposalType, "C072", "C254");
    }
}

#[test]
fn a_new_member_may_propose_its_own_addition_and_nothing_else_where_the_policy_lets_it() {
    let mut world = World::new(2);
    let add = world.add("dora");
    assert_eq!(world.checks().check(&add, Sender::NewMemberProposal), Ok(()));
    let error = refused(&world, &remove(1), Sender::NewMemberProposal);
    assert_breaks!(error, Violation::ExternalProposalType, "C254");
    world.policy.allow_new_member_proposals = false;
    let error = refused(&world, &add, Sender::NewMemberProposal);
    assert_breaks!(error, Violation::PolicyRefused, "C255");
}

#[test]
fn a_custom_proposal_is_of_a_type_for_private_use() {
    let mut world = World::new(2);
    world.sending = true;
    for value in [0, 1, 7, 8, 0x0A0A, 0xEFFF] {
        let refused = world.checks().check(&custom(ProposalType(value)), member(0));
        assert_eq!(refused, Err(crate::error::ApiMisuse::TypeNotPrivate.into()));
    }
    for value in [0xF000, 0xFFFF] {
        assert_eq!(world.checks().check(&custom(ProposalType(value)), member(0)), Ok(()));
    }
}
