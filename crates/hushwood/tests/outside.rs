//! RFC 9420 §12.1.8: proposals of external senders, and of clients that want to be added.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::Encode;
use hushwood::crypto::{CipherSuiteId, SoftwareSigner};
use hushwood::error::{ApiMisuse, Error, NotNow, Unsupported, Violation};
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::framing::{Content, FramedContent, MlsMessage, PublicMessage, Sender, Signed, WireFormat};
use hushwood::group::{CommitPlan, GroupView, NewProposal};
use hushwood::proposal::{
    Add, ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ProposalType, ReInit, Remove,
};
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::version::ProtocolVersion;
use test_support::actor::{Actor, NOW, Outcome, assert_agree};
use test_support::assert_breaks;
use test_support::random::SeededRandom;

fn actor(name: &str, suite: CipherSuiteId) -> Actor {
    let seed = name.bytes().fold(u64::from(suite.0), |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, suite, seed)
}

/// Alice and Bob in a group that lists the server as its second external sender.
struct World {
    alice: Actor,
    bob: Actor,
    server: SoftwareSigner,
}

impl World {
    fn new(suite: CipherSuiteId) -> Self {
        let mut world = Self::without_senders(suite);
        let other = SoftwareSigner::generate(world.alice.suite, &mut SeededRandom::new(8)).unwrap();
        let senders = [sender("other", &other), sender("server", &world.server)];
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_vec().to_bytes().unwrap());
        let proposals = vec![NewProposal::GroupContextExtensions(extensions)];
        let (id, commit) = world.alice.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
        world.bob.receive(&commit).unwrap();
        world.alice.apply(&id).unwrap();
        world
    }

    fn without_senders(suite: CipherSuiteId) -> Self {
        let (mut alice, mut bob) = (actor("alice", suite), actor("bob", suite));
        let server = SoftwareSigner::generate(alice.suite, &mut SeededRandom::new(7)).unwrap();
        alice.create();
        let key_package = bob.key_package();
        let (_, change) = alice.invite(&[key_package]).unwrap();
        bob.join(&change.welcomes[0].message, None).unwrap();
        Self { alice, bob, server }
    }

    /// The group as it is seen from outside.
    fn view(&mut self) -> GroupView {
        let group_info = self.alice.group_info(true);
        let (alice, mut random) = (&self.alice, SeededRandom::new(9));
        GroupView::verify(&group_info, None, &alice.provider, (&alice.policy, NOW), &mut random).unwrap()
    }

    fn server_proposes(&mut self, proposal: Proposal) -> Result<Vec<u8>, Error> {
        let view = self.view();
        view.external_proposal(1, proposal, &self.server, NOW)
    }

    /// A proposal in the server's name, by somebody who does not look at the rules.
    fn forge(&self, sender: Sender, proposal: Proposal, signer: &SoftwareSigner) -> Vec<u8> {
        let content = FramedContent {
            group_id: self.alice.group().group_id().to_vec(),
            epoch: self.alice.group().epoch(),
            sender,
            authenticated_data: Vec::new(),
            content: Content::Proposal(proposal),
        };
        let signed = Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, content, &[]).unwrap();
        let message = PublicMessage::from_outside(signed.complete(None).unwrap()).unwrap();
        MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap()
    }

    /// Both accept the proposal, and Bob commits it: what Alice says of the commit.
    fn committed(&mut self, proposal: &[u8]) -> hushwood::group::EpochChange {
        assert!(matches!(self.alice.receive(proposal).unwrap(), Outcome::Proposal));
        assert!(matches!(self.bob.receive(proposal).unwrap(), Outcome::Proposal));
        let psks = [psk()];
        let answers = self.bob.answers(&psks);
        let (id, commit) = self.bob.commit_with(CommitPlan::default(), &answers).unwrap();
        let Outcome::Commit(change) = self.alice.receive(&commit).unwrap() else { panic!("no commit") };
        let own = self.bob.apply(&id).unwrap();
        assert_eq!(own.proposals, change.proposals);
        assert_agree(&[&self.alice, &self.bob]);
        own
    }
}

fn sender(name: &str, signer: &SoftwareSigner) -> ExternalSender {
    use hushwood::crypto::Signer;
    ExternalSender {
        signature_key: signer.public_key().clone(),
        credential: hushwood::credential::Credential::basic(name),
    }
}

fn psk() -> Psk {
    Psk::External { psk_id: b"shared".to_vec() }
}

fn remove_bob() -> Proposal {
    Proposal::Remove(Remove { removed: hushwood::tree::LeafIndex::new(1) })
}

fn external_init() -> Proposal {
    Proposal::ExternalInit(ExternalInit { kem_output: vec![1; 32] })
}

#[test]
fn an_external_sender_adds_a_client_on_every_suite() {
    for suite in (1..=7).map(CipherSuiteId) {
        let mut world = World::new(suite);
        let mut carol = actor("carol", suite);
        let key_package = carol.key_package();
        let key_package = world.alice.validate(&key_package).unwrap().into_key_package();
        let proposal = world.server_proposes(Proposal::Add(Box::new(Add { key_package }))).unwrap();
        let change = world.committed(&proposal);
        assert_eq!(change.proposals, [ProposalType::ADD]);
        carol.join(&change.welcomes[0].message, None).unwrap();
        assert_agree(&[&world.alice, &world.bob, &carol]);
    }
}

#[test]
fn an_external_sender_removes_a_member() {
    let mut world = World::new(CipherSuiteId(1));
    let proposal = world.server_proposes(remove_bob()).unwrap();
    world.alice.receive(&proposal).unwrap();
    world.bob.receive(&proposal).unwrap();
    let (id, commit) = world.alice.commit(CommitPlan::default()).unwrap();
    world.bob.receive(&commit).unwrap();
    world.alice.apply(&id).unwrap();
    assert_eq!(world.alice.group().member_count(), 1);
    assert_eq!(world.bob.group().status(), &hushwood::group::Status::Removed);
}

#[test]
fn an_external_sender_injects_a_pre_shared_key() {
    let mut world = World::new(CipherSuiteId(1));
    world.alice.keep_psk(b"shared", b"known to all members");
    world.bob.keep_psk(b"shared", b"known to all members");
    let psk_nonce = vec![3; world.alice.suite.kdf().length()];
    let psk = PreSharedKeyId { psk: psk(), psk_nonce };
    let proposal = world.server_proposes(Proposal::Psk(Box::new(PreSharedKey { psk }))).unwrap();
    assert_eq!(world.committed(&proposal).proposals, [ProposalType::PSK]);
}

#[test]
fn an_external_sender_changes_the_extensions_and_its_own_right_to_do_so() {
    let mut world = World::new(CipherSuiteId(1));
    let extensions = Extensions::new();
    let gce = Proposal::GroupContextExtensions(GroupContextExtensions { extensions });
    let proposal = world.server_proposes(gce).unwrap();
    assert!(world.committed(&proposal).extensions_changed);
    let refused = world.server_proposes(remove_bob()).unwrap_err();
    assert_eq!(refused, Error::WouldViolate(Violation::ExternalSendersAbsent));
}

#[test]
fn an_external_sender_ends_the_group() {
    let mut world = World::new(CipherSuiteId(1));
    let reinit = ReInit {
        group_id: b"next".to_vec(),
        version: ProtocolVersion::MLS10,
        cipher_suite: CipherSuiteId(2),
        extensions: Extensions::new(),
    };
    let proposal = world.server_proposes(Proposal::ReInit(Box::new(reinit.clone()))).unwrap();
    let change = world.committed(&proposal);
    assert_eq!(change.status, hushwood::group::Status::Reinitialised(reinit));
}

#[test]
fn who_is_not_listed_can_not_propose() {
    let mut world = World::new(CipherSuiteId(1));
    let view = world.view();
    // Beyond the list, and at somebody else's place.
    let refused = view.external_proposal(2, remove_bob(), &world.server, NOW).unwrap_err();
    assert_breaks!(refused, Error::WouldViolate(Violation::ExternalSenderIndex), "C070");
    let refused = view.external_proposal(0, remove_bob(), &world.server, NOW).unwrap_err();
    assert_eq!(refused, ApiMisuse::SignerMismatch.into());
    // The members say the same.
    let forged = world.forge(Sender::External(2), remove_bob(), &world.server);
    assert_breaks!(world.alice.receive(&forged).unwrap_err(), Violation::ExternalSenderIndex, "C070");
    let forged = world.forge(Sender::External(0), remove_bob(), &world.server);
    assert_breaks!(world.alice.receive(&forged).unwrap_err(), Violation::MessageSignature, "C070");
}

#[test]
fn a_group_without_external_senders_takes_no_proposals_from_outside() {
    let mut world = World::without_senders(CipherSuiteId(1));
    let refused = world.server_proposes(remove_bob()).unwrap_err();
    assert_breaks!(refused, Error::WouldViolate(Violation::ExternalSendersAbsent), "C069");
    let forged = world.forge(Sender::External(0), remove_bob(), &world.server);
    assert_breaks!(world.alice.receive(&forged).unwrap_err(), Violation::ExternalSendersAbsent, "C069");
}

#[test]
fn types_that_need_a_member_are_refused_from_outside() {
    let mut world = World::new(CipherSuiteId(1));
    let custom = Proposal::Custom { proposal_type: ProposalType(0xf123), data: b"anything".to_vec() };
    for proposal in [external_init(), custom] {
        let refused = world.server_proposes(proposal.clone()).unwrap_err();
        assert_breaks!(refused, Error::WouldViolate(Violation::ExternalProposalType), "C072", "C254");
        // A message of a permitted type, with the proposal put in its place; the rule is broken before
        // the signature is looked at.
        let message = world.forge(Sender::External(1), remove_bob(), &world.server);
        let MlsMessage::PublicMessage(mut message) = hushwood::codec::Decode::from_bytes(&message).unwrap()
        else {
            panic!("not public")
        };
        message.content.content = Content::Proposal(proposal);
        let message = MlsMessage::PublicMessage(message).to_bytes().unwrap();
        assert_breaks!(
            world.alice.receive(&message).unwrap_err(),
            Violation::ExternalProposalType,
            "C072",
            "C254"
        );
    }
}

#[test]
fn a_proposal_from_outside_is_for_one_epoch() {
    let mut world = World::new(CipherSuiteId(1));
    let late = world.server_proposes(remove_bob()).unwrap();
    let (id, commit) = world.alice.commit(CommitPlan::default()).unwrap();
    world.bob.receive(&commit).unwrap();
    world.alice.apply(&id).unwrap();
    assert_breaks!(world.bob.receive(&late).unwrap_err(), NotNow::EpochPast, "C064", "C240");
}

#[test]
fn a_client_that_proposes_itself_joins_on_every_suite() {
    for suite in (1..=7).map(CipherSuiteId) {
        let mut world = World::without_senders(suite);
        let mut carol = actor("carol", suite);
        let key_package = carol.key_package();
        let key_package = carol.validate(&key_package).unwrap();
        let proposal = world.view().new_member_proposal(&key_package, &carol.signer, NOW).unwrap();
        let change = world.committed(&proposal);
        carol.join(&change.welcomes[0].message, None).unwrap();
        assert_agree(&[&world.alice, &world.bob, &carol]);
        let message = carol.send(b"thank you").unwrap();
        assert_eq!(world.alice.read(&message).unwrap(), b"thank you");
    }
}

#[test]
fn a_client_proposes_only_itself() {
    let mut world = World::without_senders(CipherSuiteId(1));
    let (mut carol, mut dave) = (actor("carol", CipherSuiteId(1)), actor("dave", CipherSuiteId(2)));
    let key_package = carol.key_package();
    let key_package = carol.validate(&key_package).unwrap();
    let view = world.view();
    let refused = view.new_member_proposal(&key_package, &world.server, NOW).unwrap_err();
    assert_eq!(refused, ApiMisuse::SignerMismatch.into());
    let add = Proposal::Add(Box::new(Add { key_package: key_package.into_key_package() }));
    let forged = world.forge(Sender::NewMemberProposal, add, &world.server);
    assert_breaks!(world.alice.receive(&forged).unwrap_err(), Violation::MessageSignature, "C076");

    let other_suite = dave.key_package();
    let other_suite = dave.validate(&other_suite).unwrap();
    let refused = view.new_member_proposal(&other_suite, &dave.signer, NOW).unwrap_err();
    assert_eq!(refused, Unsupported::CipherSuite.into());
}

#[test]
fn a_policy_can_refuse_clients_that_propose_themselves() {
    let mut world = World::without_senders(CipherSuiteId(1));
    let mut carol = actor("carol", CipherSuiteId(1));
    let key_package = carol.key_package();
    let key_package = carol.validate(&key_package).unwrap();
    let proposal = world.view().new_member_proposal(&key_package, &carol.signer, NOW).unwrap();
    let policy = hushwood::policy::Policy { allow_new_member_proposals: false, ..world.alice.policy.clone() };
    let Actor { group, store, .. } = &mut world.alice;
    group.as_mut().unwrap().set_policy(policy).unwrap().commit(store).unwrap();
    assert_breaks!(world.alice.receive(&proposal).unwrap_err(), Violation::PolicyRefused, "C255");
}
