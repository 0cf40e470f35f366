//! All keys that were used, by all processes, whether they are still alive or not.

use std::collections::{HashMap, HashSet};

use test_support::recording::{Note, Seal};

use crate::failure::{Failure, Kind};

/// What was encrypted, by which attempt of which command; and which attempts were made durable, so that what they have
/// encrypted can be anywhere.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seals: Vec<(u64, Seal)>,
    durable: HashSet<u64>,
}

/// What peers encrypt leaves at once.
pub const PEERS: u64 = u64::MAX;

impl Ledger {
    /// What an attempt has encrypted.
    pub fn add(&mut self, tag: u64, seals: impl IntoIterator<Item = Seal>) {
        self.seals.extend(seals.into_iter().map(|seal| (tag, seal)));
    }

    /// What a process has written down.
    pub fn add_notes(&mut self, notes: &[Note]) {
        let mut tag = 0;
        for note in notes {
            match note {
                Note::Mark(number) => tag = *number,
                Note::Seal(seal) => self.seals.push((tag, *seal)),
            }
        }
    }

    /// An attempt was made durable.
    pub fn is_durable(&mut self, tag: u64) {
        self.durable.insert(tag);
    }

    /// Every key of MLS encrypts once; here of what can have left. Gives how many encryptions that were.
    ///
    /// # Errors
    /// [`Kind::Nonce`].
    pub fn check(&self) -> Result<u64, Failure> {
        let mut keys: HashMap<u128, (u64, u128)> = HashMap::new();
        let mut count = 0;
        for (tag, seal) in &self.seals {
            if *tag != PEERS && !self.durable.contains(tag) {
                continue;
            }
            count += 1;
            if let Some((before, nonce)) = keys.insert(seal.key, (*tag, seal.nonce)) {
                let same = if nonce == seal.nonce { "the same nonce" } else { "another nonce" };
                let (first, second) = (before >> 16, tag >> 16);
                let what = format!("a key of command {first} is used again by command {second}, with {same}");
                return Err(Failure::new(Kind::Nonce, what));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_used_twice_is_found_if_both_can_have_left() {
        let seal = |key, nonce| Seal { key, nonce };
        let mut ledger = Ledger::default();
        ledger.add_notes(&[Note::Mark(1), Note::Seal(seal(5, 1)), Note::Mark(2), Note::Seal(seal(5, 2))]);
        ledger.is_durable(2);
        ledger.add(PEERS, [seal(6, 1)]);
        assert_eq!(ledger.check().unwrap(), 2);
        ledger.is_durable(1);
        assert_eq!(ledger.check().unwrap_err().kind, Kind::Nonce);
    }
}
