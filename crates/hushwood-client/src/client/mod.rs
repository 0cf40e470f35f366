//! Clients for applications: one for those that wait in threads, one for those that wait in tasks.

mod engine;
mod methods;
mod room_methods;
mod signal;
#[cfg(feature = "async")]
mod tasks;
mod threads;

use crate::core::Done;
use crate::error::Error;

#[cfg(feature = "async")]
pub use tasks::{AsyncClient, AsyncRoom, EventStream};
pub use threads::{Client, Room};

/// What has come of something that was wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done(Done),
    /// It is kept, and done when it can be. If it will not be after all, an event tells ([`EventKind::NotDone`](crate::EventKind)).
    Kept {
        /// The number of what was wanted, as that event has it.
        intent: u64,
        /// Why it can't be done now, if that is known.
        why: Option<Error>,
    },
}
