//! Long conversations at random: many actors, adds, updates, removes, external joins, messages.
//!
//! Which steps they have comes from the seed alone, so the same command plays the same conversation again; keys and
//! group IDs are the clients' own. Every step is valid (RFC 9420 §12.2): a committer neither updates nor is removed,
//! nobody who updates is removed, and messages are sent while no proposals wait (§12.4). Messages are read in
//! another order than sent, some of them after the next commits, but not after their sender has left or joined again:
//! how long a client reads those of an earlier epoch is its own affair (§15.3), and mls-rs ends there.

use crate::dice::Dice;
use crate::script::{Actor, Plan, Proposed, Script, Step, StepId};

/// How long, and how large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// How many commits follow the first one.
    pub steps: usize,
    /// The most members.
    pub members: usize,
    /// The most who come or go in one commit.
    pub changes: usize,
}

impl Size {
    /// As long as asked for, in a group of up to 16.
    pub fn short(steps: usize) -> Self {
        Self { steps, members: 16, changes: 4 }
    }

    /// As large as the working group's long one: 90 commits, up to 60 members, about 800 KeyPackages.
    pub fn deep() -> Self {
        Self { steps: 90, members: 60, changes: 20 }
    }
}

/// The conversation of a seed.
pub fn script(name: &'static str, size: Size, seed: u64) -> Script {
    let about = "a conversation drawn from the seed";
    let mut conversation = Conversation {
        script: Script::new(SCENARIO, name, about),
        dice: Dice::new(seed, name),
        size,
        members: Vec::new(),
        seen: 0,
        waiting: Vec::new(),
    };
    conversation.begin();
    for _ in 0..size.steps {
        if conversation.dice.percent(12) {
            conversation.external_join();
        } else {
            conversation.commit();
        }
        conversation.talk();
    }
    conversation.read(100);
    conversation.script
}

/// The scenario's name.
pub const SCENARIO: &str = "random";

struct Conversation {
    script: Script,
    dice: Dice,
    size: Size,
    members: Vec<Actor>,
    seen: usize,
    waiting: Vec<Unread>,
}

/// A message that somebody has yet to read.
struct Unread {
    message: StepId,
    sender: Actor,
    receiver: Actor,
    /// How many commits it has waited.
    age: usize,
}

impl Conversation {
    fn newcomer(&mut self) -> Actor {
        let actor = Actor::from(format!("actor{}", self.seen));
        self.seen = self.seen.saturating_add(1);
        actor
    }

    fn begin(&mut self) {
        let creator = self.newcomer();
        self.script.step(Step::CreateGroup { actor: creator.clone(), members: Vec::new() });
        let joiners: Vec<_> = (0..self.size.changes.clamp(1, 4)).map(|_| self.newcomer()).collect();
        let by_value = joiners.iter().map(|joiner| Proposed::Add(self.script.key_package(joiner))).collect();
        self.script.commit(&creator, Plan { by_value, ..Plan::default() });
        self.members = joiners;
        self.members.push(creator);
    }

    /// Somebody new joins by itself, or somebody who is there joins again.
    fn external_join(&mut self) {
        let mut others = self.members.clone();
        let again = self.members.len() >= self.size.members || self.dice.percent(50);
        let (joiner, remove_prior) = match self.dice.take(&mut others, 1).pop() {
            Some(member) if again && !others.is_empty() => (member, true),
            Some(member) => {
                others.push(member);
                (self.newcomer(), false)
            }
            None => return,
        };
        let Some(via) = self.dice.pick(&others).cloned() else { return };
        let external_tree = self.dice.percent(50);
        let psks = Vec::new();
        // What waits for a member that joins again is lost to it; what it has sent is another's now.
        self.waiting.retain(|unread| unread.receiver != joiner && unread.sender != joiner);
        self.script.step(Step::ExternalJoin {
            joiner: joiner.clone(),
            via,
            psks,
            remove_prior,
            external_tree,
        });
        if !remove_prior {
            self.members.push(joiner);
        }
        self.grow_older();
    }

    fn commit(&mut self) {
        let mut staying = self.members.clone();
        // One commits; there is always one left for it.
        let Some(committer) = self.dice.take(&mut staying, 1).pop() else { return };
        let removes = self.dice.below((staying.len() / 5).min(self.size.changes).saturating_add(1));
        let leavers = self.dice.take(&mut staying, removes);
        let updates = self.dice.below((staying.len() / 4).saturating_add(1));
        let updaters = self.dice.take(&mut staying, updates);
        let room = self.size.members.saturating_sub(self.members.len().saturating_sub(leavers.len()));
        let adds = self.dice.below(room.min(self.size.changes).saturating_add(1));

        // Everybody who stays may propose for others.
        let proposers: Vec<_> = staying.iter().chain(&updaters).chain([&committer]).cloned().collect();
        let mut plan = Plan::default();
        for actor in &updaters {
            plan.by_reference.push(self.script.propose(actor, Proposed::Update));
        }
        let mut joiners = Vec::new();
        for _ in 0..adds {
            let joiner = self.newcomer();
            if self.dice.percent(10) {
                let Some(via) = self.dice.pick(&proposers).cloned() else { continue };
                let joiner = joiner.clone();
                plan.by_reference.push(self.script.step(Step::ProposeAsNewMember { joiner, via }));
            } else {
                let key_package = self.script.key_package(&joiner);
                self.put(&mut plan, &proposers, Proposed::Add(key_package));
            }
            joiners.push(joiner);
        }
        for leaver in &leavers {
            self.put(&mut plan, &proposers, Proposed::Remove(leaver.clone()));
        }
        plan.form.force_path = self.dice.percent(25);
        plan.form.external_tree = self.dice.percent(25);
        self.script.commit(&committer, plan);
        self.members.retain(|member| !leavers.contains(member));
        self.members.extend(joiners);
        self.waiting.retain(|Unread { sender, receiver, .. }| {
            !leavers.contains(receiver) && !leavers.contains(sender)
        });
        self.grow_older();
    }

    /// By reference in a third of the cases, else by value.
    fn put(&mut self, plan: &mut Plan, proposers: &[Actor], what: Proposed) {
        match self.dice.pick(proposers).cloned() {
            Some(proposer) if self.dice.percent(33) => {
                plan.by_reference.push(self.script.propose(&proposer, what));
            }
            _ => plan.by_value.push(what),
        }
    }

    /// A few messages, each for a few of the others.
    fn talk(&mut self) {
        for _ in 0..self.dice.below(3) {
            let mut others = self.members.clone();
            let Some(sender) = self.dice.take(&mut others, 1).pop() else { return };
            let number = self.script.steps().len();
            let message = self.script.protect(&sender, &format!("data {number}"), &format!("text {number}"));
            let count = self.dice.below(4);
            let receivers = self.dice.take(&mut others, count);
            let unread = |receiver| Unread { message, sender: sender.clone(), receiver, age: 0 };
            self.waiting.extend(receivers.into_iter().map(unread));
        }
        self.read(60);
    }

    /// Messages that wait are read, in any order, so many of a hundred; those of two commits ago all.
    fn read(&mut self, percent: usize) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let count = waiting.len();
        for unread in self.dice.take(&mut waiting, count) {
            if unread.age >= 2 || self.dice.percent(percent) {
                self.script.unprotect(&unread.receiver, unread.message);
            } else {
                self.waiting.push(unread);
            }
        }
    }

    fn grow_older(&mut self) {
        for unread in &mut self.waiting {
            unread.age = unread.age.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn a_seed_always_gives_the_same_conversation() {
        let size = Size::short(20);
        assert_eq!(script("short", size, 5), script("short", size, 5));
        assert_ne!(script("short", size, 5), script("short", size, 6));
    }

    #[test]
    fn every_conversation_is_valid() {
        for seed in 0..200 {
            check::check(&script("short", Size::short(25), seed)).unwrap();
        }
        check::check(&script("deep", Size::deep(), 1)).unwrap();
    }

    #[test]
    fn a_deep_one_has_everything_in_quantity() {
        let deep = script("deep", Size::deep(), 1);
        let count = |wanted: fn(&Step) -> bool| deep.steps().iter().filter(|step| wanted(step)).count();
        let counts = [
            count(|step| matches!(step, Step::Commit { .. })),
            count(|step| matches!(step, Step::ExternalJoin { .. })),
            count(|step| matches!(step, Step::CreateKeyPackage { .. })),
            count(|step| matches!(step, Step::Propose { what: Proposed::Update, .. })),
            count(|step| matches!(step, Step::ProposeAsNewMember { .. })),
            count(|step| matches!(step, Step::Unprotect { .. })),
        ];
        let least = [70, 4, 150, 200, 10, 60];
        assert!(counts.iter().zip(least).all(|(count, least)| *count >= least), "{counts:?}");
        assert_eq!(check::check(&deep).unwrap().largest, 60);
    }
}
