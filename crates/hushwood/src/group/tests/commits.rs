//! RFC 9420 §12.1 to §12.4.2: proposals and commits that break a rule, as members and observers receive them.

use hushwood_crypto::decrypt_with_label;

use super::*;
use crate::credential::Verdicts;
use crate::error::ApiMisuse;
use crate::framing::Sender;
use crate::proposal::{Add, ExternalInit, GroupContextExtensions, PreSharedKey, Remove, Update};
use crate::public_group::{Observed, PublicGroup};
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::leaf_node_validation::{LeafPlace, signed_content};
use crate::tree::{LeafNode, UpdatePath};
use crate::version::ProtocolVersion;

fn observer(client: &Client) -> PublicGroup {
    let view = GroupView::of(&client.group().public, &client.policy);
    PublicGroup::new(view, &Verdicts::default()).unwrap()
}

fn observe(observer: &PublicGroup, message: &[u8]) -> Result<Observed, Error> {
    observer.receive(message, NOW, &mut ToyRandom(1))
}

/// What a member and an observer say to a message: the same.
fn refused(member: &Client, message: &[u8]) -> Error {
    let error = member.look_at(message).unwrap_err();
    assert_eq!(observe(&observer(member), message).unwrap_err(), error);
    error
}

fn remove(leaf: u32) -> Proposal {
    Proposal::Remove(Remove { removed: LeafIndex::new(leaf) })
}

fn psk_with(psk: Psk, nonce_length: usize) -> Proposal {
    Proposal::Psk(Box::new(PreSharedKey { psk: PreSharedKeyId { psk, psk_nonce: vec![5; nonce_length] } }))
}

fn psk() -> Proposal {
    psk_with(Psk::External { psk_id: b"shared".to_vec() }, 32)
}

fn resumption(usage: ResumptionPskUsage) -> Proposal {
    psk_with(Psk::Resumption { usage, psk_group_id: b"old".to_vec(), psk_epoch: 3 }, 32)
}

fn gce(extensions: Extensions) -> Proposal {
    Proposal::GroupContextExtensions(GroupContextExtensions { extensions })
}

fn custom(proposal_type: ProposalType) -> Proposal {
    Proposal::Custom { proposal_type, data: vec![1] }
}

fn external_init() -> Proposal {
    Proposal::ExternalInit(ExternalInit { kem_output: vec![1; 32] })
}

fn reinit(version: u16) -> Proposal {
    let (group_id, extensions) = (b"next".to_vec(), Extensions::new());
    let (version, cipher_suite) = (ProtocolVersion(version), CipherSuiteId(1));
    Proposal::ReInit(Box::new(ReInit { group_id, version, cipher_suite, extensions }))
}

fn add_of(key_package: &ValidKeyPackage) -> Proposal {
    Proposal::Add(Box::new(Add { key_package: key_package.key_package().clone() }))
}

#[test]
fn a_list_that_breaks_a_rule_is_refused_by_members_and_observers() {
    let (_, [mut bob, mut carol]) = group_of(["bob", "carol"]);
    let (mut dave, mut again) = (Client::new("dave"), Client::new("bob"));
    let (dave, bob_again) = (dave.key_package(), again.key_package());
    let mut unsigned = dave.key_package().clone();
    unsigned.signature[0] ^= 1;
    let unsigned = Proposal::Add(Box::new(Add { key_package: unsigned }));
    let (Content::Proposal(update), _) = opened(&carol.propose(NewProposal::Update(LeafUpdate::default())))
    else {
        panic!("no proposal")
    };
    let external = Psk::External { psk_id: b"shared".to_vec() };
    let lists = [
        (vec![update], Violation::CommitterUpdatesSelf, "C262"),
        (vec![remove(2)], Violation::CommitterRemovesSelf, "C263"),
        (vec![remove(1), remove(1)], Violation::RemoveTwice, "C264"),
        (vec![remove(3)], Violation::RemoveBlank, "C246"),
        (vec![remove(u32::MAX)], Violation::RemoveBlank, "C246"),
        (vec![add_of(&dave), add_of(&dave)], Violation::AddDuplicate, "C268"),
        (vec![add_of(&bob_again)], Violation::AddExisting, "C269"),
        (vec![unsigned], Violation::KeyPackageSignature, "C242"),
        (vec![psk(), psk()], Violation::PskDuplicate, "C270"),
        (vec![psk_with(external, 31)], Violation::PskNonce, "C247"),
        (vec![resumption(ResumptionPskUsage::Reinit)], Violation::PskUsage, "C229"),
        (vec![resumption(ResumptionPskUsage::Reinit)], Violation::PskUsage, "C247"),
        (vec![resumption(ResumptionPskUsage::Branch)], Violation::PskUsage, "C235"),
        (
            vec![gce(Extensions::new()), gce(Extensions::new())],
            Violation::GroupContextExtensionsTwice,
            "C271",
        ),
        (vec![reinit(1), psk()], Violation::ReInitNotAlone, "C272"),
        (vec![reinit(0)], Violation::ReInitVersion, "C248"),
        (vec![external_init()], Violation::ExternalInitInMemberCommit, "C274"),
        (vec![custom(ProposalType(0xF00F))], Violation::CapabilitiesLackProposal, "C275"),
    ];
    for (proposals, violation, row) in lists {
        let error = refused(&bob, &carol.forge_commit(proposals));
        assert_eq!(error, violation.into());
        assert_names!(error, row);
    }
    // C249, C254: what is no proposal of a member's alone either.
    let error = refused(&bob, &carol.forge(Content::Proposal(external_init()), None));
    assert_breaks!(error, Violation::ExternalInitInMemberCommit, "C249");
    // C295: a reference twice, whatever its type.
    bob.receive(&carol.propose(NewProposal::Add(Box::new(dave)))).unwrap();
    let reference = bob.group().pending_proposals().next().unwrap().reference.clone();
    let proposals = vec![ProposalOrRef::Reference(reference.clone()), ProposalOrRef::Reference(reference)];
    let commit = Content::Commit(Box::new(Commit { proposals, path: None }));
    let error = bob.look_at(&carol.forge(commit, Some(vec![1; 32]))).unwrap_err();
    assert_breaks!(error, Violation::ProposalByReferenceTwice, "C295");
}

#[test]
fn a_commit_without_the_path_that_it_needs_is_refused() {
    let (alice, [bob, carol]) = group_of(["bob", "carol"]);
    for proposals in [
        // C296.
        vec![],
        // C297.
        vec![remove(1)],
        vec![gce(Extensions::new())],
        vec![psk(), gce(Extensions::new())],
        vec![custom(KNOWN_PROPOSAL)],
    ] {
        let error = refused(&alice, &carol.forge_commit(proposals));
        assert_eq!(error, Violation::PathMissing.into());
        assert_names!(error, "C296");
        assert_names!(error, "C297");
    }
    // C298: without need of one, the next thing that is wrong is found.
    let error = bob.look_at(&carol.forge_commit(vec![reinit(1)])).unwrap_err();
    assert_eq!(error, Violation::ConfirmationTag.into());
}

/// C298: of its own types the application knows which need no path.
#[test]
fn a_commit_of_a_type_that_the_application_says_needs_no_path_goes_without() {
    let (mut alice, [mut bob, carol]) = group_of(["bob", "carol"]);
    for client in [&mut alice, &mut bob] {
        client.group.as_mut().unwrap().policy.path_optional_proposals = vec![KNOWN_PROPOSAL];
    }
    let own = NewProposal::Custom { proposal_type: KNOWN_PROPOSAL, data: vec![1] };
    let plan = CommitPlan { proposals: vec![own], omit_path: true, ..CommitPlan::default() };
    let staged = alice.commit(plan, &Answers::none()).unwrap();
    let (Content::Commit(commit), _) = opened(&staged.outgoing.message) else { panic!("no commit") };
    assert_eq!(commit.path, None);
    assert_eq!(carol.look_at(&staged.outgoing.message).unwrap_err(), Violation::PathMissing.into());
    bob.receive(&staged.outgoing.message).unwrap();
    alice.apply(&staged.id);
    let authenticator = |client: &Client| client.group().epoch_authenticator().unwrap().to_vec();
    assert_eq!(authenticator(&alice), authenticator(&bob));
}

#[test]
fn an_update_by_reference_needs_a_path() {
    let (mut alice, [mut bob, carol]) = group_of(["bob", "carol"]);
    let update = bob.propose(NewProposal::Update(LeafUpdate::default()));
    alice.receive(&update).unwrap();
    let reference = bob.group().pending_proposals().next().unwrap().reference.clone();
    let proposals = vec![ProposalOrRef::Reference(reference)];
    let commit = Content::Commit(Box::new(Commit { proposals, path: None }));
    let error = alice.look_at(&carol.forge(commit, Some(vec![1; 32]))).unwrap_err();
    assert_breaks!(error, Violation::PathMissing, "C297");
}

/// C293: the application is told what to get from elsewhere.
#[test]
fn proposals_that_a_commit_refers_to_and_that_are_missing_are_named() {
    let (mut alice, [mut bob, mut carol]) = group_of(["bob", "carol"]);
    let (first, second) = (Client::new("dave").key_package(), Client::new("erin").key_package());
    let proposals = [carol.propose(add(first)), carol.propose(add(second))];
    let references: Vec<_> =
        carol.group().pending_proposals().map(|pending| pending.reference.clone()).collect();
    proposals.iter().for_each(|proposal| bob.receive(proposal).unwrap());
    alice.receive(&proposals[0]).unwrap();
    let staged = bob.commit(CommitPlan::default(), &Answers::none()).unwrap();
    let Received::Commit(commit) = alice.group().receive(&staged.outgoing.message, NOW).unwrap() else {
        panic!("no commit")
    };
    assert_eq!(alice.group().missing_proposals(&commit), [references[1].clone()]);
    let error = alice.look_at(&staged.outgoing.message).unwrap_err();
    assert_breaks!(error, NotNow::ProposalMissing, "C042", "C293");
    alice.receive(&proposals[1]).unwrap();
    assert!(alice.look_at(&staged.outgoing.message).is_ok());
}

/// Alice's commit, taken apart: what it says and its confirmation tag.
fn commit_of(alice: &mut Client, plan: CommitPlan<'_>) -> (Commit, Option<Vec<u8>>) {
    let staged = alice.commit(plan, &Answers::none()).unwrap();
    match opened(&staged.outgoing.message) {
        (Content::Commit(commit), tag) => (*commit, tag),
        (other, _) => panic!("{other:?}"),
    }
}

fn path(commit: &mut Commit) -> &mut UpdatePath {
    commit.path.as_mut().unwrap()
}

fn sign_leaf(group: &Group, leaf: &mut LeafNode, signer: &dyn Signer) {
    let place = LeafPlace::Commit(group.group_id(), group.own_leaf);
    leaf.signature = signer.sign(&signed_content(leaf, place).unwrap()).unwrap();
}

#[test]
fn a_commit_whose_confirmation_tag_is_of_another_epoch_is_refused() {
    let (mut alice, [bob]) = group_of(["bob"]);
    let (commit, tag) = commit_of(&mut alice, CommitPlan::default());
    let commit = Content::Commit(Box::new(commit));
    let tag = tag.unwrap();
    let before = bob.group().epoch_authenticator().unwrap().to_vec();
    for wrong in [vec![], vec![0; 32], tag[..31].to_vec(), [&tag[..], &[0]].concat()] {
        let error = bob.look_at(&alice.forge(commit.clone(), Some(wrong))).unwrap_err();
        assert_eq!(error, Violation::ConfirmationTag.into());
        assert_names!(error, "C313");
    }
    assert_eq!(bob.group().epoch_authenticator().unwrap(), before);
    assert!(bob.look_at(&alice.forge(commit, Some(tag))).is_ok());
}

/// C319: the old key signs the message, the new one the leaf.
#[test]
fn a_commit_that_changes_its_senders_signature_key_is_signed_with_the_old_one() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let new = SoftwareSigner::generate(alice.suite, &mut alice.random).unwrap();
    let leaf = LeafUpdate { signer: Some(&new), ..LeafUpdate::default() };
    let (commit, tag) = commit_of(&mut alice, CommitPlan { leaf, ..CommitPlan::default() });
    let own = Sender::Member(alice.group().own_leaf);
    let content = Content::Commit(Box::new(commit.clone()));
    let error = refused(&bob, &alice.forge_as(own, content.clone(), &new, tag.clone()));
    assert_eq!(error, Violation::MessageSignature.into());
    assert_names!(error, "C319");
    // The leaf under the old key.
    let mut wrong = commit;
    sign_leaf(alice.group(), &mut path(&mut wrong).leaf_node, &alice.signer);
    let wrong = Content::Commit(Box::new(wrong));
    let error = refused(&bob, &alice.forge(wrong, tag.clone()));
    assert_eq!(error, Violation::LeafSignature.into());
    assert_names!(error, "C312");
    bob.receive(&alice.forge(content, tag)).unwrap();
    let id = *alice.group().staged_commits().next().unwrap();
    alice.apply(&id);
    alice.signer = new;
    let (commit, _) = alice.commits(vec![]);
    bob.receive(&commit).unwrap();
}

#[test]
fn keys_of_a_path_that_are_not_new_are_refused() {
    let (mut alice, [bob, _]) = group_of(["bob", "carol"]);
    let (commit, tag) = commit_of(&mut alice, CommitPlan::default());
    let old = |leaf| alice.group().tree().leaf(LeafIndex::new(leaf)).unwrap().unwrap().encryption_key;
    let forge = |commit| alice.forge(Content::Commit(Box::new(commit)), tag.clone());
    // C309: the committer's own key, C310: somebody else's, in the leaf and above it.
    for (leaf, violation, row) in
        [(0, Violation::EncryptionKeyReused, "C309"), (1, Violation::PathKeyReused, "C310")]
    {
        let mut reused = commit.clone();
        path(&mut reused).leaf_node.encryption_key = old(leaf);
        sign_leaf(alice.group(), &mut path(&mut reused).leaf_node, &alice.signer);
        let error = refused(&bob, &forge(reused));
        assert_eq!(error, violation.into());
        assert_names!(error, row);
        let mut reused = commit.clone();
        path(&mut reused).nodes[0].encryption_key = old(leaf);
        assert_eq!(refused(&bob, &forge(reused)), Violation::PathKeyReused.into());
    }
    // C311: twice in the path.
    let mut twice = commit.clone();
    path(&mut twice).nodes[1].encryption_key = path(&mut twice).nodes[0].encryption_key.clone();
    assert_breaks!(refused(&bob, &forge(twice)), Violation::PathKeyReused, "C311");
    assert!(bob.look_at(&forge(commit)).is_ok());
}

/// C388, C390: that all leaves happen to list a GREASE value supports nothing.
#[test]
fn a_group_extension_of_a_type_that_all_list_as_grease_is_neither_proposed_nor_accepted() {
    let grease = ExtensionType(0x0A0A);
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.supported.extensions.push(grease);
    bob.supported.extensions.push(grease);
    alice.create(alice.new_group());
    let (_, change) = alice.commits(vec![add(bob.key_package())]);
    bob.join(&change.welcomes[0].message);
    let mut extensions = Extensions::new();
    extensions.set(grease, vec![]);
    let proposals = vec![NewProposal::GroupContextExtensions(extensions.clone())];
    let plan = CommitPlan { proposals, ..CommitPlan::default() };
    let error = alice.commit(plan, &Answers::none()).unwrap_err();
    assert_eq!(error, ApiMisuse::CapabilitiesInsufficient.into());
    let created = alice.create_commit(vec![gce(extensions.clone())]);
    let error = bob.look_at(&alice.public(created.message)).unwrap_err();
    assert_eq!(error, Violation::ExtensionUnsupportedByMember.into());
    assert_names!(error, "C388");
    // Somebody else's proposal of it is left out of commits, and not taken by name.
    bob.receive(&alice.forge(Content::Proposal(gce(extensions)), None)).unwrap();
    let reference = bob.group().pending_proposals().next().unwrap().reference.clone();
    let only = CommitPlan { cover: Cover::Only(vec![reference]), ..CommitPlan::default() };
    let error = bob.commit(only, &Answers::none()).unwrap_err();
    assert_eq!(error, Error::WouldViolate(Violation::ExtensionUnsupportedByMember));
    let staged = bob.commit(CommitPlan::default(), &Answers::none()).unwrap();
    assert_eq!(staged.change.proposals, []);
    assert!(alice.look_at(&staged.outgoing.message).is_ok());
}

/// C292: a commit need not cover what was proposed; C241: what it does not cover ends with the epoch.
#[test]
fn a_commit_that_leaves_proposals_out_is_accepted() {
    let (mut alice, [mut bob, mut carol]) = group_of(["bob", "carol"]);
    let proposal = carol.propose(NewProposal::Update(LeafUpdate::default()));
    alice.receive(&proposal).unwrap();
    bob.receive(&proposal).unwrap();
    let plan = CommitPlan { cover: Cover::None, ..CommitPlan::default() };
    let staged = alice.commit(plan, &Answers::none()).unwrap();
    bob.receive(&staged.outgoing.message).unwrap();
    assert_eq!(bob.group().epoch(), 2);
    assert_eq!(bob.group().pending_proposals().count(), 0);
    assert_eq!(bob.look_at(&proposal).unwrap_err(), NotNow::EpochPast.into());
}

/// C307: what a message proposes is not looked at before its signature.
#[test]
fn a_commit_with_a_bad_signature_is_refused_for_that_whatever_else_is_wrong_with_it() {
    let (alice, [bob, carol]) = group_of(["bob", "carol"]);
    let proposals = vec![ProposalOrRef::Proposal(remove(7)), ProposalOrRef::Proposal(reinit(0))];
    let commit = Content::Commit(Box::new(Commit { proposals, path: None }));
    let own = Sender::Member(carol.group().own_leaf);
    let error = refused(&bob, &carol.forge_as(own, commit, &alice.signer, Some(vec![1; 32])));
    assert_eq!(error, Violation::MessageSignature.into());
    assert_names!(error, "C307");
}

/// C388: types that nobody knows can't be read, GREASE or not.
#[test]
fn a_proposal_or_credential_of_a_grease_type_is_refused_with_what_it_is_in() {
    let (alice, [bob]) = group_of(["bob"]);
    let message = alice.forge(Content::Proposal(custom(ProposalType(0xF0AA))), None);
    let mut grease = message.clone();
    let at = grease.windows(2).position(|pair| pair == [0xF0, 0xAA]).unwrap();
    grease[at..at + 2].copy_from_slice(&[0x0A, 0x0A]);
    let error = refused(&bob, &grease);
    assert_eq!(error, crate::error::Unsupported::ProposalType.into());
    assert_names!(error, "C388");
    let credential_type = crate::credential::CredentialType(0xF0AA);
    let credential = Credential::Custom { credential_type, data: vec![] };
    let mut bytes = hushwood_codec::Encode::to_bytes(&credential).unwrap();
    assert_eq!(Credential::from_bytes(&bytes), Ok(credential));
    bytes[..2].copy_from_slice(&[0x0A, 0x0A]);
    let error = Error::from(Credential::from_bytes(&bytes).unwrap_err());
    assert_eq!(error, crate::error::Unsupported::CredentialType.into());
    assert_names!(error, "C388");
}

#[test]
fn a_group_that_has_ended_sends_nothing_and_takes_no_proposals_or_commits() {
    let (mut alice, [mut bob, carol]) = group_of(["bob", "carol"]);
    let Proposal::ReInit(next) = reinit(1) else { panic!("no reinit") };
    let (commit, _) = alice.commits(vec![NewProposal::ReInit(*next)]);
    let mut watching = observer(&bob);
    let Observed::Commit(observed) = observe(&watching, &commit).unwrap() else { panic!("no commit") };
    watching.accept_commit(*observed, &Verdicts::default()).unwrap();
    bob.receive(&commit).unwrap();
    // C314.
    let ended = Error::from(NotNow::GroupEnded);
    assert_names!(ended, "C314");
    assert_eq!(alice.commit(CommitPlan::default(), &Answers::none()).unwrap_err(), ended);
    let Client { group, signer, random, .. } = &mut alice;
    let group = group.as_mut().unwrap();
    assert_eq!(group.encrypt(b"more", b"", signer, random).unwrap_err(), ended);
    let info = |external_pub, random: &mut ToyRandom| {
        let options = GroupInfoOptions { ratchet_tree: true, external_pub };
        group.group_info(options, signer, random).map(drop)
    };
    assert_eq!(info(true, random), Err(ended.clone()));
    assert_eq!(info(false, random), Ok(()));
    let remove_carol = NewProposal::Remove(carol.group().own_leaf);
    assert_eq!(group.propose(remove_carol, b"", signer, NOW, random).unwrap_err(), ended);
    // Whoever sends in spite of that is not heard.
    for message in [alice.forge(Content::Proposal(remove(2)), None), alice.forge_commit(vec![remove(2)])] {
        assert_eq!(bob.look_at(&message).unwrap_err(), ended);
        assert_eq!(observe(&watching, &message).unwrap_err(), ended);
    }
}

/// C402, C403, C406.
#[test]
fn a_commit_takes_effect_and_gives_out_its_welcome_when_it_is_applied() {
    let (mut alice, _) = group_of(["bob"]);
    let encrypted_in = |alice: &mut Client| {
        let Client { group, signer, random, store, .. } = alice;
        let step = group.as_mut().unwrap().encrypt(b"data", b"", signer, random).unwrap();
        match MlsMessage::from_bytes(&step.commit(store).unwrap().message).unwrap() {
            MlsMessage::PrivateMessage(message) => message.epoch,
            other => panic!("{other:?}"),
        }
    };
    let before = alice.group().context().clone();
    let proposals = vec![add(Client::new("carol").key_package())];
    let staged = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, &Answers::none()).unwrap();
    assert_eq!(alice.group().context(), &before);
    assert!(staged.change.welcomes.is_empty());
    assert_eq!(encrypted_in(&mut alice), before.epoch);
    let change = alice.apply(&staged.id);
    assert_eq!(change.welcomes.len(), 1);
    assert_eq!(encrypted_in(&mut alice), before.epoch + 1);
}

/// C170, C234: also where a group grows out of another, whose commits are made in the same way.
#[test]
fn every_use_of_a_pre_shared_key_has_a_nonce_of_its_own() {
    let (mut alice, _) = group_of(["bob"]);
    let shared = Psk::External { psk_id: b"shared".to_vec() };
    let mut answers = Answers::none();
    answers.add_psk(shared.clone(), Secret::new(vec![7; 32]));
    let mut nonces = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let proposals = vec![NewProposal::Psk(shared.clone())];
        let staged = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, &answers).unwrap();
        let (Content::Commit(commit), _) = opened(&staged.outgoing.message) else { panic!("no commit") };
        let [ProposalOrRef::Proposal(Proposal::Psk(proposal))] = &commit.proposals[..] else {
            panic!("other proposals")
        };
        assert_eq!(proposal.psk.psk_nonce.len(), alice.suite.kdf().length());
        assert!(nonces.insert(proposal.psk.psk_nonce.clone()));
    }
}

/// C316: with every key that it holds.
#[test]
fn a_removed_member_opens_no_path_secret_of_the_commit_that_removes_it() {
    let (mut alice, [mut bob, mut carol, _]) = group_of(["bob", "carol", "dave"]);
    // All hold keys of parents.
    for turn in 0..2 {
        let committer = if turn == 0 { &mut alice } else { &mut bob };
        let (commit, _) = committer.commits(vec![]);
        for client in [&mut alice, &mut bob, &mut carol] {
            if client.group().epoch() == turn + 1 {
                client.receive(&commit).unwrap();
            }
        }
    }
    let created = alice.create_commit(vec![remove(2)]);
    let Content::Commit(mut commit) = created.message.content().content.clone() else { panic!("no commit") };
    let context = GroupContext {
        confirmed_transcript_hash: alice.group().context().confirmed_transcript_hash.clone(),
        ..created.next.public.context.clone()
    };
    let context = hushwood_codec::Encode::to_bytes(&context).unwrap();
    let message = alice.public(created.message);
    assert!(carol.look_at(&message).unwrap().unwrap().removes_us());
    assert!(bob.look_at(&message).is_ok());
    let opens = |client: &Client, commit: &mut Commit| {
        let private = &client.group().member.as_ref().unwrap().state.private;
        let tree = client.group().tree();
        let nodes = private.nodes().chain(private.leaf().node());
        let keys: Vec<_> = nodes.map(|node| private.key(tree, node).unwrap().unwrap()).collect();
        let ciphertexts = path(commit).nodes.iter().flat_map(|node| &node.encrypted_path_secret);
        let opened = ciphertexts.flat_map(|ciphertext| {
            keys.iter()
                .map(|key| decrypt_with_label(client.suite, key, "UpdatePathNode", &context, ciphertext))
        });
        opened.filter(Result::is_ok).count()
    };
    assert_eq!(opens(&bob, &mut commit), 1);
    assert_eq!(opens(&carol, &mut commit), 0);
}

/// An external commit into Alice's group, taken apart.
fn external_commit(joiner: &mut Client, alice: &mut Client) -> (Commit, Option<Vec<u8>>) {
    let options = GroupInfoOptions::default();
    let info = alice.group.as_ref().unwrap().group_info(options, &alice.signer, &mut alice.random).unwrap();
    let mut join = ExternalJoin::new(PROVIDER, joiner.credential.clone(), joiner.supported.clone());
    join.policy = joiner.policy.clone();
    let staged =
        StagedExternalJoin::stage(&info, None, join, &joiner.signer, NOW, &mut joiner.random).unwrap();
    let verdicts = judge(staged.checks(), &InsecureAcceptAll);
    let step = staged.accept(&verdicts, &joiner.store, &mut joiner.random).unwrap();
    match opened(&step.commit(&mut joiner.store).unwrap().1.message) {
        (Content::Commit(commit), tag) => (*commit, tag),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn an_external_commit_that_breaks_a_rule_is_refused_by_members_and_observers() {
    let (mut alice, [bob, _]) = group_of(["bob", "carol"]);
    let (mut dave, erin) = (Client::new("dave"), Client::new("erin").key_package());
    let (commit, tag) = external_commit(&mut dave, &mut alice);
    let forge = |proposals: Vec<ProposalOrRef>, signer: &SoftwareSigner| {
        let path = commit.path.clone();
        let content = Content::Commit(Box::new(Commit { proposals, path }));
        alice.forge_as(Sender::NewMemberCommit, content, signer, tag.clone())
    };
    let with = |others: Vec<Proposal>| {
        let others = others.into_iter().map(ProposalOrRef::Proposal);
        refused(&bob, &forge(commit.proposals.iter().cloned().chain(others).collect(), &dave.signer))
    };
    let (Content::Proposal(update), _) = opened(&alice_update()) else { panic!("no proposal") };
    for (others, violation, row) in [
        (vec![external_init()], Violation::ExternalCommitLacksInit, "C354"),
        (vec![remove(1), remove(2)], Violation::ExternalCommitList, "C355"),
        (vec![add_of(&erin)], Violation::ExternalCommitList, "C356"),
        (vec![update], Violation::ExternalCommitList, "C356"),
        (vec![gce(Extensions::new())], Violation::ExternalCommitList, "C356"),
        (vec![reinit(1)], Violation::ExternalCommitList, "C356"),
        (vec![custom(KNOWN_PROPOSAL)], Violation::ExternalCommitList, "C356"),
        (vec![remove(7)], Violation::RemoveBlank, "C246"),
        (vec![resumption(ResumptionPskUsage::Branch)], Violation::PskUsage, "C235"),
    ] {
        let error = with(others);
        assert_eq!(error, violation.into());
        assert_names!(error, row);
    }
    let none = refused(&bob, &forge(vec![], &dave.signer));
    assert_breaks!(none, Violation::ExternalCommitLacksInit, "C354");
    // C353.
    let reference = ProposalOrRef::Reference(HashReference(vec![1; 32]));
    let referring = [commit.proposals.clone(), vec![reference]].concat();
    let error = refused(&bob, &forge(referring, &dave.signer));
    assert_breaks!(error, Violation::ExternalCommitReference, "C353");
    // C358: by somebody else than who joins.
    let error = refused(&bob, &forge(commit.proposals.clone(), &alice.signer));
    assert_eq!(error, Violation::MessageSignature.into());
    assert_names!(error, "C358");
    // C360: with an init secret of somebody else's making, the keys are others.
    let error =
        bob.look_at(&forge(vec![ProposalOrRef::Proposal(other_init(&alice))], &dave.signer)).unwrap_err();
    assert_eq!(error, Violation::ConfirmationTag.into());
    assert_names!(error, "C360");
    assert!(bob.look_at(&forge(commit.proposals.clone(), &dave.signer)).is_ok());
}

/// C364: Carol comes in a second time, and does not remove herself.
#[test]
fn an_external_joiner_with_a_members_signature_key_is_refused() {
    let (mut alice, [bob, carol]) = group_of(["bob", "carol"]);
    let mut dave = Client::new("dave");
    let (mut commit, tag) = external_commit(&mut dave, &mut alice);
    let leaf = &mut path(&mut commit).leaf_node;
    leaf.signature_key = carol.signer.public_key().clone();
    let place = LeafPlace::Commit(alice.group().group_id(), LeafIndex::new(3));
    leaf.signature = carol.signer.sign(&signed_content(leaf, place).unwrap()).unwrap();
    let content = Content::Commit(Box::new(commit));
    let error = refused(&bob, &alice.forge_as(Sender::NewMemberCommit, content, &carol.signer, tag));
    assert_eq!(error, Violation::SignatureKeyReused.into());
    assert_names!(error, "C364");
}

fn alice_update() -> Vec<u8> {
    group_of(["bob"]).0.propose(NewProposal::Update(LeafUpdate::default()))
}

/// An ExternalInit for the group's key that the joiner knows nothing of.
fn other_init(alice: &Client) -> Proposal {
    let secrets = &alice.group().member.as_ref().unwrap().state.secrets;
    let (_, external_pub) = secrets.external.key_pair(alice.suite).unwrap();
    let (_, proposal) =
        crate::schedule::InitSecret::external_sender(alice.suite, &external_pub, &mut ToyRandom(9)).unwrap();
    Proposal::ExternalInit(proposal)
}

/// C244: whatever else is in it, an Update is for its sender's leaf.
#[test]
fn an_update_that_is_not_the_senders_is_refused_by_members_and_observers() {
    let (_, [mut bob, carol]) = group_of(["bob", "carol"]);
    let (Content::Proposal(Proposal::Update(update)), _) =
        opened(&bob.propose(NewProposal::Update(LeafUpdate::default())))
    else {
        panic!("no update")
    };
    let taken = carol.forge(Content::Proposal(Proposal::Update(update.clone())), None);
    let error = refused(&bob, &taken);
    assert_eq!(error, Violation::LeafSignature.into());
    assert_names!(error, "C244");
    let mut same = Update { leaf_node: update.leaf_node };
    same.leaf_node.encryption_key =
        bob.group().tree().leaf(LeafIndex::new(1)).unwrap().unwrap().encryption_key;
    let same = bob.forge(Content::Proposal(Proposal::Update(Box::new(same))), None);
    assert_breaks!(refused(&carol, &same), Violation::EncryptionKeyReused, "C125");
}
