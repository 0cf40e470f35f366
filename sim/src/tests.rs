//! The checks can fail: something is broken on purpose, one thing for each check, and it is found. And a few seeds.

use std::time::Duration;

use hushwood::error::{Error, NotNow};
use hushwood::group::Group;
use hushwood::transition::{Persist, Records, Step, WriteSet};
use hushwood_crypto::CryptoProvider;

use crate::action::{Action, Kind, drawn};
use crate::checks::{Check, Failure};
use crate::client::{Client, Fault};
use crate::delivery::What;
use crate::shrink::{attempt, shrink};
use crate::world::{Config, Totals, World};

fn config(seed: u64, members: usize) -> Config {
    Config { seed, members, fake_crypto: true, founders: None }
}

/// A group of two, who have joined.
fn pair() -> World {
    let mut world = World::new(Config { founders: Some(2), ..config(1, 4) }).unwrap();
    let welcome = Action { number: 0, kind: Kind::Welcome, who: 1, which: 0, how: 5 };
    world.step(&welcome).unwrap();
    assert_eq!(world.clients[1].seats.len(), 1);
    world
}

/// The second member gets the newest entry of the log.
fn hears_last(world: &mut World) -> Result<(), Failure> {
    let place = world.rooms[0].log.len() - 1;
    world.ready(1, 0, 99)?;
    world.receive_entry(1, 0, place)?;
    world.check_touched()
}

fn says(world: &mut World, action: u64) -> Result<(), Failure> {
    world.ready(0, 0, action)?;
    assert!(world.say(0, 0, 3)?);
    world.send(0, 0)
}

fn commits(world: &mut World) {
    world.ready(0, 0, 50).unwrap();
    world.commit(0, 0, Default::default()).unwrap();
    world.send(0, 0).unwrap();
    world.settle(0, 0, 0).unwrap();
}

/// An operation that ends with an error.
fn refuses(_: &mut Group, error: Error) -> Result<Step<'_, ()>, Error> {
    Err(error)
}

fn found(result: Result<impl std::fmt::Debug, Failure>) -> Check {
    result.unwrap_err().check
}

#[test]
fn what_is_not_broken_is_not_found() {
    let mut world = pair();
    says(&mut world, 1).unwrap();
    hears_last(&mut world).unwrap();
    commits(&mut world);
    hears_last(&mut world).unwrap();
    world.check_all().unwrap();
    world.heal().unwrap();
    assert_eq!(world.finished().healed, 2);
}

#[test]
fn a_member_whose_authenticator_differs_is_found() {
    let mut world = pair();
    commits(&mut world);
    world.check_touched().unwrap();
    // It has not followed the commit, and is taken to have.
    world.clients[1].seats[0].lineage = world.clients[0].seats[0].lineage;
    assert_eq!(found(world.check_all()), Check::Agreement);
}

#[test]
fn a_key_that_is_used_again_after_a_write_that_was_forgotten_is_found() {
    let mut world = pair();
    world.ready(0, 0, 1).unwrap();
    world.clients[0].core.disk.forgets = 2;
    assert!(world.say(0, 0, 3).unwrap());
    let id = *world.clients[0].seats[0].known.outbox.first().unwrap();
    world.acknowledge(0, 0, hushwood::group::MessageId::new(id)).unwrap();
    world.clients[0].stop();
    world.ready(0, 0, 2).unwrap();
    assert_eq!(found(world.say(0, 0, 3)), Check::Nonce);
}

#[test]
fn a_message_that_is_opened_twice_is_found() {
    let mut world = pair();
    says(&mut world, 1).unwrap();
    says(&mut world, 2).unwrap();
    // The reader's disk forgets that it has read, and that this was acknowledged.
    world.clients[1].core.disk.forgets = 2;
    hears_last(&mut world).unwrap();
    world.clients[1].stop();
    assert_eq!(found(hears_last(&mut world)), Check::Twice);
}

#[test]
fn a_message_that_somebody_else_has_sent_is_found() {
    let mut world = pair();
    says(&mut world, 1).unwrap();
    world.said[0].client = 1;
    assert_eq!(found(hears_last(&mut world)), Check::Attribution);
}

#[test]
fn something_acknowledged_that_is_lost_is_found() {
    let mut world = pair();
    world.ready(0, 0, 1).unwrap();
    world.clients[0].core.disk.forgets = 1;
    assert!(world.say(0, 0, 3).unwrap());
    world.clients[0].stop();
    assert_eq!(found(world.ready(0, 0, 2)), Check::Lost);

    // The same for an epoch.
    let mut world = pair();
    commits(&mut world);
    world.clients[1].core.disk.forgets = 1;
    hears_last(&mut world).unwrap();
    world.clients[1].stop();
    assert_eq!(found(world.ready(1, 0, 2)), Check::Lost);
}

#[test]
fn a_refused_operation_that_writes_is_found() {
    let mut world = pair();
    let client = &mut world.clients[0];
    let seat = &mut client.seats[0];
    let done = seat.attempt(&mut client.core, &mut world.seals, |group, core| {
        let mut writes = WriteSet::new();
        writes.require(group.instance(), core.disk.version(group.instance()).unwrap());
        core.disk.persist(&writes).unwrap();
        refuses(group, NotNow::Stale.into())
    });
    assert_eq!(found(done.map(|_| ())), Check::Refusal);
}

#[test]
fn an_honest_message_that_is_refused_is_found() {
    let mut world = pair();
    says(&mut world, 1).unwrap();
    let entry = world.rooms[0].log.last_mut().unwrap();
    let mut bytes = entry.bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    entry.bytes = bytes.into();
    assert_eq!(found(hears_last(&mut world)), Check::Liveness);
}

#[test]
fn something_that_is_taken_for_what_it_is_not_is_found() {
    let mut world = pair();
    says(&mut world, 1).unwrap();
    world.rooms[0].log.last_mut().unwrap().what = What::Harm;
    assert_eq!(found(hears_last(&mut world)), Check::Forgery);
}

#[test]
fn a_commit_that_one_accepts_and_another_refuses_is_found() {
    let mut world = pair();
    commits(&mut world);
    world.rooms[0].log.last_mut().unwrap().judged = Some(false);
    assert_eq!(found(hears_last(&mut world)), Check::Validity);
}

#[test]
fn a_member_that_does_not_come_back_is_found() {
    let mut world = pair();
    commits(&mut world);
    world.clients[1].seats[0].stuck = true;
    world.clients[1].core.provider = CryptoProvider { name: "none", suites: &[] };
    assert_eq!(found(world.heal()), Check::Healing);
}

#[test]
fn a_fault_of_the_library_is_found() {
    let mut world = pair();
    let client = &mut world.clients[0];
    let seat = &mut client.seats[0];
    let done =
        seat.attempt(&mut client.core, &mut world.seals, |group, _| refuses(group, Error::Bug("a test")));
    assert_eq!(found(done.map(|_| ())), Check::Bug);
}

#[test]
fn a_write_that_fails_without_a_cause_is_found() {
    let mut world = pair();
    let Client { core, seats, .. } = &mut world.clients[0];
    let done = seats[0].attempt(core, &mut world.seals, |group, core| {
        let instance = group.instance();
        let step = group.encrypt(b"tea", b"", &core.signers[0], &mut core.dice)?;
        // Somebody else writes in between.
        let mut writes = WriteSet::new();
        writes.require(instance, core.disk.version(instance).unwrap());
        core.disk.persist(&writes).unwrap();
        Ok(step)
    });
    assert_eq!(found(done.map(|_| ())), Check::Bug);
}

#[test]
fn a_crash_after_the_write_loses_nothing_and_is_told_from_one_before_it() {
    for (fault, written) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let mut world = pair();
        world.ready(0, 0, 1).unwrap();
        world.clients[0].core.fault = Some(fault);
        assert!(!world.say(0, 0, 3).unwrap());
        world.ready(0, 0, 2).unwrap();
        assert_eq!(world.clients[0].seats[0].known.outbox.len(), written);
        world.send(0, 0).unwrap();
        assert_eq!(world.rooms[0].log.iter().filter(|entry| entry.what == What::Said(0)).count(), written);
    }
}

/// Worlds in which the disk of the first client forgets every fortieth write.
fn forgetful(config: Config, actions: &[Action]) -> Result<Totals, Failure> {
    let mut world = World::new(config)?;
    for action in actions {
        world.clients[0].core.disk.forgets = u32::from(action.number % 40 == 39);
        world.step(action)?;
    }
    Ok(world.finished())
}

#[test]
fn a_failing_seed_becomes_a_short_list_of_actions_that_fails_in_the_same_way() {
    let actions = drawn(3, 2000);
    let failure = forgetful(config(3, 6), &actions).unwrap_err();
    let shrunk = shrink(config(3, 6), &actions, failure.clone(), Duration::from_secs(20), forgetful);
    assert!(shrunk.actions.len() <= 40, "{} actions", shrunk.actions.len());
    let again = forgetful(shrunk.config, &shrunk.actions).unwrap_err();
    assert_eq!((again.check, again.to_string()), (failure.check, shrunk.failure.to_string()));
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    let run = || attempt(config(11, 12), &drawn(11, 800)).unwrap();
    assert_eq!(run(), run());
}

/// In this one a client comes back to several groups in the end, each time with other random numbers.
#[test]
fn who_comes_back_to_several_groups_has_a_new_instance_of_each() {
    let totals = attempt(config(111, 8), &drawn(111, 2000)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(totals.healed > 0, "{totals:?}");
}

/// More of them: `cargo xtask sim`.
#[test]
fn a_few_seeds_hold() {
    for seed in 0..6 {
        let totals = attempt(config(seed, 16), &drawn(seed, 1500))
            .unwrap_or_else(|failure| panic!("{seed}: {failure}"));
        assert!(totals.opened > 0 && totals.epochs > 1, "{totals:?}");
    }
}

#[test]
fn a_seed_holds_with_cryptography() {
    let config = Config { fake_crypto: false, ..config(7, 6) };
    let totals = attempt(config, &drawn(7, 400)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(totals.seals > 0, "{totals:?}");
}
