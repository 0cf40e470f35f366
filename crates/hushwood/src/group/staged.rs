//! RFC 9420 §14: commits of our own that wait to be accepted by the transport.
//!
//! A staged commit holds the next epoch, complete, and nothing of the current one. It survives a restart:
//! its record says what the commit did, and reading it does the same to the tree again.

use std::fmt;

use hushwood_codec::{Decode, DecodeError, Element, Encode, Reader, Writer, wire_struct};
use hushwood_crypto::{HashReference, Secret};

use crate::commit::state::{MemberState, PublicState};
use crate::credential::Credential;
use crate::error::{Error, StoreReadError};
use crate::framing::Sender;
use crate::group::application::Outgoing;
use crate::group::record::{EpochRecord, StatusRecord, read, record};
use crate::group::{Group, Member, Status};
use crate::policy::Timestamp;
use crate::proposal::{Applied, CommittedProposal, Proposal, ProposalChecks, ProposalList, ProposalType};
use crate::schedule::EpochSecrets;
use crate::secret_tree::{SecretTree, SecretTreeRow, Usage};
use crate::transition::InstanceId;
use crate::tree::{self, LeafIndex, PrivateTree, UpdatePath};

/// What a commit changed, as told to the application when it is applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EpochChange {
    /// The epoch that has begun.
    pub epoch: u64,
    /// The committer's leaf in it.
    pub committer: LeafIndex,
    /// Whether we committed.
    pub own: bool,
    /// Members that have come.
    pub added: Vec<LeafIndex>,
    /// Members that have gone: their leaves, and who they were.
    pub removed: Vec<(LeafIndex, Credential)>,
    /// Members whose leaf an Update replaced.
    pub updated: Vec<LeafIndex>,
    /// The types of the proposals it covered, in its order.
    pub proposals: Vec<ProposalType>,
    /// Whether the group's extensions changed.
    pub extensions_changed: bool,
    /// What the group has come to.
    pub status: Status,
    /// Our own commit only: the Welcomes to be sent to those who join, now that the commit is accepted
    /// (C403). If the policy leaves the tree out of them, those who join need that of this epoch too:
    /// [`Group::ratchet_tree_after`] before the commit is applied, [`Group::ratchet_tree`] after it.
    pub welcomes: Vec<Outgoing>,
}

impl EpochChange {
    pub(crate) fn new(list: &ProposalList, applied: &Applied, committer: LeafIndex, epoch: u64) -> Self {
        let removed = applied.removed.iter().map(|(leaf, old)| (*leaf, old.credential.clone()));
        Self {
            epoch,
            committer,
            own: false,
            added: applied.added.clone(),
            removed: removed.collect(),
            updated: applied.updated.iter().map(|(leaf, _)| *leaf).collect(),
            proposals: list.iter().map(|committed| committed.proposal().proposal_type()).collect(),
            extensions_changed: false,
            status: Status::Active,
            welcomes: Vec::new(),
        }
    }
}

/// A state of one group on this client: no other state has the same name.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    instance: InstanceId,
    /// The interim transcript hash, which depends on every commit so far.
    transcript_hash: Vec<u8>,
}

/// A commit of our own, with the epoch it leads to.
pub(super) struct OwnCommit {
    /// What it committed, to be done again when it is read back.
    pub(super) committed: Vec<CommittedProposal>,
    pub(super) path: Option<UpdatePath>,
    pub(super) public: PublicState,
    pub(super) member: Member,
    /// MLSMessages with the Welcomes; opened by the step that applies the commit.
    pub(super) welcomes: Vec<Vec<u8>>,
    pub(super) change: EpochChange,
}

impl fmt::Debug for OwnCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCommit").field("change", &self.change).finish_non_exhaustive()
    }
}

wire_struct! {
    /// A committed proposal as it is stored.
    struct CommittedRecord {
        sender: Sender,
        reference: Option<HashReference>,
        proposal: Proposal,
    }
}

wire_struct! {
    /// The public part of the record `StagedCommit`; the secrets follow it.
    struct StagedRecord {
        committed: Vec<CommittedRecord>,
        path: Option<UpdatePath>,
        epoch: EpochRecord,
        status: StatusRecord,
        extensions_changed: u8,
        welcomes: Vec<Vec<u8>>,
    }
}

/// A row of a secret tree within a record.
struct RowRecord(SecretTreeRow, Secret);

impl Encode for RowRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.0).value(&self.1);
    }
}

impl Decode for RowRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(SecretTreeRow::decode(reader)?, Secret::copy_of(reader.opaque()?)))
    }
}

impl Element for RowRecord {}

impl OwnCommit {
    /// The record `StagedCommit`.
    pub(super) fn to_record(&self) -> Result<Secret, Error> {
        let committed = self.committed.iter().map(|committed| CommittedRecord {
            sender: committed.sender(),
            reference: committed.reference().cloned(),
            proposal: committed.proposal().clone(),
        });
        let public = StagedRecord {
            committed: committed.collect(),
            path: self.path.clone(),
            epoch: EpochRecord {
                context: self.public.context.clone(),
                confirmation_tag: self.public.confirmation_tag.clone(),
                interim_transcript_hash: self.public.interim_transcript_hash.clone(),
            },
            status: StatusRecord::of(&self.change.status),
            extensions_changed: u8::from(self.change.extensions_changed),
            welcomes: self.welcomes.clone(),
        };
        let public = public.to_bytes()?;
        let secrets = self.member.state.secrets.to_record()?;
        let private = self.member.state.private.to_secret()?;
        let rows = self.member.secret_tree.records()?;
        let rows: Vec<_> = rows.into_iter().map(|(row, value)| RowRecord(row, value)).collect();
        let rows_length = rows.iter().fold(64, |sum: usize, row| sum.saturating_add(row.1.len() + 32));
        let lengths = [public.len(), secrets.len(), private.len(), rows_length];
        record(lengths.iter().fold(64, |sum: usize, length| sum.saturating_add(*length)), |writer| {
            writer.raw(&public).value(&secrets).value(&private).value(&rows);
        })
    }

    /// Reads a staged commit of this group back: does to the group's tree what the commit does.
    pub(super) fn from_record(group: &Group, value: &Secret) -> Result<Self, Error> {
        let (public, secrets, private, rows) = read(value, |reader| {
            let public = StagedRecord::decode(reader)?;
            let secrets = Secret::copy_of(reader.opaque()?);
            let private = Secret::copy_of(reader.opaque()?);
            Ok((public, secrets, private, Vec::<RowRecord>::decode(reader)?))
        })?;
        let committed: Vec<_> = public
            .committed
            .into_iter()
            .map(|record| CommittedProposal::stored(record.proposal, record.sender, record.reference))
            .collect();
        let own = Sender::Member(group.own_leaf);
        // What is stored was checked when it was made.
        let list = ProposalList::assume_checked(committed.clone(), own);
        let checks = group.checks(Timestamp(0), true);
        let mut applied = list.apply(&checks)?;
        if let Some(path) = &public.path {
            let added = applied.added.iter().copied().collect();
            tree::merge(&mut applied.tree, group.own_leaf, path, &added)?;
        }
        let EpochRecord { context, confirmation_tag, interim_transcript_hash } = public.epoch;
        if applied.tree.tree_hash()?.as_bytes() != context.tree_hash {
            return Err(StoreReadError::Corrupt.into());
        }
        let suite = group.suite();
        let secret_tree = SecretTree::from_rows(
            suite,
            applied.tree.leaf_count(),
            Usage::Current,
            rows.into_iter().map(|RowRecord(row, value)| (row, value)),
        )?;
        let secrets = EpochSecrets::from_record(suite, &secrets)?;
        let private = PrivateTree::from_secret(&private)?;
        let member = Member { state: MemberState { private, secrets }, secret_tree };
        let mut change = EpochChange::new(&list, &applied, group.own_leaf, context.epoch);
        change.own = true;
        change.status = public.status.into();
        change.extensions_changed = public.extensions_changed != 0;
        let path = public.path;
        let public_state =
            PublicState::new(context, applied.tree, confirmation_tag, interim_transcript_hash)?;
        Ok(Self { committed, path, public: public_state, member, welcomes: public.welcomes, change })
    }
}

impl StatusRecord {
    pub(crate) fn of(status: &Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Reinitialised(reinit) => Self::Reinitialised(reinit.clone()),
            Status::Removed => Self::Removed,
        }
    }
}

impl From<StatusRecord> for Status {
    fn from(status: StatusRecord) -> Self {
        match status {
            StatusRecord::Active => Self::Active,
            StatusRecord::Reinitialised(reinit) => Self::Reinitialised(reinit),
            StatusRecord::Removed => Self::Removed,
        }
    }
}

impl Group {
    /// What proposals for the current epoch are judged by.
    pub(super) fn checks(&self, now: Timestamp, sending: bool) -> ProposalChecks<'_> {
        ProposalChecks {
            tree: &self.public.tree,
            context: &self.public.context,
            policy: &self.policy,
            now,
            sending,
            purpose: self.purpose,
        }
    }

    /// The state that we are in.
    pub(super) fn here(&self) -> Moment {
        let transcript_hash = self.public.interim_transcript_hash.clone();
        Moment { instance: self.instance, transcript_hash }
    }

    /// What was staged must have been staged here. The number of the epoch would not do: where a commit was never
    /// written and the group took another one instead, there are two epochs of one number.
    pub(super) fn is_at(&self, moment: &Moment) -> bool {
        self.instance == moment.instance && self.public.interim_transcript_hash == moment.transcript_hash
    }
}
