//! What every back end has to do, each as a function of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use hushwood_delivery::backend::{
    AccountId, Appended, Backend, Claim, Committed, Created, Cursor, DeviceId, InboxEntry, Kinds, NewCommit,
    NewDevice, NewEntry, NewGroup, NewKeyPackage, NewWelcome, PageLimit, Registered, RequestId, Seconds,
    SlotId, Snapshot,
};
use hushwood_delivery::wire::EntryKind;

const NOW: Seconds = Seconds(1_000_000);
const ALL: PageLimit = PageLimit { entries: 10_000, bytes: u64::MAX };

fn request(name: &str, number: u64) -> RequestId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..8 + name.len()].copy_from_slice(name.as_bytes());
    RequestId(id)
}

async fn group(backend: &dyn Backend, name: &str) -> Vec<u8> {
    let new = NewGroup {
        group: name.as_bytes().to_vec(),
        request: request("create", 0),
        epoch: 0,
        snapshot: b"first".to_vec(),
        group_info: b"info 0".to_vec(),
        at: NOW,
    };
    assert_eq!(backend.create_group(new).await, Ok(Created::Created));
    name.as_bytes().to_vec()
}

fn commit(epoch: u64, who: &str) -> NewCommit {
    NewCommit {
        request: request(who, epoch),
        epoch,
        body: format!("{who} ends {epoch}").into_bytes(),
        group_info: format!("info {}", epoch + 1).into_bytes(),
        welcomes: Vec::new(),
        at: NOW,
    }
}

fn message(epoch: u64, number: u64) -> NewEntry {
    NewEntry {
        request: request("message", number),
        kind: EntryKind::Message,
        epoch,
        late: 2,
        body: format!("message {number}").into_bytes(),
        at: NOW,
    }
}

async fn device(backend: &dyn Backend, name: &str) -> (AccountId, DeviceId) {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    let (account, device) = (AccountId(id), DeviceId(id));
    let new =
        NewDevice { account, name: name.to_owned(), device, key: b"key".to_vec(), first: true, at: NOW };
    assert_eq!(backend.register(new).await, Ok(Registered::Registered));
    (account, device)
}

fn key_package(number: u64, last_resort: bool) -> NewKeyPackage {
    NewKeyPackage {
        reference: number.to_be_bytes().to_vec(),
        suite: 1,
        not_after: Seconds(NOW.0 + 100),
        last_resort,
        body: format!("package {number}").into_bytes(),
    }
}

fn welcome(to: (AccountId, DeviceId), number: u8) -> NewWelcome {
    NewWelcome { account: to.0, device: to.1, id: [number; 32], body: vec![number] }
}

pub(crate) async fn a_group_is_created_once(backend: &dyn Backend) {
    let id = group(backend, "once").await;
    let mut again = NewGroup {
        group: id.clone(),
        request: request("create", 0),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: NOW,
    };
    assert_eq!(backend.create_group(again.clone()).await, Ok(Created::Duplicate));
    again.request = request("other", 0);
    assert_eq!(backend.create_group(again).await, Ok(Created::Exists));
    let head = backend.head(&id).await.unwrap().unwrap();
    assert_eq!((head.epoch, head.sequence, head.group_info.as_slice()), (0, 0, b"info 0".as_slice()));
    assert_eq!(backend.snapshot(&id, 7).await.unwrap().unwrap().body, b"first");
    assert_eq!(backend.head(b"nowhere").await, Ok(None));
}

pub(crate) async fn an_epoch_ends_once(backend: &dyn Backend) {
    let id = group(backend, "epochs").await;
    assert_eq!(backend.commit(&id, commit(0, "alice")).await, Ok(Committed::Accepted(1)));
    assert_eq!(backend.commit(&id, commit(0, "alice")).await, Ok(Committed::Duplicate(1)));
    let late = backend.commit(&id, commit(0, "bob")).await;
    assert_eq!(late, Ok(Committed::Stale { epoch: 1, winner: 1 }));
    let early = backend.commit(&id, commit(5, "bob")).await;
    assert_eq!(early, Ok(Committed::Stale { epoch: 1, winner: 0 }));
    assert_eq!(backend.commit(b"nowhere", commit(0, "bob")).await, Ok(Committed::NoGroup));
    let head = backend.head(&id).await.unwrap().unwrap();
    assert_eq!((head.epoch, head.sequence, head.commit), (1, 1, 1));
    assert_eq!(head.group_info, b"info 1");
    let log = backend.read(&id, Kinds::All, 0, ALL).await.unwrap();
    assert_eq!(log.len(), 1, "what was stale has left nothing");
    assert_eq!(
        (log[0].kind, log[0].epoch, log[0].body.as_slice()),
        (EntryKind::Commit, 0, b"alice ends 0".as_slice())
    );
}

pub(crate) async fn messages_are_numbered_without_gaps(backend: &dyn Backend) {
    let id = group(backend, "numbers").await;
    for number in 1..=3 {
        assert_eq!(backend.append(&id, message(0, number)).await, Ok(Appended::Accepted(number)));
    }
    assert_eq!(backend.append(&id, message(0, 2)).await, Ok(Appended::Duplicate(2)));
    assert_eq!(backend.commit(&id, commit(0, "alice")).await, Ok(Committed::Accepted(4)));
    assert_eq!(backend.append(&id, message(0, 5)).await, Ok(Appended::Accepted(5)), "two epochs may be late");
    assert_eq!(
        backend.append(&id, message(2, 6)).await,
        Ok(Appended::Stale { epoch: 1 }),
        "no epoch to come"
    );
    for epoch in 1..=3 {
        backend.commit(&id, commit(epoch, "alice")).await.unwrap();
    }
    assert_eq!(backend.append(&id, message(1, 7)).await, Ok(Appended::Stale { epoch: 4 }));
    assert_eq!(backend.append(b"nowhere", message(0, 1)).await, Ok(Appended::NoGroup));
    let log = backend.read(&id, Kinds::All, 0, ALL).await.unwrap();
    let numbers: Vec<_> = log.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    let handshakes = backend.read(&id, Kinds::Handshakes, 4, ALL).await.unwrap();
    assert_eq!(handshakes.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [6, 7, 8]);
}

pub(crate) async fn pages_have_a_limit_and_at_least_one_entry(backend: &dyn Backend) {
    let id = group(backend, "pages").await;
    for number in 1..=9 {
        backend.append(&id, message(0, number)).await.unwrap();
    }
    let page = async |after, entries, bytes| {
        let page = backend.read(&id, Kinds::All, after, PageLimit { entries, bytes }).await.unwrap();
        page.iter().map(|entry| entry.sequence).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 4, u64::MAX).await, [1, 2, 3, 4]);
    assert_eq!(page(7, 4, u64::MAX).await, [8, 9]);
    // "message 1" is 9 bytes.
    assert_eq!(page(0, 100, 20).await, [1, 2]);
    assert_eq!(page(3, 100, 1).await, [4]);
    assert_eq!(page(9, 100, 1).await, [0_u64; 0]);
}

pub(crate) async fn racing_commits_have_one_winner(backend: Arc<dyn Backend>) {
    let id = group(&*backend, "race").await;
    for epoch in 0..20 {
        let racers = (0..8).map(|racer| {
            let (backend, id) = (backend.clone(), id.clone());
            tokio::spawn(async move { backend.commit(&id, commit(epoch, &format!("racer {racer}"))).await })
        });
        let racers: Vec<_> = racers.collect();
        let mut winners = 0;
        for racer in racers {
            match racer.await.unwrap().unwrap() {
                Committed::Accepted(sequence) => {
                    assert_eq!(sequence, epoch + 1);
                    winners += 1;
                }
                other => assert_eq!(other, Committed::Stale { epoch: epoch + 1, winner: epoch + 1 }),
            }
        }
        assert_eq!(winners, 1, "epoch {epoch}");
    }
    assert_eq!(backend.read(&id, Kinds::All, 0, ALL).await.unwrap().len(), 20);
}

pub(crate) async fn welcomes_are_of_the_winner_and_carried_once(backend: &dyn Backend) {
    let id = group(backend, "welcomes").await;
    let carol = device(backend, "w-carol").await;
    let (mut won, mut lost) = (commit(0, "alice"), commit(0, "bob"));
    won.welcomes = vec![welcome(carol, 1), welcome(carol, 2)];
    lost.welcomes = vec![welcome(carol, 3)];
    backend.commit(&id, won).await.unwrap();
    backend.commit(&id, lost).await.unwrap();
    let outgoing = async || {
        let all = backend.outgoing(1000).await.unwrap();
        all.into_iter()
            .filter(|outgoing| outgoing.group == id)
            .map(|outgoing| outgoing.welcome)
            .collect::<Vec<_>>()
    };
    assert_eq!(outgoing().await, [welcome(carol, 1), welcome(carol, 2)]);
    for welcome in outgoing().await {
        let entry = InboxEntry { id: welcome.id, body: welcome.body, at: NOW };
        assert_eq!(backend.deliver(carol.0, carol.1, entry.clone()).await, Ok(true));
        assert_eq!(backend.deliver(carol.0, carol.1, entry).await, Ok(false), "each once");
    }
    backend.carried(&id, vec![[1; 32], [2; 32]]).await.unwrap();
    assert_eq!(outgoing().await, []);
    let inbox = async || {
        let inbox = backend.inbox(carol.0, carol.1, ALL).await.unwrap();
        inbox.iter().map(|entry| entry.body[0]).collect::<Vec<_>>()
    };
    assert_eq!(inbox().await, [1, 2]);
    backend.acknowledge(carol.0, carol.1, vec![[1; 32]]).await.unwrap();
    assert_eq!(inbox().await, [2]);
}

pub(crate) async fn key_packages_are_claimed_once(backend: Arc<dyn Backend>) {
    let (account, device) = device(&*backend, "claimed").await;
    let packages: Vec<_> = (0..40).map(|number| key_package(number, false)).collect();
    backend.publish(account, device, packages.clone(), NOW).await.unwrap();
    let claimers = (0..64).map(|_| {
        let backend = backend.clone();
        let claim = Claim { account, device: None, suite: 1, now: NOW };
        tokio::spawn(async move { backend.claim(claim).await.unwrap() })
    });
    let claimers: Vec<_> = claimers.collect();
    let (mut given, mut without) = (BTreeSet::new(), 0);
    for claimer in claimers {
        match claimer.await.unwrap().pop() {
            Some(entry) => assert!(given.insert(entry.reference), "one was given twice"),
            None => without += 1,
        }
    }
    assert_eq!((given.len(), without), (40, 24));
    // The answer to a publication was lost, and it comes again.
    backend.publish(account, device, packages, NOW).await.unwrap();
    let claim = Claim { account, device: None, suite: 1, now: NOW };
    assert_eq!(backend.claim(claim).await, Ok(Vec::new()), "what was claimed is not there again");
}

pub(crate) async fn the_last_resort_comes_last(backend: &dyn Backend) {
    let (account, device) = device(backend, "resort").await;
    let packages = vec![key_package(1, true), key_package(2, false), key_package(3, false)];
    backend.publish(account, device, packages, NOW).await.unwrap();
    let stock = async || backend.stock(account, device, NOW).await.unwrap();
    assert_eq!((stock().await[0].left, stock().await[0].last_resort), (2, true));
    let claim = async |now| {
        let claimed = backend.claim(Claim { account, device: Some(device), suite: 1, now }).await.unwrap();
        claimed.first().map(|entry| (entry.body.clone(), entry.last_resort))
    };
    assert_eq!(claim(NOW).await, Some((b"package 2".to_vec(), false)));
    assert_eq!(claim(NOW).await, Some((b"package 3".to_vec(), false)));
    assert!(!stock().await[0].last_resort_used);
    assert_eq!(claim(NOW).await, Some((b"package 1".to_vec(), true)));
    assert_eq!(claim(NOW).await, Some((b"package 1".to_vec(), true)));
    assert_eq!((stock().await[0].left, stock().await[0].last_resort_used), (0, true));
    assert_eq!(claim(Seconds(NOW.0 + 101)).await, None, "none that has expired");
    // A new one takes its place.
    backend.publish(account, device, vec![key_package(4, true)], NOW).await.unwrap();
    assert_eq!(claim(NOW).await, Some((b"package 4".to_vec(), true)));
    let other_suite = Claim { account, device: None, suite: 2, now: NOW };
    assert_eq!(backend.claim(other_suite).await, Ok(Vec::new()));
}

pub(crate) async fn names_and_devices_belong_to_one_account(backend: &dyn Backend) {
    let (account, first) = device(backend, "dora").await;
    assert_eq!(backend.account("dora").await, Ok(Some(account)));
    let new = |account, device: &[u8; 16], key: &[u8], first| NewDevice {
        account,
        name: "dora".to_owned(),
        device: DeviceId(*device),
        key: key.to_vec(),
        first,
        at: NOW,
    };
    let second = b"the second phone";
    let other = AccountId([9; 16]);
    assert_eq!(backend.register(new(account, &first.0, b"key", true)).await, Ok(Registered::Registered));
    assert_eq!(backend.register(new(account, &first.0, b"another", true)).await, Ok(Registered::Exists));
    assert_eq!(backend.register(new(other, second, b"key", true)).await, Ok(Registered::NameTaken));
    assert_eq!(backend.register(new(account, second, b"key", true)).await, Ok(Registered::Exists));
    assert_eq!(backend.register(new(other, second, b"key", false)).await, Ok(Registered::NoAccount));
    assert_eq!(backend.register(new(account, second, b"2nd", false)).await, Ok(Registered::Registered));
    assert_eq!(backend.device_key(account, DeviceId(*second)).await, Ok(Some(b"2nd".to_vec())));

    // Each device gives one, and a revoked one none.
    for device in [first, DeviceId(*second)] {
        let number = u64::from(device.0[0]);
        backend.publish(account, device, vec![key_package(number, false)], NOW).await.unwrap();
    }
    backend.revoke(account, first).await.unwrap();
    assert_eq!(backend.device_key(account, first).await, Ok(None));
    let claimed = backend.claim(Claim { account, device: None, suite: 1, now: NOW }).await.unwrap();
    assert_eq!(claimed.iter().map(|entry| entry.device).collect::<Vec<_>>(), [DeviceId(*second)]);
    let entry = InboxEntry { id: [7; 32], body: vec![7], at: NOW };
    assert_eq!(backend.deliver(account, first, entry).await, Ok(false), "nobody will fetch it");
}

pub(crate) async fn cursors_go_forward_and_trimming_leaves_one_piece(backend: &dyn Backend) {
    let id = group(backend, "trim").await;
    for number in 0..10 {
        let mut commit = commit(number, "alice");
        commit.at = Seconds(NOW.0 + number);
        backend.commit(&id, commit).await.unwrap();
    }
    let cursor = |sequence| Cursor { slot: SlotId([1; 16]), sequence, at: NOW };
    backend.move_cursor(&id, cursor(5)).await.unwrap();
    backend.move_cursor(&id, cursor(3)).await.unwrap();
    assert_eq!(backend.trim(&id, Seconds(NOW.0 + 8)).await, Ok(0), "the first snapshot needs the whole log");
    let snapshot = Snapshot { epoch: 6, sequence: 6, body: b"sixth".to_vec() };
    backend.put_snapshot(&id, snapshot.clone(), 1).await.unwrap();
    assert_eq!(backend.snapshot(&id, 5).await, Ok(None), "one is kept");
    assert_eq!(backend.snapshot(&id, 9).await, Ok(Some(snapshot)));
    assert_eq!(backend.trim(&id, Seconds(NOW.0 + 4)).await, Ok(4), "by age");
    assert_eq!(backend.trim(&id, Seconds(NOW.0 + 100)).await, Ok(2), "not beyond the snapshot");
    let numbers: Vec<_> =
        backend.read(&id, Kinds::All, 0, ALL).await.unwrap().iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, [7, 8, 9, 10]);
    assert_eq!(
        backend.idle_groups(Seconds(NOW.0 + 10), 100).await.unwrap().iter().filter(|one| **one == id).count(),
        1
    );
    backend.erase_group(&id).await.unwrap();
    assert_eq!(backend.head(&id).await, Ok(None));
    assert_eq!(backend.read(&id, Kinds::All, 0, ALL).await, Ok(Vec::new()));
}

pub(crate) async fn the_service_has_one_secret(backend: &dyn Backend) {
    let first = backend.service_secret([1; 32]).await.unwrap();
    assert_eq!(backend.service_secret([2; 32]).await, Ok(first));
}
