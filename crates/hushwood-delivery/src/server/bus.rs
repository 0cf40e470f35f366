//! Wake-ups: that a log has grown or an inbox has something, told to those who are connected.
//!
//! They are hints and nothing depends on them: one that is lost is made up for by the next, or by who asks. What somebody has
//! not taken yet is one mark for each subscription, however many hints there were.

#[cfg(feature = "postgres")]
mod postgres;
mod topic;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::iter;

use crate::backend::{Backend, PageLimit};
use crate::service::Device;

#[cfg(feature = "postgres")]
pub use postgres::PostgresBus;
pub(super) use topic::{EncodedEntry, Mailbox, Subscription, Topic};

/// Something has happened that somebody may wait for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wake {
    /// The log of a group has grown.
    Group {
        /// The group.
        group_id: Vec<u8>,
        /// The number of an entry that is there now.
        head: u64,
    },
    /// Something waits in a device's inbox.
    Inbox(Device),
}

/// Between the nodes of one service.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Tells the other nodes what has happened at this one. It does not wait; what is too much is lost.
    fn tell(&self, wake: &Wake);

    /// Wakes those who are connected here by what happens elsewhere, until it is dropped.
    async fn listen(&self, hub: &Hub);
}

/// The bus of a service of one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl Bus for Alone {
    fn tell(&self, _: &Wake) {}

    async fn listen(&self, _: &Hub) {
        std::future::pending().await
    }
}

/// A bus without messages: the back end is asked, again and again, for the groups and inboxes that somebody waits for here.
pub struct Polling {
    backend: Arc<dyn Backend>,
    every: Duration,
    /// The oldest Welcome of each inbox that was told of.
    told: Mutex<HashMap<Device, [u8; 32]>>,
}

impl Polling {
    /// Asks in this rhythm.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, every: Duration) -> Self {
        Self { backend, every, told: Mutex::default() }
    }

    /// Asks once, for everything that somebody waits for here: also for who has missed hints of another kind.
    pub async fn ask(&self, hub: &Hub) {
        /// So much is asked at the same time.
        const AT_ONCE: usize = 4;
        let groups = iter(hub.watched_groups());
        groups.for_each_concurrent(AT_ONCE, |group_id| self.ask_group(hub, group_id)).await;
        let devices = iter(hub.watched_devices());
        let told = devices.map(|device| self.ask_inbox(hub, device)).buffer_unordered(AT_ONCE);
        let told: HashMap<_, _> = told.filter_map(std::future::ready).collect().await;
        *locked(&self.told) = told;
    }

    async fn ask_group(&self, hub: &Hub, group_id: Vec<u8>) {
        // Whoever can't be asked is asked again.
        if let Ok(Some(head)) = self.backend.head(&group_id).await {
            hub.wake(&Wake::Group { group_id, head: head.sequence });
        }
    }

    /// Gives the oldest of what waits.
    async fn ask_inbox(&self, hub: &Hub, device: Device) -> Option<(Device, [u8; 32])> {
        const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };
        let waiting = self.backend.inbox(device.account, device.device, (None, ONE)).await.ok()?;
        let oldest = waiting.first()?.id;
        if locked(&self.told).get(&device) != Some(&oldest) {
            hub.wake(&Wake::Inbox(device));
        }
        Some((device, oldest))
    }
}

#[async_trait]
impl Bus for Polling {
    fn tell(&self, _: &Wake) {}

    async fn listen(&self, hub: &Hub) {
        loop {
            tokio::time::sleep(self.every).await;
            self.ask(hub).await;
        }
    }
}

/// Who waits for what at this node.
#[derive(Default)]
pub struct Hub {
    groups: Mutex<HashMap<Vec<u8>, Arc<Topic>>>,
    devices: Mutex<HashMap<Device, Vec<Weak<Mailbox>>>>,
}

impl Hub {
    /// Wakes those who wait for this. What they know already wakes nobody.
    pub fn wake(&self, wake: &Wake) {
        match wake {
            Wake::Group { group_id, head } => {
                let topic = locked(&self.groups).get(group_id).cloned();
                if let Some(topic) = topic {
                    topic.wake(*head);
                }
            }
            Wake::Inbox(device) => {
                let devices = locked(&self.devices);
                let mailboxes = devices.get(device).into_iter().flatten();
                mailboxes.filter_map(Weak::upgrade).for_each(|mailbox| mailbox.mark_inbox());
            }
        }
    }

    /// Groups that somebody waits for here.
    #[must_use]
    pub fn watched_groups(&self) -> Vec<Vec<u8>> {
        locked(&self.groups).keys().cloned().collect()
    }

    /// Devices that wait for something in their inboxes here.
    #[must_use]
    pub fn watched_devices(&self) -> Vec<Device> {
        locked(&self.devices).keys().copied().collect()
    }

    /// From now on the mailbox is marked when the group's log grows, until the subscription is dropped.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        group_id: &[u8],
        (mailbox, number): (&Arc<Mailbox>, u32),
    ) -> Subscription {
        let mut groups = locked(&self.groups);
        let topic = groups.entry(group_id.to_vec()).or_default().clone();
        let key = topic.add(mailbox, number);
        drop(groups);
        Subscription::new(self.clone(), group_id.to_vec(), topic, key)
    }

    /// A subscription has gone: without others its topic goes, too.
    pub(super) fn unsubscribe(&self, group_id: &[u8], topic: &Topic, key: u64) {
        let mut groups = locked(&self.groups);
        if topic.remove(key) {
            groups.remove(group_id);
        }
    }

    /// From now on the mailbox is marked when something comes for the device.
    pub(super) fn watch(&self, device: Device, mailbox: &Arc<Mailbox>) {
        let mut devices = locked(&self.devices);
        let mailboxes = devices.entry(device).or_default();
        mailboxes.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&Arc::downgrade(mailbox)));
        mailboxes.push(Arc::downgrade(mailbox));
    }

    /// No longer.
    pub(super) fn unwatch(&self, device: Device, mailbox: &Arc<Mailbox>) {
        let mut devices = locked(&self.devices);
        if let Some(mailboxes) = devices.get_mut(&device) {
            mailboxes.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&Arc::downgrade(mailbox)));
            if mailboxes.is_empty() {
                devices.remove(&device);
            }
        }
    }
}

/// Nothing is left half done under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
