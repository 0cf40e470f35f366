//! MLS for one who makes messages and checks nothing: written from RFC 9420, beside the library and without it.
//!
//! From the library come the structures of messages with their encodings, and nothing that computes. So what is made
//! here and accepted there shows, too, that both read the RFC in the same way.

pub mod crypto;
pub mod framing;
pub mod schedule;
pub mod tree;
