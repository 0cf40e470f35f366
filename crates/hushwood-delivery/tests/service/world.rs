//! Clients and nodes for the tests: real groups, on the back end in a file.

use std::sync::Arc;
use std::time::Duration;

use hushwood::codec::{Decode, Encode, Writer};
use hushwood::commit::Answers;
use hushwood::crypto::{CipherSuiteId, Random, Signer, SoftwareSigner, sign_with_label};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::group::client::keep_key_package;
use hushwood::group::{CommitId, CommitPlan, GroupInfoOptions, NewProposal, OpenedWelcome};
use hushwood::key_package::KeyPackageBuilder;
use hushwood::schedule::GroupContext;
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood::unverified::Unverified;
use hushwood::welcome::GroupInfo;
use hushwood_delivery::backend::{Backend, Seconds, SqliteBackend, SqliteSettings};
use hushwood_delivery::service::{Device, Service, ServiceSettings};
use hushwood_delivery::wire::{
    Admission, ClaimRequest, CommitAnswer, CommitRequest, CreateRequest, ExternalSenderProof,
    GroupInfoAnswer, GroupInfoRequest, GroupKey, INVITATION_LABEL, Invitation, InvitedProof, LogEntry,
    LogPage, Login, MemberProof, PublishedKeyPackage, REQUEST_LABEL, ReadAnswer, ReadRequest, Recipient,
    Refusal, Registration, SendRequest, TreeAnswer, TreeRequest,
};
use tempfile::TempDir;
use test_support::actor::{Actor, NOW};

pub(crate) const SERVICE: &str = "delivery.example";
pub(crate) const INFO: GroupInfoOptions = GroupInfoOptions { ratchet_tree: false, external_pub: true };

pub(crate) fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

pub(crate) struct World {
    _folder: TempDir,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) service: Service,
}

pub(crate) async fn world() -> World {
    world_with(settings()).await
}

pub(crate) async fn world_with(settings: ServiceSettings) -> World {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let service = Service::new(backend.clone(), settings).await.unwrap();
    World { _folder: folder, backend, service }
}

pub(crate) fn settings() -> ServiceSettings {
    let mut settings = ServiceSettings::new(SERVICE);
    settings.clock = || Seconds(NOW.0);
    settings.snapshot_every = 4;
    settings
}

/// A service beside others on the same back end.
pub(crate) async fn node(backend: &Arc<dyn Backend>) -> Service {
    Service::new(backend.clone(), settings()).await.unwrap()
}

pub(crate) struct Client {
    pub(crate) actor: Actor,
    pub(crate) device_key: SoftwareSigner,
    pub(crate) account: [u8; 16],
    pub(crate) device: [u8; 16],
    /// How much of the log it has stored for itself.
    pub(crate) read: u64,
}

impl Client {
    pub(crate) fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed);
        actor.policy.encrypt_handshakes = false;
        actor.policy.ratchet_tree_extension = false;
        actor.reload = false;
        let device_key = SoftwareSigner::generate(actor.suite, &mut actor.random).unwrap();
        let mut ids = [0; 32];
        actor.random.fill(&mut ids).unwrap();
        let (account, device) = (ids[..16].try_into().unwrap(), ids[16..].try_into().unwrap());
        Self { actor, device_key, account, device, read: 0 }
    }

    pub(crate) async fn registered(name: &str, service: &Service) -> (Self, Device) {
        let mut client = Self::new(name);
        service.register(client.registration(service)).await.unwrap();
        client.publish(service, 3).await.unwrap();
        let device = client.log_in(service).await;
        (client, device)
    }

    pub(crate) fn registration(&self, service: &Service) -> Registration {
        self.registration_as(service, self.actor.name.as_bytes())
    }

    pub(crate) fn registration_as(&self, service: &Service, name: &[u8]) -> Registration {
        let mut registration = Registration {
            account: self.account,
            name: name.to_vec(),
            device: self.device,
            key: self.device_key.public_key().0.clone(),
            challenge: service.challenge().unwrap().bytes,
            signature: Vec::new(),
            authorization: None,
            invite_token: None,
        };
        registration.signature = self.device_key.sign(&registration.signed(SERVICE)).unwrap();
        registration
    }

    pub(crate) async fn log_in(&self, service: &Service) -> Device {
        let challenge = service.challenge().unwrap().bytes;
        let signed = Login::signed(SERVICE, self.account, self.device, &challenge);
        let signature = self.device_key.sign(&signed).unwrap();
        let login = Login { account: self.account, device: self.device, challenge, signature };
        service.device(&service.login(login).await.unwrap().bytes).unwrap()
    }

    pub(crate) async fn publish(&mut self, service: &Service, count: usize) -> Result<(), Refusal> {
        let device = self.log_in(service).await;
        let packages = (0..count).map(|_| PublishedKeyPackage { message: self.actor.key_package() });
        service.publish(device, packages.collect()).await
    }

    /// A KeyPackage of last resort.
    pub(crate) fn last_resort(&mut self) -> Vec<u8> {
        let content = LeafContent {
            credential: self.actor.credential(),
            supported: Supported::new(&self.actor.provider),
            extensions: Extensions::new(),
        };
        let Actor { suite, signer, policy, random, store, .. } = &mut self.actor;
        let builder = KeyPackageBuilder::new(*suite, content).last_resort();
        let new = builder.build(&*signer, policy, NOW, random).unwrap();
        keep_key_package(new).unwrap().commit(store).unwrap()
    }

    pub(crate) fn request(&mut self) -> [u8; 32] {
        let mut id = [0; 32];
        self.actor.random.fill(&mut id).unwrap();
        id
    }

    pub(crate) fn sign(&self, content: &[u8]) -> Vec<u8> {
        sign_with_label(&self.actor.signer, REQUEST_LABEL, content).unwrap()
    }

    pub(crate) fn create_request(&mut self) -> CreateRequest {
        let mut request = CreateRequest {
            request: self.request(),
            key: key(),
            group_info: self.actor.group_info(false),
            ratchet_tree: self.actor.group().ratchet_tree().unwrap(),
            proof: self.proof(),
        };
        request.proof.signature = self.sign(&request.signed(SERVICE));
        request
    }

    pub(crate) async fn create_group(&mut self, service: &Service) {
        self.actor.create();
        let device = self.log_in(service).await;
        service.create_group(device, self.create_request()).await.unwrap();
    }

    pub(crate) fn group_id(&self) -> Vec<u8> {
        self.actor.group().group_id().to_vec()
    }

    /// A commit that is staged, as it is sent.
    pub(crate) fn commit(
        &mut self,
        plan: CommitPlan<'_>,
        recipients: Vec<Recipient>,
    ) -> (CommitId, CommitRequest) {
        let (id, commit) = self.actor.commit_with(plan, &Answers::none()).unwrap();
        let request = self.request();
        let Actor { group, signer, random, .. } = &mut self.actor;
        let group = group.as_ref().unwrap();
        let group_info = group.group_info_after(&id, INFO, signer, random).unwrap();
        let welcome = group.welcomes_after(&id).unwrap().pop();
        let (group_id, epoch) = (group.group_id().to_vec(), group.epoch());
        let admission = Admission::Member(self.proof());
        let request = CommitRequest {
            request,
            group_id,
            key: key(),
            epoch,
            commit,
            group_info,
            welcome,
            recipients,
            admission,
        };
        (id, self.signed_commit(request))
    }

    /// The same request with a signature of ours.
    pub(crate) fn signed_commit(&self, mut request: CommitRequest) -> CommitRequest {
        let signature = self.sign(&request.signed(SERVICE));
        request.admission.set_signature(signature);
        request
    }

    /// Commits nothing but new keys, and applies it.
    pub(crate) async fn update(&mut self, service: &Service) -> u64 {
        let (id, request) = self.commit(CommitPlan::default(), Vec::new());
        self.send_commit(service, (id, request)).await
    }

    pub(crate) async fn send_commit(
        &mut self,
        service: &Service,
        (id, request): (CommitId, CommitRequest),
    ) -> u64 {
        let Ok(CommitAnswer::Accepted(sequence)) = service.commit(request).await else { panic!("accepted") };
        self.actor.apply(&id).unwrap();
        self.read = sequence;
        sequence
    }

    /// Claims KeyPackages of these accounts, and adds them.
    pub(crate) async fn invite(
        &mut self,
        service: &Service,
        by: Device,
        names: &[&str],
    ) -> (CommitId, CommitRequest) {
        let (mut recipients, mut proposals) = (Vec::new(), Vec::new());
        for name in names {
            let claim = ClaimRequest { name: name.as_bytes().to_vec(), suite: 1 };
            for claimed in service.claim(by, claim).await.unwrap() {
                let valid = self.actor.validate(&claimed.message).unwrap();
                proposals.push(NewProposal::Add(Box::new(valid)));
                recipients.push(Recipient { account: claimed.account, device: claimed.device });
            }
        }
        self.commit(CommitPlan { proposals, ..CommitPlan::default() }, recipients)
    }

    pub(crate) async fn remove(&mut self, service: &Service, leaf: LeafIndex) -> u64 {
        let proposals = vec![NewProposal::Remove(leaf)];
        let commit = self.commit(CommitPlan { proposals, ..CommitPlan::default() }, Vec::new());
        self.send_commit(service, commit).await
    }

    /// Waits for a Welcome, and gives it with its name.
    pub(crate) async fn welcome(&self, service: &Service) -> ([u8; 32], Vec<u8>) {
        let device = self.log_in(service).await;
        for _ in 0..500 {
            if let Some(entry) = service.inbox(device, None).await.unwrap().pop() {
                return (entry.id, entry.message);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no Welcome has come")
    }

    /// What a Welcome says of the tree that belongs to it.
    pub(crate) fn tree_request(&self, welcome: &[u8]) -> TreeRequest {
        let Actor { store, provider, policy, .. } = &self.actor;
        let opened = OpenedWelcome::open(welcome, store, provider, policy).unwrap();
        let group_info = opened.group_info(&Answers::none(), None).unwrap();
        let context = group_info.inspect().group_context.clone();
        let (group_id, epoch, tree_hash) = (context.group_id, context.epoch, context.tree_hash);
        TreeRequest { group_id, key: key(), epoch, tree_hash }
    }

    pub(crate) async fn join(&mut self, service: &Service) {
        let (id, welcome) = self.welcome(service).await;
        let TreeAnswer { sequence, ratchet_tree, .. } =
            service.tree(&self.tree_request(&welcome)).await.unwrap();
        self.actor.join(&welcome, Some(&ratchet_tree)).unwrap();
        self.read = sequence;
        let device = self.log_in(service).await;
        service.acknowledge(device, vec![id]).await.unwrap();
        assert_eq!(service.inbox(device, None).await.unwrap(), []);
    }

    pub(crate) fn proof(&self) -> MemberProof {
        MemberProof { leaf_index: self.actor.leaf().number(), at: NOW.0, signature: Vec::new() }
    }

    pub(crate) fn member(&self) -> Admission {
        Admission::Member(self.proof())
    }

    /// An invitation for somebody, by us.
    pub(crate) fn invitation(&self, guest: &Self) -> Invitation {
        self.signed_invitation(Invitation {
            leaf_index: self.actor.leaf().number(),
            epoch: self.actor.group().epoch(),
            signature_key: guest.actor.signer.public_key().0.clone(),
            not_after: NOW.0 + 3600,
            signature: Vec::new(),
        })
    }

    pub(crate) fn signed_invitation(&self, mut invitation: Invitation) -> Invitation {
        let content = invitation.signed(SERVICE, &self.group_id());
        invitation.signature = sign_with_label(&self.actor.signer, INVITATION_LABEL, &content).unwrap();
        invitation
    }

    pub(crate) fn send_request(&mut self, message: Vec<u8>) -> SendRequest {
        let (group_id, admission) = (self.group_id(), self.member());
        self.send_request_as(group_id, message, admission)
    }

    pub(crate) fn send_request_as(
        &mut self,
        group_id: Vec<u8>,
        message: Vec<u8>,
        admission: Admission,
    ) -> SendRequest {
        let request = self.request();
        let mut send = SendRequest { request, group_id, key: key(), message, admission };
        let signature = self.sign(&send.signed(SERVICE));
        send.admission.set_signature(signature);
        send
    }

    pub(crate) fn read_request(&self, after: u64) -> ReadRequest {
        let (group_id, proof) = (self.group_id(), self.proof());
        let mut read = ReadRequest { group_id, key: key(), after, most: 100, proof };
        read.proof.signature = self.sign(&read.signed(SERVICE));
        read
    }

    pub(crate) async fn page(&self, service: &Service, after: u64) -> LogPage {
        match service.read(self.read_request(after)).await.unwrap() {
            ReadAnswer::Page(page) => page,
            trimmed @ ReadAnswer::Trimmed { .. } => panic!("{trimmed:?}"),
        }
    }

    /// The numbers of what it may read after one.
    pub(crate) async fn numbers(&self, service: &Service, after: u64) -> Vec<u64> {
        self.page(service, after).await.entries.iter().map(|entry| entry.sequence).collect()
    }

    /// Reads on, and gives the texts.
    pub(crate) async fn sync(&mut self, service: &Service) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        for LogEntry { sequence, message, .. } in self.page(service, self.read).await.entries {
            if let Ok(test_support::actor::Outcome::Message(message)) = self.actor.receive(&message) {
                texts.push(message.plaintext.expose().to_vec());
            }
            self.read = sequence;
        }
        texts
    }

    pub(crate) async fn group_info(
        &self,
        service: &Service,
        group_id: &[u8],
        admission: Admission,
    ) -> Result<GroupInfoAnswer, Refusal> {
        let mut request = GroupInfoRequest { group_id: group_id.to_vec(), key: key(), admission };
        let signature = self.sign(&request.signed(SERVICE));
        request.admission.set_signature(signature);
        service.group_info(&request).await
    }

    /// Joins from outside, in place of a leaf or beside the others: the commit as it is sent.
    pub(crate) fn external_commit(
        &mut self,
        (group_info, tree): (&[u8], &[u8]),
        resync: Option<LeafIndex>,
        admission: Admission,
    ) -> CommitRequest {
        // It may have been in the group before, or have tried.
        self.actor.store = Default::default();
        let commit = self.actor.external_join(group_info, Some(tree), resync).unwrap();
        let group_info = self.actor.group_info(false);
        let epoch = self.actor.group().epoch() - 1;
        let request = CommitRequest {
            request: self.request(),
            group_id: self.group_id(),
            key: key(),
            epoch,
            commit,
            group_info,
            welcome: None,
            recipients: Vec::new(),
            admission,
        };
        self.signed_commit(request)
    }
}

/// By somebody who was invited.
pub(crate) fn invited(invitation: Invitation) -> Admission {
    Admission::Invited(InvitedProof { invitation, at: NOW.0, signature: Vec::new() })
}

/// By the external sender at this position.
pub(crate) fn external_sender(sender_index: u32) -> Admission {
    Admission::ExternalSender(ExternalSenderProof { sender_index, at: NOW.0, signature: Vec::new() })
}

/// A GroupInfo with other extensions, signed by whom it says.
pub(crate) fn with_extensions(
    signer: &Client,
    group_info: &[u8],
    change: impl FnOnce(&mut Extensions),
) -> Vec<u8> {
    with(signer, group_info, |group_info| change(&mut group_info.extensions))
}

/// A GroupInfo of another context, signed by whom it says.
pub(crate) fn with_context(
    signer: &Client,
    group_info: &[u8],
    change: impl FnOnce(&mut GroupContext),
) -> Vec<u8> {
    with(signer, group_info, |group_info| change(&mut group_info.group_context))
}

fn with(signer: &Client, group_info: &[u8], change: impl FnOnce(&mut GroupInfo)) -> Vec<u8> {
    let MlsMessage::GroupInfo(group_info) = MlsMessage::from_bytes(group_info).unwrap() else {
        panic!("a GroupInfo")
    };
    let mut group_info = group_info.inspect().clone();
    change(&mut group_info);
    let mut tbs = Writer::new();
    tbs.value(&group_info.group_context).value(&group_info.extensions);
    tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
    let tbs = tbs.finish().unwrap();
    group_info.signature = sign_with_label(&signer.actor.signer, "GroupInfoTBS", &tbs).unwrap();
    MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes().unwrap()
}

/// The same extensions without those of one type.
pub(crate) fn without(extensions: &mut Extensions, gone: ExtensionType) {
    *extensions = extensions.iter().filter(|one| one.extension_type != gone).cloned().collect();
}

/// Alice's group with Bob in it.
pub(crate) async fn two(world: &World) -> (Client, Client) {
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    let (mut bob, _) = Client::registered("bob", service).await;
    alice.create_group(service).await;
    let commit = alice.invite(service, device, &["bob"]).await;
    assert_eq!(alice.send_commit(service, commit).await, 1);
    bob.join(service).await;
    (alice, bob)
}
