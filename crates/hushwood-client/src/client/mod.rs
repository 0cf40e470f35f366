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
    /// It is kept, and done when it can be; why it can't be now, if that is known. An event tells of the end.
    Kept(Option<Error>),
}
