//! A group that comes into a store as a whole: created, joined, or grown out of another.

use std::collections::BTreeMap;

use hushwood_crypto::Random;

use crate::commit::state::PublicState;
use crate::error::Error;
use crate::group::change::Draft;
use crate::group::past::Past;
use crate::group::record::public_record;
use crate::group::{Group, Member, Status};
use crate::policy::Policy;
use crate::proposal::ProposalCache;
use crate::transition::{InstanceId, RecordKey, RecordKind, WriteSet};
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
        let group = Group {
            instance,
            // The write moves the instance from nothing to its first version.
            version: 0,
            policy: self.policy,
            status: Status::Active,
            public: self.public,
            own_leaf: self.own_leaf,
            member: Some(self.member),
            proposals: ProposalCache::default(),
            own_updates: BTreeMap::new(),
            own_messages: BTreeMap::new(),
            staged: BTreeMap::new(),
            past: Past::default(),
            resumption_psks: BTreeMap::new(),
            poisoned: false,
        };
        let mut draft = Draft::new(&group);
        draft.group(group.suite().id(), group.own_leaf, &group.status)?;
        draft.policy(group.policy.clone())?;
        draft.epoch(&group.public, group.member.as_ref())?;
        draft.whole_tree(&group.public.tree)?;
        if let Some(member) = &group.member {
            draft.new_secret_tree(group.epoch(), &member.secret_tree)?;
        }
        let mut writes = draft.writes;
        let current = RecordKey::new(InstanceId::CLIENT, RecordKind::GroupInstance, group.group_id());
        writes.put(current, public_record(instance.as_bytes())?);
        Ok((Group { version: 1, ..group }, writes))
    }
}
