//! RFC 9420 §12.3: what lists do to a group, and which results are refused.

use test_support::assert_breaks;

use super::*;
use crate::credential::Subject;
use crate::error::{NotNow, Violation};
use crate::extension::ExternalSender;
use crate::proposal::{Applied, PathLeaf};

fn apply(world: &World, proposals: Vec<Proposal>) -> Result<Applied, Error> {
    let applied = world.own(proposals)?.apply(&world.checks())?;
    applied.check_tree(&world.checks())?;
    Ok(applied)
}

fn subjects(applied: &Applied) -> Vec<Subject> {
    applied.credential_checks.iter().map(|check| check.subject).collect()
}

fn lacking(change: impl FnOnce(&mut Supported)) -> LeafContent {
    let mut content = content("lacking");
    change(&mut content.supported);
    content
}

#[test]
fn removes_come_before_adds_and_the_freed_leaf_is_used_again() {
    let mut world = World::new(4);
    let (first, second) = (world.add("dora"), world.add("emil"));
    let applied = apply(&world, vec![first, remove(2), second]).unwrap();
    assert_eq!(applied.added, [leaf(2), leaf(4)]);
    assert_eq!(applied.removed.iter().map(|(leaf, _)| *leaf).collect::<Vec<_>>(), [leaf(2)]);
    assert_eq!(applied.tree.member_count(), 5);
    assert_eq!(subjects(&applied), [Subject::Added(0), Subject::Added(1)]);
}

#[test]
fn the_tree_is_truncated_before_it_is_extended() {
    let mut world = World::new(5);
    let add = world.add("dora");
    let applied = apply(&world, vec![add, remove(4)]).unwrap();
    assert_eq!((applied.added, applied.tree.leaf_count()), (vec![leaf(4)], 8));
    let applied = apply(&world, vec![remove(4)]).unwrap();
    assert_eq!(applied.tree.leaf_count(), 4);
}

#[test]
fn an_update_replaces_the_senders_leaf_and_is_judged_only_if_it_claims_something_new() {
    let mut world = World::new(3);
    let same = world.update(1);
    let renamed = world.update_to(2, &content("renamed"));
    let proposals = vec![world.sent(same, member(1)), world.sent(renamed, member(2))];
    let list = world.check(proposals, member(0)).unwrap();
    let applied = list.apply(&world.checks()).unwrap();
    assert_eq!(applied.check_tree(&world.checks()), Ok(()));
    assert_eq!(applied.updated.iter().map(|(leaf, _)| *leaf).collect::<Vec<_>>(), [leaf(1), leaf(2)]);
    assert_eq!(subjects(&applied), [Subject::Updated(leaf(2))]);
    let check = &applied.credential_checks[0];
    assert_eq!(check.old.as_ref().unwrap().credential, Credential::basic("member 2"));
    assert_eq!(check.new.credential, Credential::basic("renamed"));
}

#[test]
fn new_extensions_replace_all_old_ones() {
    let mut world = World::new(1);
    world.context.extensions = extensions(&[KNOWN_EXTENSION]);
    assert_eq!(apply(&world, vec![]).unwrap().extensions, world.context.extensions);
    assert_eq!(apply(&world, vec![gce(Extensions::new())]).unwrap().extensions, Extensions::new());
}

#[test]
fn an_added_client_that_lacks_a_group_extension_is_refused() {
    let mut world = World::new(1);
    world.context.extensions = extensions(&[KNOWN_EXTENSION]);
    let add = world.add_of(&lacking(|supported| supported.extensions.clear()));
    let refused = apply(&world, vec![add.clone()]).unwrap_err();
    assert_breaks!(refused, Violation::CapabilitiesLackExtension, "C384");
    // C279: the new extensions govern, in both directions.
    assert!(apply(&world, vec![add.clone(), gce(Extensions::new())]).is_ok());
    world.context.extensions = Extensions::new();
    assert!(apply(&world, vec![add.clone()]).is_ok());
    let refused = apply(&world, vec![add, gce(extensions(&[KNOWN_EXTENSION]))]).unwrap_err();
    assert_eq!(refused, Violation::CapabilitiesLackExtension.into());
}

#[test]
fn an_added_client_that_lacks_a_required_capability_is_refused() {
    let mut world = World::new(1);
    let required = RequiredCapabilities {
        extension_types: vec![KNOWN_EXTENSION],
        proposal_types: vec![KNOWN_PROPOSAL],
        credential_types: vec![CredentialType::BASIC],
    };
    let changes: [fn(&mut Supported); 2] =
        [|supported| supported.extensions.clear(), |supported| supported.proposals.clear()];
    for change in changes {
        let add = world.add_of(&lacking(change));
        assert!(apply(&world, vec![add.clone()]).is_ok());
        let error = apply(&world, vec![add, gce(requiring(&required))]).unwrap_err();
        assert_breaks!(error, Violation::CapabilitiesLackRequired, "C116", "C117", "C224", "C279");
    }
    assert!(apply(&world, vec![gce(requiring(&required))]).is_ok());
}

#[test]
fn an_update_that_gives_up_a_required_capability_is_refused() {
    let mut world = World::new(2);
    world.context.extensions = requiring(&RequiredCapabilities {
        proposal_types: vec![KNOWN_PROPOSAL],
        ..RequiredCapabilities::default()
    });
    let update = world.update_to(1, &lacking(|supported| supported.proposals.clear()));
    let update = world.sent(update, member(1));
    let list = world.check(vec![update], member(0)).unwrap();
    let error = list.apply(&world.checks()).unwrap_err();
    assert_breaks!(error, Violation::CapabilitiesLackRequired, "C117");
}

#[test]
fn a_requirement_that_some_member_does_not_meet_is_refused_unless_it_is_removed() {
    let world = World::with(3, |number| match number {
        2 => lacking(|supported| supported.proposals.clear()),
        _ => content("member"),
    });
    let required =
        RequiredCapabilities { proposal_types: vec![KNOWN_PROPOSAL], ..RequiredCapabilities::default() };
    let error = apply(&world, vec![gce(requiring(&required))]).unwrap_err();
    assert_breaks!(error, Violation::CapabilitiesLackRequired, "C223", "C251");
    assert!(apply(&world, vec![gce(requiring(&required)), remove(2)]).is_ok());
}

#[test]
fn an_extension_that_some_member_lacks_is_refused_unless_it_is_removed() {
    let world = World::with(3, |number| match number {
        2 => lacking(|supported| supported.extensions.clear()),
        _ => content("member"),
    });
    let error = apply(&world, vec![gce(extensions(&[KNOWN_EXTENSION]))]).unwrap_err();
    assert_breaks!(error, Violation::ExtensionUnsupportedByMember, "C252", "C388");
    assert!(apply(&world, vec![gce(extensions(&[KNOWN_EXTENSION])), remove(2)]).is_ok());
    // C388: GREASE is a value like any other that nobody supports.
    let error = apply(&world, vec![gce(extensions(&[ExtensionType(0x0A0A)])), remove(2)]).unwrap_err();
    assert_breaks!(error, Violation::ExtensionUnsupportedByMember, "C252", "C388");
}

fn custom_credential(own: bool) -> LeafContent {
    let custom = CredentialType(0xF0C0);
    let mut content = content("custom");
    content.supported.credentials.push(custom);
    if own {
        content.credential = Credential::Custom { credential_type: custom, data: vec![1] };
    }
    content
}

#[test]
fn a_credential_type_that_some_member_lacks_is_refused_unless_it_is_removed() {
    let mut world = World::with(3, |number| match number {
        2 => content("basic only"),
        _ => custom_credential(false),
    });
    let add = world.add_of(&custom_credential(true));
    let error = apply(&world, vec![add.clone()]).unwrap_err();
    assert_breaks!(error, Violation::CapabilitiesLackCredential, "C119", "C381");
    assert!(apply(&world, vec![add, remove(2)]).is_ok());
}

#[test]
fn a_client_that_does_not_support_a_members_credential_type_is_refused() {
    let mut world = World::with(2, |number| custom_credential(number == 1));
    let add = world.add("basic only");
    let error = apply(&world, vec![add]).unwrap_err();
    assert_breaks!(error, Violation::CapabilitiesLackCredential, "C120", "C381");
    let add = world.add_of(&custom_credential(false));
    assert!(apply(&world, vec![add]).is_ok());
}

#[test]
fn an_encryption_key_of_a_member_in_another_leaf_is_refused() {
    let mut world = World::new(2);
    let Proposal::Add(add) = world.add("dora") else { unreachable!() };
    let Proposal::Update(mut update) = world.update(1) else { unreachable!() };
    update.leaf_node.encryption_key = add.key_package.leaf_node.encryption_key.clone();
    let update = world.sent(Proposal::Update(update), member(1));
    let add = CommittedProposal::by_value(Proposal::Add(add), member(0));
    let applied = world.check(vec![update, add], member(0)).unwrap().apply(&world.checks()).unwrap();
    let error = applied.check_tree(&world.checks()).unwrap_err();
    assert_breaks!(error, Violation::EncryptionKeyReused, "C128", "C276", "C413");
}

#[test]
fn a_signature_key_of_another_member_in_an_update_is_refused() {
    let mut world = World::new(3);
    let signer = world.signers.remove(2);
    world.signers[1] = signer;
    let update = world.update(1);
    let update = world.sent(update, member(1));
    let applied = world.check(vec![update], member(0)).unwrap().apply(&world.checks()).unwrap();
    let error = applied.check_tree(&world.checks()).unwrap_err();
    assert_breaks!(error, Violation::SignatureKeyReused, "C127", "C276", "C413");
}

#[test]
fn a_group_does_not_outgrow_the_policy() {
    let mut world = World::new(2);
    world.policy.max_members = 2;
    let add = world.add("dora");
    assert_eq!(apply(&world, vec![add.clone()]).unwrap_err(), NotNow::Limit.into());
    assert!(apply(&world, vec![add, remove(1)]).is_ok());
}

#[test]
fn new_external_senders_are_judged_and_old_ones_are_not() {
    let senders = |names: &[&str]| {
        let sender = |name: &&str| ExternalSender {
            signature_key: hushwood_crypto::SignaturePublicKey(vec![1; 32]),
            credential: Credential::basic(*name),
        };
        let senders: Vec<ExternalSender> = names.iter().map(sender).collect();
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes().unwrap());
        extensions
    };
    let mut world = World::new(1);
    world.context.extensions = senders(&["a", "b"]);
    let applied = apply(&world, vec![gce(senders(&["b", "c", "a", "d"]))]).unwrap();
    assert_eq!(subjects(&applied), [Subject::ExternalSender(1), Subject::ExternalSender(3)]);
}

#[test]
fn a_client_that_proposed_its_own_addition_is_judged_as_such() {
    let mut world = World::new(1);
    let add = world.add("dora");
    let sent = world.sent(add, Sender::NewMemberProposal);
    let applied = world.check(vec![sent], member(0)).unwrap().apply(&world.checks()).unwrap();
    assert_eq!(subjects(&applied), [Subject::AddedByItself(0)]);
}

fn path_leaf(world: &World, proposals: Vec<Proposal>, leaf_node: &LeafNode) -> Result<PathLeaf, Error> {
    let list = world.own(proposals)?;
    let applied = list.apply(&world.checks())?;
    list.check_path_leaf(leaf_node, &applied, &world.checks())
}

fn commit_source() -> LeafNodeSource {
    LeafNodeSource::Commit { parent_hash: vec![1; 32] }
}

#[test]
fn a_committers_leaf_is_checked_for_source_key_signature_and_the_new_extensions() {
    let mut world = World::new(2);
    let good = world.next_leaf(0, commit_source());
    let accepted = path_leaf(&world, vec![], &good).unwrap();
    assert_eq!(accepted, PathLeaf { leaf_index: leaf(0), credential_check: None });

    let update = world.next_leaf(0, LeafNodeSource::Update);
    assert_breaks!(path_leaf(&world, vec![], &update).unwrap_err(), Violation::LeafSource, "C126", "C312");

    let mut unsigned = good.clone();
    unsigned.signature[0] ^= 1;
    let refused = path_leaf(&world, vec![], &unsigned);
    assert_breaks!(refused.unwrap_err(), Violation::LeafSignature, "C142", "C312");
    // What shows without a signature is looked at first.
    unsigned.encryption_key = world.tree.leaf(leaf(0)).unwrap().unwrap().encryption_key.clone();
    assert_eq!(path_leaf(&world, vec![], &unsigned), Err(Violation::EncryptionKeyReused.into()));

    let elsewhere = world.next_leaf(1, commit_source());
    assert_breaks!(
        path_leaf(&world, vec![], &elsewhere).unwrap_err(),
        Violation::LeafSignature,
        "C142",
        "C312"
    );

    let mut lacking = content("member 0");
    lacking.supported.extensions.clear();
    let key = world.fresh_key();
    let random = &mut world.random;
    let lacking = UnsignedLeafNode::new(&lacking, key, commit_source(), &world.policy, random).unwrap();
    let lacking = lacking.sign(&world.signers[0], (b"group", leaf(0))).unwrap();
    assert!(path_leaf(&world, vec![], &lacking).is_ok());
    let error = path_leaf(&world, vec![gce(extensions(&[KNOWN_EXTENSION]))], &lacking);
    assert_breaks!(error.unwrap_err(), Violation::CapabilitiesLackExtension, "C142", "C312");
}

#[test]
fn a_committer_that_changes_its_key_is_judged_as_its_own_successor() {
    let mut world = World::new(2);
    world.signers[0] = signer(&mut world.random);
    let rotated = world.next_leaf(0, commit_source());
    let check = path_leaf(&world, vec![], &rotated).unwrap().credential_check.unwrap();
    assert_eq!(check.subject, Subject::Committer(leaf(0)));
    assert_ne!(check.old.unwrap().signature_key, check.new.signature_key);
}

fn external_leaf(
    world: &mut World,
    proposals: Vec<Proposal>,
    at: u32,
    key: Option<HpkePublicKey>,
) -> Result<PathLeaf, Error> {
    let key = key.unwrap_or_else(|| world.fresh_key());
    let signer = signer(&mut world.random);
    let random = &mut world.random;
    let content = content("joiner");
    let unsigned = UnsignedLeafNode::new(&content, key, commit_source(), &world.policy, random).unwrap();
    let leaf_node = unsigned.sign(&signer, (b"group", leaf(at))).unwrap();
    let by_value = |proposal| CommittedProposal::by_value(proposal, Sender::NewMemberCommit);
    let list = world.check(proposals.into_iter().map(by_value).collect(), Sender::NewMemberCommit)?;
    let applied = list.apply(&world.checks())?;
    list.check_path_leaf(&leaf_node, &applied, &world.checks())
}

#[test]
fn an_external_committer_gets_the_leftmost_blank_leaf_after_the_proposals() {
    let mut world = World::new(4);
    let joined = external_leaf(&mut world, vec![external_init()], 4, None).unwrap();
    assert_eq!(joined.leaf_index, leaf(4));
    assert_eq!(joined.credential_check.unwrap().subject, Subject::Joiner);
    let resync = vec![external_init(), remove(1)];
    let resynced = external_leaf(&mut world, resync.clone(), 1, None).unwrap();
    assert_eq!(resynced.leaf_index, leaf(1));
    let check = resynced.credential_check.unwrap();
    assert_eq!(check.subject, Subject::Resync(leaf(1)));
    assert_eq!(check.old.unwrap().credential, Credential::basic("member 1"));
    // A leaf signed for another place does not verify.
    let elsewhere = external_leaf(&mut world, resync, 4, None);
    assert_eq!(elsewhere, Err(Violation::LeafSignature.into()));
}

#[test]
fn a_resync_with_the_removed_members_encryption_key_is_refused() {
    let mut world = World::new(2);
    let old = world.tree.leaf(leaf(1)).unwrap().unwrap().encryption_key.clone();
    let error = external_leaf(&mut world, vec![external_init(), remove(1)], 1, Some(old));
    assert_breaks!(error.unwrap_err(), Violation::EncryptionKeyReused, "C357");
}
