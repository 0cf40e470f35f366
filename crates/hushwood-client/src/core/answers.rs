//! What comes of requests.

use std::collections::{BTreeMap, BTreeSet};

use hushwood_delivery::wire::{
    Answer, CommitAnswer, EntryKind, LogEntry, LogPage, ReadAnswer, RefusalCode, Refused, SendAnswer,
};

use crate::content::{TEXT, TITLE};
use crate::core::Core;
use crate::core::backoff::pause;
use crate::core::intent::{Action, Outgoing, Stage};
use crate::core::log::Page;
use crate::core::outbox::Done;
use crate::core::room::hash_of;
use crate::core::rooms::NEW;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::{EventKind, Message, MessageId};
use crate::invitation::InvitationId;
use crate::records::{Standing, row};
use crate::room::RoomId;
use crate::settings::Millis;
use crate::transport::TransportError;

/// What a request was for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Challenge,
    Register,
    Login,
    Stock,
    Publish(usize),
    Claim {
        number: u64,
    },
    Inbox {
        wanted: u64,
    },
    /// The tree for an invitation.
    Invitation {
        id: InvitationId,
    },
    Acknowledge {
        ids: Vec<[u8; 32]>,
    },
    Devices,
    Revoke {
        device: [u8; 16],
    },
    Create {
        room: RoomId,
    },
    Read {
        room: RoomId,
        wanted: u64,
        after: u64,
    },
    Intent {
        room: RoomId,
        number: u64,
    },
    /// GroupInfo and tree, to come back.
    Info {
        room: RoomId,
        number: u64,
    },
}

impl Purpose {
    /// The room whose lane it is in; none for the account's.
    pub(super) fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Create { room }
            | Self::Read { room, .. }
            | Self::Intent { room, .. }
            | Self::Info { room, .. } => Some(room),
            Self::Challenge
            | Self::Register
            | Self::Login
            | Self::Stock
            | Self::Publish(_)
            | Self::Claim { .. }
            | Self::Inbox { .. }
            | Self::Invitation { .. }
            | Self::Acknowledge { .. }
            | Self::Devices
            | Self::Revoke { .. } => None,
        }
    }
}

impl Core {
    pub(super) fn take_answer(
        &mut self,
        purpose: Purpose,
        answer: Result<Answer, TransportError>,
        now: Millis,
    ) -> Result<(), Error> {
        let Some(id) = purpose.room().cloned() else {
            self.account.in_flight = false;
            return self.take_account_answer(purpose, answer, now);
        };
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        room.in_flight = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.room_failed(&id, &purpose, error, now),
        };
        room.backoff.succeed();
        let taken = match (purpose, answer) {
            (Purpose::Create { .. }, Answer::CreateGroup(_)) => self.created(&id),
            (Purpose::Read { wanted, after, .. }, Answer::Read(ReadAnswer::Page(page))) => {
                self.read(&id, (wanted, after), &page, now)
            }
            // What comes next is forgotten.
            (Purpose::Read { .. }, Answer::Read(ReadAnswer::Trimmed { first, .. })) => self.fork(&id, first),
            (Purpose::Intent { number, .. }, Answer::Commit(CommitAnswer::Accepted(sequence)))
            | (Purpose::Intent { number, .. }, Answer::Send(SendAnswer::Accepted(sequence))) => {
                self.accepted(number, sequence, now)
            }
            (Purpose::Intent { number, .. }, Answer::Commit(CommitAnswer::Stale { epoch, winner })) => {
                self.lost(number, (epoch, winner), now)
            }
            (Purpose::Intent { number, .. }, Answer::Send(SendAnswer::Stale { epoch })) => {
                self.lost(number, (epoch, 0), now)
            }
            (Purpose::Info { number, .. }, Answer::GroupInfo(group)) => {
                self.come_back(&id, number, &group, now)
            }
            _ => Err(Error::BadAnswer("an answer to another question")),
        };
        match taken {
            Err(error @ Error::BadAnswer(_)) => {
                self.wait_in(&id, error, 0, now);
                Ok(())
            }
            taken => taken,
        }
    }

    /// A room's request was not answered, or refused.
    fn room_failed(
        &mut self,
        id: &RoomId,
        purpose: &Purpose,
        error: TransportError,
        now: Millis,
    ) -> Result<(), Error> {
        let TransportError::Refused(refused) = error else {
            self.wait_in(id, error.into(), 0, now);
            return Ok(());
        };
        if refused.is_temporary() || refused.code == RefusalCode::FAILED {
            let at_least = refused.retry_after.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
            self.wait_in(id, refused.into(), at_least, now);
            return Ok(());
        }
        match (refused.code, purpose) {
            // Of a room alone that is not there yet: what is there is read as before.
            (RefusalCode::REVOKED, Purpose::Create { .. }) => {
                self.account.stopped = Some(Error::Revoked);
                self.wait_in(id, Error::Revoked, 0, now);
                Ok(())
            }
            // Our clock is wrong, or somebody else's is: ask for the time, and try again with it.
            (RefusalCode::UNAUTHORIZED, _) => {
                if matches!(purpose, Purpose::Create { .. }) {
                    self.account.drop_token();
                }
                self.account.want_time();
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
            // Perhaps we were removed, and have not read it yet: that is then what to say.
            (RefusalCode::FORBIDDEN, Purpose::Intent { number, .. })
                if self.intent(*number)?.attempts == 0 =>
            {
                self.intent_mut(*number)?.attempts = 1;
                let room = self.room(id)?;
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
            (_, Purpose::Intent { number, .. }) => self.refused(*number, refused, now),
            // We can't read: removed for so long that nobody knows us, or the log is gone.
            (_, Purpose::Read { wanted, .. }) => {
                let room = self.room(id)?;
                room.read_done = room.read_done.max(*wanted);
                room.known = room.record.cursor;
                room.backoff.trouble = Some(refused.into());
                Ok(())
            }
            (_, Purpose::Info { number, .. }) => self.give_up(*number, refused.into()),
            (_, _) => {
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
        }
    }

    /// A lane waits before it tries again.
    pub(super) fn wait_in(&mut self, id: &RoomId, trouble: Error, at_least: u64, now: Millis) {
        let retry = self.env.settings.retry;
        if let Some(room) = self.rooms.get_mut(id) {
            room.backoff.fail(trouble, (now, at_least), retry, &mut *self.env.random);
        }
    }

    fn created(&mut self, id: &RoomId) -> Result<(), Error> {
        let room = self.room(id)?;
        let mut work = Work::new();
        if room.record.standing == Standing::New {
            room.record.standing = Standing::Active;
        }
        work.erase(row(room.rows(), NEW));
        room.put(&mut work)?;
        self.persist(work)
    }

    fn read(
        &mut self,
        id: &RoomId,
        (wanted, after): (u64, u64),
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
            if page.newest > room.record.cursor || room.known > room.record.cursor {
                // It has told of more than it shows.
                room.known = room.record.cursor;
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

    /// A request was accepted: its entry is the next one that we read, or is behind others.
    fn accepted(&mut self, number: u64, sequence: u64, now: Millis) -> Result<(), Error> {
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
    fn fork(&mut self, id: &RoomId, sequence: u64) -> Result<(), Error> {
        let room = self.room(id)?;
        room.record.standing = Standing::Forked;
        let mut work = Work::new();
        room.put(&mut work)?;
        work.event(id, EventKind::Fork { with: None, sequence });
        self.persist(work)
    }

    /// Another commit was faster, or a message came after its epoch: read on, then make it anew.
    fn lost(&mut self, number: u64, (epoch, winner): (u64, u64), now: Millis) -> Result<(), Error> {
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
    fn refused(&mut self, number: u64, refused: Refused, now: Millis) -> Result<(), Error> {
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
