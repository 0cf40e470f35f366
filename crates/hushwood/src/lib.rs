//! Messaging Layer Security (RFC 9420), whole, without I/O.

pub mod commit;
pub mod credential;
pub mod error;
pub mod extension;
pub mod framing;
mod grease;
pub mod group;
pub mod key_package;
pub mod policy;
pub mod proposal;
pub mod public_group;
pub mod schedule;
pub mod secret_tree;
#[cfg(test)]
mod testing;
pub mod transition;
pub mod tree;
pub mod unverified;
pub mod version;
pub mod welcome;

pub use hushwood_codec as codec;
pub use hushwood_crypto as crypto;
