//! Groups for applications: what is wanted is stored, sent, retried and done, over any delivery service.
//!
//! # Alice, Bob, and a room
//!
#![cfg_attr(feature = "in-process", doc = "```")]
#![cfg_attr(not(feature = "in-process"), doc = "```ignore")]
#![doc = include_str!("../examples/tea.rs")]
//! ```
//!
//! # How everything goes
//!
//! **What is wanted is an intent.** It is in the store before anything is sent, and stays until it is in the room's log, across
//! crashes, lost answers, and commits of others that were faster. A call waits for that as long as
//! [`Settings::patience`] says, and then answers [`Outcome::Kept`]: it is done later, by whichever call comes next.
//!
//! **What has happened are events.** They are in the store until they are dealt with, each once, in order. Of a message
//! that never came there is one too ([`EventKind::Gap`]), and of a service that shows others another history
//! ([`EventKind::Fork`]).
//!
//! **Who is who is for you to say** ([`Trust`]). Keys that were seen are remembered; another one under the same name stops a
//! room until it is [trusted](Core::trust), [accepted](Core::accept_key) or [said to be somebody else's](Core::distrust), and so does a device
//! that no known one of the same person vouches for. Who is not known can invite, and waits for your answer
//! ([`EventKind::Invited`]).
//!
//! # Where to go on
//!
//! | to | see |
//! |---|---|
//! | ask a service over the network | [`transport::BlockingHttp`], [`transport::Http`] |
//! | wait in tasks instead of threads | [`AsyncClient`] |
//! | bring a transport, or an event loop, of your own | [`Transport`], [`Core`] |
//! | compare numbers, trust a key | [`Core::contacts`], [`Core::safety_number`], [`Core::trust`] |
//! | decide about an invitation | [`EventKind::Invited`], [`Client::accept`], [`Settings::invitations`] |
//! | link another device of the same person, or take it out | [`Core::link`], [`Core::revoke`] |
//! | come back where a room can't be followed | [`Room::rejoin`] |
//! | export keys, look at the group | [`Core::group`] |

#[cfg(feature = "async")]
mod async_client;
mod client;
mod content;
pub mod core;
mod error;
mod event;
mod identity;
mod invitation;
mod records;
mod room;
mod settings;
pub mod transport;
mod trust;
mod voucher;

pub use crate::core::{Contact, Core, Done, Identity, Known, OwnDevice, Store};
#[cfg(feature = "async")]
pub use async_client::{AsyncClient, AsyncRoom};
pub use client::{Client, Events, Outcome, Room};
pub use error::Error;
pub use event::{Attention, Event, EventKind, Message, MessageId};
pub use hushwood_delivery::wire::InviteToken;
pub use identity::{DeviceId, Member};
pub use invitation::{Invitation, InvitationId, Invitations, Invitee};
pub use records::Standing;
pub use room::RoomId;
pub use settings::{Millis, Provider, Settings};
pub use transport::{AsyncTransport, Transport, TransportError};
pub use trust::Trust;
