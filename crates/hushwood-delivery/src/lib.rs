//! The delivery service: one ordered log for each group (RFC 9750 §5).
//!
//! Being written. There is what it stores ([`backend`]), what is asked and answered ([`wire`]), and the rules between
//! them ([`service`]); a server that carries it over a network is not there yet.

pub mod backend;
pub mod service;
pub mod wire;
