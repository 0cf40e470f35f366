//! The delivery service and its clients as they are used: `hushwood serve` and `hushwood bot`, each a process of its own, killed at
//! random with the database, behind a network that delays, loses, doubles and reorders. Unpublished.
//!
//! What happened is written down on both sides ([`history`]): what the bots were told, what went over the wire, what is in the
//! service's log in the end. [`check`] says which of the promises it breaks; it knows no process and no clock.
//!
//! ```text
//! bot ── proxy ──┬─ node ─┐            told, log, wire -> History -> check -> Findings
//! bot ── proxy ──┼─ node ─┼─ database
//! bot ── proxy ──┴─ node ─┘            kill -9 of each, at random
//! ```
//!
//! [`race`] is for the place where it is decided which commit ends an epoch: many committers, each epoch, one winner.

pub mod bot;
pub mod campaign;
pub mod check;
pub mod history;
pub mod log;
pub mod process;
pub mod proxy;
pub mod race;
pub mod service;
pub mod tap;
