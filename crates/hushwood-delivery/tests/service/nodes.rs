//! Several nodes on one back end, and nodes that crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hushwood_delivery::backend::{
    AccountId, Appended, Backend, BackendError, Claim, Claimed, Committed, Created, Cursor, Delivered,
    Delivery, DeviceId, GroupQuota, Head, InboxEntry, Invite, InviteName, NewCommit, NewDevice, NewEntry,
    NewGroup, NewKeyPackage, OutgoingWelcome, Page, PageLimit, Published, Reading, Registered, RequestId,
    Seconds, Snapshot, Stock, TrimLimits, Uncarried,
};
use hushwood_delivery::service::Service;

use crate::world::{Client, World, node, settings, two, world};

/// Nodes share nothing but the back end, and find what the others did; one that begins later goes on from a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_follow_each_other() {
    let world = world().await;
    let nodes = [node(&world.backend).await, node(&world.backend).await];
    let (mut alice, mut bob) = two(&world).await;
    for round in 0..10 {
        assert_eq!(alice.update(&nodes[round % 2]).await, u64::try_from(round).unwrap() + 2);
    }
    let late = node(&world.backend).await;
    bob.sync(&late).await;
    assert_eq!(bob.actor.group().epoch(), alice.actor.group().epoch());
    let snapshot = world.backend.snapshot(&alice.group_id(), u64::MAX).await.unwrap().unwrap();
    assert!(snapshot.epoch >= 5, "{}", snapshot.epoch);

    let now = alice.group_info(&late, &alice.group_id(), alice.member()).await.unwrap();
    assert_eq!((now.epoch, now.sequence), (11, 11));
    assert_eq!(now.ratchet_tree, alice.actor.group().ratchet_tree().unwrap());
}

/// A back end of which some calls fail, and that counts all of them.
struct Faulty {
    inner: Arc<dyn Backend>,
    /// The call that fails.
    fails: Mutex<Option<&'static str>>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Faulty {
    fn new(inner: &Arc<dyn Backend>, fails: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), fails: Mutex::new(fails), calls: Mutex::default() })
    }

    fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    fn mend(&self) {
        *self.fails.lock().unwrap() = None;
    }

    fn called(&self, name: &'static str) -> Result<(), BackendError> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        match *self.fails.lock().unwrap() == Some(name) {
            true => Err(BackendError::Unavailable("on purpose".to_owned())),
            false => Ok(()),
        }
    }
}

macro_rules! pass_on {
    ($( $name:ident($( $argument:ident: $type:ty ),*) -> $answer:ty; )*) => {
        #[async_trait]
        impl Backend for Faulty {
            $( async fn $name(&self, $( $argument: $type ),*) -> Result<$answer, BackendError> {
                self.called(stringify!($name))?;
                self.inner.$name($( $argument ),*).await
            } )*
        }
    };
}

pass_on! {
    create_group(group: NewGroup) -> Created;
    created(group: &[u8], request: RequestId) -> Option<Created>;
    head(group: &[u8]) -> Option<Head>;
    commit(group: &[u8], commit: NewCommit) -> Committed;
    outcome(group: &[u8], request: RequestId, epoch: u64) -> Committed;
    append(group: &[u8], entry: NewEntry) -> Appended;
    read(group: &[u8], reading: Reading, limit: PageLimit) -> Option<Page>;
    snapshot(group: &[u8], epoch: u64) -> Option<Snapshot>;
    put_snapshot(group: &[u8], snapshot: Snapshot, keep: u32) -> ();
    move_cursors(group: &[u8], cursors: Vec<Cursor>) -> ();
    outgoing(now: Seconds, most: u32) -> Vec<OutgoingWelcome>;
    uncarried(group: &[u8]) -> Uncarried;
    postpone(group: &[u8], ids: Vec<[u8; 32]>, until: Seconds) -> ();
    carried(group: &[u8], ids: Vec<[u8; 32]>) -> ();
    trim(group: &[u8], limits: TrimLimits) -> u64;
    untrimmed(since: Seconds, most: u32) -> Vec<Vec<u8>>;
    idle_groups(since: Seconds, most: u32) -> Vec<Vec<u8>>;
    erase_group(group: &[u8], since: Seconds) -> ();
    register(device: NewDevice) -> Registered;
    add_invite(invite: Invite, now: Seconds) -> ();
    invites(now: Seconds) -> Vec<Invite>;
    forget_invite(name: InviteName) -> bool;
    account(name: &str) -> Option<AccountId>;
    count_group(account: AccountId, quota: GroupQuota) -> bool;
    device_key(account: AccountId, device: DeviceId) -> Option<Vec<u8>>;
    devices(account: AccountId) -> Vec<(DeviceId, Seconds)>;
    revoke(account: AccountId, device: DeviceId) -> bool;
    publish(account: AccountId, device: DeviceId, packages: Vec<NewKeyPackage>, limits: (u32, Seconds)) -> Published;
    claim(claim: Claim) -> Claimed;
    stock(account: AccountId, device: DeviceId, now: Seconds) -> Vec<Stock>;
    deliver(delivery: Delivery) -> Delivered;
    inbox(account: AccountId, device: DeviceId, from: (Option<[u8; 32]>, PageLimit)) -> Vec<InboxEntry>;
    acknowledge(account: AccountId, device: DeviceId, ids: Vec<[u8; 32]>) -> ();
    service_secret(fresh: [u8; 32]) -> [u8; 32];
}

/// Alice has added Bob through a node whose back end takes everything and can't deliver.
async fn undelivered(world: &World) -> (Client, Service, Arc<Faulty>) {
    let (mut alice, device) = Client::registered("alice", &world.service).await;
    let (bob, _) = Client::registered("bob", &world.service).await;
    alice.create_group(&world.service).await;
    let commit = alice.invite(&world.service, device, &["bob"]).await;
    let faulty = Faulty::new(&world.backend, Some("deliver"));
    let service = Service::new(faulty.clone(), settings()).await.unwrap();
    alice.send_commit(&service, commit).await;
    while faulty.calls("deliver") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (bob, service, faulty)
}

/// A node that ends when it has accepted a commit has not lost the Welcome: whoever starts next carries it.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_outlives_the_node_that_took_it() {
    let world = world().await;
    let (bob, dying, _) = undelivered(&world).await;
    drop(dying);
    let next = node(&world.backend).await;
    bob.welcome(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_is_carried_when_the_back_end_is_there_again() {
    let world = world().await;
    let (bob, service, faulty) = undelivered(&world).await;
    let device = bob.log_in(&service).await;
    assert_eq!(service.inbox(device, None).await, Ok(Vec::new()));
    faulty.mend();
    bob.welcome(&service).await;
    // Not again and again while it failed.
    assert!(faulty.calls("deliver") < 10, "{}", faulty.calls("deliver"));
}

/// Reading writes nothing at once: what readers say is written together.
#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_written_from_time_to_time() {
    let world = world().await;
    let counting = Faulty::new(&world.backend, None);
    let service = Service::new(counting.clone(), settings()).await.unwrap();
    let (alice, bob) = two(&world).await;
    for _ in 0..20 {
        alice.page(&service, 1).await;
        bob.page(&service, 1).await;
    }
    assert_eq!(counting.calls("move_cursors"), 0);
    service.settle().await.unwrap();
    assert_eq!(counting.calls("move_cursors"), 1);
    alice.page(&service, 1).await;
    service.settle().await.unwrap();
    assert_eq!(counting.calls("move_cursors"), 1, "nothing has moved");
}

/// A snapshot that could not be written is no reason to say no to what has happened.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_happened_is_answered_with_yes() {
    let world = world().await;
    let (mut alice, mut bob) = two(&world).await;
    let faulty = Faulty::new(&world.backend, Some("put_snapshot"));
    let service = Service::new(faulty.clone(), settings()).await.unwrap();
    for round in 0..6 {
        assert_eq!(alice.update(&service).await, round + 2);
    }
    assert!(faulty.calls("put_snapshot") > 0);
    bob.sync(&service).await;
    assert_eq!(bob.actor.group().epoch(), alice.actor.group().epoch());
}
