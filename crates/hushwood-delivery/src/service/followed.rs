//! A group as the service follows it: a snapshot and the handshakes since.

use std::collections::{BTreeMap, VecDeque};

use hushwood::credential::{CredentialCheck, Verdict, Verdicts};
use hushwood::error::Error;
use hushwood::framing::Sender;
use hushwood::policy::Timestamp;
use hushwood::public_group::{Observed, PublicGroup};
use hushwood_aws_lc::OsRandom;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::{CryptoProvider, SignaturePublicKey, verify_with_label};
use subtle::ConstantTimeEq;

use crate::backend::{BackendError, Entry, Incarnation, Seconds, Snapshot};
use crate::service::people::{People, PeopleRecord};
use crate::service::seal::{Place, What, open, seal};
use crate::service::settings::ProposalLimits;
use crate::wire::{GroupKey, Refusal};

wire_struct! {
    /// The hash of an epoch's tree.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct TreeName {
        epoch: u64,
        hash: Vec<u8>,
    }
}

wire_struct! {
    /// A snapshot as it is sealed.
    struct SnapshotRecord {
        public: Vec<u8>,
        people: PeopleRecord,
        trees: Vec<TreeName>,
    }
}

/// A group's public state, as of a number in its log.
pub(super) struct Followed {
    public: PublicGroup,
    /// Which life of the group it is.
    incarnation: Incarnation,
    /// The number of the last handshake that is in it.
    sequence: u64,
    /// The number of the commit that began its epoch.
    commit: u64,
    /// The epoch of the snapshot that it goes on from.
    snapshot: u64,
    people: People,
    /// The trees of the last epochs: who has a Welcome for one of them knows its hash.
    trees: VecDeque<TreeName>,
    waiting: Waiting,
    /// About how much memory it takes.
    bytes: usize,
    /// Bytes of its log, as it was seen last.
    log_bytes: u64,
    /// The number of the newest entry, handshake or not, as it was seen last: what came up to there is in this state.
    seen: u64,
    key: GroupKey,
}

/// What waits for a commit.
#[derive(Default)]
struct Waiting {
    members: Size,
    outside: Size,
    of_member: BTreeMap<u32, Size>,
}

#[derive(Clone, Copy, Default)]
struct Size {
    number: usize,
    bytes: usize,
}

/// How many epochs back somebody may ask for the tree of theirs.
const MOST_TREES: usize = 1024;

impl Followed {
    pub(super) fn new(public: PublicGroup, incarnation: Incarnation, key: GroupKey) -> Self {
        let snapshot = public.epoch();
        let mut new = Self {
            public,
            incarnation,
            sequence: 0,
            commit: 0,
            snapshot,
            people: People::default(),
            trees: VecDeque::new(),
            waiting: Waiting::default(),
            bytes: 0,
            log_bytes: 0,
            seen: 0,
            key,
        };
        new.name_tree();
        new
    }

    /// Goes on from a snapshot.
    pub(super) fn restore(
        snapshot: &Snapshot,
        (group, key): (&[u8], GroupKey),
        provider: &CryptoProvider,
    ) -> Result<Self, Refusal> {
        let place = Place { group, incarnation: snapshot.incarnation, epoch: snapshot.epoch };
        let record = open(&key, (place, What::Snapshot), &snapshot.body)?;
        let bytes = record.len().saturating_mul(3);
        let record = SnapshotRecord::from_bytes(&record).map_err(|_| corrupt("a snapshot"))?;
        let public = PublicGroup::from_bytes(&record.public, provider).map_err(|_| corrupt("a snapshot"))?;
        if public.group_id() != group || public.epoch() != snapshot.epoch {
            return Err(corrupt("a snapshot"));
        }
        Ok(Self {
            public,
            incarnation: snapshot.incarnation,
            sequence: snapshot.sequence,
            commit: snapshot.sequence,
            snapshot: snapshot.epoch,
            people: People::from_record(record.people),
            trees: record.trees.into(),
            waiting: Waiting::default(),
            bytes,
            log_bytes: 0,
            seen: snapshot.sequence,
            key,
        })
    }

    /// An entry of the log, which was checked when it was accepted, perhaps by another node.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let message = open(&self.key, (self.place(entry.epoch), What::Handshake), &entry.body)?;
        let observed = self.observe(&message, entry.at).map_err(|_| corrupt("a handshake in the log"))?;
        self.accept(observed, (entry.sequence, message.len())).map_err(|_| corrupt("a handshake in the log"))
    }

    /// What a handshake would do.
    pub(super) fn observe(&self, message: &[u8], now: Seconds) -> Result<Observed, Error> {
        self.public.receive(message, Timestamp(now.0), &mut OsRandom)
    }

    /// Does it: it has this number in the log, and is so long.
    pub(super) fn accept(
        &mut self,
        observed: Observed,
        (sequence, length): (u64, usize),
    ) -> Result<(), Error> {
        match observed {
            Observed::Proposal(observed) => {
                let (sender, verdicts) = (observed.sender(), all(observed.checks()));
                self.public.accept_proposal(observed, &verdicts)?;
                self.waiting.add(sender, length);
            }
            Observed::Commit(observed) => {
                let change = self.people.change(self.public.tree(), &observed, sequence)?;
                let verdicts = all(observed.checks());
                self.public.accept_commit(*observed, &verdicts)?;
                self.people.apply(change);
                self.waiting = Waiting::default();
                self.commit = sequence;
                self.name_tree();
            }
        }
        self.bytes = self.bytes.saturating_add(length);
        self.sequence = sequence;
        self.seen = self.seen.max(sequence);
        Ok(())
    }

    fn name_tree(&mut self) {
        let context = self.public.context();
        self.trees.push_back(TreeName { epoch: context.epoch, hash: context.tree_hash.clone() });
        let surplus = self.trees.len().saturating_sub(MOST_TREES);
        self.trees.drain(..surplus);
    }

    /// Whether the tree of that epoch, as far as it is remembered, has this hash.
    pub(super) fn has_tree(&self, epoch: u64, hash: &[u8]) -> bool {
        let tree = self.trees.iter().rev().find(|tree| tree.epoch == epoch);
        tree.is_some_and(|tree| tree.hash.ct_eq(hash).into())
    }

    /// Whether another proposal may wait.
    pub(super) fn check_room(
        &self,
        sender: Sender,
        length: usize,
        limits: &ProposalLimits,
    ) -> Result<(), Refusal> {
        self.waiting.check_room(sender, length, limits)
    }

    /// The log was seen to its end: it has so many bytes, and ends with this number.
    pub(super) fn see_log(&mut self, bytes: u64, newest: u64) {
        self.log_bytes = bytes;
        self.seen = self.seen.max(newest);
    }

    /// The number of the newest entry that it is known to be up to date with.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether the log takes so many bytes more.
    pub(super) fn check_log(&self, more: usize, most: u64) -> Result<(), Refusal> {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        match self.log_bytes.saturating_add(more) <= most {
            true => Ok(()),
            false => Err(Refusal::Full("the group's log is as long as it may be: old entries go with time")),
        }
    }

    /// Whether somebody has signed this with a key of this group's suite.
    pub(super) fn verifies(
        &self,
        label: &str,
        (key, content): (&SignaturePublicKey, &[u8]),
        signature: &[u8],
    ) -> bool {
        verify_with_label(self.public.suite(), key, label, content, signature).is_ok()
    }

    /// The state, to go on from later.
    pub(super) fn to_snapshot(&self) -> Result<Snapshot, Refusal> {
        let public = self.public.to_bytes().map_err(|_| corrupt("a group"))?;
        let trees = self.trees.iter().cloned().collect();
        let record = SnapshotRecord { public, people: self.people.to_record(), trees };
        let record = record.to_bytes().map_err(|_| Refusal::TooLarge("a group"))?;
        let epoch = self.public.epoch();
        let body = seal(&self.key, (self.place(epoch), What::Snapshot), &record)?;
        Ok(Snapshot { incarnation: self.incarnation, epoch, sequence: self.commit, body })
    }

    /// Whether there have been so many commits since the last snapshot, of which this is the next if so. A snapshot is of the
    /// beginning of an epoch: no proposal is in it.
    pub(super) fn snapshot_due(&mut self, every: u64) -> bool {
        let epoch = self.public.epoch();
        let due = epoch.saturating_sub(self.snapshot) >= every;
        if due {
            self.snapshot = epoch;
        }
        due
    }

    /// Where something of this group stands.
    pub(super) fn place(&self, epoch: u64) -> Place<'_> {
        Place { group: self.public.group_id(), incarnation: self.incarnation, epoch }
    }

    /// Which life of the group it is.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The group's key.
    pub(super) fn key(&self) -> &GroupKey {
        &self.key
    }

    pub(super) fn public(&self) -> &PublicGroup {
        &self.public
    }

    pub(super) fn people(&self) -> &People {
        &self.people
    }

    /// The number of the last handshake that is in it.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of the commit that began the epoch.
    pub(super) fn commit(&self) -> u64 {
        self.commit
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.saturating_add(16 << 10)
    }
}

impl Waiting {
    fn add(&mut self, sender: Sender, length: usize) {
        match sender {
            Sender::Member(leaf) => {
                self.members.add(length);
                self.of_member.entry(leaf.number()).or_default().add(length);
            }
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
                self.outside.add(length);
            }
        }
    }

    fn check_room(&self, sender: Sender, length: usize, limits: &ProposalLimits) -> Result<(), Refusal> {
        let room =
            |size: Size, number, bytes| size.number < number && size.bytes.saturating_add(length) <= bytes;
        match sender {
            Sender::Member(leaf) => {
                let of_one = self.of_member.get(&leaf.number()).copied().unwrap_or_default();
                if !room(of_one, limits.of_one, limits.bytes_of_one) {
                    return Err(Refusal::Full("many proposals of yours wait: commit them first"));
                }
                match room(self.members, limits.all, limits.bytes) {
                    true => Ok(()),
                    false => Err(Refusal::Full("many proposals wait: commit them first")),
                }
            }
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
                match room(self.outside, limits.outside, limits.bytes_of_one) {
                    true => Ok(()),
                    false => Err(Refusal::Full(
                        "many proposals from outside wait: a member has to commit before there is room for more",
                    )),
                }
            }
        }
    }
}

impl Size {
    fn add(&mut self, length: usize) {
        self.number = self.number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(length);
    }
}

/// Who is who is for the members to judge (RFC 9420 §5.3.1): to the service they are keys.
pub(super) fn all(checks: &[CredentialCheck]) -> Verdicts {
    Verdicts(vec![Verdict::Accept; checks.len()])
}

pub(super) fn corrupt(what: &'static str) -> Refusal {
    Refusal::Failed(BackendError::Corrupt(what))
}
