//! Pages of rooms' logs, as they come.

use std::collections::{BTreeMap, BTreeSet};

use hushwood_delivery::wire::{LogEntry, LogPage};

use crate::content::{TEXT, TITLE};
use crate::core::Core;
use crate::core::intent::{Action, Stage};
use crate::core::log::Page;
use crate::core::outbox::Done;
use crate::core::room::hash_of;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::{Message, MessageId};
use crate::records::Standing;
use crate::room::RoomId;
use crate::settings::Millis;

impl Core {
    pub(super) fn read(
        &mut self,
        id: &RoomId,
        (wanted, after, known): (u64, u64, u64),
        page: &LogPage,
        now: Millis,
    ) -> Result<(), Error> {
        let entries = page.entries.as_slice();
        let most = usize::try_from(self.env.settings.page).unwrap_or(usize::MAX);
        let room = self.room(id)?;
        if entries.len() > most {
            return Err(Error::BadAnswer("more entries than were asked for"));
        }
        // Numbers have no gaps.
        let first = entries.first().map_or(after.saturating_add(1), |entry| entry.sequence);
        let numbers = (first..).zip(entries);
        if first <= after || numbers.into_iter().any(|(number, entry)| number != entry.sequence) {
            return Err(Error::BadAnswer("entries of a log that are not in order"));
        }
        if page.cursor > room.record.cursor {
            // We have read further than we know: the store is an old copy, and must not go on from there.
            return self.fork(id, page.cursor);
        }
        if first > after.saturating_add(1) {
            // What comes next for us is not there: whoever went on from here would have another log than the others.
            return self.fork(id, first);
        }
        let last = entries.last().map_or(after, |entry| entry.sequence);
        if page.newest > last && !entries.is_empty() {
            room.known = room.known.max(page.newest);
        }
        if entries.is_empty() {
            if page.newest > room.record.cursor || known > room.record.cursor {
                // It has told of more than it shows: a hint that was faster than the log, or a lie. Asked once more, later.
                room.known = room.record.cursor;
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
                return Err(Error::BadAnswer("entries of a log are missing"));
            }
            room.read_done = room.read_done.max(wanted);
            return Ok(());
        }
        match self.take_entries(id, entries, now) {
            Err(error) if error.is_about_a_key() => {
                let room = self.room(id)?;
                room.read_done = room.read_done.max(wanted);
                room.paused = Some(error);
                Ok(())
            }
            taken => taken,
        }
    }

    /// Takes entries of the log that come next, in one transaction.
    pub(super) fn take_entries(
        &mut self,
        id: &RoomId,
        entries: &[LogEntry],
        now: Millis,
    ) -> Result<(), Error> {
        let suite = self.env.suite();
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let own = room.queue.iter().filter_map(|number| self.intents.get(number)?.published());
        let own: Vec<_> = own.map(|published| published.hash).collect();
        let mut work = Work::new();
        let mut page = Page {
            env: &mut self.env,
            work: &mut work,
            now,
            heard: BTreeMap::new(),
            own,
            names: BTreeSet::new(),
        };
        let (mut ended, mut paused) = (Vec::new(), None);
        for entry in entries {
            if entry.sequence <= room.record.cursor {
                continue;
            }
            match room.take(entry, &mut page) {
                Ok(()) => {}
                Err(error) if error.is_about_a_key() => {
                    paused = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            let hash = hash_of(suite, &entry.message);
            if page.own.contains(&hash) {
                ended.push((hash, entry.sequence));
                let said = room.queue.iter().find_map(|number| {
                    let intent = self.intents.get(number)?;
                    let is_it = intent.published().is_some_and(|published| published.hash == hash);
                    match &intent.action {
                        Action::Send { id, sent_at, kind, body } if is_it => {
                            let from = page.env.device.member.clone();
                            let (id, sent_at, sequence, body) =
                                (MessageId(*id), *sent_at, entry.sequence, body.clone());
                            Some((*kind, Message { from, id, sent_at, sequence, body }))
                        }
                        _ => None,
                    }
                });
                match said {
                    Some((TEXT, message)) => {
                        room.note_name(message.id.0, entry.sequence, &mut page)?;
                        room.remember(&message, &mut page)?;
                    }
                    Some((TITLE, message)) => room.record.title = message.body,
                    Some(_) | None => {}
                }
            }
            if room.record.standing != Standing::Active {
                // What comes after a fork or our removal is for nobody here.
                break;
            }
        }
        if room.record.cursor >= room.known {
            room.known = 0;
        }
        if paused.is_none() {
            room.paused = None;
        }
        room.put(&mut work)?;
        for (hash, sequence) in ended {
            let numbers = self.rooms.get(id).map(|room| room.queue.clone()).unwrap_or_default();
            let is_it = |number: &u64| {
                let published = self.intents.get(number).and_then(|intent| intent.published());
                published.is_some_and(|published| published.hash == hash)
            };
            if let Some(number) = numbers.into_iter().find(is_it) {
                self.end(number, Ok(Done::Accepted(sequence)), &mut work);
            }
        }
        self.unpublish_lost(id, &mut work)?;
        self.persist(work)?;
        paused.map_or(Ok(()), Err)
    }

    /// Commits and proposals of an epoch that is over are made anew: they have lost, whatever was answered.
    fn unpublish_lost(&mut self, id: &RoomId, work: &mut Work) -> Result<(), Error> {
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        if room.record.standing != Standing::Active {
            return Ok(());
        }
        let (epoch, queue) = (room.group(&self.env)?.epoch(), room.queue.clone());
        for number in queue {
            let intent = self.intent_mut(number)?;
            let is_handshake = !matches!(intent.action, Action::Send { .. });
            if is_handshake && intent.published().is_some_and(|published| published.epoch < epoch) {
                intent.stage = Stage::ToPublish;
                self.put_again(number, work)?;
            }
        }
        Ok(())
    }
}
