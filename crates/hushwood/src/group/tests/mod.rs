//! RFC 9420 §11, §12: what a member who means harm sends to the others, whole messages with good signatures.

mod commits;
mod joining;
mod successors;

use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, CipherSuiteId, Secret, Signer, SoftwareSigner};
use hushwood_rustcrypto::PROVIDER;
use test_support::{assert_breaks, assert_names};

use super::*;
use crate::commit::create::{CommitInputs, CommitSigners, CreatedCommit, create};
use crate::commit::{Answers, Commit, ProposalOrRef};
use crate::credential::{Credential, InsecureAcceptAll, judge};
use crate::error::Violation;
use crate::extension::{ExtensionType, Extensions};
use crate::framing::{Authenticated, Content, FramedContent, PublicMessage, Signed, WireFormat};
use crate::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use crate::policy::{Grease, Timestamp};
use crate::proposal::{CommittedProposal, ProposalList, ProposalType};
use crate::schedule::PskSecret;
use crate::testing::{ToyRandom, ToyStore};
use crate::tree::{LeafContent, LeafNodeSource, NewLeaf, Supported};

const NOW: Timestamp = Timestamp(1_000_000);
/// An extension, and a proposal, that every client of these tests supports.
const KNOWN_EXTENSION: ExtensionType = ExtensionType(0xF001);
const KNOWN_PROPOSAL: ProposalType = ProposalType(0xF002);

/// A client. It keeps to the rules unless a test says otherwise.
struct Client {
    suite: &'static dyn CipherSuite,
    credential: Credential,
    supported: Supported,
    leaf_extensions: Extensions,
    signer: SoftwareSigner,
    policy: Policy,
    random: ToyRandom,
    store: ToyStore,
    group: Option<Group>,
}

fn suite(number: u16) -> &'static dyn CipherSuite {
    PROVIDER.suite(CipherSuiteId(number)).unwrap()
}

impl Client {
    fn new(name: &str) -> Self {
        Self::with_suite(name, suite(1))
    }

    fn with_suite(name: &str, suite: &'static dyn CipherSuite) -> Self {
        let seed =
            name.bytes().fold(u64::from(suite.id().0), |seed, byte| seed.wrapping_mul(131) + u64::from(byte));
        let mut random = ToyRandom((seed % (1 << 40)) << 20);
        let mut supported = Supported::new(&PROVIDER).preferring(suite.id());
        supported.extensions.push(KNOWN_EXTENSION);
        supported.proposals.push(KNOWN_PROPOSAL);
        Self {
            suite,
            credential: Credential::basic(name),
            supported,
            leaf_extensions: Extensions::new(),
            signer: SoftwareSigner::generate(suite, &mut random).unwrap(),
            policy: Policy { grease: Grease::Nowhere, encrypt_handshakes: false, ..Policy::default() },
            random,
            store: ToyStore::default(),
            group: None,
        }
    }

    fn group(&self) -> &Group {
        self.group.as_ref().unwrap()
    }

    fn new_group(&self) -> NewGroup {
        let settings = NewGroup::new(self.suite, self.credential.clone(), self.supported.clone());
        NewGroup { policy: self.policy.clone(), ..settings }
    }

    fn create(&mut self, settings: NewGroup) {
        let step = Group::create(settings, &self.signer, NOW, &mut self.random).unwrap();
        self.group = Some(step.commit(&mut self.store).unwrap());
    }

    fn content(&self) -> LeafContent {
        let (credential, supported) = (self.credential.clone(), self.supported.clone());
        LeafContent { credential, supported, extensions: self.leaf_extensions.clone() }
    }

    /// A fresh KeyPackage, whose private part it keeps.
    fn key_package(&mut self) -> ValidKeyPackage {
        self.keep(KeyPackageBuilder::new(self.suite, self.content()))
    }

    /// One of last resort.
    fn last_resort(&mut self) -> ValidKeyPackage {
        self.keep(KeyPackageBuilder::new(self.suite, self.content()).last_resort())
    }

    fn keep(&mut self, builder: KeyPackageBuilder) -> ValidKeyPackage {
        let new = builder.build(&self.signer, &self.policy, NOW, &mut self.random).unwrap();
        let key_package = new.key_package.clone();
        client::keep_key_package(new).unwrap().commit(&mut self.store).unwrap();
        validate(Unverified::new(key_package), self.suite, &self.policy, NOW).unwrap()
    }

    /// Makes a commit and stays where it is.
    fn commit(&mut self, plan: CommitPlan<'_>, answers: &Answers) -> Result<CommitStaged, Error> {
        let group = self.group.as_mut().unwrap();
        let step = group.commit(plan, answers, &self.signer, NOW, &mut self.random)?;
        Ok(step.commit(&mut self.store).unwrap())
    }

    fn apply(&mut self, id: &CommitId) -> EpochChange {
        self.group.as_mut().unwrap().apply(id, NOW).unwrap().commit(&mut self.store).unwrap()
    }

    /// Commits these proposals and goes over to the next epoch.
    fn commits(&mut self, proposals: Vec<NewProposal<'_>>) -> (Vec<u8>, EpochChange) {
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        let staged = self.commit(plan, &Answers::none()).unwrap();
        (staged.outgoing.message, self.apply(&staged.id))
    }

    fn propose(&mut self, proposal: NewProposal<'_>) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let step = group.propose(proposal, b"", &self.signer, NOW, &mut self.random).unwrap();
        step.commit(&mut self.store).unwrap().message
    }

    fn join(&mut self, welcome: &[u8]) {
        let opened = OpenedWelcome::open(welcome, &self.store, &PROVIDER, &self.policy).unwrap();
        let staged = opened.stage(&Answers::none(), None, None, NOW, &mut self.random).unwrap();
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut self.random).unwrap();
        self.group = Some(step.commit(&mut self.store).unwrap());
    }

    /// Looks at a message and stages it if it is a commit. Nothing has changed after it.
    fn look_at(&self, message: &[u8]) -> Result<Option<StagedCommit>, Error> {
        let group = self.group();
        match group.receive(message, NOW)? {
            Received::Commit(received) => {
                group.stage_commit(&received, &Answers::none(), NOW, &mut ToyRandom(1)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Accepts a proposal or a commit.
    fn receive(&mut self, message: &[u8]) -> Result<(), Error> {
        let staged = self.look_at(message)?;
        let group = self.group.as_mut().unwrap();
        match (staged, group.receive(message, NOW)?) {
            (Some(staged), _) => {
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                drop(group.accept_commit(staged, &verdicts, NOW)?.commit(&mut self.store).unwrap());
            }
            (None, Received::Proposal(received)) => {
                let verdicts = judge(received.checks(), &InsecureAcceptAll);
                drop(group.accept_proposal(received, &verdicts)?.commit(&mut self.store).unwrap());
            }
            (None, other) => panic!("{other:?}"),
        }
        Ok(())
    }

    /// A public message of this member with any content, rightly signed and tagged.
    fn forge(&self, content: Content, confirmation_tag: Option<Vec<u8>>) -> Vec<u8> {
        self.forge_as(Sender::Member(self.group().own_leaf), content, &self.signer, confirmation_tag)
    }

    /// The same by any sender and with any key, for the group as this member sees it.
    fn forge_as(
        &self,
        sender: Sender,
        content: Content,
        signer: &dyn Signer,
        confirmation_tag: Option<Vec<u8>>,
    ) -> Vec<u8> {
        let group = self.group();
        let content = FramedContent {
            group_id: group.group_id().to_vec(),
            epoch: group.epoch(),
            sender,
            authenticated_data: vec![],
            content,
        };
        let context = &group.public.context_bytes;
        let signed = Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, content, context).unwrap();
        self.public(signed.complete(confirmation_tag).unwrap())
    }

    fn public(&self, message: Authenticated) -> Vec<u8> {
        let group = self.group();
        let membership_key = &group.member.as_ref().unwrap().state.secrets.membership;
        let context = &group.public.context_bytes;
        let message = match message.content().sender {
            Sender::Member(_) => PublicMessage::protect(group.suite(), message, membership_key, context),
            _ => PublicMessage::from_outside(message),
        };
        encode(&MlsMessage::PublicMessage(Box::new(message.unwrap()))).unwrap()
    }

    /// A commit of this member without path, of these proposals by value.
    fn forge_commit(&self, proposals: Vec<Proposal>) -> Vec<u8> {
        let proposals = proposals.into_iter().map(ProposalOrRef::Proposal).collect();
        let commit = Content::Commit(Box::new(Commit { proposals, path: None }));
        self.forge(commit, Some(vec![1; 32]))
    }

    /// A commit of this member with path, of these proposals by value, whose list nobody has looked at.
    fn create_commit(&mut self, proposals: Vec<Proposal>) -> CreatedCommit {
        let group = self.group.as_ref().unwrap();
        let sender = Sender::Member(group.own_leaf);
        let by_value = |proposal| CommittedProposal::by_value(proposal, sender);
        let list = ProposalList::assume_checked(proposals.into_iter().map(by_value).collect(), sender);
        let old = group.public.tree.leaf(group.own_leaf).unwrap().unwrap();
        let inputs = CommitInputs {
            state: &group.public,
            list: &list,
            leaf: Some(NewLeaf::successor(&old)),
            init: group.member.as_ref().unwrap().state.secrets.init.duplicate(),
            psk: PskSecret::zero(self.suite),
            wire_format: WireFormat::PUBLIC_MESSAGE,
            authenticated_data: vec![],
        };
        let signers = CommitSigners { message: &self.signer, leaf: &self.signer };
        create(inputs, signers, &group.checks(NOW, true), &mut self.random).unwrap()
    }
}

/// What a public message says, and its confirmation tag.
fn opened(message: &[u8]) -> (Content, Option<Vec<u8>>) {
    match MlsMessage::from_bytes(message).unwrap() {
        MlsMessage::PublicMessage(message) => (message.content.content, message.auth.confirmation_tag),
        other => panic!("{other:?}"),
    }
}

fn add(key_package: ValidKeyPackage) -> NewProposal<'static> {
    NewProposal::Add(Box::new(key_package))
}

/// A group of Alice, at leaf 0, and these, in their order.
fn group_of<const N: usize>(names: [&str; N]) -> (Client, [Client; N]) {
    let mut alice = Client::new("alice");
    let mut others = names.map(Client::new);
    alice.create(alice.new_group());
    let adds = others.iter_mut().map(|client| add(client.key_package())).collect();
    let (_, change) = alice.commits(adds);
    others.iter_mut().for_each(|client| client.join(&change.welcomes[0].message));
    (alice, others)
}
