//! Groups for applications: what is wanted is stored, sent, retried and done, over any delivery service.
//!
//! # Alice, Bob, and a room
//!
#![cfg_attr(feature = "in-process", doc = "```")]
#![cfg_attr(not(feature = "in-process"), doc = "```ignore")]
#![doc = include_str!("../examples/tea.rs")]
//! ```
//!
//! # An application
//!
//! ```toml
//! [dependencies]
//! hushwood-client = { git = "https://github.com/hushwood/hushwood" }
//! hushwood-aws-lc = { git = "https://github.com/hushwood/hushwood" } # cryptography; or hushwood-rustcrypto
//! hushwood-store = { git = "https://github.com/hushwood/hushwood" } # a sealed file; or a store of your own
//! ```
//!
//! With a server elsewhere that is known by its fingerprint, a store that outlives the program, and a thread that tells what
//! happens: `cargo run -p hushwood-client --example chat`.
//!
#![cfg_attr(feature = "http", doc = "```no_run")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
#![doc = include_str!("../examples/chat.rs")]
//! ```
//!
//! # How everything goes
//!
//! **What is wanted is an intent.** It is in the store before anything is sent, and stays until it is in the room's log, across
//! crashes, lost answers, and commits of others that were faster. A call waits for that as long as
//! [`Settings::patience`] says, and then answers [`Outcome::Kept`]: it is done later, by whichever call comes next.
//!
//! **What has happened are events.** They are in the store until they are [acknowledged](Client::acknowledge), each once, in order,
//! and are given again after a restart until then. Of a message that never came there is one too ([`EventKind::Gap`]), and of a service that shows others another history
//! ([`EventKind::Fork`]).
//!
//! **News come by the service's stream**, which [`wait`](Client::wait) opens: it tells of a room that there is more, and of the inbox
//! that something is there; only that is read then. Where there is no stream, as behind a proxy that lets none through, they are
//! looked for, the more rarely the longer nothing happens ([`Settings::poll`]).
//!
//! **Who is who is for you to say** ([`Trust`]). Keys that were seen are remembered; another one under the same name stops a
//! room until it is [trusted](Client::trust), [accepted](Client::accept_key) or [said to be somebody else's](Client::distrust), and so does a device
//! that no known one of the same person vouches for. Who is not known can invite, and waits for your answer
//! ([`EventKind::Invited`]).
//!
//! # Where to go on
//!
//! | to | see |
//! |---|---|
//! | ask a service over the network | [`transport::BlockingHttp`], [`transport::Http`] |
//! | wait for what happens | [`Client::wait`], [`AsyncClient::stream`] |
//! | wait in tasks instead of threads | [`AsyncClient`] |
//! | bring a transport, or an event loop, of your own | [`Transport`], [`Core`] |
//! | compare numbers, trust a key | [`Room::contacts`], [`Client::safety_number`], [`Client::trust`], [`Room::epoch_number`] |
//! | decide about an invitation | [`EventKind::Invited`], [`Client::accept`], [`Settings::invitations`] |
//! | link another device of the same person, or take it out | [`Client::link`], [`Client::revoke`] |
//! | keep signature keys in a chip or the system's key store | [`Provider::with_signers`] |
//! | say who may add and remove | [`Core::create_room_with`], [`Core::set_rules`], [`Core::make_admin`] |
//! | come back where a room can't be followed | [`Room::rejoin`] |
//! | export keys, look at the group | [`Room::export`], [`Core::group`] |

mod client;
mod content;
pub mod core;
mod error;
mod event;
mod identity;
mod ids;
mod invitation;
mod records;
mod room;
mod safety_number;
mod settings;
pub mod transport;
mod trust;
mod voucher;

pub use crate::core::{Contact, Core, Done, Identity, Known, OwnDevice, Store};
#[cfg(feature = "async")]
pub use client::{AsyncClient, AsyncRoom, EventStream};
pub use client::{Client, Outcome, Room};
pub use error::Error;
pub use event::{Attention, Event, EventKind, Message, MessageId, NotTaken};
pub use hushwood::credential::Claim;
pub use hushwood::policy::Padding;
pub use hushwood::transition::PersistError;
pub use hushwood_crypto::{CipherSuiteId, Random, Secret};
pub use hushwood_delivery::rules::{Rules, Who};
pub use hushwood_delivery::wire::{Answer, Call, InviteToken, RefusalCode, Refused};
pub use identity::{DeviceId, Member};
pub use ids::NotAnId;
pub use invitation::{Invitation, InvitationId, Invitations, Invitee, Returning};
pub use records::Standing;
pub use room::RoomId;
pub use safety_number::SafetyNumber;
pub use settings::{Millis, Provider, Settings, Signers, Waits};
pub use transport::{AsyncTransport, Transport, TransportError};
pub use trust::Trust;
