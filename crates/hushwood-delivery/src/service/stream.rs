//! Readers who stay: a log as it grows, to those who may read it as long as they may.

use std::fmt;

use hushwood::tree::LeafIndex;
use hushwood_crypto::SignaturePublicKey;

use crate::backend::{Cursor, PageLimit, SlotId};
use crate::service::Service;
use crate::service::followed::{Followed, Reach};
use crate::service::group::followed_of;
use crate::wire::{EntryKind, GroupKey, LogEntry, Refusal, Subscribe};

/// Somebody who has shown that they are a member of a group, or were, and reads on.
///
/// The proof is looked at once. From then on it counts whether the leaf still has the key that made it: a commit may take it
/// away, so that is asked again after each.
pub struct LogReader {
    group_id: Vec<u8>,
    key: GroupKey,
    slot: SlotId,
    leaf_index: u32,
    leaf_key: Option<SignaturePublicKey>,
    reach: Reach,
    /// The handshakes up to this number are what `reach` follows from.
    checked: u64,
    /// A commit that `reach` does not follow from has gone by: this one, or one before.
    passed: Option<u64>,
    /// The last entry that was looked at.
    last: u64,
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
        if let Reach::Until(until) = self.reach {
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

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &[u8] {
        &self.group_id
    }
}

impl Service {
    /// Somebody who wants to be told of a group, and the number of the newest entry in its log.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the proof is neither of a member nor of somebody who was one; `NotFound`; `Malformed` if
    /// the log does not go as far as the reader says to have read.
    pub async fn subscribe(&self, request: &Subscribe) -> Result<(LogReader, u64), Refusal> {
        let mut followed = self.follow(&request.group_id, &request.key).await?;
        let group = followed_of(&mut followed)?;
        let content = request.signed(&self.settings.name);
        let reach = self.check_proof(group, &request.proof, &content, Reach::Until(0))?;
        let leaf = group.public().tree().leaf(LeafIndex::new(request.proof.leaf_index));
        let leaf_key = leaf.ok().flatten().map(|leaf| leaf.signature_key.clone());
        let checked = group.sequence();
        drop(followed);
        let head = self.backend.head(&request.group_id).await?;
        let head = head.ok_or(Refusal::NotFound("a group of this id"))?.sequence;
        if request.after > head {
            return Err(Refusal::Malformed("the log does not go as far as what was read of it".to_owned()));
        }
        let reader = LogReader {
            group_id: request.group_id.clone(),
            key: request.key,
            slot: SlotId(request.slot),
            leaf_index: request.proof.leaf_index,
            leaf_key,
            reach,
            checked,
            // What lies between was read elsewhere; it may hold a commit.
            passed: (request.after > checked).then_some(request.after),
            last: request.after,
        };
        Ok((reader, head))
    }

    /// Entries after a number, whoever they are for: [`LogReader::may`] is to be asked for each. They are the same for all
    /// readers of a group.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn entries_after(
        &self,
        reader: &LogReader,
        after: u64,
        limit: PageLimit,
    ) -> Result<Vec<LogEntry>, Refusal> {
        self.entries((&reader.group_id, &reader.key), after, limit).await
    }

    /// Looks whether a reader still is a member, after the commits that have gone by.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the group has another key by now; `NotFound`; `Failed`.
    pub async fn recheck(&self, reader: &mut LogReader) -> Result<(), Refusal> {
        let needed = reader.passed.unwrap_or(0);
        let slot = self.slot(&reader.group_id).await;
        let there = slot.lock().await;
        // Thousands of readers ask after each commit: who finds the group as it must be does not read the log again.
        let known = |group: &Followed| group.has_key(&reader.key) && group.sequence() >= needed;
        if let Some(group) = there.as_ref().filter(|group| known(group)) {
            return take(reader, group);
        }
        drop(there);
        let mut followed = self.follow(&reader.group_id, &reader.key).await?;
        take(reader, followed_of(&mut followed)?)
    }

    /// Notes how far a reader has come.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn note(&self, reader: &LogReader, sequence: u64) -> Result<(), Refusal> {
        let cursor = Cursor { slot: reader.slot, sequence, at: self.now() };
        Ok(self.backend.move_cursor(&reader.group_id, cursor).await?)
    }
}

fn take(reader: &mut LogReader, group: &Followed) -> Result<(), Refusal> {
    reader.reach = match &reader.leaf_key {
        Some(key) => group.reach(reader.leaf_index, key)?,
        None => Reach::Until(0),
    };
    reader.checked = group.sequence().max(reader.passed.unwrap_or(0));
    reader.passed = None;
    Ok(())
}

/// Whose log it is, is not for logs.
impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}
