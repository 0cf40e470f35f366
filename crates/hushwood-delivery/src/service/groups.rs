//! The groups that are followed: read from the back end when they are asked for, kept in memory while there is room.

use std::ops::DerefMut;
use std::sync::Arc;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::backend::{Incarnation, Kinds, PageLimit, Reading};
use crate::service::followed::{Followed, corrupt};
use crate::service::seal::{Place, What, open};
use crate::service::{Service, ServiceSettings};
use crate::wire::{GroupKey, Refusal, TreeAnswer};

/// A group in the hand of one at a time, and how large it was when it was put here.
#[derive(Clone)]
pub(super) struct Slot {
    followed: Arc<Mutex<Followed>>,
    bytes: usize,
}

/// The name of a group with its key: who has another key finds nothing under it, and puts nothing there.
pub(super) type GroupName = [u8; 32];

/// Groups in memory, those last that nobody has asked for longest.
pub(super) type Groups = Cache<GroupName, Slot>;

/// Trees of epochs that are over, while those who were welcomed in them ask for them.
pub(super) type Trees = Cache<(GroupName, Incarnation, u64), Arc<TreeAnswer>>;

pub(super) fn groups(settings: &ServiceSettings) -> Groups {
    Cache::builder()
        .max_capacity(settings.max_followed)
        .weigher(|_, slot: &Slot| u32::try_from(slot.bytes).unwrap_or(u32::MAX))
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(settings.max_unused)
        .build()
}

pub(super) fn trees(settings: &ServiceSettings) -> Trees {
    let bytes = |tree: &Arc<TreeAnswer>| tree.ratchet_tree.len().saturating_add(1024);
    Cache::builder()
        .max_capacity(settings.max_followed.checked_div(4).unwrap_or_default())
        .weigher(move |_, tree| u32::try_from(bytes(tree)).unwrap_or(u32::MAX))
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(settings.max_unused)
        .build()
}

pub(super) fn group_name(group: &[u8], key: &GroupKey) -> GroupName {
    Sha256::new().chain_update(key.expose()).chain_update(group).finalize().into()
}

/// How far a group could be followed.
enum Caught {
    /// Up to what is there, or was asked for.
    Up,
    /// What comes next has been trimmed, or the group was erased and created anew.
    Lost,
}

impl Service {
    /// A group with its key, up to date, in the hand of one at a time.
    pub(super) async fn follow(
        &self,
        group: &[u8],
        key: &GroupKey,
    ) -> Result<OwnedMutexGuard<Followed>, Refusal> {
        let name = group_name(group, key);
        let load = async {
            let followed = self.load(group, key, None).await?;
            let bytes = followed.bytes();
            Ok::<_, Refusal>(Slot { followed: Arc::new(Mutex::new(*followed)), bytes })
        };
        let slot = self.groups.try_get_with(name, load).await;
        let slot = slot.map_err(|refusal| Refusal::clone(&refusal))?;
        let followed = slot.followed.clone().lock_owned().await;
        let (mut followed, caught) = self.catch_up(followed, None).await?;
        if matches!(caught, Caught::Lost) {
            *followed = *self.load(group, key, None).await?;
        }
        let bytes = followed.bytes();
        if bytes > slot.bytes.saturating_mul(2) {
            self.groups.insert(name, Slot { bytes, ..slot }).await;
        }
        Ok(followed)
    }

    /// A group as it was followed last, if it is in memory, without a look at the log.
    pub(super) async fn known(&self, group: &[u8], key: &GroupKey) -> Option<OwnedMutexGuard<Followed>> {
        let slot = self.groups.get(&group_name(group, key)).await?;
        Some(slot.followed.lock_owned().await)
    }

    /// The group in an epoch, or in the current one, from the back end.
    pub(super) async fn load(
        &self,
        group: &[u8],
        key: &GroupKey,
        epoch: Option<u64>,
    ) -> Result<Box<Followed>, Refusal> {
        // Whoever has another key learns it before much is read.
        let head = self.backend.head(group).await?.ok_or(NO_GROUP)?;
        let place = Place { group, incarnation: head.incarnation, epoch: head.epoch };
        open(key, (place, What::GroupInfo), &head.group_info)?;
        let snapshot = self.backend.snapshot(group, epoch.unwrap_or(u64::MAX)).await?;
        let snapshot = snapshot.ok_or(Refusal::NotFound("the group's state of that epoch"))?;
        let (id, owned_key, provider) = (group.to_vec(), key.clone(), self.provider);
        let restore = move || Followed::restore(&snapshot, (&id, owned_key), &provider);
        let followed = Box::new(self.work.run(restore).await??);
        let (followed, caught) = self.catch_up(followed, epoch).await?;
        match (caught, epoch) {
            // A snapshot is newer than whatever was trimmed, but for the moment in which another takes its place.
            (Caught::Lost, _) => Err(Refusal::TooMany(std::time::Duration::from_secs(1))),
            (Caught::Up, Some(epoch)) if followed.public().epoch() != epoch => {
                Err(Refusal::NotFound("that epoch"))
            }
            (Caught::Up, _) => Ok(followed),
        }
    }

    /// Takes what the log has since, up to an epoch if one is named.
    async fn catch_up<F>(&self, mut followed: F, until: Option<u64>) -> Result<(F, Caught), Refusal>
    where
        F: DerefMut<Target = Followed> + Send + 'static,
    {
        const PAGE: PageLimit = PageLimit { entries: 256, bytes: 16 << 20 };
        while until.is_none_or(|epoch| followed.public().epoch() < epoch) {
            let group = followed.public().group_id().to_vec();
            let reading = Reading { kinds: Kinds::Handshakes, after: followed.sequence(), slot: None };
            let page = self.backend.read(&group, reading, PAGE).await?.ok_or(NO_GROUP)?;
            if page.incarnation != followed.incarnation()
                || page.first > followed.sequence().saturating_add(1)
            {
                return Ok((followed, Caught::Lost));
            }
            if page.entries.is_empty() {
                followed.see_log(page.bytes, page.newest);
                break;
            }
            let take = move || {
                let mut entries = page.entries.iter();
                let taken = entries.try_for_each(|entry| {
                    match until.is_some_and(|epoch| followed.public().epoch() >= epoch) {
                        true => Ok(()),
                        false => followed.take(entry),
                    }
                });
                (followed, taken)
            };
            let taken;
            (followed, taken) = self.work.run(take).await?;
            taken?;
        }
        Ok((followed, Caught::Up))
    }
}

impl Followed {
    /// The group's name with its key.
    pub(super) fn name(&self) -> GroupName {
        group_name(self.public().group_id(), self.key())
    }

    /// Its tree, for those who join.
    pub(super) fn tree(&self) -> Result<TreeAnswer, Refusal> {
        let ratchet_tree = self.public().tree().to_extension().map_err(|_| corrupt("a tree"))?;
        Ok(TreeAnswer { epoch: self.public().epoch(), sequence: self.commit(), ratchet_tree })
    }
}

pub(super) const NO_GROUP: Refusal = Refusal::NotFound("a group of this id");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{
        Backend, Created, Incarnation, NewGroup, RequestId, Seconds, SqliteBackend, SqliteSettings,
    };
    use crate::service::seal::seal;

    /// Whoever tries keys, or asks for groups that are not there, takes no room from those who have one.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_open_is_not_remembered() {
        let folder = tempfile::TempDir::new().unwrap();
        let backend = SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap();
        let (key, incarnation) = (GroupKey::new([1; 32]), Incarnation([2; 16]));
        let place = Place { group: b"tea", incarnation, epoch: 0 };
        let group = NewGroup {
            group: b"tea".to_vec(),
            incarnation,
            request: RequestId([0; 32]),
            epoch: 0,
            snapshot: b"nothing".to_vec(),
            group_info: seal(&key, (place, What::GroupInfo), b"info").unwrap(),
            at: Seconds(0),
        };
        assert_eq!(backend.create_group(group).await, Ok(Created::Created));
        let service = Service::new(Arc::new(backend), ServiceSettings::new("test")).await.unwrap();
        for number in 0..50 {
            let other = GroupKey::new([number; 32]);
            let refusal = service.follow(b"tea", &other).await.err();
            assert!(matches!(refusal, Some(Refusal::Forbidden(_))), "{refusal:?}");
            assert_eq!(service.follow(&[number], &key).await.err(), Some(NO_GROUP));
        }
        service.groups.run_pending_tasks().await;
        assert_eq!(service.groups.entry_count(), 0);
    }
}
