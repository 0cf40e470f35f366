//! Groups for applications: what is wanted is stored, sent, retried and done, over any delivery service.

pub mod core;
mod client;
mod content;
mod error;
mod event;
mod identity;
mod records;
mod room;
mod settings;
pub mod transport;
mod trust;

pub use client::{Client, Events, Outcome, Room};
pub use crate::core::{Core, Done, Identity, Store};
pub use error::Error;
pub use event::{Attention, Event, EventKind, Message, MessageId};
pub use identity::{DeviceId, Member};
pub use room::RoomId;
pub use settings::{Millis, Provider, Settings};
pub use transport::{AsyncTransport, Transport, TransportError};
pub use trust::Trust;
