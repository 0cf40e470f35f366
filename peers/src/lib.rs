//! Live cross-play: MLS implementations talk to each other in one process.
//!
//! Each implementation is wrapped once, as a [`peer::Peer`] that makes [`peer::Member`]s with stores of their own.
//! Members exchange nothing but bytes (whole `MLSMessage`s, and the bare `ratchet_tree` where it travels outside the
//! Welcome). [`scenario`] plays named conversations over every pair of peers in every assignment of roles;
//! [`random`] plays seeded ones with mixed members. After each epoch [`world::World`] compares what every member
//! believes: epoch, epoch authenticator, an exported secret, member list, ratchet tree and GroupContext extensions.
//!
//! [`replay`] has them follow conversations from files of vectors, in the formats of the working group's
//! `passive-client-*.json`.
//!
//! To add an implementation: write one file that implements the two traits, and name it in [`peers`]. Its clients list
//! [`peer::PRIVATE_USE_EXTENSION`] in their capabilities, accept both wire formats, keep a few dozen past epochs with
//! their resumption PSKs, and accept a handful of messages out of order. An operation that an implementation lacks
//! returns [`peer::PeerError::Unsupported`]; a known fault of it [`peer::PeerError::Defect`], with the RFC's words in a
//! comment, and only on the very error it is known by.

pub mod hushwood_peer;
pub mod json_lines;
pub mod mls_rs_peer;
pub mod openmls_peer;
pub mod peer;
pub mod random;
pub mod replay;
pub mod run;
pub mod scenario;
pub mod table;
pub mod ts_mls_peer;
pub mod world;

use peer::Peer;

/// Every implementation that takes part, in the order of the table's columns.
pub fn peers() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(hushwood_peer::Hushwood::aws_lc()),
        Box::new(hushwood_peer::Hushwood::rustcrypto()),
        Box::new(openmls_peer::OpenMls),
        Box::new(mls_rs_peer::MlsRs),
    ]
}
