//! Members and services that mean harm: the others go on, or are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::mallory::Mallory;
use common::{Person, World};
use hushwood::commit::Answers;
use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::group::{CommitPlan, NewProposal};
use hushwood::proposal::ReInit;
use hushwood::schedule::Psk;
use hushwood::tree::LeafIndex;
use hushwood_client::core::{Next, Request};
use hushwood_client::{
    Attention, DeviceId, Done, Error, EventKind, Invitations, Known, NotTaken, RoomId, Settings, Standing,
    Transport, TransportError, Trust,
};
use hushwood_codec::Encode;
use hushwood_crypto::{Secret, Signer};
use hushwood_delivery::wire::{Answer, Call, ClaimedKeyPackage, EntryKind, LogEntry, ReadAnswer, Recipient};

fn person(name: &str, seed: u64) -> Person {
    // Whom they do not know yet may invite them.
    let settings = Settings { invitations: Invitations::All, ..Settings::default() };
    Person::with(name, seed, settings, Trust::on_first_use)
}

/// Alice has invited the others, and all have read everything.
fn room_of(world: &mut World, others: &[&str]) -> (Vec<Person>, RoomId) {
    let mut people = vec![person("alice", 1)];
    for (name, seed) in others.iter().zip(2..) {
        people.push(person(name, seed));
        people.last_mut().unwrap().sync(world);
    }
    let now = world.now;
    let room = people[0].does(|core| core.create_room("tea", now));
    for name in others {
        people[0].done(world, |core| core.invite(&room, name));
    }
    for person in &mut people {
        person.sync(world);
        person.events();
    }
    (people, room)
}

/// A member in the place of the last of them, whose client is not ours.
fn mallory(world: &World, people: &mut Vec<Person>, room: &RoomId) -> Mallory {
    let last = people.pop().unwrap();
    let commits = u64::try_from(people.len()).unwrap();
    Mallory::instead_of(&last, room, world, commits)
}

/// How often somebody has something to ask, at most so often.
fn requests(person: &mut Person, world: &mut World, most: usize) -> usize {
    person.core.want_sync();
    let transport = world.transport();
    for count in 0..most {
        match person.does(|core| core.poll(world.now)) {
            Next::Request(request) => {
                let answer = transport.call(request.call, request.token.as_deref());
                person.answer(request.id, answer, world.now);
            }
            Next::Wait(_) => return count,
        }
    }
    most
}

#[test]
fn a_proposal_that_nobody_can_commit_keeps_nobody_from_speaking() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    mallory.propose(&world, NewProposal::Psk(Psk::External { psk_id: b"nobody has it".to_vec() }));
    for person in &mut people {
        assert!(requests(person, &mut world, 50) < 50, "{} asks for ever", person.name);
    }
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    alice.say(&mut world, &room, "hello");
    alice.done(&mut world, |core| core.renew(&room));
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "hello".to_owned())]);
    alice.done(&mut world, |core| core.remove(&room, "mallory"));
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob"]);
}

#[test]
fn who_reads_an_addition_after_its_key_package_has_expired_goes_on() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob"]);
    let mut carol = person("carol", 9);
    carol.sync(&mut world);
    let day = 24 * 60 * 60 * 1000;
    world.pass(83 * day);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    world.pass(5 * day);
    bob.sync(&mut world);
    let events = bob.events();
    assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Fork { .. })), "{events:?}");
    assert_eq!(bob.people(&room), ["alice", "bob", "carol"]);
}

#[test]
fn a_request_is_printed_without_its_token() {
    let mut world = World::new();
    let mut alice = person("alice", 1);
    alice.sync(&mut world);
    alice.core.want_sync();
    let request = alice.request(world.now).expect("the inbox is asked for");
    assert!(request.token.is_some());
    let printed = format!("{request:?}");
    assert!(printed.contains("token: Some(\"..\")"), "{printed}");
}

#[test]
fn the_word_of_one_member_stops_no_room_and_that_of_two_does() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "carol", "mallory"]);
    let carol = Mallory::instead_of(&people[2], &room, &world, 3);
    let mut mallory = mallory(&world, &mut people, &room);
    for text in ["one", "two"] {
        mallory.say(&world, |content| content.head = 1_000_000, text);
    }
    people.truncate(2);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    for person in [&mut *alice, &mut *bob] {
        person.sync(&mut world);
        let events = person.events();
        let told = events.iter().filter(
            |event| matches!(&event.kind, EventKind::OtherHistory { with, .. } if with.person == "mallory"),
        );
        assert_eq!(told.count(), 1, "once in an epoch: {events:?}");
        assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Fork { .. })), "{events:?}");
        person.restart();
    }
    alice.say(&mut world, &room, "we go on");
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "we go on".to_owned())]);

    // Somebody else agrees.
    let mut carol = carol;
    carol.say(&world, |content| content.authenticator = [7; 8], "me too");
    for person in [alice, bob] {
        person.sync(&mut world);
        let forked = person.events().into_iter().any(
            |event| matches!(event.kind, EventKind::Fork { with: Some(with), .. } if with.person == "carol"),
        );
        assert!(forked);
    }
}

/// Extensions of a group with somebody outside who may propose, or with another key of the group with the service.
fn extensions(mallory: &Mallory, change: impl FnOnce(&mut Extensions)) -> NewProposal<'static> {
    let mut extensions = mallory.group.context().extensions.clone();
    change(&mut extensions);
    NewProposal::GroupContextExtensions(extensions)
}

#[test]
fn a_change_of_the_group_is_told_and_proposals_from_outside_are_left_alone() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let signature_key = mallory.signer.public_key().clone();
    let sender = ExternalSender { signature_key, credential: Credential::basic("moderator") };
    let changed = extensions(&mallory, |extensions| {
        extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![sender].to_bytes().unwrap());
    });
    let plan = CommitPlan { proposals: vec![changed], ..CommitPlan::default() };
    mallory.commit(&world, plan, Vec::new()).unwrap();
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    for person in [&mut *alice, &mut *bob] {
        person.sync(&mut world);
        let told = person.events().into_iter().any(|event| {
            matches!(event.kind, EventKind::GroupChanged { by, external_senders: 1 } if by.person == "mallory")
        });
        assert!(told);
    }
    alice.done(&mut world, |core| core.remove(&room, "mallory"));
    mallory.read(&world);
    assert_eq!(mallory.propose_from_outside(&world, 0, LeafIndex::new(1)), Ok(()));
    for _ in 0..2 {
        alice.sync(&mut world);
        bob.sync(&mut world);
    }
    assert_eq!(alice.people(&room), ["alice", "bob"], "nobody has committed it");
    alice.say(&mut world, &room, "nobody waits for it");
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "nobody waits for it".to_owned())]);
}

#[test]
fn another_place_of_delivery_is_not_followed() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let changed = extensions(&mallory, |extensions| {
        let delivery = ExtensionType(0xF0D1);
        let mut place = extensions.get(delivery).unwrap().extension_data.clone();
        *place.last_mut().unwrap() ^= 1;
        extensions.set(delivery, place);
    });
    let plan = CommitPlan { proposals: vec![changed], ..CommitPlan::default() };
    let taken = mallory.commit(&world, plan, Vec::new());
    let bob = &mut people[1];
    bob.sync(&mut world);
    let forked = bob.events().into_iter().any(|event| matches!(event.kind, EventKind::Fork { .. }));
    // A service that looks does not take it in the first place.
    assert_eq!(forked, taken.is_ok());
}

#[test]
fn who_comes_back_does_not_take_a_state_from_before_somebody_was_removed() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let old = mallory.group_info(&world);
    people[0].done(&mut world, |core| core.remove(&room, "mallory"));
    let bob = &mut people[1];
    bob.sync(&mut world);
    let transport = world.transport();
    let lie = |request: Request, bob: &mut Person, now| {
        let Request { id, call, token } = request;
        assert!(!matches!(call, Call::Commit(_)), "nothing is made of it");
        let answer = transport.call(call, token.as_deref()).map(|answer| match answer {
            // As if he had read more than he knows.
            Answer::Read(ReadAnswer::Page(mut page)) => {
                page.cursor += 1_000;
                Answer::Read(ReadAnswer::Page(page))
            }
            Answer::GroupInfo(_) => Answer::GroupInfo(old.clone()),
            answer => answer,
        });
        bob.answer(id, answer, now);
    };
    bob.core.want_sync();
    while let Some(request) = bob.request(world.now) {
        lie(request, bob, world.now);
    }
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    let number = bob.does(|core| core.rejoin(&room));
    for _ in 0..5 {
        while let Some(request) = bob.request(world.now) {
            lie(request, bob, world.now);
        }
        world.pass(20_000);
    }
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    assert!(matches!(bob.core.trouble(Some(&room)), Some(Error::BadAnswer(_))));
    // Where the operator says that it is so, it is taken.
    let mut other = person("bob", 77);
    other.disk.state().store = bob.disk.state().store.snapshot();
    other.restart();
    other.does(|core| core.take_earlier(&room));
    let mut made = false;
    while let Some(Request { id, call, token }) = other.request(world.now).filter(|_| !made) {
        made = matches!(call, Call::Commit(_));
        let answer = transport.call(call, token.as_deref()).map(|answer| match answer {
            Answer::GroupInfo(_) => Answer::GroupInfo(old.clone()),
            answer => answer,
        });
        other.answer(id, answer, world.now);
    }
    assert!(made);
    // Once the service says the truth he is back.
    bob.settle(&mut world);
    assert!(matches!(bob.core.result(number), Some(Ok(Done::Accepted(_)))));
    assert_eq!(bob.people(&room), ["alice", "bob"]);
}

/// An inbox that is nobody's.
const NOWHERE: Recipient = Recipient { account: [0; 16], device: [0; 16] };

/// A device that nobody has.
const GHOST: DeviceId = DeviceId([9; 16]);

fn asked_about_a_new_device(person: &mut Person) -> Option<hushwood_client::Member> {
    person.events().into_iter().find_map(|event| match event.kind {
        EventKind::NeedsAttention(Attention::NewDevice(member)) => Some(member),
        _ => None,
    })
}

#[test]
fn a_device_under_a_known_name_that_no_known_device_vouches_for_is_asked_about() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    // Names that differ in case alone are one name.
    let mut ghost = mallory.bring(&world, ("Bob", GHOST), NOWHERE);
    ghost.say(&world, |_| {}, "from my new telephone");
    for person in &mut people {
        person.sync(&mut world);
        let asked = asked_about_a_new_device(person).expect("nobody vouches for it");
        assert_eq!((asked.person.as_str(), asked.device), ("Bob", GHOST));
        assert_eq!(person.texts(), []);
    }
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    let asked = hushwood_client::Member { person: "Bob".to_owned(), device: GHOST };
    let claim = alice.core.doubted(&asked).cloned().unwrap();
    // One takes it for his, the other knows that it is not.
    alice.does(|core| core.accept_key(&claim));
    bob.does(|core| core.distrust(&claim));
    for person in [&mut *alice, &mut *bob] {
        person.sync(&mut world);
    }
    assert_eq!(alice.texts(), [("Bob".to_owned(), "from my new telephone".to_owned())]);
    assert_eq!(bob.texts(), []);
    bob.done(&mut world, |core| core.remove_key(&room, &claim));
    assert_eq!(bob.people(&room), ["alice", "bob", "mallory"]);
}

#[test]
fn a_service_can_not_add_a_device_to_those_of_a_known_person() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mallory = mallory(&world, &mut people, &room);
    let ghost = mallory.key_package(&world, "bob", GHOST);
    let alice = &mut people[0];
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    let number = alice.does(|core| core.invite(&other, "bob"));
    let transport = world.transport();
    while let Some(Request { id, call, token }) = alice.request(world.now) {
        let answer = transport.call(call, token.as_deref()).map(|answer| match answer {
            Answer::Claim(mut claim) => {
                let (account, message) = (claim.packages[0].account, ghost.clone());
                claim.packages.push(ClaimedKeyPackage { account, device: GHOST.0, message });
                Answer::Claim(claim)
            }
            answer => answer,
        });
        alice.answer(id, answer, world.now);
    }
    assert_eq!(alice.core.result(number), Some(Err(Error::KeyChanged { person: "bob".to_owned() })));
    assert_eq!(alice.people(&other), ["alice"]);
}

fn asked_about(person: &mut Person) -> Option<hushwood_client::Member> {
    person.events().into_iter().find_map(|event| match event.kind {
        EventKind::NeedsAttention(Attention::KeyChanged(member)) => Some(member),
        _ => None,
    })
}

#[test]
fn somebody_under_a_known_name_is_doubted_and_taken_out_and_the_room_goes_on() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    let of_bob = bob.core.member().clone();
    let mut forged = mallory.bring(&world, ("bob", of_bob.device), NOWHERE);
    forged.say(&world, |_| {}, "I am Bob");

    alice.sync(&mut world);
    let asked = asked_about(alice).expect("the key is another one");
    assert_eq!(asked, of_bob);
    alice.sync(&mut world);
    assert_eq!(asked_about(alice), None, "once is enough");
    let claim = alice.core.doubted(&asked).cloned().unwrap();
    alice.does(|core| core.distrust(&claim));
    alice.restart();
    alice.sync(&mut world);
    let events = alice.events();
    assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Message(_))), "{events:?}");
    let doubted = |event: &hushwood_client::Event| matches!(event.kind, EventKind::Doubted(_));
    assert!(events.iter().any(doubted), "{events:?}");
    let known = |person: &mut Person| {
        let contacts = person.does(|core| core.contacts(&room)).into_iter();
        contacts.filter(|one| one.member == of_bob).map(|one| one.trust).collect::<Vec<_>>()
    };
    assert_eq!(known(alice), [Known::Seen, Known::Doubted]);

    // Whatever keys they show from now on, nobody is asked again.
    forged.renew_key(&world);
    alice.sync(&mut world);
    assert_eq!(asked_about(alice), None);
    assert_eq!(known(alice), [Known::Seen, Known::Doubted]);

    let contacts = alice.does(|core| core.contacts(&room));
    let there = contacts.into_iter().find(|one| one.trust == Known::Doubted).unwrap();
    alice.done(&mut world, |core| core.remove_key(&room, &there.claim));
    assert_eq!(known(alice), [Known::Seen]);
    assert_eq!(alice.people(&room), ["alice", "bob", "mallory"]);
}

#[test]
fn a_key_can_be_taken_without_saying_that_it_was_compared() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    mallory.bring(&world, ("bob", bob.core.member().device), NOWHERE);
    alice.sync(&mut world);
    let asked = asked_about(alice).expect("the key is another one");
    let claim = alice.core.doubted(&asked).cloned().unwrap();
    alice.does(|core| core.accept_key(&claim));
    alice.sync(&mut world);
    assert_eq!(alice.people(&room), ["alice", "bob", "bob", "mallory"]);
    let contacts = alice.does(|core| core.contacts(&room));
    assert!(contacts.iter().all(|one| matches!(one.trust, Known::Own | Known::Seen)), "{contacts:?}");
}

/// Who is to be removed could not commit, and so could not speak: a member who proposes to remove all others would silence the room.
#[test]
fn proposals_to_remove_all_others_silence_nobody() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    for leaf in 0..2 {
        mallory.propose(&world, NewProposal::Remove(LeafIndex::new(leaf)));
    }
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    bob.sync(&mut world);
    bob.say(&mut world, &room, "still here");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "still here".to_owned())]);
    alice.done(&mut world, |core| core.renew(&room));
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob", "mallory"]);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

/// Whoever may propose to be added would stop the room otherwise, as anybody.
#[test]
fn a_proposal_to_add_somebody_under_a_known_name_stops_no_room() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    mallory.propose_to_add(&world, ("bob", GHOST));
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    alice.sync(&mut world);
    assert_eq!(asked_about_a_new_device(alice), None);
    bob.sync(&mut world);
    bob.say(&mut world, &room, "tea?");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "tea?".to_owned())]);
    assert_eq!(alice.people(&room), ["alice", "bob", "mallory"]);
}

/// A message may name a device that was made up, and as many keys as there is room for: each would be kept for ever.
#[test]
fn the_revocation_of_a_device_that_nobody_knows_is_not_kept() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let keys: Vec<Vec<u8>> = (0..1000_u16).map(|key| key.to_be_bytes().to_vec()).collect();
    let body = [&[1][..], &[9; 16], &keys.to_bytes().unwrap()].concat();
    mallory.say(
        &world,
        |content| {
            content.kind = 3;
            content.body.clone_from(&body);
        },
        "",
    );
    for person in &mut people {
        person.sync(&mut world);
        let events = person.events();
        assert!(
            !events.iter().any(|event| matches!(event.kind, EventKind::DeviceRevoked { .. })),
            "{events:?}"
        );
        assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Gap { .. })), "{events:?}");
    }
    mallory.say(&world, |_| {}, "heard all the same");
    people[0].sync(&mut world);
    assert_eq!(people[0].texts(), [("mallory".to_owned(), "heard all the same".to_owned())]);
}

/// Whoever says that the only key that they know of somebody is not theirs knows the name all the same.
#[test]
fn after_a_key_was_distrusted_the_next_one_of_that_name_is_asked_about() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    mallory.bring(&world, ("carol", GHOST), NOWHERE);
    let alice = &mut people[0];
    alice.sync(&mut world);
    let contacts = alice.does(|core| core.contacts(&room));
    let carol = contacts.into_iter().find(|one| one.member.person == "carol").unwrap();
    assert_eq!(carol.trust, Known::Seen);
    alice.does(|core| core.distrust(&carol.claim));
    alice.restart();
    mallory.bring(&world, ("carol", DeviceId([8; 16])), NOWHERE);
    alice.sync(&mut world);
    let asked = asked_about_a_new_device(alice).expect("somebody of this name is known");
    assert_eq!((asked.person.as_str(), asked.device), ("carol", DeviceId([8; 16])));
}

#[test]
fn a_commit_with_a_pre_shared_key_stops_a_room_and_says_whose_it_is() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let (psk, mut answers) = (Psk::External { psk_id: b"nobody has it".to_vec() }, Answers::none());
    answers.add_psk(psk.clone(), Secret::new(vec![7; 32]));
    let plan = CommitPlan { proposals: vec![NewProposal::Psk(psk)], ..CommitPlan::default() };
    mallory.commit_with(&world, plan, (Vec::new(), &answers)).unwrap();
    for person in &mut people {
        person.sync(&mut world);
        let events = person.events();
        let told = events.iter().any(|event| {
            matches!(&event.kind, EventKind::NotTaken { by: Some(by), why: NotTaken::PreSharedKey, .. } if by.person == "mallory")
        });
        assert!(told, "{events:?}");
        assert_eq!(person.core.standing(&room), Ok(Standing::Forked));
    }
    // Who comes back needs no key; and whoever did it is taken out.
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    alice.done(&mut world, |core| core.rejoin(&room));
    alice.done(&mut world, |core| core.remove(&room, "mallory"));
    bob.done(&mut world, |core| core.rejoin(&room));
    alice.sync(&mut world);
    assert_eq!(alice.people(&room), ["alice", "bob"]);
    bob.say(&mut world, &room, "we go on");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "we go on".to_owned())]);
}

#[test]
fn a_room_that_was_reinitialised_has_ended_for_all() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob", "mallory"]);
    let mut mallory = mallory(&world, &mut people, &room);
    let reinit = ReInit {
        group_id: b"another".to_vec(),
        version: hushwood::version::ProtocolVersion::MLS10,
        cipher_suite: mallory.group.suite().id(),
        extensions: Extensions::new(),
    };
    let plan = CommitPlan { proposals: vec![NewProposal::ReInit(reinit)], ..CommitPlan::default() };
    let commit = mallory.committed(&world, plan);
    let now = world.now;
    for person in &mut people {
        let waiting = person.does(|core| core.send(&room, b"too late", now)).0;
        // Our library makes no GroupInfo of a group that has ended, so the service is played.
        person.core.want_sync();
        person.settle_by(&mut world, |transport, call, token| {
            transport.call(call, token).map(|answer| match answer {
                Answer::Read(ReadAnswer::Page(mut page)) if page.entries.is_empty() => {
                    page.newest += 1;
                    let (sequence, kind) = (page.newest, EntryKind::Commit);
                    page.entries.push(LogEntry { sequence, kind, epoch: 2, message: commit.clone() });
                    Answer::Read(ReadAnswer::Page(page))
                }
                answer => answer,
            })
        });
        let events = person.events();
        let told = events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::Ended { by } if by.person == "mallory"));
        assert!(told, "{events:?}");
        assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Fork { .. })), "{events:?}");
        assert_eq!(person.core.standing(&room), Ok(Standing::Ended));
        assert_eq!(person.core.result(waiting), Some(Err(Error::Ended)));
        for wanted in [person.core.rejoin(&room), person.core.invite(&room, "dave")] {
            assert_eq!(wanted, Err(Error::Ended));
        }
        person.restart();
        person.sync(&mut world);
        assert_eq!(person.core.standing(&room), Ok(Standing::Ended));
    }
}

#[test]
fn an_invitation_brings_back_whoever_can_not_follow_and_what_waits_goes_on() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &["bob"]);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    // What he wants to say is made, and waits; what he reads instead nobody can follow.
    let now = world.now;
    let said = bob.does(|core| core.send(&room, b"at last", now)).0;
    let Request { id, call, .. } = bob.request(now).unwrap();
    assert!(matches!(call, Call::Send(_)));
    bob.answer(id, Err(TransportError::Unreachable("down".to_owned())), now);
    bob.core.want_sync();
    bob.settle_by(&mut world, |transport, call, token| {
        transport.call(call, token).map(|answer| match answer {
            Answer::Read(ReadAnswer::Page(mut page)) if page.entries.is_empty() => {
                page.newest += 1;
                let (sequence, kind) = (page.newest, EntryKind::Commit);
                page.entries.push(LogEntry { sequence, kind, epoch: 1, message: vec![0] });
                Answer::Read(ReadAnswer::Page(page))
            }
            answer => answer,
        })
    });
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    assert!(bob.core.is_waiting(said));
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    assert_eq!(bob.core.standing(&room), Ok(Standing::Active));
    assert!(matches!(bob.core.result(said), Some(Ok(Done::Accepted(_)))));
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "at last".to_owned())]);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

#[test]
fn an_invitation_to_an_earlier_state_of_a_room_is_not_followed() {
    let mut world = World::new();
    let (mut alice, mut bob) = (person("alice", 1), person("bob", 2));
    bob.sync(&mut world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    // The service keeps the first invitation back, and brings it up when it is of use to somebody.
    bob.core.want_sync();
    bob.settle_by(&mut world, |transport, call, token| {
        let answer = transport.call(call, token)?;
        Ok(match answer {
            Answer::Inbox(mut inbox) => {
                if inbox.welcomes.len() > 1 {
                    inbox.welcomes.remove(0);
                } else {
                    inbox.welcomes.clear();
                }
                Answer::Inbox(inbox)
            }
            answer => answer,
        })
    });
    assert_eq!(bob.core.standing(&room), Ok(Standing::Active));
    assert_eq!(bob.does(|core| Ok(core.group(&room)?.epoch())), 3);
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    bob.sync(&mut world);
    bob.sync(&mut world);
    assert_eq!(bob.core.standing(&room), Ok(Standing::Removed));
    let told = bob
        .events()
        .into_iter()
        .any(|event| matches!(event.kind, EventKind::NeedsAttention(Attention::Invitation(why)) if why.contains("earlier")));
    assert!(told);
}
