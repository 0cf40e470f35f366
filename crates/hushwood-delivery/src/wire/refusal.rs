//! Why the service does not do what it was asked for.

use std::time::Duration;

use crate::backend::BackendError;

/// No, and what to do about it. Nothing has changed, if it does not say so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is not what it should be, by the fault of who made it.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// A token is missing, has expired, or a signature does not verify: log in again.
    #[error("not logged in, or the proof does not verify: {0}")]
    Unauthorized(&'static str),
    /// Whoever it is may not do this.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// There is nothing of this name.
    #[error("not found: {0}")]
    NotFound(&'static str),
    /// The device was revoked, and does not come back: register another, with an id and a key of its own.
    #[error("this device was revoked: register anew, with an id and a key of its own")]
    Revoked,
    /// The account is there under another name than the one that was asked for.
    #[error("the account has another name")]
    OtherName,
    /// There is as much as may be. It says what makes room.
    #[error("there is no room: {0}")]
    Full(&'static str),
    /// It is taken by somebody else.
    #[error("taken: {0}")]
    Taken(&'static str),
    /// A message breaks a rule of MLS: the members would refuse it too. Make another.
    #[error("the group's members would refuse this: {0}")]
    Invalid(String),
    /// It is larger than the service takes.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// Too many requests, or too much is waiting: try again after this time.
    #[error("too many requests: try again in {} s", .0.as_secs())]
    TooMany(Duration),
    /// The service has a fault of its own. What was asked for may have happened if it says so: ask again under the same
    /// request id.
    #[error("the service has failed: {0}")]
    Failed(BackendError),
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Busy => Self::TooMany(Duration::from_secs(1)),
            other => Self::Failed(other),
        }
    }
}
