//! What every back end has to do, each as a function of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use hushwood_delivery::backend::{
    AccountId, Appended, Backend, CLAIMED, Claim, Claimed, Committed, Created, Cursor, Delivered, Delivery,
    DeviceId, Entry, GroupQuota, Incarnation, Invite, InviteName, Kinds, NewCommit, NewDevice, NewEntry,
    NewGroup, NewKeyPackage, NewWelcome, Page, PageLimit, Published, REPLACED, Reading, Registered,
    RequestId, Seconds, SlotId, Snapshot, TrimLimits, Uncarried, self_check,
};
use hushwood_delivery::wire::EntryKind;

/// All of it as tests of a back end: `open` gives an empty one, and what has to stay as long as it is used.
macro_rules! conforms {
    ($open:path) => {
        conforms! { @ $open,
            a_group_is_created_once(),
            an_epoch_ends_once(),
            messages_are_numbered_without_gaps(),
            pages_have_a_limit_and_at_least_one_entry(),
            racing_commits_have_one_winner(shared),
            what_was_checked_in_another_life_is_not_written(),
            welcomes_are_of_the_winner_and_wait_until_they_are_carried(),
            what_welcomes_share_is_there_once(),
            groups_take_turns_with_their_welcomes(),
            an_inbox_takes_what_its_device_has_asked_for_and_has_an_end(),
            a_key_package_takes_one_welcome_and_the_last_resort_a_quarter_of_an_inbox(),
            an_inbox_is_read_on_from_what_stays_in_it(),
            a_reserved_key_package_is_not_claimed(),
            a_device_has_so_many_key_packages(),
            what_is_remembered_of_key_packages_has_an_end(),
            key_packages_are_claimed_once(shared),
            the_last_resort_comes_last(),
            names_and_devices_belong_to_one_account(),
            an_invite_is_for_so_many_accounts_and_for_a_time(),
            racers_for_an_invite_have_one_winner(shared),
            an_account_brings_so_many_groups_in_a_period(),
            cursors_go_forward_and_trimming_leaves_one_piece(),
            the_service_has_one_secret(),
            the_self_check_passes_and_leaves_nothing(),
        }
    };
    (@ $open:path, $($name:ident ( $($shared:tt)? )),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let (backend, _keep) = $open().await;
            conforms!(@call $name backend $($shared)?).await;
        }
    )* };
    (@call $name:ident $backend:ident) => { $crate::conformance::$name(&*$backend) };
    (@call $name:ident $backend:ident shared) => { $crate::conformance::$name($backend.clone()) };
}

const NOW: Seconds = Seconds(1_000_000);
const ALL: PageLimit = PageLimit { entries: 10_000, bytes: u64::MAX };
const LIFE: Incarnation = Incarnation([3; 16]);
const SLOT: SlotId = SlotId([1; 16]);
const MOST: u32 = 100;

fn request(name: &str, number: u64) -> RequestId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..8 + name.len()].copy_from_slice(name.as_bytes());
    RequestId(id)
}

async fn group(backend: &dyn Backend, name: &str) -> Vec<u8> {
    let new = NewGroup {
        group: name.as_bytes().to_vec(),
        incarnation: LIFE,
        request: request("create", 0),
        epoch: 0,
        snapshot: b"first".to_vec(),
        group_info: b"info 0".to_vec(),
        at: NOW,
    };
    assert_eq!(backend.create_group(new).await, Ok(Created::Created));
    name.as_bytes().to_vec()
}

async fn page(backend: &dyn Backend, group: &[u8], (kinds, after): (Kinds, u64)) -> Page {
    let reading = Reading { kinds, after, slot: Some(SLOT) };
    backend.read(group, reading, ALL).await.unwrap().unwrap()
}

async fn log(backend: &dyn Backend, group: &[u8]) -> Vec<Entry> {
    page(backend, group, (Kinds::All, 0)).await.entries
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

fn bytes(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| u64::try_from(entry.body.len()).unwrap()).sum()
}

fn commit(epoch: u64, who: &str) -> NewCommit {
    NewCommit {
        incarnation: LIFE,
        request: request(who, epoch),
        epoch,
        body: format!("{who} ends {epoch}").into_bytes(),
        group_info: format!("info {}", epoch + 1).into_bytes(),
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: NOW,
    }
}

fn message(epoch: u64, number: u64) -> NewEntry {
    NewEntry {
        incarnation: LIFE,
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
    let new = NewDevice {
        account,
        name: name.to_owned(),
        look: name.to_uppercase(),
        device,
        key: b"key".to_vec(),
        first: true,
        most: 3,
        invite: None,
        at: NOW,
    };
    assert_eq!(backend.register(new).await, Ok(Registered::Registered));
    (account, device)
}

fn key_package(number: u64, last_resort: bool) -> NewKeyPackage {
    NewKeyPackage {
        reference: number.to_be_bytes().to_vec(),
        suite: 1,
        not_after: Seconds(NOW.0 + 100),
        last_resort,
        reserved: false,
        body: format!("package {number}").into_bytes(),
    }
}

fn welcome(to: (AccountId, DeviceId), number: u8) -> NewWelcome {
    let reference = u64::from(number).to_be_bytes().to_vec();
    NewWelcome { account: to.0, device: to.1, id: [number; 32], reference, body: vec![number] }
}

fn delivery(welcome: NewWelcome) -> Delivery {
    Delivery { welcome, limit: PageLimit { entries: 2, bytes: 100 }, at: NOW }
}

fn claim(account: AccountId, suite: u16) -> Claim {
    Claim { account, device: None, suite, last_resort: false, now: NOW, inbox: ALL }
}

pub(crate) async fn a_group_is_created_once(backend: &dyn Backend) {
    assert_eq!(backend.created(b"once", request("create", 0)).await, Ok(None));
    let id = group(backend, "once").await;
    assert_eq!(backend.created(&id, request("create", 0)).await, Ok(Some(Created::Duplicate)));
    assert_eq!(backend.created(&id, request("other", 0)).await, Ok(Some(Created::Exists)));
    let mut again = NewGroup {
        group: id.clone(),
        incarnation: Incarnation([9; 16]),
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
    assert_eq!(head.incarnation, LIFE, "the second request has changed nothing");
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
    let log = log(backend, &id).await;
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
    let all = page(backend, &id, (Kinds::All, 0)).await;
    assert_eq!(numbers(&all.entries), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((all.incarnation, all.epoch, all.newest, all.first, all.cursor), (LIFE, 4, 8, 1, None));
    assert_eq!(all.bytes, bytes(&all.entries));
    let handshakes = page(backend, &id, (Kinds::Handshakes, 4)).await;
    assert_eq!(numbers(&handshakes.entries), [6, 7, 8]);
    let nowhere = Reading { kinds: Kinds::All, after: 0, slot: None };
    assert_eq!(backend.read(b"nowhere", nowhere, ALL).await, Ok(None));
}

/// A group that was erased and created anew is another one, whatever somebody remembers of the first.
pub(crate) async fn what_was_checked_in_another_life_is_not_written(backend: &dyn Backend) {
    let id = group(backend, "lives").await;
    let (mut commit, mut message) = (commit(0, "alice"), message(0, 1));
    (commit.incarnation, message.incarnation) = (Incarnation([9; 16]), Incarnation([9; 16]));
    assert_eq!(backend.commit(&id, commit).await, Ok(Committed::NoGroup));
    assert_eq!(backend.append(&id, message).await, Ok(Appended::NoGroup));
    let snapshot =
        Snapshot { incarnation: Incarnation([9; 16]), epoch: 1, sequence: 0, body: b"other".to_vec() };
    backend.put_snapshot(&id, snapshot, 4).await.unwrap();
    let snapshot = backend.snapshot(&id, 7).await.unwrap().unwrap();
    assert_eq!((snapshot.body.as_slice(), snapshot.incarnation), (b"first".as_slice(), LIFE));
    assert_eq!(log(backend, &id).await, []);
}

pub(crate) async fn pages_have_a_limit_and_at_least_one_entry(backend: &dyn Backend) {
    let id = group(backend, "pages").await;
    for number in 1..=9 {
        backend.append(&id, message(0, number)).await.unwrap();
    }
    let page = async |after, entries, bytes| {
        let reading = Reading { kinds: Kinds::All, after, slot: None };
        let page = backend.read(&id, reading, PageLimit { entries, bytes }).await.unwrap().unwrap();
        numbers(&page.entries)
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
    assert_eq!(log(&*backend, &id).await.len(), 20);
}

pub(crate) async fn welcomes_are_of_the_winner_and_wait_until_they_are_carried(backend: &dyn Backend) {
    let id = group(backend, "welcomes").await;
    let carol = device(backend, "w-carol").await;
    let (mut won, mut lost) = (commit(0, "alice"), commit(0, "bob"));
    won.welcomes = vec![welcome(carol, 1), welcome(carol, 2)];
    lost.welcomes = vec![welcome(carol, 3)];
    backend.commit(&id, won).await.unwrap();
    backend.commit(&id, lost).await.unwrap();
    let outgoing = async |now| {
        let all = backend.outgoing(now, 1000).await.unwrap();
        let ours = all.into_iter().filter(|outgoing| outgoing.group == id);
        ours.map(|outgoing| (outgoing.welcome, outgoing.at)).collect::<Vec<_>>()
    };
    assert_eq!(outgoing(NOW).await, [(welcome(carol, 1), NOW), (welcome(carol, 2), NOW)]);
    // One can't be carried now, and does not stand in the way of the other.
    let later = Seconds(NOW.0 + 60);
    backend.postpone(&id, vec![[1; 32]], later).await.unwrap();
    assert_eq!(outgoing(NOW).await, [(welcome(carol, 2), NOW)]);
    assert_eq!(outgoing(later).await, [(welcome(carol, 2), NOW), (welcome(carol, 1), NOW)]);
    backend.carried(&id, vec![[1; 32], [2; 32]]).await.unwrap();
    assert_eq!(outgoing(later).await, []);
}

/// A hundred who are added with one commit do not make a hundred copies of its GroupInfo.
pub(crate) async fn what_welcomes_share_is_there_once(backend: &dyn Backend) {
    let id = group(backend, "shared").await;
    let carol = device(backend, "s-carol").await;
    let mut first = commit(0, "alice");
    (first.welcomes, first.shared) = (vec![welcome(carol, 1), welcome(carol, 2)], vec![9; 1000]);
    backend.commit(&id, first).await.unwrap();
    let mut second = commit(1, "alice");
    (second.welcomes, second.shared) = (vec![welcome(carol, 3)], vec![8; 500]);
    backend.commit(&id, second).await.unwrap();
    let uncarried = async || backend.uncarried(&id).await.unwrap();
    assert_eq!(uncarried().await, Uncarried { number: 3, bytes: 1503 });
    let all = backend.outgoing(NOW, 1000).await.unwrap();
    let bodies: Vec<_> = all.into_iter().filter(|one| one.group == id).map(|one| one.welcome.body).collect();
    let whole = |own: u8, shared: u8, length| [vec![own], vec![shared; length]].concat();
    assert_eq!(bodies, [whole(1, 9, 1000), whole(2, 9, 1000), whole(3, 8, 500)]);
    // It goes with the last that needs it.
    backend.carried(&id, vec![[1; 32]]).await.unwrap();
    assert_eq!(uncarried().await, Uncarried { number: 2, bytes: 1502 });
    backend.carried(&id, vec![[2; 32]]).await.unwrap();
    assert_eq!(uncarried().await, Uncarried { number: 1, bytes: 501 });
    backend.erase_group(&id, Seconds(u64::MAX)).await.unwrap();
    assert_eq!(uncarried().await, Uncarried::default());
    assert!(backend.outgoing(NOW, 1000).await.unwrap().iter().all(|one| one.group != id));
}

pub(crate) async fn groups_take_turns_with_their_welcomes(backend: &dyn Backend) {
    let to = device(backend, "dora").await;
    // A large group was faster than two small ones.
    for (name, first, many) in [("large", 0, 30), ("small", 50, 1), ("other", 60, 2)] {
        let id = group(backend, name).await;
        let welcomes = (0..many).map(|number| welcome(to, first + number)).collect();
        let new = NewCommit { welcomes, shared: b"!".to_vec(), ..commit(0, "alice") };
        assert!(matches!(backend.commit(&id, new).await, Ok(Committed::Accepted(1))));
    }
    let outgoing = backend.outgoing(NOW, 6).await.unwrap();
    let groups: Vec<_> = outgoing.iter().map(|one| one.group.as_slice()).collect();
    assert_eq!(groups, [b"large".as_slice(), b"small", b"other", b"large", b"other", b"large"]);
    // Where the first had no room, it is the turn of others just so.
    backend.postpone(b"large", vec![outgoing[0].welcome.id], Seconds(NOW.0 + 10)).await.unwrap();
    let outgoing = backend.outgoing(NOW, 100).await.unwrap();
    assert_eq!((outgoing.len(), outgoing[0].group.as_slice()), (32, b"large".as_slice()));
}

pub(crate) async fn an_inbox_takes_what_its_device_has_asked_for_and_has_an_end(backend: &dyn Backend) {
    let carol = device(backend, "i-carol").await;
    assert_eq!(backend.deliver(delivery(welcome(carol, 1))).await, Ok(Delivered::Unwanted), "not hers");
    let packages: Vec<_> = (1..=4).map(|number| key_package(number, number == 4)).collect();
    backend.publish(carol.0, carol.1, packages, (MOST, NOW)).await.unwrap();
    for number in [1, 2] {
        assert_eq!(backend.deliver(delivery(welcome(carol, number))).await, Ok(Delivered::New));
        assert_eq!(
            backend.deliver(delivery(welcome(carol, number))).await,
            Ok(Delivered::Known),
            "each once"
        );
    }
    let third = delivery(welcome(carol, 3));
    assert_eq!(backend.deliver(third.clone()).await, Ok(Delivered::Full));
    let mut small = delivery(welcome(carol, 3));
    small.limit = PageLimit { entries: 100, bytes: 2 };
    assert_eq!(backend.deliver(small).await, Ok(Delivered::Full));
    // Nobody is given a KeyPackage whose Welcome would not arrive.
    let full = Claim { inbox: third.limit, ..claim(carol.0, 1) };
    assert_eq!(backend.claim(full).await, Ok(Claimed { packages: Vec::new(), full: 1 }));
    let inbox = async || {
        let inbox = backend.inbox(carol.0, carol.1, (None, ALL)).await.unwrap();
        inbox.iter().map(|entry| entry.body[0]).collect::<Vec<_>>()
    };
    assert_eq!(inbox().await, [1, 2]);
    backend.acknowledge(carol.0, carol.1, vec![[1; 32]]).await.unwrap();
    assert_eq!(inbox().await, [2]);
    assert_eq!(backend.deliver(third).await, Ok(Delivered::New));
    // A last-resort one that has been replaced may have a Welcome on its way.
    backend.publish(carol.0, carol.1, vec![key_package(5, true)], (MOST, NOW)).await.unwrap();
    backend.acknowledge(carol.0, carol.1, vec![[2; 32], [3; 32]]).await.unwrap();
    assert_eq!(backend.deliver(delivery(welcome(carol, 4))).await, Ok(Delivered::New));
    backend.revoke(carol.0, carol.1).await.unwrap();
    assert_eq!(backend.deliver(delivery(welcome(carol, 5))).await, Ok(Delivered::Unwanted));
}

/// Who has one KeyPackage of somebody does not fill their inbox with it.
pub(crate) async fn a_key_package_takes_one_welcome_and_the_last_resort_a_quarter_of_an_inbox(
    backend: &dyn Backend,
) {
    let carol = device(backend, "once-carol").await;
    let packages = (1..=9).map(|number| key_package(number, number == 9)).collect();
    backend.publish(carol.0, carol.1, packages, (MOST, NOW)).await.unwrap();
    let deliver = async |number, reference: u64| {
        let welcome = NewWelcome { reference: reference.to_be_bytes().to_vec(), ..welcome(carol, number) };
        let limit = PageLimit { entries: 8, bytes: 1000 };
        backend.deliver(Delivery { welcome, limit, at: NOW }).await.unwrap()
    };
    assert_eq!(deliver(1, 1).await, Delivered::New);
    assert_eq!(deliver(1, 1).await, Delivered::Known);
    assert_eq!(deliver(2, 1).await, Delivered::Unwanted, "another for the same KeyPackage");
    backend.acknowledge(carol.0, carol.1, vec![[1; 32]]).await.unwrap();
    assert_eq!(deliver(1, 1).await, Delivered::Unwanted, "it was taken out");
    assert_eq!(deliver(3, 1).await, Delivered::Unwanted);
    // Its Welcome has come: nobody else is given it.
    let given = backend.claim(claim(carol.0, 1)).await.unwrap().packages;
    assert_eq!(given[0].reference, 2_u64.to_be_bytes());
    // That of last resort takes many, and leaves room for those of others.
    assert_eq!((deliver(11, 9).await, deliver(12, 9).await), (Delivered::New, Delivered::New));
    assert_eq!(deliver(13, 9).await, Delivered::Full);
    for number in 2..=7 {
        assert_eq!(deliver(u8::try_from(number).unwrap(), number).await, Delivered::New);
    }
    assert_eq!(deliver(8, 8).await, Delivered::Full);
    // While it has its part of the inbox, nobody is given it, and others are.
    let narrow = Claim { inbox: PageLimit { entries: 9, bytes: 1000 }, ..claim(carol.0, 1) };
    let given = backend.claim(narrow.clone()).await.unwrap().packages;
    assert_eq!(given[0].reference, 8_u64.to_be_bytes());
    assert_eq!(backend.claim(narrow).await, Ok(Claimed { packages: Vec::new(), full: 1 }));
}

/// What a device can't deal with, and leaves where it is, hides nothing.
pub(crate) async fn an_inbox_is_read_on_from_what_stays_in_it(backend: &dyn Backend) {
    let carol = device(backend, "on-carol").await;
    let packages = (1..=4).map(|number| key_package(number, false)).collect();
    backend.publish(carol.0, carol.1, packages, (MOST, NOW)).await.unwrap();
    for number in 1..=3 {
        let delivery = Delivery { welcome: welcome(carol, number), limit: ALL, at: NOW };
        assert_eq!(backend.deliver(delivery).await, Ok(Delivered::New));
    }
    let inbox = async |after: Option<u8>, entries| {
        let from = (after.map(|name| [name; 32]), PageLimit { entries, bytes: 1000 });
        let inbox = backend.inbox(carol.0, carol.1, from).await.unwrap();
        inbox.iter().map(|entry| entry.body[0]).collect::<Vec<_>>()
    };
    assert_eq!(inbox(None, 2).await, [1, 2]);
    assert_eq!(inbox(Some(2), 2).await, [3]);
    assert_eq!(inbox(Some(3), 2).await, [0_u8; 0]);
    // What is there no more is no place to begin.
    backend.acknowledge(carol.0, carol.1, vec![[3; 32]]).await.unwrap();
    assert_eq!(inbox(Some(3), 2).await, [1, 2]);
    let delivery = Delivery { welcome: welcome(carol, 4), limit: ALL, at: NOW };
    assert_eq!(backend.deliver(delivery).await, Ok(Delivered::New));
    assert_eq!(inbox(Some(2), 2).await, [4], "the last place is not given again");
}

/// A KeyPackage in a proposal of its owner is known for its Welcome, and nobody else gets it.
pub(crate) async fn a_reserved_key_package_is_not_claimed(backend: &dyn Backend) {
    let dave = device(backend, "reserved").await;
    let reserved = NewKeyPackage { reserved: true, ..key_package(1, false) };
    backend.publish(dave.0, dave.1, vec![reserved], (0, NOW)).await.unwrap();
    assert_eq!(backend.claim(claim(dave.0, 1)).await, Ok(Claimed::default()));
    assert_eq!(backend.deliver(delivery(welcome(dave, 1))).await, Ok(Delivered::New));
}

pub(crate) async fn a_device_has_so_many_key_packages(backend: &dyn Backend) {
    let (account, device) = device(backend, "stock").await;
    let publish = async |numbers: &[u64], last_resort| {
        let packages = numbers.iter().map(|number| key_package(*number, last_resort)).collect();
        backend.publish(account, device, packages, (3, NOW)).await.unwrap()
    };
    assert_eq!(publish(&[1, 2], false).await, Published::Kept);
    assert_eq!(publish(&[3, 4], false).await, Published::TooMany { there: 2 });
    assert_eq!(backend.stock(account, device, NOW).await.unwrap()[0].left, 2, "none of them was kept");
    assert_eq!(publish(&[1, 2, 3], false).await, Published::Kept, "two of them were there");
    assert_eq!(publish(&[5], true).await, Published::Kept, "that of last resort is apart");
    backend.claim(claim(account, 1)).await.unwrap();
    assert_eq!(publish(&[6], false).await, Published::Kept);
}

/// Whoever publishes without end leaves a bounded number of rows, and what was on its way lately still arrives.
pub(crate) async fn what_is_remembered_of_key_packages_has_an_end(backend: &dyn Backend) {
    let to = device(backend, "endless").await;
    let publish = async |packages| backend.publish(to.0, to.1, packages, (MOST, NOW)).await.unwrap();
    let arrives = async |reference: u64| {
        let mut welcome = welcome(to, 1);
        welcome.reference = reference.to_be_bytes().to_vec();
        welcome.id[..8].copy_from_slice(&reference.to_be_bytes());
        let delivery = Delivery { welcome, limit: ALL, at: NOW };
        backend.deliver(delivery).await.unwrap() == Delivered::New
    };
    let replaced = u64::from(REPLACED);
    for number in 0..=replaced + 2 {
        publish(vec![key_package(number, true)]).await;
    }
    // The last one, those remembered before it, and no more.
    assert!(!arrives(0).await && !arrives(1).await);
    for number in 2..=replaced + 2 {
        assert!(arrives(number).await, "{number}");
    }
    let reserved = |number| NewKeyPackage { reserved: true, ..key_package(number, false) };
    let many: Vec<_> = (1000..1000 + u64::from(CLAIMED)).map(reserved).collect();
    publish(many).await;
    publish(vec![reserved(9999)]).await;
    assert!(!arrives(1000).await && arrives(1001).await && arrives(9999).await);
}

pub(crate) async fn key_packages_are_claimed_once(backend: Arc<dyn Backend>) {
    let (account, device) = device(&*backend, "claimed").await;
    let packages: Vec<_> = (0..40).map(|number| key_package(number, false)).collect();
    backend.publish(account, device, packages.clone(), (MOST, NOW)).await.unwrap();
    let claimers = (0..64).map(|_| {
        let backend = backend.clone();
        tokio::spawn(async move { backend.claim(claim(account, 1)).await.unwrap() })
    });
    let claimers: Vec<_> = claimers.collect();
    let (mut given, mut without) = (BTreeSet::new(), 0);
    for claimer in claimers {
        match claimer.await.unwrap().packages.pop() {
            Some(entry) => assert!(given.insert(entry.reference), "one was given twice"),
            None => without += 1,
        }
    }
    assert_eq!((given.len(), without), (40, 24));
    // The answer to a publication was lost, and it comes again.
    backend.publish(account, device, packages, (MOST, NOW)).await.unwrap();
    assert_eq!(
        backend.claim(claim(account, 1)).await,
        Ok(Claimed::default()),
        "what was claimed is not there again"
    );
}

pub(crate) async fn the_last_resort_comes_last(backend: &dyn Backend) {
    let (account, device) = device(backend, "resort").await;
    let packages = vec![key_package(1, true), key_package(2, false), key_package(3, false)];
    backend.publish(account, device, packages, (MOST, NOW)).await.unwrap();
    let stock = async || backend.stock(account, device, NOW).await.unwrap();
    assert_eq!((stock().await[0].left, stock().await[0].last_resort), (2, true));
    let only_last = Claim { last_resort: true, ..claim(account, 1) };
    assert_eq!(backend.claim(only_last).await.unwrap().packages[0].body, b"package 1");
    assert_eq!(stock().await[0].left, 2);
    let claimed = async |now| {
        let claim = Claim { device: Some(device), now, ..claim(account, 1) };
        let claimed = backend.claim(claim).await.unwrap();
        claimed.packages.first().map(|entry| (entry.body.clone(), entry.last_resort))
    };
    assert_eq!(claimed(NOW).await, Some((b"package 2".to_vec(), false)));
    assert_eq!(claimed(NOW).await, Some((b"package 3".to_vec(), false)));
    assert_eq!(claimed(NOW).await, Some((b"package 1".to_vec(), true)));
    assert_eq!(claimed(NOW).await, Some((b"package 1".to_vec(), true)));
    assert_eq!((stock().await[0].left, stock().await[0].last_resort_used), (0, true));
    assert_eq!(claimed(Seconds(NOW.0 + 101)).await, None, "none that has expired");
    // A new one takes its place.
    backend.publish(account, device, vec![key_package(4, true)], (MOST, NOW)).await.unwrap();
    assert_eq!(claimed(NOW).await, Some((b"package 4".to_vec(), true)));
    assert_eq!(backend.claim(claim(account, 2)).await, Ok(Claimed::default()));
}

pub(crate) async fn names_and_devices_belong_to_one_account(backend: &dyn Backend) {
    let (account, first) = device(backend, "dora").await;
    assert_eq!(backend.account("dora").await, Ok(Some(account)));
    let new = |account, device: &[u8; 16], key: &[u8], first| NewDevice {
        account,
        name: "dora".to_owned(),
        look: "DORA".to_owned(),
        device: DeviceId(*device),
        key: key.to_vec(),
        first,
        most: 3,
        invite: None,
        at: NOW,
    };
    let register = async |new| backend.register(new).await.unwrap();
    let second = b"the second phone";
    let other = AccountId([9; 16]);
    assert_eq!(register(new(account, &first.0, b"key", true)).await, Registered::Registered);
    assert_eq!(register(new(account, &first.0, b"another", true)).await, Registered::Exists);
    assert_eq!(register(new(other, second, b"key", true)).await, Registered::NameTaken);
    let alike = NewDevice { name: "d0ra".to_owned(), ..new(other, second, b"key", true) };
    assert_eq!(register(alike).await, Registered::NameTaken, "it looks the same");
    assert_eq!(backend.account("d0ra").await, Ok(None));
    assert_eq!(register(new(account, second, b"key", true)).await, Registered::Exists);
    assert_eq!(register(new(other, second, b"key", false)).await, Registered::NoAccount);
    assert_eq!(register(new(account, second, b"2nd", false)).await, Registered::Registered);
    assert_eq!(backend.device_key(account, DeviceId(*second)).await, Ok(Some(b"2nd".to_vec())));

    // What is asked for under another name was not what is there.
    let renamed = |new| NewDevice { name: "doris".to_owned(), look: "DORIS".to_owned(), ..new };
    assert_eq!(register(renamed(new(account, &first.0, b"key", true))).await, Registered::OtherName);
    assert_eq!(register(renamed(new(account, &[7; 16], b"3rd", false))).await, Registered::OtherName);
    assert_eq!(register(new(account, &[7; 16], b"3rd", false)).await, Registered::Registered);
    assert_eq!(register(new(account, &[8; 16], b"4th", false)).await, Registered::TooMany);

    // Each device gives one, and a revoked one none.
    for device in [first, DeviceId(*second)] {
        let packages = vec![key_package(u64::from(device.0[0]), false)];
        backend.publish(account, device, packages, (MOST, NOW)).await.unwrap();
    }
    let names =
        |devices: Vec<(DeviceId, Seconds)>| devices.iter().map(|(device, _)| device.0).collect::<Vec<_>>();
    let mut there = vec![first.0, *second, [7; 16]];
    there.sort_unstable();
    assert_eq!(names(backend.devices(account).await.unwrap()), there);
    assert_eq!(backend.revoke(account, first).await, Ok(true));
    assert_eq!(backend.revoke(account, first).await, Ok(false));
    there.retain(|device| *device != first.0);
    assert_eq!(names(backend.devices(account).await.unwrap()), there);
    assert_eq!(backend.device_key(account, first).await, Ok(None));
    assert_eq!(register(new(account, &first.0, b"key", true)).await, Registered::Revoked);
    assert_eq!(register(new(account, &first.0, b"key", false)).await, Registered::Revoked);
    assert_eq!(
        register(new(account, &[8; 16], b"4th", false)).await,
        Registered::Registered,
        "there is room"
    );
    let claimed = backend.claim(claim(account, 1)).await.unwrap();
    assert_eq!(claimed.packages.iter().map(|entry| entry.device).collect::<Vec<_>>(), [DeviceId(*second)]);
}

/// A new account that uses up an invite.
fn guest(who: u8, name: &str, invite: InviteName, at: Seconds) -> NewDevice {
    NewDevice {
        account: AccountId([who; 16]),
        name: name.to_owned(),
        look: name.to_uppercase(),
        device: DeviceId([who; 16]),
        key: b"key".to_vec(),
        first: true,
        most: 3,
        invite: Some(invite),
        at,
    }
}

pub(crate) async fn an_invite_is_for_so_many_accounts_and_for_a_time(backend: &dyn Backend) {
    let (two, over, none) = (InviteName([1; 32]), InviteName([2; 32]), InviteName([3; 32]));
    let invite = |name, left, not_after| Invite { name, left, not_after: Seconds(not_after) };
    let left = async |now| {
        let invites = backend.invites(now).await.unwrap();
        invites.iter().map(|one| (one.name, one.left)).collect::<Vec<_>>()
    };
    backend.add_invite(invite(two, 2, NOW.0 + 10), NOW).await.unwrap();
    backend.add_invite(invite(over, 5, NOW.0 - 1), NOW).await.unwrap();
    assert_eq!(left(NOW).await, [(two, 2)]);
    let register = async |new| backend.register(new).await.unwrap();
    for bad in
        [guest(1, "eve", over, NOW), guest(1, "eve", none, NOW), guest(1, "eve", two, Seconds(NOW.0 + 11))]
    {
        assert_eq!(register(bad).await, Registered::NotInvited);
        assert_eq!(backend.account("eve").await, Ok(None), "nothing is left of it");
    }
    assert_eq!(register(guest(1, "eve", two, NOW)).await, Registered::Registered);
    assert_eq!(register(guest(1, "eve", two, NOW)).await, Registered::Registered, "asked again");
    assert_eq!(register(guest(2, "eve", two, NOW)).await, Registered::NameTaken);
    assert_eq!(left(NOW).await, [(two, 1)], "what is refused uses up nothing");
    assert_eq!(register(guest(2, "fred", two, NOW)).await, Registered::Registered);
    assert_eq!(register(guest(3, "gina", two, NOW)).await, Registered::NotInvited);
    assert_eq!(register(guest(2, "fred", two, NOW)).await, Registered::Registered, "asked again");
    assert_eq!(left(NOW).await, []);

    // What is over makes room for others; what is taken back is good no more.
    backend.add_invite(invite(none, 1, NOW.0 + 10), NOW).await.unwrap();
    assert_eq!(backend.forget_invite(over).await, Ok(false));
    assert_eq!(backend.forget_invite(none).await, Ok(true));
    assert_eq!(register(guest(3, "gina", none, NOW)).await, Registered::NotInvited);
}

pub(crate) async fn racers_for_an_invite_have_one_winner(backend: Arc<dyn Backend>) {
    let invite = Invite { name: InviteName([1; 32]), left: 1, not_after: NOW };
    backend.add_invite(invite, NOW).await.unwrap();
    let racers = (0..16).map(|who| {
        let backend = backend.clone();
        tokio::spawn(async move {
            backend.register(guest(who, &format!("racer {who}"), InviteName([1; 32]), NOW)).await.unwrap()
        })
    });
    let racers: Vec<_> = racers.collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    let winners = answers.iter().filter(|answer| **answer == Registered::Registered).count();
    let losers = answers.iter().filter(|answer| **answer == Registered::NotInvited).count();
    assert_eq!((winners, losers), (1, 15), "{answers:?}");
}

pub(crate) async fn an_account_brings_so_many_groups_in_a_period(backend: &dyn Backend) {
    let (one, _) = device(backend, "one").await;
    let (other, _) = device(backend, "other").await;
    let count = async |account, at| {
        let quota = GroupQuota { most: 2, since: Seconds(at - 100), at: Seconds(at) };
        backend.count_group(account, quota).await.unwrap()
    };
    assert_eq!((count(one, 1000).await, count(one, 1090).await), (true, true));
    assert_eq!((count(one, 1100).await, count(other, 1100).await), (false, true));
    assert_eq!((count(one, 1101).await, count(one, 1102).await), (true, true), "another period");
    assert!(!count(one, 1103).await);
    assert!(!count(AccountId([9; 16]), 1103).await, "of nobody");
}

pub(crate) async fn cursors_go_forward_and_trimming_leaves_one_piece(backend: &dyn Backend) {
    let id = group(backend, "trim").await;
    for number in 0..10 {
        let mut commit = commit(number, "alice");
        commit.at = Seconds(NOW.0 + number);
        backend.commit(&id, commit).await.unwrap();
    }
    let cursor = async |byte, sequence, at| {
        let cursor = Cursor { slot: SlotId([byte; 16]), sequence, at: Seconds(NOW.0 + at) };
        backend.move_cursors(&id, vec![cursor]).await.unwrap();
        page(backend, &id, (Kinds::All, 0)).await.cursor.map(|cursor| (cursor.sequence, cursor.at.0 - NOW.0))
    };
    assert_eq!(cursor(1, 5, 0).await, Some((5, 0)));
    assert_eq!(cursor(1, 3, 2).await, Some((5, 2)));
    assert_eq!(cursor(2, 9, 20).await, Some((5, 2)), "that of another");
    let trim = async |before, unread_before, most| {
        let (before, unread_before) = (Seconds(NOW.0 + before), Seconds(NOW.0 + unread_before));
        let limits = TrimLimits { before, unread_before, most, at: Seconds(NOW.0 + 50) };
        backend.trim(&id, limits).await.unwrap()
    };
    assert_eq!(trim(8, 8, 100).await, 0, "the first snapshot needs the whole log");
    assert_eq!(cursor(1, 5, 0).await, Some((5, 0)));
    let snapshot = Snapshot { incarnation: LIFE, epoch: 8, sequence: 8, body: b"eighth".to_vec() };
    backend.put_snapshot(&id, snapshot.clone(), 1).await.unwrap();
    assert_eq!(backend.snapshot(&id, 5).await, Ok(None), "one is kept");
    assert_eq!(backend.snapshot(&id, 9).await, Ok(Some(snapshot)));
    assert_eq!(trim(4, 0, 3).await, 3, "by age, and not all at once");
    assert_eq!(trim(4, 0, 3).await, 1);
    assert_eq!(trim(100, 0, 100).await, 1, "a reader has not come further");
    let left = page(backend, &id, (Kinds::All, 0)).await;
    assert_eq!((left.first, left.newest, numbers(&left.entries)), (6, 10, vec![6, 7, 8, 9, 10]));
    assert_eq!(left.bytes, bytes(&left.entries));
    assert_eq!(
        trim(100, 7, 100).await,
        3,
        "who has not been seen for long is not waited for; not beyond the snapshot"
    );
    let left = page(backend, &id, (Kinds::All, 0)).await;
    assert_eq!((left.first, left.cursor, numbers(&left.entries)), (9, None, vec![9, 10]));

    let among = async |ids: Vec<Vec<u8>>| ids.contains(&id);
    assert!(!among(backend.untrimmed(Seconds(NOW.0 + 50), 100).await.unwrap()).await);
    assert!(among(backend.untrimmed(Seconds(NOW.0 + 51), 100).await.unwrap()).await);
    assert!(among(backend.idle_groups(Seconds(NOW.0 + 10), 100).await.unwrap()).await);
    backend.erase_group(&id, Seconds(NOW.0 + 9)).await.unwrap();
    assert!(backend.head(&id).await.unwrap().is_some(), "something was written since");
    backend.erase_group(&id, Seconds(NOW.0 + 10)).await.unwrap();
    assert_eq!(backend.head(&id).await, Ok(None));
}

pub(crate) async fn the_service_has_one_secret(backend: &dyn Backend) {
    let first = backend.service_secret([1; 32]).await.unwrap();
    assert_eq!(backend.service_secret([2; 32]).await, Ok(first));
}

pub(crate) async fn the_self_check_passes_and_leaves_nothing(backend: &dyn Backend) {
    self_check(backend, b"self check", 50).await.unwrap();
    assert_eq!(backend.head(b"self check").await, Ok(None));
}
