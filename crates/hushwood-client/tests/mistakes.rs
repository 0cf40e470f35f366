//! What people get wrong at first, and what they are told: nothing that is mistaken ruins anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World, three};
use hushwood::credential::Claim;
use hushwood_client::{
    Core, DeviceId, Done, Error, EventKind, Identity, Known, Provider, Settings, TransportError, Trust,
};
use hushwood_delivery::wire::Call;
use test_support::random::SeededRandom;

#[test]
fn a_name_is_one_name_however_it_is_spelled() {
    let mut world = World::new();
    let (mut alice, _bob, carol, room) = three(&mut world);
    // In capitals of full width.
    let done = alice.done(&mut world, |core| core.remove(&room, "ＢＯＢ"));
    assert!(matches!(done, Done::Accepted(_)), "{done:?}");
    assert_eq!(alice.people(&room), ["alice", "carol"]);
    let device = carol.core.member().device;
    let done = alice.done(&mut world, |core| core.remove_device(&room, "Carol", device));
    assert!(matches!(done, Done::Accepted(_)), "{done:?}");
    assert_eq!(alice.people(&room), ["alice"]);
}

#[test]
fn who_is_not_in_the_room_is_not_removed_and_it_says_who_is() {
    let mut world = World::new();
    let (mut alice, bob, _carol, room) = three(&mut world);
    let error = alice.core.remove(&room, "bop").unwrap_err();
    let there = ["alice", "bob", "carol"].map(str::to_owned).to_vec();
    assert_eq!(error, Error::NotThere { person: "bop".to_owned(), device: None, there });
    for name in ["alice", "bob", "carol"] {
        assert!(error.to_string().contains(name), "{error}");
    }
    let other = alice.core.member().device;
    let error = alice.core.remove_device(&room, "bob", other).unwrap_err();
    assert!(error.to_string().contains(&other.to_string()), "{error}");
    // Who is about to come can be removed: it is done after that.
    let mut dora = Person::new("dora", 4);
    dora.sync(&mut world);
    let invited = alice.does(|core| core.invite(&room, "dora"));
    let removed = alice.does(|core| core.remove(&room, "dora"));
    alice.settle(&mut world);
    for number in [invited, removed] {
        assert!(matches!(alice.core.result(number), Some(Ok(Done::Accepted(_)))));
    }
    assert_eq!(alice.people(&room), ["alice", "bob", "carol"]);
    drop(bob);
}

#[test]
fn a_name_that_is_taken_is_corrected_and_what_was_done_stays() {
    let mut world = World::new();
    let (mut bob, mut alice) = (Person::new("bob", 1), Person::new("alice", 3));
    for person in [&mut bob, &mut alice] {
        person.sync(&mut world);
    }
    let mut late = Person::new("bob", 4);
    let now = world.now;
    let room = late.does(|core| core.create_room("tea", now));
    late.does(|core| core.invite(&room, "alice"));
    late.does(|core| core.send(&room, b"hello", now));
    late.sync(&mut world);
    assert!(matches!(late.core.trouble(None), Some(Error::Refused(_))), "the name is taken");

    late.name = "bobby".to_owned();
    late.restart();
    assert_eq!(late.core.member().person, "bobby");
    late.sync(&mut world);
    assert_eq!(late.core.trouble(None), None);
    assert_eq!(late.core.title(&room).unwrap(), "tea");
    alice.sync(&mut world);
    let by = alice.events().into_iter().find_map(|event| match event.kind {
        EventKind::Joined { by } => Some(by.person),
        _ => None,
    });
    assert_eq!(by.as_deref(), Some("bobby"));
    assert_eq!(alice.people(&room), ["alice", "bobby"]);
    late.say(&mut world, &room, "by another name");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bobby".to_owned(), "by another name".to_owned())]);

    // From now on it belongs to this name, however that is spelled, and to no other.
    late.name = "BOBBY".to_owned();
    late.restart();
    assert_eq!(late.core.member().person, "bobby");
    let refused = open(&late, ("alice", common::SERVICE)).unwrap_err();
    let belongs = Error::OtherIdentity { person: "bobby".to_owned(), service: common::SERVICE.to_owned() };
    assert_eq!(refused, belongs);
}

/// The same store under other names.
fn open(person: &Person, (name, service): (&str, &str)) -> Result<Core, Error> {
    let provider = Provider::new(hushwood_rustcrypto::PROVIDER, SeededRandom::new(77));
    let identity = Identity { person: name.to_owned(), service: service.to_owned() };
    let store = Box::new(person.disk.clone());
    Core::open(store, provider, &identity, Trust::insecure_accept_all(), Settings::default())
}

#[test]
fn a_service_under_another_name_is_corrected() {
    let mut world = World::new();
    let mut dora = Person::new("dora", 5);
    dora.core = open(&dora, ("dora", "127.0.0.1")).unwrap();
    let now = world.now;
    let room = dora.does(|core| core.create_room("tea", now));
    dora.sync(&mut world);
    let wrong = Error::OtherService { service: "127.0.0.1".to_owned() };
    assert_eq!(dora.core.trouble(None), Some(&wrong));
    dora.restart();
    dora.sync(&mut world);
    assert_eq!(dora.core.trouble(None), None);
    dora.say(&mut world, &room, "now");
    assert!(matches!(open(&dora, ("dora", "127.0.0.1")), Err(Error::OtherIdentity { .. })));
}

#[test]
fn a_device_that_is_none_of_ours_is_not_revoked_and_those_that_are_are_told() {
    let mut world = World::new();
    let mut alice = Person::new("alice", 1);
    alice.sync(&mut world);
    let own = alice.core.member().device;
    alice.core.want_devices();
    alice.settle(&mut world);
    let devices = alice.core.devices().expect("the service has told");
    assert_eq!(devices.len(), 1);
    assert!(devices[0].device == own && devices[0].is_this && !devices[0].is_going, "{devices:?}");
    let device = DeviceId([7; 16]);
    let number = alice.does(|core| core.revoke(device));
    alice.settle(&mut world);
    assert_eq!(alice.core.result(number), Some(Err(Error::NoSuchDevice { device })));
    assert!(matches!(alice.core.revoke(own), Err(Error::Void(_))));
}

/// The answer is lost, and what is asked again is answered with no: it is done all the same.
#[test]
fn a_revocation_whose_answer_was_lost_is_done() {
    let mut world = World::new();
    let (mut bob, mut phone) = (Person::new("bob", 1), Person::new("bob", 2));
    bob.sync(&mut world);
    link(&mut world, &mut bob, &mut phone);
    let number = bob.does(|core| core.revoke(phone.core.member().device));
    let mut lost = false;
    bob.settle_through(&mut world, &mut |call, ask| {
        let is_it = matches!(call, Call::Revoke(_));
        let answer = ask(call);
        match is_it && !std::mem::replace(&mut lost, is_it) {
            true => Err(TransportError::Unknown("lost".to_owned())),
            false => answer,
        }
    });
    assert_eq!(bob.core.result(number), Some(Ok(Done::ByService)));
    bob.core.want_devices();
    bob.settle(&mut world);
    assert_eq!(bob.core.devices().unwrap().len(), 1);
}

/// It still has a token: the service says at once what has happened, and so do we.
#[test]
fn a_device_that_was_revoked_is_told_what_it_is_and_begins_anew() {
    let mut world = World::new();
    let (mut bob, mut phone) = (Person::new("bob", 1), Person::new("bob", 2));
    bob.sync(&mut world);
    link(&mut world, &mut bob, &mut phone);
    let device = phone.core.member().device;
    bob.does(|core| core.revoke(device));
    bob.settle(&mut world);
    phone.sync(&mut world);
    assert_eq!(phone.core.trouble(None), Some(&Error::Revoked));
    assert_eq!(phone.core.link(), Err(Error::Revoked));
    let advice = Error::Revoked.to_string();
    assert!(advice.contains("new store"), "{advice}");
    // Which works.
    let mut new = Person::new("bob", 3);
    link(&mut world, &mut bob, &mut new);
    assert_eq!(new.core.trouble(None), None);
}

/// With a room that is only here, it is the room's request that tells.
#[test]
fn a_device_that_was_revoked_hears_it_when_it_brings_a_room() {
    let mut world = World::new();
    let (mut bob, mut phone) = (Person::new("bob", 1), Person::new("bob", 2));
    bob.sync(&mut world);
    link(&mut world, &mut bob, &mut phone);
    let device = phone.core.member().device;
    bob.does(|core| core.revoke(device));
    bob.settle(&mut world);
    let now = world.now;
    phone.does(|core| core.create_room("tea", now));
    phone.settle(&mut world);
    assert_eq!(phone.core.trouble(None), Some(&Error::Revoked));
}

/// A device is linked by another of the same person.
fn link(world: &mut World, old: &mut Person, new: &mut Person) {
    new.does(Core::link);
    new.settle(world);
    let shown = new.core.link_request().unwrap().expect("the service has given something to sign");
    let answer = old.does(|core| core.authorize(&shown));
    new.does(|core| core.linked(&answer));
    new.sync(world);
}

#[test]
fn an_error_is_told_to_whoever_asked_or_by_an_event_and_not_by_both() {
    let mut world = World::new();
    let mut alice = Person::new("alice", 1);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    let (asked, kept) =
        (alice.does(|core| core.invite(&room, "nobody")), alice.does(|core| core.invite(&room, "noone")));
    alice.settle(&mut world);
    assert_eq!(alice.core.result(asked), Some(Err(Error::NoSuchPerson)));
    // Whoever asked for the other one has gone.
    alice.restart();
    let told = alice.events().into_iter().filter_map(|event| match event.kind {
        EventKind::NotDone { intent, .. } => Some(intent),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [kept]);
}

#[test]
fn nothing_is_left_of_a_room_that_is_forgotten() {
    let mut world = World::new();
    let mut bob = Person::new("bob", 2);
    bob.disk.state().rows = Some(Default::default());
    bob.sync(&mut world);
    let mut alice = Person::new("alice", 1);
    let now = world.now;
    let room = alice.does(|core| core.create_room("a secret title", now));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    alice.say(&mut world, &room, "secret words");
    bob.sync(&mut world);
    bob.say(&mut world, &room, "secret answers");
    assert_eq!(bob.core.forget(&room), Err(Error::Void("others are in this room: leave it first")));
    assert!(["secret words", "secret answers"].iter().all(|words| bob.disk.state().has(words.as_bytes())));
    alice.sync(&mut world);
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    bob.sync(&mut world);

    bob.does(|core| core.forget(&room));
    let left = |bob: &Person| {
        let state = bob.disk.state();
        let is_named = state.rows.as_ref().unwrap().keys().any(|key| key.id == room.0);
        is_named || state.has(&room.0) || state.has(b"secret")
    };
    assert!(!left(&bob));
    assert_eq!(bob.core.rooms().count(), 0);
    assert!(bob.events().is_empty());
    bob.restart();
    bob.sync(&mut world);
    assert_eq!((bob.core.rooms().count(), bob.core.trouble(None)), (0, None));
    // He can be invited again.
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob"]);
    bob.done(&mut world, |core| core.leave(&room));
    bob.does(|core| core.forget(&room));
    assert!(!left(&bob));
}

#[test]
fn who_is_alone_in_a_room_does_not_leave_but_forgets_it() {
    let mut world = World::new();
    let mut alice = Person::new("alice", 1);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    let invited = alice.does(|core| core.invite(&room, "bob"));
    let left = alice.does(|core| core.leave(&room));
    alice.settle(&mut world);
    let error = alice.core.result(left).unwrap().unwrap_err();
    assert!(error.to_string().contains("forget it"), "{error}");
    drop(alice.core.result(invited));
    let kept = alice.does(|core| core.invite(&room, "bob"));
    alice.does(|core| core.forget(&room));
    assert_eq!(alice.core.rooms().count(), 0);
    assert!(matches!(alice.core.result(kept), Some(Err(Error::Void(_)))));
    alice.sync(&mut world);
    assert_eq!(alice.core.trouble(None), None);
}

/// What these tests show of a key: its first bytes.
fn said_of(claim: &Claim) -> String {
    claim.signature_key.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn known_only() -> Trust {
    Trust::known_only().recognising(|claim, said| said_of(claim) == said)
}

#[test]
fn a_key_of_which_nobody_has_said_anything_is_not_one_that_has_changed() {
    let mut world = World::new();
    let mut bob = Person::new("bob", 2);
    bob.sync(&mut world);
    let mut carol = Person::with("carol", 3, Settings::default(), known_only);
    let now = world.now;
    let room = carol.does(|core| core.create_room("tea", now));
    let invited = carol.does(|core| core.invite(&room, "bob"));
    carol.settle(&mut world);
    let error = carol.core.result(invited).unwrap().unwrap_err();
    assert_eq!(error, Error::UnknownKey { person: "bob".to_owned() });
    assert!(!error.to_string().contains("another key"), "{error}");
    let claim = carol.core.doubted(bob.core.member()).cloned().unwrap();
    carol.does(|core| core.trust(&claim));
    carol.done(&mut world, |core| core.invite(&room, "bob"));
    assert_eq!(carol.people(&room), ["bob", "carol"]);
}

#[test]
fn whose_a_key_is_can_be_said_before_it_is_seen() {
    let mut world = World::new();
    let (mut bob, mut dora) = (Person::new("bob", 2), Person::new("dora", 4));
    for person in [&mut bob, &mut dora] {
        person.sync(&mut world);
    }
    let mut carol = Person::with("carol", 3, Settings::default(), known_only);
    let of_bob = said_of(&bob.core.claim());
    carol.does(|core| core.expect_key("BOB", &of_bob));
    carol.does(|core| core.expect_key("dora", "ffffffff"));
    // It is kept, and stands for one key alone.
    carol.restart();
    carol.sync(&mut world);
    let now = world.now;
    let room = bob.does(|core| core.create_room("tea", now));
    bob.done(&mut world, |core| core.invite(&room, "carol"));
    carol.sync(&mut world);
    // She follows him without asking: she knows him.
    assert_eq!(carol.people(&room), ["bob", "carol"]);
    let contacts = carol.does(|core| core.contacts(&room));
    let trust = contacts.iter().find(|one| one.member.person == "bob").unwrap().trust;
    assert_eq!(trust, Known::Verified);
    let invited = carol.does(|core| core.invite(&room, "dora"));
    carol.settle(&mut world);
    let error = carol.core.result(invited).unwrap().unwrap_err();
    assert_eq!(error, Error::UnknownKey { person: "dora".to_owned() });
    // Whichever is the first.
    carol.does(|core| core.expect_key("dora", ""));
    carol.done(&mut world, |core| core.invite(&room, "dora"));
    let contacts = carol.does(|core| core.contacts(&room));
    let trust = contacts.iter().find(|one| one.member.person == "dora").unwrap().trust;
    assert_eq!(trust, Known::Seen);
}

/// What is too long to be sent uses up no key: nobody misses anything.
#[test]
fn what_is_too_long_is_refused_before_it_is_encrypted() {
    let mut world = World::new();
    let (mut alice, mut bob, _carol, room) = three(&mut world);
    let now = world.now;
    let Err(Error::TooLong { most }) = alice.core.send(&room, &vec![b'a'; 1 << 20], now) else {
        panic!("it is too long")
    };
    alice.say(&mut world, &room, &"b".repeat(most));
    bob.sync(&mut world);
    let heard: Vec<_> = bob.events().into_iter().map(|event| event.kind).collect();
    assert!(!heard.iter().any(|kind| matches!(kind, EventKind::Gap { .. })));
    assert!(
        heard.iter().any(|kind| matches!(kind, EventKind::Message(message) if message.body.len() == most))
    );
}

/// The disk is full: what was not written is not shown either.
#[test]
fn a_room_that_could_not_be_stored_is_not_there() {
    let mut alice = Person::new("alice", 1);
    let writes = alice.disk.state().writes;
    alice.disk.state().crash = Some((writes + 1, false));
    let room = alice.core.create_room("tea", common::START);
    assert!(matches!(room, Err(Error::Store(_))), "{room:?}");
    assert_eq!(alice.core.rooms().count(), 0);
}
