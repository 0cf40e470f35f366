//! Post-compromise security: who has a copy from before an update is shut out after it.

use hushwood::framing::ContentType;
use hushwood::group::Group;
use hushwood::transition::InstanceId;
use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use hushwood_store::SqliteStore;
use test_support::actor::Actor;

use crate::knowledge::Known;
use crate::theft::{self, Loot, options, passphrase};
use crate::world::{Message, Renewal, World};

/// What came of one run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Messages that were sent between the theft and the update.
    pub before: u64,
    /// Of these, those that the thief read, following the group with the copy.
    pub read_before: u64,
    /// Messages sent after the update.
    pub after: u64,
    /// Of these, those that were opened.
    pub read_after: u64,
    /// Those whose key follows from the copy by any derivation that anybody has made.
    pub derivable_after: u64,
    /// Secrets of later epochs that follow from it.
    pub epochs_after: u64,
}

impl Outcome {
    /// Whether the thief could read on until the update.
    #[must_use]
    pub fn read_on(&self) -> bool {
        self.before > 0 && self.read_before == self.before
    }

    /// Whether it was shut out after it.
    #[must_use]
    pub fn shut_out(&self) -> bool {
        self.after > 0 && self.read_after + self.derivable_after + self.epochs_after == 0
    }
}

/// A client that goes on from a copy and is given all that goes over the wire.
struct Follower {
    client: Actor<SqliteStore>,
    instance: InstanceId,
    /// What follows from what was in the copy.
    known: Known,
    from: Vec<usize>,
    seen: usize,
}

impl Follower {
    fn steal(world: &World, provider: CryptoProvider) -> Self {
        let copy = world.copy();
        let loot = Loot::open(&copy, &provider).unwrap();
        let store = SqliteStore::open_with(&copy, &passphrase(), options()).unwrap();
        let instance = world.victim.group().instance();
        let group = Group::open(&store, &provider, instance).unwrap();
        let mut client = Actor::on(store, "thief", (provider, group.suite().id()), 0);
        client.group = Some(group);
        client.reload = false;
        let from = world.knowledge.standing_in(&loot.rows);
        Self { client, instance, known: Known::default(), from, seen: world.traffic.len() }
    }

    /// Receives what is new. A message that opens is not consumed: the keys are tried as well.
    fn follow(&mut self, world: &World, provider: &CryptoProvider) -> u64 {
        self.known = world.knowledge.closure(self.from.iter().copied());
        let new = &world.traffic[self.seen..];
        self.seen = world.traffic.len();
        let mut opened = 0;
        for bytes in new {
            let loot = Loot::of(&self.client.store, self.instance, provider).unwrap();
            match theft::encrypted(bytes) {
                Some(ContentType::Application) => {
                    opened += u64::from(loot.opens(bytes, world.now()).is_some())
                }
                // A handshake, which it may be able to follow.
                _ => drop(self.client.receive(bytes)),
            }
        }
        opened
    }
}

/// A random conversation, a theft, messages and commits of others, the update, and what is sent after it.
#[must_use]
pub fn run(provider: CryptoProvider, suite: CipherSuiteId, renewal: Renewal, seed: u64) -> Outcome {
    let mut world = World::new(provider, suite, seed);
    for _ in 0..world.dice.below(20) {
        world.act();
    }
    let mut thief = Follower::steal(&world, provider);
    let mut outcome = Outcome::default();
    let first = world.messages.len();
    for _ in 0..3 + world.dice.below(6) {
        world.act_without_renewal();
        outcome.read_before += thief.follow(&world, &provider);
    }
    let messages = world.messages.len();
    outcome.before = u64::try_from(application(&world.messages[first..messages]).len()).unwrap();
    world.renew(renewal);
    for _ in 0..8 {
        world.act();
        outcome.read_after += thief.follow(&world, &provider);
    }
    let after = application(&world.messages[messages..]);
    outcome.after = u64::try_from(after.len()).unwrap();
    let derivable = after.iter().filter(|message| thief.known.has(message.key));
    outcome.derivable_after = u64::try_from(derivable.count()).unwrap();
    // What was exported in each epoch since the update.
    let exports =
        world.exports.iter().filter(|export| after.iter().any(|message| message.epoch == export.epoch));
    let exports = exports.filter_map(|export| world.knowledge.find(&export.secret));
    outcome.epochs_after = u64::try_from(exports.filter(|id| thief.known.has(*id)).count()).unwrap();
    outcome
}

fn application(messages: &[Message]) -> Vec<&Message> {
    let application = |message: &&Message| theft::encrypted(&message.bytes) == Some(ContentType::Application);
    messages.iter().filter(application).collect()
}

/// The same with messages instead of the update: the thief reads on.
#[must_use]
pub fn control(provider: CryptoProvider, suite: CipherSuiteId, seed: u64) -> Outcome {
    let mut world = World::new(provider, suite, seed);
    for _ in 0..world.dice.below(20) {
        world.act();
    }
    let mut thief = Follower::steal(&world, provider);
    let first = world.messages.len();
    let mut outcome = Outcome::default();
    for _ in 0..12 {
        world.act_with_messages();
        outcome.read_before += thief.follow(&world, &provider);
    }
    outcome.before = u64::try_from(application(&world.messages[first..]).len()).unwrap();
    outcome
}
