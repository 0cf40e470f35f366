//! What the service's stream says, as the machine takes it: hints that are true, late, false, or missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World, invited_by_all};
use hushwood_client::transport::{StreamEvent, TransportError};
use hushwood_client::{Call, Millis, RoomId, Transport, Trust};
use hushwood_delivery::wire::{ClientFrame, RefusalCode, Refused, ServerFrame, Subscribe};

fn pair(world: &mut World) -> (Person, Person, RoomId) {
    let new = |name, seed| Person::with(name, seed, invited_by_all(), Trust::on_first_use);
    let (mut alice, mut bob) = (new("alice", 1), new("bob", 2));
    bob.sync(world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(world, |core| core.invite(&room, "bob"));
    bob.sync(world);
    bob.events();
    (alice, bob, room)
}

/// Opens a stream, and gives what it was asked.
fn opened(bob: &mut Person, now: Millis) -> Vec<ClientFrame> {
    bob.core.stream_begun(now);
    bob.core.stream_event(StreamEvent::Open, now);
    bob.core.stream_frames(now).unwrap()
}

fn subscription(frames: &[ClientFrame]) -> &Subscribe {
    let subscribe = frames.iter().find_map(|frame| match frame {
        ClientFrame::Subscribe(subscribe) => Some(subscribe),
        _ => None,
    });
    subscribe.expect("a room is asked for")
}

fn heard(bob: &mut Person, frame: ServerFrame, now: Millis) {
    bob.core.stream_event(StreamEvent::Frame(frame), now);
}

/// Settles, and counts what was asked of the room and of the inbox.
fn reads(bob: &mut Person, world: &mut World) -> (usize, usize) {
    let (mut rooms, mut inbox) = (0, 0);
    bob.settle_by(world, |transport, call, token| {
        match call {
            Call::Read(_) => rooms += 1,
            Call::Inbox(_) => inbox += 1,
            _ => {}
        }
        transport.call(call, token)
    });
    (rooms, inbox)
}

#[test]
fn what_a_hint_tells_of_is_read_and_nothing_else() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let frames = opened(&mut bob, world.now);
    assert!(frames.iter().any(|frame| matches!(frame, ClientFrame::Device { .. })), "{frames:?}");
    let Subscribe { number, after, .. } = *subscription(&frames);
    heard(&mut bob, ServerFrame::Subscribed { number, head: after }, world.now);
    bob.core.look(world.now.after(3_600_000));
    assert_eq!(reads(&mut bob, &mut world), (0, 0), "there is nothing new");
    assert_eq!(bob.core.stream_frames(world.now).unwrap(), [], "all was said");

    alice.say(&mut world, &room, "one");
    heard(&mut bob, ServerFrame::Hint { number, head: after + 1 }, world.now);
    assert_eq!(reads(&mut bob, &mut world), (1, 0));
    assert_eq!(bob.texts(), [("alice".to_owned(), "one".to_owned())]);
    // The same again is no news.
    heard(&mut bob, ServerFrame::Hint { number, head: after + 1 }, world.now);
    assert_eq!(reads(&mut bob, &mut world), (0, 0));
    heard(&mut bob, ServerFrame::Inbox, world.now);
    assert_eq!(reads(&mut bob, &mut world), (0, 1));
}

#[test]
fn a_hint_that_lies_is_asked_about_twice_and_stops_nothing() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let frames = opened(&mut bob, world.now);
    let Subscribe { number, .. } = *subscription(&frames);
    heard(&mut bob, ServerFrame::Hint { number, head: u64::MAX }, world.now);
    heard(&mut bob, ServerFrame::Hint { number: number + 1, head: 7 }, world.now);
    assert_eq!(reads(&mut bob, &mut world), (2, 0));
    assert!(bob.core.is_quiet());
    alice.say(&mut world, &room, "one");
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "one".to_owned())]);
}

#[test]
fn a_new_stream_is_asked_from_what_was_read() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let first = opened(&mut bob, world.now);
    let after = subscription(&first).after;
    alice.say(&mut world, &room, "one");
    bob.sync(&mut world);
    let closed = StreamEvent::Closed(TransportError::Unknown("cut".to_owned()));
    bob.core.stream_event(closed, world.now);
    assert!(!bob.core.wants_stream(world.now), "not at once");
    assert!(bob.core.wants_stream(world.now.after(60_000)));
    let again = opened(&mut bob, world.now);
    assert_eq!(subscription(&again).after, after + 1);
    assert!(again.iter().any(|frame| matches!(frame, ClientFrame::Device { .. })), "{again:?}");
}

#[test]
fn what_the_stream_does_not_tell_of_is_looked_for() {
    let mut world = World::new();
    let (_, mut bob, _) = pair(&mut world);
    let frames = opened(&mut bob, world.now);
    let Subscribe { number, .. } = *subscription(&frames);
    let refused = Refused::new(RefusalCode::TOO_LARGE, "too many subscriptions");
    heard(&mut bob, ServerFrame::Refused { number: Some(number), refused }, world.now);
    assert_eq!(reads(&mut bob, &mut world), (1, 0), "why, reading may show");
    world.pass(3_600_000);
    bob.core.look(world.now);
    assert_eq!(reads(&mut bob, &mut world), (1, 0));
    // It is asked for again.
    let frames = bob.core.stream_frames(world.now).unwrap();
    let Subscribe { number, after, .. } = *subscription(&frames);
    heard(&mut bob, ServerFrame::Subscribed { number, head: after }, world.now);
    world.pass(3_600_000);
    bob.core.look(world.now);
    assert_eq!(reads(&mut bob, &mut world), (0, 0));
    // Without a stream it is all looked for.
    bob.core.no_stream();
    bob.core.look(world.now);
    assert_eq!(reads(&mut bob, &mut world), (1, 1));
}
