//! A group that comes into a store as a whole: created, joined, or grown out of another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hushwood_crypto::{HashReference, Random};

use crate::commit::state::PublicState;
use crate::error::Error;
use crate::group::application::Outgoing;
use crate::group::change::Draft;
use crate::group::message_id::MessageId;
use crate::group::past::Past;
use crate::group::record::{OwnMessageRecord, public_record, record};
use crate::group::staged::{EpochChange, OwnCommit};
use crate::group::{Group, Member, Status};
use crate::policy::Policy;
use crate::proposal::{ProposalCache, Purpose};
use crate::transition::{InstanceId, RecordKey, RecordKind, Records, WriteSet};
use crate::tree::LeafIndex;

/// A state to be written for the first time.
pub(crate) struct NewState {
    pub(crate) policy: Policy,
    pub(crate) public: PublicState,
    pub(crate) own_leaf: LeafIndex,
    pub(crate) member: Member,
}

impl NewState {
    /// The group under a fresh local name, and all its rows. It becomes the current one of its id.
    pub(crate) fn into_group(self, random: &mut dyn Random) -> Result<(Group, WriteSet), Error> {
        let instance = InstanceId::new(random.array()?);
        let own = self.public.tree.leaf(self.own_leaf)?.ok_or(Error::Bug("a group without its member"))?;
        let group = Group {
            instance,
            // The write moves the instance from nothing to its first version.
            version: Arc::default(),
            policy: self.policy,
            status: Status::Active,
            public: self.public,
            own_leaf: self.own_leaf,
            own_signature_key: own.signature_key,
            member: Some(self.member),
            proposals: ProposalCache::default(),
            own_updates: BTreeMap::new(),
            own_messages: BTreeMap::new(),
            staged: BTreeMap::new(),
            past: Past::default(),
            resumption_psks: BTreeMap::new(),
            purpose: Purpose::Epoch,
            poisoned: false,
        };
        let mut draft = Draft::new(&group);
        draft.group(&group, (&group.own_signature_key, &group.status))?;
        draft.policy(group.policy.clone())?;
        draft.epoch(&group.public, group.member.as_ref())?;
        draft.whole_tree(&group.public.tree)?;
        if let Some(member) = &group.member {
            draft.new_secret_tree(group.epoch(), &member.secret_tree)?;
        }
        let mut writes = draft.writes;
        let current = RecordKey::new(InstanceId::CLIENT, RecordKind::GroupInstance, group.group_id());
        writes.put(current, public_record(instance.as_bytes())?);
        group.version.store(1, Ordering::Relaxed);
        Ok((group, writes))
    }
}

/// Notes that the state which has been current for a group is about to be replaced: its secrets do not go by
/// themselves, and nobody would find it any more.
pub(super) fn supersede(store: &dyn Records, writes: &mut WriteSet, group_id: &[u8]) -> Result<(), Error> {
    if let Some(old) = Group::instance_of(store, group_id)? {
        writes.put(superseded_key(old), public_record(&group_id.to_vec())?);
    }
    Ok(())
}

/// The row that says so.
pub(super) fn superseded_key(instance: InstanceId) -> RecordKey {
    RecordKey::new(InstanceId::CLIENT, RecordKind::Superseded, *instance.as_bytes())
}

impl Group {
    /// Remembers a handshake message of ours in a group that is being written for the first time.
    pub(super) fn remember_own_message(
        &mut self,
        writes: &mut WriteSet,
        id: MessageId,
        reference: HashReference,
    ) -> Result<(), Error> {
        let own = OwnMessageRecord { reference, welcomed: Vec::new() };
        let key = RecordKey::new(self.instance, RecordKind::OwnMessage, *id.as_bytes());
        writes.put(key, public_record(&own)?);
        self.own_messages.insert(id, own);
        Ok(())
    }
}

impl OwnCommit {
    /// The group that begins with this commit, all written at once, with the Welcomes to be sent.
    pub(super) fn into_first_epoch(
        self,
        policy: Policy,
        random: &mut dyn Random,
    ) -> Result<(Group, EpochChange, WriteSet), Error> {
        let Self { public, member, welcomes, mut change, .. } = self;
        let own_leaf = change.committer;
        let (group, mut writes) = NewState { policy, public, own_leaf, member }.into_group(random)?;
        for message in welcomes {
            let id = MessageId::of(group.suite(), &message);
            let outbox = record(message.len(), |writer| {
                writer.opaque(&message);
            })?;
            writes.put(RecordKey::new(group.instance, RecordKind::Outbox, *id.as_bytes()), outbox);
            change.welcomes.push(Outgoing { id, message });
        }
        Ok((group, change, writes))
    }
}
