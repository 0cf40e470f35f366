//! A member whose client does what ours does not: from the state of one who does.

use hushwood::commit::Answers;
use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{MlsMessage, Sender};
use hushwood::group::client::keep_key_package;
use hushwood::group::{
    CommitPlan, ExternalJoin, Group, GroupInfoOptions, GroupView, LeafUpdate, NewProposal, OpenedWelcome,
    Received, StagedExternalJoin,
};
use hushwood::key_package::{KeyPackageBuilder, NewKeyPackage, validate};
use hushwood::policy::{Policy, Timestamp};
use hushwood::proposal::{Proposal, Remove};
use hushwood::transition::{Durable, InstanceId, RecordKey, RecordKind, Records, Step};
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood::unverified::Unverified;
use hushwood_client::{DeviceId, RoomId, Transport};
use hushwood_codec::{Decode, DecodeLimits, Encode, Reader, wire_struct};
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, SignaturePrivateKey, Signer, SoftwareSigner, sign_with_label,
};
use hushwood_delivery::wire::{
    Admission, Answer, Call, CommitAnswer, CommitRequest, EntryKind, ExternalSenderProof, GroupInfoAnswer,
    GroupInfoRequest, GroupKey, MemberProof, REQUEST_LABEL, ReadAnswer, ReadRequest, Recipient, SendAnswer,
    SendRequest,
};
use hushwood_rustcrypto::PROVIDER;
use hushwood_store::MemoryStore;
use test_support::random::SeededRandom;

use super::{Carried, Person, SERVICE, World};

wire_struct! {
    /// What stands in an encrypted message, as the client has it.
    pub struct Content {
        pub version: u8,
        pub kind: u8,
        pub id: [u8; 16],
        pub sent_at: u64,
        pub head: u64,
        pub chain: [u8; 16],
        pub authenticator: [u8; 8],
        pub body: Vec<u8>,
    }
}

/// Somebody in a room who keeps to no rule but those of the protocol.
pub struct Mallory {
    pub group: Group,
    pub store: MemoryStore,
    pub signer: SoftwareSigner,
    pub random: SeededRandom,
    key: GroupKey,
    transport: Carried,
    /// How far the log was read.
    cursor: u64,
    /// The number of the commit that began the epoch.
    begun: u64,
    /// What the last commit was sent with.
    welcome: Option<Vec<u8>>,
}

impl Mallory {
    /// Goes on from a copy of what a person has, who has read all of the log up to this number, the last commit.
    pub fn instead_of(person: &Person, room: &RoomId, world: &World, cursor: u64) -> Self {
        let store = person.disk.state().store.snapshot();
        let instance = Group::instance_of(&store, &room.0).unwrap().unwrap();
        let group = Group::open(&store, &PROVIDER, instance).unwrap();
        let device = InstanceId::new(*b"hushwood/device ");
        let row = store.get(&RecordKey::new(device, RecordKind::Application, "")).unwrap().unwrap();
        let mut reader = Reader::new(row.expose(), DecodeLimits::default()).unwrap();
        u8::decode(&mut reader).unwrap();
        Vec::<u8>::decode(&mut reader).unwrap();
        <[u8; 16]>::decode(&mut reader).unwrap();
        Vec::<u8>::decode(&mut reader).unwrap();
        <[u8; 16]>::decode(&mut reader).unwrap();
        Vec::<u8>::decode(&mut reader).unwrap();
        let suite = PROVIDER.suite(CipherSuiteId(u16::decode(&mut reader).unwrap())).unwrap();
        let key = SignaturePrivateKey(hushwood_crypto::Secret::new(Vec::decode(&mut reader).unwrap()));
        let signer = SoftwareSigner::new(suite, key).unwrap();
        let key = group_key(&group);
        let random = SeededRandom::new(4711);
        Self {
            group,
            store,
            signer,
            random,
            key,
            transport: world.transport(),
            cursor,
            begun: cursor,
            welcome: None,
        }
    }

    /// Reads what is new, and believes all of it.
    pub fn read(&mut self, world: &World) {
        loop {
            let mut read = ReadRequest {
                group_id: self.group.group_id().to_vec(),
                key: self.key.clone(),
                after: self.cursor,
                most: 100,
                proof: self.proof(world),
            };
            read.proof.signature = self.sign(&read.signed(SERVICE));
            let Ok(Answer::Read(ReadAnswer::Page(page))) = self.transport.call(Call::Read(read), None) else {
                panic!("nothing to read");
            };
            if page.entries.is_empty() {
                return;
            }
            for entry in page.entries {
                self.cursor = entry.sequence;
                if entry.kind == EntryKind::Message {
                    continue;
                }
                let now = world.now.seconds();
                match self.group.receive(&entry.message, now).unwrap() {
                    Received::Commit(commit) => {
                        let answers = Answers::none();
                        let staged =
                            self.group.stage_commit(&commit, &answers, now, &mut self.random).unwrap();
                        let verdicts = super::all(staged.checks());
                        done(self.group.accept_commit(staged, &verdicts, now).unwrap());
                        self.begun = entry.sequence;
                    }
                    Received::Proposal(proposal) => {
                        let verdicts = super::all(proposal.checks());
                        done(self.group.accept_proposal(proposal, &verdicts).unwrap());
                    }
                    _ => {}
                }
            }
        }
    }

    /// Proposes something.
    pub fn propose(&mut self, world: &World, proposal: NewProposal<'_>) -> SendAnswer {
        let message = self.proposed(world, proposal);
        self.send(world, message)
    }

    /// A proposal that is not sent yet.
    pub fn proposed(&mut self, world: &World, proposal: NewProposal<'_>) -> Vec<u8> {
        let now = world.now.seconds();
        let step = self.group.propose(proposal, b"", &self.signer, now, &mut self.random).unwrap();
        done(step).message
    }

    /// A commit that is not sent.
    pub fn committed(&mut self, world: &World, plan: CommitPlan<'_>) -> Vec<u8> {
        let now = world.now.seconds();
        let step = self.group.commit(plan, &Answers::none(), &self.signer, now, &mut self.random).unwrap();
        done(step).outgoing.message
    }

    /// Says something, with this around it.
    pub fn say(&mut self, world: &World, change: impl FnOnce(&mut Content), text: &str) -> SendAnswer {
        let authenticator = self.group.epoch_authenticator().unwrap().to_vec();
        let id = self.group.group_id();
        let numbers =
            [self.group.epoch(), self.begun, u64::try_from(id.len()).unwrap()].map(u64::to_be_bytes);
        let parts: [&[u8]; 4] = [b"hushwood epoch of a log 1", numbers.as_flattened(), id, &authenticator];
        let chain = self.group.suite().hash().hash(&parts).as_bytes()[..16].try_into().unwrap();
        let mut content = Content {
            version: 1,
            kind: 1,
            id: self.random.bytes(16).try_into().unwrap(),
            sent_at: world.now.0,
            head: self.begun,
            chain,
            authenticator: authenticator[..8].try_into().unwrap(),
            body: text.as_bytes().to_vec(),
        };
        change(&mut content);
        let content = content.to_bytes().unwrap();
        let message =
            done(self.group.encrypt(&content, b"", &self.signer, &mut self.random).unwrap()).message;
        self.send(world, message)
    }

    /// Commits something, and follows it if it was taken.
    pub fn commit(
        &mut self,
        world: &World,
        plan: CommitPlan<'_>,
        recipients: Vec<Recipient>,
    ) -> Result<CommitAnswer, String> {
        self.commit_with(world, plan, (recipients, &Answers::none()))
    }

    /// The same with pre-shared keys.
    pub fn commit_with(
        &mut self,
        world: &World,
        plan: CommitPlan<'_>,
        (recipients, answers): (Vec<Recipient>, &Answers),
    ) -> Result<CommitAnswer, String> {
        let now = world.now.seconds();
        let epoch = self.group.epoch();
        let after = plan.leaf.signer;
        let step = self.group.commit(plan, answers, &self.signer, now, &mut self.random).unwrap();
        let staged = done(step);
        let options = GroupInfoOptions { ratchet_tree: false, external_pub: true };
        let signer = after.unwrap_or(&self.signer);
        let group_info = self.group.group_info_after(&staged.id, options, signer, &mut self.random).unwrap();
        self.welcome = self.group.welcomes_after(&staged.id).unwrap().pop();
        let mut commit = CommitRequest {
            request: self.random.bytes(32).try_into().unwrap(),
            group_id: self.group.group_id().to_vec(),
            key: self.key.clone(),
            epoch,
            commit: staged.outgoing.message,
            group_info,
            welcome: self.welcome.clone(),
            recipients,
            admission: Admission::Member(self.proof(world)),
        };
        let signature = self.sign(&commit.signed(SERVICE));
        commit.admission.set_signature(signature);
        match self.transport.call(Call::Commit(commit), None) {
            Ok(Answer::Commit(answer)) => {
                if let CommitAnswer::Accepted(sequence) = answer {
                    (self.cursor, self.begun) = (sequence, sequence);
                    done(self.group.apply(&staged.id, now).unwrap());
                }
                Ok(answer)
            }
            other => Err(format!("{other:?}")),
        }
    }

    /// The external commit of somebody outside, by what she has told them of the group.
    pub fn joined_from_outside(&mut self, world: &World) -> Vec<u8> {
        let there = self.group_info(world);
        let signer = SoftwareSigner::generate(self.group.suite(), &mut self.random).unwrap();
        let mut supported = Supported::new(&PROVIDER);
        supported.suites = vec![self.group.suite().id()];
        supported.extensions.extend([ExtensionType(0xF0D1), ExtensionType(0xF0D3)]);
        let settings = ExternalJoin {
            policy: policy(),
            ..ExternalJoin::new(PROVIDER, Credential::basic("eve"), supported)
        };
        let (tree, now) = (Some(there.ratchet_tree.as_slice()), world.now.seconds());
        let staged =
            StagedExternalJoin::stage(&there.group_info, tree, settings, &signer, now, &mut self.random);
        let staged = staged.unwrap();
        let verdicts = super::all(staged.checks());
        done(staged.accept(&verdicts, &MemoryStore::new(), &mut self.random).unwrap()).1.message
    }

    /// What the service gives to members who come back.
    pub fn group_info(&mut self, world: &World) -> GroupInfoAnswer {
        let mut info = GroupInfoRequest {
            group_id: self.group.group_id().to_vec(),
            key: self.key.clone(),
            admission: Admission::Member(self.proof(world)),
        };
        let signature = self.sign(&info.signed(SERVICE));
        info.admission.set_signature(signature);
        match self.transport.call(Call::GroupInfo(info), None) {
            Ok(Answer::GroupInfo(there)) => there,
            other => panic!("{other:?}"),
        }
    }

    /// Proposes to remove a member, as the external sender at this position, with what was known of the group at last.
    pub fn propose_from_outside(
        &mut self,
        world: &World,
        sender_index: u32,
        removed: LeafIndex,
    ) -> Result<(), String> {
        let mut info = GroupInfoRequest {
            group_id: self.group.group_id().to_vec(),
            key: self.key.clone(),
            admission: Admission::ExternalSender(ExternalSenderProof {
                sender_index,
                at: world.now.seconds().0,
                signature: Vec::new(),
            }),
        };
        let signature = self.sign(&info.signed(SERVICE));
        info.admission.set_signature(signature);
        let there = match self.transport.call(Call::GroupInfo(info), None) {
            Ok(Answer::GroupInfo(there)) => there,
            other => return Err(format!("{other:?}")),
        };
        let (policy, now) = (Policy::default(), world.now.seconds());
        let tree = Some(there.ratchet_tree.as_slice());
        let view =
            GroupView::verify(&there.group_info, tree, &PROVIDER, (&policy, now), &mut self.random).unwrap();
        let remove = Proposal::Remove(Remove { removed });
        let message = view.external_proposal(sender_index, remove, &self.signer, now).unwrap();
        let mut send = SendRequest {
            request: self.random.bytes(32).try_into().unwrap(),
            group_id: self.group.group_id().to_vec(),
            key: self.key.clone(),
            message,
            admission: Admission::ExternalSender(ExternalSenderProof {
                sender_index,
                at: now.0,
                signature: Vec::new(),
            }),
        };
        let signature = self.sign(&send.signed(SERVICE));
        send.admission.set_signature(signature);
        self.transport.call(Call::Send(send), None).map(drop).map_err(|error| error.to_string())
    }

    /// Commits, with another signature key for our own leaf.
    pub fn renew_key(&mut self, world: &World) {
        let signer = SoftwareSigner::generate(self.group.suite(), &mut self.random).unwrap();
        let leaf = LeafUpdate { signer: Some(&signer), ..LeafUpdate::default() };
        self.commit(world, CommitPlan { leaf, ..CommitPlan::default() }, Vec::new()).unwrap();
        self.signer = signer;
    }

    /// Adds somebody who says that they are this device of this person, and is them from then on.
    pub fn bring(&mut self, world: &World, (person, device): (&str, DeviceId), recipient: Recipient) -> Self {
        let signer = SoftwareSigner::generate(self.group.suite(), &mut self.random).unwrap();
        self.bring_as(world, (Credential::basic(format!("{person}/{device}")), signer), recipient)
    }

    /// Adds somebody who shows this, and is them from then on.
    pub fn bring_as(
        &mut self,
        world: &World,
        (credential, signer): (Credential, SoftwareSigner),
        recipient: Recipient,
    ) -> Self {
        let (suite, now) = (self.group.suite(), world.now.seconds());
        let new = made_up(suite, (credential, &signer), now, &mut self.random);
        let key_package = Unverified::new(new.key_package.clone());
        let policy = policy();
        let valid = validate(key_package, suite, &policy, now).unwrap();
        let mut store = MemoryStore::new();
        keep_key_package(new).unwrap().commit(&mut store).unwrap();
        let plan = CommitPlan { proposals: vec![NewProposal::Add(Box::new(valid))], ..CommitPlan::default() };
        self.commit(world, plan, vec![recipient]).unwrap();
        let welcome = self.welcome.take().unwrap();
        let opened = OpenedWelcome::open(&welcome, &store, &PROVIDER, &policy).unwrap();
        let tree = self.group.ratchet_tree().unwrap();
        let staged = opened.stage(&Answers::none(), Some(&tree), None, now, &mut self.random).unwrap();
        let verdicts = super::all(staged.checks());
        let group = done(staged.accept(&verdicts, &store, &mut self.random).unwrap());
        let random = SeededRandom::new(self.random.number());
        let (key, transport) = (self.key.clone(), self.transport.clone());
        Self {
            group,
            store,
            signer,
            random,
            key,
            transport,
            cursor: self.cursor,
            begun: self.begun,
            welcome: None,
        }
    }

    /// Proposes to add somebody under this name, and commits nothing.
    pub fn propose_to_add(&mut self, world: &World, (person, device): (&str, DeviceId)) {
        let (suite, now) = (self.group.suite(), world.now.seconds());
        let signer = SoftwareSigner::generate(suite, &mut self.random).unwrap();
        let credential = Credential::basic(format!("{person}/{device}"));
        let new = made_up(suite, (credential, &signer), now, &mut self.random);
        let valid = validate(Unverified::new(new.key_package), suite, &policy(), now).unwrap();
        self.propose(world, NewProposal::Add(Box::new(valid)));
    }

    /// A KeyPackage of somebody who says that they are this device of this person.
    pub fn key_package(&self, world: &World, person: &str, device: DeviceId) -> Vec<u8> {
        let mut random = SeededRandom::new(815);
        let suite = self.group.suite();
        let signer = SoftwareSigner::generate(suite, &mut random).unwrap();
        let credential = Credential::basic(format!("{person}/{device}"));
        let new = made_up(suite, (credential, &signer), world.now.seconds(), &mut random);
        MlsMessage::KeyPackage(Box::new(Unverified::new(new.key_package))).to_bytes().unwrap()
    }

    fn send(&mut self, world: &World, message: Vec<u8>) -> SendAnswer {
        self.try_send(world, message).unwrap()
    }

    /// Sends a message; why the service does not take it.
    pub fn try_send(&mut self, world: &World, message: Vec<u8>) -> Result<SendAnswer, String> {
        let mut send = SendRequest {
            request: self.random.bytes(32).try_into().unwrap(),
            group_id: self.group.group_id().to_vec(),
            key: self.key.clone(),
            message,
            admission: Admission::Member(self.proof(world)),
        };
        let signature = self.sign(&send.signed(SERVICE));
        send.admission.set_signature(signature);
        match self.transport.call(Call::Send(send), None) {
            Ok(Answer::Send(answer)) => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    }

    fn proof(&self, world: &World) -> MemberProof {
        MemberProof {
            leaf_index: self.group.own_leaf().number(),
            at: world.now.seconds().0,
            signature: Vec::new(),
        }
    }

    fn sign(&self, content: &[u8]) -> Vec<u8> {
        let signer: &dyn Signer = &self.signer;
        sign_with_label(signer, REQUEST_LABEL, content).unwrap()
    }
}

/// Who has sent a proposal that waits, for tests that look.
pub fn senders(group: &Group) -> Vec<Sender> {
    group.pending_proposals().map(|pending| pending.sender).collect()
}

fn group_key(group: &Group) -> GroupKey {
    let delivery = hushwood::extension::ExtensionType(0xF0D1);
    let bytes = &group.context().extensions.get(delivery).unwrap().extension_data;
    let mut reader = Reader::new(bytes, DecodeLimits::default()).unwrap();
    u8::decode(&mut reader).unwrap();
    GroupKey::decode(&mut reader).unwrap()
}

fn done<T>(step: Step<'_, T>) -> T {
    let (_, pending) = step.begin();
    pending.confirm(Durable::assert())
}

fn policy() -> Policy {
    Policy { encrypt_handshakes: false, ratchet_tree_extension: false, ..Policy::default() }
}

/// Keys of nobody, under this name.
fn made_up(
    suite: &'static dyn CipherSuite,
    (credential, signer): (Credential, &SoftwareSigner),
    now: Timestamp,
    random: &mut SeededRandom,
) -> NewKeyPackage {
    let mut supported = Supported::new(&PROVIDER);
    supported.suites = vec![suite.id()];
    supported.extensions.push(ExtensionType(0xF0D1));
    if !matches!(credential, Credential::Basic { .. }) {
        supported.credentials.push(credential.credential_type());
    }
    let content = LeafContent { credential, supported, extensions: Extensions::new() };
    KeyPackageBuilder::new(suite, content).build(signer, &policy(), now, random).unwrap()
}
