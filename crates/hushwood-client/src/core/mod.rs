//! The whole client without a socket, a thread or a clock: requests come out, answers go in.
//!
//! Everything that has to outlive the process is in the store; what is in memory beside it is read again whenever a write
//! fails. Each room, and the account, is a lane of its own with one request at a time.

mod account;
mod answers;
pub(crate) mod backoff;
mod committer;
mod derive;
mod devices;
mod early;
pub(crate) mod env;
mod epochs;
mod forget;
mod intent;
mod invitations;
mod join;
mod joiners;
mod log;
mod messages;
mod news;
mod outbox;
mod people;
mod reading;
mod rejoin;
mod returning;
mod revoked;
pub(crate) mod room;
mod rooms;
mod rules;
mod sent;
mod signers;
mod stock;
mod sync;
mod witness;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::fmt;

use hushwood::error::Error as ProtocolError;
use hushwood::transition::{InstanceId, PersistError, Records};
use hushwood_delivery::wire::{Access, Answer, Call};

use crate::core::account::Account;
use crate::core::answers::Purpose;
use crate::core::env::Env;
use crate::core::intent::Intent;
use crate::core::news::News;
use crate::core::room::Room;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::Event;
use crate::identity::Member;
use crate::records::{
    COUNTERS, Counters, DEVICE, EVENTS, INTENTS, REVOKED, ROOMS, corrupt, from_row, get, row, rows, to_row,
};
use crate::room::RoomId;
use crate::settings::{Millis, Provider, Settings};
use crate::transport::TransportError;
use crate::trust::Trust;

pub use devices::OwnDevice;
pub use env::Store;
pub use outbox::Done;
pub use people::{Contact, Known};

/// The client as a machine: what it wants asked, it gives by [`poll`](Self::poll); what comes of it, it takes by
/// [`answer`](Self::answer).
///
/// [`Client`](crate::Client) and `AsyncClient` drive one. Who has an event loop of their own may do it
/// themselves. Whoever waits for news also calls [`look`](Self::look) before each `poll`, and where there is a stream opens one when
/// it [is time](Self::wants_stream), says [what it is to be told](Self::stream_frames) and hands in
/// [what comes of it](Self::stream_event).
pub struct Core {
    env: Env,
    account: Account,
    news: News,
    rooms: BTreeMap<RoomId, Room>,
    intents: BTreeMap<u64, Intent>,
    next: Counters,
    /// As it is in the store.
    counted: Counters,
    in_flight: BTreeMap<u64, Purpose>,
    next_request: u64,
    /// What became of intents, for those who wait for them.
    results: BTreeMap<u64, Result<Done, Error>>,
    syncs: u64,
    /// What is in memory may not be what is in the store.
    stale: bool,
}

/// Who a client is, and whom it asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The person's name, by which others invite them. The service has each once.
    pub person: String,
    /// The service's name: what is signed for one is worth nothing to another.
    pub service: String,
}

/// A request to be asked.
#[derive(Eq, PartialEq)]
pub struct Request {
    /// Its number, for the answer.
    pub id: u64,
    /// What to ask.
    pub call: Call,
    /// What shows which device asks.
    pub token: Option<Vec<u8>>,
}

impl fmt::Debug for Request {
    /// Without the token: whoever has it is us.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "..");
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("call", &self.call)
            .field("token", &token)
            .finish()
    }
}

/// What to do next.
#[derive(Debug, Eq, PartialEq)]
pub enum Next {
    /// Ask this, and give what comes of it to [`Core::answer`].
    Request(Box<Request>),
    /// Nothing, before this time or an answer.
    Wait(Option<Millis>),
}

impl Core {
    /// Begins with what the store has, or as a new device of this person. As long as no service has agreed to what the store was made
    /// for, another person or service may be named: rooms that were made meanwhile stay, and are theirs.
    ///
    /// # Errors
    /// [`Error::OtherIdentity`]; [`Error::Protocol`] if the store can't be read; [`Error::Store`] if it can't be written.
    pub fn open(
        store: Box<dyn Store>,
        provider: Provider,
        identity: &Identity,
        trust: Trust,
        settings: Settings,
    ) -> Result<Self, Error> {
        let who = (identity.person.as_str(), identity.service.as_str());
        let (env, work) = Env::open(store, provider, who, trust, settings)?;
        let mut core = Self {
            env,
            account: Account::default(),
            news: News::default(),
            rooms: BTreeMap::new(),
            intents: BTreeMap::new(),
            next: Counters { event: 1, intent: 1 },
            counted: Counters { event: 1, intent: 1 },
            in_flight: BTreeMap::new(),
            next_request: 1,
            results: BTreeMap::new(),
            syncs: 0,
            stale: false,
        };
        core.reload()?;
        core.correct(who, work)?;
        Ok(core)
    }

    /// Who we are.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.env.device.member
    }

    /// What to do next.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Protocol`]: something could not be read or written. Nothing is lost: ask again.
    pub fn poll(&mut self, now: Millis) -> Result<Next, Error> {
        self.refresh()?;
        let mut next = self.poll_lanes(now);
        if next == Err(Error::Store(PersistError::Stale)) {
            // Another process has written: with what is there now.
            self.stale = true;
            self.refresh()?;
            next = self.poll_lanes(now);
        }
        if next.is_err() {
            self.stale = true;
        }
        next
    }

    /// What came of a request. An answer that comes twice is taken once.
    ///
    /// # Errors
    /// As [`poll`](Self::poll). What the service refuses is no error here.
    pub fn answer(
        &mut self,
        id: u64,
        answer: Result<Answer, TransportError>,
        now: Millis,
    ) -> Result<(), Error> {
        self.refresh()?;
        let Some(purpose) = self.in_flight.remove(&id) else { return Ok(()) };
        match self.take_answer(purpose, answer, now) {
            Ok(()) => Ok(()),
            // Another process was faster: the answer is as good as lost, and what it was to is asked again.
            Err(Error::Store(PersistError::Stale)) => {
                self.stale = true;
                Ok(())
            }
            Err(error) => {
                self.stale = true;
                Err(error)
            }
        }
    }

    /// What has happened and was not acknowledged, the oldest first; of one room, or of all.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn events(&self, room: Option<&RoomId>) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for (id, value) in rows(&*self.env.store, EVENTS)? {
            let event = Event::from_row(number_of(&id)?, &value)?;
            if room.is_none_or(|room| *room == event.room) {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// The application has dealt with these events: they are forgotten.
    ///
    /// # Errors
    /// [`Error::Store`]: they will come again.
    pub fn acknowledge(&mut self, numbers: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        self.refresh()?;
        let mut work = Work::new();
        for number in numbers {
            work.erase(row(EVENTS, number.to_be_bytes()));
        }
        self.persist(work)
    }

    fn poll_lanes(&mut self, now: Millis) -> Result<Next, Error> {
        if let Some(request) = self.poll_account(now)? {
            return Ok(Next::Request(Box::new(request)));
        }
        let ready = self.rooms.values().filter(|room| !room.in_flight && room.backoff.until <= now);
        let ready: Vec<_> = ready.map(|room| room.id.clone()).collect();
        for id in ready {
            if let Some(request) = self.poll_room(&id, now)? {
                return Ok(Next::Request(Box::new(request)));
            }
        }
        // A room may have wanted something of the account.
        if let Some(request) = self.poll_account(now)? {
            return Ok(Next::Request(Box::new(request)));
        }
        Ok(Next::Wait(self.wake_at(now)))
    }

    /// When something is to be done that is not to be done yet.
    fn wake_at(&self, now: Millis) -> Option<Millis> {
        let lanes = self.rooms.values().filter(|room| !room.in_flight).map(|room| room.backoff.until);
        let turns = self.rooms.values().filter_map(|room| room.turn.map(|(_, at)| at));
        let intents = self.intents.values().map(|intent| Millis(intent.not_before));
        let account = [self.account.backoff.until];
        lanes.chain(turns).chain(intents).chain(account).filter(|at| *at > now).min()
    }

    fn request(&mut self, call: Call, purpose: Purpose) -> Request {
        let token = match call.kind().access() {
            Access::Device => self.account.token(),
            Access::Open => None,
        };
        match purpose.room() {
            Some(room) => {
                if let Some(room) = self.rooms.get_mut(room) {
                    room.in_flight = true;
                }
            }
            None => self.account.in_flight = true,
        }
        let id = self.next_request;
        self.next_request = self.next_request.saturating_add(1);
        self.in_flight.insert(id, purpose);
        Request { id, call, token }
    }

    fn room(&mut self, id: &RoomId) -> Result<&mut Room, Error> {
        self.rooms.get_mut(id).ok_or(Error::NoRoom)
    }

    /// Writes everything, with events under their numbers.
    fn persist(&mut self, mut work: Work) -> Result<(), Error> {
        if work.is_empty() && self.next == self.counted {
            return Ok(());
        }
        for (room, kind) in std::mem::take(&mut work.events) {
            let number = self.next.event;
            self.next.event = self.next.event.saturating_add(1);
            work.put(row(EVENTS, number.to_be_bytes()), Event::to_row(&room, &kind)?);
        }
        if self.next != self.counted {
            work.put(row(DEVICE, COUNTERS), to_row(&self.next, 0)?);
        }
        self.env.persist(work).inspect_err(|_| self.stale = true)?;
        self.counted = self.next;
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), Error> {
        if self.stale {
            self.reload()?;
            self.stale = false;
        }
        Ok(())
    }

    /// Reads again what the store has. What is only of this process stays: what is asked, and when to try again.
    fn reload(&mut self) -> Result<(), Error> {
        let store: &dyn Records = &*self.env.store;
        self.env.version = store.version(InstanceId::CLIENT).map_err(ProtocolError::from)?;
        let (mut rooms_read, mut intents_read) = (BTreeMap::new(), BTreeMap::new());
        for (id, value) in rows(store, ROOMS)? {
            let room = Room::from_row(id, &value)?;
            rooms_read.insert(room.id.clone(), room);
        }
        for (id, value) in rows(store, INTENTS)? {
            intents_read.insert(number_of(&id)?, Intent::from_row(&value)?);
        }
        if let Some(counters) = get(store, &row(DEVICE, COUNTERS))? {
            self.counted = from_row(&counters)?;
        }
        // What was given out and not written down is not given out again either.
        self.next.event = self.next.event.max(self.counted.event);
        self.next.intent = self.next.intent.max(self.counted.intent);
        self.env.judge.reload(store)?;
        self.env.reload_device()?;
        self.reload_invitations()?;
        let revoked = rows(&*self.env.store, REVOKED)?.into_iter();
        self.account.revoked = revoked.filter_map(|(device, _)| device.try_into().ok()).collect();
        for room in rooms_read.values_mut() {
            if let Some(old) = self.rooms.remove(&room.id) {
                room.go_on_from(old);
            }
        }
        for (number, intent) in &intents_read {
            if let Some(room) = rooms_read.get_mut(&intent.room) {
                room.queue.push_back(*number);
            }
        }
        self.rooms = rooms_read;
        self.intents = intents_read;
        Ok(())
    }
}

/// The number that a row is named by.
fn number_of(id: &[u8]) -> Result<u64, Error> {
    id.try_into().map(u64::from_be_bytes).map_err(|_| corrupt())
}

/// An event that is about no room has an empty name there.
pub(crate) fn nowhere() -> RoomId {
    RoomId(Vec::new())
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}
