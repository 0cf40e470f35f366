//! A client for hosts that do not wait in threads.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use hushwood::credential::Claim;
use hushwood_crypto::Secret;

use crate::client::Outcome;
use crate::client::engine::{Engine, Goal, State, Step, Wait};
use crate::client::methods::client_methods;
use crate::client::room_methods::room_methods;
use crate::core::{Contact, Core, Identity, OwnDevice, Request, Store};
use crate::error::Error;
use crate::event::{Event, Message, MessageId};
use crate::identity::{DeviceId, Member};
use crate::invitation::{Invitation, InvitationId};
use crate::records::Standing;
use crate::room::RoomId;
use crate::safety_number::SafetyNumber;
use crate::settings::{Millis, Provider, Settings};
use crate::transport::AsyncTransport;
use crate::trust::Trust;

/// A client. Clones are the same client; any number of tasks may use it, on any runtime that the transport is for. It has what
/// [`Client`](crate::Client) has, and [`stream`](Self::stream).
///
/// A call that is dropped before it is done has lost nothing: what was wanted is stored, and its requests go on.
///
/// Writes to the store are not waited for elsewhere: each takes as long as the disk does.
///
/// ```no_run
/// use hushwood_client::{AsyncClient, AsyncTransport, Error, EventKind};
///
/// async fn listen<T: AsyncTransport>(client: &AsyncClient<T>) -> Result<(), Error> {
///     let mut events = client.stream();
///     loop {
///         let event = events.next().await?;
///         if let EventKind::Message(message) = &event.kind {
///             println!("{}: {}", message.from.person, String::from_utf8_lossy(&message.body));
///         }
///         // It is dealt with. Without this it would come again after a restart.
///         client.acknowledge([&event])?;
///     }
/// }
/// ```
pub struct AsyncClient<T> {
    engine: Arc<Engine<T>>,
}

/// A room of a client.
pub struct AsyncRoom<T> {
    client: AsyncClient<T>,
    id: RoomId,
}

/// What happens, as it happens: [`AsyncClient::wait`] for ever. As there, each event is given once by a client, its clones and their
/// streams, and stays until it is [acknowledged](AsyncClient::acknowledge). What a stream was given and has not given on when it is
/// dropped is given to the next.
pub struct EventStream<T: AsyncTransport> {
    client: AsyncClient<T>,
    waiting: Option<Waiting>,
    events: VecDeque<Event>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<Vec<Event>, Error>> + Send>>;

impl<T: AsyncTransport> AsyncClient<T> {
    client_methods!(AsyncRoom, [async], [.await]);

    /// What happens, as it happens: a stream without an end, for `select!` and its like. That news can't be had now is an item too,
    /// once in half a minute while it is so.
    #[must_use]
    pub fn stream(&self) -> EventStream<T> {
        EventStream { client: self.clone(), waiting: None, events: VecDeque::new() }
    }

    /// As the other client's, with tasks instead of threads.
    async fn drive<R>(
        &self,
        mut goal: Goal<impl FnMut(&mut State) -> Option<R>>,
    ) -> Result<Option<R>, Error> {
        loop {
            let seen = self.engine.signal.seen();
            match self.engine.step(&mut goal)? {
                Step::Done(result) => return Ok(Some(result)),
                Step::Call(request) => self.call(*request),
                Step::Listen(opened) => {
                    let handle = self.engine.transport.listen(self.engine.listener(opened));
                    self.engine.listening(opened, handle);
                }
                Step::Wait(time) => {
                    either(self.engine.signal.changed(seen), self.engine.transport.sleep(time)).await;
                }
                Step::Over => return Ok(None),
            }
        }
    }

    fn call(&self, Request { id, call, token }: Request) {
        let (asked, transport) = (self.engine.asked(id), self.engine.transport.clone());
        let task = async move { asked.answered(transport.call(call, token).await) };
        self.engine.transport.spawn(Box::pin(task));
    }
}

impl<T: AsyncTransport> AsyncRoom<T> {
    room_methods!([async], [.await]);
}

impl<T: AsyncTransport> EventStream<T> {
    /// The next event. If this is dropped before it is there nothing is lost.
    ///
    /// # Errors
    /// As [`AsyncClient::wait`]; the stream goes on.
    pub async fn next(&mut self) -> Result<Event, Error> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            let client = &self.client;
            let waiting = self.waiting.get_or_insert_with(|| {
                let client = client.clone();
                Box::pin(async move { client.wait(PATIENCE).await })
            });
            let Poll::Ready(events) = waiting.as_mut().poll(context) else { return Poll::Pending };
            self.waiting = None;
            match events {
                Ok(events) => self.events.extend(events),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T: AsyncTransport> Stream for EventStream<T> {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(context).map(Some)
    }
}

impl<T: AsyncTransport> Drop for EventStream<T> {
    fn drop(&mut self) {
        if let Some(event) = self.events.front() {
            self.client.engine.give_back(event.number);
        }
    }
}

/// After so long a stream says why it has nothing to say.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the first of two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        let ready = one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl<T> Clone for AsyncClient<T> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone() }
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

impl<T: AsyncTransport> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("ready", &self.events.len()).finish_non_exhaustive()
    }
}
