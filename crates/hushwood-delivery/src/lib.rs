//! The delivery service: one ordered log for each group (RFC 9750 §5).
//!
//! There is what it stores (`backend`), what is asked and answered ([`wire`]), and the rules between them (`service`);
//! `server` carries it over a network.
//!
//! A client needs [`wire`] alone, which is all there is without the feature `server`.

#[cfg(feature = "server")]
pub mod backend;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod service;
pub mod wire;
