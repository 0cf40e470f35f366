//! Accounts: names, devices, KeyPackages, inboxes, and what one account can do to another.

use std::time::Duration;

use hushwood::crypto::{Signer, SoftwareSigner};
use hushwood_delivery::backend::{PageLimit, Seconds};
use hushwood_delivery::service::{NewAccounts, Rate, Service, invite};
use hushwood_delivery::wire::{
    Authorization, ClaimRequest, InviteToken, PublishedKeyPackage, Refusal, Registration,
};
use test_support::actor::NOW;

use crate::world::{Client, SERVICE, invited, settings, two, world, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn names_belong_to_who_had_them_first_and_devices_vouch_for_each_other() {
    let world = world().await;
    let service = &world.service;
    let (alice, device) = Client::registered("alice", service).await;
    let impostor = Client::new("impostor");
    let mut unsigned = impostor.registration(service);
    unsigned.name = b"alice".to_vec();
    assert!(matches!(service.register(unsigned).await, Err(Refusal::Unauthorized(_))), "signed otherwise");
    for alike in ["alice", "ALICE", "Alice", "ａｌｉｃｅ", "a1ice"] {
        let registration = impostor.registration_as(service, alike.as_bytes());
        assert!(matches!(service.register(registration).await, Err(Refusal::Taken(_))), "{alike}");
    }
    for bad in ["", "al ice", "alicе", "alice\u{202e}", "alice\u{200b}"] {
        let registration = impostor.registration_as(service, bad.as_bytes());
        assert!(matches!(service.register(registration).await, Err(Refusal::Malformed(_))), "{bad:?}");
    }
    // Found under any spelling of the name.
    let claim = ClaimRequest { name: "ALICE".as_bytes().to_vec(), suite: 1 };
    assert_eq!(service.claim(device, claim).await.unwrap().len(), 1);

    // A second phone of hers: the first agrees.
    let mut phone = Client::new("phone");
    phone.account = alice.account;
    let by = |registration: &Registration, signer: &SoftwareSigner| {
        let signature = signer.sign(&registration.signed(SERVICE)).unwrap();
        Some(Authorization { device: alice.device, signature })
    };
    let mut registration = phone.registration_as(service, b"alice");
    registration.authorization = by(&registration, &impostor.device_key);
    assert!(matches!(service.register(registration.clone()).await, Err(Refusal::Unauthorized(_))));
    registration.authorization = by(&registration, &alice.device_key);
    assert_eq!(service.register(registration).await, Ok(()));
    phone.publish(service, 1).await.unwrap();
    let claim = ClaimRequest { name: b"alice".to_vec(), suite: 1 };
    assert_eq!(service.claim(device, claim).await.unwrap().len(), 2, "one of each device");

    // It is lost.
    let lost = phone.log_in(service).await;
    let devices = service.devices(device).await.unwrap();
    let mut devices: Vec<_> = devices.into_iter().map(|entry| entry.device).collect();
    devices.sort_unstable();
    let mut both = [alice.device, phone.device];
    both.sort_unstable();
    assert_eq!(devices, both);
    service.revoke(device, phone.device).await.unwrap();
    assert_eq!(service.devices(device).await.unwrap().len(), 1);
    assert_eq!(service.devices(lost).await, Err(Refusal::Revoked));
    assert_eq!(service.inbox(lost, None).await, Err(Refusal::Revoked), "at once, not when the token ends");
    assert_eq!(service.stock(lost).await, Err(Refusal::Revoked));
    assert_eq!(service.acknowledge(lost, vec![[1; 32]]).await, Err(Refusal::Revoked));
    assert!(matches!(service.device(b"made up"), Err(Refusal::Unauthorized(_))));
}

/// What is there is not what was asked for: it is not answered with yes.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_changes_nothing_says_so() {
    let mut settings = settings();
    settings.max_devices = 2;
    let world = world_with(settings).await;
    let service = &world.service;
    let (alice, device) = Client::registered("alice", service).await;
    assert_eq!(service.register(alice.registration(service)).await, Ok(()), "asked again");
    let renamed = alice.registration_as(service, b"alicia");
    assert_eq!(service.register(renamed).await, Err(Refusal::OtherName));

    let further = |name: &str, as_name: &[u8]| {
        let mut phone = Client::new(name);
        phone.account = alice.account;
        let mut registration = phone.registration_as(service, as_name);
        let signature = alice.device_key.sign(&registration.signed(SERVICE)).unwrap();
        registration.authorization = Some(Authorization { device: alice.device, signature });
        (phone, registration)
    };
    assert_eq!(service.register(further("phone", b"alicia").1).await, Err(Refusal::OtherName));
    let (phone, registration) = further("phone", b"alice");
    service.register(registration).await.unwrap();
    assert!(matches!(service.register(further("third", b"alice").1).await, Err(Refusal::Full(_))));
    service.revoke(device, phone.device).await.unwrap();
    assert_eq!(service.register(further("phone", b"alice").1).await, Err(Refusal::Revoked));
    assert_eq!(service.register(further("third", b"alice").1).await, Ok(()), "there is room again");
}

/// An operator may give accounts to those alone who were told a word. Who has one needs it no more.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_an_invite_token_new_accounts_need_it() {
    let mut settings = settings();
    let token = |text: &str| InviteToken::new(text.as_bytes().to_vec());
    settings.new_accounts = NewAccounts::Invited { word: Some(token("come in")) };
    let world = world_with(settings).await;
    let service = &world.service;
    let alice = Client::new("alice");
    let registration = |shown| Registration { invite_token: shown, ..alice.registration(service) };
    for shown in [None, Some(token("come")), Some(token("Come in"))] {
        assert!(matches!(service.register(registration(shown)).await, Err(Refusal::Forbidden(_))));
    }
    assert_eq!(service.register(registration(Some(token("come in")))).await, Ok(()));
    assert_eq!(service.register(registration(None)).await, Ok(()), "asked again");
    // A further device has the word of the first.
    let mut phone = Client::new("phone");
    phone.account = alice.account;
    let mut further = phone.registration_as(service, b"alice");
    let signature = alice.device_key.sign(&further.signed(SERVICE)).unwrap();
    further.authorization = Some(Authorization { device: alice.device, signature });
    assert_eq!(service.register(further).await, Ok(()));
}

/// Or each has a token of their own, for so many accounts and for a time. What is refused uses up nothing, nor does who asks again.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_token_is_for_so_many_accounts_and_for_a_time() {
    let mut settings = settings();
    settings.new_accounts = NewAccounts::Invited { word: None };
    // As many as were invited may come, whoever tries tokens that are none.
    settings.rates.registrations = Rate { burst: 1, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let made = async |uses, not_after| {
        let until = (Seconds(NOW.0), Seconds(not_after));
        invite(&*world.backend, uses, until).await.unwrap()
    };
    let with = |client: &Client, token: &InviteToken| Registration {
        invite_token: Some(token.clone()),
        ..client.registration(service)
    };
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Client::new);
    let (two, over) = (made(2, NOW.0).await, made(5, NOW.0 - 1).await);
    assert_eq!(two.expose().len(), 32);
    let made_up = InviteToken::new(b"made up".to_vec());
    for bad in [&over, &made_up] {
        assert!(matches!(service.register(with(&alice, bad)).await, Err(Refusal::Forbidden(_))));
    }
    assert!(matches!(service.register(alice.registration(service)).await, Err(Refusal::Forbidden(_))));
    assert_eq!(service.register(with(&alice, &two)).await, Ok(()));
    for again in [with(&alice, &two), with(&alice, &over), alice.registration(service)] {
        assert_eq!(service.register(again).await, Ok(()), "asked again");
    }
    let mut as_alice = bob.registration_as(service, b"alice");
    as_alice.invite_token = Some(two.clone());
    assert!(matches!(service.register(as_alice).await, Err(Refusal::Taken(_))));
    assert_eq!(world.backend.invites(Seconds(NOW.0)).await.unwrap()[0].left, 1);
    assert_eq!(service.register(with(&bob, &two)).await, Ok(()));
    assert!(matches!(service.register(with(&carol, &two)).await, Err(Refusal::Forbidden(_))));
    assert_eq!(service.register(with(&bob, &two)).await, Ok(()), "asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_registration_is_closed_nobody_makes_an_account_and_who_has_one_keeps_it() {
    let world = world().await;
    let (alice, _) = Client::registered("alice", &world.service).await;
    let token = invite(&*world.backend, 1, (Seconds(NOW.0), Seconds(NOW.0))).await.unwrap();
    let mut settings = settings();
    settings.new_accounts = NewAccounts::Closed;
    let closed = Service::new(world.backend.clone(), settings).await.unwrap();
    let bob = Client::new("bob");
    let invited = Registration { invite_token: Some(token), ..bob.registration(&closed) };
    for new in [bob.registration(&closed), invited] {
        assert!(matches!(closed.register(new).await, Err(Refusal::Forbidden(_))));
    }
    assert_eq!(closed.register(alice.registration(&closed)).await, Ok(()), "asked again");
    let mut phone = Client::new("phone");
    phone.account = alice.account;
    let mut further = phone.registration_as(&closed, b"alice");
    let signature = alice.device_key.sign(&further.signed(SERVICE)).unwrap();
    further.authorization = Some(Authorization { device: alice.device, signature });
    assert_eq!(closed.register(further).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_so_many_new_accounts() {
    let mut settings = settings();
    settings.rates.registrations = Rate { burst: 2, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    for name in ["alice", "bob"] {
        Client::registered(name, &world.service).await;
    }
    let carol = Client::new("carol").registration(&world.service);
    assert!(matches!(world.service.register(carol).await, Err(Refusal::TooMany(_))));
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
    // One of last resort is enough.
    let mut last_resort = || PublishedKeyPackage { message: alice.last_resort() };
    let two = vec![last_resort(), last_resort()];
    assert!(matches!(service.publish(device, two).await, Err(Refusal::Malformed(_))));
    assert_eq!(service.publish(device, vec![last_resort()]).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_keeps_so_many_key_packages_here() {
    let mut settings = settings();
    settings.max_key_packages = 4;
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    assert!(matches!(alice.publish(service, 5).await, Err(Refusal::TooLarge(_))));
    assert!(matches!(alice.publish(service, 2).await, Err(Refusal::Full(_))));
    alice.publish(service, 1).await.unwrap();
    assert_eq!(service.stock(device).await.unwrap()[0].left, 4);
}

/// RFC 9420 §16.8, A040: nobody takes all KeyPackages of somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn who_claims_again_and_again_is_told_to_wait_and_others_are_not() {
    let mut settings = settings();
    settings.rates.claims_of_one = Rate { burst: 2, every: Duration::from_secs(3600) };
    settings.rates.claims = Rate { burst: 3, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (_, mallory) = Client::registered("mallory", service).await;
    let (_, victim) = Client::registered("victim", service).await;
    let (_, other) = Client::registered("other", service).await;
    let claim = async |by, name: &str| {
        service
            .claim(by, ClaimRequest { name: name.as_bytes().to_vec(), suite: 1 })
            .await
            .map(|all| all.len())
    };
    for _ in 0..2 {
        assert_eq!(claim(mallory, "victim").await, Ok(1));
    }
    assert!(matches!(claim(mallory, "victim").await, Err(Refusal::TooMany(_))));
    assert_eq!(service.stock(victim).await.unwrap()[0].left, 1, "there is one for others");
    assert_eq!(claim(mallory, "other").await, Ok(1));
    assert!(matches!(claim(mallory, "mallory").await, Err(Refusal::TooMany(_))), "nor of all together");
    assert_eq!(claim(other, "victim").await, Ok(1));
}

/// One account, or a few that are one person's, do not take all that somebody has here: beyond some they get the one of last
/// resort, and others still get theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_stock_is_not_drained_at_once() {
    let mut settings = settings();
    settings.rates.fresh_of_one = Rate { burst: 1, every: Duration::from_secs(3600) };
    settings.rates.fresh = Rate { burst: 2, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut victim, device) = Client::registered("victim", service).await;
    let last_resort = victim.last_resort();
    let left = async || service.stock(device).await.unwrap()[0].left;
    let claim = async |by, name: &str| {
        let claimed = service.claim(by, ClaimRequest { name: name.as_bytes().to_vec(), suite: 1 }).await;
        claimed.map(|mut all| all.remove(0).message)
    };
    let (_, mallory) = Client::registered("mallory", service).await;
    assert!(claim(mallory, "victim").await.is_ok());
    // There is none of last resort yet: those that are left are for others.
    assert!(matches!(claim(mallory, "victim").await, Err(Refusal::TooMany(_))));
    let package = PublishedKeyPackage { message: last_resort.clone() };
    service.publish(device, vec![package]).await.unwrap();
    assert_eq!(claim(mallory, "victim").await, Ok(last_resort.clone()));
    assert_eq!(left().await, 2);
    let (_, puppet) = Client::registered("puppet", service).await;
    assert_ne!(claim(puppet, "victim").await, Ok(last_resort.clone()));
    let (_, other) = Client::registered("other", service).await;
    assert_eq!(claim(other, "victim").await, Ok(last_resort));
    assert_eq!(left().await, 1, "all together have had as many as they may");
    // For oneself there is always one.
    assert!(claim(device, "victim").await.is_ok());
    assert_eq!(left().await, 0);
}

/// Who tries names is counted as who claims.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_not_tried_without_end() {
    let mut settings = settings();
    settings.rates.claims = Rate { burst: 2, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (_, mallory) = Client::registered("mallory", service).await;
    Client::registered("bob", service).await;
    let claim = async |name: &str| {
        service.claim(mallory, ClaimRequest { name: name.as_bytes().to_vec(), suite: 1 }).await
    };
    for name in ["nobody", "noone"] {
        assert!(matches!(claim(name).await, Err(Refusal::NotFound(_))));
    }
    for name in ["nowhere", "bob"] {
        assert!(matches!(claim(name).await, Err(Refusal::TooMany(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_asks_so_often() {
    let mut settings = settings();
    settings.rates.account = Rate { burst: 5, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let (_, alice) = Client::registered("alice", &world.service).await;
    let (_, bob) = Client::registered("bob", &world.service).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(world.service.stock(alice).await);
    }
    assert!(answers[0].is_ok() && matches!(answers[5], Err(Refusal::TooMany(_))), "{answers:?}");
    assert!(world.service.stock(bob).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_asks_so_often() {
    let mut settings = settings();
    settings.rates.member = Rate { burst: 8, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let (alice, bob) = two(&world).await;
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.push(world.service.read(alice.read_request(0)).await);
    }
    assert!(answers[0].is_ok() && matches!(answers[8], Err(Refusal::TooMany(_))), "{answers:?}");
    assert!(world.service.read(bob.read_request(0)).await.is_ok());
}

/// Whoever stands where somebody has gone is not made to wait by them, nor is a member by those whom it has invited.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_gone_or_is_invited_takes_nothing_of_the_members() {
    let mut settings = settings();
    settings.rates.member = Rate { burst: 20, every: Duration::from_secs(3600) };
    settings.rates.outsider = Rate { burst: 3, every: Duration::from_secs(3600) };
    settings.rates.invited = Rate { burst: 5, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, bob) = two(&world).await;
    let (mut carol, _) = Client::registered("carol", service).await;
    let leaf = bob.actor.leaf();
    alice.remove(service, leaf).await;
    let device = alice.log_in(service).await;
    let commit = alice.invite(service, device, &["carol"]).await;
    alice.send_commit(service, commit).await;
    carol.join(service).await;
    assert_eq!(carol.actor.leaf(), leaf);
    let mut last = Ok(());
    for _ in 0..50 {
        last = service.read(bob.read_request(0)).await.map(drop);
    }
    assert!(matches!(last, Err(Refusal::TooMany(_))), "{last:?}");
    assert!(service.read(carol.read_request(0)).await.is_ok());

    let group_id = alice.group_id();
    let mut refused = 0;
    for name in ["dave", "eve", "frank"] {
        let guest = Client::new(name);
        for _ in 0..3 {
            let admission = invited(alice.invitation(&guest));
            refused += usize::from(guest.group_info(service, &group_id, admission).await.is_err());
        }
    }
    assert_eq!(refused, 4, "three of one, five of all");
    assert!(service.read(alice.read_request(0)).await.is_ok());
}

/// Welcomes come by themselves, after a crash too, and an inbox that is full stands in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_has_an_end_and_what_does_not_fit_comes_later() {
    let mut settings = settings();
    settings.inbox = PageLimit { entries: 1, bytes: 1 << 20 };
    let world = world_with(settings.clone()).await;
    let service = &world.service;
    let (carol, _) = Client::registered("carol", service).await;
    let (dave, _) = Client::registered("dave", service).await;
    let mut founders = Vec::new();
    for name in ["alice", "bob"] {
        let (mut founder, device) = Client::registered(name, service).await;
        founder.create_group(service).await;
        // Both claim before either of them commits.
        let commit = founder.invite(service, device, &["carol", "dave"]).await;
        founders.push((founder, commit));
    }
    for (mut founder, commit) in founders {
        founder.send_commit(service, commit).await;
    }
    let (id, _) = carol.welcome(service).await;
    dave.welcome(service).await;
    service.settle().await.unwrap();
    // While there is no room, nobody is given a KeyPackage that would lead nowhere.
    let (_, eve) = Client::registered("eve", service).await;
    let claim = ClaimRequest { name: b"carol".to_vec(), suite: 1 };
    assert!(matches!(service.claim(eve, claim).await, Err(Refusal::Full(_))));
    let device = carol.log_in(service).await;
    assert_eq!(service.inbox(device, None).await.unwrap().len(), 1);
    service.acknowledge(device, vec![id]).await.unwrap();
    // It is tried again after a while, by whichever node is there.
    settings.clock = || hushwood_delivery::backend::Seconds(test_support::actor::NOW.0 + 60);
    let later = Service::new(world.backend.clone(), settings).await.unwrap();
    later.settle().await.unwrap();
    let inbox = service.inbox(device, None).await.unwrap();
    assert_eq!(inbox.len(), 1);
    assert_ne!(inbox[0].id, id);
}

/// What waits for inboxes that are full has an end for each group, and others are not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_welcomes_wait_adds_nobody() {
    let mut settings = settings();
    settings.inbox = PageLimit { entries: 1, bytes: 1 << 20 };
    settings.uncarried = PageLimit { entries: 1, bytes: 1 << 20 };
    let world = world_with(settings).await;
    let service = &world.service;
    let (carol, _) = Client::registered("carol", service).await;
    Client::registered("dave", service).await;
    let mut founders = Vec::new();
    for name in ["alice", "bob"] {
        let (mut founder, device) = Client::registered(name, service).await;
        founder.create_group(service).await;
        let commit = founder.invite(service, device, &["carol"]).await;
        founders.push((founder, device, commit));
    }
    let (mut bob, bobs_device, second) = founders.pop().unwrap();
    let (mut alice, alices_device, first) = founders.pop().unwrap();
    alice.send_commit(service, first).await;
    carol.welcome(service).await;
    bob.send_commit(service, second).await;
    service.settle().await.unwrap();
    let (_, third) = bob.invite(service, bobs_device, &["dave"]).await;
    assert!(matches!(service.commit(third).await, Err(Refusal::Full(_))));
    let commit = alice.invite(service, alices_device, &["dave"]).await;
    alice.send_commit(service, commit).await;
    // What adds nobody goes on.
    bob.update(service).await;
}

/// Who is not asked is sent nothing: a Welcome for a KeyPackage that they have never published does not fill their inbox.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_fills_the_inbox_of_somebody_else() {
    let world = world().await;
    let service = &world.service;
    let (victim, device) = Client::registered("victim", service).await;
    let (mut mallory, _) = Client::registered("mallory", service).await;
    let mut puppet = Client::new("puppet");
    mallory.create_group(service).await;
    let valid = mallory.actor.validate(&puppet.actor.key_package()).unwrap();
    let proposals = vec![hushwood::group::NewProposal::Add(Box::new(valid))];
    let recipient = hushwood_delivery::wire::Recipient { account: victim.account, device: victim.device };
    let plan = hushwood::group::CommitPlan { proposals, ..Default::default() };
    let commit = mallory.commit(plan, vec![recipient]);
    mallory.send_commit(service, commit).await;
    service.settle().await.unwrap();
    assert_eq!(service.inbox(device, None).await, Ok(Vec::new()));
    assert_eq!(
        world.backend.outgoing(hushwood_delivery::backend::Seconds(u64::MAX >> 1), 10).await,
        Ok(Vec::new())
    );
}
