//! A client that does what it is told, on one disk: the one that is killed, and those that it talks to.

use std::collections::BTreeMap;

use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::error::{Error, NotNow, StoreReadError};
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::framing::MlsMessage;
use hushwood::group::{
    Batch, CommitPlan, Cover, EpochChange, ExternalJoin, Group, LeafUpdate, MessageId, NewGroup, NewProposal,
    OpenedWelcome, Received, ReceivedCommit, StagedExternalJoin, Successor, Unacknowledged, client,
};
use hushwood::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use hushwood::policy::{Policy, Timestamp};
use hushwood::proposal::{ProposalType, ReInit};
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::transition::{CommitError, InstanceId, PersistError, RecordKey, RecordKind, Records, Step};
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood::version::ProtocolVersion;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuiteId, CryptoProvider, HashReference, Secret, Signer, SoftwareSigner};
use test_support::random::SeededRandom;

use crate::command::{Answer, Bytes, Command, Plan, Proposing, Settings, Trouble, View, What};
use crate::disk::Disk;
use crate::view;

/// An extension of the group context, and a proposal, that all clients support.
const EXTENSION: ExtensionType = ExtensionType(0xF001);
const PROPOSAL: ProposalType = ProposalType(0xF002);

/// A client.
pub struct Client<D> {
    name: String,
    provider: CryptoProvider,
    disk: D,
    /// Signature keys are the host's to keep; they do not crash.
    signers: Vec<SoftwareSigner>,
    groups: BTreeMap<InstanceId, Group>,
    /// Where it writes which command was done last.
    progress: RecordKey,
}

/// Why a command was not done.
enum Stop {
    Refused(Error),
    Failed(Trouble),
    Wrong(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::StoreRead(StoreReadError::Io) => Self::Failed(Trouble::Read),
            Error::NotNow(NotNow::Stale) => Self::Failed(Trouble::Stale),
            Error::NotNow(NotNow::Reopen) => Self::Failed(Trouble::Unknown),
            error => Self::Refused(error),
        }
    }
}

impl From<StoreReadError> for Stop {
    fn from(error: StoreReadError) -> Self {
        Error::from(error).into()
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

impl From<CommitError> for Stop {
    fn from(CommitError(error): CommitError) -> Self {
        Self::Failed(match error {
            PersistError::Busy => Trouble::Busy,
            PersistError::Full => Trouble::Full,
            PersistError::Stale => Trouble::Stale,
            PersistError::Unknown => Trouble::Unknown,
            _ => Trouble::NotWritten,
        })
    }
}

/// What a command is done with.
struct Job<'c> {
    progress: RecordKey,
    number: u64,
    now: Timestamp,
    random: &'c mut SeededRandom,
}

impl Job<'_> {
    /// Writes with the step that this command was done.
    fn mark<'g, T>(&self, mut step: Step<'g, T>) -> Step<'g, T> {
        step.put(self.progress.clone(), Secret::copy_of(&self.number.to_be_bytes()));
        step
    }
}

impl<D: Disk> Client<D> {
    /// A client that has just started: it reads what is on its disk. In the record `progress` it writes what was done.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn start(name: &str, progress: &str, provider: CryptoProvider, disk: D) -> Result<Self, Trouble> {
        let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(257) + u64::from(byte));
        let mut random = SeededRandom::new(seed);
        let signers = [(); 2].map(|()| {
            SoftwareSigner::generate(provider.suites[0], &mut random).expect("the randomness does not fail")
        });
        let mut client = Self {
            name: name.to_owned(),
            provider,
            disk,
            signers: signers.into(),
            groups: BTreeMap::new(),
            progress: RecordKey::new(InstanceId::CLIENT, RecordKind::Application, progress),
        };
        match client.open_groups() {
            Ok(()) => Ok(client),
            Err(Stop::Failed(trouble)) => Err(trouble),
            Err(Stop::Refused(error)) => Err(Trouble::NotOpened(format!("a group: {error:?}"))),
            Err(Stop::Wrong(what)) => Err(Trouble::NotOpened(what)),
        }
    }

    fn open_groups(&mut self) -> Result<(), Stop> {
        self.groups.clear();
        let current = Group::list(&self.disk)?;
        for (_, instance) in current.into_iter().chain(Group::superseded(&self.disk)?) {
            self.groups.insert(instance, Group::open(&self.disk, &self.provider, instance)?);
        }
        Ok(())
    }

    /// Does a command.
    pub fn ask(&mut self, command: &Command) -> Answer {
        let mut random = SeededRandom::new(command.random);
        let mut job = Job {
            progress: self.progress.clone(),
            number: command.number,
            now: Timestamp(command.now),
            random: &mut random,
        };
        match self.run(&command.what, &mut job).and_then(|()| self.view()) {
            Ok(view) => Answer::Done(Box::new(view)),
            Err(Stop::Refused(error)) => Answer::Refused(format!("{error:?}")),
            Err(Stop::Failed(trouble)) => Answer::Failed(trouble),
            Err(Stop::Wrong(what)) => Answer::Wrong(what),
        }
    }

    /// Leaves its disk.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// What is on its disk, which is what is in its memory.
    fn view(&self) -> Result<View, Stop> {
        let wrong = |what: String| Stop::Wrong(format!("{}: {what}", self.name));
        let stored = view::of(&self.disk, &self.provider, &self.progress)?;
        for group in stored.all_groups() {
            let live = view::instance(&group.instance).and_then(|instance| self.groups.get(&instance));
            let live = live.ok_or_else(|| wrong("a group is on disk and not in memory".into()))?;
            let live = view::group(&self.disk, live)?;
            if live != *group {
                return Err(wrong(format!("memory and disk differ: {live:?} and {group:?}")));
            }
        }
        if self.groups.len() != stored.all_groups().count() {
            return Err(wrong("a group is in memory and not on disk".into()));
        }
        Ok(stored)
    }

    fn run(&mut self, what: &What, job: &mut Job<'_>) -> Result<(), Stop> {
        match what {
            What::View => Ok(()),
            What::Reopen => {
                // Groups read through the store: they go first.
                self.groups.clear();
                self.disk.reopen()?;
                self.open_groups()
            }
            What::Checkpoint => Ok(self.disk.checkpoint()?),
            What::ChangeUnlock(key) => Ok(self.disk.change_unlock(*key)?),
            What::Create(settings) => self.create(settings, job),
            What::KeyPackage { last_resort, suite } => self.key_package((*last_resort, *suite), job),
            What::ForgetKeyPackage(reference) => {
                let step = client::forget_key_package(&HashReference(reference.0.clone()));
                Ok(job.mark(step).commit(&mut self.disk)?)
            }
            What::KeepPsk(id, key) => {
                let step = client::keep_psk(&id.0, &Secret::copy_of(&key.0))?;
                Ok(job.mark(step).commit(&mut self.disk)?)
            }
            What::ForgetPsk(id) => Ok(job.mark(client::forget_psk(&id.0)).commit(&mut self.disk)?),
            What::Join { welcome, tree, parent, settings } => {
                self.join((welcome, tree.as_ref()), parent.as_ref(), settings, job)
            }
            What::ExternalJoin { info, tree, resync, psk, settings } => {
                self.external_join((info, tree.as_ref()), *resync, psk.as_ref(), settings, job)
            }
            What::Branch(parent, others) | What::Reinit(parent, others) => {
                self.grow(parent, others, matches!(what, What::Reinit(..)), job)
            }
            What::Forget(instance) => {
                let group = view::instance(instance).and_then(|instance| self.groups.remove(&instance));
                let group = group.ok_or_else(|| Stop::Wrong("no such group".into()))?;
                let kept = group.instance();
                let forgotten = group.forget(&self.disk).map_err(Stop::from).and_then(|step| {
                    job.mark(step).commit(&mut self.disk)?;
                    Ok(())
                });
                if forgotten.is_err() {
                    // It is still there, perhaps, and whoever wants it opens it again.
                    if let Ok(group) = Group::open(&self.disk, &self.provider, kept) {
                        self.groups.insert(kept, group);
                    }
                }
                forgotten
            }
            in_a_group => self.run_in_group(in_a_group, job),
        }
    }

    /// What is done with one group.
    fn run_in_group(&mut self, what: &What, job: &mut Job<'_>) -> Result<(), Stop> {
        let instance = match what {
            What::Propose(instance, _)
            | What::Commit(instance, _)
            | What::Apply(instance, _)
            | What::Discard(instance, _)
            | What::Receive(instance, _)
            | What::Batch(instance, _)
            | What::Say(instance, _)
            | What::Acknowledge(instance, _)
            | What::Policy(instance, _) => instance,
            other => return Err(Stop::Wrong(format!("not in a group: {other:?}"))),
        };
        let Self { provider, disk, signers, groups, .. } = self;
        let group = view::instance(instance).and_then(|instance| groups.get_mut(&instance));
        let group = group.ok_or_else(|| Stop::Wrong("no such group".into()))?;
        let signer = own_signer(group, signers);
        let now = job.now;
        match what {
            What::Propose(_, proposing) => {
                let proposal = proposal(proposing, group, signers, (*provider, now))?;
                let step = group.propose(proposal, b"", signer, now, job.random)?;
                let outgoing = job.mark(step).commit(disk)?;
                is_in_outbox(group, disk, &outgoing.id, &outgoing.message)
            }
            What::Commit(_, plan) => {
                let (plan, answers) = commit_plan(plan, group, disk, signers, (*provider, now))?;
                let step = group.commit(plan, &answers, signer, now, job.random)?;
                let staged = job.mark(step).commit(disk)?;
                is_in_outbox(group, disk, &staged.id, &staged.outgoing.message)
            }
            What::Apply(_, id) => {
                let change = job.mark(group.apply(&message_id(id), now)?).commit(disk)?;
                for welcome in &change.welcomes {
                    is_in_outbox(group, disk, &welcome.id, &welcome.message)?;
                }
                Ok(())
            }
            What::Discard(_, id) => Ok(job.mark(group.discard(&message_id(id))?).commit(disk)?),
            What::Receive(_, message) => receive(group, disk, &message.0, job),
            What::Batch(_, messages) => receive_all(group, disk, messages, job),
            What::Say(_, text) => {
                let step = group.encrypt(&text.0, b"crash", signer, job.random)?;
                let outgoing = job.mark(step).commit(disk)?;
                is_in_outbox(group, disk, &outgoing.id, &outgoing.message)
            }
            What::Acknowledge(_, id) => Ok(job.mark(group.acknowledge(&message_id(id))?).commit(disk)?),
            What::Policy(_, settings) => Ok(job.mark(group.set_policy(policy(settings))?).commit(disk)?),
            other => Err(Stop::Wrong(format!("not in a group: {other:?}"))),
        }
    }

    fn key_package(&mut self, (last_resort, suite): (bool, u16), job: &mut Job<'_>) -> Result<(), Stop> {
        let suite = self.provider.suite(CipherSuiteId(suite)).expect("a suite that is there");
        let content = LeafContent {
            credential: self.credential(),
            supported: supported(&self.provider).preferring(suite.id()),
            extensions: Extensions::new(),
        };
        let builder = KeyPackageBuilder::new(suite, content);
        let builder = if last_resort { builder.last_resort() } else { builder };
        let new = builder.build(&self.signers[0], &Policy::default(), job.now, job.random)?;
        job.mark(client::keep_key_package(new)?).commit(&mut self.disk)?;
        Ok(())
    }

    fn create(&mut self, settings: &Settings, job: &mut Job<'_>) -> Result<(), Stop> {
        let new = NewGroup {
            policy: policy(settings),
            extensions: extensions(settings.extensions, self.provider),
            ..NewGroup::new(self.provider.suites[0], self.credential(), supported(&self.provider))
        };
        let step = Group::create(new, &self.signers[0], job.now, job.random)?;
        let group = job.mark(step).commit(&mut self.disk)?;
        self.groups.insert(group.instance(), group);
        Ok(())
    }

    fn join(
        &mut self,
        (welcome, tree): (&Bytes, Option<&Bytes>),
        parent: Option<&Bytes>,
        settings: &Settings,
        job: &mut Job<'_>,
    ) -> Result<(), Stop> {
        let opened = OpenedWelcome::open(&welcome.0, &self.disk, &self.provider, &policy(settings))?;
        let answers = Answers::from_store(&self.disk, opened.psks())?;
        let parent = parent.and_then(view::instance).and_then(|instance| self.groups.get(&instance));
        let parent = parent.map(|group| -> (&Group, &dyn hushwood::credential::CredentialValidator) {
            (group, &InsecureAcceptAll)
        });
        let tree = tree.map(|tree| tree.0.as_slice());
        let staged = opened.stage(&answers, tree, parent, job.now, job.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.disk, job.random)?;
        let group = job.mark(step).commit(&mut self.disk)?;
        self.groups.insert(group.instance(), group);
        Ok(())
    }

    fn external_join(
        &mut self,
        (info, tree): (&Bytes, Option<&Bytes>),
        resync: Option<u32>,
        psk: Option<&Bytes>,
        settings: &Settings,
        job: &mut Job<'_>,
    ) -> Result<(), Stop> {
        let psk = psk.map(|id| Psk::External { psk_id: id.0.clone() });
        let mut how = ExternalJoin::new(self.provider, self.credential(), supported(&self.provider));
        how.policy = policy(settings);
        how.answers = Answers::from_store(&self.disk, &psk)?;
        how.psks.extend(psk);
        how.resync = resync.map(LeafIndex::new);
        let tree = tree.map(|tree| tree.0.as_slice());
        let staged = StagedExternalJoin::stage(&info.0, tree, how, &self.signers[0], job.now, job.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.disk, job.random)?;
        let (group, outgoing) = job.mark(step).commit(&mut self.disk)?;
        let written = is_in_outbox(&group, &self.disk, &outgoing.id, &outgoing.message);
        self.groups.insert(group.instance(), group);
        written
    }

    fn grow(
        &mut self,
        parent: &Bytes,
        others: &[Bytes],
        reinit: bool,
        job: &mut Job<'_>,
    ) -> Result<(), Stop> {
        let instance = view::instance(parent).expect("an instance");
        let parent = self.groups.get(&instance).ok_or_else(|| Stop::Wrong("no such group".into()))?;
        let suite = match parent.status() {
            hushwood::group::Status::Reinitialised(reinit) => reinit.cipher_suite,
            _ => parent.suite().id(),
        };
        let valid = others.iter().map(|message| validated(&message.0, (self.provider, suite), job.now));
        let valid = valid.collect::<Result<Vec<_>, Error>>()?;
        let supported = supported(&self.provider).preferring(suite);
        let settings = Successor::new(self.credential(), supported, valid);
        let signer = &self.signers[0];
        let step = match reinit {
            true => parent.reinit((&self.provider, &self.disk), settings, signer, job.now, job.random)?,
            false => parent.branch(settings, signer, job.now, job.random)?,
        };
        let (group, change) = job.mark(step).commit(&mut self.disk)?;
        for welcome in &change.welcomes {
            is_in_outbox(&group, &self.disk, &welcome.id, &welcome.message)?;
        }
        self.groups.insert(group.instance(), group);
        Ok(())
    }

    fn credential(&self) -> Credential {
        Credential::basic(self.name.as_bytes())
    }

    /// Its provider.
    pub fn provider(&self) -> CryptoProvider {
        self.provider
    }

    /// Its key.
    pub fn signer(&self) -> &SoftwareSigner {
        &self.signers[0]
    }

    /// A group of it.
    pub fn group(&self, instance: &Bytes) -> Option<&Group> {
        self.groups.get(&view::instance(instance)?)
    }
}

/// Receives a message, accepts what it brings, and writes it.
fn receive<D: Disk>(group: &mut Group, disk: &mut D, message: &[u8], job: &mut Job<'_>) -> Result<(), Stop> {
    match group.receive(message, job.now)? {
        Received::Message(received) => {
            job.mark(group.accept_message(received)?).commit(disk)?;
        }
        Received::Proposal(received) => {
            let verdicts = judge(received.checks(), &InsecureAcceptAll);
            job.mark(group.accept_proposal(received, &verdicts)?).commit(disk)?;
        }
        Received::Commit(received) => {
            accept_commit(group, disk, &received, job)?.commit(disk)?;
        }
        Received::OwnCommit(id) => {
            job.mark(group.apply(&id, job.now)?).commit(disk)?;
        }
        Received::OwnProposal(_) => return Err(Stop::Refused(NotNow::OwnMessage.into())),
    }
    Ok(())
}

fn accept_commit<'g>(
    group: &'g mut Group,
    disk: &dyn Records,
    received: &ReceivedCommit,
    job: &mut Job<'_>,
) -> Result<Step<'g, EpochChange>, Stop> {
    let answers = Answers::from_store(disk, received.psks())?;
    let staged = group.stage_commit(received, &answers, job.now, job.random)?;
    let verdicts = judge(staged.checks(), &InsecureAcceptAll);
    Ok(job.mark(group.accept_commit(staged, &verdicts, job.now)?))
}

/// Receives several messages in one write: all of them application messages, or all of them commits.
fn receive_all<D: Disk>(
    group: &mut Group,
    disk: &mut D,
    messages: &[Bytes],
    job: &mut Job<'_>,
) -> Result<(), Stop> {
    let first = messages.first().map(|message| group.receive(&message.0, job.now)).transpose()?;
    let other = || Stop::Wrong("a batch of several kinds".into());
    if let Some(Received::Commit(_)) = first {
        let mut batch = Batch::new(group);
        for message in messages {
            batch.run(|group| match group.receive(&message.0, job.now)? {
                Received::Commit(received) => accept_commit(group, disk, &received, job),
                _ => Err(other()),
            })?;
        }
        batch.commit(disk)?;
        return Ok(());
    }
    let mut batch = Batch::new(group);
    for message in messages {
        batch.run(|group| match group.receive(&message.0, job.now)? {
            Received::Message(received) => Ok(job.mark(group.accept_message(received)?)),
            _ => Err(other()),
        })?;
    }
    batch.commit(disk)?;
    Ok(())
}

/// What a step gives out is what will be sent after a restart.
fn is_in_outbox<D: Disk>(group: &Group, disk: &D, id: &MessageId, message: &[u8]) -> Result<(), Stop> {
    let kept = disk.get(&RecordKey::new(group.instance(), RecordKind::Outbox, *id.as_bytes()))?;
    let found = group.unacknowledged(disk)?.into_iter().any(|waiting| match waiting {
        Unacknowledged::Outgoing(outgoing) => outgoing.id == *id && outgoing.message == message,
        Unacknowledged::Incoming(_) => false,
    });
    match kept.is_some() && found {
        true => Ok(()),
        false => Err(Stop::Wrong("what was given out is not in the outbox".into())),
    }
}

/// The signature key that a member's leaf has.
fn own_signer<'s>(group: &Group, signers: &'s [SoftwareSigner]) -> &'s SoftwareSigner {
    let own = group.member(group.own_leaf()).ok().flatten().map(|own| own.leaf.signature_key);
    signers.iter().find(|signer| Some(signer.public_key()) == own.as_ref()).unwrap_or(&signers[0])
}

fn message_id(id: &Bytes) -> MessageId {
    MessageId::new(id.0.as_slice().try_into().expect("an id"))
}

pub(crate) fn validated(
    message: &[u8],
    (provider, suite): (CryptoProvider, CipherSuiteId),
    now: Timestamp,
) -> Result<ValidKeyPackage, Error> {
    let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(message)? else {
        return Err(NotNow::NotForGroup.into());
    };
    validate(*key_package, provider.suite(suite).expect("a suite"), &Policy::default(), now)
}

fn proposal<'s>(
    proposing: &Proposing,
    group: &Group,
    signers: &'s [SoftwareSigner],
    (provider, now): (CryptoProvider, Timestamp),
) -> Result<NewProposal<'s>, Error> {
    Ok(match proposing {
        Proposing::Add(message) => {
            NewProposal::Add(Box::new(validated(&message.0, (provider, group.suite().id()), now)?))
        }
        Proposing::Update { signer } => NewProposal::Update(leaf_update(*signer, signers)),
        Proposing::Remove(leaf) => NewProposal::Remove(LeafIndex::new(*leaf)),
        Proposing::Psk(id) => NewProposal::Psk(Psk::External { psk_id: id.0.clone() }),
        Proposing::Resumption(epoch) => NewProposal::Psk(Psk::Resumption {
            usage: ResumptionPskUsage::Application,
            psk_group_id: group.group_id().to_vec(),
            psk_epoch: *epoch,
        }),
        Proposing::ReInit(group_id, suite) => NewProposal::ReInit(ReInit {
            group_id: group_id.0.clone(),
            version: ProtocolVersion::MLS10,
            cipher_suite: CipherSuiteId(*suite),
            extensions: Extensions::new(),
        }),
        Proposing::Extensions(version, sender) => {
            NewProposal::GroupContextExtensions(extensions(Some((*version, *sender)), provider))
        }
        Proposing::Custom(data) => NewProposal::Custom { proposal_type: PROPOSAL, data: data.0.clone() },
    })
}

fn leaf_update(signer: usize, signers: &[SoftwareSigner]) -> LeafUpdate<'_> {
    let signer = (signer > 0).then(|| -> &dyn Signer { &signers[signer] });
    LeafUpdate { signer, ..LeafUpdate::default() }
}

fn commit_plan<'s, D: Disk>(
    plan: &Plan,
    group: &Group,
    disk: &D,
    signers: &'s [SoftwareSigner],
    at: (CryptoProvider, Timestamp),
) -> Result<(CommitPlan<'s>, Answers), Error> {
    let proposals: Vec<_> = plan
        .proposals
        .iter()
        .map(|proposing| proposal(proposing, group, signers, at))
        .collect::<Result<_, _>>()?;
    let own = proposals.iter().filter_map(|proposal| match proposal {
        NewProposal::Psk(psk) => Some(psk.clone()),
        _ => None,
    });
    let waiting = group.pending_proposals().filter_map(|pending| match pending.proposal {
        hushwood::proposal::Proposal::Psk(psk) => Some(psk.psk.psk.clone()),
        _ => None,
    });
    let psks: Vec<_> = own.chain(waiting).collect();
    let answers = Answers::from_store(disk, &psks)?;
    let plan = CommitPlan {
        proposals,
        cover: if plan.cover_none { Cover::None } else { Cover::All },
        omit_path: plan.omit_path,
        leaf: leaf_update(plan.signer, signers),
        authenticated_data: plan.data.0.clone(),
        welcome_per_joiner: plan.welcome_per_joiner,
    };
    Ok((plan, answers))
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        encrypt_handshakes: settings.encrypt_handshakes,
        ratchet_tree_extension: settings.tree_inside,
        max_past_epochs: settings.past_epochs,
        max_past_epoch_age: settings.past_age,
        path_optional_proposals: vec![PROPOSAL],
        ..Policy::default()
    }
}

/// What all clients support.
fn supported(provider: &CryptoProvider) -> Supported {
    let mut supported = Supported::new(provider);
    supported.extensions.push(EXTENSION);
    supported.proposals.push(PROPOSAL);
    supported
}

/// Who may propose from outside.
pub(crate) fn moderator(provider: CryptoProvider) -> SoftwareSigner {
    let suite = provider.suites[0];
    SoftwareSigner::generate(suite, &mut SeededRandom::new(4711)).expect("the randomness does not fail")
}

fn extensions(version: Option<(u32, bool)>, provider: CryptoProvider) -> Extensions {
    let mut extensions = Extensions::new();
    let Some((version, sender)) = version else { return extensions };
    extensions.set(EXTENSION, version.to_be_bytes().to_vec());
    if sender {
        let sender = ExternalSender {
            signature_key: moderator(provider).public_key().clone(),
            credential: Credential::basic("moderator"),
        };
        extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![sender].to_bytes().expect("short"));
    }
    extensions
}
