//! A change of a group: the same, in memory and as writes, put together at one place.

use std::sync::atomic::Ordering;

use hushwood_codec::Encode;
use hushwood_crypto::{HashReference, Secret};

use crate::commit::state::PublicState;
use crate::error::Error;
use crate::group::advance::Retirement;
use crate::group::message_id::{CommitId, MessageId};
use crate::group::record::{OwnMessageRecord, ProposalRecord, public_record, record};
use crate::group::staged::OwnCommit;
use crate::group::{Group, Member, Status};
use crate::policy::Policy;
use crate::proposal::{CachedProposal, ProposalCache};
use crate::secret_tree;
use crate::transition::{Effect, InstanceId, RecordKey, RecordKind, Step, WriteSet};
use crate::tree::KeyPair;

/// One thing that a step changes in memory.
pub(super) enum Change {
    SecretTree(secret_tree::Change),
    PastSecretTree(u64, secret_tree::Change),
    Proposal(Box<CachedProposal>),
    OwnUpdate(HashReference, KeyPair),
    OwnMessage(MessageId, OwnMessageRecord),
    Staged(CommitId, Box<OwnCommit>),
    Discarded(CommitId),
    Policy(Box<Policy>),
    /// The next epoch, from somebody else's commit.
    Epoch(Box<(PublicState, Option<Member>, Status)>, Box<Retirement>),
    /// The next epoch, from a staged commit of our own.
    Applied(CommitId, Box<Retirement>),
    /// Past epochs, and resumption keys of others.
    Forgotten {
        epochs: Vec<u64>,
        psks: Vec<u64>,
    },
}

/// A change being put together. Each method adds the writes and the change in memory that belong to
/// each other.
pub(super) struct Draft {
    instance: InstanceId,
    pub(super) writes: WriteSet,
    pub(super) changes: Vec<Change>,
}

impl Draft {
    pub(super) fn new(group: &Group) -> Self {
        let mut writes = WriteSet::new();
        writes.require(group.instance, group.version());
        Self { instance: group.instance, writes, changes: Vec::new() }
    }

    pub(super) fn put(&mut self, kind: RecordKind, id: impl Into<Vec<u8>>, value: Secret) {
        self.writes.put(RecordKey::new(self.instance, kind, id), value);
    }

    pub(super) fn erase(&mut self, kind: RecordKind, id: impl Into<Vec<u8>>) {
        self.writes.erase(RecordKey::new(self.instance, kind, id));
    }

    /// Rows of an epoch's secret tree.
    pub(super) fn secret_tree_rows(&mut self, epoch: u64, change: &secret_tree::Change) -> Result<(), Error> {
        for row in change.erases() {
            self.erase(RecordKind::SecretTree, secret_row_id(epoch, *row)?);
        }
        for (row, value) in change.puts()? {
            self.put(RecordKind::SecretTree, secret_row_id(epoch, row)?, value);
        }
        Ok(())
    }

    pub(super) fn secret_tree(&mut self, epoch: u64, change: secret_tree::Change) -> Result<(), Error> {
        self.secret_tree_rows(epoch, &change)?;
        self.changes.push(Change::SecretTree(change));
        Ok(())
    }

    pub(super) fn past_secret_tree(&mut self, epoch: u64, change: secret_tree::Change) -> Result<(), Error> {
        self.secret_tree_rows(epoch, &change)?;
        self.changes.push(Change::PastSecretTree(epoch, change));
        Ok(())
    }

    /// A proposal that waits from now on.
    pub(super) fn proposal(
        &mut self,
        cache: &ProposalCache,
        proposal: CachedProposal,
        policy: &Policy,
    ) -> Result<(), Error> {
        // One that waits already keeps its place.
        if cache.get(proposal.reference()).is_some() {
            return Ok(());
        }
        // Memory must be able to take what is written.
        cache.check_room(&proposal, policy)?;
        let record = ProposalRecord { position: cache.next_position(), proposal: proposal.clone() };
        self.put(RecordKind::Proposal, proposal.reference().0.clone(), public_record(&record)?);
        self.changes.push(Change::Proposal(Box::new(proposal)));
        Ok(())
    }

    pub(super) fn own_update(&mut self, reference: HashReference, keys: KeyPair) -> Result<(), Error> {
        let length = keys.private.0.len().saturating_add(keys.public.0.len());
        let value = record(length, |writer| {
            writer.value(&keys);
        })?;
        self.put(RecordKind::OwnUpdate, reference.0.clone(), value);
        self.changes.push(Change::OwnUpdate(reference, keys));
        Ok(())
    }

    pub(super) fn own_message(&mut self, id: MessageId, own: OwnMessageRecord) -> Result<(), Error> {
        self.put(RecordKind::OwnMessage, *id.as_bytes(), public_record(&own)?);
        self.changes.push(Change::OwnMessage(id, own));
        Ok(())
    }

    /// A message to be sent, readable until it is acknowledged.
    pub(super) fn outbox(&mut self, id: MessageId, message: &[u8]) -> Result<(), Error> {
        let value = record(message.len(), |writer| {
            writer.opaque(message);
        })?;
        self.put(RecordKind::Outbox, *id.as_bytes(), value);
        Ok(())
    }

    pub(super) fn staged(&mut self, id: CommitId, commit: OwnCommit) -> Result<(), Error> {
        self.put(RecordKind::StagedCommit, *id.as_bytes(), commit.to_record()?);
        self.changes.push(Change::Staged(id, Box::new(commit)));
        Ok(())
    }

    pub(super) fn discarded(&mut self, id: CommitId) {
        self.erase(RecordKind::StagedCommit, *id.as_bytes());
        self.erase(RecordKind::Outbox, *id.as_bytes());
        self.changes.push(Change::Discarded(id));
    }

    pub(super) fn policy(&mut self, policy: Policy) -> Result<(), Error> {
        self.put(RecordKind::Policy, Vec::new(), public_record(&policy)?);
        self.changes.push(Change::Policy(Box::new(policy)));
        Ok(())
    }
}

/// The id of a secret tree row: the epoch, then the row.
pub(super) fn secret_row_id(epoch: u64, row: secret_tree::SecretTreeRow) -> Result<Vec<u8>, Error> {
    Ok((EpochPrefix { epoch, row }).to_bytes()?)
}

/// The structure of that id.
pub(super) struct EpochPrefix {
    pub(super) epoch: u64,
    pub(super) row: secret_tree::SecretTreeRow,
}

impl Encode for EpochPrefix {
    fn encode(&self, writer: &mut hushwood_codec::Writer) {
        writer.value(&self.epoch).value(&self.row);
    }
}

impl hushwood_codec::Decode for EpochPrefix {
    fn decode(reader: &mut hushwood_codec::Reader<'_>) -> Result<Self, hushwood_codec::DecodeError> {
        Ok(Self { epoch: u64::decode(reader)?, row: secret_tree::SecretTreeRow::decode(reader)? })
    }
}

impl Group {
    /// The step that writes a draft and then changes this group.
    pub(super) fn step<T>(&mut self, draft: Draft, output: T) -> Step<'_, T> {
        let effect = GroupEffect { group: self, changes: draft.changes };
        Step::new(draft.writes, Some(Box::new(effect)), output)
    }

    fn make(&mut self, change: Change) {
        match change {
            Change::SecretTree(change) => {
                let applied = self.member.as_mut().map(|member| member.secret_tree.apply(change));
                self.poisoned |= !matches!(applied, Some(Ok(_)));
            }
            Change::PastSecretTree(epoch, change) => {
                let applied = self.past.epochs.get_mut(&epoch).map(|past| past.secret_tree.apply(change));
                self.poisoned |= !matches!(applied, Some(Ok(_)));
            }
            Change::Proposal(proposal) => {
                self.poisoned |= self.proposals.insert(*proposal, &self.policy).is_err();
            }
            Change::OwnUpdate(reference, keys) => {
                self.own_updates.insert(reference, keys);
            }
            Change::OwnMessage(id, own) => {
                self.own_messages.insert(id, own);
            }
            Change::Staged(id, commit) => {
                self.staged.insert(id, *commit);
            }
            Change::Discarded(id) => {
                self.staged.remove(&id);
            }
            Change::Policy(policy) => self.policy = *policy,
            Change::Epoch(next, retirement) => self.enter(*next, *retirement),
            Change::Applied(id, retirement) => match self.staged.remove(&id) {
                Some(own) => {
                    self.enter((own.public, Some(own.member), own.change.status), *retirement);
                }
                None => self.poisoned = true,
            },
            Change::Forgotten { epochs, psks } => {
                self.forget_past(&epochs);
                self.resumption_psks.retain(|epoch, _| !psks.contains(epoch));
            }
        }
    }
}

/// The effect of a step on a group.
struct GroupEffect<'g> {
    group: &'g mut Group,
    changes: Vec<Change>,
}

impl Effect for GroupEffect<'_> {
    fn apply(self: Box<Self>) {
        self.group.version.fetch_add(1, Ordering::Relaxed);
        for change in self.changes {
            self.group.make(change);
        }
    }

    fn poison(self: Box<Self>) {
        self.group.poisoned = true;
    }
}
