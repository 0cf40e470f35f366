//! A client that waits in the thread that calls it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
use crate::transport::Transport;
use crate::trust::Trust;

/// A client. Clones are the same client; any number of threads may use it.
///
/// ```no_run
/// use std::time::Duration;
/// use hushwood_client::{Client, Error, EventKind, Transport};
///
/// fn listen<T: Transport>(client: &Client<T>) -> Result<(), Error> {
///     loop {
///         for event in client.wait(Duration::from_secs(60))? {
///             if let EventKind::Message(message) = &event.kind {
///                 println!("{}: {}", message.from.person, String::from_utf8_lossy(&message.body));
///             }
///             // It is dealt with. Without this it would come again after a restart.
///             client.acknowledge([&event])?;
///         }
///     }
/// }
/// ```
pub struct Client<T> {
    engine: Arc<Engine<T>>,
}

/// A room of a client.
pub struct Room<T> {
    client: Client<T>,
    id: RoomId,
}

impl<T: Transport> Client<T> {
    client_methods!(Room, [], []);

    /// Goes on until something is so; `None` if it takes too long, or nothing more will happen by itself.
    fn drive<R>(&self, mut goal: Goal<impl FnMut(&mut State) -> Option<R>>) -> Result<Option<R>, Error> {
        loop {
            let seen = self.engine.signal.seen();
            match self.engine.step(&mut goal)? {
                Step::Done(result) => return Ok(Some(result)),
                Step::Call(request) => self.call(*request),
                Step::Listen(opened) => {
                    let handle = self.engine.transport.listen(self.engine.listener(opened));
                    self.engine.listening(opened, handle);
                }
                Step::Wait(time) => self.engine.signal.wait(seen, time),
                Step::Over => return Ok(None),
            }
        }
    }

    fn call(&self, Request { id, call, token }: Request) {
        let (asked, transport) = (self.engine.asked(id), self.engine.transport.clone());
        let thread = std::thread::Builder::new().name("hushwood call".to_owned());
        // If there is no thread the request counts as not answered, and is made again.
        drop(thread.spawn(move || asked.answered(transport.call(call, token.as_deref()))));
    }
}

impl<T: Transport> Room<T> {
    room_methods!([], []);
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone() }
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
