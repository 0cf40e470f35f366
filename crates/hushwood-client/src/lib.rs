//! Groups for applications: what is wanted is stored, sent, retried and done, over any delivery service.

#[cfg(feature = "async")]
mod async_client;
mod client;
mod content;
pub mod core;
mod error;
mod event;
mod identity;
mod records;
mod room;
mod settings;
pub mod transport;
mod trust;

pub use crate::core::{Contact, Core, Done, Identity, Known, Store};
#[cfg(feature = "async")]
pub use async_client::{AsyncClient, AsyncRoom};
pub use client::{Client, Events, Outcome, Room};
pub use error::Error;
pub use event::{Attention, Event, EventKind, Message, MessageId};
pub use identity::{DeviceId, Member};
pub use records::Standing;
pub use room::RoomId;
pub use settings::{Millis, Provider, Settings};
pub use transport::{AsyncTransport, Transport, TransportError};
pub use trust::Trust;
