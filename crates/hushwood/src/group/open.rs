//! A group read back from its store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuite, CryptoProvider, HashReference, Secret};

use crate::commit::state::{MemberState, PublicState};
use crate::error::{ApiMisuse, Error, NotNow, StoreReadError, Unsupported};
use crate::group::change::EpochPrefix;
use crate::group::message_id::MessageId;
use crate::group::past::{Past, PastEpoch};
use crate::group::record::{
    EpochRecord, GroupRecord, OwnMessageRecord, PastEpochRecord, PastMemberRecord, ProposalRecord,
    StatusRecord, read, read_value,
};
use crate::group::staged::OwnCommit;
use crate::group::tree_rows::stored_tree;
use crate::group::{Group, Member};
use crate::policy::Policy;
use crate::proposal::{ProposalCache, Purpose};
use crate::schedule::{EpochSecrets, ResumptionPsk, SenderDataSecret};
use crate::secret_tree::{SecretTree, SecretTreeRow, Usage};
use crate::transition::{InstanceId, RecordKey, RecordKind, Records};
use crate::tree::{KeyPair, LeafIndex, PrivateTree};

/// The rows of a group's secret trees, by epoch.
type SecretTreeRows = BTreeMap<u64, Vec<(SecretTreeRow, Secret)>>;

impl Group {
    /// Reads a group back. If somebody writes it meanwhile, it is read again.
    ///
    /// Of the tree nothing is read but its root: a member's leaf, or the nodes on a path, are read when they
    /// are needed. If another process has changed the group since, whatever needs them then fails with
    /// [`NotNow::Stale`].
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`] if there is no such group; [`Error::StoreRead`];
    /// [`Unsupported::CipherSuite`] if the provider lacks its suite; [`NotNow::Stale`] if others keep
    /// writing it.
    pub fn open(store: &dyn Records, provider: &CryptoProvider, instance: InstanceId) -> Result<Self, Error> {
        for _ in 0..ATTEMPTS {
            let version = store.version(instance)?;
            let group = Self::read(store, provider, (instance, version));
            // Rows of two versions make no group: only a read between which nothing was written counts.
            if store.version(instance)? == version {
                return group;
            }
        }
        Err(NotNow::Stale.into())
    }

    /// The current instance of a group, if this client has one.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn instance_of(store: &dyn Records, group_id: &[u8]) -> Result<Option<InstanceId>, Error> {
        let key = RecordKey::new(InstanceId::CLIENT, RecordKind::GroupInstance, group_id);
        let value = store.get(&key)?;
        value.map(|value| read_value::<[u8; 16]>(&value).map(InstanceId::new)).transpose()
    }

    /// All groups of this client: their ids and current instances.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn list(store: &dyn Records) -> Result<Vec<(Vec<u8>, InstanceId)>, Error> {
        let rows = store.list(InstanceId::CLIENT, RecordKind::GroupInstance)?;
        let group =
            |(id, value): (Vec<u8>, Secret)| Ok((id, InstanceId::new(read_value::<[u8; 16]>(&value)?)));
        rows.into_iter().map(group).collect()
    }

    /// States of groups that others have replaced, with the groups' ids: this client was removed and came back,
    /// joined again after its state was lost, or reinitialised a group under its id.
    ///
    /// They can be opened to read what comes late. Their secrets stay in the store until
    /// [`forget`](Self::forget).
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn superseded(store: &dyn Records) -> Result<Vec<(Vec<u8>, InstanceId)>, Error> {
        let rows = store.list(InstanceId::CLIENT, RecordKind::Superseded)?;
        let group = |(id, value): (Vec<u8>, Secret)| {
            let instance = <[u8; 16]>::from_bytes(&id).map_err(|_| StoreReadError::Corrupt)?;
            Ok((read_value::<Vec<u8>>(&value)?, InstanceId::new(instance)))
        };
        rows.into_iter().map(group).collect()
    }

    fn read(
        store: &dyn Records,
        provider: &CryptoProvider,
        (instance, version): (InstanceId, u64),
    ) -> Result<Self, Error> {
        let mut rows = Rows::read(store, instance)?;
        let Some(group) = rows.optional(RecordKind::Group) else {
            return Err(ApiMisuse::NoSuchRecord.into());
        };
        let group: GroupRecord = read_value(&group)?;
        let suite = provider.suite(group.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        let policy: Policy = read_value(&rows.required(RecordKind::Policy)?)?;
        let mut secret_tree_rows = rows.secret_tree_rows()?;
        let (epoch, secrets) = read_epoch(suite, &rows.required(RecordKind::Epoch)?)?;
        let version = Arc::new(AtomicU64::new(version));
        let summary = rows.required(RecordKind::TreeSummary)?;
        let tree = stored_tree(store, suite, (instance, version.clone()), &summary)?;
        // The tree proves itself node by node, from here down.
        if tree.tree_hash()?.as_bytes() != epoch.context.tree_hash {
            return Err(StoreReadError::Corrupt.into());
        }
        let number = epoch.context.epoch;
        let public =
            PublicState::new(epoch.context, tree, epoch.confirmation_tag, epoch.interim_transcript_hash)?;
        let member = match secrets {
            Some(secrets) => {
                let private = PrivateTree::from_secret(&rows.required(RecordKind::PrivateTree)?)?;
                let rows = secret_tree_rows.remove(&number).unwrap_or_default();
                let leaves = public.tree.leaf_count();
                let secret_tree = SecretTree::from_rows(suite, leaves, Usage::Current, rows)?;
                Some(Member { state: MemberState { private, secrets }, secret_tree })
            }
            None => None,
        };
        let past = rows.past(suite, secret_tree_rows)?;
        let proposals = rows.proposals()?;
        let mut opened = Self {
            instance,
            version,
            policy,
            status: group.status.into(),
            public,
            own_leaf: group.own_leaf,
            own_signature_key: group.own_signature_key,
            member,
            proposals,
            own_updates: rows.own_updates()?,
            own_messages: rows.own_messages()?,
            staged: BTreeMap::new(),
            past,
            resumption_psks: rows.resumption_psks()?,
            purpose: Purpose::Epoch,
            poisoned: false,
        };
        for (id, value) in rows.list(RecordKind::StagedCommit) {
            let id = MessageId::read(&id).ok_or(StoreReadError::Corrupt)?;
            let commit = OwnCommit::from_record(&opened, &value)?;
            opened.staged.insert(id, commit);
        }
        Ok(opened)
    }
}

const ATTEMPTS: usize = 16;

/// The rows of one group that are read when it is opened, each to be taken once.
struct Rows(BTreeMap<RecordKind, Vec<(Vec<u8>, Secret)>>);

/// All kinds but the tree's nodes and keys, and messages.
const OPENED: [RecordKind; 13] = [
    RecordKind::Group,
    RecordKind::Policy,
    RecordKind::Epoch,
    RecordKind::TreeSummary,
    RecordKind::PrivateTree,
    RecordKind::SecretTree,
    RecordKind::PastEpoch,
    RecordKind::PastMember,
    RecordKind::ResumptionPsk,
    RecordKind::Proposal,
    RecordKind::OwnUpdate,
    RecordKind::StagedCommit,
    RecordKind::OwnMessage,
];

impl Rows {
    fn read(store: &dyn Records, instance: InstanceId) -> Result<Self, Error> {
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (kind, id, value) in store.list_all(instance, &OPENED)? {
            rows.entry(kind).or_default().push((id, value));
        }
        Ok(Self(rows))
    }

    fn list(&mut self, kind: RecordKind) -> Vec<(Vec<u8>, Secret)> {
        self.0.remove(&kind).unwrap_or_default()
    }

    /// The row of a kind of which there is one.
    fn optional(&mut self, kind: RecordKind) -> Option<Secret> {
        self.list(kind).into_iter().find(|(id, _)| id.is_empty()).map(|(_, value)| value)
    }

    fn required(&mut self, kind: RecordKind) -> Result<Secret, Error> {
        self.optional(kind).ok_or(StoreReadError::Missing.into())
    }

    /// All rows of a kind, with ids of the form that `T` decodes.
    fn all<T: Decode>(&mut self, kind: RecordKind) -> Result<Vec<(T, Secret)>, Error> {
        let rows = self.list(kind);
        let row = |(id, value): (Vec<u8>, Secret)| match T::from_bytes(&id) {
            Ok(id) => Ok((id, value)),
            Err(_) => Err(StoreReadError::Corrupt.into()),
        };
        rows.into_iter().map(row).collect()
    }

    fn secret_tree_rows(&mut self) -> Result<SecretTreeRows, Error> {
        let mut by_epoch = SecretTreeRows::new();
        for (EpochPrefix { epoch, row }, value) in self.all(RecordKind::SecretTree)? {
            by_epoch.entry(epoch).or_default().push((row, value));
        }
        Ok(by_epoch)
    }

    fn past(&mut self, suite: &'static dyn CipherSuite, mut rows: SecretTreeRows) -> Result<Past, Error> {
        let mut past = Past::default();
        for (epoch, value) in self.all::<u64>(RecordKind::PastEpoch)? {
            let (record, sender_data) = read(&value, |reader| {
                Ok((PastEpochRecord::decode(reader)?, Secret::copy_of(reader.opaque()?)))
            })?;
            let tree_rows = rows.remove(&epoch).unwrap_or_default();
            let secret_tree = SecretTree::from_rows(suite, record.leaf_count, Usage::Past, tree_rows)?;
            let context_bytes = record.context.to_bytes()?;
            let past_epoch = PastEpoch {
                context_bytes,
                own_leaf: record.own_leaf,
                ended: record.ended,
                sender_data: SenderDataSecret::new(sender_data),
                secret_tree,
            };
            past.epochs.insert(epoch, past_epoch);
        }
        for (id, value) in self.all::<PastMemberId>(RecordKind::PastMember)? {
            let record: PastMemberRecord = read_value(&value)?;
            past.members.insert((id.leaf, id.last_epoch), record.member);
        }
        Ok(past)
    }

    fn proposals(&mut self) -> Result<ProposalCache, Error> {
        let mut rows = Vec::new();
        for (_, value) in self.list(RecordKind::Proposal) {
            rows.push(read_value::<ProposalRecord>(&value)?);
        }
        rows.sort_by_key(|record| record.position);
        let mut cache = ProposalCache::new();
        for record in rows {
            cache.restore(record.proposal);
        }
        Ok(cache)
    }

    fn own_updates(&mut self) -> Result<BTreeMap<HashReference, KeyPair>, Error> {
        let rows = self.list(RecordKind::OwnUpdate);
        let row = |(id, value): (Vec<u8>, Secret)| {
            let keys = read(&value, KeyPair::decode)?;
            Ok((HashReference(id), keys))
        };
        rows.into_iter().map(row).collect()
    }

    fn own_messages(&mut self) -> Result<BTreeMap<MessageId, OwnMessageRecord>, Error> {
        let rows = self.all::<[u8; 16]>(RecordKind::OwnMessage)?;
        rows.into_iter().map(|(id, value)| Ok((MessageId::new(id), read_value(&value)?))).collect()
    }

    fn resumption_psks(&mut self) -> Result<BTreeMap<u64, ResumptionPsk>, Error> {
        let rows = self.all::<u64>(RecordKind::ResumptionPsk)?;
        let row = |(epoch, value): (u64, Secret)| {
            let secret = read(&value, |reader| Ok(Secret::copy_of(reader.opaque()?)))?;
            Ok((epoch, ResumptionPsk::new(secret)))
        };
        rows.into_iter().map(row).collect()
    }
}

hushwood_codec::wire_struct! {
    /// The id of a `PastMember` row.
    struct PastMemberId {
        leaf: LeafIndex,
        last_epoch: u64,
    }
}

/// The record `Epoch`: its public part, and the secrets unless this client was removed.
fn read_epoch(
    suite: &'static dyn CipherSuite,
    value: &Secret,
) -> Result<(EpochRecord, Option<EpochSecrets>), Error> {
    let (head, secrets) = read(value, |reader| {
        let head = EpochRecord::decode(reader)?;
        let secrets = match u8::decode(reader)? {
            0 => None,
            _ => Some(Secret::copy_of(reader.opaque()?)),
        };
        Ok((head, secrets))
    })?;
    let secrets = secrets.map(|secrets| EpochSecrets::from_record(suite, &secrets)).transpose()?;
    Ok((head, secrets))
}

/// The record of a kind of which there is one.
fn single(store: &dyn Records, instance: InstanceId, kind: RecordKind) -> Result<Option<Secret>, Error> {
    Ok(store.get(&RecordKey::new(instance, kind, Vec::new()))?)
}

/// The resumption PSK of a group's current epoch, if that is the epoch asked for.
pub(super) fn current_resumption_psk(
    store: &dyn Records,
    instance: InstanceId,
    epoch: u64,
) -> Result<Option<Secret>, Error> {
    let Some(value) = single(store, instance, RecordKind::Epoch)? else { return Ok(None) };
    read(&value, |reader| {
        let head = EpochRecord::decode(reader)?;
        let secrets = match u8::decode(reader)? {
            0 => None,
            _ => Some(reader.opaque()?),
        };
        let secrets = secrets.filter(|_| head.context.epoch == epoch);
        secrets.map(EpochSecrets::resumption_in_record).transpose()
    })
}

/// Whether a group is one that we are in, rather than one that has ended.
pub(super) fn is_active(store: &dyn Records, instance: InstanceId) -> Result<bool, Error> {
    let Some(value) = single(store, instance, RecordKind::Group)? else { return Ok(false) };
    let group: GroupRecord = read_value(&value)?;
    Ok(matches!(group.status, StatusRecord::Active))
}
