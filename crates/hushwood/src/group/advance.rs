//! RFC 9420 §12.4.2, §9.2: from one epoch to the next, in memory and on disk, in one step.

use std::collections::BTreeMap;

use hushwood_codec::Encode;
use hushwood_crypto::SignaturePublicKey;

use crate::commit::state::PublicState;
use crate::error::Error;
use crate::group::change::{Change, Draft, secret_row_id};
use crate::group::past::PastEpoch;
use crate::group::record::{
    EpochRecord, GroupRecord, PastEpochRecord, PastMember, PastMemberRecord, StatusRecord, public_record,
    record,
};
use crate::group::{Group, Member, Status};
use crate::policy::Timestamp;
use crate::proposal::ProposalCache;
use crate::schedule::EpochSecrets;
use crate::secret_tree::{self, SecretTree};
use crate::transition::RecordKind;
use crate::tree::LeafIndex;
use crate::tree::records::Difference;

/// An epoch about to become the current one.
pub(super) struct Arrival<'a> {
    pub(super) public: &'a PublicState,
    /// None if the commit removes this client.
    pub(super) member: Option<&'a Member>,
    pub(super) status: &'a Status,
    /// Whose key the commit has consumed.
    pub(super) encrypted_by: Option<LeafIndex>,
}

/// What becomes of the epoch that ends.
pub(super) struct Retirement {
    /// What its secret tree loses; none if it is not kept at all.
    secret_tree: Option<secret_tree::Change>,
    ended: u64,
    /// Ours in the epoch that begins.
    own_signature_key: SignaturePublicKey,
    past_members: BTreeMap<(LeafIndex, u64), Option<PastMember>>,
    forgotten: Vec<u64>,
}

impl Group {
    /// Drafts the change to the next epoch: the old one becomes a past epoch, and whatever belonged to
    /// it alone is erased.
    pub(super) fn draft_epoch(
        &self,
        arrival: &Arrival<'_>,
        now: Timestamp,
    ) -> Result<(Draft, Retirement), Error> {
        let Arrival { public, member, status, encrypted_by } = *arrival;
        let mut draft = Draft::new(self);
        draft.epoch(public, member)?;
        let own = public.tree.identity(self.own_leaf)?.filter(|_| member.is_some());
        let own_signature_key = own.map_or_else(|| self.own_signature_key.clone(), |(key, _)| key);
        draft.group(self, (&own_signature_key, status))?;
        let differences = public.tree.differences(&self.public.tree)?;
        draft.tree_changes((&self.public.tree, &public.tree), &differences)?;
        if let Some(member) = member {
            draft.new_secret_tree(public.context.epoch, &member.secret_tree)?;
        }
        let past_members = self.draft_past_members(&mut draft, &differences)?;
        let secret_tree = self.draft_retirement(&mut draft, encrypted_by, now)?;
        let forgotten = self.past.expired(
            self.policy.max_past_epochs.saturating_sub(usize::from(secret_tree.is_some())),
            now.0.saturating_sub(self.policy.max_past_epoch_age),
        );
        self.draft_forgetting(&mut draft, &forgotten)?;
        self.draft_resumption_psks(&mut draft)?;
        self.draft_end_of_epoch(&mut draft);
        let ended = now.0;
        Ok((draft, Retirement { secret_tree, ended, own_signature_key, past_members, forgotten }))
    }

    /// Keeps who stood at the leaves that have changed, to attribute late messages to them.
    fn draft_past_members(
        &self,
        draft: &mut Draft,
        differences: &[Difference<'_>],
    ) -> Result<BTreeMap<(LeafIndex, u64), Option<PastMember>>, Error> {
        let mut members = BTreeMap::new();
        for difference in differences {
            let Some(leaf) = difference.at.leaf() else { continue };
            let [old, new] = difference.identities()?.map(|identity| identity.map(PastMember::of));
            if old != new {
                let id = past_member_id(leaf, self.epoch());
                let record = PastMemberRecord { member: old.clone() };
                draft.put(RecordKind::PastMember, id, public_record(&record)?);
                members.insert((leaf, self.epoch()), old);
            }
        }
        Ok(members)
    }

    /// Turns the current epoch into a past one (or erases it, if none are kept): its handshake keys go,
    /// its application keys stay for late messages.
    fn draft_retirement(
        &self,
        draft: &mut Draft,
        encrypted_by: Option<LeafIndex>,
        now: Timestamp,
    ) -> Result<Option<secret_tree::Change>, Error> {
        let Some(member) = &self.member else { return Ok(None) };
        if self.policy.max_past_epochs == 0 {
            for row in member.secret_tree.rows() {
                draft.erase(RecordKind::SecretTree, secret_row_id(self.epoch(), row)?);
            }
            return Ok(None);
        }
        let change = match encrypted_by {
            Some(committer) => member.secret_tree.discard_handshakes_after(committer)?,
            None => member.secret_tree.discard_handshakes(),
        };
        draft.secret_tree_rows(self.epoch(), &change)?;
        let past = PastEpochRecord {
            context: self.public.context.clone(),
            leaf_count: self.public.tree.leaf_count(),
            own_leaf: self.own_leaf,
            ended: now.0,
        };
        let public = past.to_bytes()?;
        let sender_data = member.state.secrets.sender_data.secret();
        let value = record(public.len().saturating_add(sender_data.len()), |writer| {
            writer.raw(&public).value(sender_data);
        })?;
        draft.put(RecordKind::PastEpoch, self.epoch().to_be_bytes(), value);
        Ok(Some(change))
    }

    /// Erases past epochs, and who stood where in them.
    fn draft_forgetting(&self, draft: &mut Draft, epochs: &[u64]) -> Result<(), Error> {
        for epoch in epochs {
            draft.erase(RecordKind::PastEpoch, epoch.to_be_bytes());
            let rows = self.past.epochs.get(epoch).into_iter().flat_map(|past| past.secret_tree.rows());
            for row in rows {
                draft.erase(RecordKind::SecretTree, secret_row_id(*epoch, row)?);
            }
        }
        for (leaf, last) in self.past.members.keys().filter(|(_, last)| *last < self.oldest_kept(epochs)) {
            draft.erase(RecordKind::PastMember, past_member_id(*leaf, *last));
        }
        Ok(())
    }

    /// The oldest past epoch that is kept once these are forgotten.
    fn oldest_kept(&self, forgotten: &[u64]) -> u64 {
        let kept = self.past.epochs.keys().find(|epoch| !forgotten.contains(epoch));
        kept.copied().unwrap_or(self.epoch())
    }

    /// Keeps the resumption PSK of the epoch that ends, and drops the oldest (RFC 9420 §8.6, C178).
    fn draft_resumption_psks(&self, draft: &mut Draft) -> Result<(), Error> {
        // One place is for that of the epoch that ends.
        for epoch in self.surplus_resumption_psks(1) {
            draft.erase(RecordKind::ResumptionPsk, epoch.to_be_bytes());
        }
        if let Some(member) = self.member.as_ref().filter(|_| self.policy.max_resumption_psks > 0) {
            let secret = member.state.secrets.resumption.secret();
            let value = record(secret.len(), |writer| {
                writer.value(secret);
            })?;
            draft.put(RecordKind::ResumptionPsk, self.epoch().to_be_bytes(), value);
        }
        Ok(())
    }

    /// The oldest ones, of which there are too many when `new` come.
    fn surplus_resumption_psks(&self, new: usize) -> Vec<u64> {
        let keep = self.policy.max_resumption_psks.saturating_sub(new);
        let surplus = self.resumption_psks.len().saturating_sub(keep);
        self.resumption_psks.keys().take(surplus).copied().collect()
    }

    /// Erases what belonged to the epoch alone (C241): proposals, keys of our own updates, staged
    /// commits, and the memory of what we sent.
    fn draft_end_of_epoch(&self, draft: &mut Draft) {
        for cached in self.proposals.iter() {
            draft.erase(RecordKind::Proposal, cached.reference().0.clone());
        }
        for reference in self.own_updates.keys() {
            draft.erase(RecordKind::OwnUpdate, reference.0.clone());
        }
        for id in self.staged.keys() {
            draft.erase(RecordKind::StagedCommit, *id.as_bytes());
        }
        for id in self.own_messages.keys() {
            draft.erase(RecordKind::OwnMessage, *id.as_bytes());
        }
    }

    /// Makes the drafted epoch the current one.
    pub(super) fn enter(
        &mut self,
        (public, member, status): (PublicState, Option<Member>, Status),
        retirement: Retirement,
    ) {
        self.forget_past(&retirement.forgotten);
        let old_public = std::mem::replace(&mut self.public, public);
        let old_member = std::mem::replace(&mut self.member, member);
        self.past.members.extend(retirement.past_members);
        for epoch in self.surplus_resumption_psks(1) {
            self.resumption_psks.remove(&epoch);
        }
        if let Some(Member { state, mut secret_tree }) = old_member {
            let EpochSecrets { sender_data, resumption, .. } = state.secrets;
            let epoch = old_public.context.epoch;
            if self.policy.max_resumption_psks > 0 {
                self.resumption_psks.insert(epoch, resumption);
            }
            if let Some(change) = retirement.secret_tree {
                self.poisoned |= secret_tree.apply(change).is_err();
                let past = PastEpoch {
                    context_bytes: old_public.context_bytes,
                    own_leaf: self.own_leaf,
                    ended: retirement.ended,
                    sender_data,
                    secret_tree,
                };
                self.past.epochs.insert(epoch, past);
            }
        }
        self.status = status;
        self.own_signature_key = retirement.own_signature_key;
        self.proposals = ProposalCache::new();
        self.own_updates.clear();
        self.own_messages.clear();
        self.staged.clear();
    }

    /// Forgets past epochs in memory.
    pub(super) fn forget_past(&mut self, epochs: &[u64]) {
        let oldest = self.oldest_kept(epochs);
        self.past.epochs.retain(|epoch, _| !epochs.contains(epoch));
        self.past.members.retain(|(_, last), _| *last >= oldest);
    }

    /// Erases past epochs that are older than the policy allows, and what there is more of than it allows, between
    /// commits (C178, C188, C193).
    ///
    /// # Errors
    /// [`NotNow::Reopen`](crate::error::NotNow::Reopen).
    pub fn expire(&mut self, now: Timestamp) -> Result<crate::transition::Step<'_, ()>, Error> {
        self.check_usable()?;
        let oldest = now.0.saturating_sub(self.policy.max_past_epoch_age);
        let epochs = self.past.expired(self.policy.max_past_epochs, oldest);
        let mut draft = Draft::new(self);
        self.draft_forgetting(&mut draft, &epochs)?;
        let psks = self.surplus_resumption_psks(0);
        for epoch in &psks {
            draft.erase(RecordKind::ResumptionPsk, epoch.to_be_bytes());
        }
        draft.changes.push(Change::Forgotten { epochs, psks });
        Ok(self.step(draft, ()))
    }
}

impl Draft {
    /// The records `Epoch` and `PrivateTree`.
    pub(super) fn epoch(&mut self, public: &PublicState, member: Option<&Member>) -> Result<(), Error> {
        let head = EpochRecord {
            context: public.context.clone(),
            confirmation_tag: public.confirmation_tag.clone(),
            interim_transcript_hash: public.interim_transcript_hash.clone(),
        };
        let head = head.to_bytes()?;
        let secrets = member.map(|member| member.state.secrets.to_record()).transpose()?;
        let length = secrets.as_ref().map_or(0, |secrets| secrets.len());
        let value = record(head.len().saturating_add(length), |writer| {
            writer.raw(&head).value(&secrets);
        })?;
        self.put(RecordKind::Epoch, Vec::new(), value);
        match member {
            Some(member) => self.put(RecordKind::PrivateTree, Vec::new(), member.state.private.to_secret()?),
            None => self.erase(RecordKind::PrivateTree, Vec::new()),
        }
        Ok(())
    }

    /// The record `Group`.
    pub(super) fn group(
        &mut self,
        group: &Group,
        (own_signature_key, status): (&SignaturePublicKey, &Status),
    ) -> Result<(), Error> {
        let group = GroupRecord {
            cipher_suite: group.suite().id(),
            own_leaf: group.own_leaf,
            own_signature_key: own_signature_key.clone(),
            status: StatusRecord::of(status),
        };
        self.put(RecordKind::Group, Vec::new(), public_record(&group)?);
        Ok(())
    }

    /// The rows of a secret tree that is written for the first time.
    pub(super) fn new_secret_tree(&mut self, epoch: u64, tree: &SecretTree) -> Result<(), Error> {
        for (row, value) in tree.records()? {
            self.put(RecordKind::SecretTree, secret_row_id(epoch, row)?, value);
        }
        Ok(())
    }
}

/// The id of a `PastMember` row: the leaf, then the last epoch in which this was so.
pub(super) fn past_member_id(leaf: LeafIndex, last_epoch: u64) -> Vec<u8> {
    [&leaf.number().to_be_bytes()[..], &last_epoch.to_be_bytes()].concat()
}
