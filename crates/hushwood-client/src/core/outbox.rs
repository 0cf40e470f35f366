//! What the application asks for, and what became of it.

use hushwood::credential::Claim;
use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, PersistError, RecordKey};

use crate::content::{TEXT, TITLE};
use crate::core::Core;
use crate::core::intent::{Action, Intent};
use crate::core::work::Work;
use crate::error::Error;
use crate::event::{Event, EventKind, MessageId};
use crate::identity::DeviceId;
use crate::records::{INTENTS, from_row, get, row, to_row};
use crate::room::RoomId;
use crate::settings::Millis;

/// How something that was wanted has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Done {
    /// It is in the room's log, under this number.
    Accepted(u64),
    /// There was nothing to do any more: who was to be added is there, who was to be removed is gone.
    Already,
    /// The service has done it, and it is in no log.
    ByService,
}

impl Core {
    /// Adds all devices of a person to a room. Gives the number under which to ask for the [`result`](Self::result).
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Removed`], [`Error::Forked`]; [`Error::Store`]: then nothing is wanted.
    pub fn invite(&mut self, room: &RoomId, person: &str) -> Result<u64, Error> {
        self.want(room, Action::Add { person: person.as_bytes().to_vec(), claimed: None })
    }

    /// Removes all devices of a person from a room. A name is one name, however it is spelled.
    ///
    /// # Errors
    /// As [`invite`](Self::invite); [`Error::NotThere`] if nobody of this name is in the room.
    pub fn remove(&mut self, room: &RoomId, person: &str) -> Result<u64, Error> {
        self.check_there(room, person, None)?;
        self.want(room, Action::Remove { person: person.as_bytes().to_vec(), device: None })
    }

    /// Removes one device of a person from a room.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn remove_device(&mut self, room: &RoomId, person: &str, device: DeviceId) -> Result<u64, Error> {
        self.check_there(room, person, Some(device))?;
        self.want(room, Action::Remove { person: person.as_bytes().to_vec(), device: Some(device.0) })
    }

    /// Removes the member with this key from a room: somebody who is not who they say, where another member of that name is.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn remove_key(&mut self, room: &RoomId, claim: &Claim) -> Result<u64, Error> {
        self.want(room, Action::RemoveKey { key: claim.signature_key.0.clone() })
    }

    /// Says something in a room. Gives the number, and the message's name.
    ///
    /// # Errors
    /// As [`invite`](Self::invite); [`Error::TooLong`].
    pub fn send(&mut self, room: &RoomId, body: &[u8], now: Millis) -> Result<(u64, MessageId), Error> {
        self.say(room, TEXT, body, now)
    }

    /// Says something under a name that the caller has chosen at random and keeps: said again under it, as after a crash in
    /// the middle of the call, it is still said once.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn send_as(&mut self, room: &RoomId, id: MessageId, body: &[u8], now: Millis) -> Result<u64, Error> {
        self.refresh()?;
        let there = self.room(room)?;
        let (key, queue) = (sent_key(there.rows(), id), there.queue.clone());
        let is_it = |number: &u64| {
            let action = self.intents.get(number).map(|intent| &intent.action);
            matches!(action, Some(Action::Send { id: other, .. }) if *other == id.0)
        };
        if let Some(number) = queue.into_iter().find(is_it) {
            return Ok(number);
        }
        if let Some(sequence) = get(&*self.env.store, &key)? {
            let number = self.next.intent;
            self.next.intent = self.next.intent.saturating_add(1);
            self.results.insert(number, Ok(Done::Accepted(from_row(&sequence)?)));
            return Ok(number);
        }
        check_length(body)?;
        self.want(room, Action::Send { id: id.0, sent_at: now.0, kind: TEXT, body: body.to_vec() })
    }

    /// A name for a message that is to be said once, for [`send_as`](Self::send_as).
    ///
    /// # Errors
    /// [`Error::Protocol`] if there is no randomness.
    pub fn new_message_id(&mut self) -> Result<MessageId, Error> {
        Ok(MessageId(self.env.random()?))
    }

    /// Gives a room another title. Members see it, the service does not.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn set_title(&mut self, room: &RoomId, title: &str, now: Millis) -> Result<u64, Error> {
        Ok(self.say(room, TITLE, title.as_bytes(), now)?.0)
    }

    /// Makes new keys for ourselves in a room: who has stolen the old ones is out.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn renew(&mut self, room: &RoomId) -> Result<u64, Error> {
        self.want(room, Action::Renew)
    }

    /// Leaves a room: the others are asked to remove us.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn leave(&mut self, room: &RoomId) -> Result<u64, Error> {
        self.want(room, Action::Leave)
    }

    /// Comes back into a room that can't be followed, by an external commit (RFC 9420 §12.4.3.2). What was said meanwhile
    /// and not read is lost. A state of the group that is older than ours is not taken, whatever the service says
    /// ([`take_earlier`](Self::take_earlier)). Where somebody is there whom we would not let invite us without asking
    /// ([`Settings::invitations`](crate::Settings::invitations)), nothing is done but to tell who
    /// ([`Returning`](EventKind::Returning)): said again, it is done.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn rejoin(&mut self, room: &RoomId) -> Result<u64, Error> {
        self.want(room, Action::Rejoin)
    }

    /// What became of something that was wanted; `None` if it is not done yet. It is told once: of an error that is given here, no
    /// [`EventKind::NotDone`] tells again.
    pub fn result(&mut self, number: u64) -> Option<Result<Done, Error>> {
        let result = self.results.remove(&number)?;
        if result.is_err() {
            let is_it =
                |event: &Event| matches!(event.kind, EventKind::NotDone { intent, .. } if intent == number);
            let events = self.events(None).unwrap_or_default();
            let told = events.into_iter().filter(is_it).map(|event| event.number);
            // If it fails, it is told twice.
            drop(self.acknowledge(told));
        }
        Some(result)
    }

    /// Whether something is still to be done.
    #[must_use]
    pub fn is_waiting(&self, number: u64) -> bool {
        self.intents.contains_key(&number)
    }

    fn say(&mut self, room: &RoomId, kind: u8, body: &[u8], now: Millis) -> Result<(u64, MessageId), Error> {
        check_length(body)?;
        let id = self.new_message_id()?;
        let action = Action::Send { id: id.0, sent_at: now.0, kind, body: body.to_vec() };
        Ok((self.want(room, action)?, id))
    }

    pub(super) fn want(&mut self, room: &RoomId, action: Action) -> Result<u64, Error> {
        self.refresh()?;
        let mut work = Work::new();
        let number = self.put_intent(room, action.clone(), &mut work)?;
        match self.persist(work) {
            // Another process has written: after that.
            Err(Error::Store(PersistError::Stale)) => {
                self.refresh()?;
                let mut work = Work::new();
                let number = self.put_intent(room, action, &mut work)?;
                self.persist(work).map(|()| number)
            }
            persisted => persisted.map(|()| number),
        }
    }

    /// Stores what is wanted, with what else is written.
    pub(super) fn put_intent(
        &mut self,
        room: &RoomId,
        action: Action,
        work: &mut Work,
    ) -> Result<u64, Error> {
        use crate::records::Standing;
        let there = self.room(room)?;
        match (there.record.standing, &action) {
            (Standing::Removed, _) => return Err(Error::Removed),
            (Standing::Ended, _) => return Err(Error::Ended),
            (Standing::Forked, Action::Rejoin) => {}
            (Standing::Forked, _) => return Err(Error::Forked),
            (Standing::New | Standing::Active | Standing::Rejoining, _) => {}
        }
        let number = self.next.intent;
        let intent = Intent::new(room, action);
        work.put(row(INTENTS, number.to_be_bytes()), intent.to_row()?);
        self.next.intent = self.next.intent.saturating_add(1);
        self.room(room)?.queue.push_back(number);
        self.intents.insert(number, intent);
        Ok(number)
    }

    /// Writes an intent as it is now.
    pub(super) fn put_again(&self, number: u64, work: &mut Work) -> Result<(), Error> {
        let intent = self.intent(number)?;
        work.put(row(INTENTS, number.to_be_bytes()), intent.to_row()?);
        Ok(())
    }

    pub(super) fn intent(&self, number: u64) -> Result<&Intent, Error> {
        self.intents.get(&number).ok_or_else(missing)
    }

    pub(super) fn intent_mut(&mut self, number: u64) -> Result<&mut Intent, Error> {
        self.intents.get_mut(&number).ok_or_else(missing)
    }

    /// An intent has ended, with what else is written.
    pub(super) fn end(&mut self, number: u64, result: Result<Done, Error>, work: &mut Work) {
        let Some(intent) = self.intents.remove(&number) else { return };
        work.erase(row(INTENTS, number.to_be_bytes()));
        if let Some(room) = self.rooms.get_mut(&intent.room) {
            room.queue.retain(|other| *other != number);
        }
        match (&result, &intent.action) {
            (Ok(Done::Accepted(sequence)), Action::Send { id, kind: TEXT, .. }) => {
                if let (Some(room), Ok(value)) = (self.rooms.get(&intent.room), to_row(sequence, 0)) {
                    work.put(sent_key(room.rows(), MessageId(*id)), value);
                }
                work.event(&intent.room, EventKind::Sent { id: MessageId(*id), sequence: *sequence });
            }
            // Nobody asked for these.
            (Err(_), Action::CommitWaiting | Action::Renew) | (Ok(_), _) => {}
            (Err(error), _) => {
                work.event(&intent.room, EventKind::NotDone { intent: number, why: error.to_string() });
            }
        }
        self.tell(number, result);
    }

    /// What became of something, for whoever asks for it.
    pub(super) fn tell(&mut self, number: u64, result: Result<Done, Error>) {
        self.results.insert(number, result);
        while self.results.len() > MOST_RESULTS {
            self.results.pop_first();
        }
    }

    /// Ends an intent that can't be done.
    pub(super) fn give_up(&mut self, number: u64, why: Error) -> Result<(), Error> {
        let mut work = Work::new();
        self.end(number, Err(why), &mut work);
        self.persist(work)
    }

    /// All that waits in a room will not be done.
    pub(super) fn give_up_all(&mut self, room: &RoomId, why: &Error) -> Result<(), Error> {
        let numbers: Vec<_> = self.room(room)?.queue.iter().copied().collect();
        let mut work = Work::new();
        for number in numbers {
            self.end(number, Err(why.clone()), &mut work);
        }
        self.persist(work)
    }
}

/// So long is what is said at most: with the padding that is usual, and what stands around it, a service takes it that takes messages
/// of 1 MiB. What it refuses has used up a key, which others miss.
const MOST_SAID: usize = 31 * (32 << 10) - 512;

fn check_length(body: &[u8]) -> Result<(), Error> {
    match body.len() <= MOST_SAID {
        true => Ok(()),
        false => Err(Error::TooLong { most: MOST_SAID }),
    }
}

/// Results that nobody asks for are not kept for ever.
const MOST_RESULTS: usize = 1000;

/// The row that says under which number a message of ours is in the log.
fn sent_key(rows: InstanceId, id: MessageId) -> RecordKey {
    let mut name = vec![b'm'];
    name.extend_from_slice(&id.0);
    row(rows, name)
}

fn missing() -> Error {
    hushwood::error::Error::from(StoreReadError::Missing).into()
}
