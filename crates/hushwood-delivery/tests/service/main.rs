//! The rules of the service, with real clients and real groups on the back end in a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use hushwood::commit::Answers;
use hushwood::crypto::{CipherSuiteId, Random, Signer, SoftwareSigner, sign_with_label};
use hushwood::group::{CommitId, CommitPlan, GroupInfoOptions, LeafUpdate, NewProposal, OpenedWelcome};
use hushwood_delivery::backend::{Backend, Seconds, SqliteBackend, SqliteSettings};
use hushwood_delivery::service::{Device, Service, ServiceSettings};
use hushwood_delivery::wire::{
    Authorization, ClaimRequest, CommitAnswer, CommitRequest, CreateRequest, EntryKind, LogEntry, Login,
    MemberProof, PublishedKeyPackage, ReadRequest, Recipient, Refusal, Registration, SendAnswer, SendRequest,
};
use tempfile::TempDir;
use test_support::actor::{Actor, NOW};

const SERVICE: &str = "delivery.example";
const KEY: [u8; 32] = [7; 32];
const INFO: GroupInfoOptions = GroupInfoOptions { ratchet_tree: false, external_pub: true };

struct World {
    _folder: TempDir,
    backend: Arc<dyn Backend>,
    service: Service,
}

async fn world() -> World {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let service = node(&backend).await;
    World { _folder: folder, backend, service }
}

/// A service beside others on the same back end.
async fn node(backend: &Arc<dyn Backend>) -> Service {
    let mut settings = ServiceSettings::new(SERVICE);
    settings.clock = || Seconds(NOW.0);
    settings.snapshot_every = 4;
    Service::new(backend.clone(), settings).await.unwrap()
}

struct Client {
    actor: Actor,
    device_key: SoftwareSigner,
    account: [u8; 16],
    device: [u8; 16],
    /// How much of the log it has stored for itself.
    read: u64,
}

impl Client {
    fn new(name: &str) -> Self {
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

    async fn registered(name: &str, service: &Service) -> (Self, Device) {
        let mut client = Self::new(name);
        service.register(client.registration(service)).await.unwrap();
        client.publish(service, 3).await;
        let device = client.log_in(service).await;
        (client, device)
    }

    fn registration(&self, service: &Service) -> Registration {
        let mut registration = Registration {
            account: self.account,
            name: self.actor.name.clone().into_bytes(),
            device: self.device,
            key: self.device_key.public_key().0.clone(),
            challenge: service.challenge().unwrap().bytes,
            signature: Vec::new(),
            authorization: None,
        };
        registration.signature = self.device_key.sign(&registration.signed(SERVICE)).unwrap();
        registration
    }

    async fn log_in(&self, service: &Service) -> Device {
        let challenge = service.challenge().unwrap().bytes;
        let signed = Login::signed(SERVICE, self.account, self.device, &challenge);
        let signature = self.device_key.sign(&signed).unwrap();
        let login = Login { account: self.account, device: self.device, challenge, signature };
        service.device(&service.login(login).await.unwrap().bytes).unwrap()
    }

    async fn publish(&mut self, service: &Service, count: usize) {
        let device = self.log_in(service).await;
        let packages = (0..count).map(|_| PublishedKeyPackage { message: self.actor.key_package() });
        let packages = packages.collect();
        service.publish(device, packages).await.unwrap();
    }

    fn request(&mut self) -> [u8; 32] {
        let mut id = [0; 32];
        self.actor.random.fill(&mut id).unwrap();
        id
    }

    async fn create_group(&mut self, service: &Service) {
        self.actor.create();
        let request = CreateRequest {
            request: self.request(),
            key: KEY,
            group_info: self.actor.group_info(false),
            ratchet_tree: self.actor.group().ratchet_tree().unwrap(),
        };
        service.create_group(request).await.unwrap();
    }

    fn group_id(&self) -> Vec<u8> {
        self.actor.group().group_id().to_vec()
    }

    /// A commit that is staged, as it is sent.
    fn commit(&mut self, plan: CommitPlan<'_>, recipients: Vec<Recipient>) -> (CommitId, CommitRequest) {
        let (id, commit) = self.actor.commit_with(plan, &Answers::none()).unwrap();
        let request = self.request();
        let Actor { group, signer, random, .. } = &mut self.actor;
        let group = group.as_ref().unwrap();
        let group_info = group.group_info_after(&id, INFO, signer, random).unwrap();
        let welcome = group.welcomes_after(&id).unwrap().pop();
        let (group_id, epoch) = (group.group_id().to_vec(), group.epoch());
        let request =
            CommitRequest { request, group_id, key: KEY, epoch, commit, group_info, welcome, recipients };
        (id, request)
    }

    /// Claims KeyPackages of these accounts, and adds them.
    async fn invite(&mut self, service: &Service, by: Device, names: &[&str]) -> (CommitId, CommitRequest) {
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

    async fn join(&mut self, service: &Service) {
        let device = self.log_in(service).await;
        let inbox = service.inbox(device).await.unwrap();
        assert_eq!(inbox.len(), 1);
        let Actor { store, provider, policy, .. } = &self.actor;
        let opened = OpenedWelcome::open(&inbox[0].message, store, provider, policy).unwrap();
        let group_info = opened.group_info(&Answers::none(), None).unwrap();
        let context = &group_info.inspect().group_context;
        let (group_id, epoch) = (context.group_id.clone(), context.epoch);
        let there = service.group(&group_id, &KEY, Some(epoch)).await.unwrap();
        self.actor.join(&inbox[0].message, Some(&there.ratchet_tree)).unwrap();
        self.read = there.sequence;
        service.acknowledge(device, vec![inbox[0].id]).await.unwrap();
        assert_eq!(service.inbox(device).await.unwrap(), []);
    }

    fn proof(&self) -> MemberProof {
        MemberProof { leaf_index: self.actor.leaf().number(), at: NOW.0, signature: Vec::new() }
    }

    fn send_request(&mut self, message: Vec<u8>) -> SendRequest {
        let (request, group_id, proof) = (self.request(), self.group_id(), self.proof());
        let mut send = SendRequest { request, group_id, key: KEY, message, proof };
        let signed = send.signed(SERVICE);
        send.proof.signature = sign_with_label(&self.actor.signer, "DeliveryRequest", &signed).unwrap();
        send
    }

    fn read_request(&self, after: u64) -> ReadRequest {
        let (group_id, proof) = (self.group_id(), self.proof());
        let mut read = ReadRequest { group_id, key: KEY, slot: self.device, after, most: 100, proof };
        let signed = read.signed(SERVICE);
        read.proof.signature = sign_with_label(&self.actor.signer, "DeliveryRequest", &signed).unwrap();
        read
    }

    /// Reads on, and gives the texts.
    async fn sync(&mut self, service: &Service) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        for LogEntry { sequence, message, .. } in service.read(self.read_request(self.read)).await.unwrap() {
            if let Ok(test_support::actor::Outcome::Message(message)) = self.actor.receive(&message) {
                texts.push(message.plaintext.expose().to_vec());
            }
            self.read = sequence;
        }
        texts
    }
}

fn update() -> CommitPlan<'static> {
    CommitPlan::default()
}

/// Alice's group with Bob in it.
async fn two(world: &World) -> (Client, Client) {
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    let (mut bob, _) = Client::registered("bob", service).await;
    alice.create_group(service).await;
    let (id, request) = alice.invite(service, device, &["bob"]).await;
    assert_eq!(service.commit(request).await, Ok(CommitAnswer::Accepted(1)));
    alice.actor.apply(&id).unwrap();
    alice.read = 1;
    bob.join(service).await;
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_find_each_other_and_talk() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let hello = alice.actor.send(b"hello").unwrap();
    let send = alice.send_request(hello);
    assert_eq!(service.send(send.clone()).await, Ok(SendAnswer::Accepted(2)));
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(2)), "asked again, sent once");
    assert_eq!(bob.sync(service).await, [b"hello"]);
    assert_eq!(bob.read, 2);

    // A proposal, and the commit that covers it.
    let proposal = bob.actor.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let send = bob.send_request(proposal);
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(3)));
    alice.sync(service).await;
    let (id, request) = alice.commit(update(), Vec::new());
    assert_eq!(service.commit(request).await, Ok(CommitAnswer::Accepted(4)));
    alice.actor.apply(&id).unwrap();
    bob.sync(service).await;
    assert_eq!(
        bob.actor.group().epoch_authenticator().unwrap(),
        alice.actor.group().epoch_authenticator().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_one_wins_and_the_other_is_told() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mine, won) = alice.commit(update(), Vec::new());
    let (other, lost) = bob.commit(update(), Vec::new());
    assert_eq!(service.commit(won.clone()).await, Ok(CommitAnswer::Accepted(2)));
    assert_eq!(service.commit(lost).await, Ok(CommitAnswer::Stale { epoch: 2, winner: 2 }));
    assert_eq!(service.commit(won).await, Ok(CommitAnswer::Accepted(2)), "asked again");
    alice.actor.apply(&mine).unwrap();
    bob.sync(service).await;
    assert!(bob.actor.apply(&other).is_err(), "what lost is gone");
    assert_eq!(bob.actor.group().epoch(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_members_would_refuse_is_refused() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (_, good) = alice.commit(update(), Vec::new());
    let mut flipped = good.clone();
    // In the signature; the two tags after it are 33 bytes each.
    let at = flipped.commit.len() - 80;
    flipped.commit[at] ^= 1;
    let mut other_info = good.clone();
    other_info.group_info = bob.actor.group_info(false);
    let mut welcome = good.clone();
    welcome.recipients = vec![Recipient { account: bob.account, device: bob.device }];
    let mut other_key = good.clone();
    other_key.key = [8; 32];
    for (bad, why) in
        [(flipped, "signature"), (other_info, "epoch"), (welcome, "Welcome"), (other_key, "key")]
    {
        let refusal = service.commit(bad).await.unwrap_err();
        assert!(refusal.to_string().contains(why), "{why}: {refusal}");
    }
    // None of it has left anything.
    assert_eq!(service.commit(good).await, Ok(CommitAnswer::Accepted(2)));
    bob.sync(service).await;
    assert_eq!(bob.actor.group().epoch(), 2);
}

/// What was not checked is not written, though the epoch that it names may come while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_an_epoch_to_come_leaves_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mine, good) = alice.commit(update(), Vec::new());
    let mut early = good.clone();
    (early.epoch, early.commit, early.request) = (good.epoch + 1, b"garbage".to_vec(), [1; 32]);
    assert_eq!(service.commit(early.clone()).await, Ok(CommitAnswer::Stale { epoch: 1, winner: 0 }));
    let (won, _) = tokio::join!(service.commit(good), service.commit(early.clone()));
    assert_eq!(won, Ok(CommitAnswer::Accepted(2)));
    // Its epoch has come: now it is looked at.
    assert!(matches!(service.commit(early).await, Err(Refusal::Invalid(_))));
    alice.actor.apply(&mine).unwrap();
    bob.sync(service).await;
    assert_eq!(bob.actor.group().epoch(), 2);
}

/// Two nodes take proposals in turn, and each follows what the other took.
#[tokio::test(flavor = "multi_thread")]
async fn proposals_of_two_nodes_are_all_there_for_a_commit() {
    let world = world().await;
    let nodes = [node(&world.backend).await, node(&world.backend).await];
    let (mut alice, mut bob) = two(&world).await;
    for (round, node) in nodes.iter().chain(&nodes).enumerate() {
        let client = if round % 2 == 0 { &mut alice } else { &mut bob };
        let proposal = NewProposal::Update(LeafUpdate::default());
        let proposal = client.actor.propose(proposal).unwrap();
        let send = client.send_request(proposal);
        assert_eq!(node.send(send).await, Ok(SendAnswer::Accepted(u64::try_from(round).unwrap() + 2)));
    }
    alice.sync(&nodes[0]).await;
    bob.sync(&nodes[1]).await;
    let (_, request) = alice.commit(update(), Vec::new());
    assert_eq!(nodes[1].commit(request).await, Ok(CommitAnswer::Accepted(6)));
}

/// The same name for another request is no second answer to the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_known_by_what_it_asks() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let messages = [b"one", b"two"].map(|text| alice.actor.send(text).unwrap());
    let mut numbers = Vec::new();
    for message in messages {
        let mut send = alice.send_request(message);
        send.request = [5; 32];
        let signed = send.signed(SERVICE);
        send.proof.signature = sign_with_label(&alice.actor.signer, "DeliveryRequest", &signed).unwrap();
        numbers.push(service.send(send).await.unwrap());
    }
    assert_eq!(numbers, [SendAnswer::Accepted(2), SendAnswer::Accepted(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_reads_up_to_that_and_sends_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let proposals = vec![NewProposal::Remove(bob.actor.leaf())];
    let (id, request) = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, Vec::new());
    service.commit(request).await.unwrap();
    alice.actor.apply(&id).unwrap();
    let secret = alice.actor.send(b"without bob").unwrap();
    let send = alice.send_request(secret);
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(3)));

    let late = bob.actor.send(b"still here").unwrap();
    let refusal = service.send(bob.send_request(late)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal}");
    let read = service.read(bob.read_request(1)).await.unwrap();
    assert_eq!(
        read.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
        [2],
        "the commit that removes him"
    );
    assert_eq!(read[0].kind, EntryKind::Commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_read_and_write_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let message = alice.actor.send(b"hi").unwrap();
    let mut forged = alice.send_request(message);
    forged.proof.signature = bob.send_request(Vec::new()).proof.signature;
    assert!(matches!(service.send(forged).await, Err(Refusal::Forbidden(_))));
    let mut moved = alice.read_request(0);
    moved.after = 1;
    assert!(matches!(service.read(moved).await, Err(Refusal::Forbidden(_))), "the proof is for what it says");
    let mut old = alice.read_request(0);
    old.proof.at -= 3600;
    assert!(matches!(service.read(old).await, Err(Refusal::Unauthorized(_))));
    assert!(matches!(service.group(&alice.group_id(), &[1; 32], None).await, Err(Refusal::Forbidden(_))));
    assert!(matches!(service.group(b"nowhere", &KEY, None).await, Err(Refusal::NotFound(_))));
}

/// Nodes share nothing but the back end, and find what the others did; one that begins later goes on from a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_follow_each_other() {
    let world = world().await;
    let nodes = [node(&world.backend).await, node(&world.backend).await];
    let (mut alice, mut bob) = two(&world).await;
    for round in 0..10 {
        let (id, request) = alice.commit(update(), Vec::new());
        let node = &nodes[round % 2];
        assert_eq!(node.commit(request).await, Ok(CommitAnswer::Accepted(u64::try_from(round).unwrap() + 2)));
        alice.actor.apply(&id).unwrap();
    }
    let late = node(&world.backend).await;
    bob.sync(&late).await;
    assert_eq!(bob.actor.group().epoch(), alice.actor.group().epoch());
    let snapshot = world.backend.snapshot(&alice.group_id(), u64::MAX).await.unwrap().unwrap();
    assert!(snapshot.epoch >= 5, "{}", snapshot.epoch);

    // The tree of an epoch that is over, for who was welcomed in it.
    let then = late.group(&alice.group_id(), &KEY, Some(7)).await.unwrap();
    assert_eq!((then.epoch, then.sequence), (7, 7));
    let now = late.group(&alice.group_id(), &KEY, None).await.unwrap();
    assert_eq!(now.epoch, 11);
    assert_eq!(now.ratchet_tree, alice.actor.group().ratchet_tree().unwrap());
}

/// What lies on the disk is sealed: no name of a member is in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_group_is_sealed_on_the_disk() {
    let world = world().await;
    let (mut alice, _) = two(&world).await;
    let (_, request) = alice.commit(update(), Vec::new());
    let commit = request.commit.clone();
    world.service.commit(request).await.unwrap();
    let snapshot = world.backend.snapshot(&alice.group_id(), u64::MAX).await.unwrap().unwrap();
    let head = world.backend.head(&alice.group_id()).await.unwrap().unwrap();
    let limit = hushwood_delivery::backend::PageLimit { entries: 10, bytes: u64::MAX };
    let all = hushwood_delivery::backend::Kinds::All;
    let reading = hushwood_delivery::backend::Reading { kinds: all, after: 0, slot: None };
    let log = world.backend.read(&alice.group_id(), reading, limit).await.unwrap().unwrap().entries;
    let has = |place: &[u8], what: &[u8]| place.windows(what.len()).any(|window| window == what);
    for place in log.iter().map(|entry| &entry.body).chain([&snapshot.body, &head.group_info]) {
        assert!(!has(place, b"alice") && !has(place, b"bob") && !has(place, &commit[..32]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_belong_to_who_had_them_first_and_devices_vouch_for_each_other() {
    let world = world().await;
    let service = &world.service;
    let (alice, device) = Client::registered("alice", service).await;
    let impostor = Client::new("impostor");
    let mut registration = impostor.registration(service);
    registration.name = b"alice".to_vec();
    assert!(
        matches!(service.register(registration.clone()).await, Err(Refusal::Unauthorized(_))),
        "signed otherwise"
    );
    registration.signature = impostor.device_key.sign(&registration.signed(SERVICE)).unwrap();
    assert!(matches!(service.register(registration).await, Err(Refusal::Taken(_))));

    // A second phone of hers: the first agrees.
    let mut phone = Client::new("phone");
    phone.account = alice.account;
    let mut registration = phone.registration(service);
    registration.name = b"alice".to_vec();
    let signed = registration.signed(SERVICE);
    registration.signature = phone.device_key.sign(&signed).unwrap();
    let by = |signer: &SoftwareSigner| Authorization {
        device: alice.device,
        signature: signer.sign(&signed).unwrap(),
    };
    registration.authorization = Some(by(&impostor.device_key));
    assert!(matches!(service.register(registration.clone()).await, Err(Refusal::Unauthorized(_))));
    registration.authorization = Some(by(&alice.device_key));
    assert_eq!(service.register(registration).await, Ok(()));
    phone.publish(service, 1).await;
    let claim = ClaimRequest { name: b"alice".to_vec(), suite: 1 };
    assert_eq!(service.claim(device, claim).await.unwrap().len(), 2, "one of each device");

    // It is lost.
    let lost = phone.log_in(service).await;
    service.revoke(device, phone.device).await.unwrap();
    assert!(
        matches!(service.inbox(lost).await, Err(Refusal::Unauthorized(_))),
        "at once, not when the token ends"
    );
    assert!(matches!(service.device(b"made up"), Err(Refusal::Unauthorized(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_packages_that_are_not_valid_are_not_kept() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    let mut package = PublishedKeyPackage { message: alice.actor.key_package() };
    *package.message.last_mut().unwrap() ^= 1;
    assert!(matches!(service.publish(device, vec![package]).await, Err(Refusal::Invalid(_))));
    let package = PublishedKeyPackage { message: b"no".to_vec() };
    assert!(matches!(service.publish(device, vec![package]).await, Err(Refusal::Malformed(_))));
    assert_eq!(service.stock(device).await.unwrap()[0].left, 3);
}
