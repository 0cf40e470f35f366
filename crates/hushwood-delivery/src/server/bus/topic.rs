//! One group, those who wait for it here, and the newest of its log.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;

use super::{Hub, locked};
use crate::backend::Incarnation;
use crate::wire::EntryKind;

/// What has happened for one connection and was not looked at yet. It does not grow: a mark for each subscription.
#[derive(Default)]
pub(in crate::server) struct Mailbox {
    marks: Mutex<Marks>,
    changed: Notify,
}

/// What a mailbox had.
#[derive(Default)]
pub(in crate::server) struct Marks {
    pub(in crate::server) moved: BTreeSet<u32>,
    pub(in crate::server) inbox: bool,
}

impl Mailbox {
    fn mark(&self, number: u32) {
        locked(&self.marks).moved.insert(number);
        self.changed.notify_one();
    }

    pub(super) fn mark_inbox(&self) {
        locked(&self.marks).inbox = true;
        self.changed.notify_one();
    }

    /// Takes the marks out.
    pub(in crate::server) fn take(&self) -> Marks {
        std::mem::take(&mut locked(&self.marks))
    }

    /// Waits until there is a mark. There may be none all the same.
    pub(in crate::server) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// An entry as it is sent to all who may read it: encoded once.
#[derive(Clone)]
pub(in crate::server) struct EncodedEntry {
    pub(in crate::server) sequence: u64,
    pub(in crate::server) kind: EntryKind,
    pub(in crate::server) bytes: Arc<[u8]>,
}

/// One group.
#[derive(Default)]
pub(in crate::server) struct Topic {
    head: AtomicU64,
    next: AtomicU64,
    readers: Mutex<HashMap<u64, (Weak<Mailbox>, u32)>>,
    newest: Mutex<Newest>,
    /// Who reads the log for all.
    pub(in crate::server) reading: tokio::sync::Mutex<()>,
}

/// The end of a log, without gaps.
#[derive(Default)]
struct Newest {
    /// Which life of the group it is of: one that was erased and made anew has another log.
    life: Option<Incarnation>,
    entries: VecDeque<EncodedEntry>,
    bytes: usize,
}

/// How much of a log's end is kept in memory while somebody waits for more.
const MOST_BYTES: usize = 256 << 10;

impl Topic {
    /// The log goes as far as this number, as far as is known here.
    pub(in crate::server) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Somebody has looked: in this life of the group the log goes as far as this number.
    pub(in crate::server) fn begin(&self, life: Incarnation, head: u64) {
        let mut newest = locked(&self.newest);
        if newest.life.is_some_and(|known| known != life) {
            self.head.store(0, Ordering::Release);
            *newest = Newest::default();
        }
        newest.life = Some(life);
        drop(newest);
        self.wake(head);
    }

    pub(in crate::server) fn wake(&self, head: u64) {
        if self.head.fetch_max(head, Ordering::AcqRel) >= head {
            return;
        }
        for (mailbox, number) in locked(&self.readers).values() {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.mark(*number);
            }
        }
    }

    pub(super) fn add(&self, mailbox: &Arc<Mailbox>, number: u32) -> u64 {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        locked(&self.readers).insert(key, (Arc::downgrade(mailbox), number));
        key
    }

    /// Gives whether it was the last.
    pub(super) fn remove(&self, key: u64) -> bool {
        let mut readers = locked(&self.readers);
        readers.remove(&key);
        readers.is_empty()
    }

    /// Entries after a number, if they are at hand: some, but not more than so many bytes where that is more than one.
    pub(in crate::server) fn after(
        &self,
        life: Incarnation,
        sequence: u64,
        most_bytes: usize,
    ) -> Vec<EncodedEntry> {
        let newest = locked(&self.newest);
        if newest.life != Some(life) {
            return Vec::new();
        }
        let first = newest.entries.front().map_or(u64::MAX, |entry| entry.sequence);
        if sequence.saturating_add(1) < first {
            return Vec::new();
        }
        let mut bytes = 0_usize;
        let behind = newest.entries.iter().skip_while(|entry| entry.sequence <= sequence);
        let fitting = behind.take_while(|entry| {
            let before = bytes;
            bytes = bytes.saturating_add(entry.bytes.len());
            before == 0 || bytes <= most_bytes
        });
        fitting.cloned().collect()
    }

    /// Keeps entries that were read, if they go on from what is there, or nothing is there.
    pub(in crate::server) fn keep(&self, life: Incarnation, entries: &[EncodedEntry]) {
        let mut newest = locked(&self.newest);
        if newest.life != Some(life) {
            return;
        }
        for entry in entries {
            let last = newest.entries.back().map(|last| last.sequence);
            match last {
                Some(last) if entry.sequence <= last => continue,
                Some(last) if entry.sequence != last.saturating_add(1) => {
                    // Somebody was far behind and has come past the end, or the log was trimmed.
                    *newest = Newest { life: Some(life), ..Newest::default() };
                }
                Some(_) | None => {}
            }
            newest.bytes = newest.bytes.saturating_add(entry.bytes.len());
            newest.entries.push_back(entry.clone());
        }
        while newest.bytes > MOST_BYTES && newest.entries.len() > 1 {
            if let Some(first) = newest.entries.pop_front() {
                newest.bytes = newest.bytes.saturating_sub(first.bytes.len());
            }
        }
    }
}

/// That somebody waits for a group. It ends when this is dropped.
pub(in crate::server) struct Subscription {
    hub: Arc<Hub>,
    group_id: Vec<u8>,
    topic: Arc<Topic>,
    key: u64,
}

impl Subscription {
    pub(super) fn new(hub: Arc<Hub>, group_id: Vec<u8>, topic: Arc<Topic>, key: u64) -> Self {
        Self { hub, group_id, topic, key }
    }

    pub(in crate::server) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.group_id, &self.topic, self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Wake;
    use super::*;

    fn entry(sequence: u64, size: usize) -> EncodedEntry {
        EncodedEntry { sequence, kind: EntryKind::Message, bytes: vec![0; size].into() }
    }

    const LIFE: Incarnation = Incarnation([1; 16]);

    fn numbers(entries: &[EncodedEntry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn the_end_of_a_log_is_kept_without_gaps_and_within_bounds() {
        let topic = Topic::default();
        topic.begin(LIFE, 5);
        assert!(topic.after(LIFE, 0, 1000).is_empty());
        topic.keep(LIFE, &[entry(3, 10), entry(4, 10)]);
        topic.keep(LIFE, &[entry(4, 10), entry(5, 10)]);
        assert_eq!(numbers(&topic.after(LIFE, 2, 1000)), [3, 4, 5]);
        assert_eq!(numbers(&topic.after(LIFE, 3, 15)), [4], "what fits");
        assert_eq!(numbers(&topic.after(LIFE, 3, 5)), [4], "but one in any case");
        assert!(topic.after(LIFE, 1, 1000).is_empty(), "2 is not there");
        assert!(topic.after(LIFE, 5, 1000).is_empty());
        topic.keep(LIFE, &[entry(9, 10)]);
        assert!(topic.after(LIFE, 3, 1000).is_empty());
        assert_eq!(numbers(&topic.after(LIFE, 8, 1000)), [9]);
        topic.keep(LIFE, &(10..40).map(|sequence| entry(sequence, 100 << 10)).collect::<Vec<_>>());
        assert_eq!(numbers(&topic.after(LIFE, 37, usize::MAX)), [38, 39]);
        assert!(topic.after(LIFE, 30, usize::MAX).is_empty());
    }

    #[test]
    fn a_group_that_was_made_anew_has_nothing_of_its_old_log() {
        let topic = Topic::default();
        topic.begin(LIFE, 4);
        topic.keep(LIFE, &[entry(3, 10), entry(4, 10)]);
        let other = Incarnation([2; 16]);
        topic.begin(other, 1);
        assert_eq!(topic.head(), 1);
        assert!(topic.after(other, 2, 1000).is_empty() && topic.after(LIFE, 2, 1000).is_empty());
        topic.keep(LIFE, &[entry(5, 10)]);
        topic.keep(other, &[entry(1, 10)]);
        assert_eq!(numbers(&topic.after(other, 0, 1000)), [1]);
    }

    #[test]
    fn hints_come_together_in_one_mark_and_a_topic_goes_with_its_last_reader() {
        let hub = Arc::new(Hub::default());
        let mailbox = Arc::new(Mailbox::default());
        let group = |head| Wake::Group { group_id: b"group".to_vec(), head };
        hub.wake(&group(1));
        let subscription = hub.subscribe(b"group", (&mailbox, 7));
        (2..100).for_each(|head| hub.wake(&group(head)));
        assert_eq!(mailbox.take().moved.into_iter().collect::<Vec<_>>(), [7]);
        assert_eq!(subscription.topic().head(), 99);
        hub.wake(&group(50));
        assert!(mailbox.take().moved.is_empty(), "nothing new");
        assert_eq!(hub.watched_groups(), [b"group".to_vec()]);
        drop(subscription);
        assert!(hub.watched_groups().is_empty());
    }
}
