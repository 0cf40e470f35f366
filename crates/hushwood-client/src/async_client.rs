//! A client for hosts that do not wait in threads.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hushwood::credential::Claim;
use tokio::sync::Notify;

use crate::client::Outcome;
use crate::core::{Core, Identity, Next, Store};
use crate::error::Error;
use crate::event::{Event, Message, MessageId};
use crate::identity::{DeviceId, Member};
use crate::invitation::InvitationId;
use crate::room::RoomId;
use crate::settings::{Millis, Provider, Settings};
use crate::transport::AsyncTransport;
use crate::trust::Trust;

/// A client. Clones are the same client; any number of tasks may use it, on any runtime that the transport is for.
///
/// Writes to the store are not waited for elsewhere: each takes as long as the disk does.
pub struct AsyncClient<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    core: Mutex<Core>,
    /// An answer was taken.
    changed: Notify,
    transport: T,
}

/// A room of a client.
pub struct AsyncRoom<T> {
    client: AsyncClient<T>,
    id: RoomId,
}

impl<T: AsyncTransport> AsyncClient<T> {
    /// As [`Client::open`](crate::Client::open).
    ///
    /// # Errors
    /// As there.
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
        Ok(Self { inner: Arc::new(Inner { core, changed: Notify::new(), transport }) })
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
    pub fn create_group(&self, title: &str) -> Result<AsyncRoom<T>, Error> {
        let id = self.core().create_room(title, Millis::now())?;
        Ok(AsyncRoom { client: self.clone(), id })
    }

    /// The rooms that we are or were in.
    #[must_use]
    pub fn rooms(&self) -> Vec<AsyncRoom<T>> {
        let ids: Vec<_> = self.core().rooms().cloned().collect();
        ids.into_iter().map(|id| AsyncRoom { client: self.clone(), id }).collect()
    }

    /// The room of this id.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn room(&self, id: &RoomId) -> Result<AsyncRoom<T>, Error> {
        self.core().title(id)?;
        Ok(AsyncRoom { client: self.clone(), id: id.clone() })
    }

    /// Reads what is new everywhere and sends what waits. What has happened is then among the [`events`](Self::events).
    ///
    /// # Errors
    /// [`Error`]: why it could not all be read.
    pub async fn sync(&self) -> Result<(), Error> {
        self.sync_of(None).await
    }

    /// What has happened and was not acknowledged, the oldest first.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        self.core().events(None)
    }

    /// These events are dealt with.
    ///
    /// # Errors
    /// [`Error::Store`]: they will come again.
    pub fn acknowledge(&self, numbers: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        self.core().acknowledge(numbers)
    }

    /// Follows an invitation: we are in the room afterwards, or an event says why not.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); [`Error::Void`] if there is no such invitation any more.
    pub async fn accept(&self, id: InvitationId) -> Result<(), Error> {
        self.core().accept_invitation(id)?;
        self.sync_of(None).await
    }

    /// Forgets an invitation.
    ///
    /// # Errors
    /// [`Error::Void`] if there is no such invitation any more; [`Error::Store`].
    pub fn refuse(&self, id: InvitationId) -> Result<(), Error> {
        self.core().refuse_invitation(id)
    }

    /// The machine behind it, for what this does not show.
    pub fn with_core<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        f(&mut self.core())
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.inner.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sync_of(&self, room: Option<&RoomId>) -> Result<(), Error> {
        let sync = self.core().want_sync();
        match self.drive(true, |core| core.is_synced(sync, room).then_some(())).await? {
            Some(()) => Ok(()),
            None => {
                let why = self.core().trouble(room).cloned();
                Err(why.unwrap_or(Error::BadAnswer("there is always more to read")))
            }
        }
    }

    async fn wait_for(&self, room: &RoomId, number: u64) -> Result<Outcome, Error> {
        match self.drive(false, |core| core.result(number)).await? {
            Some(result) => result.map(Outcome::Done),
            None => Ok(Outcome::Kept { intent: number, why: self.core().trouble(Some(room)).cloned() }),
        }
    }

    /// As the other client's, with tasks instead of threads.
    async fn drive<R>(
        &self,
        all: bool,
        mut done: impl FnMut(&mut Core) -> Option<R>,
    ) -> Result<Option<R>, Error> {
        let begun = Instant::now();
        loop {
            // Before the core is looked at, so that nothing is missed.
            let changed = self.inner.changed.notified();
            let (wait, request) = {
                let mut core = self.core();
                if !all && let Some(result) = done(&mut core) {
                    return Ok(Some(result));
                }
                let patience = Duration::from_millis(core.patience()).saturating_sub(begun.elapsed());
                let now = Millis::now();
                match core.poll(now)? {
                    Next::Request(request) => (Duration::ZERO, Some(request)),
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
                        (wait.min(patience), None)
                    }
                }
            };
            match request {
                Some(request) => {
                    let answer = self.inner.transport.call(request.call, request.token).await;
                    let taken = self.core().answer(request.id, answer, Millis::now());
                    self.inner.changed.notify_waiters();
                    taken?;
                }
                None => either(changed, self.inner.transport.sleep(wait)).await,
            }
        }
    }
}

/// Waits for the first of two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|context| {
        let ready = one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready();
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

impl<T: AsyncTransport> AsyncRoom<T> {
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
    /// As [`Room::invite`](crate::Room::invite).
    pub async fn invite(&self, person: &str) -> Result<Outcome, Error> {
        let number = self.client.core().invite(&self.id, person)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Removes all devices of a person.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn remove(&self, person: &str) -> Result<Outcome, Error> {
        let number = self.client.core().remove(&self.id, person)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Says something. Where it can't be sent now it is kept and sent later: it must not be said again.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn send(&self, body: &[u8]) -> Result<(MessageId, Outcome), Error> {
        let (number, id) = self.client.core().send(&self.id, body, Millis::now())?;
        Ok((id, self.client.wait_for(&self.id, number).await?))
    }

    /// As [`Room::send_as`](crate::Room::send_as).
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn send_as(&self, id: MessageId, body: &[u8]) -> Result<Outcome, Error> {
        let number = self.client.core().send_as(&self.id, id, body, Millis::now())?;
        self.client.wait_for(&self.id, number).await
    }

    /// Removes one device of a person.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn remove_device(&self, person: &str, device: DeviceId) -> Result<Outcome, Error> {
        let number = self.client.core().remove_device(&self.id, person, device)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Removes the member with this key, who is not who they say.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn remove_key(&self, claim: &Claim) -> Result<Outcome, Error> {
        let number = self.client.core().remove_key(&self.id, claim)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Gives the room another title.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn set_title(&self, title: &str) -> Result<Outcome, Error> {
        let number = self.client.core().set_title(&self.id, title, Millis::now())?;
        self.client.wait_for(&self.id, number).await
    }

    /// Makes new keys for ourselves.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn renew(&self) -> Result<Outcome, Error> {
        let number = self.client.core().renew(&self.id)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Leaves: the others are asked to remove us.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn leave(&self) -> Result<Outcome, Error> {
        let number = self.client.core().leave(&self.id)?;
        self.client.wait_for(&self.id, number).await
    }

    /// As [`Room::forget`](crate::Room::forget).
    ///
    /// # Errors
    /// As there.
    pub fn forget(self) -> Result<(), Error> {
        self.client.core().forget(&self.id)
    }

    /// Comes back where the room can't be followed any more.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn rejoin(&self) -> Result<Outcome, Error> {
        let number = self.client.core().rejoin(&self.id)?;
        self.client.wait_for(&self.id, number).await
    }

    /// Reads what is new in this room; what has happened is then among the [`events`](Self::events).
    ///
    /// # Errors
    /// As [`AsyncClient::sync`].
    pub async fn sync(&self) -> Result<(), Error> {
        self.client.sync_of(Some(&self.id)).await
    }

    /// What has happened in this room and was not [acknowledged](AsyncClient::acknowledge), the oldest first.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        self.client.core().events(Some(&self.id))
    }

    /// Messages that were sent or read before a number of the log, the newest last.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the store can't be read.
    pub fn history(&self, before: Option<u64>, most: usize) -> Result<Vec<Message>, Error> {
        self.client.core().history(&self.id, before, most)
    }
}

impl<T> Clone for AsyncClient<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Clone for AsyncRoom<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), id: self.id.clone() }
    }
}

impl<T> fmt::Debug for AsyncClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncClient").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for AsyncRoom<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRoom").field("id", &self.id).finish_non_exhaustive()
    }
}
