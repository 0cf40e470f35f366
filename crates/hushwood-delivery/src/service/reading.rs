//! What is read of a group: its log, where it stands, and what somebody needs who joins.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::backend::{Cursor, Entry, Incarnation, Kinds, PageLimit, Reading, SlotId};
use crate::service::groups::{NO_GROUP, group_name};
use crate::service::seal::{Place, What, open};
use crate::service::{Service, unavailable};
use crate::wire::{
    EntryKind, GroupInfoAnswer, GroupInfoRequest, GroupKey, HeadAnswer, HeadRequest, LogEntry, LogPage,
    ReadAnswer, ReadRequest, Refusal, TreeAnswer, TreeRequest,
};

impl Service {
    /// What is in the log after a number. Reading tells that everything up to there has been stored.
    ///
    /// A member reads what came after the commit that added it, as far as the service knows: whoever was in the group
    /// before it came here reads everything. Who has gone reads up to the commit that they went with, and so
    /// does first who has come back since.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the proof is neither of a member nor of somebody who was one; `NotFound`.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, Refusal> {
        let group = &request.group_id;
        let followed = self.follow(group, &request.key).await?;
        let proof = (&request.proof, request.after);
        let reach = self.reach(&followed, proof, &request.signed(&self.settings.name))?;
        let incarnation = followed.incarnation();
        drop(followed);
        let slot = slot(&request.key, &reach.key)?;
        let after = request.after.max(reach.from);
        let limit = PageLimit { entries: request.most.clamp(1, 1000), bytes: 8 << 20 };
        let reading = Reading { kinds: Kinds::All, after, slot: Some(slot) };
        let page = self.backend.read(group, reading, limit).await?.ok_or(NO_GROUP)?;
        if page.incarnation != incarnation {
            return Err(AGAIN);
        }
        let (newest, epoch) = match reach.until {
            Some((until, epoch)) => (page.newest.min(until), epoch),
            None => (page.newest, page.epoch),
        };
        if after < newest && after.saturating_add(1) < page.first {
            return Ok(ReadAnswer::Trimmed { first: page.first, newest, epoch });
        }
        let moved = Cursor { slot, sequence: request.after.min(newest), at: self.now() };
        let cursor = self.cursors.moved(group, moved, page.cursor);
        let entries = page.entries.into_iter().filter(|entry| entry.sequence <= newest);
        let entries = opened(entries, (group, &request.key), incarnation)?;
        Ok(ReadAnswer::Page(LogPage { epoch, newest, cursor, entries }))
    }

    /// Where a group stands.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the admission is not good, or for another key; `NotFound`.
    pub async fn head(&self, request: &HeadRequest) -> Result<HeadAnswer, Refusal> {
        let followed = self.follow(&request.group_id, &request.key).await?;
        self.admit(&followed, &request.admission, (&request.signed(&self.settings.name), 0))?;
        drop(followed);
        let head = self.backend.head(&request.group_id).await?.ok_or(NO_GROUP)?;
        Ok(HeadAnswer { epoch: head.epoch, sequence: head.sequence, commit: head.commit })
    }

    /// The GroupInfo of the current epoch and its tree, for members and for those who come from outside (RFC 9420 §12.4.3.2;
    /// RFC 9750 §7, A064).
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the admission is not good, or for another key; `NotFound`.
    pub async fn group_info(&self, request: &GroupInfoRequest) -> Result<GroupInfoAnswer, Refusal> {
        let group = &request.group_id;
        let followed = self.follow(group, &request.key).await?;
        self.admit(&followed, &request.admission, (&request.signed(&self.settings.name), 0))?;
        let head = self.backend.head(group).await?.ok_or(NO_GROUP)?;
        // Another node may have been faster: its epoch is then asked for again.
        if head.incarnation != followed.incarnation() || head.epoch != followed.public().epoch() {
            return Err(AGAIN);
        }
        let place = followed.place(head.epoch);
        let group_info = open(&request.key, (place, What::GroupInfo), &head.group_info)?;
        let TreeAnswer { epoch, sequence, ratchet_tree } = self.work.run(move || followed.tree()).await??;
        Ok(GroupInfoAnswer { epoch, sequence, group_info, ratchet_tree })
    }

    /// The tree of an epoch, for somebody who was welcomed in it: they know its hash.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound` if the epoch has no tree of this hash, or was too long ago: then a member has to add them
    /// again; `Forbidden` for another key; `TooMany`, where those of many epochs that are over are asked for.
    pub async fn tree(&self, request: &TreeRequest) -> Result<TreeAnswer, Refusal> {
        let (group, key, epoch) = (&request.group_id, &request.key, request.epoch);
        let followed = self.follow(group, key).await?;
        if !followed.has_tree(epoch, &request.tree_hash) {
            return Err(Refusal::NotFound(
                "a tree of this hash in that epoch, or it is long over: be added again",
            ));
        }
        let incarnation = followed.incarnation();
        let name = (followed.name(), incarnation, epoch);
        // Many who were added together ask for one tree: it is encoded for the first of them.
        if followed.public().epoch() == epoch {
            let load = async { self.work.run(move || followed.tree()).await?.map(Arc::new) };
            let tree = self.trees.try_get_with(name, load).await;
            return Ok(TreeAnswer::clone(&*tree.map_err(|refusal| Refusal::clone(&refusal))?));
        }
        drop(followed);
        let load = async {
            // It costs up to as many commits as there are between snapshots.
            self.limits.old_tree(group_name(group, key))?;
            let then = self.load(group, key, Some(epoch)).await?;
            match then.incarnation() == incarnation {
                true => self.work.run(move || then.tree()).await?.map(Arc::new),
                false => Err(AGAIN),
            }
        };
        let tree = self.trees.try_get_with(name, load).await;
        Ok(TreeAnswer::clone(&*tree.map_err(|refusal| Refusal::clone(&refusal))?))
    }
}

/// Entries of a log as they were sent.
pub(super) fn opened(
    entries: impl IntoIterator<Item = Entry>,
    (group, key): (&[u8], &GroupKey),
    incarnation: Incarnation,
) -> Result<Vec<LogEntry>, Refusal> {
    let entries = entries.into_iter().map(|entry| {
        let place = Place { group, incarnation, epoch: entry.epoch };
        let message = match entry.kind {
            EntryKind::Message => entry.body,
            EntryKind::Commit | EntryKind::Proposal => open(key, (place, What::Handshake), &entry.body)?,
        };
        Ok(LogEntry { sequence: entry.sequence, kind: entry.kind, epoch: entry.epoch, message })
    });
    entries.collect()
}

/// Something has changed in the middle.
pub(super) const AGAIN: Refusal = Refusal::TooMany(Duration::from_secs(1));

/// The name under which it is noted how far somebody has read: it tells nothing of who they are.
pub(super) fn slot(key: &GroupKey, signature_key: &[u8]) -> Result<SlotId, Refusal> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose());
    let mut mac = mac.map_err(|_| unavailable("no HMAC"))?;
    mac.update(b"hushwood delivery slot 1");
    mac.update(signature_key);
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    let (slot, _) = tag.split_first_chunk().ok_or_else(|| unavailable("no HMAC"))?;
    Ok(SlotId(*slot))
}
