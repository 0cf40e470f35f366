//! The MLS working group's interop interface: what its test runner and the clients under test say to each other, and a
//! server that plays any number of members with Hushwood.
//!
//! [`proto`] has the interface, for servers and for callers. [`serve`] answers it. Every member lives in memory for as
//! long as the process does; private keys are handed out as the interface wants it. This is for tests of protocols, never
//! for conversations.

mod client;
mod compressed_keys;
mod description;
mod failure;
mod member;
pub mod proto;
mod registry;
mod rpc;
mod server;
mod settings;

pub use compressed_keys::with_compressed_keys;
pub use server::serve;
pub use settings::Settings;
