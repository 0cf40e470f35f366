//! What goes wrong, and the gRPC status that says so.

use hushwood::codec::{DecodeError, EncodeError};
use hushwood::crypto::CryptoError;
use hushwood::error::{Error, StoreReadError};
use hushwood::transition::CommitError;
use tonic::Status;

/// Why a request was not carried out. The member is in the epoch that it was in; proposals that were taken in before stay.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An id that stands for nothing, or for something of another kind.
    NotFound(&'static str),
    /// The request does not say what it must.
    Request(&'static str),
    /// Right in itself, at the wrong time.
    NotNow(&'static str),
    /// The protocol library's answer.
    Protocol(Error),
    /// The member's store has not taken a change.
    Store(CommitError),
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(what) => Self::not_found(what),
            Failure::Request(what) => Self::invalid_argument(what),
            Failure::NotNow(what) => Self::failed_precondition(what),
            Failure::Store(error) => Self::aborted(error.to_string()),
            Failure::Protocol(error) => {
                let text = error.to_string();
                match error {
                    Error::Decode(_) | Error::Violation(_) | Error::WouldViolate(_) | Error::ApiMisuse(_) => {
                        Self::invalid_argument(text)
                    }
                    Error::Unsupported(_) | Error::NotNow(_) => Self::failed_precondition(text),
                    _ => Self::internal(text),
                }
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Store(error)
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        Self::Protocol(error.into())
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.into())
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::Protocol(error.into())
    }
}

impl From<StoreReadError> for Failure {
    fn from(error: StoreReadError) -> Self {
        Self::Protocol(error.into())
    }
}
