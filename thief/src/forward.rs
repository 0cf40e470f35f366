//! Forward secrecy: who steals disk, memory and passphrase reads nothing of what was read or sent before.

use hushwood_crypto::{CipherSuiteId, CryptoProvider};

use crate::theft::{Loot, Opened};
use crate::world::{Fate, World};

/// What thieves have tried, and what came of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Copies that were stolen, each after one step of a conversation.
    pub thefts: u64,
    /// Messages that the member had read or sent at the last theft.
    pub done: u64,
    /// Messages that it had not got and that were older than the policy keeps, at the last theft.
    pub expired: u64,
    /// Messages that were tried: all of the above, after each step.
    pub tries: u64,
    /// Of these, those that our own client opened from the copy.
    pub opened_by_client: u64,
    /// Those that a key opened that was in the copy or follows from it by our functions.
    pub opened_by_keys: u64,
    /// Those whose key follows from anything in the copy by any derivation that anybody has made.
    pub derivable: u64,
    /// Secrets exported in epochs that are over and that the copy gives, or that follow from it.
    pub exports: u64,
    /// To see that thieves are able: messages that had not arrived and that the policy keeps keys for, tried.
    pub kept: u64,
    /// Of these, those that were not opened.
    pub kept_unopened: u64,
    /// Secrets that were told of.
    pub secrets: u64,
}

impl Tally {
    /// What should be none.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.opened_by_client + self.opened_by_keys + self.derivable + self.exports + self.kept_unopened
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            thefts: self.thefts + other.thefts,
            done: self.done + other.done,
            expired: self.expired + other.expired,
            tries: self.tries + other.tries,
            opened_by_client: self.opened_by_client + other.opened_by_client,
            opened_by_keys: self.opened_by_keys + other.opened_by_keys,
            derivable: self.derivable + other.derivable,
            exports: self.exports + other.exports,
            kept: self.kept + other.kept,
            kept_unopened: self.kept_unopened + other.kept_unopened,
            secrets: self.secrets + other.secrets,
        }
    }
}

/// One conversation of so many steps; after each somebody steals the member's store, and tries all messages so far.
#[must_use]
pub fn conversation(provider: CryptoProvider, suite: CipherSuiteId, seed: u64, steps: u32) -> Tally {
    let mut world = World::new(provider, suite, seed);
    let mut tally = Tally::default();
    for _ in 0..steps {
        world.act();
        tally = steal(&world, &provider, tally);
    }
    tally.secrets = u64::try_from(world.knowledge.len()).unwrap();
    tally
}

fn steal(world: &World, provider: &CryptoProvider, tally: Tally) -> Tally {
    let loot = Loot::open(&world.copy(), provider).unwrap();
    let knowledge = &world.knowledge;
    let known = knowledge.closure(knowledge.standing_in(&loot.rows));
    let mut tally = Tally { thefts: tally.thefts + 1, done: 0, expired: 0, ..tally };
    for message in &world.messages {
        let opened = loot.opens(&message.bytes, world.now());
        let kept = message.fate == Fate::Waiting && world.keeps(message.epoch);
        if kept {
            tally.kept += 1;
            tally.kept_unopened += u64::from(opened.is_none() || !known.has(message.key));
            continue;
        }
        match message.fate {
            Fate::Waiting => tally.expired += 1,
            Fate::Read | Fate::Sent => tally.done += 1,
        }
        tally.tries += 1;
        tally.opened_by_client += u64::from(opened == Some(Opened::ByClient));
        tally.opened_by_keys += u64::from(opened == Some(Opened::ByKeys));
        tally.derivable += u64::from(known.has(message.key));
    }
    let (current, before) = world.exports.split_last().unwrap();
    let exported = loot.group.export("thief", b"", 32).unwrap();
    tally.exports += u64::from(exported.expose() != current.secret);
    for export in before {
        let follows = knowledge.find(&export.secret).is_some_and(|id| known.has(id));
        tally.exports += u64::from(follows || exported.expose() == export.secret);
    }
    tally
}
