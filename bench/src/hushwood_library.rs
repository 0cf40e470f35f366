//! Hushwood as a [`Library`], on one provider.

use std::path::Path;

use anyhow::{Context, Result, bail};
use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::extension::Extensions;
use hushwood::framing::MlsMessage;
use hushwood::group::{
    CommitId, CommitPlan, ExternalJoin, Group, GroupInfoOptions, GroupView, MessageId, NewGroup, NewProposal,
    OpenedWelcome, Received, StagedExternalJoin, client,
};
use hushwood::key_package::{KeyPackageBuilder, validate_many};
use hushwood::policy::{Policy, Timestamp};
use hushwood::public_group::{Observed, PublicGroup};
use hushwood::transition::Durable;
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Random, SoftwareSigner};

use crate::library::{Change, HandedOver, Library, Member, Observer};
use crate::measured_store::MeasuredStore;
use crate::prices::{self, Primitive};

/// Hushwood on one provider.
#[derive(Debug)]
pub struct Hushwood {
    name: String,
    provider: CryptoProvider,
    random: fn() -> Box<dyn Random>,
    now: Timestamp,
}

impl Hushwood {
    /// On this provider, at this time, with randomness from this source.
    #[must_use]
    pub fn new(provider: CryptoProvider, random: fn() -> Box<dyn Random>, now: u64) -> Self {
        Self { name: format!("hushwood/{}", provider.name), provider, random, now: Timestamp(now) }
    }

    fn suite(&self, suite: CipherSuiteId) -> Result<&'static dyn CipherSuite> {
        self.provider.suite(suite).context("the provider lacks the suite")
    }
}

impl Library for Hushwood {
    fn name(&self) -> &str {
        &self.name
    }

    fn member(&self, suite: CipherSuiteId, identity: &str, folder: Option<&Path>) -> Result<Box<dyn Member>> {
        let suite = self.suite(suite)?;
        let mut random = (self.random)();
        let signer = SoftwareSigner::generate(suite, &mut *random)?;
        // An observer has to be able to follow; all else is as it comes.
        let policy = Policy { encrypt_handshakes: false, ..Policy::default() };
        let store = match folder {
            None => MeasuredStore::memory(),
            Some(folder) => MeasuredStore::disk(&folder.join("store"))?,
        };
        Ok(Box::new(HushwoodMember {
            provider: self.provider,
            suite,
            credential: Credential::basic(identity.as_bytes()),
            signer,
            random,
            now: self.now,
            policy,
            store,
            group: None,
            staged: None,
            done: Vec::new(),
        }))
    }

    fn primitives(&self, suite: CipherSuiteId) -> Result<Vec<Primitive>> {
        prices::of_suite(self.suite(suite)?)
    }
}

struct HushwoodMember {
    provider: CryptoProvider,
    suite: &'static dyn CipherSuite,
    credential: Credential,
    signer: SoftwareSigner,
    random: Box<dyn Random>,
    now: Timestamp,
    policy: Policy,
    store: MeasuredStore,
    group: Option<Group>,
    staged: Option<CommitId>,
    /// Messages that the application has dealt with.
    done: Vec<MessageId>,
}

impl HushwoodMember {
    fn group(&self) -> Result<&Group> {
        self.group.as_ref().context("no group")
    }

    fn supported(&self) -> Supported {
        Supported::new(&self.provider).preferring(self.suite.id())
    }

    fn proposals(&mut self, change: Change<'_>) -> Result<Vec<NewProposal<'static>>> {
        match change {
            Change::Update => Ok(Vec::new()),
            Change::Remove(leaf) => Ok(vec![NewProposal::Remove(LeafIndex::new(leaf))]),
            Change::Add(key_packages) => self.additions(key_packages),
        }
    }

    fn additions(&mut self, messages: &[Vec<u8>]) -> Result<Vec<NewProposal<'static>>> {
        let mut key_packages = Vec::with_capacity(messages.len());
        for message in messages {
            match MlsMessage::from_bytes(message)? {
                MlsMessage::KeyPackage(key_package) => key_packages.push(*key_package),
                _ => bail!("not a KeyPackage"),
            }
        }
        let circumstances = (self.suite, &self.policy, self.now);
        let valid = validate_many(key_packages, circumstances, &mut *self.random)?;
        Ok(valid.into_iter().map(|valid| NewProposal::Add(Box::new(valid))).collect())
    }
}

impl Member for HushwoodMember {
    fn key_package(&mut self) -> Result<Vec<u8>> {
        let content = LeafContent {
            credential: self.credential.clone(),
            supported: self.supported(),
            extensions: Extensions::new(),
        };
        let new = KeyPackageBuilder::new(self.suite, content).build(
            &self.signer,
            &self.policy,
            self.now,
            &mut *self.random,
        )?;
        Ok(client::keep_key_package(new)?.commit(&mut self.store)?)
    }

    fn create(&mut self) -> Result<()> {
        let mut settings = NewGroup::new(self.suite, self.credential.clone(), self.supported());
        settings.policy = self.policy.clone();
        let step = Group::create(settings, &self.signer, self.now, &mut *self.random)?;
        self.group = Some(step.commit(&mut self.store)?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<()> {
        let opened = OpenedWelcome::open(welcome, &self.store, &self.provider, &self.policy)?;
        let staged = opened.stage(&Answers::none(), tree, None, self.now, &mut *self.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut *self.random)?;
        self.group = Some(step.commit(&mut self.store)?);
        Ok(())
    }

    fn external_commit(&mut self, group_info: &[u8]) -> Result<Vec<u8>> {
        let mut settings = ExternalJoin::new(self.provider, self.credential.clone(), self.supported());
        settings.policy = self.policy.clone();
        let (signer, random) = (&self.signer, &mut *self.random);
        let staged = StagedExternalJoin::stage(group_info, None, settings, signer, self.now, random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, random)?;
        let (group, outgoing) = step.commit(&mut self.store)?;
        self.group = Some(group);
        self.done.push(outgoing.id);
        Ok(outgoing.message)
    }

    fn tree_in_welcome(&mut self, inside: bool) -> Result<()> {
        self.policy.ratchet_tree_extension = inside;
        if let Some(group) = &mut self.group {
            let policy = Policy { ratchet_tree_extension: inside, ..group.policy().clone() };
            group.set_policy(policy)?.commit(&mut self.store)?;
        }
        Ok(())
    }

    fn commit(&mut self, change: Change<'_>) -> Result<Vec<u8>> {
        let plan = CommitPlan { proposals: self.proposals(change)?, ..CommitPlan::default() };
        let group = self.group.as_mut().context("no group")?;
        let step = group.commit(plan, &Answers::none(), &self.signer, self.now, &mut *self.random)?;
        let staged = step.commit(&mut self.store)?;
        self.staged = Some(staged.id);
        self.done.push(staged.outgoing.id);
        Ok(staged.outgoing.message)
    }

    fn apply(&mut self) -> Result<Option<Vec<u8>>> {
        let id = self.staged.take().context("no commit waits")?;
        let group = self.group.as_mut().context("no group")?;
        let mut change = group.apply(&id, self.now)?.commit(&mut self.store)?;
        self.done.extend(change.welcomes.iter().map(|welcome| welcome.id));
        Ok(change.welcomes.pop().map(|welcome| welcome.message))
    }

    fn ratchet_tree(&mut self) -> Result<Vec<u8>> {
        Ok(self.group()?.ratchet_tree()?)
    }

    fn discard(&mut self) -> Result<()> {
        let id = self.staged.take().context("no commit waits")?;
        let group = self.group.as_mut().context("no group")?;
        Ok(group.discard(&id)?.commit(&mut self.store)?)
    }

    fn process(&mut self, commit: &[u8]) -> Result<()> {
        let group = self.group.as_mut().context("no group")?;
        let Received::Commit(received) = group.receive(commit, self.now)? else { bail!("not a commit") };
        let staged = group.stage_commit(&received, &Answers::none(), self.now, &mut *self.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        group.accept_commit(staged, &verdicts, self.now)?.commit(&mut self.store)?;
        Ok(())
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context("no group")?;
        let step = group.encrypt(plaintext, b"", &self.signer, &mut *self.random)?;
        let outgoing = step.commit(&mut self.store)?;
        self.done.push(outgoing.id);
        Ok(outgoing.message)
    }

    fn decrypt(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context("no group")?;
        let Received::Message(received) = group.receive(message, self.now)? else { bail!("not a message") };
        let message = group.accept_message(received)?.commit(&mut self.store)?;
        self.done.push(message.id);
        Ok(message.plaintext.expose().to_vec())
    }

    fn group_info(&mut self) -> Result<Vec<u8>> {
        let group = self.group.as_ref().context("no group")?;
        Ok(group.group_info(GroupInfoOptions::default(), &self.signer, &mut *self.random)?)
    }

    fn leaf(&self) -> Result<u32> {
        Ok(self.group()?.own_leaf().number())
    }

    fn epoch_authenticator(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.epoch_authenticator()?.to_vec())
    }

    fn tidy(&mut self) -> Result<()> {
        let Some(group) = &mut self.group else { return Ok(()) };
        for id in self.done.drain(..) {
            group.acknowledge(&id)?.commit(&mut self.store)?;
        }
        Ok(())
    }

    fn stores_apart(&self) -> bool {
        false
    }

    fn store(&mut self) -> Result<()> {
        Ok(())
    }

    fn watch(&mut self) {
        self.store.take();
    }

    fn handed_over(&mut self) -> HandedOver {
        self.store.take()
    }

    fn past_epochs(&self) -> usize {
        self.policy.max_past_epochs
    }

    fn close(&mut self) {
        self.group = None;
    }

    fn open(&mut self) -> Result<()> {
        let instance = self.instance()?;
        self.group = Some(Group::open(&self.store, &self.provider, instance)?);
        Ok(())
    }

    fn open_and_encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let instance = self.instance()?;
        let mut group = Group::open(&self.store, &self.provider, instance)?;
        let (_, pending) = group.encrypt(plaintext, b"", &self.signer, &mut *self.random)?.begin();
        // The group is dropped and the message with it: the stored one goes on from where it was.
        Ok(pending.confirm(Durable::assert()).message)
    }

    fn observer(&mut self) -> Result<Option<Box<dyn Observer>>> {
        let group_info = self.group_info()?;
        let view = GroupView::verify(
            &group_info,
            None,
            &self.provider,
            (&self.policy, self.now),
            &mut *self.random,
        )?;
        let verdicts = judge(view.checks(), &InsecureAcceptAll);
        let group = PublicGroup::new(view, &verdicts)?;
        let random = Box::new(hushwood_rustcrypto::OsRandom);
        Ok(Some(Box::new(HushwoodObserver { group, random, now: self.now })))
    }
}

impl HushwoodMember {
    fn instance(&self) -> Result<hushwood::transition::InstanceId> {
        if let Some(group) = &self.group {
            return Ok(group.instance());
        }
        let groups = Group::list(&self.store)?;
        groups.first().map(|(_, instance)| *instance).context("no group is stored")
    }
}

struct HushwoodObserver {
    group: PublicGroup,
    random: Box<dyn Random>,
    now: Timestamp,
}

impl Observer for HushwoodObserver {
    fn follow(&mut self, commit: &[u8]) -> Result<()> {
        let Observed::Commit(observed) = self.group.receive(commit, self.now, &mut *self.random)? else {
            bail!("not a commit");
        };
        let verdicts = judge(observed.checks(), &InsecureAcceptAll);
        self.group.accept_commit(*observed, &verdicts)?;
        Ok(())
    }
}
