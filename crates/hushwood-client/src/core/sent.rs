//! What became of what was sent into a room's log: it has a place, it has lost, or it is refused.

use hushwood_delivery::wire::{EntryKind, LogEntry, Refused};

use crate::core::Core;
use crate::core::backoff::pause;
use crate::core::intent::{Action, Outgoing, Stage};
use crate::core::work::Work;
use crate::error::Error;
use crate::event::EventKind;
use crate::records::Standing;
use crate::room::RoomId;
use crate::settings::Millis;

impl Core {
    /// A request was accepted: its entry is the next one that we read, or is behind others.
    pub(super) fn accepted(&mut self, number: u64, sequence: u64, now: Millis) -> Result<(), Error> {
        let Some(intent) = self.intents.get(&number) else { return Ok(()) };
        let (id, Some(published)) = (intent.room.clone(), intent.published()) else { return Ok(()) };
        let (kind, message) = match &published.request {
            Outgoing::Commit(commit) => (EntryKind::Commit, commit.commit.clone()),
            Outgoing::Send { message, .. } if matches!(intent.action, Action::Leave) => {
                (EntryKind::Proposal, message.clone())
            }
            Outgoing::Send { message, .. } => (EntryKind::Message, message.clone()),
        };
        let epoch = published.epoch;
        let room = self.room(&id)?;
        if room.record.standing == Standing::Rejoining {
            return self.came_back(&id, number, sequence, now);
        }
        if sequence <= room.record.cursor {
            // The log that we have read has something else there.
            return self.fork(&id, sequence);
        }
        if sequence == room.record.cursor.saturating_add(1) && room.paused.is_none() {
            return self.take_entries(&id, &[LogEntry { sequence, kind, epoch, message }], now);
        }
        room.known = room.known.max(sequence);
        Ok(())
    }

    /// The service's log is not the one that we have read.
    pub(super) fn fork(&mut self, id: &RoomId, sequence: u64) -> Result<(), Error> {
        let room = self.room(id)?;
        room.record.standing = Standing::Forked;
        let mut work = Work::new();
        room.put(&mut work)?;
        work.event(id, EventKind::Fork { with: None, sequence });
        self.persist(work)
    }

    /// Another commit was faster, or a message came after its epoch: read on, then make it anew.
    pub(super) fn lost(
        &mut self,
        number: u64,
        (epoch, winner): (u64, u64),
        now: Millis,
    ) -> Result<(), Error> {
        let retry = self.env.settings.retry;
        let Some(intent) = self.intents.get(&number) else { return Ok(()) };
        let (id, attempts) = (intent.room.clone(), intent.attempts);
        let is_message = matches!(intent.action, Action::Send { .. });
        if self.room(&id)?.record.standing == Standing::Rejoining {
            return self.lost_on_the_way(&id, number, now);
        }
        let room = self.rooms.get_mut(&id).ok_or(Error::NoRoom)?;
        let at = room.group(&self.env)?.epoch();
        let wait = match is_message && epoch > at {
            // It goes once the entries are read that lead there.
            true => 0,
            false => pause(attempts, retry, &mut *self.env.random),
        };
        let next = room.record.cursor.saturating_add(1);
        // If it speaks of an epoch to come, there must be entries that lead to it.
        room.known = room.known.max(winner.max(if epoch > at { next } else { 0 }));
        let mut work = Work::new();
        let intent = self.intent_mut(number)?;
        intent.attempts = attempts.saturating_add(1);
        intent.not_before = now.after(wait).0;
        if is_message {
            // It was not taken and won't be: its text is encrypted anew, under the same name.
            intent.stage = Stage::ToPublish;
        }
        self.put_again(number, &mut work)?;
        self.persist(work)
    }

    /// The service refuses what was made, for good.
    pub(super) fn refused(&mut self, number: u64, refused: Refused, now: Millis) -> Result<(), Error> {
        let Some(intent) = self.intents.get(&number) else { return Ok(()) };
        let (id, hash) = (intent.room.clone(), intent.published().map(|published| published.hash));
        let room = self.rooms.get_mut(&id).ok_or(Error::NoRoom)?;
        if room.record.standing == Standing::Rejoining {
            return self.refused_on_the_way(&id, number, refused);
        }
        let mut group = room.take_group(&self.env)?;
        let mut work = Work::new();
        let staged = group.staged_commits().find(|staged| hash.as_ref() == Some(staged.as_bytes())).copied();
        if let Some(staged) = staged {
            work.step(group.discard(&staged)?);
        }
        room.group = Some(group);
        // What we want of ourselves is not asked for again and again.
        self.wait_in(&id, refused.clone().into(), 0, now);
        self.end(number, Err(refused.into()), &mut work);
        self.persist(work)
    }
}
