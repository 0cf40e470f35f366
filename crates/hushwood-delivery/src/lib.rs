//! The delivery service: one ordered log for each group (RFC 9750 §5).
//!
//! There is what it stores (`backend`), what is asked and answered ([`wire`]), and the rules between them (`service`);
//! `server` carries it over a network.
//!
//! A client needs [`wire`], which is all there is without features, and `rules` if groups are to have any.

#[cfg(feature = "server")]
pub mod backend;
#[cfg(feature = "rules")]
pub mod rules;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod service;
pub mod wire;
