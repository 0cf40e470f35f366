//! A client in a test: its own store, its own keys, and one group at a time.
//!
//! Every operation can be followed by reading the group back from the store, so that whatever a test
//! shows holds over a restart at any point.

use std::collections::BTreeMap;

use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::error::Error;
use hushwood::group::{
    ApplicationMessage, CommitId, CommitPlan, EpochChange, ExternalJoin, Group, GroupInfoOptions, NewGroup,
    NewProposal, OpenedWelcome, Received, StagedExternalJoin, client,
};
use hushwood::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use hushwood::policy::{Policy, Timestamp};
use hushwood::schedule::Psk;
use hushwood::transition::{InstanceId, Persist, RecordKey, RecordKind, Records};
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Secret, SoftwareSigner};
use hushwood_store::MemoryStore;

use crate::random::SeededRandom;

/// The time at which tests take place.
pub const NOW: Timestamp = Timestamp(1_800_000_000);

/// A client, on a store of its own.
#[derive(Debug)]
pub struct Actor<S = MemoryStore> {
    /// Its name, which is the identity in its basic credential.
    pub name: String,
    /// Its provider.
    pub provider: CryptoProvider,
    /// Its suite.
    pub suite: &'static dyn CipherSuite,
    /// Its store.
    pub store: S,
    /// Its signature key.
    pub signer: SoftwareSigner,
    /// Its randomness.
    pub random: SeededRandom,
    /// The policy of groups it creates or joins.
    pub policy: Policy,
    /// Its group, if it is in one.
    pub group: Option<Group>,
    /// Whether to read the group back after every step.
    pub reload: bool,
    /// Its time.
    pub now: Timestamp,
}

/// What came of a message.
#[derive(Debug)]
pub enum Outcome {
    /// A message for the application.
    Message(ApplicationMessage),
    /// A proposal, accepted.
    Proposal,
    /// A commit, accepted.
    Commit(EpochChange),
}

impl Actor {
    /// A client with a fresh key, which forgets everything in the end.
    pub fn new(name: &str, provider: CryptoProvider, suite: CipherSuiteId, seed: u64) -> Self {
        Self::on(MemoryStore::new(), name, (provider, suite), seed)
    }
}

impl<S: Persist + Records> Actor<S> {
    /// A client with a fresh key, on a store that may be of any kind.
    pub fn on(store: S, name: &str, (provider, suite): (CryptoProvider, CipherSuiteId), seed: u64) -> Self {
        let mut random = SeededRandom::new(seed ^ 0x5eed);
        let suite = provider.suite(suite).expect("the provider has the suite");
        let signer = SoftwareSigner::generate(suite, &mut random).expect("the randomness does not fail");
        Self {
            name: name.to_owned(),
            provider,
            suite,
            store,
            signer,
            random,
            policy: Policy::default(),
            group: None,
            reload: true,
            now: NOW,
        }
    }

    /// Who it says it is.
    pub fn credential(&self) -> Credential {
        Credential::basic(self.name.as_bytes())
    }

    /// Its group.
    pub fn group(&self) -> &Group {
        self.group.as_ref().expect("the actor is in a group")
    }

    /// Its leaf.
    pub fn leaf(&self) -> LeafIndex {
        self.group().own_leaf()
    }

    fn parts(&mut self) -> (&mut Group, &mut S, &SoftwareSigner, &mut SeededRandom) {
        let group = self.group.as_mut().expect("the actor is in a group");
        (group, &mut self.store, &self.signer, &mut self.random)
    }

    /// Reads the group back from the store, if it is to be.
    fn restart(&mut self) {
        if let Some(group) = self.group.take() {
            let instance = group.instance();
            self.group = Some(match self.reload {
                true => Group::open(&self.store, &self.provider, instance).expect("the group opens"),
                false => group,
            });
        }
    }

    /// All that it has stored, with the version of its group: to see that nothing has changed.
    pub fn rows(&self) -> (u64, BTreeMap<RecordKey, Vec<u8>>) {
        let group = self.group.as_ref().map(Group::instance);
        let mut rows = BTreeMap::new();
        for instance in group.into_iter().chain([InstanceId::CLIENT]) {
            for kind in RecordKind::ALL {
                for (id, value) in self.store.list(instance, *kind).expect("the store works") {
                    rows.insert(RecordKey::new(instance, *kind, id), value.expose().to_vec());
                }
            }
        }
        let version = group.map_or(0, |group| self.store.version(group).expect("the store works"));
        (version, rows)
    }

    /// Makes and keeps a KeyPackage.
    pub fn key_package(&mut self) -> Vec<u8> {
        let content = LeafContent {
            credential: self.credential(),
            supported: Supported::new(&self.provider),
            extensions: hushwood::extension::Extensions::new(),
        };
        let new = KeyPackageBuilder::new(self.suite, content)
            .build(&self.signer, &self.policy, self.now, &mut self.random)
            .expect("a KeyPackage is made");
        let step = client::keep_key_package(new).expect("a KeyPackage is kept");
        step.commit(&mut self.store).expect("the store works")
    }

    /// Validates somebody's KeyPackage.
    pub fn validate(&self, message: &[u8]) -> Result<ValidKeyPackage, Error> {
        let message = hushwood::framing::MlsMessage::from_bytes(message)?;
        let hushwood::framing::MlsMessage::KeyPackage(key_package) = message else {
            panic!("not a KeyPackage");
        };
        validate(*key_package, self.suite, &self.policy, self.now)
    }

    /// Creates a group.
    pub fn create(&mut self) -> &Group {
        self.create_with(None)
    }

    /// The same, with an id of the test's.
    pub fn create_as(&mut self, group_id: &[u8]) -> &Group {
        self.create_with(Some(group_id.to_vec()))
    }

    fn create_with(&mut self, group_id: Option<Vec<u8>>) -> &Group {
        let supported = Supported::new(&self.provider).preferring(self.suite.id());
        let mut settings = NewGroup::new(self.suite, self.credential(), supported);
        settings.policy = self.policy.clone();
        settings.group_id = group_id;
        let step =
            Group::create(settings, &self.signer, self.now, &mut self.random).expect("a group is made");
        self.group = Some(step.commit(&mut self.store).expect("the store works"));
        self.restart();
        self.group()
    }

    /// Makes a commit, without applying it.
    pub fn commit(&mut self, plan: CommitPlan<'_>) -> Result<(CommitId, Vec<u8>), Error> {
        self.commit_with(plan, &Answers::none())
    }

    /// Makes a commit, with pre-shared keys, without applying it.
    pub fn commit_with(
        &mut self,
        plan: CommitPlan<'_>,
        answers: &Answers,
    ) -> Result<(CommitId, Vec<u8>), Error> {
        let now = self.now;
        let (group, store, signer, random) = self.parts();
        let step = group.commit(plan, answers, signer, now, random)?;
        let staged = step.commit(store).expect("the store works");
        self.restart();
        Ok((staged.id, staged.outgoing.message))
    }

    /// Applies a commit of its own.
    pub fn apply(&mut self, id: &CommitId) -> Result<EpochChange, Error> {
        let now = self.now;
        let (group, store, ..) = self.parts();
        let change = group.apply(id, now)?.commit(store).expect("the store works");
        self.restart();
        Ok(change)
    }

    /// Invites clients: the commit, and the Welcome.
    pub fn invite(&mut self, key_packages: &[Vec<u8>]) -> Result<(Vec<u8>, EpochChange), Error> {
        let proposals = key_packages
            .iter()
            .map(|key_package| Ok(NewProposal::Add(Box::new(self.validate(key_package)?))));
        let proposals = proposals.collect::<Result<Vec<_>, Error>>()?;
        let (id, message) = self.commit(CommitPlan { proposals, ..CommitPlan::default() })?;
        Ok((message, self.apply(&id)?))
    }

    /// Joins by a Welcome.
    pub fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<&Group, Error> {
        let opened = OpenedWelcome::open(welcome, &self.store, &self.provider, &self.policy)?;
        let answers = Answers::from_store(&self.store, opened.psks())?;
        let staged = opened.stage(&answers, tree, None, self.now, &mut self.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut self.random)?;
        self.group = Some(step.commit(&mut self.store).expect("the store works"));
        self.restart();
        Ok(self.group())
    }

    /// Joins by an external commit: the commit.
    pub fn external_join(
        &mut self,
        group_info: &[u8],
        tree: Option<&[u8]>,
        resync: Option<LeafIndex>,
    ) -> Result<Vec<u8>, Error> {
        let mut settings =
            ExternalJoin::new(self.provider, self.credential(), Supported::new(&self.provider));
        settings.policy = self.policy.clone();
        settings.resync = resync;
        let (signer, random) = (&self.signer, &mut self.random);
        let staged = StagedExternalJoin::stage(group_info, tree, settings, signer, self.now, random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut self.random)?;
        let (group, outgoing) = step.commit(&mut self.store).expect("the store works");
        self.group = Some(group);
        self.restart();
        Ok(outgoing.message)
    }

    /// A GroupInfo of the current epoch.
    pub fn group_info(&mut self, ratchet_tree: bool) -> Vec<u8> {
        let (group, _, signer, random) = self.parts();
        let options = GroupInfoOptions { ratchet_tree, external_pub: true };
        group.group_info(options, signer, random).expect("a GroupInfo is made")
    }

    /// Encrypts a message.
    pub fn send(&mut self, text: &[u8]) -> Result<Vec<u8>, Error> {
        let (group, store, signer, random) = self.parts();
        let step = group.encrypt(text, b"", signer, random)?;
        let outgoing = step.commit(store).expect("the store works");
        group.acknowledge(&outgoing.id)?.commit(store).expect("the store works");
        self.restart();
        Ok(outgoing.message)
    }

    /// Makes a proposal.
    pub fn propose(&mut self, proposal: NewProposal<'_>) -> Result<Vec<u8>, Error> {
        let now = self.now;
        let (group, store, signer, random) = self.parts();
        let step = group.propose(proposal, b"", signer, now, random)?;
        let outgoing = step.commit(store).expect("the store works");
        self.restart();
        Ok(outgoing.message)
    }

    /// Receives a message and accepts what it brings.
    pub fn receive(&mut self, message: &[u8]) -> Result<Outcome, Error> {
        let group = self.group.as_mut().expect("the actor is in a group");
        let outcome = match group.receive(message, self.now)? {
            Received::Message(received) => {
                let message =
                    group.accept_message(received)?.commit(&mut self.store).expect("the store works");
                group.acknowledge(&message.id)?.commit(&mut self.store).expect("the store works");
                Outcome::Message(message)
            }
            Received::Proposal(received) => {
                let verdicts = judge(received.checks(), &InsecureAcceptAll);
                let step = group.accept_proposal(received, &verdicts)?;
                step.commit(&mut self.store).expect("the store works");
                Outcome::Proposal
            }
            Received::Commit(received) => {
                let answers = Answers::from_store(&self.store, received.psks())?;
                let staged = group.stage_commit(&received, &answers, self.now, &mut self.random)?;
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                let step = group.accept_commit(staged, &verdicts, self.now)?;
                Outcome::Commit(step.commit(&mut self.store).expect("the store works"))
            }
            Received::OwnCommit(id) => {
                let step = group.apply(&id, self.now)?;
                Outcome::Commit(step.commit(&mut self.store).expect("the store works"))
            }
            Received::OwnProposal(_) => Outcome::Proposal,
        };
        self.restart();
        Ok(outcome)
    }

    /// Receives an application message.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self.receive(message)? {
            Outcome::Message(message) => Ok(message.plaintext.expose().to_vec()),
            other => panic!("not an application message: {other:?}"),
        }
    }

    /// Keeps an external pre-shared key.
    pub fn keep_psk(&mut self, id: &[u8], key: &[u8]) {
        let step = client::keep_psk(id, &Secret::copy_of(key)).expect("a key is kept");
        step.commit(&mut self.store).expect("the store works");
    }

    /// Answers with all the keys of these names that it has.
    pub fn answers(&self, psks: &[Psk]) -> Answers {
        Answers::from_store(&self.store, psks).expect("the store can be read")
    }
}

/// Fails unless all actors are in one epoch and agree on it.
pub fn assert_agree(actors: &[&Actor]) {
    let Some((first, rest)) = actors.split_first() else { return };
    let first = first.group();
    let exported = |group: &Group| group.export("test", b"agreement", 32).expect("exports").expose().to_vec();
    for actor in rest {
        let group = actor.group();
        assert_eq!(group.epoch(), first.epoch(), "{} is in another epoch", actor.name);
        assert_eq!(group.context(), first.context(), "{} has another context", actor.name);
        assert_eq!(
            group.epoch_authenticator().expect("a member"),
            first.epoch_authenticator().expect("a member"),
            "{} has other keys",
            actor.name
        );
        assert_eq!(exported(group), exported(first), "{} exports something else", actor.name);
        assert_eq!(
            group.ratchet_tree().expect("encodes"),
            first.ratchet_tree().expect("encodes"),
            "{} has another tree",
            actor.name
        );
    }
}
