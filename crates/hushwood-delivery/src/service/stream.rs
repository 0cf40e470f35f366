//! Readers who stay: a log as it grows, to those who may read it as long as they may.

use std::fmt;

use hushwood::tree::LeafIndex;

use crate::backend::{Cursor, Incarnation, Kinds, PageLimit, Reading, SlotId};
use crate::service::Service;
use crate::service::admission::member_key;
use crate::service::followed::Followed;
use crate::service::groups::NO_GROUP;
use crate::service::reading::{AGAIN, opened, slot};
use crate::wire::{EntryKind, GroupKey, LogEntry, Refusal, Subscribe};

/// Somebody who has shown that they are a member of a group, or were, and reads on.
///
/// The proof is looked at once. From then on it counts whether the leaf still has the key that made it: a commit may take it
/// away, so that is asked again after each.
pub struct LogReader {
    group_id: Vec<u8>,
    key: GroupKey,
    incarnation: Incarnation,
    slot: SlotId,
    leaf_index: LeafIndex,
    leaf_key: Vec<u8>,
    /// For somebody who has gone: the number of the commit that they went with.
    until: Option<u64>,
    /// The handshakes up to this number are what `until` follows from.
    checked: u64,
    /// A commit that `until` does not follow from has gone by: this one, or one before.
    passed: Option<u64>,
    /// The last entry that was looked at.
    last: u64,
}

/// Where a reader begins.
#[derive(Debug)]
pub struct Subscribed {
    /// The reader.
    pub reader: LogReader,
    /// The number after which it reads: what it asked for, or the commit that added it.
    pub after: u64,
    /// The number of the newest entry that it may know of.
    pub head: u64,
}

/// Whether an entry is for a reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum May {
    /// It is.
    Read,
    /// Neither this one nor any after it.
    Not,
    /// [`Service::recheck`] knows.
    Ask,
}

impl LogReader {
    /// Whether the next entry of the log is for this reader.
    pub fn may(&mut self, sequence: u64, kind: EntryKind) -> May {
        if let Some(until) = self.until {
            return if sequence <= until { May::Read } else { May::Not };
        }
        if sequence > self.checked {
            if sequence > self.last.saturating_add(1) {
                // What was trimmed away may have been a commit.
                self.passed = Some(sequence.saturating_sub(1));
                self.last = sequence;
            }
            if self.passed.is_some() {
                return May::Ask;
            }
            if kind == EntryKind::Commit {
                self.passed = Some(sequence);
            }
        }
        self.last = self.last.max(sequence);
        May::Read
    }
}

impl LogReader {
    /// Whether it is for somebody who has gone, and who has read all that was for them up to this number.
    #[must_use]
    pub fn is_over(&self, after: u64) -> bool {
        self.until.is_some_and(|until| after >= until)
    }

    /// Which life of the group it reads.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

impl Service {
    /// Somebody who wants to be told of a group.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the proof is neither of a member nor of somebody who was one; `NotFound`; `Malformed` if
    /// the log does not go as far as the reader says to have read.
    pub async fn subscribe(&self, request: &Subscribe) -> Result<Subscribed, Refusal> {
        let group = &request.group_id;
        let followed = self.follow(group, &request.key).await?;
        let proof = (&request.proof, request.after);
        let reach = self.reach(&followed, proof, &request.signed(&self.settings.name))?;
        let (incarnation, checked) = (followed.incarnation(), followed.sequence());
        drop(followed);
        let head = self.backend.head(group).await?.ok_or(NO_GROUP)?;
        if head.incarnation != incarnation {
            return Err(AGAIN);
        }
        if request.after > head.sequence {
            return Err(Refusal::Malformed("the log does not go as far as what was read of it".to_owned()));
        }
        let after = request.after.max(reach.from);
        let until = reach.until.map(|(until, _)| until);
        let reader = LogReader {
            group_id: group.clone(),
            key: request.key.clone(),
            incarnation,
            slot: slot(&request.key, &reach.key)?,
            leaf_index: LeafIndex::new(request.proof.leaf_index),
            leaf_key: reach.key,
            until,
            checked,
            // What lies between was read elsewhere; it may hold a commit.
            passed: (after > checked).then_some(after),
            last: after,
        };
        // How the log grows is not for those who have gone.
        let head = until.map_or(head.sequence, |until| head.sequence.min(until));
        Ok(Subscribed { reader, after, head })
    }

    /// Entries after a number, whoever they are for: [`LogReader::may`] is to be asked for each. They are the same for all
    /// readers of a group.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound` if what comes next was there and has been forgotten; `Failed`.
    pub async fn entries_after(
        &self,
        reader: &LogReader,
        after: u64,
        limit: PageLimit,
    ) -> Result<Vec<LogEntry>, Refusal> {
        let reading = Reading { kinds: Kinds::All, after, slot: None };
        let page = self.backend.read(&reader.group_id, reading, limit).await?.ok_or(NO_GROUP)?;
        if page.incarnation != reader.incarnation {
            return Err(AGAIN);
        }
        if after < page.newest && after.saturating_add(1) < page.first {
            return Err(Refusal::NotFound(
                "what comes next in the log, which was forgotten: read it to be told more",
            ));
        }
        opened(page.entries, (&reader.group_id, &reader.key), page.incarnation)
    }

    /// How far the log goes for a reader, if it goes as far as this: who has gone is not told how it grows.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound`; `Failed`.
    pub async fn told(&self, reader: &mut LogReader, head: u64) -> Result<u64, Refusal> {
        if reader.until.is_none() && head > reader.checked {
            self.look(reader, head).await?;
        }
        Ok(reader.until.map_or(head, |until| head.min(until)))
    }

    /// Looks whether a reader still is a member, after the commits that have gone by.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound`; `Failed`.
    pub async fn recheck(&self, reader: &mut LogReader) -> Result<(), Refusal> {
        let needed = reader.passed.unwrap_or(0);
        self.look(reader, needed).await?;
        reader.checked = reader.checked.max(needed);
        reader.passed = None;
        Ok(())
    }

    /// Looks who is a member, in a state that has what the log has up to this number.
    async fn look(&self, reader: &mut LogReader, needed: u64) -> Result<(), Refusal> {
        // Thousands of readers ask after each entry: who finds the group as it must be does not read the log again.
        let known = self.known(&reader.group_id, &reader.key).await;
        let known = known.filter(|group| group.seen() >= needed);
        let group = match known {
            Some(group) => group,
            None => self.follow(&reader.group_id, &reader.key).await?,
        };
        if group.incarnation() != reader.incarnation {
            return Err(AGAIN);
        }
        reader.until = gone(&group, reader)?;
        reader.checked = reader.checked.max(group.seen());
        if reader.passed.is_some_and(|passed| passed <= reader.checked) {
            reader.passed = None;
        }
        Ok(())
    }

    /// Notes how far a reader has come.
    pub fn note(&self, reader: &LogReader, sequence: u64) {
        let cursor = Cursor { slot: reader.slot, sequence, at: self.now() };
        self.cursors.moved(&reader.group_id, cursor, None);
    }
}

/// The number of the commit that a reader went with, if it has.
fn gone(group: &Followed, reader: &LogReader) -> Result<Option<u64>, Refusal> {
    let key = member_key(group, reader.leaf_index)?;
    if key.is_some_and(|key| key.0 == reader.leaf_key) {
        return Ok(None);
    }
    let departed = group.people().departed(reader.leaf_index).find(|one| one.key == reader.leaf_key);
    // Of somebody who is remembered no longer, it was long ago.
    Ok(Some(departed.map_or(0, |one| one.until)))
}

/// Whose log it is, is not for logs.
impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}
