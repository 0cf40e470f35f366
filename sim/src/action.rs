//! What is done in a world: a list of actions, drawn from a seed or read from a file.
//!
//! An action names what is done by numbers that are read modulo what there is when it is done: any part of a list is a
//! list, which is what makes it possible to leave actions out until only those are left that a fault needs.

use std::fmt;
use std::str::FromStr;

use test_support::random::SeededRandom;

macro_rules! kinds {
    ($( $(#[$meta:meta])* $kind:ident = $weight:literal ),* $(,)?) => {
        /// What is done.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Kind { $( $(#[$meta])* $kind ),* }

        impl Kind {
            /// Every kind, with how often it is drawn, of [`Self::TOTAL`].
            pub const ALL: &'static [(Self, u32)] = &[$( (Self::$kind, $weight) ),*];
            /// The sum of all weights.
            pub const TOTAL: u32 = 0 $( + $weight )*;
        }

        impl FromStr for Kind {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $( stringify!($kind) => Ok(Self::$kind), )*
                    other => Err(format!("no such action: {other}")),
                }
            }
        }
    };
}

kinds! {
    /// A member gets a message: the next one, a later one first, one again, one that was changed on the way, or none
    /// because it is lost.
    Deliver = 480,
    /// A member encrypts a message.
    Say = 120,
    /// A member makes a commit, and hands it to the delivery service or keeps it for a while.
    Commit = 70,
    /// A member makes a proposal.
    Propose = 45,
    /// A member hands to the delivery service what waits in its outbox.
    Send = 40,
    /// A member applies a commit that was taken, or discards one.
    Settle = 40,
    /// A client reads a Welcome.
    Welcome = 60,
    /// A client joins, or joins again, by an external commit.
    Join = 16,
    /// A client is started again.
    Restart = 30,
    /// The next operation of a client meets a fault.
    Fault = 40,
    /// A member catches up with several messages in one write.
    Batch = 16,
    /// A client makes a KeyPackage, of last resort or not.
    Publish = 14,
    /// A new group grows out of one: a branch, or the one that replaces a group that was reinitialised.
    Grow = 5,
    /// Somebody outside proposes.
    Outside = 8,
    /// A member means harm.
    Hostile = 20,
    /// A client's disk is copied, to come back later.
    Snapshot = 3,
    /// A client's disk is replaced by its copy, or somebody else runs the copy.
    Restore = 2,
    /// The delivery service takes two commits for one epoch, or says an old message again.
    Misbehave = 5,
    /// Time passes.
    Clock = 4,
    /// A member changes its policy.
    Policy = 4,
    /// A client forgets a group, or a state of one, that is over for it.
    Forget = 8,
}

/// One step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Action {
    /// Its number in the list it was drawn into. What is drawn at random while it is done depends on this and on the
    /// seed, not on the actions before it.
    pub number: u64,
    /// What is done.
    pub kind: Kind,
    /// Who, and how: see what is done.
    pub who: u32,
    /// Which of several.
    pub which: u32,
    /// In which way.
    pub how: u32,
}

/// The actions of a seed.
#[must_use]
pub fn drawn(seed: u64, steps: u64) -> Vec<Action> {
    let mut random = SeededRandom::new(seed ^ 0xac71_0000);
    let draw = |number| {
        let bytes = random.bytes(16);
        let mut words =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
        let mut word = || words.next().expect("four words");
        let mut left = word() % Kind::TOTAL;
        let kind = Kind::ALL.iter().find(|(_, weight)| match left.checked_sub(*weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        let kind = kind.expect("less than the total").0;
        Action { number, kind, who: word(), which: word(), how: word() }
    };
    (0..steps).map(draw).collect()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, kind, who, which, how } = self;
        write!(f, "{number} {kind:?} {who} {which} {how}")
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut word = || words.next().ok_or_else(|| format!("not an action: {line}"));
        let number = |word: &str| word.parse::<u64>().map_err(|error| format!("{line}: {error}"));
        let small = |word: &str| word.parse::<u32>().map_err(|error| format!("{line}: {error}"));
        Ok(Self {
            number: number(word()?)?,
            kind: word()?.parse()?,
            who: small(word()?)?,
            which: small(word()?)?,
            how: small(word()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_the_same_for_a_seed_and_survive_a_file() {
        let actions = drawn(7, 3000);
        assert_eq!(actions, drawn(7, 3000));
        assert_ne!(actions, drawn(8, 3000));
        assert!(Kind::ALL.iter().all(|(kind, _)| actions.iter().any(|action| action.kind == *kind)));
        for action in actions {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
    }
}
