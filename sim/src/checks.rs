//! What must hold, whatever happens, and what is remembered to see that it does.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use hushwood::group::Group;
use test_support::recording::Seal;

/// What was found not to hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Check {
    /// Members of one epoch differ in authenticator, tree hash, exporter or context.
    Agreement,
    /// A key and nonce have encrypted twice.
    Nonce,
    /// A message was opened twice by one member.
    Twice,
    /// A message was attributed to somebody else, or opened as something else.
    Attribution,
    /// Something that was acknowledged is not there after a restart.
    Lost,
    /// A refused or failed operation has changed the store or the memory.
    Refusal,
    /// What an honest member made was refused by one who had to accept it.
    Liveness,
    /// Something was accepted that had to be refused.
    Forgery,
    /// Members disagree on whether a commit is valid.
    Validity,
    /// After all faults have ended, members do not come together.
    Healing,
    /// The library says that it has a fault, or it panicked.
    Bug,
}

/// A check that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub check: Check,
    /// The action during which it was found; none if that was while healing.
    pub action: Option<u64>,
    /// What was seen.
    pub what: String,
}

impl Failure {
    pub(crate) fn new(check: Check, what: impl Into<String>) -> Self {
        Self { check, action: None, what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Some(action) => write!(f, "{:?} at action {action}: {}", self.check, self.what),
            None => write!(f, "{:?} while healing: {}", self.check, self.what),
        }
    }
}

/// The model's name for an epoch: which commits, one after the other, have led to it. Members know nothing of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Lineage(pub u64);

impl Lineage {
    /// Of an epoch that nobody has told of.
    pub const UNKNOWN: Self = Self(0);

    /// The epoch 0 of a group.
    pub(crate) fn founded(group_id: &[u8]) -> Self {
        Self(hash_of(&("founded", group_id)))
    }

    /// The epoch that a commit of this one leads to.
    pub(crate) fn child(self, commit: &[u8]) -> Self {
        Self(hash_of(&(self.0, commit)))
    }
}

/// A hash that is the same in every run.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What all members of an epoch have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    group_id: Vec<u8>,
    epoch: u64,
    authenticator: Vec<u8>,
    exported: Vec<u8>,
    tree_hash: Vec<u8>,
    transcript_hash: Vec<u8>,
    context: u64,
    members: u32,
}

impl Facts {
    /// What a member says of its epoch; none if it is out of the group.
    #[must_use]
    pub fn of(group: &Group) -> Option<Self> {
        let context = group.context();
        Some(Self {
            group_id: context.group_id.clone(),
            epoch: context.epoch,
            authenticator: group.epoch_authenticator().ok()?.to_vec(),
            exported: group.export("sim", b"agreement", 16).ok()?.expose().to_vec(),
            tree_hash: context.tree_hash.clone(),
            transcript_hash: context.confirmed_transcript_hash.clone(),
            context: hash_of(&format!("{:?}", context.extensions)),
            members: group.member_count(),
        })
    }
}

/// All epochs that members have reached.
#[derive(Debug, Default)]
pub struct Epochs {
    facts: HashMap<Lineage, Facts>,
    by_transcript: HashMap<(Vec<u8>, u64, Vec<u8>), Lineage>,
    by_authenticator: HashMap<Vec<u8>, Lineage>,
}

impl Epochs {
    /// Honest members of one epoch agree on it, and members of different epochs do not.
    ///
    /// # Errors
    /// [`Check::Agreement`].
    pub fn reached(&mut self, lineage: Lineage, facts: Facts) -> Result<(), Failure> {
        if let Some(known) = self.facts.get(&lineage) {
            return match *known == facts {
                true => Ok(()),
                false => Err(Failure::new(Check::Agreement, format!("{known:?} and {facts:?}"))),
            };
        }
        let other = self.by_authenticator.insert(facts.authenticator.clone(), lineage);
        if other.is_some_and(|other| other != lineage) {
            let what = "two epochs have one authenticator";
            return Err(Failure::new(Check::Agreement, format!("{what}: {facts:?}")));
        }
        let key = (facts.group_id.clone(), facts.epoch, facts.transcript_hash.clone());
        self.by_transcript.insert(key, lineage);
        self.facts.insert(lineage, facts);
        Ok(())
    }

    /// The epoch in which a group is, if somebody has been there.
    #[must_use]
    pub fn named(&self, group: &Group) -> Option<Lineage> {
        let context = group.context();
        let key = (context.group_id.clone(), context.epoch, context.confirmed_transcript_hash.clone());
        self.by_transcript.get(&key).copied()
    }

    /// How many there have been.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there have been none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }
}

/// All encryptions by honest members whose state nobody has copied.
#[derive(Debug, Default)]
pub struct Seals {
    /// Every key of MLS encrypts once. Here are those of what was made durable, and so can leave.
    keys: HashSet<u128>,
    /// Even what was dropped must not have had the same key and nonce.
    pairs: HashSet<Seal>,
}

impl Seals {
    /// Adds what one operation has encrypted; `released` if that can leave the member.
    ///
    /// # Errors
    /// [`Check::Nonce`].
    pub fn add(&mut self, seals: &[Seal], released: bool) -> Result<(), Failure> {
        for seal in seals {
            if !self.pairs.insert(*seal) {
                return Err(Failure::new(Check::Nonce, "a key and nonce have encrypted twice"));
            }
            if released && !self.keys.insert(seal.key) {
                return Err(Failure::new(Check::Nonce, "a key has encrypted two things that can leave"));
            }
        }
        Ok(())
    }

    /// How many encryptions there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}
