//! Who may read which part of a group's log: those who have come since the service follows it, and those who have gone.

use std::collections::{BTreeMap, VecDeque};

use hushwood::error::Error;
use hushwood::proposal::ProposalType;
use hushwood::public_group::ObservedCommit;
use hushwood::tree::{LeafIndex, RatchetTree};
use hushwood_codec::wire_struct;
use hushwood_crypto::SignaturePublicKey;
use sha2::{Digest, Sha256};

wire_struct! {
    /// Who stood at a leaf, and until which commit.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(super) struct Departed {
        /// The leaf.
        pub(super) leaf_index: u32,
        /// The signature key that stood there.
        pub(super) key: Vec<u8>,
        /// The number of the commit that they came with; 0 if that was before the group was followed.
        pub(super) from: u64,
        /// The number of the commit that they went with.
        pub(super) until: u64,
        /// The epoch that it ended, their last.
        pub(super) epoch: u64,
    }
}

wire_struct! {
    /// With which commit a member has come.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct Joined {
        leaf_index: u32,
        from: u64,
    }
}

wire_struct! {
    /// Somebody who has gone, and of whom no more is remembered: the beginning of a hash of their key, and their last epoch.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    struct Trace {
        key: [u8; 8],
        epoch: u64,
    }
}

wire_struct! {
    /// All of it, to be kept.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(super) struct PeopleRecord {
        departed: Vec<Departed>,
        joined: Vec<Joined>,
        traces: Vec<Trace>,
        forgotten: Option<u64>,
    }
}

/// Who has come and who has gone, as far as it is remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    departed: VecDeque<Departed>,
    /// The number of the commit with which the member at a leaf came, for those who came since the group is followed.
    joined: BTreeMap<u32, u64>,
    /// Those who are not remembered otherwise: an invitation from before does not bring them back.
    traces: VecDeque<Trace>,
    /// The last epoch of somebody who has gone and has left no trace.
    forgotten: Option<u64>,
}

/// What a commit does to them; done when the commit is accepted.
pub(super) struct Change {
    departed: Vec<Departed>,
    gone: Vec<u32>,
    came: Vec<(u32, u64)>,
}

/// How many of those who have gone are remembered, and of those from one leaf: with each of them a proof has to be compared.
const MOST: usize = 1024;
const MOST_OF_LEAF: usize = 4;
/// How many have left a trace, of 16 bytes: beyond that an invitation from before counts for nobody.
const MOST_TRACES: usize = 4096;

impl People {
    pub(super) fn from_record(record: PeopleRecord) -> Self {
        let joined = record.joined.into_iter().map(|one| (one.leaf_index, one.from)).collect();
        let (departed, traces) = (record.departed.into(), record.traces.into());
        Self { departed, joined, traces, forgotten: record.forgotten }
    }

    pub(super) fn to_record(&self) -> PeopleRecord {
        let joined =
            self.joined.iter().map(|(leaf_index, from)| Joined { leaf_index: *leaf_index, from: *from });
        PeopleRecord {
            departed: self.departed.iter().cloned().collect(),
            joined: joined.collect(),
            traces: self.traces.iter().copied().collect(),
            forgotten: self.forgotten,
        }
    }

    /// From which number on the member at a leaf may read; 0 for everything.
    pub(super) fn from(&self, leaf: LeafIndex) -> u64 {
        self.joined.get(&leaf.number()).copied().unwrap_or(0)
    }

    /// Those who stood at a leaf before, the last first.
    pub(super) fn departed(&self, leaf: LeafIndex) -> impl Iterator<Item = &Departed> {
        self.departed.iter().rev().filter(move |one| one.leaf_index == leaf.number())
    }

    /// Whether the holder of this key may have gone in this epoch or after it. Of those who are forgotten, anybody may.
    pub(super) fn may_have_gone_since(&self, key: &[u8], epoch: u64) -> bool {
        let trace = trace(key);
        self.forgotten.is_some_and(|last| last >= epoch)
            || self.traces.iter().any(|one| one.key == trace && one.epoch >= epoch)
            || self.departed.iter().any(|one| one.key == key && one.epoch >= epoch)
    }

    /// What a commit with this number does to them, seen from the tree before it.
    pub(super) fn change(
        &self,
        before: &RatchetTree,
        commit: &ObservedCommit,
        sequence: u64,
    ) -> Result<Change, Error> {
        let change = commit.change();
        let external = change.proposals.contains(&ProposalType::EXTERNAL_INIT);
        let epoch = change.epoch.saturating_sub(1);
        let mut departed = Vec::new();
        // Who was where, of those whom the commit touches.
        let mut were: Vec<(SignaturePublicKey, u64)> = Vec::new();
        let touched = change.removed.iter().map(|(leaf, _)| *leaf).chain(change.updated.iter().copied());
        for leaf in touched.chain([change.committer]) {
            let Some(old) = before.leaf(leaf)? else { continue };
            let from = self.from(leaf);
            were.push((old.signature_key.clone(), from));
            let new = commit.tree().leaf(leaf)?;
            if new.is_none_or(|new| new.signature_key != old.signature_key) {
                let (leaf_index, key) = (leaf.number(), old.signature_key.0);
                departed.push(Departed { leaf_index, key, from, until: sequence, epoch });
            }
        }
        let mut came = Vec::new();
        for leaf in change.added.iter().copied().chain(external.then_some(change.committer)) {
            let Some(new) = commit.tree().leaf(leaf)? else { continue };
            // Who comes back in the same commit has been there all the time.
            let was = were.iter().find(|(key, _)| *key == new.signature_key);
            came.push((leaf.number(), was.map_or(sequence, |(_, from)| *from)));
        }
        let gone = change.removed.iter().map(|(leaf, _)| leaf.number()).collect();
        Ok(Change { departed, gone, came })
    }

    /// The commit was accepted.
    pub(super) fn apply(&mut self, change: Change) {
        for leaf in change.gone {
            self.joined.remove(&leaf);
        }
        self.joined.extend(change.came.into_iter().filter(|(_, from)| *from > 0));
        for one in change.departed {
            let leaf = one.leaf_index;
            self.departed.push_back(one);
            if self.departed.iter().filter(|other| other.leaf_index == leaf).count() > MOST_OF_LEAF {
                let oldest = self.departed.iter().position(|other| other.leaf_index == leaf);
                self.forget(oldest);
            }
            if self.departed.len() > MOST {
                self.forget(Some(0));
            }
        }
    }

    fn forget(&mut self, place: Option<usize>) {
        if let Some(one) = place.and_then(|place| self.departed.remove(place)) {
            self.traces.push_back(Trace { key: trace(&one.key), epoch: one.epoch });
            if self.traces.len() > MOST_TRACES
                && let Some(oldest) = self.traces.pop_front()
            {
                self.forgotten = self.forgotten.max(Some(oldest.epoch));
            }
        }
    }
}

fn trace(key: &[u8]) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(key).into();
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departed(leaf_index: u32, epoch: u64) -> Departed {
        Departed { leaf_index, key: epoch.to_be_bytes().to_vec(), from: 0, until: epoch + 1, epoch }
    }

    fn goes(people: &mut People, one: Departed) {
        people.apply(Change { departed: vec![one], gone: Vec::new(), came: Vec::new() });
    }

    #[test]
    fn a_few_of_each_leaf_are_remembered_and_not_more_than_a_thousand() {
        let mut people = People::default();
        for epoch in 0..100 {
            goes(&mut people, departed(7, epoch));
        }
        let epochs: Vec<_> = people.departed(LeafIndex::new(7)).map(|one| one.epoch).collect();
        assert_eq!(epochs, [99, 98, 97, 96]);
        for epoch in 100..2100 {
            goes(&mut people, departed(u32::try_from(epoch).unwrap(), epoch));
        }
        assert_eq!(people.departed.len(), MOST);
        let back = People::from_record(people.to_record());
        assert_eq!(back.to_record(), people.to_record());
    }

    /// An invitation from before somebody went does not bring them back, whether they are remembered or not.
    #[test]
    fn who_is_forgotten_may_have_gone() {
        let mut people = People::default();
        goes(&mut people, departed(1, 5));
        let (key, other) = (5_u64.to_be_bytes(), 6_u64.to_be_bytes());
        assert!(people.may_have_gone_since(&key, 5) && people.may_have_gone_since(&key, 3));
        assert!(!people.may_have_gone_since(&key, 6), "invited again after it");
        assert!(!people.may_have_gone_since(&other, 3), "somebody else");
        let leaf = |epoch: u64| u32::try_from(epoch).unwrap();
        let until = 6 + u64::try_from(MOST).unwrap();
        for epoch in 6..until {
            goes(&mut people, departed(leaf(epoch), epoch));
        }
        let people_now = People::from_record(people.to_record());
        assert!(people_now.departed(LeafIndex::new(1)).next().is_none(), "not remembered");
        assert!(people_now.may_have_gone_since(&key, 5) && !people_now.may_have_gone_since(&key, 6));
        let stranger = u64::MAX.to_be_bytes();
        assert!(!people_now.may_have_gone_since(&stranger, 3), "somebody else is not touched by that");
        // Nor if one member changes its key again and again.
        for epoch in until..until + 100 {
            goes(&mut people, departed(7, epoch));
        }
        assert!(!people.may_have_gone_since(&stranger, 3));
        let end = until + 100 + u64::try_from(MOST_TRACES).unwrap();
        for epoch in until + 100..end {
            goes(&mut people, departed(leaf(epoch), epoch));
        }
        assert!(people.may_have_gone_since(&key, 5) && people.may_have_gone_since(&stranger, 5));
        assert!(!people.may_have_gone_since(&stranger, end));
    }
}
