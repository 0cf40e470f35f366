//! A client that waits in the thread that calls it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hushwood::credential::Claim;

use crate::core::{Core, Done, Identity, Next, OwnDevice, Store};
use crate::error::Error;
use crate::event::{Event, Message, MessageId};
use crate::identity::{DeviceId, Member};
use crate::invitation::InvitationId;
use crate::room::RoomId;
use crate::settings::{Millis, Provider, Settings};
use crate::transport::Transport;
use crate::trust::Trust;

/// A client. Clones are the same client; any number of threads may use it.
pub struct Client<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    core: Mutex<Core>,
    /// An answer was taken.
    changed: Condvar,
    transport: T,
}

/// A room of a client.
pub struct Room<T> {
    client: Client<T>,
    id: RoomId,
}

/// What has come of something that was wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done(Done),
    /// It is kept, and done when it can be. If it will not be after all, an event tells ([`EventKind::NotDone`](crate::EventKind)).
    Kept {
        /// The number of what was wanted, as that event has it.
        intent: u64,
        /// Why it can't be done now, if that is known.
        why: Option<Error>,
    },
}

impl<T: Transport> Client<T> {
    /// Begins with what the store has, or as a new device of this person. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// [`Error::OtherIdentity`]; [`Error::Protocol`] if the store can't be read; [`Error::Store`] if it can't be written.
    pub fn open(
        store: impl Store + 'static,
        provider: Provider,
        identity: &Identity,
        trust: Trust,
        delivery: T,
    ) -> Result<Self, Error> {
        Self::open_with(Box::new(store), provider, identity, trust, (Settings::default(), delivery))
    }

    /// [`open`](Self::open) with settings.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        store: Box<dyn Store>,
        provider: Provider,
        identity: &Identity,
        trust: Trust,
        (settings, transport): (Settings, T),
    ) -> Result<Self, Error> {
        let core = Mutex::new(Core::open(store, provider, identity, trust, settings)?);
        Ok(Self { inner: Arc::new(Inner { core, changed: Condvar::new(), transport }) })
    }

    /// Who we are.
    #[must_use]
    pub fn member(&self) -> Member {
        self.core().member().clone()
    }

    /// Makes a room. The service need not be at hand.
    ///
    /// # Errors
    /// [`Error::Protocol`]; [`Error::Store`].
    pub fn create_group(&self, title: &str) -> Result<Room<T>, Error> {
        let id = self.core().create_room(title, Millis::now())?;
        Ok(Room { client: self.clone(), id })
    }

    /// The rooms that we are or were in.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room<T>> {
        let ids: Vec<_> = self.core().rooms().cloned().collect();
        ids.into_iter().map(|id| Room { client: self.clone(), id }).collect()
    }

    /// The room of this id.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn room(&self, id: &RoomId) -> Result<Room<T>, Error> {
        self.core().title(id)?;
        Ok(Room { client: self.clone(), id: id.clone() })
    }

    /// Reads what is new everywhere, sends what waits, and gives what has happened.
    ///
    /// # Errors
    /// [`Error`]: why it could not all be read. What was read is given by [`events`](Self::events).
    pub fn sync(&self) -> Result<Events<'_, T>, Error> {
        self.sync_of(None)?;
        self.events()
    }

    /// [`sync`](Self::sync), again and again until something has happened that was not given before, at most so long.
    ///
    /// # Errors
    /// As there, if nothing has happened when the time is over.
    pub fn wait(&self, time: Duration) -> Result<Events<'_, T>, Error> {
        let begun = Instant::now();
        loop {
            let synced = self.sync_of(None);
            let events = self.events()?;
            let left = time.saturating_sub(begun.elapsed());
            if events.events.len() > 0 || left.is_zero() {
                return synced.map(|()| events);
            }
            drop(events);
            std::thread::sleep(left.min(Duration::from_millis(200)));
        }
    }

    /// What has happened and was not given before, without asking the service.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn events(&self) -> Result<Events<'_, T>, Error> {
        self.events_of(None)
    }

    /// What to show to another device of the same person, after [`Core::link`]: the service is asked for something to sign.
    ///
    /// # Errors
    /// [`Error`]: why it could not be asked.
    pub fn link_request(&self, time: Duration) -> Result<Vec<u8>, Error> {
        let begun = Instant::now();
        loop {
            let shown = self.drive(false, |core| core.link_request().transpose())?;
            match shown {
                Some(shown) => return shown,
                None if begun.elapsed() >= time => {
                    let why = self.core().trouble(None).cloned();
                    return Err(why.unwrap_or(Error::Void("this device is linked already")));
                }
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Follows an invitation: we are in the room afterwards, or an event says why not.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); [`Error::Void`] if there is no such invitation any more.
    pub fn accept(&self, id: InvitationId) -> Result<(), Error> {
        self.core().accept_invitation(id)?;
        self.sync_of(None)
    }

    /// Forgets an invitation.
    ///
    /// # Errors
    /// [`Error::Void`] if there is no such invitation any more; [`Error::Store`].
    pub fn refuse(&self, id: InvitationId) -> Result<(), Error> {
        self.core().refuse_invitation(id)
    }

    /// The devices of our account, as the service knows them.
    ///
    /// # Errors
    /// [`Error`]: why it could not be asked.
    pub fn devices(&self) -> Result<Vec<OwnDevice>, Error> {
        self.core().want_devices();
        match self.drive(false, Core::devices)? {
            Some(devices) => Ok(devices),
            None => {
                let why = self.core().trouble(None).cloned();
                Err(why.unwrap_or(Error::Void("the service knows no account of this device yet")))
            }
        }
    }

    /// Takes a device out of our account and of all our rooms, as [`Core::revoke`].
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`]; [`Error::Void`] for this device; [`Error::Store`].
    pub fn revoke(&self, device: DeviceId) -> Result<Outcome, Error> {
        let number = self.core().revoke(device)?;
        match self.drive(false, |core| core.result(number))? {
            Some(result) => result.map(Outcome::Done),
            None => Ok(Outcome::Kept { intent: number, why: self.core().trouble(None).cloned() }),
        }
    }

    /// The machine behind it, for what this does not show.
    pub fn with_core<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        f(&mut self.core())
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // Whoever panicked has at most left memory behind that is read again from the store.
        self.inner.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_of(&self, room: Option<&RoomId>) -> Result<(), Error> {
        let sync = self.core().want_sync();
        let done = |core: &mut Core| core.is_synced(sync, room).then_some(());
        match self.drive(true, done)? {
            Some(()) => Ok(()),
            None => {
                let why = self.core().trouble(room).cloned();
                Err(why.unwrap_or(Error::BadAnswer("there is always more to read")))
            }
        }
    }

    fn events_of(&self, room: Option<&RoomId>) -> Result<Events<'_, T>, Error> {
        let events = self.core().events(room)?.into_iter();
        Ok(Events { client: self, events, given: None, dealt_with: Vec::new() })
    }

    fn wait_for(&self, room: &RoomId, number: u64) -> Result<Outcome, Error> {
        match self.drive(false, |core| core.result(number))? {
            Some(result) => result.map(Outcome::Done),
            None => Ok(Outcome::Kept { intent: number, why: self.core().trouble(Some(room)).cloned() }),
        }
    }

    /// Asks and answers until something is so. If `all` is set, also until there is nothing more to ask at once. `None`
    /// if it takes too long, or nothing more will happen by itself.
    fn drive<R>(&self, all: bool, mut done: impl FnMut(&mut Core) -> Option<R>) -> Result<Option<R>, Error> {
        let begun = Instant::now();
        loop {
            let mut core = self.core();
            if !all && let Some(result) = done(&mut core) {
                return Ok(Some(result));
            }
            let patience = Duration::from_millis(core.patience()).saturating_sub(begun.elapsed());
            let now = Millis::now();
            match core.poll(now)? {
                Next::Request(request) => {
                    drop(core);
                    let answer = self.inner.transport.call(request.call, request.token.as_deref());
                    let taken = self.core().answer(request.id, answer, Millis::now());
                    self.inner.changed.notify_all();
                    taken?;
                }
                Next::Wait(until) => {
                    if let Some(result) = done(&mut core) {
                        return Ok(Some(result));
                    }
                    let wait = match until {
                        Some(until) => Duration::from_millis(until.0.saturating_sub(now.0).max(1)),
                        None if core.is_asking() => patience,
                        None => return Ok(None),
                    };
                    if patience.is_zero() {
                        return Ok(None);
                    }
                    drop(self.inner.changed.wait_timeout(core, wait.min(patience)));
                }
            }
        }
    }
}

impl<T: Transport> Room<T> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// Its title.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn title(&self) -> Result<String, Error> {
        self.client.core().title(&self.id)
    }

    /// Who is in it, as far as it was read.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        self.client.core().members(&self.id)
    }

    /// Adds all devices of a person.
    ///
    /// # Errors
    /// [`Error::NoSuchPerson`], [`Error::KeyChanged`], [`Error::Removed`], [`Error::Forked`], [`Error::Refused`]:
    /// it is not done and will not be. [`Error::Store`].
    pub fn invite(&self, person: &str) -> Result<Outcome, Error> {
        let number = self.client.core().invite(&self.id, person)?;
        self.client.wait_for(&self.id, number)
    }

    /// Removes all devices of a person.
    ///
    /// # Errors
    /// As [`invite`](Self::invite); [`Error::NotThere`].
    pub fn remove(&self, person: &str) -> Result<Outcome, Error> {
        let number = self.client.core().remove(&self.id, person)?;
        self.client.wait_for(&self.id, number)
    }

    /// Says something. Where it can't be sent now it is kept and sent later: it must not be said again.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn send(&self, body: &[u8]) -> Result<(MessageId, Outcome), Error> {
        let (number, id) = self.client.core().send(&self.id, body, Millis::now())?;
        Ok((id, self.client.wait_for(&self.id, number)?))
    }

    /// Says something under a name that the caller has chosen at random and keeps: said again under it, as after a crash, it
    /// is still said once.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn send_as(&self, id: MessageId, body: &[u8]) -> Result<Outcome, Error> {
        let number = self.client.core().send_as(&self.id, id, body, Millis::now())?;
        self.client.wait_for(&self.id, number)
    }

    /// Removes one device of a person.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn remove_device(&self, person: &str, device: DeviceId) -> Result<Outcome, Error> {
        let number = self.client.core().remove_device(&self.id, person, device)?;
        self.client.wait_for(&self.id, number)
    }

    /// Removes the member with this key, who is not who they say.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn remove_key(&self, claim: &Claim) -> Result<Outcome, Error> {
        let number = self.client.core().remove_key(&self.id, claim)?;
        self.client.wait_for(&self.id, number)
    }

    /// Gives the room another title.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn set_title(&self, title: &str) -> Result<Outcome, Error> {
        let number = self.client.core().set_title(&self.id, title, Millis::now())?;
        self.client.wait_for(&self.id, number)
    }

    /// Makes new keys for ourselves.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn renew(&self) -> Result<Outcome, Error> {
        let number = self.client.core().renew(&self.id)?;
        self.client.wait_for(&self.id, number)
    }

    /// Leaves: the others are asked to remove us.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn leave(&self) -> Result<Outcome, Error> {
        let number = self.client.core().leave(&self.id)?;
        self.client.wait_for(&self.id, number)
    }

    /// Forgets the room, with all that was said in it, if it is over for us, as [`Core::forget`].
    ///
    /// # Errors
    /// [`Error::Void`] if others are in the room: leave it first; [`Error::Protocol`]; [`Error::Store`].
    pub fn forget(self) -> Result<(), Error> {
        self.client.core().forget(&self.id)
    }

    /// Comes back where the room can't be followed any more.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub fn rejoin(&self) -> Result<Outcome, Error> {
        let number = self.client.core().rejoin(&self.id)?;
        self.client.wait_for(&self.id, number)
    }

    /// Reads what is new and gives what has happened in this room.
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub fn sync(&self) -> Result<Events<'_, T>, Error> {
        self.client.sync_of(Some(&self.id))?;
        self.client.events_of(Some(&self.id))
    }

    /// Messages that were sent or read before a number of the log, the newest last.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn history(&self, before: Option<u64>, most: usize) -> Result<Vec<Message>, Error> {
        self.client.core().history(&self.id, before, most)
    }
}

/// What has happened. When the next event is asked for, the one before counts as dealt with, and is not given again; where
/// the process ends before that, it is.
pub struct Events<'a, T> {
    client: &'a Client<T>,
    events: std::vec::IntoIter<Event>,
    given: Option<u64>,
    dealt_with: Vec<u64>,
}

impl<T> Iterator for Events<'_, T> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.dealt_with.extend(self.given.take());
        let event = self.events.next();
        self.given = event.as_ref().map(|event| event.number);
        event
    }
}

impl<T> Drop for Events<'_, T> {
    fn drop(&mut self) {
        let mut core = self.client.inner.core.lock().unwrap_or_else(PoisonError::into_inner);
        // If it fails they are given once more, which is what an application must be ready for.
        drop(core.acknowledge(std::mem::take(&mut self.dealt_with)));
    }
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Clone for Room<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), id: self.id.clone() }
    }
}

impl<T> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Events<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("left", &self.events.len()).finish_non_exhaustive()
    }
}
