//! The server on real sockets: what it answers, what it takes, how it stops, and what it does with clients that mean harm.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod docs;
mod limits;
mod net;
mod person;
mod requests;
mod stop;
mod stream;
mod world;
