//! How much `hushwood serve` does and how fast, beside what its engine does by itself in the same run; how soon messages are with
//! those who are connected; and what a flood does to it. Unpublished.
//!
//! The service is the program as operators have it, each node a process, over TLS 1.3 on this machine, with its limits as they are.
//! What clients send is made beforehand with the protocol, so that it is mostly the service's time that is measured; but clients,
//! nodes and database share the processors.
//!
//! ```text
//! disk, engine ── bare ────┐
//! Author ─ Chain ─ closed ─┼─ Report ─ tables, JSON, docs
//! Reader ─ Audience ─ fanout, flood
//! ```
//!
//! No figure has to be reached. What fails is a measurement in which an honest client was refused or missed something, or a node
//! ended.

pub mod args;
pub mod audience;
pub mod bare;
pub mod chain;
pub mod client;
pub mod closed;
pub mod docs;
pub mod fanout;
pub mod flood;
pub mod net;
pub mod report;
pub mod run;
pub mod scale;
pub mod service;
pub mod times;
pub mod usage;
